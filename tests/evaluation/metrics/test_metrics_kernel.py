"""Kernel distance against its definition and an independent implementation, and its lack of bias."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from genlab.evaluation.metrics import jackknife, kernel_distance, kernel_distances

Array = np.ndarray[Any, np.dtype[np.float64]]
RNG = np.random.default_rng(1)


def k(a: Array, b: Array) -> float:
    return float((a @ b / len(a) + 1) ** 3)


def by_hand(x: Array, y: Array) -> float:
    n, m = len(x), len(y)
    xx = sum(k(x[i], x[j]) for i in range(n) for j in range(n) if i != j) / (n * (n - 1))
    yy = sum(k(y[i], y[j]) for i in range(m) for j in range(m) if i != j) / (m * (m - 1))
    xy = sum(k(a, b) for a in x for b in y) / (n * m)
    return float(xx + yy - 2 * xy)


@pytest.mark.parametrize(("n", "m"), [(9, 7), (45, 52)])  # without and with blocks
def test_is_the_mean_over_all_pairs_of_different_rows(n: int, m: int) -> None:
    x, y = RNG.normal(size=(n, 3)), RNG.normal(0.5, 2, size=(m, 3))
    assert kernel_distance(x, y).value == pytest.approx(by_hand(x, y), rel=1e-9)
    assert kernel_distance(y, x).value == pytest.approx(by_hand(x, y), rel=1e-9)


def test_unbiased() -> None:
    """Over 400 pairs of small sets from one distribution, the mean is 0 within four standard errors (with the diagonal
    it would be far above); for two distributions, it is that of large sets."""
    draws = [kernel_distance(RNG.normal(size=(20, 4)), RNG.normal(size=(20, 4))).value for _ in range(400)]
    error = np.std(draws) / 20
    assert abs(np.mean(draws)) < 4 * error
    assert min(draws) < 0  # an unbiased estimate of 0 is sometimes negative
    apart = [kernel_distance(RNG.normal(size=(20, 4)), RNG.normal(0.5, 1, size=(20, 4))).value for _ in range(400)]
    truth = kernel_distance(RNG.normal(size=(6000, 4)), RNG.normal(0.5, 1, size=(6000, 4))).value
    assert abs(np.mean(apart) - truth) < 4 * np.std(apart) / 20 + 0.02
    assert np.mean(apart) > 10 * error


def test_subsets_have_the_same_mean() -> None:
    x, y = RNG.normal(size=(300, 4)), RNG.normal(0.4, 1, size=(300, 4))
    parts = kernel_distances(x, y, subsets=200, size=50)
    assert parts.shape == (200,)
    assert parts.mean() == pytest.approx(kernel_distance(x, y).value, abs=4 * parts.std() / 14)
    with pytest.raises(ValueError, match="subsets of 301 cannot be drawn from sets of 300 and 300"):
        kernel_distances(x, y, subsets=1, size=301)


def test_a_subset_of_all_rows_is_the_whole() -> None:
    """Subsets are drawn without replacement."""
    x, y = RNG.normal(size=(30, 4)), RNG.normal(size=(30, 4))
    assert kernel_distances(x, y, subsets=3, size=30) == pytest.approx(kernel_distance(x, y).value, rel=1e-9)


def test_its_interval_is_the_jackknifes() -> None:
    """The block sums give the same interval as recomputing the distance without each block."""
    x, y = RNG.normal(size=(61, 3)), RNG.normal(0.5, 2, size=(47, 3))
    slow = jackknife(lambda a, b: kernel_distance(a, b).value, x, y)
    assert slow.interval is not None
    assert kernel_distance(x, y).interval == pytest.approx(slow.interval, rel=1e-9)


@pytest.mark.filterwarnings("ignore:Metric `Kernel Inception Distance` will save:UserWarning")
def test_against_torchmetrics() -> None:
    import torch
    from torchmetrics.image.kid import KernelInceptionDistance

    class Flat(torch.nn.Module):
        num_features = 12

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.flatten(1).double() / 255

    real, fake = (RNG.integers(low, 256, size=(60, 3, 2, 2), dtype=np.uint8) for low in (0, 90))
    oracle = KernelInceptionDistance(feature=Flat(), subsets=1, subset_size=60)
    oracle.update(torch.from_numpy(real), real=True)
    oracle.update(torch.from_numpy(fake), real=False)
    ours = kernel_distance(*(rows.reshape(60, -1) / 255 for rows in (real, fake)))
    assert ours.value == pytest.approx(oracle.compute()[0].item(), rel=1e-4)


def test_order_and_dtype_do_not_matter() -> None:
    x, y = RNG.normal(size=(100, 4)).astype(np.float32), RNG.normal(0.5, 2, size=(70, 4)).astype(np.float32)
    found = kernel_distance(x, y).value
    assert kernel_distance(x[::-1], y[RNG.permutation(70)]).value == pytest.approx(found, rel=1e-10)
    assert kernel_distance(x.astype(np.float64), y).value == pytest.approx(found, rel=1e-12)


def test_few_rows_have_no_interval() -> None:
    assert kernel_distance(RNG.normal(size=(39, 4)), RNG.normal(size=(50, 4))).interval is None
    assert kernel_distance(RNG.normal(size=(40, 4)), RNG.normal(size=(50, 4))).interval is not None
