"""Conditional DCGANs: the pair of report S2, in which each input has its own branch, and a projection discriminator."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from genlab.engine.fast_layers import DoublingConvTranspose2d, HalvingConv2d, PointConvTranspose2d, WholeMapConv2d
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


class ConditionalDcganGenerator(nn.Module):
    """z (N, latent), labels int64 (N,) -> images (N, channels, size, size) in [-1, 1].

    z and the one-hot class become a map of side `base`: each through its own layer, with half of the channels
    (`branches`: S2), or joined as one vector (`joint`: Mirza and Osindero 2014). Blocks double the map down to `ngf`
    channels, and the last layer doubles it to the image. The last layer has a bias, the blocks have one only
    without batch normalisation.

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
        conditioning: Literal["branches", "joint"] = "branches",
        activation: Activation = "relu",
        normalisation: Normalisation = "batch",
        order: Order = "normalise-activate",
        init: Init = "normal-0.02",
    ) -> None:
        super().__init__()
        widths = generator_widths(base, size, ngf)

        def first(inputs: int, width: int) -> nn.Sequential:
            return nn.Sequential(
                PointConvTranspose2d(inputs, width, base), *after(width, normalisation, activation, order)
            )

        self.latent, self.classes, self.joint = latent, classes, conditioning == "joint"
        if self.joint:
            self.first = first(latent + classes, widths[0])
        else:
            self.z_branch, self.y_branch = first(latent, widths[0] // 2), first(classes, widths[0] // 2)
        self.layers = nn.Sequential(
            *upsampling(widths, normalisation, activation, order),
            DoublingConvTranspose2d(widths[-1], channels),
            nn.Tanh(),
        )
        finish(self, init, normalisation)

    def forward(self, z: Tensor, labels: Tensor) -> Tensor:
        z, y = z[:, :, None, None], F.one_hot(labels, self.classes).to(z.dtype)[:, :, None, None]
        maps = self.first(torch.cat([z, y], 1)) if self.joint else torch.cat([self.z_branch(z), self.y_branch(y)], 1)
        images: Tensor = self.layers(maps)
        return images


class ConditionalDcganDiscriminator(nn.Module):
    """Images (N, channels, size, size), labels int64 (N,) -> logits (N,).

    The image and the one-hot class, spread over all pixels, each pass through a strided convolution to ndf/2 channels;
    blocks halve the joined maps, and one convolution over the last map, of side `base`, gives the logit. The first and
    the last layer have a bias, the others only without batch normalisation. Without `labels` there is no class branch,
    and the image branch has all ndf channels: report S2's second form, called with the image alone.

    Raises:
        ValueError: halving `size` does not reach `base`.
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
        # The planes of a class are the same for every image: convolve one set per class, then select by a product, so
        # that the gradient is summed in a fixed order.
        assert labels is not None, "this discriminator is told the class"
        one_hot = F.one_hot(labels, self.classes).to(x.dtype)
        planes = torch.eye(self.classes, dtype=x.dtype, device=x.device)[:, :, None, None].expand(-1, -1, *x.shape[2:])
        y_maps = self.y_branch(planes)
        y: Tensor = (one_hot @ y_maps.flatten(1)).unflatten(1, y_maps.shape[1:])
        return y


class ProjectionDcganDiscriminator(nn.Module):
    """Images (N, channels, size, size), labels int64 (N,) -> logits (N,).

    Strided convolutions as in `DcganDiscriminator`; the last one has one output for "any class" and one per class, and
    the logit is the sum of the former and the label's: (w + v_y) . f(x) + b_y, the projection of Miyato and Koyama
    (2018) with an embedding v_y for every position of the last map.

    Args:
        stem, minibatch_stddev: as in `DcganDiscriminator`.
        class_logits: whether it also has one logit per class, which `with_classes` returns (Odena et al. 2017).

    Raises:
        ValueError: halving `size` does not reach `base`.
    """

    def __init__(
        self,
        channels: int,
        classes: int,
        size: int,
        ndf: int = 32,
        base: int = 4,
        stem: Stem = "strided",
        activation: Activation = "leaky-relu",
        normalisation: Normalisation = "none",
        order: Order = "normalise-activate",
        init: Init = "torch-default",
        minibatch_stddev: int | None = None,
        class_logits: bool = False,
    ) -> None:
        super().__init__()
        first, widths = stem_of(stem, channels, discriminator_widths(size, base, ndf))
        self.classes = classes
        self.layers = nn.Sequential(
            first,
            *after(widths[0], "none", activation),
            *downsampling(widths, normalisation, activation, order),
            whole_map(widths[-1], 1 + classes * (2 if class_logits else 1), base, minibatch_stddev),
        )
        finish(self, init, normalisation)

    def forward(self, x: Tensor, labels: Tensor) -> Tensor:
        return self.with_classes(x, labels)[0]

    def with_classes(self, x: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (N,) and class logits (N, classes), the latter with no columns if `class_logits` is off."""
        scores: Tensor = self.layers(x).flatten(1)
        of_class, named = scores[:, 1 : 1 + self.classes], scores[:, 1 + self.classes :]
        return scores[:, 0] + of_class.gather(1, labels[:, None]).squeeze(1), named
