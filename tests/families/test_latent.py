from __future__ import annotations

import math

import pytest
import torch

from genlab.families import latent

A, B = torch.randn(2, 6, 100, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("path", latent.PATHS.values())
def test_paths_begin_and_end_where_they_should(path: latent.Path) -> None:
    way = path(A, B, 7)
    assert way.shape == (6, 7, 100)
    assert torch.allclose(way[:, 0], A, atol=1e-6)
    assert torch.allclose(way[:, -1], B, atol=1e-6)


def test_a_linear_path_is_alpha_z1_plus_the_rest_z2() -> None:
    assert torch.allclose(latent.linear_path(A, B, 5)[:, 1], 0.75 * A + 0.25 * B)


def test_only_the_spherical_path_keeps_the_length() -> None:
    """Between two orthogonal unit vectors the length is always 1, against 1/sqrt(2) in the middle of the line."""
    a, b = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]])
    assert latent.spherical_path(a, b, 9).norm(dim=-1).flatten().tolist() == pytest.approx([1] * 9)
    assert latent.linear_path(a, b, 9)[0, 4].norm().item() == pytest.approx(2**-0.5)


def test_a_spherical_path_turns_evenly() -> None:
    a, b = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]])
    x, y = latent.spherical_path(a, b, 4)[0].unbind(1)
    assert torch.atan2(y, x).tolist() == pytest.approx([k * math.pi / 6 for k in range(4)], abs=1e-6)


def test_between_parallel_points_the_path_is_the_line() -> None:
    assert torch.allclose(latent.spherical_path(A, 2 * A, 5), latent.linear_path(A, 2 * A, 5), atol=1e-5)
    assert torch.isfinite(latent.spherical_path(A, -A, 5)).all()


def test_truncated_draws_have_the_truncated_normal_s_moments() -> None:
    """Truncation at 1 gives a variance of 1 - 2 phi(1) / (2 Phi(1) - 1) = 0.2911, and keeps bounds and order."""
    z = torch.randn(200_000, generator=torch.Generator().manual_seed(1))
    cut = latent.truncated(z, 1.0)
    assert cut.abs().max() <= 1
    assert cut.var().item() == pytest.approx(0.29112, rel=0.01)
    assert cut.mean().item() == pytest.approx(0, abs=5 * 0.54 / 200_000**0.5)
    assert torch.equal(cut.argsort(), z.argsort()) or (cut[z.argsort()].diff() >= 0).all()


def test_a_far_truncation_changes_nothing() -> None:
    z = torch.linspace(-3, 3, 13)
    assert torch.allclose(latent.truncated(z, 50.0), z, atol=1e-5)


def test_a_traversal_moves_one_unit_at_a_time() -> None:
    z = torch.arange(4.0)
    way = latent.traversal(z, [3, 1], 2.0, 5)
    assert way.shape == (2, 5, 4)
    assert way[0, :, 3].tolist() == [-2, -1, 0, 1, 2]
    assert (way[0, :, :3] == z[:3]).all()
    assert way[1, :, 1].tolist() == [-2, -1, 0, 1, 2]
    assert (way[1, :, [0, 2, 3]] == z[[0, 2, 3]]).all()


def test_the_plane_is_equally_probable_and_lies_as_a_map_does() -> None:
    points = latent.plane(4)
    quantiles = torch.special.ndtri(torch.tensor([0.125, 0.375, 0.625, 0.875]))
    assert points.shape == (16, 2)
    assert torch.allclose(points[:4, 0], quantiles)
    assert torch.allclose(points[::4, 1], quantiles.flip(0))
