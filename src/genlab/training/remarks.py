"""Warnings about a recipe and its dataset, given before they are trained together."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from genlab.data import Dataset
from genlab.data.checking import light_ground
from genlab.families.registry import FAMILIES
from genlab.recipe import Recipe, files
from genlab.recipe.schedule import Schedule

FEW_STEPS = 300
"""Number of updates below which no built-in recipe draws anything."""

MENTIONED = ("labels are", "left out")
"""Beginnings of the notes about a dataset that whoever trains on it must know."""


def remarks(recipe: Recipe, whole: Dataset, used: Dataset) -> Iterator[str]:
    """Warnings, one line each.

    Args:
        whole: all training images, in their original size.
        used: images that are trained on, in the recipe's size.
    """
    yield from (note for note in whole.notes if note.startswith(MENTIONED) or note.endswith("is taken as the label"))
    yield from _budget(recipe, used)
    yield from _classes(recipe, used)
    if recipe.data.resize == "pad" and recipe.data.size > whole.side and light_ground(whole.images):
        yield (
            "data.resize pad puts a black frame around images on a light background; --data.resize edge repeats "
            "their edges instead"
        )
    if used.images.max() == used.images.min():
        yield "all pixels of the training images have the same value: there is nothing to learn"


def _budget(recipe: Recipe, used: Dataset) -> Iterator[str]:
    """Warn if a built-in recipe's epochs were meant for another dataset and are too few for this one."""
    steps = Schedule.of(recipe, len(used)).total_steps
    if steps >= FEW_STEPS or FAMILIES[recipe.family].sampling is None or recipe.name not in files.names():
        return
    usual = files.load(recipe.name)
    if usual.data.name == recipe.data.name or usual.budget != recipe.budget:
        return
    wanted = -(-recipe.budget.epochs * 2 * FEW_STEPS // max(1, steps))
    yield (
        f"{len(used):,} images give {steps:,} steps in {recipe.budget.epochs} epochs, too few to draw anything: "
        f"--epochs {wanted}, or the recipe quick, which chooses the length itself"
    )


def _classes(recipe: Recipe, used: Dataset) -> Iterator[str]:
    """Warn if the images that are used, such as a part of a sorted dataset, are of only some of its classes."""
    if used.labels is None:
        return
    there, kinds = len(np.unique(used.labels)), len(used.class_names)
    if there < min(kinds, len(used)) / 2:
        why = "; the others have none"
        if recipe.data.subset is not None:
            why = (
                ": data.subset takes the first images, and they are sorted by class (genlab data import --per-class N "
                "takes some of each)"
            )
        yield f"the {len(used):,} training images are from {there} of {kinds} classes{why}"
