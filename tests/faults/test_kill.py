"""A: SIGKILL at any instant loses nothing acknowledged; the run ends with the same bits as an undisturbed one."""

from __future__ import annotations

import os
import re
import signal
import time
from functools import partial
from pathlib import Path
from typing import Any

import lab
import pytest
from lab import Whole

import genlab
from genlab.errors import CheckpointError
from genlab.runs import checkpoint
from genlab.runs.directory import RunDirectory
from genlab.runs.verify import missing_rows, verify

KILLS = 1000 if lab.LONG else 10


def tell_saves(pipe: int) -> None:
    """A hook: write "(" to the pipe when a save begins, and its step and ")" once it returns and is acknowledged."""
    save = checkpoint.save

    def telling(folder: Path, saved: checkpoint.Checkpoint) -> Path:
        os.write(pipe, b"(")
        path = save(folder, saved)
        os.write(pipe, f"{saved.step})".encode())
        return path

    pytest.MonkeyPatch().setattr(checkpoint, "save", telling)


def train_and_tell(recipe: Path, root: Path, name: str, fifo: Path) -> None:
    lab.train(recipe, root, name, partial(tell_saves, os.open(fifo, os.O_WRONLY)))


def test_killed_at_random_instants(whole: Whole, tmp_path: Path) -> None:
    """A1, P2: kills inside and between saves lose no acknowledged step and none of its rows, and the end is exact."""
    recipe, expected, rows = whole("gan")
    draws, fifo = lab.shuffled(0), tmp_path / "fifo"
    os.mkfifo(fifo)
    kills = inside = cycle = acknowledged = 0
    while kills < KILLS:
        run = RunDirectory(tmp_path / f"run{cycle}")
        child = lab.process(train_and_tell, recipe, tmp_path, run.path.name, fifo, folder=tmp_path / "printed")
        with fifo.open("rb", buffering=0) as pipe:
            told = pipe.read(1)  # The first save begins.
            if draws.random() < 0.5:  # At any time, or soon after the beginning of one of the next saves.
                time.sleep(draws.uniform(0, 0.15))
            else:
                for _ in range(draws.randrange(6)):
                    while (byte := pipe.read(1)) not in (b"(", b""):
                        told += byte
                    told += byte
                time.sleep(draws.uniform(0, 0.008))
            child.kill()
            child.join()
            told += pipe.read() or b""
        acknowledged = max([acknowledged, *map(int, re.findall(rb"(\d+)\)", told))])
        assert child.exitcode in (0, -signal.SIGKILL), (tmp_path / "printed" / "err").read_text()
        if child.exitcode:
            kills += 1
            inside += told.count(b"(") > told.count(b")")
        state = run.status["state"]
        if state == "finished":  # A kill may fall between this status and the end of the process.
            assert lab.digest(run) == expected
            assert lab.rows(run) == rows
            cycle, acknowledged = cycle + 1, 0
            continue
        assert (state, child.exitcode) == ("killed", -signal.SIGKILL)
        if acknowledged:
            saved, warnings = checkpoint.newest(run.checkpoints)
            assert saved.step >= acknowledged, "an acknowledged checkpoint is lost"
            assert not warnings
            assert not missing_rows(run, acknowledged)
    lab.count("kills", kills)
    lab.count("kills inside a save", inside)
    lab.count("runs killed to their end, exact", cycle)
    if state != "finished":
        genlab.train(resume=run.path, report=False)
    assert lab.digest(run) == expected
    assert lab.rows(run) == rows
    assert not list(run.path.rglob("*.tmp-*")), "leftovers of killed saves are removed"
    assert inside >= (0.3 * kills if lab.LONG else 1), (
        f"only {inside} of {kills} kills fell inside a save: the test proves little"
    )


def kill_between_rename_and_prune(step: int) -> None:
    prune = checkpoint._prune

    def killing(folder: Path) -> None:
        if (folder / f"step-{step:06d}").exists():
            os.kill(os.getpid(), signal.SIGKILL)
        prune(folder)

    pytest.MonkeyPatch().setattr(checkpoint, "_prune", killing)


def test_killed_before_the_old_ones_are_pruned(whole: Whole, tmp_path: Path) -> None:
    """A3: of three intact checkpoints, the newest is used."""
    recipe, expected, _ = whole("gan")
    hook = partial(kill_between_rename_and_prune, 5)
    assert lab.call(lab.train, recipe, tmp_path, "run", hook, folder=tmp_path / "p").code == -signal.SIGKILL
    run = RunDirectory(tmp_path / "run")
    assert [path.name for path in checkpoint.found(run.checkpoints)] == ["step-000003", "step-000004", "step-000005"]
    assert checkpoint.newest(run.checkpoints)[0].step == 5
    genlab.train(resume=run.path, report=False)
    assert lab.digest(run) == expected


def kill_in_prune(gone: str) -> None:
    """A hook: SIGKILL while an old checkpoint is removed: its first file is gone, the others are not."""
    import shutil

    remove = shutil.rmtree

    def killing(path: Path, **options: Any) -> None:
        if path.name.startswith(gone):
            (path / checkpoint.MODEL).unlink()
            os.kill(os.getpid(), signal.SIGKILL)
        remove(path, **options)

    pytest.MonkeyPatch().setattr(shutil, "rmtree", killing)


@pytest.mark.parametrize("last", [False, True])
def test_killed_while_an_old_one_is_removed(last: bool, whole: Whole, tmp_path: Path) -> None:
    """A3: half a checkpoint never looks like one, and a resume removes it, even if no steps are left to train."""
    recipe, expected, rows = whole("gan")
    gone = f"step-{len(rows) - 2 if last else 3:06d}"
    ended = lab.call(lab.train, recipe, tmp_path, "run", partial(kill_in_prune, gone), folder=tmp_path / "p")
    assert ended.code == -signal.SIGKILL
    run = RunDirectory(tmp_path / "run")
    assert len(checkpoint.found(run.checkpoints)) == 2
    assert verify(run).damages == []
    assert len(list(run.path.rglob("*.tmp-*"))) == 1
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("warnings.warn", lambda *_, **__: None)
        genlab.train(resume=run.path, report=False)
    assert not list(run.path.rglob("*.tmp-*"))
    assert lab.digest(run) == expected


def kill_when_the_run_is_named() -> None:
    from genlab.training import fit

    def killed(*_: object, **__: object) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    pytest.MonkeyPatch().setattr(fit, "batches", killed)


def test_killed_before_the_first_step(whole: Whole, tmp_path: Path) -> None:
    """A run can be resumed once its directory is printed; before the first checkpoint, it starts again at step 0."""
    recipe, expected, rows = whole("gan")
    ended = lab.command("train", recipe, "--runs", tmp_path, folder=tmp_path / "p", hook=kill_when_the_run_is_named)
    assert ended.code == -signal.SIGKILL
    (line,) = ended.err.splitlines()
    run = RunDirectory(Path(line.removeprefix("run ")))
    assert run.status["state"] == "killed"
    with pytest.raises(CheckpointError, match="no usable checkpoint"):
        checkpoint.newest(run.checkpoints)
    genlab.train(resume=run.path, report=False)
    assert (lab.digest(run), lab.rows(run)) == (expected, rows)
