"""The evidence lower bound of a VAE, term by term (Kingma and Welling 2014).

Shapes: images and decoder outputs (N, C, H, W); means, log-variances and z (N, latent). Sums are in nats per image.
Negative log-likelihoods are minimised. z has the prior N(0, I); the encoder gives N(mean, exp(log_variance)).
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
    """What `half_squared_error` leaves out of -log N(x; output, I) over this many pixels: pixels / 2 * ln(2 pi)."""
    return pixels / 2 * math.log(2 * math.pi)


def kl_to_prior(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL(N(mean, exp(log_variance)) || N(0, 1)) of each dimension, (N, latent), in nats; 0 at mean 0, variance 1."""
    return (mean.square() + log_variance.exp() - 1 - log_variance) / 2


def reparameterise(mean: Tensor, log_variance: Tensor, noise: Tensor) -> Tensor:
    """mean + standard deviation * noise."""
    return mean + (log_variance / 2).exp() * noise


def active_units(posterior_mean: Tensor) -> int:
    """Number of dimensions of E[z|x], (N, latent), whose variance over the images exceeds `ACTIVE`; 0 if z is ignored
    or there is a single image."""
    if len(posterior_mean) < 2:
        return 0
    return int((posterior_mean.var(0) > ACTIVE).sum())


def reduction(likelihood: str, reconstruction: str, pixels: int) -> float:
    """Factor on the negative log-likelihood of an image with P pixels: 1 for `sum`; for `mean` 2/P if it is half a
    squared error (which becomes the mean squared error), 1/P if it is a cross-entropy."""
    if reconstruction == "sum":
        return 1.0
    return (2 if likelihood == "gaussian" else 1) / pixels


def effective_beta(likelihood: str, reconstruction: str, kl: str, weight: float, pixels: int, latent: int) -> float:
    """c in `negative log-likelihood + c * KL`, both summed, to which a loss with these reductions is proportional.

    It is the weight divided by the reconstruction's `reduction`, and also by the number of latent dimensions if the KL
    is averaged over them.
    """
    return weight / reduction(likelihood, reconstruction, pixels) / (latent if kl == "mean" else 1)


def log_normal(z: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
    """log N(z; mean, exp(log_variance)) over the last dimension."""
    return -((z - mean).square() / log_variance.exp() + log_variance + math.log(2 * math.pi)).sum(-1) / 2


def log_ratio(z: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
    """log N(z; 0, I) - log N(z; mean, exp(log_variance)), (K, N, latent) -> (K, N): how much likelier z is
    under the prior than under the encoder."""
    zero = torch.zeros((), dtype=z.dtype, device=z.device)
    return log_normal(z, zero, zero) - log_normal(z, mean, log_variance)


def importance_weighted(log_weights: Tensor) -> Tensor:
    """log 1/K sum_k w_k over the first dimension, (K, N) -> (N,), w = p(x|z) p(z) / q(z|x) with z drawn from q.

    Its expectation is a lower bound on log p(x) that grows towards it with K; K = 1 is the ELBO (Burda et al. 2016).
    """
    return torch.logsumexp(log_weights, 0) - math.log(len(log_weights))
