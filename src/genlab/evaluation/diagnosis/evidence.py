"""What a diagnosis may look at: the curves of a training run by role, its evaluations, and what is known about it.

Rules get an `Evidence` and nothing else. It is made of metric rows and evaluations, from a run or a user's own loop.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from genlab.evaluation.judge import PINNED
from genlab.families.base import Column
from genlab.families.registry import FAMILIES
from genlab.recipe import Recipe
from genlab.recipe.objectives import LOSSES
from genlab.runs.rows import Row

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Curve:
    """A quantity at the steps whose rows have a finite value for it: steps (n,), values (n,)."""

    steps: Floats
    values: Floats

    def __len__(self) -> int:
        return len(self.values)

    def last(self, share: float = 0.1, least: int = 5) -> Floats:
        """Values of the last `share` of the steps, and of at least `least` rows."""
        if not len(self):
            return self.values
        rows = int(np.count_nonzero(self.steps >= self.steps[-1] * (1 - share)))
        return self.values[-max(rows, least) :]

    def medians(self, width: int) -> Floats:
        """For each row, the median of itself and the rows before it: `width` rows in all, or as many as there are.

        >>> Curve(np.arange(4.0), np.array([1.0, 5.0, 3.0, 4.0])).medians(3).tolist()
        [1.0, 3.0, 3.0, 4.0]
        """
        first = [np.median(self.values[: k + 1]) for k in range(min(width - 1, len(self)))]
        rest = sliding_window_view(self.values, width) if len(self) >= width else np.empty((0, width))
        return np.concatenate([first, np.median(rest, axis=1)])

    def since(self, step: float) -> Curve:
        """The rows from a step on."""
        kept = self.steps >= step
        return Curve(self.steps[kept], self.values[kept])


EMPTY = Curve(np.empty(0), np.empty(0))


@dataclass(frozen=True)
class Measured:
    """An evaluation.

    Attributes:
        step: step of the weights that were measured.
        samples: number of images.
        values: metric -> its value, for the metrics that have one.
        real: metric -> its value for real images.
        classes: one row per class: class, share, share_in_data, requested_class_accuracy, within_class_diversity,
            legibility.
        pinned: whether a judge of the package read the images, for which it is known what distance is large.
    """

    step: int
    samples: int
    values: Mapping[str, float]
    real: Mapping[str, float]
    classes: Sequence[Mapping[str, Any]] = ()
    pinned: bool = True

    @classmethod
    def of(cls, step: int, record: Mapping[str, Any]) -> Measured:
        """An evaluation from its record."""
        found = record["metrics"].items()
        return cls(
            step,
            record["protocol"]["samples"],
            {name: float(each["value"]) for name, each in found if each["value"] is not None},
            {name: float(each["floor"]) for name, each in found if each["floor"] is not None},
            record["classes"],
            (record["protocol"].get("judge") or {}).get("sha256") in PINNED.values(),
        )

    @property
    def distance(self) -> float | None:
        """Frechet distance over that of real images."""
        value, floor = (side.get("frechet_distance") for side in (self.values, self.real))
        return value / floor if value is not None and floor else None


BETTER = 0.9
FEW = 5000
"""Number of training images below which a model may memorise them."""


@dataclass(frozen=True)
class Known:
    """What is known about a training run beside its numbers.

    Attributes:
        drawing: whether it makes images.
        adversarial, latent, naming: whether it is a game of D and G; has a latent code with a KL term; names classes.
        conditional: whether images are drawn for a requested class.
        border: whether the sign of D's logit says "real" or "generated".
        pairs: whether D compares images in pairs, so that only differences between logits mean anything.
        rest_discriminator, rest_generator: losses when D cannot tell real from generated; None if not known.
        discriminator_learns, generator_learns: whether the recipe lets them learn.
        images: number of training images.
        classes: number of classes in the data.
        failure: why the training ended, if it failed.
    """

    drawing: bool = True
    adversarial: bool = False
    latent: bool = False
    naming: bool = False
    conditional: bool = False
    border: bool = False
    pairs: bool = False
    rest_discriminator: float | None = None
    rest_generator: float | None = None
    discriminator_learns: bool = True
    generator_learns: bool = True
    images: int | None = None
    classes: int = 0
    failure: str = ""

    @property
    def few(self) -> str:
        """Statement that there are few training images, as a cause; empty if there are not."""
        return f"only {self.images:,} training images" if self.images and self.images < FEW else ""


@dataclass(frozen=True)
class Evidence:
    """All that rules see.

    Attributes:
        step: the newest step.
        total: number of planned steps; None if it is not known.
        curves: role (`families.base.Role`) -> curve.
        evaluations: evaluations in the order of their steps.
        known: what else is known.
    """

    step: int
    total: int | None
    curves: Mapping[str, Curve]
    evaluations: tuple[Measured, ...]
    known: Known

    def curve(self, role: str) -> Curve:
        """The curve of a role; empty if it was not logged."""
        return self.curves.get(role, EMPTY)

    def metric(self, name: str) -> Curve:
        """A metric over the evaluations that have it."""
        there = [each for each in self.evaluations if name in each.values]
        return Curve(np.array([each.step for each in there], float), np.array([each.values[name] for each in there]))

    def distances(self) -> Curve:
        """The ratio of the Frechet distance to that of real images, over the evaluations."""
        there = [(each.step, each.distance) for each in self.evaluations if each.distance is not None]
        return Curve(np.array([step for step, _ in there], float), np.array([value for _, value in there], float))

    def improves(self) -> bool:
        """Whether the images still get better: the least distance to real images in the last third of the evaluations
        (at least five, but not all) is below `BETTER` times the least distance before. True for two or three
        evaluations, which are too few to tell."""
        values = self.distances().values
        if len(values) < 4:
            return len(values) > 1
        recent = min(max(5, len(values) // 3), len(values) - 1)
        return bool(values[-recent:].min() < BETTER * values[:-recent].min())

    def until(self, step: int) -> Evidence:
        """The evidence as of a step."""
        curves = {}
        for role, curve in self.curves.items():
            kept = curve.steps <= step
            curves[role] = Curve(curve.steps[kept], curve.values[kept])
        seen = tuple(each for each in self.evaluations if each.step <= step)
        known = self.known if step >= self.step else replace(self.known, failure="")
        return replace(self, step=min(step, self.step), curves=curves, evaluations=seen, known=known)


def curves_of(rows: Sequence[Row], columns: Iterable[Column]) -> dict[str, Curve]:
    """The columns that have a role, as curves. If rows hold the mean of a quantity over the steps since the last row,
    that mean is used: single minibatches are noisy."""
    found: dict[str, Curve] = {}
    for column in columns:
        if not column.role:
            continue
        there = [(row["step"], row.get(f"{column.name}_mean", row.get(column.name))) for row in rows]
        kept = [(step, value) for step, value in there if isinstance(value, int | float) and np.isfinite(value)]
        if kept:
            steps, values = np.array(kept, float).T
            found[column.role] = Curve(steps, values)
    return found


def known_of(recipe: Recipe, curves: Mapping[str, Curve], images: int | None, classes: int, failure: str = "") -> Known:
    """What a recipe says about a training run or, for a user's own loop, what the quantities that it logged say."""
    family = FAMILIES[recipe.family]
    adversarial, latent, naming = (
        bool(capability) or (family.own_loop and role in curves)
        for capability, role in (
            (family.scoring, "loss of discriminator"),
            (family.bounding, "kl"),
            (family.naming, "training accuracy"),
        )
    )
    name = getattr(getattr(recipe, "objective", None), "loss", "")
    loss = LOSSES.get(name or "") if adversarial else None
    half = getattr(getattr(recipe, "objective", None), "discriminator_terms", "sum") == "half-sum"
    rest = loss.rest_discriminator if loss else None
    players = getattr(getattr(recipe, "objective", None), "players", "both")
    return Known(
        drawing=(adversarial or latent or not naming) if family.own_loop else family.sampling is not None,
        adversarial=adversarial,
        latent=latent,
        naming=naming,
        conditional=recipe.conditional,
        border=bool(loss and loss.has_border),
        pairs=bool(loss and loss.pairs),
        rest_discriminator=None if rest is None else rest / 2 if half else rest,
        rest_generator=loss.rest_generator if loss else None,
        discriminator_learns=players != "generator",
        generator_learns=players != "discriminator",
        images=images,
        classes=classes,
        failure=failure,
    )


Predicate = Callable[[Measured], bool]


def episodes(steps: Sequence[float], flags: Sequence[bool], stays: int = 1) -> list[tuple[tuple[int, int], int | None]]:
    """When something was true: ((last step before, first step), step at which it was over or None) of each episode.

    Args:
        steps, flags: steps in order, and whether it was true at each.
        stays: how many times in a row it must be true to count.

    >>> episodes([10, 20, 30, 40], [False, True, True, False])
    [((10, 20), 40)]
    >>> episodes([10, 20, 30], [True, False, True])
    [((0, 10), 20), ((20, 30), None)]
    """
    found: list[tuple[tuple[int, int], int | None]] = []
    k = 0
    while k < len(flags):
        if not flags[k]:
            k += 1
            continue
        end = next((j for j in range(k, len(flags)) if not flags[j]), len(flags))
        if end - k >= stays:
            before = int(steps[k - 1]) if k else 0
            found.append(((before, int(steps[k])), int(steps[end]) if end < len(flags) else None))
        k = end
    return found
