"""Generators and discriminators of linear layers: the original GAN (Goodfellow et al. 2014) as in reports S1 and S3."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from genlab.engine.fast_layers import Linear
from genlab.families.nets.parts import Activation, Init, Normalisation, Order, dense, finish, pixels


class MlpGenerator(nn.Module):
    """z (N, latent) -> images (N, channels, size, size) in [-1, 1]: hidden layers of `widths` units, then tanh."""

    def __init__(
        self,
        latent: int,
        channels: int,
        size: int,
        widths: Sequence[int] = (256, 512, 1024),
        activation: Activation = "leaky-relu",
        normalisation: Normalisation = "none",
        normalise_first: bool = False,
        batchnorm_eps: float = 1e-5,
        order: Order = "normalise-activate",
        init: Init = "torch-default",
    ) -> None:
        super().__init__()
        self.latent = latent
        self.layers = nn.Sequential(
            *dense([latent, *widths], normalisation, activation, order, batchnorm_eps, normalise_first),
            Linear(widths[-1], pixels(channels, size)),
            nn.Tanh(),
            nn.Unflatten(1, (channels, size, size)),
        )
        finish(self, init, normalisation)

    def forward(self, z: Tensor) -> Tensor:
        images: Tensor = self.layers(z)
        return images


class MlpDiscriminator(nn.Module):
    """Images (N, channels, size, size) -> logits (N,): hidden layers of `widths` units, each followed by dropout."""

    def __init__(
        self,
        channels: int,
        size: int,
        widths: Sequence[int] = (1024, 512, 256),
        dropout: float = 0.0,
        activation: Activation = "leaky-relu",
        normalisation: Normalisation = "none",
        batchnorm_eps: float = 1e-5,
        order: Order = "normalise-activate",
        init: Init = "torch-default",
    ) -> None:
        super().__init__()
        inputs = pixels(channels, size)
        self.layers = nn.Sequential(
            nn.Flatten(),
            *dense([inputs, *widths], normalisation, activation, order, batchnorm_eps, dropout=dropout),
            Linear(widths[-1], 1),
        )
        finish(self, init, normalisation)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.layers(x)
        return logits.flatten()
