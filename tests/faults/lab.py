"""Trainings in separate processes, which may be killed, and the results that must be equal in the end.

Processes are forked from a server that has imported torch but computed nothing, so each is as good as new and starts
in milliseconds.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import random
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import genlab
from genlab.recipe import files
from genlab.runs import checkpoint, tensors
from genlab.runs.directory import RunDirectory
from genlab.runs.rows import Row

COUNTS = os.environ.get("GENLAB_FAULTS")
"""Folder for the counts of `make faults`; if it is set, every test runs in its long form."""
LONG = bool(COUNTS)
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["genlab.api.train", "genlab.cli.main", "genlab.api.progress", "torch._dynamo"])

Act = Callable[..., None]
Whole = Callable[[str], tuple[Path, str, list[Row]]]
"""kind -> recipe file, digest and rows of its undisturbed training; see conftest."""


def count(what: str, n: int = 1) -> None:
    """Add n to a count that `make faults` prints."""
    if COUNTS:
        with (Path(COUNTS) / f"{os.getpid()}.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps([what, n]) + "\n")


@dataclass(frozen=True)
class Ended:
    """How a process ended: its exit code (the negative signal number if a signal killed it) and its output."""

    code: int
    out: str
    err: str


def process(act: Act, *arguments: Any, folder: Path) -> Any:
    """Start a process that calls `act`, a module-level function, and writes its output to files in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    made = CONTEXT.Process(target=_child, args=(act, arguments, str(folder)))
    made.start()
    return made


def call(act: Act, *arguments: Any, folder: Path) -> Ended:
    """Call a module-level function in a separate process and wait until it ends."""
    made = process(act, *arguments, folder=folder)
    made.join(120)
    assert made.exitcode is not None, "the process hangs"
    return Ended(made.exitcode, *((folder / name).read_text("utf-8", "replace") for name in ("out", "err")))


def command(*arguments: str | Path, folder: Path, hook: Act | None = None) -> Ended:
    """Run the command line in a separate process, after calling `hook` there."""
    return call(run_command, [str(argument) for argument in arguments], hook, folder=folder)


def run_command(arguments: list[str], hook: Act | None) -> None:
    from genlab.cli import main

    if hook:
        hook()
    main.main(arguments)


def _child(act: Act, arguments: tuple[Any, ...], folder: str) -> None:
    for number, name in ((1, "out"), (2, "err")):
        os.dup2(os.open(Path(folder) / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    sys.stdout, sys.stderr = (os.fdopen(number, "w", buffering=1) for number in (1, 2))
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    act(*arguments)


SAVES_ALWAYS = {"logging.checkpoint_seconds": 1e-6}
BASE: dict[str, Any] = {
    "engine.plan": "reference",
    "logging.metrics_every": 1,
    "logging.tensorboard": False,
    "logging.sample_epochs": [2],
    "budget.batch": 16,
}
NARROW: dict[str, Any] = {"networks.generator.ngf": 4, "networks.discriminator.ndf": 4, "logging.evaluation": "none"}
KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "gan": ("quick-mnist", NARROW),
    "spectral-gan": ("sngan-hinge", NARROW),
    "wasserstein-gan": ("wgan-gp", NARROW),
    "packed-gan": ("s2-dcgan", {**NARROW, "objective.packing": 2, "ema": {"decay": 0.9}, "data.last_batch": "drop"}),
    "dropout-gan": (
        "s2-dcgan",
        {
            "networks.generator": {"kind": "mlp", "widths": [8]},
            "networks.discriminator": {"kind": "mlp", "widths": [8], "dropout": 0.3},
            "optimisers.discriminator.name": "rmsprop",
            "logging.evaluation": "none",
        },
    ),
    "vae": (
        "cvae",
        {
            "networks.encoder.ndf": 4,
            "networks.decoder.ngf": 4,
            "logging.evaluation": "none",
            "objective.kl_warmup_steps": 10,
        },
    ),
    "constant-gan": ("s2-dcgan", {**NARROW, "objective.critic_steps": 3}),
    "classifier": ("judge-mnist", {"networks.classifier.widths": [8, 8, 8], "networks.classifier.features": 16}),
}
"""Small trainings on a hundred real digits, of every family and with every kind of state."""
FAMILIES_FIRST = [
    pytest.param(kind, marks=[] if kind in ("gan", "vae", "classifier") else [pytest.mark.slow]) for kind in KINDS
]
"""One kind per family in `make test`, the others only where slow tests run."""


def recipe_file(folder: Path, digits: Path, kind: str = "gan", **changes: Any) -> Path:
    """Recipe file of such a training; `changes` are keyed by dotted path, with `__` for each dot."""
    name, own = KINDS[kind]
    wanted = {**BASE, "data.name": str(digits), "budget.epochs": 4, **own}
    wanted |= {key.replace("__", "."): value for key, value in changes.items()}
    if kind == "classifier":
        wanted = {k: v for k, v in wanted.items() if k not in ("logging.sample_epochs", "logging.evaluation")}
    path = folder / f"{kind}.yaml"
    path.write_text(files.dump(genlab.load_recipe(name, wanted)), "utf-8")
    return path


def digest(run: RunDirectory | Path) -> str:
    """sha256 of the whole state in the newest checkpoint, byte by byte, except for the elapsed seconds."""
    run = RunDirectory(run) if isinstance(run, Path) else run
    saved, warnings = checkpoint.newest(run.checkpoints)
    assert not warnings, warnings
    parts: dict[str, Any] = {}
    values = tensors.to_values({"step": saved.step, "model": saved.state["model"]}, parts)
    return hashlib.sha256(tensors.pack(saved.tensors) + tensors.pack(parts, values)).hexdigest()


def rows(run: RunDirectory | Path) -> list[Row]:
    """All metric rows, without their seconds."""
    run = RunDirectory(run) if isinstance(run, Path) else run
    return [{k: v for k, v in row.items() if k != "seconds"} for row in run.metrics()]


def shuffled(seed: int) -> random.Random:
    """Random generator of a test, with the same draws each time."""
    return random.Random(seed)


def train(recipe: Path, root: Path, name: str, hook: Act | None = None, **options: Any) -> None:
    """Train a recipe, or resume its run if it exists; no report is made."""
    if hook:
        hook()
    run = root / name
    if (run / "recipe.yaml").exists():
        genlab.train(resume=run, report=False, **options)
    else:
        genlab.train(str(recipe), runs=root, name=name, report=False, **options)


def without_report() -> None:
    """A hook: end a training with its last checkpoint, without a report."""
    from genlab.api import train as api

    pytest.MonkeyPatch().setattr(api, "finish", lambda run: None)


def kill_in_step(step: int) -> None:
    """A hook: SIGKILL in the middle of a step, after its first update; in a GAN, that is between D and G."""
    from genlab.engine.optim import Descent

    descend = Descent.__call__

    def killing(self: Descent, loss: Any, at: int) -> Any:
        norm = descend(self, loss, at)
        if at == step:
            os.kill(os.getpid(), signal.SIGKILL)
        return norm

    pytest.MonkeyPatch().setattr(Descent, "__call__", killing)


def kill_before_save(step: int) -> None:
    """A hook: SIGKILL after a step, before it is saved."""
    _at_save(step, before=True)


def kill_after_save(step: int) -> None:
    """A hook: SIGKILL right after a step is saved."""
    _at_save(step, before=False)


def _at_save(step: int, before: bool) -> None:
    save = checkpoint.save

    def killing(folder: Path, saved: checkpoint.Checkpoint) -> Path:
        if before and saved.step == step:
            os.kill(os.getpid(), signal.SIGKILL)
        path = save(folder, saved)
        if saved.step == step:
            os.kill(os.getpid(), signal.SIGKILL)
        return path

    pytest.MonkeyPatch().setattr(checkpoint, "save", killing)


KILLS = (kill_in_step, kill_before_save, kill_after_save)
