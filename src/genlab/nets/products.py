"""Convolutions that are one matrix product, computed as one.

A convolution over a whole map (kernel = side) and a transposed convolution of a single point are linear layers; as
matrix products they run several times faster than convolution kernels do. Parameters, names and values are those of
the layers of `torch.nn` that they stand for.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F


class WholeMapConv2d(nn.Conv2d):
    """`nn.Conv2d(inputs, outputs, side)` on maps of that side: (N, inputs, side, side) -> (N, outputs, 1, 1)."""

    def __init__(self, inputs: int, outputs: int, side: int, bias: bool = True) -> None:
        super().__init__(inputs, outputs, side, bias=bias)

    def forward(self, input: Tensor) -> Tensor:
        # Channels last on both sides, which is how maps and weights lie in memory: no copy.
        x, weight = input.permute(0, 2, 3, 1).flatten(1), self.weight.permute(0, 2, 3, 1).flatten(1)
        return F.linear(x, weight, self.bias)[:, :, None, None]


class PointConvTranspose2d(nn.ConvTranspose2d):
    """`nn.ConvTranspose2d(inputs, outputs, side, bias=False)`: (N, inputs, 1, 1) -> (N, outputs, side, side)."""

    def __init__(self, inputs: int, outputs: int, side: int) -> None:
        super().__init__(inputs, outputs, side, bias=False)

    def forward(self, input: Tensor, output_size: list[int] | None = None) -> Tensor:
        weight = self.weight.permute(0, 2, 3, 1)
        maps = input.flatten(1) @ weight.flatten(1)
        return maps.view(-1, *weight.shape[1:]).permute(0, 3, 1, 2)
