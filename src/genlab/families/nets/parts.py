"""Building blocks of networks: activation, normalisation and their order, initial weights, stacks of layers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

from genlab.engine.fast_layers import DoublingConvTranspose2d, HalvingConv2d, Linear, WholeMapConv2d, in_bfloat16
from genlab.recipe.sizes import doublings, halvings

Activation = Literal["relu", "leaky-relu", "leaky-relu-0.01"]
Normalisation = Literal["batch", "none", "spectral"]
Order = Literal["normalise-activate", "activate-normalise"]
Init = Literal["normal-0.02", "torch-default"]
Stem = Literal["strided", "convolution", "patch"]

SLOPES = {"leaky-relu": 0.2, "leaky-relu-0.01": 0.01}
"""Negative slopes: the DCGAN paper's and PyTorch's default."""
WEIGHTED = (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)
NORMALISING = (nn.BatchNorm1d, nn.BatchNorm2d)


def after(
    width: int,
    normalisation: str,
    activation: str,
    order: str = "normalise-activate",
    flat: bool = False,
    eps: float = 1e-5,
) -> list[nn.Module]:
    """Modules that follow a layer of `width` channels (or units, if `flat`): batch normalisation, if asked for, and
    activation, in that order or the reverse."""
    act = nn.ReLU(inplace=True) if activation == "relu" else nn.LeakyReLU(SLOPES[activation], inplace=True)
    if normalisation != "batch":
        return [act]
    normalise = nn.BatchNorm1d(width, eps=eps) if flat else nn.BatchNorm2d(width, eps=eps)
    return [normalise, act] if order == "normalise-activate" else [act, normalise]


def dense(
    widths: Sequence[int],
    normalisation: str,
    activation: str,
    order: str,
    eps: float = 1e-5,
    normalise_first: bool = True,
    dropout: float = 0.0,
) -> list[nn.Module]:
    """Linear layers with biases from widths[0] units to widths[-1], each followed by `after` and dropout."""
    layers: list[nn.Module] = []
    for k, (wide, narrow) in enumerate(pairwise(widths)):
        layers.append(Linear(wide, narrow))
        here = normalisation if k or normalise_first else "none"
        layers.extend(after(narrow, here, activation, order, flat=True, eps=eps))
        if dropout:
            layers.append(Dropout(dropout))
    return layers


class Dropout(nn.Dropout):
    """`nn.Dropout`. Under autocast the mask is drawn with 16 bits per unit, p to the nearest 2^-16: drawing one number
    per unit takes a third of a step of report S3's GAN."""

    def forward(self, input: Tensor) -> Tensor:
        units = input.numel()
        if not self.training or not in_bfloat16(input):
            return super().forward(input)
        bits = torch.empty(-(-units // 4), dtype=torch.int64).random_(-(2**63), None)
        kept = bits.view(torch.int16)[:units].view(input.shape) >= round(self.p * 2**16) - 2**15
        return input * kept.to(input.dtype) * (1 / (1 - self.p))


def generator_widths(base: int, size: int, ngf: int, extra: int = 0) -> list[int]:
    """Channels from the first map to the last (ngf): halved for each doubling of the side and each `extra` layer."""
    blocks = doublings(base, size)
    if blocks is None:
        raise ValueError(f"size {size} is not base {base} doubled a whole number of times")
    return [ngf * 2**k for k in reversed(range(blocks + extra))]


def discriminator_widths(size: int, base: int, ndf: int, extra: int = 0) -> list[int]:
    """Channels from the first map (ndf) to the last: doubled for each halving of the side and each `extra` layer."""
    blocks = halvings(size, base)
    if blocks is None:
        raise ValueError(f"halving size {size} does not reach base {base}")
    return [ndf * 2**k for k in range(blocks + extra)]


def stem_of(stem: Stem, channels: int, widths: list[int], bias: bool = True) -> tuple[nn.Module, list[int]]:
    """First layer of a discriminator, and the channels from its map to the last.

    `strided` halves the side, `convolution` keeps it. `patch` (kernel 6, stride 4, padding 1) quarters it, with the
    channels of the second map: most of a discriminator's arithmetic lies between the first two maps.
    """
    if stem == "patch":
        return nn.Conv2d(channels, widths[1], 6, stride=4, padding=1, bias=bias), widths[1:]
    if stem == "convolution":
        return nn.Conv2d(channels, widths[0], 3, padding=1, bias=bias), widths
    return HalvingConv2d(channels, widths[0], bias=bias), widths


def upsampling(widths: list[int], normalisation: str, activation: str, order: str) -> list[nn.Module]:
    """Transposed convolutions that double the side, from widths[0] to widths[-1] channels; biases only without batch
    normalisation."""
    layers: list[nn.Module] = []
    for wide, narrow in pairwise(widths):
        layers.append(DoublingConvTranspose2d(wide, narrow, bias=normalisation != "batch"))
        layers.extend(after(narrow, normalisation, activation, order))
    return layers


def downsampling(widths: list[int], normalisation: str, activation: str, order: str) -> list[nn.Module]:
    """Convolutions that halve the side, widths[0] to widths[-1] channels; biases only without batch normalisation."""
    layers: list[nn.Module] = []
    for narrow, wide in pairwise(widths):
        layers.append(HalvingConv2d(narrow, wide, bias=normalisation != "batch"))
        layers.extend(after(wide, normalisation, activation, order))
    return layers


def whole_map(width: int, outputs: int, base: int, group: int | None, bias: bool = True) -> nn.Module:
    """Last layer of a discriminator, from a map of side `base` to `outputs` numbers; with a `group`, it also sees how
    the images of a batch differ."""
    if group:
        return StddevWholeMapConv2d(width, outputs, base, group, bias=bias)
    return WholeMapConv2d(width, outputs, base, bias=bias)


class StddevWholeMapConv2d(WholeMapConv2d):
    """A convolution over a whole map with an extra channel: `minibatch_stddev`, the same number at every position
    (Karras et al. 2018). Collapsed images differ little, so D can recognise them by it.

    The channel is never materialised: it contributes its number times the sum of its weights.
    """

    def __init__(self, inputs: int, outputs: int, side: int, group: int, bias: bool = True) -> None:
        super().__init__(inputs + 1, outputs, side, bias=bias)
        self.group = group

    def forward(self, input: Tensor) -> Tensor:
        weight = self.weight.permute(0, 2, 3, 1)
        x = input.permute(0, 2, 3, 1).flatten(1)
        y = F.linear(x, weight[..., :-1].flatten(1), self.bias)
        spread = minibatch_stddev(x, self.group).to(y.dtype)
        return (y + spread[:, None] * weight[..., -1].sum((1, 2)).to(y.dtype))[:, :, None, None]

    def extra_repr(self) -> str:
        return f"{nn.Conv2d.extra_repr(self)}, group={self.group}"  # type: ignore[no-untyped-call]


def minibatch_stddev(x: Tensor, group: int) -> Tensor:
    """How much consecutive images differ, (N, numbers) -> (N,): the standard deviation over each group of images
    (dividing by its size, 1e-8 added to the variance), averaged over the numbers.

    Images beyond the last whole group form a group of their own. Computed in float32 or higher precision.
    """
    x = x.to(torch.promote_types(x.dtype, torch.float32))
    whole = len(x) - len(x) % group
    groups = [x[:whole].view(-1, group, x.shape[1])] if whole else []
    groups += [x[None, whole:]] if whole < len(x) else []
    spreads: list[Tensor] = [_MeanStddev.apply(each) for each in groups]  # type: ignore[no-untyped-call]
    return torch.cat([spread.repeat_interleave(g.shape[1]) for g, spread in zip(groups, spreads, strict=True)])


class _MeanStddev(torch.autograd.Function):
    """(M, group, numbers) -> (M,). PyTorch's own operations take several times as long for a small group."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        centred, stddev = _centred(x)
        ctx.save_for_backward(x, centred, stddev)
        return stddev.mean(1)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        x, centred, stddev = ctx.saved_tensors
        if torch.is_grad_enabled():  # Exact penalties differentiate once more.
            centred, stddev = _centred(x)
        found: Tensor = centred * (gradient[:, None] / (x.shape[1] * x.shape[2]) / stddev)[:, None]
        return found


def _centred(x: Tensor) -> tuple[Tensor, Tensor]:
    centred = x - x.mean(1, keepdim=True)
    return centred, ((centred * centred).mean(1) + 1e-8).sqrt()


def with_classes(x: Tensor, labels: Tensor | None, classes: int) -> Tensor:
    """`x` with the one-hot class appended: to vectors as entries, to maps as constant planes."""
    if not classes:
        return x
    assert labels is not None, "this network is told the class"
    one_hot = F.one_hot(labels, classes).to(x.dtype)
    return torch.cat([x, one_hot if x.dim() == 2 else one_hot[:, :, None, None].expand(-1, -1, *x.shape[2:])], dim=1)


def finish(network: nn.Module, init: Init, normalisation: Normalisation) -> None:
    """Give a newly constructed network its initial weights, then spectral normalisation if asked for.

    `normal-0.02`: convolutions and linear layers N(0, 0.02^2), batch normalisation's weight N(1, 0.02^2), biases 0
    (Radford et al. 2016). `torch-default`: as drawn by PyTorch's constructors. All draws use the global generator.
    """
    if init == "normal-0.02":
        with torch.no_grad():
            for module in network.modules():
                if isinstance(module, (*WEIGHTED, *NORMALISING)):
                    nn.init.normal_(module.weight, 1.0 if isinstance(module, NORMALISING) else 0.0, 0.02)
                    if module.bias is not None:
                        nn.init.zeros_(module.bias)
    if normalisation == "spectral":
        for module in list(network.modules()):
            if isinstance(module, WEIGHTED):
                spectral_norm(module)


def pixels(channels: int, size: int) -> int:
    """Number of values in an image."""
    return math.prod((channels, size, size))
