"""How sure a number is: delete-a-block jackknife for statistics of whole sets, bootstrap for means.

A bootstrap draws images twice, and a duplicate is its own nearest neighbour and lowers a set's spread: intervals of
distances and neighbour counts come out beside the value itself. The jackknife only ever leaves images out.
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
    """A number, and the 95 % interval around it; None where too few images are there to say."""

    value: float
    interval: tuple[float, float] | None = None


def blocks_of(n: int) -> NDArray[np.int64]:
    """The block, 0 .. BLOCKS - 1, of each of n images: equally many in each, in an order that is always the same."""
    return np.random.default_rng(0).permutation(n) % BLOCKS


def from_replicates(value: float, left_out: Floats, low: float = -np.inf, high: float = np.inf) -> Estimate:
    """value +- t s, s^2 = (B - 1)/B sum_b (theta_b - mean theta)^2, theta_b the statistic without block b.

    It is the interval of the statistic at this number of images (Quenouille 1956, Tukey 1958; by blocks: Kunsch 1989):
    what the number of images itself does to it (its bias) is in value and floor alike, and not in the interval.

    Args:
        left_out: theta_b, shape (BLOCKS,).
        low, high: the range of the statistic, to which the interval is cut.
    """
    deviation = np.sqrt((BLOCKS - 1) / BLOCKS * np.square(left_out - left_out.mean()).sum())
    reach = STUDENT * float(deviation)
    return Estimate(float(value), (max(low, float(value) - reach), min(high, float(value) + reach)))


def jackknife(
    statistic: Callable[..., float], *sets: NDArray[Any], low: float = -np.inf, high: float = np.inf
) -> Estimate:
    """statistic(*sets) and its interval; block b is left out of every set at once.

    For independent sets the variances that they cause add up in this way. Sets of fewer than 2 BLOCKS rows get no
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
    """A share of n images with its interval; a share of 0 or 1 with the exact one of Clopper and Pearson (1934).

    There resampling sees no spread, or that of the threshold alone. 0 of n: up to 1 - 0.025^(1/n), about 3.7 / n.
    """
    if estimate.interval is None or estimate.value not in (0, 1):
        return estimate
    reach = 1 - 0.025 ** (1 / n)
    return Estimate(estimate.value, (0.0, reach) if estimate.value == 0 else (1 - reach, 1.0))


def bootstrap(values: NDArray[Any]) -> Estimate:
    """The mean of `values` (N,), and the 2.5 % and 97.5 % quantiles of the means of resampled ones (Efron 1979).

    Where all values are 0, or all are 1, they are taken as a share; see `of_share`.
    """
    values = rows_of(values, "values")
    if len(values) < 2:
        return Estimate(float(values.mean()))
    rng = np.random.default_rng(0)
    distinct, counts = np.unique(values, return_counts=True)
    if len(distinct) <= 1000:
        # How often each value is drawn is multinomial; that is the same resampling, without drawing every image.
        means = rng.multinomial(len(values), counts / len(values), RESAMPLES) @ distinct / len(values)
    else:
        means = np.array([values[rng.integers(len(values), size=len(values))].mean() for _ in range(RESAMPLES)])
    low, high = np.quantile(means, [0.025, 0.975])
    return of_share(Estimate(float(values.mean()), (float(low), float(high))), len(values))
