"""A study's folder: what is torn, damaged, changed or not part of the plan is noticed and reported."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from genlab.errors import BusyError, CheckpointError, DataError, StudyError
from genlab.study.code import Code
from genlab.study.folder import Folder
from genlab.study.outcome import outcome
from genlab.study.plan import Cell
from plans import leave, planned, raw

SLOW, FAST = Cell("slow", 0), Cell("fast", 0)


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """A folder with three lines in its journal."""
    made = Folder(tmp_path / "results")
    with made.locked():
        for event in ("begin", "failed", "finished"):
            made.note(event, SLOW)
    return made


def events(folder: Folder, mend: bool = False) -> list[str]:
    return [event["event"] for event in folder.journal(mend)]


@pytest.mark.parametrize("cut", [1, 2, 40])
def test_a_torn_last_line_is_cut_off_and_kept(folder: Folder, cut: int) -> None:
    """F5: a line that a kill cut short is torn, and so is one that lacks only its end of line."""
    path = folder.path / "journal.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole[:-cut])
    assert events(folder) == ["begin", "failed"]
    with pytest.warns(UserWarning, match=r"its last line was incomplete, .*; moved to journal\.torn"):
        assert events(folder, mend=True) == ["begin", "failed"]
    lines = whole.splitlines(keepends=True)
    assert (folder.path / "journal.torn").read_bytes() == lines[2][:-cut]
    assert path.read_bytes() == lines[0] + lines[1]
    folder.note("finished", SLOW)
    assert events(folder) == ["begin", "failed", "finished"]


@pytest.mark.parametrize("damage", [b"failed", b'"seed": 0'])
def test_a_damaged_middle_line_is_said_with_its_number(folder: Folder, damage: bytes) -> None:
    path = folder.path / "journal.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + lines[1].replace(damage, b"x" * len(damage)) + lines[2])
    for ask in (folder.journal, folder.failures, lambda: outcome(planned(), folder)):
        with pytest.raises(CheckpointError, match=r"journal\.jsonl line 2: damaged .*repair or delete") as caught:
            ask()
    assert caught.value.exit_code == 4


def test_a_second_driver_is_told_who_is_there(folder: Folder) -> None:
    with folder.locked():
        with (
            pytest.raises(BusyError, match=r"another process is running this study \(pid \d+ on ") as caught,
            folder.locked(),
        ):
            pass
        assert caught.value.exit_code == 7
    with folder.locked():  # It is unlocked again.
        pass


def test_a_changed_plan_is_refused_with_what_was_changed(folder: Folder) -> None:
    """F9: changed seeds and a changed arm are listed; the first plan stays, and a claim's remarks may be changed."""
    folder.begin(planned())
    leave(folder, planned(), SLOW)
    fast = {"optimisers.generator.lr": 0.005}
    with pytest.raises(StudyError) as caught:
        folder.begin(planned(seeds=5, arms={**raw()["arms"], "fast": fast}))
    assert caught.value.exit_code == 2
    assert caught.value.problems == [
        "changed since its first run (1 record): arms.fast.optimisers.generator.lr: 0.004 -> 0.005",
        "changed since its first run (1 record): seeds: [0, 1, 2, 3] -> [0, 1, 2, 3, 4]; undo the change, give the "
        "study another name, or accept it with genlab study run --amend: the page will then mention it",
    ]
    folder.begin(planned(claims={"lower": {**raw()["claims"]["lower"], "looks": "In other words."}}))


def test_a_change_that_is_accepted_is_recorded(folder: Folder) -> None:
    folder.begin(planned())
    folder.begin(planned(seeds=5), amend=True)
    folder.begin(planned(seeds=5))
    began = folder.began
    assert began is not None
    assert [entry["changes"] for entry in began["amended"]] == [["seeds: [0, 1, 2, 3] -> [0, 1, 2, 3, 4]"]]
    assert outcome(planned(seeds=5), folder).amended == began["amended"]


@pytest.mark.parametrize("content", [b"", b"[]", b'{"facts": {}}'])
def test_a_damaged_plan_is_no_plan(folder: Folder, content: bytes) -> None:
    folder.begin(planned())
    path = folder.path / "plan.json"
    for wrong in (content, path.read_bytes().replace(b"0.004", b"0.005")):
        path.write_bytes(wrong)
        with pytest.raises(DataError, match=r"plan\.json: damaged or edited .*restore a copy, or delete it") as caught:
            folder.begin(planned(), amend=True)
        assert caught.value.exit_code == 3
        assert path.read_bytes() == wrong


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"arm": "fast"}, "it belongs to fast, seed 0"),
        ({"seed": 3}, "it belongs to slow, seed 3"),
        ({"identity": "0" * 64}, "made with a different recipe from the plan's"),
        ({"images": 500}, "measured with 500 images; the plan says 10,000"),
    ],
)
def test_a_record_that_is_not_of_this_run_is_not_used(folder: Folder, changes: dict[str, Any], why: str) -> None:
    leave(folder, planned(), SLOW, **changes)
    found, unusable = folder.records(planned())
    assert found == {}
    assert unusable == {SLOW: f"{folder.record_path(SLOW)}: {why}"}


def test_a_damaged_record_is_not_used(folder: Folder) -> None:
    leave(folder, planned(), SLOW)
    kept = leave(folder, planned(), FAST)
    path = folder.record_path(SLOW)
    path.write_bytes(path.read_bytes().replace(b'"steps":12', b'"steps":99'))
    found, unusable = folder.records(planned())
    assert found == {FAST: kept}
    assert "damaged or edited" in unusable[SLOW]


def test_a_record_of_other_code_is_not_used(folder: Folder, tmp_path: Path) -> None:
    from genlab.study import design
    from genlab.study.plan import plan

    made = plan(design.check(raw(claims={}), "s"), tmp_path, code=Code(tmp_path / "a.py", "f" * 64, {"mine": "make"}))
    leave(folder, made, Cell("mine", 0), code="0" * 64)
    leave(folder, made, Cell("mine", 1), code="f" * 64, images=77)  # A user's own loop may make any number of images.
    found, unusable = folder.records(made)
    assert list(found) == [Cell("mine", 1)]
    assert "made with different code (sha256 000000000000)" in unusable[Cell("mine", 0)]


def test_a_failure_is_forgotten_once_its_run_begins_again(folder: Folder) -> None:
    folder.note("gave up", SLOW, reason="no data")
    folder.note("gave up", FAST, reason="killed")
    assert folder.failures() == {("slow", 0): "no data", ("fast", 0): "killed"}
    folder.note("begin", SLOW)
    assert folder.failures() == {("fast", 0): "killed"}
    folder.note("collected", FAST)
    assert folder.failures() == {}


def test_what_is_written_is_plain_json(folder: Folder) -> None:
    folder.begin(planned())
    assert json.loads((folder.path / "plan.json").read_text())["facts"]["seeds"] == [0, 1, 2, 3]
    assert folder.journal()[0] | {"at": ""} == {"event": "begin", "at": "", "arm": "slow", "seed": 0}
