"""Layers that are one matrix product: linear ones, and the convolutions that are linear.

A convolution over a whole map (kernel = side) and a transposed convolution of a single point are linear layers; as
matrix products they run several times faster than convolution kernels do. Parameters, names and values are those of
the layers of `torch.nn` that they stand for.

Under autocast most of the time of a linear layer of a thousand units goes into copies: the weight is rounded in every
pass, and its gradient is copied from the transposed order in which it was computed. Here a weight is rounded once after
it has changed, and the gradient is computed in the order of the weight.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Linear(nn.Linear):
    """`nn.Linear`; the same bits in float32."""

    _rounded: tuple[object, Tensor] | None = None

    def forward(self, input: Tensor) -> Tensor:
        kind, weight = input.device.type, self.weight
        plain = not torch.is_autocast_enabled(kind) or torch.compiler.is_compiling()
        # A parametrised weight (spectral normalisation) is another tensor in each pass.
        if plain or input.dim() != 2 or not isinstance(weight, nn.Parameter):
            return super().forward(input)
        dtype = torch.get_autocast_dtype(kind)
        state = (weight._version, weight.data_ptr(), dtype)
        if self._rounded is None or self._rounded[0] != state:
            self._rounded = (state, weight.detach().to(dtype))
        product: Tensor = _RoundedProduct.apply(input.to(dtype), weight, self._rounded[1])
        return product if self.bias is None else product + self.bias.to(dtype)


class _RoundedProduct(torch.autograd.Function):
    """x @ weight.T of x (N, inputs) and weight (outputs, inputs) in the precision of x, given the rounded weight."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, rounded: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.rounded = rounded
        return x @ rounded.t()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        x, weight = ctx.saved_tensors
        # In a pass that will itself be differentiated the weight must be seen, not a copy of it.
        rounded = weight.to(x.dtype) if torch.is_grad_enabled() else ctx.rounded
        for_x = gradient @ rounded if ctx.needs_input_grad[0] else None
        for_weight = (gradient.t() @ x).to(weight.dtype) if ctx.needs_input_grad[1] else None
        return for_x, for_weight, None


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
