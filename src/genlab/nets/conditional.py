"""Conditional DCGANs: report S2's pair, where image and class enter by a branch each; a projection discriminator."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from genlab.nets.dcgan import after, discriminator_widths, downsampling, generator_widths, upsampling
from genlab.nets.products import PointConvTranspose2d, WholeMapConv2d


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
        activation: Literal["relu", "leaky-relu"] = "relu",
        normalisation: Literal["batch", "none"] = "batch",
    ) -> None:
        super().__init__()
        widths = generator_widths(base, size, ngf)
        half = widths[0] // 2

        def branch(inputs: int) -> nn.Sequential:
            return nn.Sequential(PointConvTranspose2d(inputs, half, base), *after(half, normalisation, activation))

        self.latent, self.classes = latent, classes
        self.z_branch, self.y_branch = branch(latent), branch(classes)
        self.layers = nn.Sequential(
            *upsampling([2 * half, *widths[1:]], normalisation, activation),
            nn.ConvTranspose2d(widths[-1], channels, 4, 2, 1),
            nn.Tanh(),
        )

    def forward(self, z: Tensor, labels: Tensor) -> Tensor:
        y = F.one_hot(labels, self.classes).to(z.dtype)
        maps = torch.cat([self.z_branch(z[:, :, None, None]), self.y_branch(y[:, :, None, None])], dim=1)
        images: Tensor = self.layers(maps)
        return images


class ConditionalDcganDiscriminator(nn.Module):
    """Images (N, channels, size, size), labels int64 (N,) -> logits (N,).

    The image and the one-hot class, spread over all pixels, each pass a strided convolution to ndf/2 channels;
    joined, they are halved block by block; one convolution over the last map of side `base` gives the logit.
    First and last layer have a bias; the others only without normalisation.

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
        normalisation: Literal["batch", "none"] = "batch",
    ) -> None:
        super().__init__()
        widths = discriminator_widths(size, base, ndf)
        half = ndf // 2
        self.classes = classes
        self.x_branch = nn.Sequential(nn.Conv2d(channels, half, 4, 2, 1), *after(half, "none", "leaky-relu"))
        self.y_branch = nn.Sequential(nn.Conv2d(classes, half, 4, 2, 1), *after(half, "none", "leaky-relu"))
        self.layers = nn.Sequential(
            *downsampling([2 * half, *widths[1:]], normalisation),
            WholeMapConv2d(widths[-1], 1, base),
        )

    def forward(self, x: Tensor, labels: Tensor) -> Tensor:
        # The planes of a class are the same for every image: convolve one set a class, then choose, as a product so
        # that the gradient is summed in a fixed order.
        one_hot = F.one_hot(labels, self.classes).to(x.dtype)
        planes = torch.eye(self.classes, dtype=x.dtype, device=x.device)[:, :, None, None].expand(-1, -1, *x.shape[2:])
        y_maps = self.y_branch(planes)
        y = (one_hot @ y_maps.flatten(1)).unflatten(1, y_maps.shape[1:])
        logits: Tensor = self.layers(torch.cat([self.x_branch(x), y], dim=1))
        return logits.flatten()


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
        normalisation: Literal["batch", "none"] = "none",
    ) -> None:
        super().__init__()
        widths = discriminator_widths(size, base, ndf)
        self.layers = nn.Sequential(
            nn.Conv2d(channels, ndf, 4, 2, 1),
            *after(ndf, "none", "leaky-relu"),
            *downsampling(widths, normalisation),
            WholeMapConv2d(widths[-1], 1 + classes, base),
        )

    def forward(self, x: Tensor, labels: Tensor) -> Tensor:
        scores: Tensor = self.layers(x).flatten(1)
        return scores[:, 0] + scores[:, 1:].gather(1, labels[:, None]).squeeze(1)
