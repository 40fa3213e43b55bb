"""A: one writer per run, no run overwrites another, and invalid names are refused."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import lab
import pytest
from lab import Whole

import genlab
from genlab.errors import UsageError
from genlab.runs.directory import RunDirectory, list_runs


def hold(run: Path, ready: Path) -> None:
    with RunDirectory(run).locked():
        ready.write_text("")
        signal.pause()


@pytest.fixture
def stopped(whole: Whole, tmp_path: Path) -> Path:
    """A run with steps left."""
    from functools import partial

    lab.call(lab.train, whole("gan")[0], tmp_path, "run", partial(lab.kill_after_save, 3), folder=tmp_path / "p")
    return tmp_path / "run"


def test_two_at_once(stopped: Path, whole: Whole, tmp_path: Path) -> None:
    """A16: a second writer is told who holds the run, and leaves it alone; a killed holder leaves no lock behind."""
    holder = lab.process(hold, stopped, tmp_path / "ready", folder=tmp_path / "holder")
    while not (tmp_path / "ready").exists():
        assert holder.is_alive()
    before = {path: path.read_bytes() for path in stopped.rglob("*") if path.is_file()}
    ended = lab.command("train", "--resume", stopped, folder=tmp_path / "p")
    assert ended.code == 7
    assert ended.err == (
        f"genlab: {stopped}: another process is writing to this run (pid {holder.pid} on {os.uname().nodename})\n"
    )
    assert {path: path.read_bytes() for path in stopped.rglob("*") if path.is_file()} == before
    holder.kill()
    holder.join()
    genlab.train(resume=stopped, report=False)
    assert lab.digest(stopped) == whole("gan")[1]


def test_a_name_that_is_taken(stopped: Path, whole: Whole, tmp_path: Path) -> None:
    """A17: a name that is taken is refused, and its run is unchanged."""
    before = lab.digest(stopped)
    ended = lab.command("train", whole("gan")[0], "--runs", stopped.parent, "--name", "run", folder=tmp_path / "p")
    assert ended.code == 2
    assert "choose another name, or: genlab train --resume" in ended.err
    assert lab.digest(stopped) == before


@pytest.mark.parametrize(
    "name", ["../x", "a/b", "", "CON", "con.txt", "x" * 300, "run\N{PILE OF POO}", "a\nb", "-rf", ".hidden", "a b"]
)
def test_a_name_that_is_none(name: str, whole: Whole, tmp_path: Path) -> None:
    """A19: an invalid name is refused; nothing is created inside or outside the runs folder."""
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(UsageError, match=r"letters, digits|Windows reserves such names"):
        genlab.train(str(whole("gan")[0]), runs=tmp_path, name=name, report=False)
    assert sorted(tmp_path.rglob("*")) == before


def test_the_list_of_runs(stopped: Path, whole: Whole, tmp_path: Path) -> None:
    """Running, finished, killed and damaged runs are told apart."""
    recipe = str(whole("gan")[0])
    genlab.train(recipe, runs=tmp_path, name="done", overrides={"budget.max_steps": 1}, report=False)
    broken = genlab.train(recipe, runs=tmp_path, name="broken", overrides={"budget.max_steps": 1}, report=False)
    (broken.path / "recipe.yaml").write_text("family: gan\n")
    lost = genlab.train(recipe, runs=tmp_path, name="lost", overrides={"budget.max_steps": 1}, report=False)
    (lost.path / "recipe.yaml").unlink()
    ended = lab.command("runs", "--runs", tmp_path, folder=tmp_path / "p")
    assert ended.code == 0
    lines = {line.split()[0]: line for line in ended.out.splitlines()[1:]}
    assert set(lines) == {"run", "done", "broken", "lost"}
    assert lines["run"].split()[1:5] == ["killed", "2", "of", "24"]  # As last recorded.
    assert lines["done"].split()[1:5] == ["finished", "1", "of", "1"]
    assert lines["broken"].split()[1] == "damaged"
    assert "recipe.yaml: " in lines["lost"]
    holder = lab.process(hold, stopped, tmp_path / "ready", folder=tmp_path / "holder")
    while not (tmp_path / "ready").exists():
        assert holder.is_alive()
    RunDirectory(stopped).set_status(**{**RunDirectory(stopped).status, "state": "running"})
    assert RunDirectory(stopped).status["state"] == "running"
    holder.kill()
    holder.join()
    assert RunDirectory(stopped).status["state"] == "killed"
    assert [run.path.name for run in list_runs(tmp_path)] == ["broken", "done", "lost", "run"]


def test_no_runs_yet(tmp_path: Path) -> None:
    ended = lab.command("runs", "--runs", tmp_path / "none", folder=tmp_path / "p")
    assert (ended.code, ended.out) == (0, f"no runs in {tmp_path / 'none'}; begin with: genlab train quick-mnist\n")
