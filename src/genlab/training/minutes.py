"""Resolve `budget.minutes` to plain numbers: a number of steps, and the settings that suit it.

A few steps are timed on this machine with networks of several widths (`WIDTHS`), and the width that learns most in the
given time is chosen. The number of steps is rounded to a ladder with rungs 8 % apart, so that timings that
differ by a few percent usually resolve to the same numbers.
"""

from __future__ import annotations

import copy
import hashlib
import math
import statistics
import time
import warnings
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from genlab.data import Dataset
from genlab.engine import threads
from genlab.engine.stages import stage
from genlab.errors import NonFiniteError, UsageError
from genlab.families.base import CustomNetworks
from genlab.families.gan.losses import AdversarialLoss
from genlab.families.registry import FAMILIES
from genlab.recipe import Recipe, files
from genlab.recipe.schedule import Schedule
from genlab.recipe.source import RecipeSource
from genlab.runs.directory import RunDirectory
from genlab.runs.provenance import describe_networks
from genlab.training.assemble import Assembly, assemble, settle, used_by
from genlab.training.fit import batches

LADDER = 1.08
"""Factor between two neighbouring numbers of steps."""
WARM, LEAST, SECONDS = 4, 5, 3.0
"""Number of untimed warm-up steps, minimum number of timed steps, and minimum seconds of timing."""
OVERRUN = 1.1
"""Ratio of a step's time to the planned time above which a warning is given."""


WIDTHS: dict[str, tuple[int, ...]] = {
    "quick-mnist": (16, 12),
    "quick-fashion": (32, 24, 16, 12),
    "quick-mnist-unconditional": (16, 12),
}
"""By recipe: candidate numbers of channels (ngf and ndf), descending. The quality that such a GAN reaches depends on
channels times steps, in a short training on the steps alone (`FEW`); how much longer a step takes with more channels
depends on the machine. Digits need no more than 16 channels: twice as many and half the steps give worse results
(docs/performance.md). A recipe that is not listed keeps its own channels."""
FEW, ENOUGH = 1500, 16
"""If a network makes fewer than `FEW` steps, one with fewer channels, but at least `ENOUGH`, is hardly worse after the
same number of steps."""
RATES: dict[str, tuple[float, float]] = {"quick-fashion": (40, 0.0045), "quick-mnist-unconditional": (100, 0.003)}
"""By recipe: (limit, learning rate). Below that limit of channels times thousand steps, this rate is better or steadier
than the recipe's own."""
BETTER = 1.1
"""Factor by which fewer channels must win to be chosen, since two timings on one machine differ, too."""


@dataclass(frozen=True)
class Reached:
    """Measured results of a recipe: Frechet distances over that of real images.

    Attributes:
        itself: distance of the recipe as it stands.
        learned: (channels times thousand steps, distance), sorted by the former.
    """

    itself: float
    learned: tuple[tuple[float, float], ...]


REACHED = {
    "quick-mnist": Reached(2.0, ((11.4, 8.9), (15.9, 5.0), (25.9, 2.8), (35.9, 2.1), (60, 2.0))),
    "quick-fashion": Reached(15, ((12, 49), (16.3, 33), (25.9, 23), (35.9, 21.7), (60, 14.6), (141, 10.6))),
    "quick-mnist-unconditional": Reached(11, ((18.6, 57), (35.9, 16), (60, 12.1), (141, 7.5))),
}


@dataclass(frozen=True)
class Timed:
    """Cost of a step of a recipe on this machine.

    Attributes:
        seconds: mean seconds per step: now and then a step takes longer, in a training too.
        multiply_adds: multiply-adds per step.
    """

    seconds: float
    multiply_adds: float


def rung(steps: float) -> int:
    """Nearest number of steps on the ladder.

    >>> [rung(n) for n in (0.2, 1, 99, 101, 1874)]
    [1, 1, 101, 101, 1886]
    """
    return max(1, round(LADDER ** round(math.log(max(1.0, steps), LADDER))))


def width(n: int) -> dict[str, Any]:
    """Overrides for n channels in both networks."""
    return {"networks.generator.ngf": n, "networks.discriminator.ndf": n}


def _has_width(recipe: Recipe) -> bool:
    """Whether both networks are of a kind whose width is a number of channels."""
    fields = files.to_dict(recipe)["networks"]
    return "ngf" in fields["generator"] and "ndf" in fields["discriminator"]


def rate(recipe: str, channels: int, steps: int) -> dict[str, Any]:
    """Overrides of a recipe's learning rates for these channels and steps; empty if its own rates suit."""
    least, lr = RATES.get(recipe, (0.0, 0.0))
    if channels * steps / 1000 >= least:
        return {}
    return {f"optimisers.{network}.lr": lr for network in ("generator", "discriminator")}


def widest(seconds: Mapping[int, float], within: float) -> int:
    """Number of channels that learns most in a given time.

    Args:
        seconds: channels -> seconds per step.
        within: given time in seconds.

    >>> step = {32: 0.026, 24: 0.023, 16: 0.015}
    >>> widest(step, 60), widest(step, 20), widest({32: 0.12, 24: 0.08, 16: 0.045}, 600)
    (32, 16, 16)
    """
    best, *narrower = sorted(seconds, reverse=True)
    for n in narrower:
        few = within / seconds[best] < FEW and n >= ENOUGH
        if (1 if few else n / best) * seconds[best] / seconds[n] > BETTER:
            best = n
    return best


def expected(recipe: str, channels: int, steps: int) -> float | None:
    """Frechet distance, over that of real images, that a recipe reaches with these channels and steps: a power law in
    their product between two known results, the nearest result up to a fifth beyond them, and None farther out."""
    known, learned = REACHED[recipe].learned if recipe in REACHED else (), channels * steps / 1000
    if not known or not known[0][0] / 1.2 <= learned <= known[-1][0] * 1.2:
        return None
    products, distances = np.log(known).T
    return float(np.exp(np.interp(math.log(learned), products, distances)))


def is_foretold(recipe: Recipe) -> bool:
    """Whether a recipe is a built-in one with known results, unchanged except for its engine and logging."""
    if recipe.name not in REACHED:
        return False
    return files.load(recipe.name).model_copy(update={"engine": recipe.engine, "logging": recipe.logging}) == recipe


def foretold(recipe: Recipe, whole: Dataset) -> str:
    """Message on how long such a recipe takes on this machine, what it reaches, and what it reaches in a minute.

    Args:
        whole: training images in their original size.
    """
    seconds = _of_a_step(recipe, {}, whole)
    best, own = widest(seconds, 60), channels_of(recipe)
    steps, a_minute = Schedule.of(recipe, len(whole)).total_steps, rung(60 / seconds[best])
    words = f"{recipe.name}: {steps:,} steps of {1000 * seconds[own]:.1f} ms, {steps * seconds[own] / 60:.2g} min here"
    words += f"; expect a distance of {REACHED[recipe.name].itself:.2g} x that of real images"
    distance = expected(recipe.name, best, a_minute)
    return words if distance is None else f"{words}; with --minutes 1 about {distance:.2g} x"


def channels_of(recipe: Recipe) -> int:
    """Channels (ngf) of a recipe of `WIDTHS`."""
    found: int = recipe.networks.generator.ngf  # type: ignore[union-attr]
    return found


def _of_a_step(source: RecipeSource, overrides: Mapping[str, Any], whole: Dataset) -> dict[int, float]:
    """Seconds per step of a recipe of `WIDTHS`, by number of channels."""
    seconds = {}
    for n in WIDTHS[files.load(source, overrides).name]:
        recipe = settle(source, {**overrides, **width(n)}, lambda name: whole)[0]
        seconds[n] = timed(recipe, used_by(recipe, whole), least=SECONDS / 3).seconds
    return seconds


def _differs_in_size_alone(recipe: Recipe) -> bool:
    """Whether a recipe is a built-in one with known results, apart from channels, length, engine and logging."""
    if recipe.name not in REACHED:
        return False
    plain = files.load(recipe.name, {**width(channels_of(recipe)), "budget.batch": recipe.budget.batch})
    same = plain.model_copy(update={field: getattr(recipe, field) for field in ("budget", "engine", "logging")})
    return same == recipe and recipe.budget.batch == files.load(recipe.name).budget.batch


def length(minutes: float, step: Timed, schedule: Schedule) -> dict[str, Any]:
    """Budget fields for a training time.

    Args:
        schedule: schedule of the recipe, with any number of epochs.
    """
    steps = rung(60 * minutes / step.seconds)
    epochs = -(-steps // schedule.steps_per_epoch)
    whole = steps == epochs * schedule.steps_per_epoch
    return {"budget.epochs": epochs, "budget.max_steps": None if whole else steps}


@dataclass(frozen=True)
class Resolved:
    """What a recipe with `budget.minutes` is resolved to on this machine.

    Attributes:
        overrides: the caller's overrides and all that was chosen, as plain numbers.
        facts: facts for the provenance: the requested minutes, the time per step, the recipe that it began with.
        words: the same for a person.
    """

    overrides: dict[str, Any]
    facts: dict[str, Any]
    words: str


def resolved(
    source: RecipeSource,
    overrides: Mapping[str, Any],
    recipe: Recipe,
    whole: Dataset,
    custom: CustomNetworks | None = None,
    objective: AdversarialLoss | None = None,
) -> Resolved:
    """Resolve a recipe's minutes to plain numbers on this machine.

    Args:
        source, overrides: what the recipe was made from; the caller's settings take precedence over the tables above.
        whole: training images in their original size.
        custom, objective: custom parts, of which the networks are copied to be timed.

    Raises:
        UsageError: the overrides set a length as well.
    """
    minutes = recipe.budget.minutes
    assert minutes is not None
    if both := [path for path in ("budget.epochs", "budget.max_steps") if overrides.get(path) is not None]:
        raise UsageError(f"budget.minutes is {minutes:g}, but {both[0]} is {overrides[both[0]]}; give one of them")
    plain = dict(overrides)
    if not custom and recipe.name in WIDTHS and _has_width(recipe) and not width(0).keys() & overrides.keys():
        plain |= width(widest(_of_a_step(source, overrides, whole), 60 * minutes))
        recipe = settle(source, plain, lambda name: whole)[0]
    step = timed(recipe, used_by(recipe, whole), custom, objective)
    schedule = Schedule.of(recipe, min(len(whole), recipe.data.subset or len(whole)))
    name = f"{recipe.name}-{minutes:g}min"
    plain |= {"name": name, "budget.minutes": None, **length(minutes, step, schedule)}
    steps = plain["budget.max_steps"] or plain["budget.epochs"] * schedule.steps_per_epoch
    if not custom and _differs_in_size_alone(recipe):
        plain |= rate(recipe.name, channels_of(recipe), steps)
    facts = {
        "minutes": minutes,
        "milliseconds_a_step": round(1000 * step.seconds, 3),
        "teraops": round(steps * step.multiply_adds / 1e12, 3),
        "base": {"name": recipe.name, "sha256": hashlib.sha256(files.dump(recipe).encode()).hexdigest()},
    }
    words = f"{minutes:g} min: {steps:,} steps of {1000 * step.seconds:.1f} ms, {facts['teraops']:.2g} teraops"
    if _differs_in_size_alone(recipe) and (distance := expected(recipe.name, channels_of(recipe), steps)):
        words += f"; expect a distance of {distance:.2g} x that of real images"
    return Resolved(plain, facts, words)


def timed(
    recipe: Recipe,
    dataset: Dataset,
    custom: CustomNetworks | None = None,
    objective: AdversarialLoss | None = None,
    least: float = SECONDS,
) -> Timed:
    """Time steps of a recipe on real images; their effects are discarded.

    Args:
        dataset: training images in the recipe's size.
        custom, objective: custom parts.
        least: minimum seconds of timing.
    """
    assembly = _assembled(recipe, dataset, custom)
    model, spent = assembly.model(objective), list[float]()
    x = torch.from_numpy(dataset.images)
    y = None if dataset.labels is None else torch.from_numpy(dataset.labels)
    endless = Schedule(len(dataset), recipe.budget.batch, assembly.schedule.steps_per_epoch, 1_000_000)
    with stage("timing a few steps", least), threads.of_training():
        for step, rows in batches(endless, assembly.keyed, after=0):
            began = time.perf_counter()
            with assembly.keyed.scope("networks", step), suppress(NonFiniteError):  # The training will report it.
                model.step(x[rows], None if y is None else y[rows], step)
            spent.append(time.perf_counter() - began)
            if len(spent) >= WARM + LEAST and sum(spent[WARM:]) >= least:
                break
    return Timed(statistics.mean(spent[WARM:]), _of_one(assembly, recipe, dataset))


def multiply_adds(recipe: Recipe, dataset: Dataset) -> float:
    """Multiply-adds of a step, forward and backward.

    Args:
        dataset: training images in the recipe's size.
    """
    return _of_one(_assembled(recipe, dataset), recipe, dataset)


def _assembled(recipe: Recipe, dataset: Dataset, custom: CustomNetworks | None = None) -> Assembly:
    plain = recipe.model_copy(update={"budget": recipe.budget.model_copy(update={"minutes": None})})
    return assemble(plain, dataset, 0, copy.deepcopy(dict(custom or {})))


def _of_one(assembly: Assembly, recipe: Recipe, dataset: Dataset) -> float:
    """Multiply-adds of a step."""
    described = describe_networks(assembly.family.examples(recipe, len(dataset.class_names)), assembly.networks)
    adds = {each.name: float(each.multiply_adds) for each in described}
    return FAMILIES[recipe.family].multiply_adds(recipe, adds) * recipe.budget.batch


class Pace:
    """Observer that warns within the first tenth of a training if it takes longer than requested, and how long.

    The plan stays as it is: another number of steps would be another training.

    Args:
        facts: facts of `Resolved`.
    """

    def __init__(self, facts: Mapping[str, Any]) -> None:
        self.planned, self.minutes = facts["milliseconds_a_step"] / 1000, facts["minutes"]
        self._began: tuple[int, float] | None = None
        self._steps = 0
        self._said = False

    def started(self, schedule: Schedule, run: RunDirectory, done: int) -> None:
        self._steps = schedule.total_steps

    def stepped(self, step: int, seconds: float) -> None:
        if self._began is None or step < WARM:
            self._began = (step, seconds)
            return
        counted, spent = step - self._began[0], seconds - self._began[1]
        if self._said or counted < max(LEAST, 0.05 * self._steps) or step > 0.1 * self._steps:
            return
        if (slower := spent / counted / self.planned) > OVERRUN:
            self._said = True
            left = (self._steps - step) * spent / counted
            warnings.warn(
                f"steps take {slower:.2g} times as long as when they were timed (other work on this machine?): the "
                f"training will take about {(seconds + left) / 60:.2g} minutes instead of {self.minutes:g}; the "
                "number of steps stays the same",
                stacklevel=2,
            )
