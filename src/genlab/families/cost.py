"""What an epoch of a recipe costs, and how long training takes on this machine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from genlab.engine import calibrate
from genlab.families.nets.describe import Description
from genlab.families.registry import FAMILIES
from genlab.recipe import Recipe
from genlab.recipe.schedule import Schedule


@dataclass(frozen=True)
class Cost:
    """Cost of one epoch. `multiply_adds` is approximate: convolutions and linear layers, forward and backward."""

    steps: int
    images: int
    multiply_adds: int

    @property
    def words(self) -> str:
        """The cost as one line of text."""
        billions = self.multiply_adds / 1e9
        return f"an epoch: {self.steps:,} steps, {self.images:,} images, about {billions:,.0f} billion multiply-adds"


def cost(recipe: Recipe, described: Sequence[Description], images: int) -> Cost:
    """Cost of an epoch over this many images with these networks."""
    adds = {description.name: description.multiply_adds for description in described}
    steps = Schedule.of(recipe, images).steps_per_epoch
    used = min(images, steps * recipe.budget.batch)
    return Cost(steps, used, round(FAMILIES[recipe.family].multiply_adds(recipe, adds) * used))


def expected_seconds(recipe: Recipe, networks: Sequence[Mapping[str, Any]], images: int) -> float | None:
    """Approximate training time on this machine's CPU, from its multiply-adds and the plan's measurement.

    None if nothing was measured.

    Args:
        recipe: recipe with its engine resolved.
        networks: networks as recorded in a run's provenance.
    """
    measured = calibrate.known(recipe.engine.device) if recipe.engine.device == "cpu" else None
    if measured is None:
        return None
    described = [Description(n["name"], (), n["parameters"], n["trainable"], n["multiply_adds"]) for n in networks]
    convolutional = any(layer["type"].startswith("Conv") for network in networks for layer in network["layers"])
    epoch, steps = cost(recipe, described, images), Schedule.of(recipe, images).total_steps
    return measured.seconds(epoch.multiply_adds / epoch.steps * steps, steps, recipe.engine.model_dump(), convolutional)
