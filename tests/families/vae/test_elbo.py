"""The bound's terms against closed forms, sampling and a model with a known likelihood."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.distributions import Bernoulli, Normal, kl_divergence

from genlab.families.vae import elbo

torch.manual_seed(0)
MEAN, LOG_VARIANCE = torch.randn(5, 3, dtype=torch.float64), torch.randn(5, 3, dtype=torch.float64)


def test_kl_in_closed_form() -> None:
    """(m^2 + v - 1 - log v) / 2: 0 at the prior, 1/2 at mean 1, (1 - log 2) / 2 at variance 2."""
    m, v = torch.tensor([0.0, 1.0, 0.0]), torch.tensor([0.0, 0.0, math.log(2)])
    assert elbo.kl_to_prior(m, v).tolist() == pytest.approx([0, 0.5, (1 - math.log(2)) / 2], abs=1e-7)


def test_kl_agrees_with_torch_and_is_not_symmetric() -> None:
    posterior, prior = Normal(MEAN, (LOG_VARIANCE / 2).exp()), Normal(torch.zeros(5, 3), torch.ones(5, 3))
    found = elbo.kl_to_prior(MEAN, LOG_VARIANCE)
    assert torch.allclose(found, kl_divergence(posterior, prior), rtol=1e-10)
    assert not torch.allclose(found, kl_divergence(prior, posterior), rtol=1e-2)
    assert (found >= 0).all()


def test_reconstruction_terms_are_negative_log_likelihoods() -> None:
    """Both terms are exact up to the Gaussian's constant, and have the sign of what is minimised."""
    x, output = torch.rand(4, 1, 3, 3, dtype=torch.float64), torch.randn(4, 1, 3, 3, dtype=torch.float64)
    gaussian = -Normal(output, 1.0).log_prob(x).sum((1, 2, 3))  # type: ignore[no-untyped-call]
    assert torch.allclose(elbo.half_squared_error(output, x) + elbo.gaussian_constant(9), gaussian, rtol=1e-6)
    binary = x.round()
    bernoulli = -Bernoulli(logits=output).log_prob(binary).sum((1, 2, 3))  # type: ignore[no-untyped-call]
    assert torch.allclose(elbo.bernoulli_cross_entropy(output, binary), bernoulli, rtol=1e-6)
    assert (bernoulli > 0).all()


def test_extreme_logits_of_a_pixel_are_finite() -> None:
    logits = torch.tensor([200.0, -200.0]).view(1, 1, 1, 2).requires_grad_()
    loss = elbo.bernoulli_cross_entropy(logits, torch.tensor([0.0, 1.0]).view(1, 1, 1, 2)).sum()
    loss.backward()  # type: ignore[no-untyped-call]
    assert loss.item() == pytest.approx(400)
    assert logits.grad is not None
    assert logits.grad.flatten().tolist() == pytest.approx([1, -1])


def test_reparameterised_draws_have_the_posterior_s_moments() -> None:
    mean, log_variance = torch.tensor([[1.0, -2.0]]), torch.tensor([[math.log(4.0), math.log(0.25)]])
    z = elbo.reparameterise(mean, log_variance, torch.randn(100_000, 2, generator=torch.Generator().manual_seed(0)))
    # Five standard errors of mean and standard deviation.
    assert z.mean(0).tolist() == pytest.approx([1, -2], abs=5 * 2 / 100_000**0.5)
    assert z.std(0).tolist() == pytest.approx([2, 0.5], rel=5 / (2 * 100_000) ** 0.5)


def test_active_units() -> None:
    means = torch.zeros(1000, 4)
    means[:, 1] = torch.linspace(-1, 1, 1000)
    means[:, 2] = 5.0  # constant: says nothing about x, whatever its value
    means[:, 3] = torch.linspace(-0.1, 0.1, 1000)  # variance 1/300
    assert elbo.active_units(means) == 1


@pytest.mark.parametrize(
    ("likelihood", "reconstruction", "kl", "latent", "weight", "expected"),
    [
        ("gaussian", "sum", "sum", 2, 1.0, 1.0),
        ("gaussian", "mean", "sum", 2, 1.0, 392.0),
        ("gaussian", "mean", "sum", 64, 1.0, 392.0),
        ("gaussian", "mean", "mean", 2, 1.0, 196.0),
        ("gaussian", "mean", "mean", 64, 1.0, 6.125),
        ("gaussian", "mean", "mean", 2, 0.25, 49.0),
        ("bernoulli", "mean", "sum", 2, 1.0, 784.0),
        ("bernoulli", "sum", "sum", 2, 4.0, 4.0),
    ],
)
def test_effective_beta(
    likelihood: str, reconstruction: str, kl: str, latent: int, weight: float, expected: float
) -> None:
    assert elbo.effective_beta(likelihood, reconstruction, kl, weight, 784, latent) == pytest.approx(expected)


# A linear-Gaussian model: z ~ N(0, I), x | z ~ N(W z + b, I), so that p(x) = N(b, W W' + I).
W = torch.tensor([[1.0, 0.5], [-0.3, 0.8], [0.7, -1.1]], dtype=torch.float64)
B = torch.tensor([0.2, -0.1, 0.4], dtype=torch.float64)
X = torch.tensor([[1.0, -0.5, 0.3], [0.0, 2.0, -1.0]], dtype=torch.float64)


def log_marginal() -> Tensor:
    marginal = torch.distributions.MultivariateNormal(B, W @ W.T + torch.eye(3, dtype=torch.float64))
    found: Tensor = marginal.log_prob(X)  # type: ignore[no-untyped-call]
    return found


def log_weights(samples: int, seed: int, shift: float = 0.0, spread: float = 0.4) -> Tensor:
    """Log weights, (K, N), for a diagonal q near the posterior, moved by `shift`."""
    precision = W.T @ W + torch.eye(2, dtype=torch.float64)
    mean = (X - B) @ W @ torch.linalg.inv(precision) + shift
    log_variance = torch.full_like(mean, math.log(spread))
    noise = torch.randn(samples, *mean.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    z = elbo.reparameterise(mean, log_variance, noise)
    error = elbo.half_squared_error((z @ W.T + B).flatten(0, 1), X.repeat(samples, 1)).view(samples, -1)
    zeros = torch.zeros_like(z)
    prior, posterior = elbo.log_normal(z, zeros, zeros), elbo.log_normal(z, mean, log_variance)
    return prior - posterior - error - elbo.gaussian_constant(3)


def test_importance_weighting_converges_to_the_likelihood() -> None:
    """The estimate is +log p(x), not its negative, within 0.01 nats at K = 50,000."""
    found = elbo.importance_weighted(log_weights(50_000, seed=0))
    assert found.tolist() == pytest.approx(log_marginal().tolist(), abs=0.01)
    assert (log_marginal() < 0).all()


def test_the_bound_grows_with_k_from_the_elbo() -> None:
    """In expectation K = 1 <= K = 8 <= K = 64 <= log p(x), and K = 1 is the ELBO: E_q[log p(x|z)] - KL."""
    means = [
        torch.stack([elbo.importance_weighted(log_weights(k, seed, shift=0.5)) for seed in range(2000)]).mean(0)
        for k in (1, 8, 64)
    ]
    for low, high in ((means[0], means[1]), (means[1], means[2]), (means[2], log_marginal() + 0.02)):
        assert (low < high).all()
    precision = W.T @ W + torch.eye(2, dtype=torch.float64)
    mean = (X - B) @ W @ torch.linalg.inv(precision) + 0.5
    kl = elbo.kl_to_prior(mean, torch.full_like(mean, math.log(0.4))).sum(1)
    expected_error = elbo.half_squared_error(mean @ W.T + B, X) + 0.4 * W.square().sum() / 2
    bound = -expected_error - elbo.gaussian_constant(3) - kl
    assert means[0].tolist() == pytest.approx(bound.tolist(), abs=0.15)


def test_averaging_is_inside_the_logarithm() -> None:
    weights = torch.tensor([[0.0], [math.log(3.0)]])
    assert elbo.importance_weighted(weights).item() == pytest.approx(math.log(2))
