"""Every arrangement in which the numbers of a few seeds could have fallen to two arms, and the share of them that is as
extreme as the observed one; `statistics` makes tests and intervals of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Labels = NDArray[Any]
EXACT = 200_000
"""Up to this many arrangements, all are examined; beyond, this many are drawn with seed 0, plus the observed one."""
ROUNDING = 1e-9
"""Differences within this, relative to the numbers' spread, are equal: they may stem from the order of additions."""


@dataclass(frozen=True)
class Arrangements:
    """All arrangements of the numbers: after subtracting s from the first arm, arrangement i has the difference
    `differences[i] - s * slopes[i]`. The observed one has slope 1."""

    observed: float
    differences: Floats
    slopes: Floats
    exact: bool
    tolerance: float

    @property
    def count(self) -> int:
        return len(self.differences) + self._added

    def p(self, shift: float = 0.0) -> float:
        """Two-sided p-value of the hypothesis that the difference is `shift`."""
        return self._share(np.abs(self._at(shift)) >= abs(self.observed - shift) - self.tolerance)

    def p_less(self, shift: float) -> float:
        """One-sided p-value: how likely a difference as small as observed is if the true one is `shift`."""
        return self._share(self._at(shift) <= self.observed - shift + self.tolerance)

    def p_more(self, shift: float) -> float:
        """One-sided p-value: how likely a difference as large as observed is if the true one is `shift`."""
        return self._share(self._at(shift) >= self.observed - shift - self.tolerance)

    def smallest(self) -> float:
        """Smallest two-sided p: only the observed arrangement and its mirror image, if there is one, can be as far from
        0 as a difference that is larger than anything else in the numbers."""
        return self._share(self._ends)

    def smallest_one_sided(self) -> float:
        """Smallest one-sided p: the mirror image lies at the other end."""
        return self._share(np.isclose(self.slopes, 1))

    def upper(self, alpha: float) -> float:
        """Largest difference that the two-sided test does not reject at level alpha.

        For a shift s above the observed difference d, arrangement i is at least as extreme as the observed one if
        |D_i - s k_i| >= s - d, which holds up to s = max((D_i + d) / (1 + k_i), (d - D_i) / (1 - k_i)): the left side
        grows with s no faster than the right one, since |k_i| <= 1. So p falls as s grows, and the end of the interval
        is one of these thresholds.
        """
        with np.errstate(divide="ignore", invalid="ignore"):
            first = (self.differences + self.observed) / (1 + self.slopes)
            second = (self.observed - self.differences) / (1 - self.slopes)
        return self._end(np.where(self._ends, np.inf, np.fmax(first, second)), alpha)

    def upper_one_sided(self, alpha: float) -> float:
        """Largest difference that `p_less` does not reject at level alpha.

        For a shift s above the observed difference d, D_i - s k_i <= d - s holds up to s = (d - D_i) / (1 - k_i).
        """
        with np.errstate(divide="ignore", invalid="ignore"):
            thresholds = (self.observed - self.differences) / (1 - self.slopes)
        return self._end(np.where(np.isclose(self.slopes, 1), np.inf, thresholds), alpha)

    def _end(self, thresholds: Floats, alpha: float) -> float:
        """Largest shift at which more than a share alpha of arrangements is extreme; each is, up to its threshold."""
        allowed = math.floor(alpha * self.count + 1e-9) - self._added
        descending = np.sort(thresholds)[::-1]
        return float(descending[allowed]) if 0 <= allowed < len(descending) else math.inf

    def _at(self, shift: float) -> Floats:
        return self.differences - shift * self.slopes

    def _share(self, extreme: NDArray[np.bool_]) -> float:
        return (int(np.count_nonzero(extreme)) + self._added) / self.count

    @property
    def _ends(self) -> NDArray[np.bool_]:
        """Whether an arrangement is the observed one or its mirror image."""
        return np.isclose(np.abs(self.slopes), 1)

    @property
    def _added(self) -> int:
        return 0 if self.exact else 1


def dealt(x: Floats, y: Floats, x_blocks: Labels, y_blocks: Labels) -> Arrangements:
    """All ways to divide the numbers of each block between two arms of these sizes."""
    weights, slopes, exact = divisions(_sizes(x_blocks, y_blocks))
    values = np.concatenate([x[np.argsort(x_blocks, kind="stable")], y[np.argsort(y_blocks, kind="stable")]])
    of_x, of_y = means(x, y, x_blocks, y_blocks)
    tolerance = ROUNDING * (float(np.ptp(values)) or 1.0)
    return Arrangements(of_x - of_y, weights @ values, slopes, exact, tolerance)


def means(x: Floats, y: Floats, x_blocks: Labels, y_blocks: Labels) -> tuple[float, float]:
    """Mean of each arm, as means of the blocks' means, each with the weight of the block."""
    names, shares = np.unique(x_blocks), _shares(_sizes(x_blocks, y_blocks))
    of_x = sum(share * float(x[x_blocks == name].mean()) for name, share in zip(names, shares, strict=True))
    return of_x, sum(share * float(y[y_blocks == name].mean()) for name, share in zip(names, shares, strict=True))


def flipped(x: Floats) -> Arrangements:
    """All ways to flip the signs of differences."""
    weights, slopes, exact = flips(len(x))
    tolerance = ROUNDING * (float(np.abs(x).max()) or 1.0)
    return Arrangements(float(x.mean()), weights @ x, slopes, exact, tolerance)


@cache
def divisions(sizes: tuple[tuple[int, int], ...]) -> tuple[Floats, Floats, bool]:
    """For all ways to divide the n + m numbers of each block between two arms: the weight of each number in the
    difference of means, (ways, sum of n + sum of m); what a shift of the first arm adds, (ways,); and whether these are
    all ways."""
    counts = [math.comb(n + m, n) for n, m in sizes]
    exact, rng = math.prod(counts) <= EXACT, np.random.default_rng(0)
    parts = []
    for (n, m), share in zip(sizes, _shares(sizes), strict=True):
        if exact:
            rows = np.array(list(combinations(range(n + m), n)))
            chosen = np.zeros((len(rows), n + m))
            np.put_along_axis(chosen, rows, 1.0, 1)
        else:
            one = np.concatenate([np.ones(n), np.zeros(m)])
            chosen = rng.permuted(np.tile(one, (EXACT, 1)), axis=1)
        parts.append(share * (chosen / n - (1 - chosen) / m))
    if exact:  # Every way of one block with every way of the others.
        rows = np.indices(counts).reshape(len(counts), -1)
        parts = [part[row] for part, row in zip(parts, rows, strict=True)]
    firsts = np.hstack([part[:, :n] for part, (n, _) in zip(parts, sizes, strict=True)])
    seconds = np.hstack([part[:, n:] for part, (n, _) in zip(parts, sizes, strict=True)])
    return np.hstack([firsts, seconds]), firsts.sum(1), exact


@cache
def flips(n: int) -> tuple[Floats, Floats, bool]:
    """The same as `divisions` for the ways to flip n signs."""
    if 2**n <= EXACT:
        signs = 1.0 - 2.0 * ((np.arange(2**n)[:, None] >> np.arange(n)) & 1)
    else:
        signs = np.random.default_rng(0).choice([-1.0, 1.0], (EXACT, n))
    return signs / n, signs.mean(1), 2**n <= EXACT


def _sizes(x_blocks: Labels, y_blocks: Labels) -> tuple[tuple[int, int], ...]:
    """Number of seeds of both arms in each block."""
    return tuple((int((x_blocks == name).sum()), int((y_blocks == name).sum())) for name in np.unique(x_blocks))


def _shares(sizes: Sequence[tuple[int, int]]) -> list[float]:
    """Weight of each block in the mean of their differences: the more precise, the more."""
    precision = [n * m / (n + m) for n, m in sizes]
    return [each / sum(precision) for each in precision]
