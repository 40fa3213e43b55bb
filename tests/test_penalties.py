from __future__ import annotations

import pytest
import torch
from torch import nn

from genlab.penalties import finite_difference_penalty


def test_linear_discriminator_in_closed_form() -> None:
    """For D(x) = w.x the expectation is |w|^2 / 2 at every sigma: the difference quotient is exact."""
    torch.manual_seed(0)
    w, x = torch.tensor([0.6, -0.8], dtype=torch.float64), torch.randn(200_000, 2, dtype=torch.float64)
    for sigma in (0.001, 0.05, 1.0):
        value = finite_difference_penalty(x @ w, (x + sigma * torch.randn_like(x)) @ w, sigma).item()
        # (w.e)^2 / 2 has mean 1/2 and standard deviation 1/sqrt(2): four standard errors.
        assert value == pytest.approx(0.5, abs=4 * 0.5**0.5 / 200_000**0.5)


def test_agrees_with_the_gradient_of_a_smooth_discriminator() -> None:
    """Expectation -> E |grad D|^2 / 2 as sigma -> 0 (20,000 draws, within 5 %)."""
    torch.manual_seed(1)
    network = nn.Sequential(nn.Linear(6, 16), nn.Tanh(), nn.Linear(16, 1)).double()
    x = torch.randn(20_000, 6, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(network(x).sum(), x)
    exact = gradient.square().sum(1).mean().item() / 2
    with torch.no_grad():
        value = finite_difference_penalty(network(x)[:, 0], network(x + 1e-3 * torch.randn_like(x))[:, 0], 1e-3).item()
    assert value == pytest.approx(exact, rel=0.05)


def test_constant_discriminator_is_not_penalised() -> None:
    assert finite_difference_penalty(torch.full((8,), 3.0), torch.full((8,), 3.0), 0.05).item() == 0


def test_halving_sigma_quadruples_the_penalty_of_one_difference() -> None:
    at, beside = torch.zeros(4), torch.full((4,), 0.1)
    ratio = finite_difference_penalty(at, beside, 0.05) / finite_difference_penalty(at, beside, 0.1)
    assert ratio.item() == pytest.approx(4)
