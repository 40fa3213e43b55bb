"""Quantities that a study measures of a run: metrics, also of some classes, logged columns, facts of curves, counts."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BeforeValidator, Field

from genlab.errors import unknown
from genlab.evaluation import curves
from genlab.evaluation.diagnosis.advice import ADVICE
from genlab.recipe.sections import Number as Numeric
from genlab.recipe.sections import Section

Share = Annotated[float, Numeric, Field(ge=0, le=1, allow_inf_nan=False)]
Finite = Annotated[float, Numeric, Field(allow_inf_nan=False)]
Rows = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Source:
    """Data that a quantity is taken from.

    Attributes:
        metrics: an evaluation's numbers, by dotted path: "frechet_distance", "discriminator.ranking".
        rows: the metric rows of the training.
        parameters: number of parameters of each network, by name.
        weights: sha256 over the final weights.
        times: seconds by name, such as those of training.
        findings: names of the faults and warnings in the diagnosis at the end; None if there was no training.
        stands_for: steps of the diverged training for which the only row is that of the untrained model; None for any
            other run.
    """

    metrics: Mapping[str, float | None] = field(default_factory=dict)
    rows: Rows = ()
    parameters: Mapping[str, int] = field(default_factory=dict)
    weights: str = ""
    times: Mapping[str, float] = field(default_factory=dict)
    findings: frozenset[str] | None = None
    stands_for: int | None = None


class BaseQuantity(Section):
    """A quantity that is measured of a run."""

    def problems(self) -> Iterator[str]:
        """Problems in the combination of its fields."""
        yield from ()


class Metric(BaseQuantity):
    """A number from the evaluation after training."""

    kind: Literal["metric"]
    name: str
    """Name as listed by `genlab metrics`, or a dotted path into the evaluation, as in discriminator.ranking."""

    def value(self, source: Source) -> float | None:
        return source.metrics.get(self.name)


class Column(BaseQuantity):
    """A logged column at a step, or over a window of steps."""

    kind: Literal["column"]
    name: str
    at: Annotated[float, Numeric, Field(ge=0, allow_inf_nan=False)] | None = None
    """Step or, from 0 to 1, share of the training; null for its end, or if there is a `window`."""
    window: tuple[Share, Share] | None = None
    """Start and end, as shares of the training."""
    take: Literal["mean", "median", "sd", "min", "max"] = "mean"
    """Statistic over the window."""
    minus: str | None = None
    """Another column, subtracted from this one row by row."""

    def problems(self) -> Iterator[str]:
        if self.window is None and self.take != "mean":
            yield f"take is {self.take}; it needs a window, as in window: [0.5, 1]"
        if self.window is not None and self.at is not None:
            yield "at and window are both given; give only one of them"
        if self.window is not None and not self.window[0] < self.window[1]:
            yield f"window is {list(self.window)}; its start must be before its end, as in [0.5, 1]"

    def value(self, source: Source) -> float | None:
        steps, values = _curve(source.rows, self.name, self.minus)
        if not len(steps):
            return None
        if source.stands_for is not None:
            return 0.0 if self.take == "sd" else float(values[-1])
        last = _last(source.rows)
        if self.window is not None:
            return curves.window(steps, values, self.window[0] * last, self.window[1] * last, self.take)
        at = 1.0 if self.at is None else self.at
        if at > last:  # A shorter training has no such step, and its last one is no substitute.
            return None
        return curves.at(steps, values, at * last if at <= 1 else at)


class Classes(BaseQuantity):
    """A number per class: its mean over some classes minus its mean over all the others."""

    kind: Literal["classes"]
    number: Literal["share", "legibility"]
    """Share of all images that the judge assigns to the class, or how certain the judge is of those images."""
    of: Annotated[tuple[str, ...], Field(min_length=1)]
    """Names of the classes."""

    def value(self, source: Source) -> float | None:
        each = {name: source.metrics[key] for name, key in class_keys(source.metrics, self.number).items()}
        chosen = [each.get(name) for name in self.of]
        others = [value for name, value in each.items() if name not in self.of and value is not None]
        known = [value for value in chosen if value is not None]
        if not others or not known or (self.number == "share" and len(known) < len(chosen)):
            return None
        return float(np.mean(known) - np.mean(others))


def needs_images(quantity: Quantity) -> bool:
    """Whether a quantity comes from the evaluation after training, for which a run's images are measured."""
    return isinstance(quantity, Metric | Classes)


class Curve(BaseQuantity):
    """A fact about the curve of one column."""

    kind: Literal["change-point", "spikes", "plateau", "onset"]
    """Step at which its level changes most; number of its spikes; step from which it stays level; first step from which
    it stays beyond a threshold. If there is no such step, the number of steps of the training is taken."""
    column: str
    threshold: Finite | None = None
    """Threshold of an onset."""
    below: bool = False
    """Whether an onset falls below the threshold instead of rising above it."""

    def problems(self) -> Iterator[str]:
        if self.kind == "onset" and self.threshold is None:
            yield "threshold is missing; an onset needs one, as in threshold: 0.9"
        if self.kind != "onset" and (self.threshold is not None or self.below):
            yield f"threshold and below belong to an onset; {self.kind} takes neither"

    def value(self, source: Source) -> float | None:
        steps, values = _curve(source.rows, self.column)
        if not len(steps):
            return None
        if source.stands_for is not None:  # A single row has no events.
            return 0.0 if self.kind == "spikes" else float(source.stands_for)
        if self.kind == "spikes":
            return float(len(curves.spikes(steps, values)))
        found: float | None
        if self.kind == "change-point":
            change = curves.change_point(steps, values)
            found = None if change is None else change.step
        elif self.kind == "plateau":
            found = curves.plateau(steps, values)
        else:
            assert self.threshold is not None
            found = curves.onset(steps, values, self.threshold, above=not self.below)
        return _last(source.rows) if found is None else float(found)


class Pair(BaseQuantity):
    """How two columns vary together: Pearson's correlation of their changes, or Spearman's of their values."""

    kind: Literal["correlation-of-changes", "rank-correlation"]
    columns: tuple[str, str]

    def value(self, source: Source) -> float | None:
        rows = [row for row in source.rows if all(is_number(row.get(name)) for name in self.columns)]
        a, b = (np.array([row[name] for row in rows], np.float64) for name in self.columns)
        return (curves.correlation_of_changes if self.kind == "correlation-of-changes" else curves.rank_correlation)(
            a, b
        )


class Number(BaseQuantity):
    """A count that needs no seeds, or a time."""

    kind: Literal["parameters", "seconds"]
    of: str = ""
    """Network whose parameters are counted; empty for all networks together."""

    def value(self, source: Source) -> float | None:
        if self.kind == "seconds":
            return source.times.get("seconds")
        if not self.of:
            return float(sum(source.parameters.values())) if source.parameters else None
        found = source.parameters.get(self.of)
        return None if found is None else float(found)


class Found(BaseQuantity):
    """Whether the diagnosis at the end has a given fault or warning: 1 or 0."""

    kind: Literal["finding"]
    name: str

    def problems(self) -> Iterator[str]:
        if self.name not in ADVICE:
            yield unknown("finding", self.name, ADVICE)

    def value(self, source: Source) -> float | None:
        return None if source.findings is None else float(self.name in source.findings)


class Weights(BaseQuantity):
    """The final weights, as a number that is equal only if every bit is: for claims of the kind `fact`."""

    kind: Literal["weights"]

    def value(self, source: Source) -> float | None:
        return float(int(source.weights[:12], 16)) if source.weights else None


def _of_kind(value: Any) -> Any:
    """Read a text as the name of a metric, and a mapping without a kind as a metric."""
    if isinstance(value, str):
        return {"kind": "metric", "name": value}
    return {"kind": "metric", **value} if isinstance(value, Mapping) else value


Quantity = Annotated[
    Annotated[Metric | Column | Classes | Curve | Pair | Number | Found | Weights, Field(discriminator="kind")],
    BeforeValidator(_of_kind),
]


def key(quantity: Section) -> str:
    """Definition of a quantity as text, under which a record keeps its value."""
    plain = quantity.model_dump(mode="json")
    if plain.get("minus", "") is None:  # Older records do not have this field.
        del plain["minus"]
    return json.dumps(plain, sort_keys=True)


def columns_of(quantity: Section) -> tuple[str, ...]:
    """Logged columns that a quantity needs."""
    if isinstance(quantity, Column):
        return (quantity.name, *([quantity.minus] if quantity.minus else []))
    if isinstance(quantity, Curve):
        return (quantity.column,)
    return quantity.columns if isinstance(quantity, Pair) else ()


CLASSES = "classes."
"""Prefix of the keys of single classes among the metrics of a source, as in classes.shirt.share."""


def class_keys(metrics: Mapping[str, Any], number: str) -> dict[str, str]:
    """Class -> key of one of its numbers."""
    end = f".{number}"
    return {
        key.removeprefix(CLASSES).removesuffix(end): key
        for key in metrics
        if key.startswith(CLASSES) and key.endswith(end)
    }


def is_number(value: Any) -> bool:
    """Whether a value is a finite number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _curve(rows: Rows, name: str, minus: str | None = None) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    there = [
        (row["step"], row[name] - (row[minus] if minus else 0))
        for row in rows
        if is_number(row.get(name)) and (minus is None or is_number(row.get(minus)))
    ]
    steps, values = zip(*there, strict=True) if there else ((), ())
    return np.array(steps, np.float64), np.array(values, np.float64)


def _last(rows: Rows) -> float:
    return float(rows[-1]["step"])
