"""DCGAN generators and discriminators (Radford, Metz and Chintala 2016), in the forms of reports S0, S2 and S4."""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn

from genlab.engine.fast_layers import DoublingConvTranspose2d, PointConvTranspose2d
from genlab.families.nets.parts import (
    Activation,
    Init,
    Normalisation,
    Order,
    Stem,
    after,
    discriminator_widths,
    downsampling,
    finish,
    generator_widths,
    stem_of,
    upsampling,
    whole_map,
)


class DcganGenerator(nn.Module):
    """z (N, latent) -> images (N, channels, size, size) in [-1, 1].

    A transposed convolution turns z into a map of side `base`; blocks of kernel 4, stride 2, padding 1 double it and
    halve the channels, down to `ngf`. The head is the last doubling (`transposed`: S0, S2) or a 3x3 convolution that
    keeps the side (`convolution`: S4). The first and the last layer have no bias, the blocks have one only without
    batch normalisation.

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
        activation: Activation = "relu",
        normalisation: Normalisation = "batch",
        order: Order = "normalise-activate",
        init: Init = "normal-0.02",
    ) -> None:
        super().__init__()
        widths = generator_widths(base, size, ngf, extra=0 if head == "transposed" else 1)
        self.latent = latent
        self.layers = nn.Sequential(
            PointConvTranspose2d(latent, widths[0], base),
            *after(widths[0], normalisation, activation, order),
            *upsampling(widths, normalisation, activation, order),
            DoublingConvTranspose2d(ngf, channels, bias=False)
            if head == "transposed"
            else nn.Conv2d(ngf, channels, 3, padding=1, bias=False),
            nn.Tanh(),
        )
        finish(self, init, normalisation)

    def forward(self, z: Tensor) -> Tensor:
        images: Tensor = self.layers(z[:, :, None, None])
        return images


class DcganDiscriminator(nn.Module):
    """Images (N, channels, size, size) -> logits (N,).

    The stem is a stride-2 convolution (S0, S2), a 3x3 convolution that keeps the side (S4) or a stride-4
    convolution that replaces the first two (`patch`); convolutions of kernel 4, stride 2, padding 1 halve the side,
    rounding down, and double the channels from `ndf`; one convolution over the last map, of side `base`, gives the
    logit. Layers have a bias only without batch normalisation.

    Args:
        minibatch_stddev: images per group, whose spread is an extra channel of the last map; see `minibatch_stddev`.

    Raises:
        ValueError: halving `size` does not reach `base`.
    """

    def __init__(
        self,
        channels: int,
        size: int,
        ndf: int = 32,
        base: int = 4,
        stem: Stem = "strided",
        activation: Activation = "leaky-relu",
        normalisation: Normalisation = "batch",
        normalise_first: bool = True,
        order: Order = "normalise-activate",
        init: Init = "normal-0.02",
        minibatch_stddev: int | None = None,
    ) -> None:
        super().__init__()
        bias = normalisation != "batch"
        widths = discriminator_widths(size, base, ndf, extra=1 if stem == "convolution" else 0)
        first, widths = stem_of(stem, channels, widths, bias)
        self.layers = nn.Sequential(
            first,
            *after(widths[0], normalisation if normalise_first else "none", activation, order),
            *downsampling(widths, normalisation, activation, order),
            whole_map(widths[-1], 1, base, minibatch_stddev, bias),
        )
        finish(self, init, normalisation)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.layers(x)
        return logits.flatten()
