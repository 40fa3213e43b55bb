"""Intervals keep their promise: about 95 of 100 contain the truth, and each contains its own value."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import scipy.stats

from genlab.evaluation import metrics
from genlab.evaluation.metrics import BLOCKS, Estimate, Manifold
from genlab.evaluation.metrics.intervals import STUDENT


def test_student() -> None:
    assert pytest.approx(scipy.stats.t.ppf(0.975, BLOCKS - 1), abs=1e-4) == STUDENT


def test_of_a_mean_it_is_the_t_interval_of_block_means() -> None:
    """If the blocks are equal in size, the jackknife of a mean is the textbook interval of the block means."""
    values = np.random.default_rng(0).normal(size=400)
    found = metrics.jackknife(lambda x: float(x.mean()), values)
    means = np.array([values[metrics.blocks_of(400) == b].mean() for b in range(BLOCKS)])
    reach = STUDENT * means.std(ddof=1) / np.sqrt(BLOCKS)
    assert found.interval == pytest.approx((values.mean() - reach, values.mean() + reach))


def test_blocks_are_even_and_not_in_the_order_of_the_rows() -> None:
    """Samples cycle through the classes, but a block must not be a class."""
    blocks = metrics.blocks_of(1000)
    assert np.bincount(blocks).tolist() == [50] * BLOCKS
    for k in range(10):
        assert len(set(blocks[np.arange(1000) % 10 == k].tolist())) > 15
    assert (metrics.blocks_of(1000) == blocks).all()
    uneven = np.bincount(metrics.blocks_of(47), minlength=BLOCKS)
    assert (uneven.min(), uneven.max()) == (2, 3)


def frechet(rng: np.random.Generator) -> Estimate:
    real, fake = rng.normal(size=(1000, 4)), rng.normal(0.5, 1.3, size=(1000, 4))
    return metrics.jackknife(metrics.frechet_distance, real, fake)


def kernel(rng: np.random.Generator) -> Estimate:
    return metrics.kernel_distance(rng.normal(size=(300, 3)), rng.normal(0.3, 1, size=(300, 3)))


def precision(rng: np.random.Generator) -> Estimate:
    sets = (rng.normal(size=(300, 3)), rng.normal(0.8, 1, size=(300, 3)))
    return metrics.prdc_estimates(Manifold.of(sets[0]), Manifold.of(sets[1]))["precision"]


def coverage(rng: np.random.Generator) -> Estimate:
    sets = (rng.normal(size=(300, 3)), rng.normal(0.8, 1, size=(300, 3)))
    return metrics.prdc_estimates(Manifold.of(sets[0]), Manifold.of(sets[1]))["coverage"]


def accuracy(rng: np.random.Generator) -> Estimate:
    return metrics.bootstrap(rng.random(500) < 0.8)


# 4 (0.5^2 + 0.3^2) = 1.36, plus a bias of about (1 + 1.69) 4 / 1000 due to the number of rows.
TRUTHS: dict[Callable[[np.random.Generator], Estimate], float | None] = {
    frechet: 1.36 + 0.008,
    kernel: None,
    precision: None,
    coverage: None,
    accuracy: 0.8,
}


KEPT = (frechet, precision)
"""A jackknife over moments and one over neighbours; the others are slow tests."""


@pytest.mark.parametrize(
    "draw",
    [pytest.param(d, marks=[] if d in KEPT else [pytest.mark.slow], id=d.__name__) for d in TRUTHS],
)
def test_about_95_of_100_contain_the_truth(draw: Callable[[np.random.Generator], Estimate]) -> None:
    """The truth is the closed form or the mean of 200 draws. With a probability of 99.8 %, 180 or more of 200 exact
    intervals contain it."""
    found = [draw(np.random.default_rng(seed)) for seed in range(200)]
    truth = TRUTHS[draw]
    truth = float(np.mean([f.value for f in found])) if truth is None else truth
    intervals = [f.interval for f in found if f.interval is not None]
    assert len(intervals) == 200
    assert all(low <= f.value <= high for f, (low, high) in zip(found, intervals, strict=True))
    assert 180 <= sum(low <= truth <= high for low, high in intervals) <= 200
    # They are not far too wide either: for neighbour counts the jackknife errs on the safe side, by at most 50 %.
    widths = np.array([high - low for low, high in intervals])
    spread = np.std([f.value for f in found])
    assert 0.8 < widths.mean() / (2 * STUDENT * spread) < 1.5


def test_a_bootstrap_would_miss_its_own_value() -> None:
    """Sets are not resampled because duplicates lower coverage so far that the interval excludes the value."""
    rng = np.random.default_rng(0)
    real, fake = rng.normal(size=(300, 3)), rng.normal(size=(300, 3))
    value = metrics.prdc(real, fake)["coverage"]
    resampled = [
        metrics.prdc(real[rng.integers(300, size=300)], fake[rng.integers(300, size=300)])["coverage"]
        for _ in range(60)
    ]
    assert np.quantile(resampled, 0.975) < value


def test_bootstrap_of_many_and_of_few_values_agree() -> None:
    values = np.random.default_rng(0).normal(size=1500)
    rounded = np.round(values, 2)
    many, few = metrics.bootstrap(values), metrics.bootstrap(rounded)
    assert many.interval is not None
    assert few.interval is not None
    assert many.interval == pytest.approx(few.interval, abs=0.01)
    assert metrics.bootstrap(np.array([1.0])) == Estimate(1.0)


@pytest.mark.parametrize("n", [900, 5000])  # resampled by counts, and image by image
def test_a_bootstrap_of_a_mean_is_the_normal_interval(n: int) -> None:
    """The interval is 1.96 standard errors each way, within the noise of 1,000 resamples; 1.64 would be 16 % less."""
    ratios = []
    for seed in range(8):
        values = np.random.default_rng(seed).normal(size=n)
        found = metrics.bootstrap(values)
        assert found.interval is not None
        ratios.append((found.interval[1] - found.interval[0]) / 2 / (1.96 * values.std() / np.sqrt(n)))
    assert np.mean(ratios) == pytest.approx(1, abs=0.07)


def test_too_few_rows_get_a_value_and_no_interval() -> None:
    assert metrics.jackknife(lambda x: float(x.mean()), np.arange(39.0)) == Estimate(19.0)
    assert metrics.jackknife(lambda x: float(x.mean()), np.arange(40.0)).interval is not None


def test_intervals_stay_in_the_range() -> None:
    found = metrics.jackknife(lambda x: float(x.mean()), np.r_[np.ones(57), np.zeros(3)], low=0.0, high=1.0)
    assert found.interval is not None
    assert found.interval[1] == 1
    found = metrics.jackknife(lambda x: float(x.mean()), np.r_[np.zeros(57), np.ones(3)], low=0.0, high=1.0)
    assert found.interval is not None
    assert found.interval[0] == 0


@pytest.mark.parametrize("n", [2, 50, 10_000])
def test_shares_of_0_and_1_have_the_exact_interval(n: int) -> None:
    none, all_of_them = metrics.bootstrap(np.zeros(n)).interval, metrics.bootstrap(np.ones(n)).interval
    assert none == pytest.approx((0, scipy.stats.beta.ppf(0.975, 1, n)))
    assert all_of_them == pytest.approx((scipy.stats.beta.ppf(0.025, n, 1), 1))
    assert metrics.bootstrap(np.full(n, 0.5)).interval == (0.5, 0.5)
    assert metrics.of_share(Estimate(0.0), n) == Estimate(0.0)


def test_a_statistic_that_needs_every_block_has_no_interval() -> None:
    values = np.r_[np.zeros(99), 1.0]
    found = metrics.jackknife(lambda x: 1.0 if x.any() else float("nan"), values, low=0.0)
    assert found == Estimate(1.0)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_is_refused_and_named(value: float) -> None:
    good, bad = np.random.default_rng(0).normal(size=(50, 4)), np.random.default_rng(1).normal(size=(50, 4))
    bad[7, 2] = bad[9, 0] = value
    words = r"row 7 is not finite \(2 of 50 rows are not\)"
    for metric in (metrics.frechet_distance, metrics.kernel_distance, metrics.prdc, metrics.nearest):
        for pair in ((good, bad), (bad, good)):
            with pytest.raises(ValueError, match=words):
                metric(*pair)
    with pytest.raises(ValueError, match="logits: row 7"):
        metrics.softmax(bad)
    with pytest.raises(ValueError, match="images: row 7"):
        metrics.power_spectrum(bad.reshape(50, 1, 2, 2))
    with pytest.raises(ValueError, match="values: row 7"):
        metrics.bootstrap(bad[:, 2])
    with pytest.raises(ValueError, match="no rows"):
        metrics.frechet_distance(good[:0], good)
