"""From an image to features: the body that encoders and classifiers share, so that one can start from the other."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from genlab.families.nets.parts import after, dense, discriminator_widths, downsampling, pixels


def dense_body(
    inputs: int, widths: Sequence[int], activation: str, normalisation: str, order: str, eps: float
) -> nn.Sequential:
    """(N, ...) with `inputs` numbers each -> (N, widths[-1])."""
    return nn.Sequential(nn.Flatten(), *dense([inputs, *widths], normalisation, activation, order, eps))


def conv_body(
    channels: int, size: int, ndf: int, base: int, activation: str, normalisation: str, order: str
) -> nn.Sequential:
    """(N, channels, size, size) -> (N, features): strided convolutions down to side `base`, flattened.

    Raises:
        ValueError: halving `size` does not arrive at `base`.
    """
    widths = discriminator_widths(size, base, ndf)
    return nn.Sequential(
        nn.Conv2d(channels, ndf, 4, 2, 1, bias=normalisation != "batch"),
        *after(ndf, normalisation, activation, order),
        *downsampling(widths, normalisation, activation, order),
        nn.Flatten(),
    )


def conv_features(size: int, ndf: int, base: int) -> int:
    """How many features `conv_body` gives."""
    return pixels(discriminator_widths(size, base, ndf)[-1], base)
