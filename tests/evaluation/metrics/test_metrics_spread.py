"""How far apart images lie: closed forms, classes, and an interval equal to the plain jackknife's."""

import math

import numpy as np
import pytest

from genlab.evaluation import metrics
from genlab.evaluation.metrics.intervals import blocks_of, from_replicates

RNG = np.random.default_rng(3)


def test_it_is_the_root_of_the_mean_squared_distance_of_pairs() -> None:
    real, fake = RNG.random((30, 7)), 0.2 * RNG.random((25, 7))

    def pairs(x: np.ndarray) -> float:
        squares = np.square(x[:, None] - x[None]).sum(2)
        return float(squares.sum() / (len(x) * (len(x) - 1)))

    found = metrics.spread_ratio(real, fake)
    assert found is not None
    assert found.interval is None  # Fewer than two images per block.
    assert found.value == pytest.approx(math.sqrt(pairs(fake) / pairs(real)))


def test_images_that_are_all_alike_have_none_wherever_they_lie() -> None:
    real = RNG.random((50, 3))
    one = metrics.spread_ratio(real, np.full((50, 3), 0.9))
    assert one is not None
    assert one.value < 1e-7
    assert metrics.spread_ratio(np.full((50, 3), 0.9), real) is None
    assert metrics.spread_ratio(real, real[:1]) is None


def test_within_classes_only_what_differs_there_counts() -> None:
    labels = np.repeat([0, 1], 100)
    within = RNG.normal(size=(200, 4))
    real = within + 10 * labels[:, None]
    fake = 0.5 * within - 30 * labels[:, None]
    found = metrics.spread_ratio(real, fake, labels, labels)
    assert found is not None
    assert found.value == pytest.approx(0.5)
    blind = metrics.spread_ratio(real, fake)
    assert blind is not None
    assert blind.value > 2
    # A class that only one of the sets has does not count.
    more = metrics.spread_ratio(np.concatenate([real, [[99.0] * 4, [-99.0] * 4]]), fake, np.r_[labels, 2, 2], labels)
    assert more is not None
    assert more.value == pytest.approx(0.5)


def test_the_interval_is_the_plain_jackknife() -> None:
    real, fake = RNG.normal(size=(90, 5)), 0.7 * RNG.normal(size=(110, 5))
    found = metrics.spread_ratio(real, fake)

    def plain(real: np.ndarray, fake: np.ndarray) -> float:
        return math.sqrt(fake.var(0, ddof=1).sum() / real.var(0, ddof=1).sum())

    ours, theirs = blocks_of(len(real)), blocks_of(len(fake))
    left_out = np.array([plain(real[ours != b], fake[theirs != b]) for b in range(metrics.BLOCKS)])
    assert found is not None
    assert found.interval == pytest.approx(from_replicates(plain(real, fake), left_out).interval)
    assert found.interval is not None
    assert found.interval[0] < found.value < found.interval[1]
