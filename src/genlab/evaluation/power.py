"""Power: how small a difference or a margin a number of seeds can show, from simulated studies of normal numbers."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache

import numpy as np

from genlab.evaluation import arrangements
from genlab.evaluation.arrangements import ROUNDING, Floats
from genlab.evaluation.statistics import smallest_p

SIMULATIONS, SIMULATED_WAYS = 1_000, 4_000
"""Studies simulated by `detectable` and `showable`, and arrangements examined in each."""


@cache
def detectable(n: int, alpha: float, pairs: bool = False, power: float = 0.8) -> float:
    """Smallest true difference that n seeds per arm detect with this power at level alpha, if the numbers are normal:
    in standard deviations within an arm (for pairs, of their differences), approximate, from simulations with seed 0.

    inf if alpha is below the smallest p for n seeds.
    """
    if smallest_p(n, None if pairs else n) > alpha:
        return math.inf
    differences, slopes, observed = _simulated(n, pairs)

    def found(effect: float) -> float:
        extreme = np.abs(differences + effect * slopes[:, None]) >= np.abs(observed + effect) - ROUNDING
        return float((extreme.mean(0) <= alpha).mean())

    return _least(found, power)


@cache
def showable(n: int, alpha: float, pairs: bool = False, power: float = 0.8) -> float:
    """Smallest margin within which n seeds per arm show two arms without a true difference to be equivalent, with this
    power at level alpha: in standard deviations within an arm (for pairs, of their differences), as in `detectable`.

    inf if alpha is below the smallest p for n seeds.
    """
    if (0.5**n if pairs else 1 / math.comb(2 * n, n)) > alpha:
        return math.inf
    differences, slopes, observed = _simulated(n, pairs)

    def found(margin: float) -> float:
        less = (differences - margin * slopes[:, None] <= observed - margin + ROUNDING).mean(0)
        more = (differences + margin * slopes[:, None] >= observed + margin - ROUNDING).mean(0)
        return float((np.maximum(less, more) <= alpha).mean())

    return _least(found, power)


@cache
def _simulated(n: int, pairs: bool) -> tuple[Floats, Floats, Floats]:
    """Studies of n normal numbers per arm, or of n differences, with a true difference of 0: the differences of some
    arrangements (ways, studies), what a true difference of 1 adds to each (ways,), and the observed ones (studies,)."""
    weights, slopes, _ = arrangements.flips(n) if pairs else arrangements.divisions(((n, n),))
    rng = np.random.default_rng(0)
    if len(weights) > SIMULATED_WAYS:
        chosen = rng.choice(len(weights), SIMULATED_WAYS, replace=False)
        weights, slopes = weights[chosen], slopes[chosen]
    values = rng.normal(size=(weights.shape[1], SIMULATIONS))
    return weights @ values, slopes, values[:n].mean(0) - (0 if pairs else values[n:].mean(0))


def _least(found: Callable[[float], float], power: float) -> float:
    """Smallest value at which an increasing chance reaches `power`, to 0.02."""
    low, high = 0.0, 1.0
    while found(high) < power:
        low, high = high, 2 * high
    while high - low > 0.02:
        middle = (low + high) / 2
        low, high = (low, middle) if found(middle) >= power else (middle, high)
    return high
