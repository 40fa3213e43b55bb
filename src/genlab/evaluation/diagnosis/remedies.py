"""What may help against a finding: changes to at most three fields of the run's own recipe, valid for it.

Each finding has candidates, tried in order; the first that changes the recipe and leaves it valid is proposed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any

from genlab.errors import GenlabError
from genlab.evaluation.diagnosis.evidence import Evidence
from genlab.evaluation.diagnosis.finding import Finding
from genlab.recipe import BaseRecipe, files
from genlab.recipe.changes import changes as recipe_changes

LARGEST = 0.02
"""Largest update to aim for, over the size of the weights: an early one, 0.004 to 0.17 in healthy training runs."""
APART = 3.0
"""Factor by which a learning rate must have been changed for that change to count as the cause of the harm."""
Changes = Mapping[str, Any]
Candidates = Callable[[BaseRecipe, Evidence], Iterator[tuple[Changes, str]]]
"""(recipe, evidence) -> changes and what to expect of them, the most promising first."""
FAIRER = "D learns to keep its gradient small, so that G gets a signal early on"


def proposed(finding: Finding, recipe: BaseRecipe, evidence: Evidence) -> tuple[Changes, str]:
    """Changes to try, and what to expect of them; empty if nothing is known to help."""
    candidates = CANDIDATES.get(finding.name)
    for changes, expect in candidates(recipe, evidence) if candidates else ():
        with suppress(GenlabError):
            if files.load(files.to_dict(recipe), changes) != recipe:
                return changes, expect
    return {}, ""


def _players(recipe: BaseRecipe) -> list[str]:
    """Paths of the optimisers."""
    return list(recipe.optimiser_sections())


def _own_rates(recipe: BaseRecipe, is_so: Callable[[float, float], bool]) -> Iterator[tuple[Changes, str]]:
    """The learning rates of the built-in recipe of the same name, where they were changed.

    Args:
        is_so: (built-in rate, present rate) -> whether to restore the built-in one.
    """
    changed = {path: values for path, values in recipe_changes(recipe).items() if path.endswith(".lr")}
    own = {path: rate for path, (rate, now) in changed.items() if rate and now and is_so(rate, now)}
    if own:
        yield own, "the recipe's original learning rates, with which it learns"


def _slower(recipe: BaseRecipe, evidence: Evidence) -> Iterator[tuple[Changes, str]]:
    """The recipe's own learning rates, where they are smaller by a factor of `APART`; else those with which the largest
    update would have been `LARGEST` times the weights, at most a tenth of the present ones."""
    yield from _own_rates(recipe, lambda own, now: own * APART <= now)
    factor = min(0.1, LARGEST / _largest(recipe, evidence))
    yield _times(recipe, factor), f"first updates of about {LARGEST:g} of the weights, or less"


def _faster(recipe: BaseRecipe, evidence: Evidence) -> Iterator[tuple[Changes, str]]:
    """The recipe's own learning rates, where they are larger by a factor of `APART`; else those with which the largest
    update would have been `LARGEST` times the weights."""
    yield from _own_rates(recipe, lambda own, now: own >= now * APART)
    factor = LARGEST / _largest(recipe, evidence)
    if factor > 10:
        yield _times(recipe, factor), f"first updates of about {LARGEST:g} of the weights"


def _largest(recipe: BaseRecipe, evidence: Evidence) -> float:
    """Largest update of any player over its weights; `LARGEST` if none was seen."""
    roles = ["update" if path == "optimiser" else f"update of {path.rpartition('.')[2]}" for path in _players(recipe)]
    largest = max((float(evidence.curve(role).values.max()) for role in roles if len(evidence.curve(role))), default=0)
    return largest or LARGEST


def _times(recipe: BaseRecipe, factor: float) -> Changes:
    """Every learning rate times `factor`, at most 1."""
    plain = files.leaves(recipe)
    return {f"{path}.lr": _round(min(1.0, plain[f"{path}.lr"] * factor)) for path in _players(recipe)}


def _rates(recipe: BaseRecipe, evidence: Evidence) -> Iterator[tuple[Changes, str]]:
    yield from _faster(recipe, evidence)
    yield from _slower(recipe, evidence)


def _round(value: float) -> float:
    """The value to one significant digit."""
    return float(f"{value:.0e}") if value and math.isfinite(value) else value


def _bounded(recipe: BaseRecipe, evidence: Evidence) -> Iterator[tuple[Changes, str]]:
    plain = files.leaves(recipe)
    if plain.get("objective.loss") == "wasserstein":
        yield (
            {"objective.penalty": "gradient-penalty", "objective.lambda": 10.0},
            "a critic whose slope is about 1, as a Wasserstein loss needs",
        )
        yield {"objective.clip": 0.01}, "a bounded critic, as a Wasserstein loss needs"
    yield from _slower(recipe, evidence)


def _fair_game(recipe: BaseRecipe, evidence: Evidence) -> Iterator[tuple[Changes, str]]:
    plain = files.leaves(recipe)
    if plain.get("objective.loss") in ("saturating", "bce-on-probabilities"):
        yield {"objective.loss": "non-saturating"}, "a gradient that reaches G however sure D is"
    inits = [f"networks.{each}.init" for each in ("generator", "discriminator")]
    normalised = plain.get("networks.discriminator.normalisation") == "batch"
    if normalised and "torch-default" in (plain.get(inits[0]), plain.get(inits[1])):
        yield (
            dict.fromkeys(inits, "normal-0.02"),
            "small initial weights, with which D learns more slowly in such networks",
        )
    yield (
        {"objective.penalty": "r1-r2-finite-difference", "objective.lambda": 0.2, "objective.sigma": 0.05},
        FAIRER,
    )
    rate = plain.get("optimisers.discriminator.lr")
    if rate:
        yield {"optimisers.discriminator.lr": _round(rate / 4)}, "a D that leaves G time to follow"


def _stronger(recipe: BaseRecipe, evidence: Evidence) -> Iterator[tuple[Changes, str]]:
    rate = files.leaves(recipe).get("optimisers.discriminator.lr")
    if rate:
        yield {"optimisers.discriminator.lr": _round(4 * rate)}, "a D that sees what is wrong"


def _several(recipe: BaseRecipe, evidence: Evidence) -> Iterator[tuple[Changes, str]]:
    """D sees several images at once."""
    plain = files.leaves(recipe)
    if (latent := plain.get("networks.latent")) and latent < 8:
        yield {"networks.latent": 16}, "room for variety in z"
    yield {"objective.packing": 2}, "D sees two images at once, and can tell that they are alike"
    group = 4 if recipe.budget.batch % 4 == 0 else 2
    yield (
        {"networks.discriminator.minibatch_stddev": group},
        "D sees how much the images of a group differ, and can tell that they are alike",
    )
    yield from _fair_game(recipe, evidence)


def _told(recipe: BaseRecipe, evidence: Evidence) -> Iterator[tuple[Changes, str]]:
    yield {"networks.discriminator.kind": "projection-dcgan"}, "a D that is told the class, so that G must draw it"
    yield {"objective.classification": 0.3}, "a D that classifies, and a G whose images must be classified correctly"


def _more_images(recipe: BaseRecipe, evidence: Evidence) -> Iterator[tuple[Changes, str]]:
    yield {"augmentation": {"translation": 0.125, "cutout": 0.5}}, "a D that never sees an image twice"
    yield {"augmentation": {"probability": 0.5, "shift": 2}}, "images that are never the same twice"
    plain = files.leaves(recipe)
    for path in _players(recipe):
        yield {f"{path}.weight_decay": max(1e-4, 10 * plain.get(f"{path}.weight_decay", 0))}, "smaller weights"


def _flatter(recipe: BaseRecipe, evidence: Evidence) -> Iterator[tuple[Changes, str]]:
    """Few images call for a larger penalty weight (Karras et al. 2020 scale it by the size of the data)."""
    if weight := files.leaves(recipe).get("objective.lambda"):
        yield {"objective.lambda": _round(25 * weight)}, "a D whose gradient is kept small cannot single out each image"
    yield from _more_images(recipe, evidence)


def _calmer(recipe: BaseRecipe, evidence: Evidence) -> Iterator[tuple[Changes, str]]:
    yield {"ema": {"decay": 0.999}}, "an average of G's weights, which draws better than the last weights"
    yield {f"{path}.schedule": "linear" for path in _players(recipe)}, "steps that shrink to 0"
    yield from _rates(recipe, evidence)


def _heard(recipe: BaseRecipe, evidence: Evidence) -> Iterator[tuple[Changes, str]]:
    plain = files.leaves(recipe)
    if (beta := plain.get("objective.beta")) and beta > 1:
        yield {"objective.beta": 1.0}, "the bound itself"
    yield {"objective.reconstruction": "sum", "objective.kl": "sum"}, "both terms in nats, as in the bound"
    yield {"objective.free_bits": 0.5}, "some nats per unit at no cost"


def _both(recipe: BaseRecipe, evidence: Evidence) -> Iterator[tuple[Changes, str]]:
    yield {"objective.players": "both"}, "both learn"


def _longer(recipe: BaseRecipe, evidence: Evidence) -> Iterator[tuple[Changes, str]]:
    plain = files.leaves(recipe)
    field = "budget.max_steps" if plain["budget.max_steps"] else "budget.epochs"
    yield {field: 2 * plain[field]}, "twice the time to learn it"


def _alive(recipe: BaseRecipe, evidence: Evidence) -> Iterator[tuple[Changes, str]]:
    for path in files.leaves(recipe):
        if path.endswith(".activation"):
            yield {path: "leaky-relu"}, "units that cannot die"
    yield from _rates(recipe, evidence)


CANDIDATES: dict[str, Candidates] = {
    "learning-rate-too-large": _slower,
    "learning-rate-too-small": _faster,
    "divergence": _bounded,
    "discriminator-not-learning": _both,
    "generator-not-learning": _both,
    "discriminator-won": _fair_game,
    "discriminator-weak": _stronger,
    "discriminator-overfitting": _flatter,
    "mode-collapse": _several,
    "z-ignored": _several,
    "missing-classes": _several,
    "low-diversity": _several,
    "condition-ignored": _told,
    "memorisation": _more_images,
    "noise": _calmer,
    "late-degradation": _calmer,
    "oscillation": _calmer,
    "posterior-collapse": _heard,
    "overfitting": _more_images,
    "underfitting": _longer,
    "dead-units": _alive,
    "nothing-learned": _rates,
}
