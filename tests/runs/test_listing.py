"""Runs at a glance: a class's hand-ins in folders, sorted, with copies, damaged runs and running ones marked."""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from genlab.api.run import Run
from genlab.engine import seals
from genlab.engine.files import write_json
from genlab.errors import UsageError
from genlab.report import tables
from genlab.runs.directory import RunDirectory
from genlab.runs.listing import overview

STUDENTS = 30


@pytest.fixture(scope="module")
def hand_ins(finished: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Thirty runs, one in each student's folder; 02 is a copy of 01, 03 has equal weights, 04 is damaged."""
    root = tmp_path_factory.mktemp("hand-ins")
    for k in range(1, STUDENTS + 1):
        run = RunDirectory(shutil.copytree(finished.path, root / f"student-{k:02}" / "gan"))
        if k == 2:
            continue
        run.set_provenance({**run.provenance, "id": f"{k:032x}", "started": f"2026-11-{k:02}T10:00:00+00:00"})
        if k != 3:
            set_weights(run, f"{k:064x}")
        set_distance(run, distance=10.0 + (k * 7) % STUDENTS)
    original = RunDirectory(root / "student-01" / "gan")
    set_weights(original, "0" * 64)
    for k in (2, 3):
        set_weights(RunDirectory(root / f"student-{k:02}" / "gan"), "0" * 64)
    copy = RunDirectory(root / "student-02" / "gan")
    copy.set_provenance({**original.provenance, "started": "2026-11-01T10:00:00+00:00"})
    (root / "student-04" / "gan" / "status.json").write_text("{")
    shutil.rmtree(root / "student-05" / "gan" / "evaluations")
    return root


def set_weights(run: RunDirectory, sha256: str) -> None:
    path = max((run.path / "checkpoints").iterdir()) / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["files"]["model.safetensors"]["sha256"] = sha256
    path.write_text(json.dumps(manifest))


def set_distance(run: RunDirectory, distance: float, images: int = 10_000) -> None:
    (run.path / "evaluations").mkdir(exist_ok=True)
    found = {"metrics": {"frechet_distance": {"value": distance, "floor": 2.0}}, "protocol": {"samples": images}}
    name = "evaluation.json" if images == 10_000 else f"n{images}.json"
    write_json(run.path / "evaluations" / name, seals.seal(found))


RUNNING = """
import sys
from genlab.runs.directory import RunDirectory
run = RunDirectory(sys.argv[1])
with run.locked():
    run.set_status(state="running", step=7, total_steps=12)
    print("locked", flush=True)
    sys.stdin.read()
"""


def test_a_class_is_listed_sorted_and_marked_within_three_seconds(hand_ins: Path, tmp_path: Path) -> None:
    running = hand_ins / "student-29" / "gan"
    other = subprocess.Popen(
        [sys.executable, "-c", RUNNING, str(running)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with other as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "locked\n"
        began = time.monotonic()
        listed = subprocess.run(
            [sys.executable, "-m", "genlab", "runs", "--runs", str(hand_ins), "--sort", "quality"],
            capture_output=True,
            text=True,
            check=True,
        )
        assert time.monotonic() - began < 3
        child.communicate("")
    lines = listed.stdout.splitlines()
    assert len(lines) == 1 + STUDENTS
    by_name = {line.split()[0]: line for line in lines[1:]}
    assert next(iter(by_name)) == "student-30/gan"  # 10 + 210 % 30
    assert list(by_name)[-1] == "student-05/gan"
    assert " 5.0 x " in lines[1]
    assert "copy of student-01/gan" in by_name["student-02/gan"]
    assert "same weights as student-01/gan" in by_name["student-03/gan"]
    assert by_name["student-04/gan"].split()[1] == "damaged"
    assert "status.json" in by_name["student-04/gan"]
    assert by_name["student-29/gan"].split()[1:5] == ["running", "7", "of", "12"]
    marked = [name for name, line in by_name.items() if "copy" in line or "same" in line or "damaged" in line]
    assert sorted(marked) == [f"student-0{k}/gan" for k in (2, 3, 4)]


def test_a_run_that_was_measured_on_fewer_images_says_so(finished: Run, tmp_path: Path) -> None:
    run = RunDirectory(shutil.copytree(finished.path, tmp_path / "a"))
    for images, distance in ((200, 50.0), (1000, 30.0)):
        set_distance(run, distance, images)
    (facts,) = overview(tmp_path)
    assert (facts["times_real"], facts["measured"]) == (15.0, 1000)
    assert tables.of_runs([facts]).rows[0][3] == "15.0 x of 1,000"
    set_distance(run, 8.0)
    assert tables.of_runs(overview(tmp_path)).rows[0][3] == "4.0 x"


@pytest.mark.parametrize(
    ("order", "first", "last"),
    [
        ("name", "student-01/gan", "student-30/gan"),
        ("date", "student-30/gan", "student-02/gan"),
        ("state", "student-04/gan", None),
    ],
)
def test_orders(order: str, first: str, last: str | None, hand_ins: Path) -> None:
    names = [facts["run"] for facts in overview(hand_ins, order)]
    assert len(set(names)) == STUDENTS
    assert names[0] == first
    assert last in (None, names[-1])


def test_largest_first(hand_ins: Path) -> None:
    sizes = [facts["bytes"] for facts in overview(hand_ins, "size")]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] > sizes[-1]


def test_an_unknown_order(hand_ins: Path) -> None:
    with pytest.raises(UsageError, match="sort is 'best'; allowed: name, date, quality, state, size"):
        overview(hand_ins, "best")


def test_the_list_as_csv(hand_ins: Path) -> None:
    found = overview(hand_ins)
    rows = list(csv.DictReader(tables.csv(found).splitlines()))
    assert [row["run"] for row in rows] == [facts["run"] for facts in found]
    assert rows[0]["family"] == "gan"
    assert float(rows[0]["times_real"]) == pytest.approx(found[0]["times_real"])
    assert rows[1]["copy_of"] == "student-01/gan"
    assert list(csv.DictReader(tables.csv([]).splitlines())) == []


def test_what_was_changed_is_said_where_the_name_does_not() -> None:
    facts: dict[str, Any] = dict.fromkeys(("step", "times_real", "measured", "accuracy", "bytes", "started", "reason"))
    facts["finding"] = None
    facts |= {"state": "finished", "copy_of": None, "equal_weights": None, "recipe": "s2-dcgan", "changed": "lr-0.1"}
    names = ("s2-dcgan-lr-0.1-seed0-001", "s2-dcgan-mine", "a")
    assert [row[-1] for row in tables.of_runs([{**facts, "run": name} for name in names]).rows] == [
        "",
        "s2-dcgan, lr-0.1",
        "s2-dcgan, lr-0.1",
    ]
    (row,) = tables.of_runs([{**facts, "run": "a", "finding": "mode-collapse"}]).rows
    assert row[-1] == "s2-dcgan, lr-0.1; mode-collapse"
