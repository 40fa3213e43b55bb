"""Every built-in recipe trains on the real data: 3 small steps in `make test`, 200 unchanged steps in `make slow`."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import genlab
from genlab import data
from genlab.api.run import Run
from genlab.data import Dataset
from genlab.data.preprocessing import as_tested
from genlab.recipe import Recipe, files
from genlab.report.curves import plots
from genlab.training import start

NAMES = files.names()
REPORTS = [
    "s0-dcgan",
    "s1-mlp",
    "s2-dcgan",
    "s2-cdcgan",
    "s3-skeleton",
    "s3-mlp",
    "s4-dcgan",
    "s4-vae",
    "s4-classifier",
    "s4-vae-warm",
]
JUDGES = ["judge-mnist", "judge-fashion", "judge-letters"]
MODERN = ["wgan-gp", "sngan-hinge", "r3gan-small", "conv-vae", "beta-vae", "cvae", "vae-binarised", "iwae"]


def test_the_recipes_that_there_should_be() -> None:
    quick = {"quick", "quick-color", "quick-mnist", "quick-mnist-unconditional", "quick-fashion", "quick-stacked"}
    assert set(NAMES) == {*quick, *JUDGES, *REPORTS, *MODERN}


@pytest.fixture(scope="session")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run that s4-vae-warm starts from."""
    changes = {"budget.max_steps": 3, "data.subset": 512}
    return genlab.train("s4-classifier", overrides=changes, runs=tmp_path_factory.mktemp("runs"), report=False)


def trained(name: str, steps: int, classifier: Run, folder: Path, **smaller: Any) -> Run:
    changes: dict[str, Any] = {"budget.max_steps": steps, "logging.metrics_every": 1, **smaller}
    if files.load(name).family != "classifier":
        changes["logging.evaluation"] = "none"  # tests/evaluation/test_evaluation.py covers evaluation
    if name == "s4-vae-warm":
        changes["init_encoder_from"] = str(classifier.path)
    return genlab.train(name, overrides=changes, runs=folder)


def check(run: Run, steps: int) -> None:
    rows = run.metrics()
    assert [row["step"] for row in rows] == list(range(1, steps + 1))
    assert all(value is not None and math.isfinite(value) for row in rows for value in row.values())
    assert (run.path / "report.html").stat().st_size > 10_000
    drawn = {path.stem for path in (run.path / "figures").glob("*.csv")}
    # A plot is left out only if none of its columns is logged (no penalty).
    assert drawn == {plot.name for plot in plots(run.recipe) if any(c.column in rows[-1] for c in plot.curves)}
    if run.recipe.family == "classifier":
        assert (run.path / "figures" / "confusion.png").exists()
    else:
        images = run.sample(8, batch_statistics=bool(run.recipe.batch_normalised))
        assert np.isfinite(images.numpy()).all()
        assert images.std(0).max() > 0


KEPT = ("quick-mnist", "quick-stacked", "s1-mlp", "s2-cdcgan", "s3-mlp", "s4-dcgan", "s4-vae-warm", "wgan-gp", "cvae")
"""One recipe per kind of network and objective; tests/test_golden.py covers the first steps of all."""


@pytest.mark.parametrize("name", [pytest.param(n, marks=[] if n in KEPT else [pytest.mark.slow]) for n in NAMES])
def test_three_steps(name: str, classifier: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps take 16 of the first 512 images; a family that evaluates sees the first 200 test images. Curves are laid
    out here, and written only in the 200 steps below."""

    def few(recipe: Recipe, test: Dataset | None) -> Dataset | None:
        return as_tested(recipe, None if test is None else data.first(test, 200))

    monkeypatch.setattr(start, "as_tested", few)
    steps = 5 if name == "wgan-gp" else 3  # G learns every fifth step
    check(trained(name, steps, classifier, tmp_path, **{"budget.batch": 16, "data.subset": 512}), steps)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", NAMES)
def test_two_hundred_steps(name: str, classifier: Run, tmp_path: Path) -> None:
    check(trained(name, 200, classifier, tmp_path), 200)
