"""Metrics of logits and labels: bounds, closed forms, known expectations."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.special
import scipy.stats

from genlab.evaluation import metrics

RNG = np.random.default_rng(3)


def test_softmax_is_scipys_and_does_not_overflow() -> None:
    logits = RNG.normal(size=(50, 7)) * 300
    assert metrics.softmax(logits) == pytest.approx(scipy.special.softmax(logits, axis=1), abs=1e-15)


def test_class_score_bounds() -> None:
    assert metrics.classifier_score(np.eye(10)[np.arange(1000) % 10]) == pytest.approx(10)  # certain and even
    assert metrics.classifier_score(np.full((100, 10), 0.1)) == pytest.approx(1)  # never certain
    assert metrics.classifier_score(np.eye(10)[np.zeros(100, int)]) == pytest.approx(1)  # one class alone
    assert metrics.classifier_score(np.eye(10)[np.arange(1000) % 3]) == pytest.approx(3)
    random = metrics.classifier_score(metrics.softmax(RNG.normal(size=(500, 10))))
    assert 1 < random < 10


@pytest.mark.filterwarnings("ignore:Metric `InceptionScore` will save:UserWarning", "ignore:std:UserWarning")
def test_class_score_against_torchmetrics() -> None:
    import torch
    from torchmetrics.image.inception import InceptionScore

    class Flat(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.flatten(1)[:, :10].double() / 40

    images = RNG.integers(0, 256, size=(90, 3, 2, 2), dtype=np.uint8)
    oracle = InceptionScore(feature=Flat(), splits=1)
    oracle.update(torch.from_numpy(images))
    ours = metrics.classifier_score(metrics.softmax(images.reshape(90, -1)[:, :10] / 40))
    assert ours == pytest.approx(oracle.compute()[0].item(), rel=1e-5)


def test_divergence() -> None:
    p, q = np.array([0.5, 0.5, 0.0]), np.array([0.25, 0.25, 0.5])
    assert metrics.divergence(p, q) == pytest.approx(math.log(2))  # nats; 0 log 0 = 0
    assert metrics.divergence(q, p) == math.inf
    assert metrics.divergence(p, p) == 0
    r = RNG.dirichlet(np.ones(6), size=2)
    assert metrics.divergence(r[0], r[1]) == pytest.approx(scipy.stats.entropy(r[0], r[1]))


def test_finite_samples_of_the_data_itself() -> None:
    """The expected divergence is (K - 1) / 2N: .0192 for 26,000 real triples of 1000 modes."""
    shares = RNG.dirichlet(np.full(1000, 50.0))
    found = [metrics.class_divergence(RNG.choice(1000, 26_000, p=shares), shares) for _ in range(5)]
    assert np.mean(found) == pytest.approx(999 / 52_000, rel=0.05)


def test_missing_classes() -> None:
    """A class is missing below a tenth of its share in the data; one that the data lack cannot be missing."""
    shares = np.array([0.5, 0.3, 0.2, 0.0])
    labels = np.repeat([0, 1, 2], [970, 30, 0])
    assert metrics.missing_classes(labels, shares) == [2]
    assert metrics.missing_classes(np.repeat([0, 1, 2], [952, 29, 19]), shares) == [1, 2]
    assert metrics.missing_classes(np.repeat([0, 1, 2], [949, 30, 21]), shares) == []


def test_spread_is_the_mean_squared_distance_of_pairs() -> None:
    rows, labels = RNG.normal(size=(40, 3)), RNG.integers(0, 3, 40)
    found = metrics.within_class_spread(rows, labels, 4)
    for k in range(3):
        own = rows[labels == k]
        pairs = [((a - b) ** 2).sum() for i, a in enumerate(own) for b in own[:i]]
        assert found[k] == pytest.approx(np.mean(pairs))
    assert np.isnan(found[3])


def test_calibration_error() -> None:
    """The error is the gap between the stated probability and the share that is right, 0 if they agree."""
    confidence = np.repeat([0.7, 0.9], 1000)
    right = np.concatenate([np.arange(1000) < 700, np.arange(1000) < 900])
    assert metrics.calibration_error(confidence, right) == pytest.approx(0, abs=1e-9)
    assert metrics.calibration_error(np.full(1000, 0.95), np.arange(1000) < 600) == pytest.approx(0.35)
    assert metrics.calibration_error(np.ones(10), np.zeros(10)) == 1  # a confidence of exactly 1 has a bin


def test_calibration_error_against_torchmetrics() -> None:
    import torch
    from torchmetrics.functional.classification import binary_calibration_error

    p = RNG.random(500)
    y = RNG.random(500) < p**2
    oracle = binary_calibration_error(torch.from_numpy(p), torch.from_numpy(y.astype(int)), n_bins=15).item()
    assert metrics.calibration_error(p, y) == pytest.approx(oracle, abs=1e-6)


def test_ranking() -> None:
    high, low = RNG.normal(1, 1, 60), RNG.normal(0, 1, 50)
    pairs = np.mean([(a > b) + 0.5 * (a == b) for a in high for b in low])
    assert metrics.ranking(high, low) == pytest.approx(pairs)
    assert metrics.ranking(low, high) == pytest.approx(1 - pairs)  # the order of the arguments matters
    assert metrics.ranking(np.zeros(5), np.zeros(7)) == 0.5


def test_paths() -> None:
    """A straight, even path is as long as its ends are apart, in equal steps; a jump is a single step."""
    even = np.linspace([0.0, 0], [3, 4], 6)
    jump = np.array([[0.0, 0]] * 3 + [[3, 4]] * 3)
    detour = np.array([[0.0, 0], [0, 4], [3, 4], [3, 4], [3, 4], [3, 4]])
    still = np.zeros((6, 2))
    paths = np.stack([even, jump, detour, still])
    assert metrics.path_length(paths) == pytest.approx([5, 5, 7, 0])
    assert metrics.roughest_step(paths) == pytest.approx([0.2, 1, 4 / 7, 0])


def test_class_divergence_is_from_the_images_to_the_data() -> None:
    """KL is not symmetric: it stays finite if classes are never drawn, log 1/p if only a class of share p is drawn."""
    shares = np.array([0.5, 0.25, 0.25])
    assert metrics.class_divergence(np.array([0, 0, 0, 1]), shares) == pytest.approx(0.75 * np.log(1.5))
    assert metrics.class_divergence(np.zeros(5, int), shares) == pytest.approx(np.log(2))


def test_a_class_that_the_data_do_not_have_is_not_missing() -> None:
    assert metrics.missing_classes(np.array([0, 0, 1]), np.array([0.5, 0.25, 0.0, 0.25])) == [3]


def test_certainty_falls_into_the_last_bin() -> None:
    """1.0 is in the bin of 0.99, where its error outweighs the caution of the other."""
    assert metrics.calibration_error(np.array([1.0, 0.99]), np.array([False, True])) == pytest.approx(0.99 / 2)
