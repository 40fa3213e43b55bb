"""Runs removed, or pruned of what only further training needs."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import genlab
from genlab.api.run import Run
from genlab.cli import main
from genlab.engine import files
from genlab.errors import BusyError, CheckpointError, UsageError
from genlab.recipe import GanRecipe
from genlab.runs import checkpoint, housekeeping
from genlab.runs.directory import RunDirectory, list_runs
from genlab.runs.verify import verify
from terminal import watch


@pytest.fixture
def mine(finished: Run, tmp_path: Path) -> RunDirectory:
    return RunDirectory(shutil.copytree(finished.path, tmp_path / "runs" / "mine"))


def test_a_removed_run_is_gone_and_nothing_else(mine: RunDirectory) -> None:
    other = shutil.copytree(mine.path, mine.path.with_name("other"))
    expected = sum(path.lstat().st_size for path in mine.path.rglob("*") if path.is_file())
    assert housekeeping.remove(mine) == expected
    assert list(other.parent.iterdir()) == [other]


def test_a_run_whose_name_looks_like_a_leftover_stays(mine: RunDirectory) -> None:
    other = shutil.copytree(mine.path, mine.path.parent / "digits.tmp-3999999")
    housekeeping.remove(mine)
    assert other.is_dir()


def test_a_run_in_training_is_not_removed(mine: RunDirectory) -> None:
    before = sorted(mine.path.rglob("*"))
    with RunDirectory(mine.path).locked(), pytest.raises(BusyError):
        housekeeping.remove(mine)
    assert sorted(mine.path.rglob("*")) == before


def test_a_removal_that_was_killed_leaves_no_run(mine: RunDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is left is not listed as a run, and the next removal removes it."""

    def killed(path: Path) -> None:
        raise KeyboardInterrupt

    other = RunDirectory(shutil.copytree(mine.path, mine.path.with_name("other")))
    monkeypatch.setattr(files, "_alive", lambda pid: False)
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", killed)
        with pytest.raises(KeyboardInterrupt):
            housekeeping.remove(mine)
    assert [run.path for run in list_runs(mine.path.parent, deep=True)] == [other.path]
    assert len(list(mine.path.parent.iterdir())) == 2
    housekeeping.remove(other)
    assert list(mine.path.parent.iterdir()) == []


def test_a_pruned_run_is_what_it_was_but_for_training(mine: RunDirectory) -> None:
    before = Run(mine.path)
    samples, step = before.sample(6, seed=3), checkpoint.newest(mine.checkpoints)[0].step
    measured = genlab.evaluate(mine.path, n=40).record["metrics"]
    pages = before.report().read_bytes()
    freed = housekeeping.prune(mine)
    assert freed > 0
    after = Run(mine.path)
    np.testing.assert_array_equal(after.sample(6, seed=3), samples)
    assert genlab.evaluate(mine.path, n=40).record["metrics"] == measured
    assert len(after.report().read_bytes()) == pytest.approx(len(pages), rel=0.02)
    np.testing.assert_array_equal(after.grid().arrays["images"], before.grid().arrays["images"])
    found = verify(mine)
    assert found.damages == [], found.damages
    assert checkpoint.newest(mine.checkpoints)[0].step == step
    assert housekeeping.prune(mine) == 0


def test_a_pruned_run_is_not_trained_on(small: Callable[..., GanRecipe], tmp_path: Path) -> None:
    recipe = small({"budget.epochs": 1}, "s2-dcgan")
    run = genlab.train(recipe, runs=tmp_path, report=False).directory
    housekeeping.prune(run)
    with pytest.raises(CheckpointError, match="pruned, so it cannot be trained further"):
        genlab.train(resume=run.path, epochs=5)
    assert run.status["state"] == "finished"
    assert verify(run).damages == []


def test_a_run_that_may_be_resumed_is_not_pruned(mine: RunDirectory) -> None:
    mine.set_status(state="interrupted", step=7, total_steps=12)
    with pytest.raises(UsageError, match="is interrupted: once pruned, it cannot be resumed"):
        housekeeping.prune(mine)


def test_a_person_is_asked(mine: RunDirectory) -> None:
    """A bare return means no."""
    question = f"remove {mine.path} ("
    asked = watch(["runs", "rm", str(mine.path)], columns=200, answer="\n")
    assert asked.code == 2
    assert question in asked.text
    assert " MB)? [y/N] " in asked.text
    assert "nothing was removed" in asked.text
    assert mine.path.exists()
    done = watch(["runs", "rm", str(mine.path)], columns=200, answer="y\n")
    assert done.code == 0
    assert f"{mine.path}: removed, " in done.text
    assert not mine.path.exists()


@pytest.mark.parametrize("command", ["rm", "prune"])
def test_where_nobody_can_be_asked(command: str, mine: RunDirectory, capsys: pytest.CaptureFixture[str]) -> None:
    before = sorted(mine.path.rglob("*"))
    with pytest.raises(SystemExit) as caught:
        main.main(["runs", command, str(mine.path)])
    assert caught.value.code == 2
    assert capsys.readouterr().err == "genlab: cannot ask for confirmation here; add --yes\n"
    assert sorted(mine.path.rglob("*")) == before
    main.main(["runs", command, str(mine.path), str(mine.path), "--yes"])
    said = capsys.readouterr().out
    assert said.startswith(f"{mine.path}: ")
    assert said.count("MB") == said.count("removed") == 1
    assert sorted(mine.path.rglob("*")) != before


def test_nothing_is_removed_if_one_name_is_wrong(mine: RunDirectory, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main.main(["runs", "rm", "mine", "mien", "--yes", "--runs", str(mine.path.parent)])
    assert "unknown run 'mien'; did you mean 'mine'?" in capsys.readouterr().err
    assert mine.path.exists()
