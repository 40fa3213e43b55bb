"""Tests for few seeds, against scipy, closed forms and properties that hold for any numbers."""

from __future__ import annotations

import math
from itertools import combinations, product

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from genlab.evaluation import power
from genlab.evaluation import statistics as s

RNG = np.random.default_rng(5)
FEW = st.lists(st.floats(-100, 100).map(lambda x: round(x, 2)), min_size=2, max_size=6)


@pytest.mark.parametrize(("n", "m"), [(8, 8), (3, 5), (2, 2), (7, 4)])
def test_the_p_of_two_arms_is_scipys(n: int, m: int) -> None:
    for shift in (0.0, 1.0):
        a, b = RNG.normal(size=n) + shift, RNG.normal(size=m)

        def apart(x: np.ndarray, y: np.ndarray, axis: int) -> np.ndarray:
            return np.asarray(np.abs(x.mean(axis) - y.mean(axis)))

        expected = scipy.stats.permutation_test((a, b), apart, alternative="greater", n_resamples=np.inf).pvalue
        found = s.difference(a, b)
        assert found.p == pytest.approx(expected)
        assert (found.ways, found.exact) == (math.comb(n + m, n), True)


def test_the_p_of_pairs_is_scipys() -> None:
    a, b = RNG.normal(size=8) + 0.7, RNG.normal(size=8)

    def apart(x: np.ndarray, y: np.ndarray, axis: int) -> np.ndarray:
        return np.asarray(np.abs((x - y).mean(axis)))

    expected = scipy.stats.permutation_test(
        (a, b), apart, permutation_type="samples", alternative="greater", n_resamples=np.inf
    ).pvalue
    assert s.paired(a, b).p == pytest.approx(expected)


def test_the_smallest_p_is_that_of_arms_that_do_not_overlap() -> None:
    for n, m in ((8, 8), (4, 4), (3, 5)):
        assert s.difference(np.arange(n) + 100, np.arange(m)).p == pytest.approx(s.smallest_p(n, m))
    assert s.paired(np.arange(8) + 100, np.arange(8) / 2).p == s.smallest_p(8) == 2 / 256
    assert s.smallest_p(8, 8) == 2 / 12_870


def test_no_numbers_give_a_smaller_p_than_the_smallest() -> None:
    """Arms that are far apart reach it, whatever their sizes and blocks."""
    rng = np.random.default_rng(3)
    for a, b in (("xxx", "xxx"), ("xxxy", "xxy"), ("xxyy", "xyyy"), ("xy", "xy")):
        blocks = (list(a), list(b))
        found = s.difference(rng.normal(size=len(a)) + 100, rng.normal(size=len(b)), blocks=blocks)
        assert found.p == found.smallest
        assert s.difference(rng.normal(size=len(a)), rng.normal(size=len(b)), blocks=blocks).smallest == found.smallest
    assert s.one_arm(np.arange(8) + 100, 0).smallest == s.smallest_p(8)
    assert s.difference(np.arange(8), np.arange(8), blocks=(list("xxxxyyyy"), list("xxxxyyyy"))).smallest == 2 / 70**2


def test_pairs_are_blocks_of_one_seed() -> None:
    a, b = RNG.normal(size=7) + 0.5, RNG.normal(size=7)
    apart, pairs = s.difference(a, b, blocks=(range(7), range(7))), s.paired(a, b)
    assert (apart.p, apart.ways, apart.smallest) == (pairs.p, pairs.ways, pairs.smallest)
    assert (apart.difference, *apart.interval) == pytest.approx((pairs.difference, *pairs.interval))
    equivalent = s.equivalence(a, b, 2, blocks=(range(7), range(7)))
    assert equivalent == s.equivalence(a, b, 2, pairs=True)


def test_one_block_is_no_blocks() -> None:
    a, b = RNG.normal(size=5) + 0.5, RNG.normal(size=6)
    assert s.difference(a, b, blocks=(["x"] * 5, ["x"] * 6)) == s.difference(a, b)


def test_blocks_multiply_their_arrangements() -> None:
    """p by hand: every division of one block with every division of the other."""
    a, b = RNG.normal(size=5) + 1, RNG.normal(size=6)
    in_a, in_b = np.array(list("xxyyy")), np.array(list("xxxyyy"))
    blocks, shares = [np.concatenate([a[in_a == x], b[in_b == x]]) for x in "xy"], np.array([6 / 5, 9 / 6])
    shares = shares / shares.sum()
    every = [
        [np.mean(each[list(one)]) - np.mean(np.delete(each, one)) for one in combinations(range(len(each)), n)]
        for each, n in zip(blocks, (2, 3), strict=True)
    ]
    all_ways = np.array([shares[0] * d + shares[1] * e for d, e in product(*every)])
    found = s.difference(a, b, blocks=(in_a, in_b))
    assert found.difference == pytest.approx(all_ways[0])
    assert found.p == pytest.approx(np.mean(np.abs(all_ways) >= abs(all_ways[0]) - 1e-12))
    assert (found.ways, found.exact) == (10 * 20, True)


@given(st.floats(-1000, 1000))
@settings(max_examples=20, deadline=None)
def test_what_a_block_adds_to_all_its_numbers_has_no_effect(added: float) -> None:
    rng = np.random.default_rng(6)
    arms = [rng.normal(size=5) + 0.5 * k for k in range(3)]
    labels = [np.array(list(each)) for each in ("xxxyy", "xxyyy", "xxxyy")]
    moved = [arm + added * (label == "y") for arm, label in zip(arms, labels, strict=True)]
    pair, moved_pair = (s.difference(each[0], each[1], blocks=(labels[0], labels[1])) for each in (arms, moved))
    assert moved_pair.p == pair.p
    assert (moved_pair.difference, *moved_pair.interval) == pytest.approx((pair.difference, *pair.interval), abs=1e-9)
    assert s.trend(moved, 500, labels) == pytest.approx(s.trend(arms, 500, labels))


def test_a_trend_within_blocks_is_smaller_than_chance_only_if_it_is_in_each() -> None:
    labels = [["x", "x", "y", "y"]] * 3
    rising = [np.array([0, 1, 100, 101]) + 2 * k for k in range(3)]
    direction, p = s.trend(rising, blocks=labels)
    assert direction == 1
    assert p == pytest.approx(s.smallest_p_of_trend([2, 2, 2], [2, 2, 2]), abs=1e-3)
    assert s.smallest_p_of_trend([2, 2, 2], [2, 2, 2]) == 2 / 90**2
    opposite = [np.array([0, 1, 100, 101]) + np.array([2, 2, -2, -2]) * k for k in range(3)]
    assert s.trend(opposite, blocks=labels)[0] == 0


@given(FEW, FEW, st.sampled_from([0.5, 0.8, 0.9]))
@settings(max_examples=60, deadline=None)
def test_interval_and_verdict_agree(a: list[float], b: list[float], level: float) -> None:
    """The interval leaves out exactly the differences that the test rejects."""
    found = s.difference(a, b, level)
    low, high = found.interval
    assert low <= found.difference <= high
    spread = (max(a + b) - min(a + b)) or 1.0
    for end, outwards in ((low, -1), (high, 1)):
        if math.isfinite(end):
            step = 1e-4 * spread
            inside, outside = end - outwards * step, end + outwards * step
            assert s.difference(np.array(a) - outside, b).p <= 1 - level + 1e-9
            if low < inside < high:
                assert s.difference(np.array(a) - inside, b).p > 1 - level - 1e-9
        else:  # No difference on this side can be rejected.
            far = found.difference + outwards * 1e6 * spread
            assert s.difference(np.array(a) - far, b).p > 1 - level - 1e-9


@given(FEW, FEW)
@settings(max_examples=40, deadline=None)
def test_exchanging_the_arms_turns_everything_round(a: list[float], b: list[float]) -> None:
    one, other = s.difference(a, b, 0.8), s.difference(b, a, 0.8)
    assert one.p == other.p
    assert one.difference == pytest.approx(-other.difference)
    assert one.interval == pytest.approx((-other.interval[1], -other.interval[0]))


def test_an_interval_of_one_arm_holds_its_mean() -> None:
    values = RNG.normal(3, 1, 8)
    found = s.one_arm(values, 0.0)
    assert found.difference == pytest.approx(values.mean())
    assert found.p == s.smallest_p(8)
    assert found.interval[0] > 0
    assert s.one_arm(values, found.interval[0] - 0.01).p <= 0.05
    assert s.one_arm(values, found.interval[0] + 0.01).p > 0.05


def test_coverage_under_the_null() -> None:
    """At 5 %, the test rejects at most 5 % of pairs of equal arms, whatever their distribution; here a skewed one."""
    rng = np.random.default_rng(1)
    ps = [s.difference(rng.exponential(size=6), rng.exponential(size=6)).p for _ in range(1000)]
    assert np.mean(np.array(ps) <= 0.05) <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / 1000)
    assert np.mean(np.array(ps) <= 0.5) == pytest.approx(0.5, abs=0.05)


def test_equivalence_by_hand() -> None:
    """The p-value is that of all six ways to divide 2 + 2 numbers, one-sided at both ends of the margin."""
    a, b, margin = np.array([1.0, 2.0]), np.array([1.5, 1.2]), 3.0
    worst = 0.0
    for sign in (1, -1):
        shifted = np.concatenate([a - sign * margin, b])
        observed = shifted[:2].mean() - shifted[2:].mean()
        ways = [shifted[list(c)].mean() - np.delete(shifted, c).mean() for c in combinations(range(4), 2)]
        worst = max(worst, np.mean([way * sign <= observed * sign + 1e-9 for way in ways]))
    assert s.equivalence(a, b, margin) == pytest.approx(worst)
    assert s.equivalence(a, b, 0.01) > 0.5


@given(FEW, FEW, st.sampled_from([0.6, 0.8, 0.9]), st.booleans())
@settings(max_examples=60, deadline=None)
def test_the_interval_of_equivalence_agrees_with_its_p(
    a: list[float], b: list[float], level: float, pairs: bool
) -> None:
    """Two arms are equivalent exactly if the interval lies within the margin, whichever of its ends is farther out."""
    if pairs:
        a, b = a[: len(b)], b[: len(a)]
    low, high = s.equivalence_interval(a, b, level, pairs)
    scale, end = float(np.ptp([*a, *b, 0])) or 1.0, max(-low, high)
    if math.isinf(end):
        assert s.equivalence(a, b, 1000 * scale, pairs) > (1 - level) / 2
        return
    assert s.equivalence(a, b, max(end, 0) + 1e-6 * scale, pairs) <= (1 - level) / 2 + 1e-9
    if end > 2e-6 * scale:
        assert s.equivalence(a, b, end - 1e-6 * scale, pairs) > (1 - level) / 2


def test_the_interval_of_equivalence_turns_round_with_the_arms_and_their_blocks() -> None:
    a, b, blocks = [1.0, 2, 4, 8, 16, 3], [0.0, 1, 5, 7, 2, 9], ([0, 0, 0, 1, 1, 1], [0, 0, 1, 1, 1, 1])
    low, high = s.equivalence_interval(a, b, 0.9, blocks=blocks)
    assert s.equivalence_interval(b, a, 0.9, blocks=blocks[::-1]) == pytest.approx((-high, -low))
    wider = s.difference(a, b, 0.95, blocks).interval
    assert wider[0] < low < s.difference(a, b, 0.95, blocks).difference < high < wider[1]


def test_equivalence_is_wrong_at_the_margin_at_its_level() -> None:
    """Equivalence is shown in at most 5 % if the true difference is the margin; if it is 0 and the margin wide, in 80 %
    or more."""
    rng = np.random.default_rng(2)
    margin, wrong, right = 1.25, 0, 0
    for _ in range(500):
        apart = rng.normal(size=8)
        wrong += s.equivalence(apart + margin, np.zeros(8), margin, pairs=True) <= 0.05
        right += s.equivalence(apart, np.zeros(8), margin, pairs=True) <= 0.05
    assert wrong / 500 <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / 500)
    assert right / 500 >= 0.8


def test_a_trend_is_scipys_and_a_direction() -> None:
    arms = [RNG.normal(size=5) + k for k in range(4)]
    direction, p = s.trend(arms)
    assert direction > 0.4
    assert p < 0.01
    assert s.trend(arms[::-1])[0] == pytest.approx(-direction)
    ordered = [np.arange(3) + 10 * k for k in range(3)]
    assert s.trend(ordered)[0] == 1
    tau = scipy.stats.kendalltau(np.repeat([0, 1, 2], 3), np.concatenate(ordered), variant="c").statistic
    assert tau == pytest.approx(1)
    nothing = [s.trend([RNG.normal(size=4) for _ in range(3)], draws=300)[1] for _ in range(200)]
    assert np.mean(np.array(nothing) <= 0.05) <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / 200)


@pytest.mark.parametrize(("found", "n"), [(0, 50), (3, 50), (25, 50), (50, 50), (812, 10_000)])
@pytest.mark.parametrize("level", [0.95, 0.995])
def test_the_interval_of_a_share_is_wilsons(found: int, n: int, level: float) -> None:
    expected = scipy.stats.binomtest(found, n).proportion_ci(level, "wilson")
    assert s.proportion(found / n, n, level) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_holm_is_the_closed_test_of_bonferroni() -> None:
    """A claim is rejected if every set of claims that includes it has one with p <= alpha / (size of the set)."""
    rng = np.random.default_rng(3)
    for _ in range(20):
        ps = rng.random(4) ** 2
        corrected = s.holm(ps.tolist())
        for k in range(4):
            sets = [[j for j in range(4) if chosen[j]] for chosen in product([0, 1], repeat=4) if chosen[k]]
            expected = max(min(1.0, len(every) * min(ps[j] for j in every)) for every in sets)
            assert corrected[k] == pytest.approx(expected)
    assert s.holm([]) == []


def test_cohens_d() -> None:
    a, b = np.array([1.0, 2.0, 3.0]), np.array([3.0, 5.0, 7.0])
    assert s.cohens_d(a, b) == pytest.approx(-3 / math.sqrt((1 + 4) / 2))
    assert s.cohens_d([1, 1], [0, 0]) == math.inf
    assert s.cohens_d([1, 1], [1, 1]) == 0


def test_what_can_be_found_is_found_and_no_less() -> None:
    effect = power.detectable(8, 0.01)
    rng = np.random.default_rng(4)
    found = [s.difference(rng.normal(size=8) + effect, rng.normal(size=8)).p <= 0.01 for _ in range(300)]
    assert np.mean(found) == pytest.approx(0.8, abs=3 * math.sqrt(0.8 * 0.2 / 300))
    assert power.detectable(8, 0.01) < power.detectable(5, 0.01)
    assert power.detectable(8, 0.05 / 5) <= 2.0, "d = 2 is found among five claims"
    assert power.detectable(3, 0.01) == math.inf
    assert power.detectable(8, 0.005, pairs=True) == math.inf


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: s.difference([1], [1, 2]), "a: 1 seeds; 2 or more are needed"),
        (lambda: s.difference([1, 2], [1, math.nan]), "b: number 1 is not finite"),
        (lambda: s.paired([1, 2], [1, 2, 3]), "2 and 3 seeds; the same seeds are needed in both"),
        (lambda: s.equivalence([1, 2], [1, 2], 0), "margin is 0; allowed: more than 0"),
        (lambda: s.difference([1, 2], [1, 2], blocks=([0, 0], [0])), "blocks: each number needs its block"),
        (
            lambda: s.difference([1, 2], [1, 2], blocks=(["x", "y"], ["x", "x"])),
            "blocks: every arm needs numbers",
        ),
        (lambda: s.trend([[1, 2], [2, 3]]), "2 arms; 3 or more are needed"),
    ],
)
def test_refusals(call: object, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        call()  # type: ignore[operator]


def test_equal_numbers_differ_in_nothing() -> None:
    found = s.difference([2.0] * 4, [2.0] * 4)
    assert (found.p, found.difference) == (1, 0)
    assert s.difference([0.1 + 0.2, 0.3], [0.3, 0.1 + 0.2]).p == 1, "rounding is no difference"
