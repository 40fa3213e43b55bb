"""Statistics of a few seeds: exact permutation tests, intervals that agree with them, equivalence, correction.

A test compares the observed difference of means with that of every arrangement in which the same numbers could have
fallen to the two arms: all ways to divide them between the arms for independent seeds, all ways to swap the two of a
pair for paired ones (Fisher 1935; Pitman 1937). Nothing is assumed about their distribution except that under the null
hypothesis all these arrangements are equally likely. With n + m numbers there are C(n + m, n) of them, 12,870 for two
arms of eight seeds; with n pairs 2^n. Numbers from several blocks, such as machines, are compared and divided only
within each block, so what a block adds to all its numbers has no effect; the numbers of arrangements multiply.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import combinations
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Labels = NDArray[Any]
Blocks = tuple[ArrayLike, ArrayLike]
"""Block of each number of two arms, such as the machine on which its seed ran."""
EXACT = 200_000
"""Up to this many arrangements, all are examined; beyond, this many are drawn with seed 0, plus the observed one."""
DRAWS, CHUNK = 20_000, 1_000
"""Random arrangements behind the p of a trend, and how many of them are examined at a time."""
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
        smallest, smallest_one_sided: smallest p that any numbers of these seeds can give to this test, and to one of
            the two that show equivalence.
    """

    difference: float
    p: float
    interval: tuple[float, float]
    level: float
    ways: int
    exact: bool
    smallest: float
    smallest_one_sided: float


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
        thresholds = np.where(self._ends, np.inf, np.fmax(first, second))
        allowed = math.floor(alpha * self._count + 1e-9) - self._added
        descending = np.sort(thresholds)[::-1]
        return float(descending[allowed]) if 0 <= allowed < len(descending) else math.inf

    def _at(self, shift: float) -> Floats:
        return self.differences - shift * self.slopes

    def _share(self, extreme: NDArray[np.bool_]) -> float:
        return (int(np.count_nonzero(extreme)) + self._added) / self._count

    @property
    def _ends(self) -> NDArray[np.bool_]:
        """Whether an arrangement is the observed one or its mirror image."""
        return np.isclose(np.abs(self.slopes), 1)

    @property
    def _added(self) -> int:
        return 0 if self.exact else 1

    @property
    def _count(self) -> int:
        return len(self.differences) + self._added


def difference(a: ArrayLike, b: ArrayLike, level: float = 0.95, blocks: Blocks | None = None) -> Test:
    """Test of whether two arms of independent seeds differ: mean(a) - mean(b), (n,) and (m,), n and m at least 2.

    Args:
        blocks: block of each number of a and of b. The difference is then the mean of the blocks' own differences, each
            with the weight n_k m_k / (n_k + m_k), and numbers change arms only within their block.

    Raises:
        ValueError: an arm has fewer numbers, or one that is not finite, or a block has numbers of one arm only.
    """
    x, y = _numbers(a, "a"), _numbers(b, "b")
    x_blocks, y_blocks = _labels((x, y), blocks)
    return _outcome(_dealt(x, y, x_blocks, y_blocks), lambda: _dealt(y, x, y_blocks, x_blocks), level)


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


def equivalence(a: ArrayLike, b: ArrayLike, margin: float, pairs: bool = False, blocks: Blocks | None = None) -> float:
    """p of two one-sided tests: small if the difference of means lies within (-margin, margin) (Schuirmann 1987).

    Args:
        margin: larger than 0, in the unit of the numbers; it must be fixed before the numbers are seen.
        pairs: whether a and b have the same seeds, and share what these decide.
        blocks: block of each number, as in `difference`; pairs need none.
    """
    if not margin > 0:
        raise ValueError(f"margin is {margin}; allowed: more than 0")
    x, y = _numbers(a, "a"), _numbers(b, "b")
    ways = _flipped(x - y) if pairs else _dealt(x, y, *_labels((x, y), blocks))
    return max(ways.p_less(margin), ways.p_more(-margin))


def trend(
    arms: Sequence[ArrayLike], draws: int = DRAWS, blocks: Sequence[ArrayLike] | None = None
) -> tuple[float, float]:
    """(direction, p): whether numbers rise or fall across ordered arms (Jonckheere 1954; Terpstra 1952), two-sided.

    The statistic counts the pairs of numbers from different arms that are in the order of the arms, ties as half. Its
    distribution comes from `draws` random arrangements of the numbers, with seed 0.

    Args:
        blocks: block of each number of each arm; pairs are counted, and numbers exchanged, within blocks only.

    Returns:
        Direction from -1 (each number of a later arm is smaller) to 1 (each is larger), and p.
    """
    found = [_numbers(arm, f"arm {k}") for k, arm in enumerate(arms)]
    if len(found) < 3:
        raise ValueError(f"trend: {len(found)} arms; 3 or more are needed")
    arm = np.repeat(np.arange(len(found)), [len(values) for values in found])
    values, block = np.concatenate(found), np.concatenate(_labels(found, blocks))
    # Pairs of a number from an earlier arm and one from a later arm.
    counts = (arm[:, None] < arm[None, :]) & (block[:, None] == block[None, :])

    def directions(orders: Floats) -> Floats:
        rises = np.sign(orders[:, None, :] - orders[:, :, None])
        return np.asarray(rises[:, counts].sum(1) / np.count_nonzero(counts))

    rng, extreme = np.random.default_rng(0), 1  # The observed arrangement is one of them.
    observed = float(directions(values[None])[0])
    for k in range(0, draws, CHUNK):
        orders = np.tile(values, (min(CHUNK, draws - k), 1))
        for each in np.unique(block):
            orders[:, block == each] = rng.permuted(orders[:, block == each], axis=1)
        extreme += int(np.count_nonzero(np.abs(directions(orders)) >= abs(observed) - ROUNDING))
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


def cohens_d(a: ArrayLike, b: ArrayLike, blocks: Blocks | None = None) -> float:
    """Difference of means over the standard deviation within an arm: the root of the mean of both variances.

    Within blocks, as in `difference`, if there are any; nan if no arm has two numbers in one block.
    """
    x, y = _numbers(a, "a"), _numbers(b, "b")
    labels = _labels((x, y), blocks)
    apart = means(x, y, blocks)
    variances = [variance_within(values, names) for values, names in zip((x, y), labels, strict=True)]
    known = [each for each in variances if each is not None]
    if not known:
        return math.nan
    if within := math.sqrt(sum(known) / len(known)):
        return (apart[0] - apart[1]) / within
    return math.copysign(math.inf, apart[0] - apart[1]) if apart[0] != apart[1] else 0.0


def means(a: ArrayLike, b: ArrayLike, blocks: Blocks | None = None) -> tuple[float, float]:
    """Mean of each arm, as means of the blocks' means with the weights of `difference`: their difference is the tested
    one."""
    x, y = _numbers(a, "a"), _numbers(b, "b")
    x_blocks, y_blocks = _labels((x, y), blocks)
    names, shares = np.unique(x_blocks), _shares(_sizes(x_blocks, y_blocks))
    of_x = sum(share * float(x[x_blocks == name].mean()) for name, share in zip(names, shares, strict=True))
    return of_x, sum(share * float(y[y_blocks == name].mean()) for name, share in zip(names, shares, strict=True))


def variance_within(values: Floats, blocks: Labels) -> float | None:
    """Variance of numbers around the mean of their block; None if each is the only one of its block."""
    each = [values[blocks == name] for name in np.unique(blocks)]
    freedom = len(values) - len(each)
    return sum(float(((one - one.mean()) ** 2).sum()) for one in each) / freedom if freedom else None


def smallest_p(n: int, m: int | None = None) -> float:
    """Smallest p that `difference` can give for n and m seeds or, without m, a test of n pairs or of one arm."""
    if m is None:
        return 0.5 ** (n - 1)
    return (2 if n == m else 1) / math.comb(n + m, n)


def smallest_p_of_trend(*blocks: Sequence[int]) -> float:
    """Smallest p that `trend` can give for blocks with these numbers of seeds in each arm: two of all ways to put the
    numbers into the arms are as much in order as can be, rising and falling."""
    ways = math.prod(math.factorial(sum(arms)) // math.prod(map(math.factorial, arms)) for arms in blocks)
    return max(1 / (DRAWS + 1), 2 / ways)


def _outcome(ways: _Ways, mirrored: Callable[[], _Ways], level: float) -> Test:
    alpha = 1 - level
    interval = (-mirrored().upper(alpha), ways.upper(alpha))
    return Test(
        ways.observed, ways.p(), interval, level, ways._count, ways.exact, ways.smallest(), ways.smallest_one_sided()
    )


def _dealt(x: Floats, y: Floats, x_blocks: Labels, y_blocks: Labels) -> _Ways:
    """All ways to divide the numbers of each block between two arms of these sizes."""
    weights, slopes, exact = divisions(_sizes(x_blocks, y_blocks))
    values = np.concatenate([x[np.argsort(x_blocks, kind="stable")], y[np.argsort(y_blocks, kind="stable")]])
    of_x, of_y = means(x, y, (x_blocks, y_blocks))
    tolerance = ROUNDING * (float(np.ptp(values)) or 1.0)
    return _Ways(of_x - of_y, weights @ values, slopes, exact, tolerance)


def _flipped(x: Floats) -> _Ways:
    """All ways to flip the signs of differences."""
    weights, slopes, exact = flips(len(x))
    tolerance = ROUNDING * (float(np.abs(x).max()) or 1.0)
    return _Ways(float(x.mean()), weights @ x, slopes, exact, tolerance)


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


def _sizes(x_blocks: Labels, y_blocks: Labels) -> tuple[tuple[int, int], ...]:
    """Number of seeds of both arms in each block."""
    return tuple((int((x_blocks == name).sum()), int((y_blocks == name).sum())) for name in np.unique(x_blocks))


def _shares(sizes: Sequence[tuple[int, int]]) -> list[float]:
    """Weight of each block in the mean of their differences: the more precise, the more."""
    precision = [n * m / (n + m) for n, m in sizes]
    return [each / sum(precision) for each in precision]


@cache
def flips(n: int) -> tuple[Floats, Floats, bool]:
    """The same for the ways to flip n signs."""
    if 2**n <= EXACT:
        signs = 1.0 - 2.0 * ((np.arange(2**n)[:, None] >> np.arange(n)) & 1)
    else:
        signs = np.random.default_rng(0).choice([-1.0, 1.0], (EXACT, n))
    return signs / n, signs.mean(1), 2**n <= EXACT


def _labels(arms: Sequence[Floats], blocks: Sequence[ArrayLike] | None) -> list[Labels]:
    """Block of each number of each arm; without blocks, one for all.

    Raises:
        ValueError: there are not as many blocks as numbers, or an arm has no number in one of them.
    """
    if blocks is None:
        return [np.zeros(len(arm), np.int64) for arm in arms]
    labels: list[Labels] = [np.asarray(each) for each in blocks]
    if [len(each) for each in labels] != [len(arm) for arm in arms]:
        raise ValueError("blocks: each number needs its block")
    if any(set(each.tolist()) != set(labels[0].tolist()) for each in labels):
        raise ValueError("blocks: every arm needs numbers in every block")
    return labels


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
