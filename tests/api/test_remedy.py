"""`genlab diagnose RUN --try`: the proposed remedy is trained with the same seed and reported as one seed's result."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

import genlab
from conftest import SMALL
from genlab.api import remedy
from genlab.api.run import Run
from genlab.cli.main import main
from genlab.errors import UsageError
from genlab.report.diagnosed import diagnosed
from genlab.runs.verify import verify


@pytest.fixture(scope="module")
def frozen(digits: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run in which only D learns."""
    changes: dict[str, Any] = {"data.name": str(digits), "objective.players": "discriminator", "ema": None}
    changes |= {"logging.evaluation": "cheap", "logging.sample_every": 4, "budget.epochs": 2}
    recipe = genlab.load_recipe("quick-mnist", {**SMALL, **changes})
    return genlab.train(recipe, seed=3, runs=tmp_path_factory.mktemp("runs"), name="frozen", progress=False)


def test_a_remedy_is_tried_with_the_same_seed(
    frozen: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path / "frozen"
    shutil.copytree(frozen.path, here)
    monkeypatch.setattr(remedy, "comparison", lambda runs, progress: Page())
    main(["diagnose", str(here), "--try"])
    said = capsys.readouterr().out
    assert said.startswith("objective.players both ")
    assert "in this run (1 seed): generator-not-learning is gone, distance to real images" in said
    tried = next(run for run in genlab.list_runs(tmp_path) if run.path != here)
    assert tried.provenance["seed"] == 3
    assert tried.recipe.objective.players == "both"  # type: ignore[union-attr]
    assert "generator-not-learning" not in {each.name for each in tried.diagnose().findings}
    assert (tried.path / "compare.html").read_text() == "page"
    # The old run's page shows the trial beside its own last images, as long as the new run is in the same folder.
    page = diagnosed(Run.at(here).directory)
    assert page is not None
    assert f"Tried, in {tried.path.name}: objective.players both; " in page.caption
    assert "in this run (1 seed): generator-not-learning is gone" in page.caption
    assert page.course is not None
    assert page.course.shape[0] > 2 * 2 * 28
    assert not verify(Run.at(here).directory).damages
    tried.path.rename(tmp_path / "elsewhere")
    page = diagnosed(Run.at(here).directory)
    assert page is not None
    assert (page.course, page.caption) == (None, "")
    main(["diagnose", str(here), "--try", "--json"])
    told = json.loads(capsys.readouterr().out)
    assert (told["finding"], told["gone"], told["changes"]) == (
        "generator-not-learning",
        True,
        {"objective.players": "both"},
    )


class Page:
    def save(self, path: Path) -> None:
        path.write_text("page")


def test_it_helped_only_if_the_images_are_no_worse(frozen: Run) -> None:
    finding = frozen.diagnose().faults[0]

    def tried(gone: bool, *distances: float) -> remedy.Tried:
        return remedy.Tried(frozen, finding, {}, gone, distances or None, None)  # type: ignore[arg-type]

    assert tried(True, 9.0, 4.0).words.startswith("helped in this run (1 seed): generator-not-learning is gone")
    assert not tried(True, 4.0, 9.0).helped
    assert not tried(False, 9.0, 4.0).helped
    assert tried(True).helped


def test_where_nothing_is_proposed_nothing_is_trained(finished: Run) -> None:
    with pytest.raises(UsageError, match="nothing is proposed"):
        remedy.attempt(finished)
