"""Cost of a training step of a GAN."""

from __future__ import annotations

from collections.abc import Mapping

from genlab.families.passes import FORWARD_BACKWARD, THROUGH, TWICE
from genlab.recipe import GanRecipe
from genlab.recipe.objectives import LOSSES, PENALTIES


def multiply_adds(recipe: GanRecipe, adds: Mapping[str, float]) -> float:
    """Multiply-adds of a step per training image, from those of G and D for one sample."""
    objective = recipe.objective
    g, d = adds["generator"], adds["discriminator"] / objective.packing
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
