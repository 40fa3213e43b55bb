"""Each row of a followed file is read once, whatever is done to the file meanwhile."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from genlab.engine import seals
from genlab.runs.rows import checked
from genlab.studio.follow import Follower


def line(step: int, **values: Any) -> bytes:
    return json.dumps(seals.seal({"step": step, **values})).encode() + b"\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "metrics.jsonl"


def add(file: Path, *parts: bytes) -> None:
    with file.open("ab") as opened:
        opened.write(b"".join(parts))


def test_what_is_appended_is_read_and_nothing_twice(file: Path) -> None:
    rows = Follower(file)
    assert rows.read() == 0  # No file yet.
    add(file, line(1, loss=2.0), line(2, loss=1.0))
    assert (rows.read(), rows.read(), len(rows)) == (2, 0, 2)
    add(file, line(3, loss=None, recall=0.5)[:20])
    assert rows.read() == 0  # The line is not complete yet.
    add(file, line(3, loss=None, recall=0.5)[20:])
    assert rows.read() == 1
    assert rows.curve("loss") == {"x": [1, 2, 3], "y": [2.0, 1.0, None], "low": [], "high": [], "block": 1}
    assert rows.curve("recall")["x"] == [3]
    assert rows.since(1)[:2] == (rows.began, 3)
    assert rows.since(1)[2] == {"step": [2, 3], "loss": [1.0, None], "recall": [None, 0.5]}
    assert rows.curve("no such")["x"] == []


def test_rows_that_have_a_column_and_the_newest_one(file: Path) -> None:
    rows = Follower(file)
    assert rows.rows(["recall"]) == []
    add(file, line(1, loss=2.0), line(2, loss=1.0, recall=0.5), line(3, loss=None, recall=0.6), line(4, loss=0.5))
    rows.read()
    newest = {"step": 4, "loss": 0.5}
    assert rows.rows(["recall", "none"]) == [
        {"step": 2, "loss": 1.0, "recall": 0.5},
        {"step": 3, "recall": 0.6},
        newest,
    ]
    assert rows.rows([]) == [newest]


def test_a_damaged_line_is_counted_and_left_out(file: Path) -> None:
    whole = line(1, loss=0.25)
    assert checked(whole) == {"step": 1, "loss": 0.25}
    for k in range(len(whole) * 8):
        spoilt = bytearray(whole)
        spoilt[k // 8] ^= 1 << k % 8
        assert checked(bytes(spoilt)) is None
    add(file, whole, whole.replace(b"0.25", b"0.75"), line(3, loss=1.0), b"\xff\xfe\n", b"\n", b"[]\n")
    rows = Follower(file)
    rows.read()
    assert (rows.curve("loss")["x"], rows.damaged) == ([1, 3], 4)


def test_a_file_that_was_cut_back_or_replaced_is_read_anew(file: Path) -> None:
    add(file, *(line(step, loss=float(step)) for step in range(1, 9)))
    rows = Follower(file)
    rows.read()
    began = rows.began
    content = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join(content[:4]))  # Cut back in place, as a resumed run does,
    rows.read()
    assert (len(rows), rows.began) == (4, began + 1)
    add(file, *(line(step, loss=-1.0) for step in range(5, 12)))
    rows.read()
    assert rows.curve("loss")["y"] == [1.0, 2.0, 3.0, 4.0, *[-1.0] * 7]
    # or replaced by another file that is longer than what was read.
    other = file.with_suffix(".new")
    other.write_bytes(b"".join(line(step, loss=7.0) for step in range(1, 40)))
    other.replace(file)
    rows.read()
    assert set(rows.curve("loss")["y"]) == {7.0}
    same = file.read_bytes().replace(line(39, loss=7.0), line(39, loss=8.0)) + line(40, loss=8.0)
    file.write_bytes(same)  # The same file with a different last row.
    rows.read()
    assert rows.curve("loss")["y"][-2:] == [8.0, 8.0]
    shutil.rmtree(file.parent)
    assert rows.read() == 0


def test_many_rows_become_means_of_blocks(file: Path) -> None:
    values = np.random.default_rng(0).normal(size=1000)
    add(
        file,
        *(
            line(step + 1, loss=float(v), **({"recall": 0.5} if step % 100 == 0 else {}))
            for step, v in enumerate(values)
        ),
    )
    rows = Follower(file)
    rows.read()
    found = rows.curve("loss", most=100)
    assert found["block"] == 10
    assert found["x"] == list(range(10, 1001, 10))
    assert found["y"] == pytest.approx(values.reshape(100, 10).mean(1).tolist())
    assert found["low"] == pytest.approx(values.reshape(100, 10).min(1).tolist())
    assert found["high"] == pytest.approx(values.reshape(100, 10).max(1).tolist())
    assert rows.curve("recall", most=100)["block"] == 1  # Ten rows have it.
    near = rows.curve("loss", 101, 150, most=100)
    assert (near["block"], near["x"][0], near["x"][-1]) == (1, 101, 150)
    odd = rows.curve("loss", most=300)
    assert odd["x"][-1] == 1000
    assert odd["y"][-1] == pytest.approx(values[996:].mean())


def test_a_mean_over_steps_is_drawn_with_its_band(file: Path) -> None:
    add(file, line(1, loss=5.0), line(10, loss=1.0, loss_mean=2.0, loss_p10=1.5, loss_p90=3.0))
    rows = Follower(file)
    rows.read()
    assert rows.curve("loss") == {"x": [1, 10], "y": [5.0, 2.0], "low": [None, 1.5], "high": [None, 3.0], "block": 1}


def test_values_that_are_no_numbers_are_gaps(file: Path) -> None:
    add(file, line(1, loss="x", big=10**400), line(2, loss=[1], big=3), line(3, loss=True, big=0.5))
    rows = Follower(file)
    assert (rows.read(), rows.damaged) == (2, 1)  # genlab writes no number of 400 digits.
    assert rows.curve("loss")["y"][0] is None
    assert rows.curve("big")["y"] == [3.0, 0.5]
    assert not any(math.isnan(v) for v in rows.columns["big"])
