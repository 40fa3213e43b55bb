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
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike

from genlab.evaluation import arrangements
from genlab.evaluation.arrangements import ROUNDING, Arrangements, Floats, Labels, dealt, flipped

Blocks = tuple[ArrayLike, ArrayLike]
"""Block of each number of two arms, such as the machine on which its seed ran."""
DRAWS, CHUNK = 20_000, 1_000
"""Random arrangements behind the p of a trend, and how many of them are examined at a time."""


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
    return _outcome(dealt(x, y, x_blocks, y_blocks), lambda: dealt(y, x, y_blocks, x_blocks), level)


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
    return _outcome(flipped(x), lambda: flipped(-x), level)


def equivalence(a: ArrayLike, b: ArrayLike, margin: float, pairs: bool = False, blocks: Blocks | None = None) -> float:
    """p of two one-sided tests: small if the difference of means lies within (-margin, margin) (Schuirmann 1987).

    Args:
        margin: larger than 0, in the unit of the numbers; it must be fixed before the numbers are seen.
        pairs: whether a and b have the same seeds, and share what these decide.
        blocks: block of each number, as in `difference`; pairs need none.
    """
    if not margin > 0:
        raise ValueError(f"margin is {margin}; allowed: more than 0")
    ways = _arranged(a, b, pairs, blocks)
    return max(ways.p_less(margin), ways.p_more(-margin))


def equivalence_interval(
    a: ArrayLike, b: ArrayLike, level: float = 0.9, pairs: bool = False, blocks: Blocks | None = None
) -> tuple[float, float]:
    """Values of the difference that neither test of `equivalence` rejects at (1 - level) / 2: the arms are equivalent
    at that p exactly if both ends lie within the margin. With too few seeds to bound it, an end is infinite."""
    alpha, mirrored = (1 - level) / 2, None if blocks is None else (blocks[1], blocks[0])
    low = -_arranged(b, a, pairs, mirrored).upper_one_sided(alpha)
    return low, _arranged(a, b, pairs, blocks).upper_one_sided(alpha)


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
    return arrangements.means(x, y, *_labels((x, y), blocks))


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


def _outcome(ways: Arrangements, mirrored: Callable[[], Arrangements], level: float) -> Test:
    alpha = 1 - level
    interval = (-mirrored().upper(alpha), ways.upper(alpha))
    return Test(
        ways.observed, ways.p(), interval, level, ways.count, ways.exact, ways.smallest(), ways.smallest_one_sided()
    )


def _arranged(a: ArrayLike, b: ArrayLike, pairs: bool, blocks: Blocks | None) -> Arrangements:
    x, y = _numbers(a, "a"), _numbers(b, "b")
    return flipped(x - y) if pairs else dealt(x, y, *_labels((x, y), blocks))


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
