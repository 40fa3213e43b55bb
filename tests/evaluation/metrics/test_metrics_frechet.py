"""Frechet distance: closed forms, symmetry, what a wrong convention would break, and independent implementations."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.linalg

from genlab.evaluation.metrics import frechet_distance, frechet_of_moments
from genlab.evaluation.metrics.frechet import moments

RNG = np.random.default_rng(0)


def rotation(d: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.linalg.qr(np.random.default_rng(d).normal(size=(d, d)))[0]


def test_equal_covariances_leave_the_squared_distance_of_the_means() -> None:
    rows = RNG.normal(size=(200, 6)) @ RNG.normal(size=(6, 6))
    offset = np.array([1.0, -2, 0, 0.5, 0, 3])
    assert frechet_distance(rows, rows + offset) == pytest.approx((offset**2).sum(), rel=1e-9)


def test_scaled_covariance() -> None:
    """For S and c^2 S the distance is (c - 1)^2 tr S in any basis: it compares standard deviations, not variances."""
    rows = (RNG.normal(size=(300, 5)) * [1, 2, 3, 4, 5]) @ rotation(5)
    centred = rows - rows.mean(0)
    expected = (3 - 1) ** 2 * np.trace(np.cov(centred.T))
    assert frechet_distance(centred, 3 * centred) == pytest.approx(expected, rel=1e-9)


def test_commuting_covariances() -> None:
    """|m|^2 + sum (s_r - s_f)^2 for diagonal covariances."""
    a, b, m = np.array([1.0, 2, 3]), np.array([2.0, 0.5, 3]), np.array([1.0, 0, -1])
    found = frechet_of_moments(np.zeros(3), np.diag(a**2), m, np.diag(b**2))
    assert found == pytest.approx((m**2).sum() + ((a - b) ** 2).sum(), rel=1e-12)


def test_against_a_general_matrix_root() -> None:
    real, fake = (
        RNG.normal(size=(400, 8)) @ RNG.normal(size=(8, 8)),
        RNG.normal(size=(300, 8)) @ RNG.normal(size=(8, 8)),
    )
    covariances = np.cov(real.T), np.cov(fake.T)
    root = scipy.linalg.sqrtm(covariances[0] @ covariances[1]).real
    expected = ((real.mean(0) - fake.mean(0)) ** 2).sum() + np.trace(sum(covariances) - 2 * root)
    assert frechet_distance(real, fake) == pytest.approx(expected, rel=1e-8)


def test_against_torchmetrics() -> None:
    import torch
    from torchmetrics.image.fid import FrechetInceptionDistance

    class Flat(torch.nn.Module):
        num_features = 12

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.flatten(1)[:, :12].double()

    real, fake = (torch.from_numpy(RNG.normal(m, 1 + m, size=(64, 3, 2, 2))) for m in (0.0, 0.4))
    oracle = FrechetInceptionDistance(feature=Flat(), normalize=True, input_img_size=(3, 2, 2)).set_dtype(torch.float64)
    oracle.update(real, real=True)
    oracle.update(fake, real=False)
    ours = frechet_distance(real.flatten(1).numpy(), fake.flatten(1).numpy())
    assert ours == pytest.approx(oracle.compute().item(), rel=1e-6)


def test_symmetric_and_zero_only_for_the_same() -> None:
    real, fake = RNG.normal(size=(100, 4)), RNG.normal(0.3, 2, size=(80, 4))
    assert frechet_distance(real, fake) == pytest.approx(frechet_distance(fake, real), rel=1e-10)
    assert frechet_distance(real, real) == pytest.approx(0, abs=1e-10)
    assert frechet_distance(real, fake) > 1


def test_singular_covariances_are_safe() -> None:
    """Constant sets and sets in a plane work, although a general root of their product may be complex."""
    constant, wide = np.ones((50, 6)), RNG.normal(size=(50, 6))
    covariance = np.cov(wide.T)
    expected = ((wide.mean(0) - 1) ** 2).sum() + np.trace(covariance)
    assert frechet_distance(wide, constant) == pytest.approx(expected, rel=1e-9)
    flat = RNG.normal(size=(40, 2)) @ RNG.normal(size=(2, 6))
    assert frechet_distance(flat, flat + 1) == pytest.approx(6, rel=1e-6)


def test_float32_rows_are_worked_on_in_float64() -> None:
    """With a mean of 1000, sums of squares in float32 would lose the variance altogether."""
    rows = RNG.normal(size=(5000, 3)) * 1e-2
    near = (rows + 1000).astype(np.float32)
    mean, covariance = moments(near)
    assert covariance == pytest.approx(np.cov(near.astype(np.float64).T), rel=1e-6, abs=1e-12)
    assert mean == pytest.approx(near.astype(np.float64).mean(0), rel=1e-12)


def test_order_does_not_matter() -> None:
    real, fake = RNG.normal(size=(100, 4)), RNG.normal(0.3, 2, size=(80, 4))
    shuffled = fake[RNG.permutation(80)]
    assert frechet_distance(real, shuffled) == pytest.approx(frechet_distance(real, fake), rel=1e-10)
