"""From an image to features: the body of encoders and classifiers alike, so that one can start from the other."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from genlab.families.nets.parts import after, dense, discriminator_widths, downsampling, pixels


def dense_body(
    inputs: int, widths: Sequence[int], activation: str, normalisation: str, order: str, eps: float
) -> nn.Sequential:
    """(N, ...) with `inputs` numbers per image -> (N, widths[-1]): linear layers."""
    return nn.Sequential(nn.Flatten(), *dense([inputs, *widths], normalisation, activation, order, eps))


def conv_body(
    channels: int, size: int, ndf: int, base: int, activation: str, normalisation: str, order: str
) -> nn.Sequential:
    """(N, channels, size, size) -> (N, features): strided convolutions down to side `base`, flattened.

    Raises:
        ValueError: halving `size` does not reach `base`.
    """
    widths = discriminator_widths(size, base, ndf)
    return nn.Sequential(
        nn.Conv2d(channels, ndf, 4, 2, 1, bias=normalisation != "batch"),
        *after(ndf, normalisation, activation, order),
        *downsampling(widths, normalisation, activation, order),
        nn.Flatten(),
    )


def conv_features(size: int, ndf: int, base: int) -> int:
    """Number of features that `conv_body` returns."""
    return pixels(discriminator_widths(size, base, ndf)[-1], base)
