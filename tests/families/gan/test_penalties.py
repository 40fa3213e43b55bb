"""Penalties against closed forms, and finite differences against the gradient that they approximate."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from genlab.families.gan import penalties
from genlab.families.gan.penalties import finite_difference_penalty


def tanh_network() -> nn.Module:
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(6, 16), nn.Tanh(), nn.Linear(16, 1), nn.Flatten(0)).double()


def test_linear_discriminator_in_closed_form() -> None:
    """For D(x) = w.x the expectation is |w|^2 / 2 at every sigma: the difference quotient is exact."""
    torch.manual_seed(0)
    w, x = torch.tensor([0.6, -0.8], dtype=torch.float64), torch.randn(200_000, 2, dtype=torch.float64)
    for sigma in (0.001, 0.05, 1.0):
        value = finite_difference_penalty(x @ w, (x + sigma * torch.randn_like(x)) @ w, sigma).item()
        # (w.e)^2 / 2 has mean 1/2 and standard deviation 1/sqrt(2): four standard errors.
        assert value == pytest.approx(0.5, abs=4 * 0.5**0.5 / 200_000**0.5)


def differences(sigma: float, draws: int = 20_000) -> tuple[float, float]:
    """The finite-difference penalty of a tanh network in float64, and the exact one at the same points."""
    network = tanh_network()
    torch.manual_seed(2)
    x = torch.randn(draws, 6, dtype=torch.float64)
    with torch.no_grad():
        value = finite_difference_penalty(network(x), network(x + sigma * torch.randn_like(x)), sigma).item()
    return value, penalties.squared_gradient_penalty(network, x).item()


def test_finite_differences_agree_with_the_gradient() -> None:
    """Both penalties agree within 5 % at sigma .001, over 20,000 draws."""
    value, exact = differences(0.001)
    assert value == pytest.approx(exact, rel=0.05)


def test_the_bias_of_finite_differences_at_sigma_05_is_small() -> None:
    """With the same draws, the penalties at sigma .05 and .001 differ only by the bias: -0.05 % here."""
    bias = differences(0.05)[0] / differences(0.001)[0] - 1
    assert 1e-5 < abs(bias) < 0.01
    # It grows with sigma^2.
    assert differences(0.5)[0] / differences(0.001)[0] - 1 == pytest.approx(100 * bias, rel=0.6)


def test_constant_discriminator_is_not_penalised() -> None:
    assert finite_difference_penalty(torch.full((8,), 3.0), torch.full((8,), 3.0), 0.05).item() == 0


def test_halving_sigma_quadruples_the_penalty_of_one_difference() -> None:
    at, beside = torch.zeros(4), torch.full((4,), 0.1)
    ratio = finite_difference_penalty(at, beside, 0.05) / finite_difference_penalty(at, beside, 0.1)
    assert ratio.item() == pytest.approx(4)


@pytest.mark.parametrize(
    ("norm", "two_sided", "one_sided"), [(0.0, 1.0, 0.0), (0.5, 0.25, 0.0), (1.0, 0.0, 0.0), (2.0, 1.0, 1.0)]
)
def test_penalties_of_a_linear_discriminator(norm: float, two_sided: float, one_sided: float) -> None:
    """For D(x) = w.x, the penalties at every x are (|w| - 1)^2 (if one-sided, for norms above 1) and |w|^2 / 2."""
    w = norm * torch.tensor([0.6, -0.8], dtype=torch.float64).view(1, 2, 1, 1)

    def scores(x: Tensor) -> Tensor:
        return (x * w).sum((1, 2, 3))

    x = torch.randn(5, 2, 1, 1, dtype=torch.float64)
    # The norm has 1e-16 added under its root, so that a flat D has a slope.
    assert penalties.unit_gradient_penalty(scores, x).item() == pytest.approx(two_sided, abs=1e-6)
    assert penalties.unit_gradient_penalty(scores, x, one_sided=True).item() == pytest.approx(one_sided, abs=1e-6)
    assert penalties.squared_gradient_penalty(scores, x).item() == pytest.approx(norm**2 / 2, abs=1e-12)


def test_norms_are_of_each_image_and_then_averaged() -> None:
    """For D(x) = |x|^2 / 2 the gradient is x, and the penalty the mean of (|x| - 1)^2, not the square of a mean."""
    x = torch.tensor([[3.0, 4.0], [0.0, 1.0]]).view(2, 1, 1, 2)

    def scores(x: Tensor) -> Tensor:
        return x.square().sum((1, 2, 3)) / 2

    assert penalties.unit_gradient_penalty(scores, x).item() == pytest.approx((16 + 0) / 2)
    assert penalties.squared_gradient_penalty(scores, x).item() == pytest.approx((25 + 1) / 2 / 2)


def test_penalties_reach_the_weights() -> None:
    """d/dw of (|w| - 1)^2 is 2 (|w| - 1) w / |w|: the gradient is itself differentiated."""
    w = torch.tensor([3.0, 4.0], dtype=torch.float64, requires_grad=True)
    penalties.unit_gradient_penalty(lambda x: x @ w, torch.randn(4, 2, dtype=torch.float64)).backward()  # type: ignore[no-untyped-call]
    assert w.grad is not None
    assert w.grad.tolist() == pytest.approx([8 * 0.6, 8 * 0.8])
    v = torch.tensor([3.0, 4.0], dtype=torch.float64, requires_grad=True)
    penalties.squared_gradient_penalty(lambda x: x @ v, torch.randn(4, 2, dtype=torch.float64)).backward()  # type: ignore[no-untyped-call]
    assert v.grad is not None
    assert v.grad.tolist() == pytest.approx([3, 4])


def test_a_flat_discriminator_has_a_finite_slope() -> None:
    w = torch.zeros(2, requires_grad=True)
    penalties.unit_gradient_penalty(lambda x: x @ w, torch.randn(4, 2)).backward()  # type: ignore[no-untyped-call]
    assert w.grad is not None
    assert torch.isfinite(w.grad).all()


def test_penalties_need_no_gradient_outside() -> None:
    with torch.no_grad():
        value = penalties.squared_gradient_penalty(lambda x: x.square().sum(1) / 2, torch.ones(3, 2))
    assert value.item() == pytest.approx(1)


def test_between_is_a_point_of_each_segment() -> None:
    real, fake = torch.zeros(3, 1, 2, 2), torch.ones(3, 1, 2, 2)
    made = penalties.between(real, fake, torch.tensor([0.0, 0.25, 1.0]))
    assert made[:, 0, 0, 0].tolist() == pytest.approx([1, 0.75, 0])
    assert math.isclose(made.std(dim=(1, 2, 3)).max().item(), 0, abs_tol=1e-7)
