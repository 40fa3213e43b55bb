"""Warnings about a GAN's recipe, given before training."""

from __future__ import annotations

from collections.abc import Iterator

from genlab.recipe import GanRecipe
from genlab.recipe.objectives import PENALTIES


def cautions(recipe: GanRecipe) -> Iterator[str]:
    """Warn if bfloat16's rounding would outweigh a finite difference (docs/recipes/gan.md has the measurement), and if
    nothing bounds the slope of a Wasserstein critic."""
    objective, D = recipe.objective, recipe.networks.discriminator
    sigma, penalty = objective.sigma, PENALTIES.get(objective.penalty)
    differences = penalty is not None and penalty.by == "difference"
    if recipe.engine.precision == "bfloat16" and differences and sigma is not None and sigma < 0.05:
        yield (
            f"objective.sigma {sigma:g} is small for bfloat16, whose rounding adds to the penalty; use "
            "--engine.precision float32"
        )
    bounded = objective.penalty != "none" or objective.clip or D.normalisation == "spectral"
    if objective.loss == "wasserstein" and objective.players != "generator" and not bounded:
        yield (
            "objective.loss wasserstein needs a bound on D's slope but has none: the losses will diverge; add "
            "--objective.clip 0.01, or --objective.penalty gradient-penalty --objective.lambda 10"
        )
