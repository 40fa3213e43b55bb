"""How far apart images lie, relative to real ones."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genlab.evaluation.metrics.intervals import BLOCKS, Estimate, blocks_of, from_replicates
from genlab.evaluation.metrics.rows import Floats, rows_of


def spread_ratio(
    real: NDArray[Any],
    fake: NDArray[Any],
    real_labels: NDArray[Any] | None = None,
    fake_labels: NDArray[Any] | None = None,
) -> Estimate | None:
    """Root mean squared distance between two images, over that between two real ones: 0 or more; 1 as in the data.

        sqrt(sum_k 2 tr Cov(fake | k) / sum_k 2 tr Cov(real | k))

    k runs over the classes; without labels there is only one. Sets (N, d), labels (N,). Near 0 if every z gives the
    same image. The interval is by jackknife; see `intervals`.

    Returns:
        None if no class has two images in both sets, or the real images are all alike.
    """
    labelled = real_labels is not None and fake_labels is not None
    kinds = 1 + int(max(np.max(real_labels), np.max(fake_labels))) if labelled else 1  # type: ignore[arg-type]
    there = _Sums(real, real_labels if labelled else None, kinds)
    here = _Sums(fake, fake_labels if labelled else None, kinds)
    value = _ratio(there.variances(), here.variances())
    if value is None:
        return None
    if min(len(real), len(fake)) < 2 * BLOCKS:
        return Estimate(value)
    without = [_ratio(there.variances(b), here.variances(b)) for b in range(BLOCKS)]
    known = np.array([each for each in without if each is not None])
    return from_replicates(value, known, low=0.0) if len(known) == BLOCKS else Estimate(value)


class _Sums:
    """Counts, sums and sums of squares of the rows of each block and class."""

    def __init__(self, rows: NDArray[Any], labels: NDArray[Any] | None, kinds: int) -> None:
        rows = rows_of(rows, "images")
        # All around one centre, so that subtracting squares loses little precision.
        rows = rows - rows.mean(0)
        cell = blocks_of(len(rows)) * kinds + (0 if labels is None else np.asarray(labels, np.int64))
        order = np.argsort(cell, kind="stable")
        self._shape = (BLOCKS, kinds)
        self._n = np.bincount(cell, minlength=BLOCKS * kinds)
        ends = np.concatenate([[0], np.cumsum(self._n)])
        parts = [rows[order[a:b]] for a, b in pairwise(ends)]
        self._first = np.array([part.sum(0) for part in parts])
        self._second = np.array([np.square(part).sum() for part in parts])

    def variances(self, without: int | None = None) -> Floats:
        """Sum of the variances (with n - 1) of each class, (kinds,), without a block if given; NaN below 2 rows."""
        kept = np.ones(BLOCKS) if without is None else np.arange(BLOCKS) != without
        n = kept @ self._n.reshape(self._shape)
        first = np.tensordot(kept, self._first.reshape(*self._shape, -1), 1)
        second = kept @ self._second.reshape(self._shape)
        with np.errstate(divide="ignore", invalid="ignore"):
            found: Floats = np.where(n >= 2, (second - np.square(first).sum(1) / n) / (n - 1), np.nan)
        return np.maximum(found, 0.0)


def _ratio(there: Floats, here: Floats) -> float | None:
    both = ~np.isnan(there) & ~np.isnan(here)
    real = float(there[both].sum())
    return math.sqrt(float(here[both].sum()) / real) if real > 0 else None
