"""Facts about curves: closed forms, invariances, planted changes and spikes, and curves of noise alone."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from genlab.evaluation import curves as c

NAN = math.nan
TIED = st.lists(st.integers(-4, 4).map(float), min_size=4, max_size=12)


def steps(values: np.ndarray) -> np.ndarray:
    """Steps 10, 30, 50, ..., so that a row number is not taken for a step."""
    return np.asarray(10.0 + 20.0 * np.arange(len(values)))


def noise(seed: int, n: int, rho: float = 0.0) -> np.ndarray:
    """First-order autoregressive noise of variance 1."""
    rng = np.random.default_rng(seed)
    found = rng.normal(size=n)
    found[1:] *= math.sqrt(1 - rho**2)
    for k in range(1, n):
        found[k] += rho * found[k - 1]
    return np.asarray(found)


def level_change(seed: int, n: int = 60, k: int = 25, size: float = 4.0) -> np.ndarray:
    return np.asarray(noise(seed, n) + size * (np.arange(n) >= k))


def test_the_nearest_row_and_the_earlier_of_two() -> None:
    x, y = [1, 20, 40], [5.0, 6.0, 7.0]
    assert [c.at(x, y, step) for step in (0, 1, 10, 11, 30, 31, 99)] == [5, 5, 5, 6, 6, 7, 7]
    assert c.at(x, [5.0, NAN, 7.0], 20) == 5, "19 steps to the row before, 20 to the one after"
    with pytest.raises(ValueError, match="no value"):
        c.at([1, 2], [NAN, NAN], 1)


@pytest.mark.parametrize(
    ("take", "expected"), [("mean", 4.0), ("median", 3.0), ("sd", math.sqrt(13)), ("min", 1.0), ("max", 8.0)]
)
def test_a_window_has_both_its_ends(take: c.Take, expected: float) -> None:
    x, y = [0, 10, 15, 20, 30], [100.0, 1.0, 3.0, 8.0, 100.0]
    assert c.window(x, y, 10, 20, take) == pytest.approx(expected)
    assert c.window(x, y, 11, 14, take) is None
    assert (c.window(x, y, 10, 10, take) is None) == (take == "sd"), "an SD needs two rows"
    assert c.window([*x, 40], [*y, NAN], 31, 50, take) is None


def test_a_planted_change_is_found_where_it_is() -> None:
    found = [c.change_point(steps(y), y) for y in (level_change(seed) for seed in range(40))]
    rows = [round((change.step - 10) / 20) for change in found if change]
    assert len(rows) == 40
    assert np.mean(np.array(rows) == 25) >= 0.75, "25 is the first row of the new level"
    assert max(abs(row - 25) for row in rows) <= 2
    sizes = [change.size for change in found if change]
    assert np.mean(sizes) == pytest.approx(4, rel=0.15)
    assert min(change.p for change in found if change) == 1 / (c.DRAWS + 1)


def test_a_change_without_noise() -> None:
    y = np.where(np.arange(40) < 13, 2.0, -1.0)
    assert c.change_point(steps(y), y) == c.Change(10 + 20 * 13, 2.0, -1.0, -math.inf, 1 / (c.DRAWS + 1))


def test_extreme_rows_are_no_change_of_level_and_hide_none() -> None:
    y = level_change(3)
    y[[4, 11, 40]] = 500.0
    found = c.change_point(steps(y), y)
    assert found is not None
    assert abs(found.step - (10 + 20 * 25)) <= 20
    spiky = noise(1, 60)
    spiky[55] = 500.0
    assert c.change_point(steps(spiky), spiky) is None


def test_what_does_not_matter_to_a_change() -> None:
    y = level_change(5)
    found = c.change_point(steps(y), y)
    scaled = c.change_point(7 * steps(y), 3 * y - 8)
    mirrored = c.change_point(steps(y), -y)
    back = c.change_point(steps(y), y[::-1])
    assert found is not None
    assert scaled is not None
    assert mirrored is not None
    assert back is not None
    assert (scaled.step, scaled.p) == (7 * found.step, found.p)
    assert scaled.size == pytest.approx(found.size)
    assert (scaled.before, scaled.after) == pytest.approx((3 * found.before - 8, 3 * found.after - 8))
    assert mirrored.step == found.step
    assert mirrored.size == pytest.approx(-found.size)
    rows = [round((change.step - 10) / 20) for change in (found, back)]
    assert sum(rows) == len(y), "the rows before are now those from the change on"
    assert back.size == pytest.approx(-found.size)


def test_both_sides_of_a_change_have_enough_rows() -> None:
    y = np.concatenate([np.full(c.FEWEST, 50.0), np.zeros(40)]) + noise(0, 40 + c.FEWEST) / 10
    found = c.change_point(steps(y), y)
    assert found is not None
    assert found.step == 10 + 20 * c.FEWEST
    back = c.change_point(steps(y), y[::-1])
    assert back is not None
    assert back.step == 10 + 20 * 40
    short = y[1:]
    found = c.change_point(steps(short), short)
    assert found is None or found.step >= 10 + 20 * c.FEWEST
    few = y[: 2 * c.FEWEST - 1]
    assert c.change_point(steps(few), few) is None
    assert c.change_point(steps(y), np.full(len(y), 0.1)) is None


@pytest.mark.parametrize(("rho", "n", "most"), [(0.0, 40, 0.02), (0.5, 40, 0.05), (0.5, 100, 0.05)])
def test_noise_of_one_level_has_no_change(rho: float, n: int, most: float) -> None:
    """Measured share of 600 curves with p up to 0.01: 0.012; with rho 0.5, 0.030 for 40 rows and 0.017 for 100."""
    curves = [noise(1000 + seed, n, rho) for seed in range(200)]
    wrong = sum(c.change_point(steps(y), y) is not None for y in curves)
    assert wrong / 200 <= most + math.sqrt(most * (1 - most) / 200)


def test_the_correlation_of_the_noise_raises_p() -> None:
    """If the values on each side of the change are shuffled, more curves show it."""
    rng, halves = np.random.default_rng(0), (np.arange(30), np.arange(30, 60))
    curves = [noise(seed, 60, 0.7) + 1.5 * (np.arange(60) >= 30) for seed in range(40)]
    shuffled = [y[np.concatenate([rng.permutation(half) for half in halves])] for y in curves]
    found = [sum(c.change_point(steps(y), y) is not None for y in each) for each in (curves, shuffled)]
    assert found[0] <= 0.7 * found[1]


def test_planted_spikes_are_found_where_they_are() -> None:
    for seed in range(20):
        y = noise(seed, 80)
        y[30:33] += [12, 20, 12]
        y[50] += 15
        y[60] -= 15
        assert c.spikes(steps(y), y) == [10 + 20 * 31, 10 + 20 * 50]
        assert c.spikes(steps(y), y, downward=True) == [10 + 20 * 60]
        assert c.spikes(steps(y), -y, downward=True) == c.spikes(steps(y), y)
        assert c.spikes(steps(y), 3 * y + 7) == c.spikes(steps(y), y)
        assert c.spikes(steps(y), y[::-1]) == [10 + 20 * 29, 10 + 20 * 48]


def test_spikes_without_noise() -> None:
    y = np.full(30, 0.1)
    assert c.spikes(steps(y), y) == []
    assert c.spikes(steps(y), 0 * y) == []
    y[12] += 1e-3
    assert c.spikes(steps(y), y) == [10 + 20 * 12]
    assert c.spikes(steps(y), y, downward=True) == []


@pytest.mark.parametrize(
    "shape",
    [lambda t: np.exp(-t / 4), lambda t: np.sin(t / 6), lambda t: t**2, lambda t: 1.0 * (t > 30), lambda t: 1.0 - t],
)
def test_slopes_bends_and_levels_are_no_spikes(shape: Callable[[np.ndarray], np.ndarray]) -> None:
    y = shape(np.arange(60.0))
    assert c.spikes(steps(y), y) == []
    assert c.spikes(steps(y), y, downward=True) == []


def test_height_and_width_of_a_spike() -> None:
    y = noise(0, 101)
    y[50] = 0.0
    away = 8 * 1.4826 * float(np.median(np.abs(y - np.median(y))))
    y[50] = away
    assert c.spikes(steps(y), y, height=5) == [10 + 20 * 50]
    assert c.spikes(steps(y), y, height=12) == []
    y[50:54] = 40.0
    assert c.spikes(steps(y), y, width=5) == [], "four of five rows are a level"
    assert len(c.spikes(steps(y), y, width=11)) == 1
    assert c.spikes(steps(y)[:10], y[45:55]) == [], "fewer rows than the width"
    for width in (4, 1):
        with pytest.raises(ValueError, match=f"width is {width}; allowed: odd numbers from 3"):
            c.spikes(steps(y), y, width=width)


def test_normal_noise_has_no_spikes() -> None:
    found = [c.spikes(steps(y), y) for seed in range(200) for y in [noise(seed, 60, 0.5 * (seed % 2))]]
    assert sum(map(bool, found)) <= 2


def test_the_plateau_of_a_decay() -> None:
    """10 exp(-t / 5) falls below the noise, 1, at row 12: half of the plateaus start by then, none past the middle."""
    t = np.arange(100)
    found = [c.plateau(t, 10 * np.exp(-t / 5) + noise(seed, 100)) for seed in range(9)]
    assert all(step is not None and 2 <= step <= 40 for step in found)
    assert 3 <= np.median([step for step in found if step is not None]) <= 12


@pytest.mark.parametrize(
    ("shape", "low", "high"),
    [
        (lambda t: 0 * t, 0.0, 20.0),
        (lambda t: 5.0 * ((t >= 40) & (t < 60)), 52.0, 75.0),
        (lambda t: 20 * np.maximum(0, 0.5 - t / 100), 25.0, 60.0),
    ],
)
def test_where_a_plateau_starts(shape: Callable[[np.ndarray], np.ndarray], low: float, high: float) -> None:
    """For a level, after a hump and after a slope, the plateau of 9 of 10 curves starts in the given range."""
    t = np.arange(100.0)
    found = [c.plateau(t, shape(t) + noise(seed, 100)) for seed in range(10)]
    assert sum(step is not None and low <= step <= high for step in found) >= 9


def test_what_never_stays_level() -> None:
    t = np.arange(100.0)
    bend = 40 * (t / 100 - 0.5) ** 2
    for seed in range(8):
        assert c.plateau(t, bend + 0.3 * noise(seed, 100)) is None
        assert c.plateau(t, t + noise(seed, 100)) is None
        assert c.plateau(t, -t + noise(seed, 100)) is None
    assert c.plateau(t, t) is None
    assert c.plateau(t[:4], np.ones(4)) is None


def test_a_trend_of_three_sds_is_level_only_in_its_last_part() -> None:
    t = np.arange(100.0)
    for sign in (1, -1):
        found = [c.plateau(t, sign * 0.03 * t + noise(seed, 100)) for seed in range(9)]
        assert sum(step is None or step >= 20 for step in found) >= 8


def test_a_plateau_lasts_a_fifth_and_does_not_depend_on_units() -> None:
    t = np.arange(101.0)
    y = np.maximum(80 - t, 0.0)
    assert c.plateau(t, y) == 78, "three of the first five rows are at the level"
    later = np.maximum(85 - t, 0.0)
    assert c.plateau(t, later) is None
    assert c.plateau(t, np.ones(101)) == 0
    noisy = 10 * np.exp(-t / 5) + noise(2, 101)
    found = c.plateau(t, noisy)
    assert found is not None
    assert c.plateau(3 * t, 4 * noisy) == 3 * found
    assert c.plateau(t, -noisy) == found
    assert c.plateau(t, noisy + 100) == found


def test_an_onset_stays() -> None:
    x, y = [1, 20, 40, 60, 80, 100], [0.0, 2.0, 0.0, 2.0, 2.0, 2.0]
    assert c.onset(x, y, 1.0) == 60
    assert c.onset(x, y, 1.0, stays=1) == 20
    assert c.onset(x, y, 1.0, stays=4) == 60, "up to the end"
    assert c.onset(x, y, 1.0, above=False, stays=1) == 1
    assert c.onset(x, y, 1.0, above=False, stays=2) is None
    assert c.onset(x, y, 2.0) is None, "equal is not beyond"
    assert c.onset(x, y, 0.0, above=False, stays=1) is None
    assert c.onset(x, [0.0, 0.0, 0.0, 0.0, 0.0, 2.0], 1.0) == 100
    assert c.onset(x, [0.0, 2.0, NAN, 2.0, 2.0, 0.0], 1.0) == 20, "a missing row does not interrupt"
    assert c.onset([], [], 1.0) is None
    with pytest.raises(ValueError, match="stays is 0"):
        c.onset(x, y, 1.0, stays=0)


def test_changes_correlate_whatever_the_trends() -> None:
    t, shared = np.arange(200.0), noise(0, 200)
    a, b = t + shared, t - shared
    assert np.corrcoef(a, b)[0, 1] > 0.99
    assert c.correlation_of_changes(a, b) == pytest.approx(-1)
    assert c.correlation_of_changes(a, 5 * a + 3) == pytest.approx(1)
    other = noise(1, 200)
    for width in (1, 3):
        expected = np.corrcoef(shared[width:] - shared[:-width], other[width:] - other[:-width])[0, 1]
        assert c.correlation_of_changes(a, other, width) == pytest.approx(expected)
        assert c.correlation_of_changes(other, a, width) == pytest.approx(expected)
        assert c.correlation_of_changes(a[::-1], other[::-1], width) == pytest.approx(expected)


def test_changes_that_have_no_correlation() -> None:
    a = [1.0, 3.0, 2.0, 5.0]
    assert c.correlation_of_changes(a, a) == pytest.approx(1)
    assert c.correlation_of_changes(a, a, width=2) is None, "two changes"
    assert c.correlation_of_changes(a[:3], a[:3]) is None
    assert c.correlation_of_changes([*a[:3], NAN], a) is None
    assert c.correlation_of_changes(a, [2.0] * 4) is None
    assert c.correlation_of_changes(a, [0.1, 0.2, 0.1 + 0.2, 0.4]) is None, "a straight line, but for rounding"


@given(TIED, st.randoms(use_true_random=False))
@settings(max_examples=40, deadline=None)
def test_rank_correlation_is_scipys(a: list[float], random: object) -> None:
    b = [float(random.randint(-3, 3)) for _ in a]  # type: ignore[attr-defined]
    if len(set(a)) == 1 or len(set(b)) == 1:
        assert c.rank_correlation(a, b) is None
    else:
        assert c.rank_correlation(a, b) == pytest.approx(scipy.stats.spearmanr(a, b).statistic)


def test_ranks_only() -> None:
    a = np.array([3.0, 1.0, 2.0, 7.0, 5.0])
    assert c.rank_correlation(a, np.exp(a)) == 1
    assert c.rank_correlation(a, -(a**3)) == -1
    assert c.rank_correlation(a[:3], a[:3]) is None
    assert c.rank_correlation([*a[:3], NAN], a[:4]) is None
    assert c.rank_correlation(a[:4], [0.3, 0.1 + 0.2, 0.3, 0.1 + 0.2]) is None, "rounding is no order"


@pytest.mark.parametrize(
    "fact",
    [
        lambda x, y: c.at(x, y, 333),
        lambda x, y: c.window(x, y, 200, 700, "sd"),
        c.change_point,
        c.spikes,
        c.plateau,
        lambda x, y: c.onset(x, y, 2.0),
    ],
)
def test_missing_rows_are_as_if_they_were_not_there(fact: Callable[..., object]) -> None:
    y = level_change(2)
    y[45] = 30.0
    gone = np.isin(np.arange(60), [0, 7, 26, 44, 59])
    missing = np.where(gone, np.where(np.arange(60) == 7, np.inf, np.nan), y)
    assert fact(steps(y), missing) == fact(steps(y)[~gone], y[~gone])
    assert fact(steps(y), missing) not in (None, [])


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: c.window([1, 2], [1], 0, 9), "2 and 1 numbers; both must come from the same rows"),
        (lambda: c.plateau([1, 3, 3, 4], [1, 2, 3, 4]), "row 2: its step is not larger"),
        (lambda: c.rank_correlation([1, 2], [1]), "2 and 1 numbers"),
        (lambda: c.correlation_of_changes([1, 2], [1]), "2 and 1 numbers"),
    ],
)
def test_refusals(call: Callable[[], object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        call()
