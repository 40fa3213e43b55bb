"""The runs of a long benchmark, which may be stopped and restarted at any time."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from genlab.api.run import Run
from genlab.api.train import train
from genlab.errors import UsageError
from genlab.recipe import files


def taken(name: str, recipe: str, root: Path, seed: int = 0, changes: Mapping[str, Any] | None = None) -> Run:
    """The finished run of a name: as it is if it is there, resumed if it was stopped, else trained.

    Args:
        root: the folder of the runs.
        changes: overrides of the recipe.

    Raises:
        UsageError: the existing run has other settings, or another seed.
        RecipeError: there is no such recipe, or it has no such settings.
    """
    try:
        run = Run.at(name, root)
    except UsageError:
        return train(recipe, seed=seed, overrides=changes, runs=root, name=name, report=False)
    asked = files.load(recipe, changes).model_copy(update={"engine": run.recipe.engine})
    if (asked, seed) != (run.recipe, run.provenance["seed"]):
        raise UsageError(f"{run.path} differs from {recipe} here in settings or seed; move it away")
    return run if run.status["state"] == "finished" else train(resume=run.path, report=False)
