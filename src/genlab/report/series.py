"""A quantity of a run's metric rows as the points of a curve, with a band if the rows record how much it varied."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from genlab.families.base import BLOCK
from genlab.runs.rows import Row

POINTS = 400
"""Most points that a curve shows; with more rows, each point is the mean of a block of rows."""
FEWEST = 5
"""Fewest rows in a block whose 10 % and 90 % quantiles are worth showing."""
Axis = Literal["step", "epoch", "half-epoch", "images", "seconds"]
AXIS_WORDS: dict[Axis, str] = {
    "step": "step",
    "epoch": "epoch",
    "half-epoch": "half epochs (the steps of report S0)",
    "images": "training images seen",
    "seconds": "seconds of training",
}
AXES = tuple(AXIS_WORDS)
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Series:
    """Points of a curve.

    Attributes:
        x: step, epoch, half epoch, images or seconds of training at each point, (n,); a block of rows has the position
            of its last row.
        y: mean over the steps that a point stands for, or the value at a single step, (n,); NaN if it was not finite.
        low, high: 10 % and 90 % quantile over these steps, (n,); NaN if unknown. A block of rows has the mean of their
            quantiles, each row weighted by the number of steps that it stands for.
        block: number of rows that each point is the mean of.
    """

    x: Floats
    y: Floats
    low: Floats
    high: Floats
    block: int

    @property
    def has_band(self) -> bool:
        """Whether the spread is known at any point."""
        return bool(np.isfinite(self.low).any())


def series(
    rows: Sequence[Row], column: str, against: Axis = "step", block: int | None = None, points: int = POINTS
) -> Series:
    """The points of a column over the rows that have it.

    Args:
        block: steps per point (default: the fewest that give at most `points` points).
    """
    there = [row for row in rows if column in row]
    if not there:
        nothing = np.empty(0)
        return Series(nothing, nothing, nothing, nothing, 1)
    x = 2 * _numbers(there, "epoch") if against == "half-epoch" else _numbers(there, against)
    mean, low, high = (_numbers(there, f"{column}{end}") for end in BLOCK)
    y = np.where(np.isfinite(mean), mean, _numbers(there, column))
    # A row with a mean stands for all steps since the previous row, any other row for its own step.
    every = np.diff(_numbers(there, "step"), prepend=0.0)
    weights = np.where(np.isfinite(mean), every, 1.0)
    if block is None:
        rows_each = math.ceil(len(there) / points)
        group = np.arange(len(there)) // rows_each
    else:
        group = (_numbers(there, "step").astype(np.int64) - 1) // block
        rows_each = math.ceil(len(there) / len(np.unique(group)))
    if rows_each == 1:
        return Series(x, y, low, high, 1)
    starts = np.flatnonzero(np.diff(group, prepend=group[0] - 1))
    parts = [slice(a, b) for a, b in zip(starts, [*starts[1:], len(group)], strict=True)]
    bands = [_band(y[part], low[part], high[part], weights[part]) for part in parts]
    return Series(
        np.array([x[part][-1] for part in parts]),
        np.array([np.average(y[part], weights=weights[part]) for part in parts]),
        np.array([low for low, _ in bands]),
        np.array([high for _, high in bands]),
        rows_each,
    )


def _band(y: Floats, low: Floats, high: Floats, weights: Floats) -> tuple[float, float]:
    """The band of several rows: the mean of their quantiles, or else the quantiles of their values."""
    if np.isfinite(low).all():
        return float(np.average(low, weights=weights)), float(np.average(high, weights=weights))
    if len(y) >= FEWEST and np.isfinite(y).all():
        a, b = np.quantile(y, (0.1, 0.9))
        return float(a), float(b)
    return math.nan, math.nan


def _numbers(rows: Sequence[Row], column: str) -> Floats:
    """The column's value in each row; NaN if it is null or missing."""
    return np.array([math.nan if row.get(column) is None else row[column] for row in rows], np.float64)
