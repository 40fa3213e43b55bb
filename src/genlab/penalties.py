"""Penalties on the discriminator's gradient with respect to images."""

from __future__ import annotations

from torch import Tensor


def finite_difference_penalty(logits: Tensor, shifted_logits: Tensor, sigma: float) -> Tensor:
    """E (D(x) - D(x + sigma e))^2 / (2 sigma^2), e standard normal: to leading order in sigma, E |grad D(x)|^2 / 2.

    With x real this is R1, with x fake R2 (Mescheder et al. 2018), up to their weight gamma. First derivatives only.

    Args:
        logits: D(x), shape (N,).
        shifted_logits: D(x + sigma e), shape (N,).
        sigma: step in units of pixels, which lie in [-1, 1].
    """
    return ((logits - shifted_logits).float().square() / (2 * sigma**2)).mean()
