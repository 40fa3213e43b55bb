"""What an epoch of a recipe costs, and how long a training takes on this machine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from genlab.engine import calibrate
from genlab.families.nets.describe import Description
from genlab.recipe import GanRecipe, Recipe
from genlab.recipe.objectives import LOSSES, PENALTIES
from genlab.recipe.schedule import Schedule

FORWARD_BACKWARD = 3
"""Forward passes that a forward and a backward pass cost together: the backward one computes two products a weight."""
THROUGH = 2
"""The same for a network held fixed: only the gradient of its input is computed."""
TWICE = 6
"""About the same for a gradient with respect to images that is itself differentiated."""


@dataclass(frozen=True)
class Cost:
    """Of one epoch. `multiply_adds` count convolutions and linear layers, forward and backward, about."""

    steps: int
    images: int
    multiply_adds: int

    @property
    def words(self) -> str:
        """As one line."""
        billions = self.multiply_adds / 1e9
        return f"an epoch: {self.steps:,} steps, {self.images:,} images, about {billions:,.0f} billion multiply-adds"


def cost(recipe: Recipe, described: Sequence[Description], images: int) -> Cost:
    """What an epoch over so many images costs with these networks."""
    adds = {description.name: description.multiply_adds for description in described}
    steps = Schedule.of(recipe, images).steps_per_epoch
    used = min(images, steps * recipe.budget.batch)
    if isinstance(recipe, GanRecipe):
        total = _gan_passes(recipe, adds["generator"], adds["discriminator"] / recipe.objective.packing) * used
    else:
        total = FORWARD_BACKWARD * sum(adds.values()) * used
    return Cost(steps, used, round(total))


def expected_seconds(recipe: Recipe, networks: Sequence[Mapping[str, Any]], images: int) -> float | None:
    """About how long a training takes on this machine's CPU, by its multiply-adds and the plan's measurement.

    None where nothing was measured.

    Args:
        recipe: with its engine resolved.
        networks: as they stand in a run's provenance.
    """
    measured = calibrate.known(recipe.engine.device) if recipe.engine.device == "cpu" else None
    if measured is None:
        return None
    described = [Description(n["name"], (), n["parameters"], n["trainable"], n["multiply_adds"]) for n in networks]
    convolutional = any(layer["type"].startswith("Conv") for network in networks for layer in network["layers"])
    epoch, steps = cost(recipe, described, images), Schedule.of(recipe, images).total_steps
    return measured.seconds(epoch.multiply_adds / epoch.steps * steps, steps, recipe.engine.model_dump(), convolutional)


def _gan_passes(recipe: GanRecipe, g: int, d: float) -> float:
    """Multiply-adds for each training image, for networks of g and d a sample."""
    objective = recipe.objective
    total = 0.0
    d_learns, g_learns = objective.players != "generator", objective.players != "discriminator"
    reuse = d_learns and objective.generator_noise == "reuse"
    if d_learns:
        penalty = PENALTIES.get(objective.penalty)
        points = len(penalty.at) if penalty else 0
        batches, exact = (2 + points, 0) if penalty and penalty.by == "difference" else (2, points)
        total += g + (batches * FORWARD_BACKWARD + exact * TWICE) * d
    if g_learns:
        share = (objective.generator_batch or recipe.budget.batch) / recipe.budget.batch / objective.critic_steps
        passes = (FORWARD_BACKWARD - (1 if reuse and objective.critic_steps == 1 else 0)) * g + THROUGH * d
        total += share * (passes + (d if LOSSES[objective.loss].pairs else 0))
    return total
