"""Runs made elsewhere: those that fit the plan are taken, all others are refused with a reason and left as they are."""

from __future__ import annotations

import copy
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import genlab
from genlab.errors import StudyError, UsageError
from genlab.recipe import files
from genlab.study.collect import collect
from genlab.study.folder import Folder
from genlab.study.plan import Cell, Plan
from genlab.study.study import Study
from plans import leave, planned, raw

SLOW, FAST = Cell("slow", 0), Cell("fast", 1)


@pytest.fixture(scope="module")
def planned_once() -> Study:
    return Study(**{name: value for name, value in raw().items() if name != "schema"})


@pytest.fixture
def study(planned_once: Study, tmp_path: Path) -> Study:
    """A study with its own results folder."""
    made = copy.copy(planned_once)
    made.folder = Folder(tmp_path / "mine")
    return made


@pytest.fixture
def other(tmp_path: Path) -> Folder:
    """A student's results folder."""
    return Folder(tmp_path / "theirs")


def content(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def told(study: Study, *sources: Path) -> list[str]:
    return [looked.line.rpartition("/")[2] for looked in collect(study, sources)]


def only(study: Study, *sources: Path) -> str:
    (line,) = told(study, *sources)
    return line


def test_records_of_another_machine_are_taken(study: Study, other: Folder) -> None:
    kept = [leave(other, study.plan, cell, float(k)) for k, cell in enumerate((SLOW, FAST))]
    other.sample_path(FAST).parent.mkdir()
    other.sample_path(FAST).write_bytes(b"a picture")
    assert told(study, other.path) == [
        "fast-seed1.json: collected as fast, seed 1",
        "slow-seed0.json: collected as slow, seed 0",
    ]
    assert study.folder.records(study.plan)[0] == dict(zip((SLOW, FAST), kept, strict=True))
    assert study.folder.sample_path(FAST).read_bytes() == b"a picture"
    assert [event["event"] for event in study.folder.journal()] == ["collected", "collected"]


def test_a_second_copy_is_refused_by_its_name(study: Study, other: Folder) -> None:
    leave(other, study.plan, SLOW)
    assert only(study, other.record_path(SLOW)).endswith("collected as slow, seed 0")
    assert only(study, other.path).endswith("not collected again: slow, seed 0 already exists (the same run)")
    leave(other, study.plan, SLOW, 7.0)
    assert only(study, other.path).endswith("not collected again: slow, seed 0 already exists (another run of it)")
    assert study.outcome.values["loss"]["slow"] == {0: 1.0}


def test_equal_weights_under_another_seed_are_a_copy(study: Study, other: Folder) -> None:
    leave(other, study.plan, SLOW, weights="a" * 64)
    leave(other, study.plan, Cell("slow", 1), weights="a" * 64)
    assert told(study, other.path)[1] == (
        "slow-seed1.json: refused: a copy of slow, seed 0: same weights, another seed"
    )


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"identity": "0" * 64}, "its recipe is not that of the study's arm slow"),
        ({"arm": "third"}, "third is not one of the study's arms (slow, fast)"),
        ({"seed": 9}, "seed 9 is not in the plan; its seeds: 0, 1, 2, 3"),
        ({"images": 500}, "measured with 500 images; the study measures 10,000"),
        ({"quantities": {}}, "it lacks a quantity of this study; give the run itself instead"),
        ({"data": "e" * 64}, "trained on different data from the existing runs of slow"),
    ],
)
def test_a_record_that_does_not_fit_is_refused(study: Study, other: Folder, changes: Any, said: str) -> None:
    leave(study.folder, study.plan, Cell("slow", 3))
    leave(other, study.plan, SLOW, **changes)
    assert only(study, other.path) == f"slow-seed0.json: refused: {said}"
    assert not study.folder.record_path(SLOW).exists()


def test_a_damaged_record_is_refused(study: Study, other: Folder) -> None:
    leave(other, study.plan, SLOW)
    path = other.record_path(SLOW)
    path.write_bytes(path.read_bytes().replace(b'"steps":12', b'"steps":99'))
    assert only(study, path) == "slow-seed0.json: refused: damaged or edited (its crc does not match)"


def test_a_folder_without_anything_says_so(study: Study, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert only(study, tmp_path / "empty") == "empty: contains no run and no record"


def test_where_a_source_does_not_exist_nothing_is_taken(study: Study, other: Folder, tmp_path: Path) -> None:
    leave(other, study.plan, SLOW)
    with pytest.raises(UsageError, match="nowhere: no such file or folder; nothing was collected"):
        told(study, other.path, tmp_path / "nowhere")
    assert study.outcome.records == {}


def test_a_torn_journal_is_mended_before_it_grows(study: Study, other: Folder) -> None:
    leave(other, study.plan, SLOW)
    with study.folder.locked():
        study.folder.note("begin", SLOW)
    with (study.folder.path / "journal.jsonl").open("ab") as file:
        file.write(b'{"event": "beg')
    with pytest.warns(UserWarning, match="torn"):
        told(study, other.path)
    assert [event["event"] for event in study.folder.journal()] == ["begin", "collected"]


def test_a_changed_plan_is_refused(study: Study, other: Folder) -> None:
    leave(other, study.plan, SLOW)
    with study.folder.locked():
        study.folder.begin(planned(seeds=5))
    with pytest.raises(StudyError, match="genlab study run --amend"):
        told(study, other.path)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run that fits the plan: arm slow, seed 0."""
    plan: Plan = planned()
    root = tmp_path_factory.mktemp("runs")
    torch.set_num_threads(1)
    genlab.train(plan.arm("slow").recipe, seed=0, runs=root, name="theirs", report=False, progress=False)
    return root


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    """A copy of the trained run, to be damaged."""
    return Path(shutil.copytree(trained / "theirs", tmp_path / "class" / "theirs"))


def test_a_run_is_taken_as_its_arm_and_seed_and_left_as_it_is(study: Study, run: Path) -> None:
    before = content(run)
    assert only(study, run) == "theirs: collected as slow, seed 0"
    assert content(run) == before
    record = study.outcome.records[SLOW]
    rows = genlab.open_run(run).metrics()
    late = [row["loss_g_mean"] for row in rows if row["step"] >= 6]
    assert study.outcome.values["loss"]["slow"][0] == pytest.approx(sum(late) / len(late))
    assert (record.steps, record.state, record.study) == (12, "finished", "small")
    assert only(study, run.parent) == "theirs: not collected again: slow, seed 0 already exists (the same run)"


def rewrite(run: Path, name: str, **changes: Any) -> None:
    """Change values in a document of the run, and seal it again."""
    import json

    from genlab.engine import seals

    plain = json.loads((run / name).read_text())
    (run / name).write_text(json.dumps(seals.seal({**plain, **changes})))


def other_recipe(run: Path) -> None:
    recipe = files.load(run / "recipe.yaml", {"optimisers.generator.lr": 0.007})
    rewrite(run, "provenance.json", recipe=files.to_dict(recipe))
    (run / "recipe.yaml").write_text(files.dump(recipe), "utf-8")


def damage_weights(run: Path) -> None:
    path = next((run / "checkpoints").rglob("*.safetensors"))
    path.write_bytes(path.read_bytes()[:-1] + b"x")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            other_recipe,
            "its recipe is not one of the study's; the nearest is slow, but optimisers.generator.lr: 0.001 -> 0.007",
        ),
        (lambda run: rewrite(run, "status.json", state="interrupted"), "it is interrupted, not finished"),
        (lambda run: rewrite(run, "provenance.json", seed=9), "seed 9 is not in the plan"),
        (lambda run: rewrite(run, "provenance.json", own={"generator": "Mine"}), "custom generator; only the study's"),
        (lambda run: (run / "provenance.json").write_text("{}"), "provenance.json: damaged"),
        (damage_weights, "model.safetensors"),
        (lambda run: (run / "status.json").unlink(), "status.json: No such file"),
    ],
)
def test_a_run_that_does_not_fit_is_refused(study: Study, run: Path, change: Callable[[Path], Any], said: str) -> None:
    change(run)
    before = content(run)
    (looked,) = collect(study, [run.parent])
    assert looked.line.startswith(f"{run}: refused: ")
    assert said in looked.line
    assert not looked.fits
    assert content(run) == before
    assert study.outcome.records == {}
