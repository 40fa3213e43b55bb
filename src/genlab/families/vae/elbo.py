"""The evidence lower bound of a VAE, term by term (Kingma and Welling 2014).

Shapes: images and decoder outputs (N, C, H, W); means, log-variances and z (N, latent). Sums are in nats per image.
`negative_...` is minimised. z has the prior N(0, I), the encoder gives N(mean, exp(log_variance)).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

ACTIVE = 0.01
"""A latent dimension is active if the variance of its posterior mean over the data exceeds this (Burda et al. 2016)."""


def half_squared_error(output: Tensor, x: Tensor) -> Tensor:
    """sum (x - output)^2 / 2 over pixels, (N,): -log N(x; output, I) without its constant, pixels / 2 * ln(2 pi)."""
    return (output - x).square().flatten(1).sum(1) / 2


def bernoulli_cross_entropy(logits: Tensor, x: Tensor) -> Tensor:
    """-sum x log sigma(logits) + (1 - x) log(1 - sigma(logits)) over pixels in [0, 1], (N,)."""
    return binary_cross_entropy_with_logits(logits, x, reduction="none").flatten(1).sum(1)


NEGATIVE_LOG_LIKELIHOODS = {"gaussian": half_squared_error, "bernoulli": bernoulli_cross_entropy}


def gaussian_constant(pixels: int) -> float:
    """What `half_squared_error` leaves out of -log N(x; output, I) over so many pixels: pixels / 2 * ln(2 pi)."""
    return pixels / 2 * math.log(2 * math.pi)


def kl_to_prior(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL(N(mean, exp(log_variance)) || N(0, 1)) of each dimension, (N, latent), in nats; 0 at mean 0, variance 1."""
    return (mean.square() + log_variance.exp() - 1 - log_variance) / 2


def reparameterise(mean: Tensor, log_variance: Tensor, noise: Tensor) -> Tensor:
    """mean + standard deviation * noise."""
    return mean + (log_variance / 2).exp() * noise


def active_units(posterior_mean: Tensor) -> int:
    """How many dimensions of E[z|x], (N, latent), vary over the images by more than `ACTIVE`; 0: z is ignored, or
    there is a single image."""
    if len(posterior_mean) < 2:
        return 0
    return int((posterior_mean.var(0) > ACTIVE).sum())


def reduction(likelihood: str, reconstruction: str, pixels: int) -> float:
    """By what the negative log-likelihood of an image is multiplied: 1 for `sum`; for `mean` 2/P where it is half a
    squared error (so that it becomes the mean squared error), 1/P where it is a cross-entropy."""
    if reconstruction == "sum":
        return 1.0
    return (2 if likelihood == "gaussian" else 1) / pixels


def effective_beta(likelihood: str, reconstruction: str, kl: str, weight: float, pixels: int, latent: int) -> float:
    """c in `negative log-likelihood + c * KL`, both summed, to which a loss with these reductions is proportional.

    It is the weight over the reconstruction's `reduction`; a KL averaged over the latent dimensions divides it by their
    number.
    """
    return weight / reduction(likelihood, reconstruction, pixels) / (latent if kl == "mean" else 1)


def log_normal(z: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
    """log N(z; mean, exp(log_variance)) over the last dimension."""
    return -((z - mean).square() / log_variance.exp() + log_variance + math.log(2 * math.pi)).sum(-1) / 2


def log_ratio(z: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
    """log N(z; 0, I) - log N(z; mean, exp(log_variance)), (K, N, latent) -> (K, N): how much likelier the prior draws
    z than the encoder does."""
    zero = torch.zeros((), dtype=z.dtype, device=z.device)
    return log_normal(z, zero, zero) - log_normal(z, mean, log_variance)


def importance_weighted(log_weights: Tensor) -> Tensor:
    """log 1/K sum_k w_k over the first dimension, (K, N) -> (N,), w = p(x|z) p(z) / q(z|x) with z drawn from q.

    Its expectation is a lower bound of log p(x) that grows with K towards it; K = 1 is the ELBO (Burda et al. 2016).
    """
    return torch.logsumexp(log_weights, 0) - math.log(len(log_weights))
