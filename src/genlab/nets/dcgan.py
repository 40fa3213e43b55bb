"""DCGAN generators and discriminators (Radford, Metz and Chintala 2016), in the forms of reports S0, S2 and S4."""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn

from genlab.geometry import doublings, halvings
from genlab.nets.products import PointConvTranspose2d, WholeMapConv2d

SLOPE = 0.2
"""Negative slope of every LeakyReLU, as in the DCGAN paper."""


class DcganGenerator(nn.Module):
    """z (N, latent) -> images (N, channels, size, size) in [-1, 1].

    A transposed convolution turns z into a map of side `base`; blocks of kernel 4, stride 2, padding 1 double it and
    halve the channels, down to `ngf`. The head is the last doubling (`transposed`: S0, S2) or a 3x3 convolution that
    keeps the side (`convolution`: S4). No layer has a bias.

    Raises:
        ValueError: `size` is not `base` doubled a whole number of times.
    """

    def __init__(
        self,
        latent: int,
        channels: int,
        size: int,
        ngf: int = 32,
        base: int = 4,
        head: Literal["transposed", "convolution"] = "transposed",
        activation: Literal["relu", "leaky-relu"] = "relu",
        normalisation: Literal["batch", "none"] = "batch",
    ) -> None:
        super().__init__()
        widths = generator_widths(base, size, ngf, extra=0 if head == "transposed" else 1)
        self.latent = latent
        self.layers = nn.Sequential(
            PointConvTranspose2d(latent, widths[0], base),
            *after(widths[0], normalisation, activation),
            *upsampling(widths, normalisation, activation),
            nn.ConvTranspose2d(ngf, channels, 4, 2, 1, bias=False)
            if head == "transposed"
            else nn.Conv2d(ngf, channels, 3, padding=1, bias=False),
            nn.Tanh(),
        )

    def forward(self, z: Tensor) -> Tensor:
        images: Tensor = self.layers(z[:, :, None, None])
        return images


class DcganDiscriminator(nn.Module):
    """Images (N, channels, size, size) -> logits (N,).

    The stem is a stride-2 convolution (S0, S2) or a 3x3 convolution that keeps the side (S4); convolutions of kernel 4,
    stride 2, padding 1 halve the side, rounding down, and double the channels from `ndf`; one convolution over the last
    map of side `base` gives the logit. No layer has a bias, unless `normalisation` is none.

    Raises:
        ValueError: halving `size` does not arrive at `base`.
    """

    def __init__(
        self,
        channels: int,
        size: int,
        ndf: int = 32,
        base: int = 4,
        stem: Literal["strided", "convolution"] = "strided",
        normalisation: Literal["batch", "none"] = "batch",
        normalise_first: bool = True,
    ) -> None:
        super().__init__()
        bias = normalisation == "none"
        widths = discriminator_widths(size, base, ndf, extra=0 if stem == "strided" else 1)
        first = (
            nn.Conv2d(channels, ndf, 4, 2, 1, bias=bias)
            if stem == "strided"
            else nn.Conv2d(channels, ndf, 3, padding=1, bias=bias)
        )
        self.layers = nn.Sequential(
            first,
            *after(ndf, normalisation if normalise_first else "none", "leaky-relu"),
            *downsampling(widths, normalisation),
            WholeMapConv2d(widths[-1], 1, base, bias=bias),
        )

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.layers(x)
        return logits.flatten()


def generator_widths(base: int, size: int, ngf: int, extra: int = 0) -> list[int]:
    """Channels from the first map to the last, ngf: doubled towards z, one a doubling of the side, and `extra`."""
    blocks = doublings(base, size)
    if blocks is None:
        raise ValueError(f"size {size} is not base {base} doubled a whole number of times")
    return [ngf * 2**k for k in reversed(range(blocks + extra))]


def discriminator_widths(size: int, base: int, ndf: int, extra: int = 0) -> list[int]:
    """Channels from the first map, ndf, to the last: doubled for each halving of the side and for `extra` layers."""
    blocks = halvings(size, base)
    if blocks is None:
        raise ValueError(f"halving size {size} does not arrive at base {base}")
    return [ndf * 2**k for k in range(blocks + extra)]


def upsampling(widths: list[int], normalisation: str, activation: str) -> list[nn.Module]:
    """Blocks that double the side, from widths[0] channels to widths[-1]."""
    layers: list[nn.Module] = []
    for wide, narrow in pairwise(widths):
        layers.append(nn.ConvTranspose2d(wide, narrow, 4, 2, 1, bias=normalisation == "none"))
        layers.extend(after(narrow, normalisation, activation))
    return layers


def downsampling(widths: list[int], normalisation: str) -> list[nn.Module]:
    """Blocks that halve the side, from widths[0] channels to widths[-1]."""
    layers: list[nn.Module] = []
    for narrow, wide in pairwise(widths):
        layers.append(nn.Conv2d(narrow, wide, 4, 2, 1, bias=normalisation == "none"))
        layers.extend(after(wide, normalisation, "leaky-relu"))
    return layers


def after(width: int, normalisation: str, activation: str) -> list[nn.Module]:
    """What follows a convolution: its normalisation, if any, and its activation."""
    normalise: list[nn.Module] = [nn.BatchNorm2d(width)] if normalisation == "batch" else []
    return [*normalise, nn.ReLU() if activation == "relu" else nn.LeakyReLU(SLOPE)]


@torch.no_grad()
def initialise(network: nn.Module, init: Literal["normal-0.02", "torch-default"]) -> None:
    """Draw the weights anew, from torch's global generator.

    `normal-0.02`: convolutions N(0, 0.02^2), batch normalisation's weight N(1, 0.02^2), biases 0 (Radford et al. 2016).
    `torch-default`: every layer's own `reset_parameters`.
    """
    for module in network.modules():
        if init == "torch-default":
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.BatchNorm2d):
                module.reset_parameters()
        elif isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.BatchNorm2d):
            nn.init.normal_(module.weight, 1.0 if isinstance(module, nn.BatchNorm2d) else 0.0, 0.02)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
