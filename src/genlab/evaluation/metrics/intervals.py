"""How certain a number is: delete-a-block jackknife for statistics of whole sets, bootstrap for means.

A bootstrap draws some images twice, and a duplicate is its own nearest neighbour and lowers the spread of a set, so
intervals of distances and neighbour counts would miss the value itself. The jackknife only ever leaves images out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genlab.evaluation.metrics.rows import Floats, rows_of

BLOCKS = 20
STUDENT = 2.0930
"""The 97.5 % quantile of Student's t with BLOCKS - 1 degrees of freedom."""
RESAMPLES = 1000


@dataclass(frozen=True)
class Estimate:
    """A number and its 95 % interval, which is None if there are too few images."""

    value: float
    interval: tuple[float, float] | None = None


def blocks_of(n: int) -> NDArray[np.int64]:
    """Block, 0 .. BLOCKS - 1, of each of n images: equally many in each block, and the same in every call."""
    return np.random.default_rng(0).permutation(n) % BLOCKS


def from_replicates(value: float, left_out: Floats, low: float = -np.inf, high: float = np.inf) -> Estimate:
    """value +- t s, s^2 = (B - 1)/B sum_b (theta_b - mean theta)^2, theta_b the statistic without block b.

    This is the interval of the statistic at this number of images (Quenouille 1956, Tukey 1958; by blocks: Kunsch
    1989): the bias due to that number is in value and floor alike, but not in the interval.

    Args:
        left_out: theta_b, shape (BLOCKS,).
        low, high: range of the statistic, to which the interval is clipped.
    """
    deviation = np.sqrt((BLOCKS - 1) / BLOCKS * np.square(left_out - left_out.mean()).sum())
    reach = STUDENT * float(deviation)
    return Estimate(float(value), (max(low, float(value) - reach), min(high, float(value) + reach)))


def jackknife(
    statistic: Callable[..., float], *sets: NDArray[Any], low: float = -np.inf, high: float = np.inf
) -> Estimate:
    """statistic(*sets) and its interval; block b is left out of every set at once.

    For independent sets, the variances that they contribute add up this way. Sets of fewer than 2 BLOCKS rows get no
    interval, nor does a statistic that is undefined (not finite) without one of the blocks.
    """
    value = float(statistic(*sets))
    if min(len(rows) for rows in sets) < 2 * BLOCKS:
        return Estimate(value)
    blocks = [blocks_of(len(rows)) for rows in sets]
    without = [
        float(statistic(*(rows[own != b] for rows, own in zip(sets, blocks, strict=True)))) for b in range(BLOCKS)
    ]
    if not np.isfinite([value, *without]).all():
        return Estimate(value)
    return from_replicates(value, np.array(without), low, high)


def of_share(estimate: Estimate, n: int) -> Estimate:
    """A share of n images with its interval; for a share of 0 or 1, the exact interval of Clopper and Pearson (1934).

    At 0 and 1 resampling sees no spread, or only that of the threshold. 0 of n: up to 1 - 0.025^(1/n), about 3.7 / n.
    """
    if estimate.interval is None or estimate.value not in (0, 1):
        return estimate
    reach = 1 - 0.025 ** (1 / n)
    return Estimate(estimate.value, (0.0, reach) if estimate.value == 0 else (1 - reach, 1.0))


def bootstrap(values: NDArray[Any]) -> Estimate:
    """The mean of `values` (N,), and the 2.5 % and 97.5 % quantiles of the means of resampled values (Efron 1979).

    If all values are 0, or all are 1, their mean is treated as a share; see `of_share`.
    """
    values = rows_of(values, "values")
    if len(values) < 2:
        return Estimate(float(values.mean()))
    rng = np.random.default_rng(0)
    distinct, counts = np.unique(values, return_counts=True)
    if len(distinct) <= 1000:
        # The counts of the values drawn are multinomial: the same resampling, without drawing every image.
        means = rng.multinomial(len(values), counts / len(values), RESAMPLES) @ distinct / len(values)
    else:
        means = np.array([values[rng.integers(len(values), size=len(values))].mean() for _ in range(RESAMPLES)])
    low, high = np.quantile(means, [0.025, 0.975])
    return of_share(Estimate(float(values.mean()), (float(low), float(high))), len(values))
