"""Records are sealed, small, and equal wherever and however a run was made."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from genlab.engine import seals
from genlab.errors import DataError
from genlab.study.plan import Cell
from genlab.study.record import BYTES, Record, digest, flat, read_record, thinned, write_record
from plans import planned, raw, record_for

SLOW = Cell("slow", 0)
TIMED = {**raw()["quantities"], "s": {"kind": "seconds"}, "t": {"kind": "column", "name": "seconds"}}


def record(**changes: Any) -> Record:
    return record_for(planned(), SLOW, **changes)


def rows(count: int, columns: int) -> list[dict[str, Any]]:
    """Rows of numbers as long as possible, for the largest file."""
    values = -1.23456789e-5 * np.random.default_rng(0).uniform(0.1, 1, (count, columns))
    return [{"step": k + 1, **{f"column_{n}": float(v) for n, v in enumerate(row)}} for k, row in enumerate(values)]


def test_a_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    write_record(tmp_path / "r.json", record(notes=["a note"], code="c", reason="why"))
    assert read_record(tmp_path / "r.json") == record(notes=["a note"], code="c", reason="why")


def test_every_byte_that_is_changed_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    write_record(path, record())
    content = path.read_bytes()
    for k in [*range(0, len(content) - 1, 7), len(content) - 2]:
        path.write_bytes(content[:k] + bytes([content[k] ^ 1]) + content[k + 1 :])
        with pytest.raises(DataError, match="damaged or edited"):
            read_record(path)
    path.write_bytes(content)
    assert read_record(path) == record()


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"a": NaN, "crc": "0"}', b"\xff", b"[" * 100_000])
def test_what_is_no_record_is_refused_by_its_name(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "r.json").write_bytes(content)
    with pytest.raises(DataError, match=r"r\.json: damaged or edited") as caught:
        read_record(tmp_path / "r.json")
    assert caught.value.exit_code == 3


def test_a_record_of_a_newer_version_says_so(tmp_path: Path) -> None:
    (tmp_path / "r.json").write_text(json.dumps(seals.seal({"schema": 2, "other": 1})))
    with pytest.raises(DataError, match=r"newer genlab \(schema 2\); update genlab"):
        read_record(tmp_path / "r.json")


@pytest.mark.parametrize("quantities", [0, 60])
def test_a_long_run_has_a_small_record(tmp_path: Path, quantities: int) -> None:
    """2,500 rows of 16 columns fit; with many quantities the curves are shortened, but keep their means."""
    curves = thinned(rows(2500, 16))
    metrics: dict[str, float | None] = {f"metric_{k}.floor": -1.23456789e-5 for k in range(40)}
    many: dict[str, float | None] = {f"{'q' * 90}{k}": 0.123456789 for k in range(quantities)}
    write_record(tmp_path / "r.json", record(curves=curves, metrics=metrics, quantities=many))
    found = read_record(tmp_path / "r.json")
    assert (tmp_path / "r.json").stat().st_size <= BYTES
    assert len(found.quantities) == quantities
    assert len(found.curves["step"]) > 20
    assert np.mean(np.array(found.curves["column_3"], float)) == pytest.approx(
        np.mean([row["column_3"] for row in rows(2500, 16)]), rel=0.02
    )


def test_a_record_that_cannot_be_small_still_has_its_numbers(tmp_path: Path) -> None:
    many: dict[str, float | None] = {f"{'q' * 90}{k}": 1.0 for k in range(300)}
    write_record(tmp_path / "r.json", record(quantities=many))
    assert (read_record(tmp_path / "r.json").curves, read_record(tmp_path / "r.json").quantities) == ({}, many)


def test_curves_are_means_of_equally_many_rows() -> None:
    found = thinned([{"step": k, "x": 2.0 * k, "y": 1.0 if k % 2 else None} for k in range(1, 401)])
    assert found["step"] == [4 * k + 2.5 for k in range(100)]
    assert found["x"] == [8 * k + 5.0 for k in range(100)]
    assert found["y"] == [1.0] * 100
    assert thinned([{"step": 1, "x": 0.5}, {"step": 2, "x": float("nan")}]) == {"step": [1.0, 2.0], "x": [0.5, None]}
    assert thinned([]) == {}


def test_curves_have_no_times_and_no_quantiles() -> None:
    row = {"step": 1, "epoch": 0.1, "images": 16, "seconds": 3.2, "loss_p10": 1.0, "loss_p90": 2.0, "loss_mean": 1.5}
    assert set(thinned([row])) == {"step", "loss_mean"}


def test_the_digest_does_not_depend_on_order_time_or_place() -> None:
    plan = planned(quantities=TIMED)
    records = [record_for(plan, cell, float(k), weights=f"{k:064x}") for k, cell in enumerate(plan.cells)]
    elsewhere = [replace(r, seconds=9.0, measuring=8.0, run="other", where={"processor": "Q"}) for r in records]
    slower = [
        replace(r, quantities={n: 7.5 if "seconds" in n else v for n, v in r.quantities.items()}) for r in records
    ]
    assert digest(records) == digest(records[::-1]) == digest(elsewhere) == digest(slower)


@pytest.mark.parametrize(
    "change", [{"weights": "1"}, {"quantities": {}}, {"seed": 9}, {"state": "diverged"}, {"numerics": 0}, {"data": "e"}]
)
def test_the_digest_changes_with_what_a_run_says(change: dict[str, Any]) -> None:
    assert digest([record()]) != digest([replace(record(), **change)])


def test_an_evaluation_becomes_numbers_by_dotted_path() -> None:
    evaluation = {
        "protocol": {"images": 100},
        "metrics": {"frechet_distance": {"value": 1.23456789123, "floor": 0.5}, "recall": {"value": None, "floor": 1}},
        "discriminator": {"ranking": 0.75, "words": "no number", "flag": True, "lost": float("inf")},
        "notes": ["none"],
    }
    assert flat(evaluation) == {
        "frechet_distance": 1.23456789,
        "frechet_distance.floor": 0.5,
        "recall": None,
        "recall.floor": 1.0,
        "discriminator.ranking": 0.75,
    }


def test_a_record_of_other_arithmetic_is_stale() -> None:
    assert record(numerics=0).is_stale
    assert not record().is_stale
