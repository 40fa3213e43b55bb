"""Conditional DCGANs: report S2's pair, where image and class enter by a branch each; a projection discriminator."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from genlab.engine.fast_layers import DoublingConvTranspose2d, HalvingConv2d, PointConvTranspose2d, WholeMapConv2d
from genlab.families.nets.parts import (
    Activation,
    Init,
    Normalisation,
    Order,
    after,
    discriminator_widths,
    downsampling,
    finish,
    generator_widths,
    upsampling,
)


class ConditionalDcganGenerator(nn.Module):
    """z (N, latent), labels int64 (N,) -> images (N, channels, size, size) in [-1, 1].

    z and the one-hot class each become a map of side `base` with half of the channels; joined, they are doubled block
    by block down to `ngf` channels, and once more to the image. Only the last layer has a bias.

    Raises:
        ValueError: `size` is not `base` doubled a whole number of times.
    """

    def __init__(
        self,
        latent: int,
        classes: int,
        channels: int,
        size: int,
        ngf: int = 128,
        base: int = 4,
        activation: Activation = "relu",
        normalisation: Normalisation = "batch",
        order: Order = "normalise-activate",
        init: Init = "normal-0.02",
    ) -> None:
        super().__init__()
        widths = generator_widths(base, size, ngf)
        half = widths[0] // 2

        def branch(inputs: int) -> nn.Sequential:
            return nn.Sequential(
                PointConvTranspose2d(inputs, half, base), *after(half, normalisation, activation, order)
            )

        self.latent, self.classes = latent, classes
        self.z_branch, self.y_branch = branch(latent), branch(classes)
        self.layers = nn.Sequential(
            *upsampling([2 * half, *widths[1:]], normalisation, activation, order),
            DoublingConvTranspose2d(widths[-1], channels),
            nn.Tanh(),
        )
        finish(self, init, normalisation)

    def forward(self, z: Tensor, labels: Tensor) -> Tensor:
        y = F.one_hot(labels, self.classes).to(z.dtype)
        maps = torch.cat([self.z_branch(z[:, :, None, None]), self.y_branch(y[:, :, None, None])], dim=1)
        images: Tensor = self.layers(maps)
        return images


class ConditionalDcganDiscriminator(nn.Module):
    """Images (N, channels, size, size), labels int64 (N,) -> logits (N,).

    The image and the one-hot class, spread over all pixels, each pass a strided convolution to ndf/2 channels;
    joined, they are halved block by block; one convolution over the last map of side `base` gives the logit.
    First and last layer have a bias; the others only without batch normalisation. Without `labels` there is no class
    branch, and the image's has all ndf channels: report S2's second form, called with the image alone.

    Raises:
        ValueError: halving `size` does not arrive at `base`.
    """

    def __init__(
        self,
        channels: int,
        classes: int,
        size: int,
        ndf: int = 128,
        base: int = 4,
        labels: bool = True,
        activation: Activation = "leaky-relu",
        normalisation: Normalisation = "batch",
        order: Order = "normalise-activate",
        init: Init = "normal-0.02",
    ) -> None:
        super().__init__()
        widths = discriminator_widths(size, base, ndf)
        half = ndf // 2 if labels else ndf
        self.classes, self.labels = classes, labels

        def branch(inputs: int) -> nn.Sequential:
            return nn.Sequential(HalvingConv2d(inputs, half), *after(half, "none", activation))

        self.x_branch = branch(channels)
        if labels:
            self.y_branch = branch(classes)
        self.layers = nn.Sequential(
            *downsampling([2 * half if labels else half, *widths[1:]], normalisation, activation, order),
            WholeMapConv2d(widths[-1], 1, base),
        )
        finish(self, init, normalisation)

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        maps = torch.cat([self.x_branch(x), self._of_classes(x, labels)], dim=1) if self.labels else self.x_branch(x)
        logits: Tensor = self.layers(maps)
        return logits.flatten()

    def _of_classes(self, x: Tensor, labels: Tensor | None) -> Tensor:
        # The planes of a class are the same for every image: convolve one set a class, then choose, as a product so
        # that the gradient is summed in a fixed order.
        assert labels is not None, "this discriminator is told the class"
        one_hot = F.one_hot(labels, self.classes).to(x.dtype)
        planes = torch.eye(self.classes, dtype=x.dtype, device=x.device)[:, :, None, None].expand(-1, -1, *x.shape[2:])
        y_maps = self.y_branch(planes)
        y: Tensor = (one_hot @ y_maps.flatten(1)).unflatten(1, y_maps.shape[1:])
        return y


class ProjectionDcganDiscriminator(nn.Module):
    """Images (N, channels, size, size), labels int64 (N,) -> logits (N,).

    Strided convolutions as in `DcganDiscriminator`; the last one has an output for "any class" and one for each class,
    and the logit is the sum of the first and the label's: (w + v_y) . f(x) + b_y, the projection of Miyato and Koyama
    (2018) with an embedding v_y for every position of the last map.

    Raises:
        ValueError: halving `size` does not arrive at `base`.
    """

    def __init__(
        self,
        channels: int,
        classes: int,
        size: int,
        ndf: int = 32,
        base: int = 4,
        activation: Activation = "leaky-relu",
        normalisation: Normalisation = "none",
        order: Order = "normalise-activate",
        init: Init = "torch-default",
    ) -> None:
        super().__init__()
        widths = discriminator_widths(size, base, ndf)
        self.layers = nn.Sequential(
            HalvingConv2d(channels, ndf),
            *after(ndf, "none", activation),
            *downsampling(widths, normalisation, activation, order),
            WholeMapConv2d(widths[-1], 1 + classes, base),
        )
        finish(self, init, normalisation)

    def forward(self, x: Tensor, labels: Tensor) -> Tensor:
        scores: Tensor = self.layers(x).flatten(1)
        return scores[:, 0] + scores[:, 1:].gather(1, labels[:, None]).squeeze(1)
