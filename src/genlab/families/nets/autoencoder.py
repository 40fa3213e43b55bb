"""Encoders and decoders of a VAE (Kingma and Welling 2014), plain and conditional (Sohn, Lee and Yan 2015).

An encoder returns mean and log-variance of z, each (N, latent); a decoder returns one number per pixel, (N, channels,
size, size), without an output activation: the likelihood defines what the number means. A conditional network
(`classes` > 0) also takes int64 labels (N,), whose one-hot form is appended to its input.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from genlab.engine.fast_layers import Linear, PointConvTranspose2d
from genlab.families.nets.bodies import conv_body, conv_features, dense_body
from genlab.families.nets.parts import (
    Activation,
    Init,
    Normalisation,
    Order,
    after,
    dense,
    finish,
    generator_widths,
    pixels,
    upsampling,
    with_classes,
)


class _Encoder(nn.Module):
    """A body with one linear head for the mean and one for the log-variance."""

    body: nn.Sequential
    mean: nn.Linear
    log_variance: nn.Linear
    classes: int

    def _heads(self, features: int, latent: int) -> None:
        self.mean, self.log_variance = Linear(features, latent), Linear(features, latent)

    def forward(self, x: Tensor, labels: Tensor | None = None) -> tuple[Tensor, Tensor]:
        features = self.body(with_classes(x, labels, self.classes))
        return self.mean(features), self.log_variance(features)


class MlpEncoder(_Encoder):
    """Hidden linear layers of `widths` units."""

    def __init__(
        self,
        latent: int,
        channels: int,
        size: int,
        classes: int = 0,
        widths: Sequence[int] = (500,),
        activation: Activation = "leaky-relu-0.01",
        normalisation: Normalisation = "none",
        batchnorm_eps: float = 1e-5,
        order: Order = "normalise-activate",
        init: Init = "torch-default",
    ) -> None:
        super().__init__()
        self.classes = classes
        inputs = pixels(channels, size) + classes
        self.body = dense_body(inputs, widths, activation, normalisation, order, batchnorm_eps)
        self._heads(widths[-1], latent)
        finish(self, init, normalisation)

    def forward(self, x: Tensor, labels: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return super().forward(x.flatten(1), labels)


class ConvEncoder(_Encoder):
    """Strided convolutions as in a DCGAN's discriminator.

    Raises:
        ValueError: halving `size` does not reach `base`.
    """

    def __init__(
        self,
        latent: int,
        channels: int,
        size: int,
        classes: int = 0,
        ndf: int = 32,
        base: int = 4,
        activation: Activation = "leaky-relu",
        normalisation: Normalisation = "batch",
        order: Order = "normalise-activate",
        init: Init = "torch-default",
    ) -> None:
        super().__init__()
        self.classes = classes
        self.body = conv_body(channels + classes, size, ndf, base, activation, normalisation, order)
        self._heads(conv_features(size, ndf, base), latent)
        finish(self, init, normalisation)


class MlpDecoder(nn.Module):
    """Hidden linear layers of `widths` units, then a linear layer to the pixels."""

    def __init__(
        self,
        latent: int,
        channels: int,
        size: int,
        classes: int = 0,
        widths: Sequence[int] = (500,),
        activation: Activation = "leaky-relu-0.01",
        normalisation: Normalisation = "none",
        batchnorm_eps: float = 1e-5,
        order: Order = "normalise-activate",
        init: Init = "torch-default",
    ) -> None:
        super().__init__()
        self.latent, self.classes = latent, classes
        self.layers = nn.Sequential(
            *dense([latent + classes, *widths], normalisation, activation, order, batchnorm_eps),
            Linear(widths[-1], pixels(channels, size)),
            nn.Unflatten(1, (channels, size, size)),
        )
        finish(self, init, normalisation)

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        output: Tensor = self.layers(with_classes(z, labels, self.classes))
        return output


class ConvDecoder(nn.Module):
    """Transposed convolutions as in a DCGAN's generator.

    Raises:
        ValueError: `size` is not `base` doubled a whole number of times.
    """

    def __init__(
        self,
        latent: int,
        channels: int,
        size: int,
        classes: int = 0,
        ngf: int = 32,
        base: int = 4,
        activation: Activation = "relu",
        normalisation: Normalisation = "batch",
        order: Order = "normalise-activate",
        init: Init = "torch-default",
    ) -> None:
        super().__init__()
        widths = generator_widths(base, size, ngf)
        self.latent, self.classes = latent, classes
        self.layers = nn.Sequential(
            PointConvTranspose2d(latent + classes, widths[0], base),
            *after(widths[0], normalisation, activation, order),
            *upsampling(widths, normalisation, activation, order),
            nn.ConvTranspose2d(ngf, channels, 4, 2, 1),
        )
        finish(self, init, normalisation)

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        output: Tensor = self.layers(with_classes(z, labels, self.classes)[:, :, None, None])
        return output
