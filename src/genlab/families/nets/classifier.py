"""Classifiers: images (N, channels, size, size) -> logits (N, classes)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from genlab.engine.fast_layers import Linear
from genlab.families.nets.bodies import conv_body, conv_features, dense_body
from genlab.families.nets.parts import Activation, Init, Normalisation, Order, after, finish, pixels


class _Classifier(nn.Module):
    body: nn.Sequential
    head: nn.Linear

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.body(x))
        return logits


class MlpClassifier(_Classifier):
    """Hidden linear layers of `widths` units (S4: 784-500-10)."""

    def __init__(
        self,
        classes: int,
        channels: int,
        size: int,
        widths: Sequence[int] = (500,),
        activation: Activation = "leaky-relu-0.01",
        normalisation: Normalisation = "none",
        batchnorm_eps: float = 1e-5,
        order: Order = "normalise-activate",
        init: Init = "torch-default",
    ) -> None:
        super().__init__()
        self.body = dense_body(pixels(channels, size), widths, activation, normalisation, order, batchnorm_eps)
        self.head = Linear(widths[-1], classes)
        finish(self, init, normalisation)


class CnnClassifier(_Classifier):
    """Strided convolutions as in a DCGAN's discriminator, then one linear layer.

    Raises:
        ValueError: halving `size` does not reach `base`.
    """

    def __init__(
        self,
        classes: int,
        channels: int,
        size: int,
        ndf: int = 32,
        base: int = 4,
        activation: Activation = "leaky-relu",
        normalisation: Normalisation = "batch",
        order: Order = "normalise-activate",
        init: Init = "torch-default",
    ) -> None:
        super().__init__()
        self.body = conv_body(channels, size, ndf, base, activation, normalisation, order)
        self.head = Linear(conv_features(size, ndf, base), classes)
        finish(self, init, normalisation)


class VggClassifier(_Classifier):
    """Stages of two 3 x 3 convolutions as in Simonyan and Zisserman (2015), the second with stride 2; then a linear
    layer of few features and one to the logits. Takes any size and number of channels."""

    def __init__(
        self,
        classes: int,
        channels: int,
        size: int,
        widths: Sequence[int] = (32, 64, 64),
        features: int = 64,
        activation: Activation = "leaky-relu",
        normalisation: Normalisation = "batch",
        order: Order = "normalise-activate",
        init: Init = "torch-default",
    ) -> None:
        super().__init__()
        bias = normalisation != "batch"
        layers: list[nn.Module] = []
        for narrow, wide in pairwise([channels, *widths]):
            for inside, stride in ((narrow, 1), (wide, 2)):
                layers.append(nn.Conv2d(inside, wide, 3, stride, 1, bias=bias))
                layers.extend(after(wide, normalisation, activation, order))
            size = -(-size // 2)
        last = Linear(pixels(widths[-1], size), features, bias=bias)
        self.body = nn.Sequential(
            *layers, nn.Flatten(), last, *after(features, normalisation, activation, order, flat=True)
        )
        self.head = Linear(features, classes)
        finish(self, init, normalisation)
