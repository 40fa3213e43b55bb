"""Shared fixtures: a small real dataset, a small recipe, and one finished run that many tests read."""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # torch is imported before genlab here

import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

import genlab
from genlab import data
from genlab.api.run import Run
from genlab.data import builtin, pictures
from genlab.recipe import GanRecipe
from genlab.report import style
from genlab.runs.rows import Row

if TYPE_CHECKING:
    import lab

    from served import Served

SMALL: dict[str, Any] = {
    "engine.plan": "reference",
    "networks.latent": 100,
    "networks.generator.ngf": 4,
    "networks.discriminator.ndf": 4,
    "networks.discriminator.minibatch_stddev": None,
    "objective.classification": None,
    "budget.batch": 16,
    "budget.epochs": 2,
    "budget.max_steps": None,
    "logging.metrics_every": 1,
    "logging.tensorboard": False,
    "logging.evaluation": "none",
}
"""quick-mnist in seconds: narrow networks, the reference plan."""


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """100 real digits, ten of each class, as a user's npz file."""
    mnist = data.load("mnist")
    assert mnist.labels is not None
    chosen = np.concatenate([np.flatnonzero(mnist.labels == k)[:10] for k in range(10)])
    path = tmp_path_factory.mktemp("data") / "digits.npz"
    np.savez(path, x_train=mnist.images[chosen, 0], y_train=mnist.labels[chosen].astype(np.uint8))
    return path


@pytest.fixture
def small(digits: Path) -> Callable[..., GanRecipe]:
    """small(changes by dotted path, recipe) -> that recipe, by default quick-mnist, on those digits."""

    def make(changes: dict[str, Any] | None = None, recipe: str = "quick-mnist") -> GanRecipe:
        made = genlab.load_recipe(recipe, {**SMALL, "data.name": str(digits), **(changes or {})})
        assert isinstance(made, GanRecipe)
        return made

    return make


@pytest.fixture(scope="session")
def finished(digits: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A finished small run; tests only read it."""
    recipe = genlab.load_recipe("quick-mnist", {**SMALL, "data.name": str(digits)})
    return genlab.train(recipe, runs=tmp_path_factory.mktemp("runs"), name="quick-mnist-seed0-001")


@pytest.fixture(scope="session")
def served(digits: Path, finished: Run, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A studio with runs of each kind; tests only read it."""
    from served import Served, make_runs

    patch = pytest.MonkeyPatch()
    undraw(patch)
    runs = make_runs(tmp_path_factory.mktemp("studio") / "runs", digits, finished)
    patch.undo()
    studio = Served(runs)
    yield studio
    studio.close()


def undraw(patch: pytest.MonkeyPatch) -> None:
    """Lay out curves, but write each as the same small picture."""
    dot = pictures.png(np.zeros((1, 1, 1), np.uint8))
    patch.setattr(style, "as_svg", lambda figure: "<svg></svg>")
    patch.setattr(style, "as_png", lambda figure: dot)


@pytest.fixture(autouse=True)
def _undrawn(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Curves are drawn as they are only in the folders of the report and the studio, and in tests marked `drawn`."""
    if request.path.parent.name not in ("report", "studio") and not request.node.get_closest_marker("drawn"):
        undraw(monkeypatch)


@pytest.fixture(scope="session", autouse=True)
def _loaded_once() -> Iterator[None]:
    """Built-in datasets are read and checked once; each caller gets a copy."""
    read = cache(lambda name, split, stamp, pinned: data.load_builtin(name, split))

    def load(name: str, split: data.Split = "train") -> data.Dataset:
        pinned, place = data.BUILTIN[name], builtin.file_of(data.BUILTIN[name].stacks or name)
        found = read(name, split, (place, place.stat().st_mtime_ns), str(pinned.sha256))
        assert found.labels is not None
        return replace(found, images=found.images.copy(), labels=found.labels.copy())

    with pytest.MonkeyPatch.context() as patch:
        once = [replace(each, load=load) if each is builtin.SOURCE else each for each in data.SOURCES]
        patch.setattr(data, "SOURCES", tuple(once))
        yield


class StopAt:
    """An observer that asks the training to stop, as Ctrl-C does, after a step."""

    def __init__(self, step: int) -> None:
        self.step = step

    def stepped(self, step: int, seconds: float) -> None:
        if step == self.step:
            os.kill(os.getpid(), signal.SIGINT)


@pytest.fixture
def stop_at() -> type[StopAt]:
    return StopAt


@pytest.fixture(scope="session")
def whole(digits: Path, tmp_path_factory: pytest.TempPathFactory) -> lab.Whole:
    """Undisturbed training runs that those in tests/faults must equal; each is trained when it is first needed."""
    import lab

    folder = tmp_path_factory.mktemp("whole")

    @cache
    def trained(kind: str) -> tuple[Path, str, list[Row]]:
        recipe = lab.recipe_file(folder, digits, kind, logging__checkpoint_seconds=1e-6)
        ended = lab.call(lab.train, recipe, folder, kind, folder=folder / "printed")
        assert ended.code == 0, ended.err
        return recipe, lab.digest(folder / kind), lab.rows(folder / kind)

    return trained
