"""A: asked to stop, a training finishes its step, saves and says how to resume; a closed terminal does not end it."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import lab
import pytest
from lab import Whole

import genlab
from genlab.runs import checkpoint
from genlab.runs.directory import RunDirectory


def raise_in(where: str, numbers: list[int]) -> None:
    """A hook: the signals `numbers` arrive in turn while something is done for the first time."""
    import genlab.api.run
    import genlab.engine.optim
    import genlab.training.fit
    from genlab.evaluation.live import LiveEvaluation
    from genlab.recipe.schedule import Schedule
    from genlab.training import assemble

    owner, name = {
        "a step": (genlab.engine.optim.Descent, "__call__"),
        "loading": (assemble, "load_data"),
        "drawing a batch": (Schedule, "samples_at"),
        "a save": (checkpoint, "verify"),
        "an evaluation": (LiveEvaluation, "_reference"),
        "the first word": (genlab.training.fit, "batches"),
        "the report": (genlab.api.run.Run, "look"),
    }[where]
    inner = getattr(owner, name)

    def raising(*arguments: Any, **options: Any) -> Any:
        setattr(owner, name, inner)
        for number in numbers:
            os.kill(os.getpid(), number)
        return inner(*arguments, **options)

    setattr(owner, name, raising)


def begun_in(folder: Path) -> RunDirectory:
    """The only run in a folder."""
    (path,) = folder.glob("*-seed0-001")
    return RunDirectory(path)


CODES = {signal.SIGINT: 130, signal.SIGTERM: 143}


@pytest.mark.parametrize(
    ("where", "number"),
    [
        pytest.param(where, number, marks=[pytest.mark.slow] if (k + n) % 2 else [])
        for k, where in enumerate(("a step", "drawing a batch", "a save", "the first word"))
        for n, number in enumerate(CODES)
    ],
)
def test_asked_to_stop(where: str, number: signal.Signals, whole: Whole, tmp_path: Path) -> None:
    """A8: a training that is asked to stop saves, says how to resume, and ends within ten seconds."""
    recipe, expected, rows = whole("gan")
    start = time.monotonic()
    ended = lab.command(
        "train", recipe, "--runs", tmp_path, folder=tmp_path / "p", hook=partial(raise_in, where, [number])
    )
    assert time.monotonic() - start < 10
    assert ended.code == CODES[number], ended.err
    run = begun_in(tmp_path)
    last, step = ended.err.splitlines()[-1], 2 if where == "a save" else 1  # Signals in a save are heard after it.
    assert last == f"genlab: stopped at step {step} of {len(rows)}; resume with: genlab train --resume {run.path}"
    assert run.status["state"] == "interrupted"
    assert checkpoint.newest(run.checkpoints)[0].step == step
    genlab.train(resume=run.path, report=False)
    assert (lab.digest(run), lab.rows(run)) == (expected, rows)


def test_asked_to_stop_while_it_is_measured(whole: Whole, digits: Path, tmp_path: Path) -> None:
    """A8: the evaluation at a sample epoch is finished, then everything is saved."""
    recipe = lab.recipe_file(tmp_path, digits, "gan", logging__evaluation="cheap")
    hook = partial(raise_in, "an evaluation", [signal.SIGTERM])
    ended = lab.command("train", recipe, "--runs", tmp_path, folder=tmp_path / "p", hook=hook)
    assert ended.code == 143, ended.err
    run = begun_in(tmp_path)
    assert run.status["step"] == 12
    genlab.train(resume=run.path, report=False)
    assert lab.digest(run) == whole("gan")[1]


@pytest.mark.parametrize("number", CODES)
def test_asked_to_stop_before_there_is_a_run(number: signal.Signals, whole: Whole, tmp_path: Path) -> None:
    """A10: a training that is stopped before there is a run leaves nothing behind."""
    hook = partial(raise_in, "loading", [number])
    ended = lab.command("train", whole("gan")[0], "--runs", tmp_path / "runs", folder=tmp_path / "p", hook=hook)
    assert ended.code in (CODES[number], -number)  # A shell reports the second as the first.
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("where", "number"),
    [
        pytest.param(where, number, marks=[pytest.mark.slow] if (k + n) % 2 else [])
        for k, where in enumerate(("a step", "a save"))
        for n, number in enumerate(CODES)
    ],
)
def test_asked_twice(where: str, number: signal.Signals, whole: Whole, tmp_path: Path) -> None:
    """A9: at the second signal, a training stops at once; what was saved is there."""
    recipe, expected, _ = whole("gan")
    name = tmp_path / "run"
    lab.call(lab.train, recipe, tmp_path, "run", partial(lab.kill_after_save, 5), folder=tmp_path / "p")
    hook = partial(raise_in, where, [number, number])
    ended = lab.command("train", "--resume", name, folder=tmp_path / "p", hook=hook)
    assert ended.code in (CODES[number], -number)
    saved, warnings = checkpoint.newest(name / "checkpoints")
    assert saved.step == (5 if where == "a step" else 6), "a second signal waits for nothing"
    assert not warnings
    assert RunDirectory(name).status["state"] == "killed"
    genlab.train(resume=name, report=False)
    assert lab.digest(name) == expected


@pytest.mark.parametrize("number", CODES)
def test_asked_to_stop_when_it_is_over(number: signal.Signals, whole: Whole, tmp_path: Path) -> None:
    """If a signal comes while the report is made, the training is finished, and the rest can be made later."""
    hook = partial(raise_in, "the report", [number])
    ended = lab.command("train", whole("gan")[0], "--runs", tmp_path, folder=tmp_path / "p", hook=hook)
    run = begun_in(tmp_path)
    assert ended.code == CODES[number]
    assert ended.err.splitlines()[-1] == (
        "genlab: stopped after the training, which is finished and saved; for figures, evaluation and report: "
        f"genlab train --resume {run.path}"
    )
    assert run.status["state"] == "finished"
    again = lab.command("train", "--resume", run.path, folder=tmp_path / "p")
    assert again.code == 0
    assert "already finished; nothing was trained" in again.err
    assert (run.path / "report.html").exists()


def test_a_closed_terminal(whole: Whole, tmp_path: Path) -> None:
    """A11: SIGHUP does not end a training."""
    recipe, expected, _ = whole("gan")
    hook = partial(raise_in, "a step", [signal.SIGHUP])
    ended = lab.command("train", recipe, "--runs", tmp_path, folder=tmp_path / "p", hook=hook)
    assert ended.code == 0, ended.err
    assert lab.digest(begun_in(tmp_path)) == expected


def close_output() -> None:
    """A hook: the reader of the output is gone."""
    read, write = os.pipe()
    os.close(read)
    for number in (1, 2):
        os.dup2(write, number)


def test_a_broken_pipe(whole: Whole, tmp_path: Path) -> None:
    """A11: a lost reader of both output streams does not end a training."""
    recipe, expected, _ = whole("gan")
    ended = lab.command("train", recipe, "--runs", tmp_path, folder=tmp_path / "p", hook=close_output)
    assert ended.code == 0
    assert lab.digest(begun_in(tmp_path)) == expected


@pytest.mark.slow
def test_a_reader_that_takes_one_line(whole: Whole, tmp_path: Path) -> None:
    """A11: a pipe to `head` in a shell does not end a training."""
    recipe, expected, _ = whole("gan")
    train = shlex.join([sys.executable, "-m", "genlab", "train", str(recipe), "--runs", str(tmp_path)])
    shell = subprocess.run(["bash", "-c", f"{train} 2>&1 | head -1"], capture_output=True, text=True, check=True)
    run = begun_in(tmp_path).path
    assert shell.stdout == f"run {run}\n"
    assert lab.digest(run) == expected


def test_the_handlers_are_put_back(whole: Whole, tmp_path: Path) -> None:
    """A program that trains keeps its own signal handlers."""
    mine: Callable[..., None] = lambda *_: None  # noqa: E731
    before = signal.signal(signal.SIGTERM, mine)
    try:
        genlab.train(str(whole("gan")[0]), runs=tmp_path, overrides={"budget.max_steps": 1}, report=False)
        assert signal.getsignal(signal.SIGTERM) is mine
    finally:
        signal.signal(signal.SIGTERM, before)
