"""Statistics of a few seeds: exact permutation tests, intervals that agree with them, equivalence, correction, power.

A test compares the observed difference of means with that of every arrangement in which the same numbers could have
fallen to the two arms: all ways to divide them between the arms for independent seeds, all ways to swap the two of a
pair for paired ones (Fisher 1935; Pitman 1937). Nothing is assumed about their distribution except that under the null
hypothesis all these arrangements are equally likely. With n + m numbers there are C(n + m, n) of them, 12,870 for two
arms of eight seeds; with n pairs 2^n.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import combinations
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
EXACT = 200_000
"""Up to this many arrangements, all are examined; beyond, this many are drawn with seed 0, plus the observed one."""
CHUNK = 1_000
"""Orders examined at a time."""
SIMULATIONS, SIMULATED_WAYS = 1_000, 4_000
"""Studies simulated by `detectable` and `showable`, and arrangements examined in each."""
ROUNDING = 1e-9
"""Differences within this, relative to the numbers' spread, are equal: they may stem from the order of additions."""


@dataclass(frozen=True)
class Test:
    """The outcome of a test of means.

    Attributes:
        difference: mean of the first arm minus mean of the second; of pairs, the mean difference; of one arm, its mean
            minus the value.
        p: two-sided p-value: share of arrangements whose difference is at least as far from 0.
        interval: values of the difference that the same test does not reject, at `level`; an end may be infinite if
            there are too few seeds to bound it.
        level: confidence level of the interval, such as 0.95: it excludes 0 exactly if p <= 1 - level.
        ways: number of arrangements examined.
        exact: whether these are all arrangements.
    """

    difference: float
    p: float
    interval: tuple[float, float]
    level: float
    ways: int
    exact: bool


@dataclass(frozen=True)
class _Ways:
    """All arrangements of the numbers: after subtracting s from the first arm, arrangement i has the difference
    `differences[i] - s * slopes[i]`. The observed one has slope 1."""

    observed: float
    differences: Floats
    slopes: Floats
    exact: bool
    tolerance: float

    def p(self, shift: float = 0.0) -> float:
        """Two-sided p-value of the hypothesis that the difference is `shift`."""
        return self._share(np.abs(self._at(shift)) >= abs(self.observed - shift) - self.tolerance)

    def p_less(self, shift: float) -> float:
        """One-sided p-value: how likely a difference as small as observed is if the true one is `shift`."""
        return self._share(self._at(shift) <= self.observed - shift + self.tolerance)

    def p_more(self, shift: float) -> float:
        """One-sided p-value: how likely a difference as large as observed is if the true one is `shift`."""
        return self._share(self._at(shift) >= self.observed - shift - self.tolerance)

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
        always = np.isclose(np.abs(self.slopes), 1)  # The observed arrangement, and its mirror image if any.
        thresholds = np.where(always, np.inf, np.fmax(first, second))
        allowed = math.floor(alpha * self._count + 1e-9) - self._added
        descending = np.sort(thresholds)[::-1]
        return float(descending[allowed]) if 0 <= allowed < len(descending) else math.inf

    def _at(self, shift: float) -> Floats:
        return self.differences - shift * self.slopes

    def _share(self, extreme: NDArray[np.bool_]) -> float:
        return (int(np.count_nonzero(extreme)) + self._added) / self._count

    @property
    def _added(self) -> int:
        return 0 if self.exact else 1

    @property
    def _count(self) -> int:
        return len(self.differences) + self._added


def difference(a: ArrayLike, b: ArrayLike, level: float = 0.95) -> Test:
    """Test of whether two arms of independent seeds differ: mean(a) - mean(b), (n,) and (m,), n and m at least 2.

    Raises:
        ValueError: an arm has fewer numbers, or one that is not finite.
    """
    x, y = _numbers(a, "a"), _numbers(b, "b")
    return _outcome(_dealt(x, y), lambda: _dealt(y, x), level)


def paired(a: ArrayLike, b: ArrayLike, level: float = 0.95) -> Test:
    """Test of whether two arms of the same seeds differ: mean(a - b), (n,) each, by flipping the differences' signs.

    For arms that share what their seed decides (initial weights, order of the data); otherwise use `difference`.

    Raises:
        ValueError: the numbers of seeds differ or are below two, or a number is not finite.
    """
    x, y = _numbers(a, "a"), _numbers(b, "b")
    if len(x) != len(y):
        raise ValueError(f"pairs: {len(x)} and {len(y)} seeds; the same seeds are needed in both")
    return one_arm(x - y, 0.0, level)


def one_arm(a: ArrayLike, value: float, level: float = 0.95) -> Test:
    """Test of whether the mean of an arm differs from a value, by flipping signs: this assumes a distribution that is
    symmetric around its centre. The interval is for mean(a) - value, as is `difference`."""
    x = _numbers(a, "a") - value
    return _outcome(_flipped(x), lambda: _flipped(-x), level)


def equivalence(a: ArrayLike, b: ArrayLike, margin: float, pairs: bool = False) -> float:
    """p of two one-sided tests: small if the difference of means lies within (-margin, margin) (Schuirmann 1987).

    Args:
        margin: larger than 0, in the unit of the numbers; it must be fixed before the numbers are seen.
        pairs: whether a and b have the same seeds, and share what these decide.
    """
    if not margin > 0:
        raise ValueError(f"margin is {margin}; allowed: more than 0")
    x, y = _numbers(a, "a"), _numbers(b, "b")
    ways = _flipped(x - y) if pairs else _dealt(x, y)
    return max(ways.p_less(margin), ways.p_more(-margin))


def trend(arms: Sequence[ArrayLike], draws: int = 20_000) -> tuple[float, float]:
    """(direction, p): whether numbers rise or fall across ordered arms (Jonckheere 1954; Terpstra 1952), two-sided.

    The statistic counts the pairs of numbers from different arms that are in the order of the arms, ties as half. Its
    distribution comes from `draws` random arrangements of the numbers, with seed 0.

    Returns:
        Direction from -1 (each number of a later arm is smaller) to 1 (each is larger), and p.
    """
    found = [_numbers(arm, f"arm {k}") for k, arm in enumerate(arms)]
    if len(found) < 3:
        raise ValueError(f"trend: {len(found)} arms; 3 or more are needed")
    arm = np.repeat(np.arange(len(found)), [len(values) for values in found])
    counts = arm[:, None] < arm[None, :]  # Pairs of a number from an earlier arm and one from a later arm.
    values = np.concatenate(found)

    def directions(orders: Floats) -> Floats:
        rises = np.sign(orders[:, None, :] - orders[:, :, None])
        return np.asarray(rises[:, counts].sum(1) / np.count_nonzero(counts))

    rng, extreme = np.random.default_rng(0), 1  # The observed arrangement is one of them.
    observed = float(directions(values[None])[0])
    for k in range(0, draws, CHUNK):
        drawn = directions(rng.permuted(np.tile(values, (min(CHUNK, draws - k), 1)), axis=1))
        extreme += int(np.count_nonzero(np.abs(drawn) >= abs(observed) - ROUNDING))
    return observed, extreme / (draws + 1)


def holm(ps: Sequence[float]) -> list[float]:
    """Corrected p of each claim (Holm 1979): with probability 1 - alpha or more, all claims below alpha are true.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    order, corrected, least = np.argsort(ps), [0.0] * len(ps), 0.0
    for rank, k in enumerate(order.tolist()):
        least = max(least, min(1.0, (len(ps) - rank) * ps[k]))
        corrected[k] = least
    return corrected


def proportion(share: float, n: int, level: float = 0.95) -> tuple[float, float]:
    """Interval of a probability, if `share` of n independent trials succeeded: within [0, 1].

    It holds the values p whose normal approximation does not reject the share, |share - p| <= z sqrt(p (1 - p) / n), so
    it has a width at shares of 0 and 1 too (Wilson 1927).
    """
    z2 = NormalDist().inv_cdf((1 + level) / 2) ** 2
    middle = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = math.sqrt(z2 * (share * (1 - share) / n + z2 / (4 * n * n))) / (1 + z2 / n)
    return max(0.0, middle - half), min(1.0, middle + half)


def cohens_d(a: ArrayLike, b: ArrayLike) -> float:
    """(mean(a) - mean(b)) over the standard deviation within an arm: the root of the mean of both variances."""
    x, y = _numbers(a, "a"), _numbers(b, "b")
    within, apart = math.sqrt((x.var(ddof=1) + y.var(ddof=1)) / 2), float(x.mean() - y.mean())
    if within:
        return apart / within
    return math.copysign(math.inf, apart) if apart else 0.0


def smallest_p(n: int, m: int | None = None) -> float:
    """Smallest p that `difference` can give for n and m seeds or, without m, a test of n pairs or of one arm."""
    if m is None:
        return 0.5 ** (n - 1)
    return (2 if n == m else 1) / math.comb(n + m, n)


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
    weights, slopes, _ = _flips(n) if pairs else _deals(n, n)
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


def _outcome(ways: _Ways, mirrored: Callable[[], _Ways], level: float) -> Test:
    alpha = 1 - level
    interval = (-mirrored().upper(alpha), ways.upper(alpha))
    return Test(ways.observed, ways.p(), interval, level, ways._count, ways.exact)


def _dealt(x: Floats, y: Floats) -> _Ways:
    """All ways to divide the numbers between two arms of these sizes."""
    weights, slopes, exact = _deals(len(x), len(y))
    values = np.concatenate([x, y])
    tolerance = ROUNDING * (float(np.ptp(values)) or 1.0)
    return _Ways(float(x.mean() - y.mean()), weights @ values, slopes, exact, tolerance)


def _flipped(x: Floats) -> _Ways:
    """All ways to flip the signs of differences."""
    weights, slopes, exact = _flips(len(x))
    tolerance = ROUNDING * (float(np.abs(x).max()) or 1.0)
    return _Ways(float(x.mean()), weights @ x, slopes, exact, tolerance)


@cache
def _deals(n: int, m: int) -> tuple[Floats, Floats, bool]:
    """For all ways to divide n + m numbers between two arms: the weight of each number in the difference of means,
    (ways, n + m); what a shift of the first n adds, (ways,); and whether these are all ways."""
    if math.comb(n + m, n) <= EXACT:
        rows = np.array(list(combinations(range(n + m), n)))
        chosen = np.zeros((len(rows), n + m))
        np.put_along_axis(chosen, rows, 1.0, 1)
    else:
        one = np.concatenate([np.ones(n), np.zeros(m)])
        chosen = np.random.default_rng(0).permuted(np.tile(one, (EXACT, 1)), axis=1)
    weights = chosen / n - (1 - chosen) / m
    return weights, weights[:, :n].sum(1), math.comb(n + m, n) <= EXACT


@cache
def _flips(n: int) -> tuple[Floats, Floats, bool]:
    """The same for the ways to flip n signs."""
    if 2**n <= EXACT:
        signs = 1.0 - 2.0 * ((np.arange(2**n)[:, None] >> np.arange(n)) & 1)
    else:
        signs = np.random.default_rng(0).choice([-1.0, 1.0], (EXACT, n))
    return signs / n, signs.mean(1), 2**n <= EXACT


def _numbers(values: ArrayLike, name: str) -> Floats:
    """The numbers of a few seeds, (n,).

    Raises:
        ValueError: there are fewer than two, or one is not finite.
    """
    found = np.asarray(values, np.float64).ravel()
    if len(found) < 2:
        raise ValueError(f"{name}: {len(found)} seeds; 2 or more are needed")
    if not np.isfinite(found).all():
        raise ValueError(f"{name}: number {np.flatnonzero(~np.isfinite(found))[0]} is not finite")
    return found
