"""A small residual generator and discriminator (He et al. 2016, in the form of Miyato et al. 2018)."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional as F

from genlab.engine.fast_layers import Linear, PointConvTranspose2d
from genlab.families.nets.parts import (
    Activation,
    Init,
    Normalisation,
    Order,
    after,
    discriminator_widths,
    finish,
    generator_widths,
)


class Block(nn.Module):
    """x -> resample(convolutions(x)) + resample(1x1 convolution(x)); `scale` 2 doubles the side, 0.5 halves it.

    The residual path is (normalise, activate, 3x3 convolution) twice. Growing repeats pixels, shrinking averages them.
    Without batch normalisation before it, the first activation changes x itself, so the 1x1 convolution sees act(x).
    """

    def __init__(
        self, inputs: int, outputs: int, scale: float, normalisation: str, activation: str, order: str
    ) -> None:
        super().__init__()
        bias = normalisation != "batch"
        self.scale = scale
        self.before = nn.Sequential(*after(inputs, normalisation, activation, order))
        self.first = nn.Conv2d(inputs, outputs, 3, padding=1, bias=bias)
        self.between = nn.Sequential(*after(outputs, normalisation, activation, order))
        self.second = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.skip = nn.Conv2d(inputs, outputs, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        if self.scale > 1:
            # Convolve 1x1 before growing and 3x3 after: the same function, a quarter of the work.
            large = self.first(F.interpolate(self.before(x), scale_factor=2.0, mode="nearest"))
            grown: Tensor = self.second(self.between(large))
            return grown + F.interpolate(self.skip(x), scale_factor=2.0, mode="nearest")
        same = self.second(self.between(self.first(self.before(x))))
        shrunk: Tensor = self.skip(F.avg_pool2d(x, 2))
        return F.avg_pool2d(same, 2) + shrunk


class ResidualGenerator(nn.Module):
    """z (N, latent) -> images (N, channels, size, size) in [-1, 1].

    z becomes a map of side `base`; blocks double it and halve the channels, down to `ngf` in the last block.

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
        activation: Activation = "relu",
        normalisation: Normalisation = "batch",
        order: Order = "normalise-activate",
        init: Init = "torch-default",
    ) -> None:
        super().__init__()
        widths = generator_widths(base, size, ngf, extra=1)
        self.latent = latent
        self.layers = nn.Sequential(
            PointConvTranspose2d(latent, widths[0], base),
            *(Block(a, b, 2, normalisation, activation, order) for a, b in pairwise(widths)),
            *after(ngf, normalisation, activation, order),
            nn.Conv2d(ngf, channels, 3, padding=1),
            nn.Tanh(),
        )
        finish(self, init, normalisation)

    def forward(self, z: Tensor) -> Tensor:
        images: Tensor = self.layers(z[:, :, None, None])
        return images


class ResidualDiscriminator(nn.Module):
    """Images (N, channels, size, size) -> logits (N,).

    A 3x3 convolution to `ndf` channels, blocks that halve the side and double the channels down to a map of side
    `base`, and a linear layer over the whole of that map.

    Raises:
        ValueError: halving `size` does not reach `base`.
    """

    def __init__(
        self,
        channels: int,
        size: int,
        ndf: int = 32,
        base: int = 4,
        activation: Activation = "leaky-relu",
        normalisation: Normalisation = "none",
        order: Order = "normalise-activate",
        init: Init = "torch-default",
    ) -> None:
        super().__init__()
        widths = discriminator_widths(size, base, ndf, extra=1)
        self.layers = nn.Sequential(
            nn.Conv2d(channels, ndf, 3, padding=1),
            *(Block(a, b, 0.5, normalisation, activation, order) for a, b in pairwise(widths)),
            *after(widths[-1], normalisation, activation, order),
            nn.Flatten(),
            Linear(widths[-1] * base**2, 1),
        )
        finish(self, init, normalisation)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.layers(x)
        return logits.flatten()
