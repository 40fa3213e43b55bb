"""Layers that are matrix products, or whose gradient is one: linear layers and some convolutions.

A convolution over a whole map (kernel = side) and a transposed convolution of a single point are linear layers; as
matrix products they run several times faster than convolution kernels do. Parameters, names and values are those of
the `torch.nn` layers that they replace.

Under autocast, a linear layer of a thousand units spends most of its time on copies: the weight is rounded in every
pass, and its gradient is copied from the transposed order in which it was computed. Here a weight is rounded once
after it has changed, and the gradient is computed in the order of the weight. The weight's gradient of a convolution
with kernel 4 and stride 2 is a matrix product too; for small maps and many channels this is faster than oneDNN's
kernel, by 10 to 30 % of the layer's time.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def in_bfloat16(x: Tensor) -> bool:
    """Whether x is processed under autocast on a CPU, where these forms were measured, and not being compiled."""
    return x.device.type == "cpu" and torch.is_autocast_enabled("cpu") and not torch.compiler.is_compiling()


class Linear(nn.Linear):
    """`nn.Linear`, with bitwise identical results in float32, except under spectral normalisation: there the weight is
    read twice in each pass, which makes two power iterations of it instead of one.

    Attributes:
        updates_are_told: whether every change of the weight increments its version, so that its rounded form may be
            kept. PyTorch's fused optimisers do not increment it; `optim` does so for them.
    """

    updates_are_told = False
    _rounded: tuple[object, Tensor] | None = None

    def forward(self, input: Tensor) -> Tensor:
        weight = self.weight
        # A parametrised weight (spectral normalisation) is a new tensor in each pass.
        if not in_bfloat16(input) or input.dim() != 2 or not isinstance(weight, nn.Parameter):
            return super().forward(input)
        dtype = torch.get_autocast_dtype("cpu")
        state = (weight._version, weight.data_ptr(), dtype)
        if self._rounded is None or self._rounded[0] != state or not self.updates_are_told:
            self._rounded = (state, weight.detach().to(dtype))
        product: Tensor = _RoundedProduct.apply(input.to(dtype), weight, self._rounded[1])  # type: ignore[no-untyped-call]
        return product if self.bias is None else product + self.bias.to(dtype)


class _RoundedProduct(torch.autograd.Function):
    """x @ weight.T for x (N, inputs) and weight (outputs, inputs) in the precision of x, given the rounded weight."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, rounded: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.rounded = rounded
        return x @ rounded.t()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        x, weight = ctx.saved_tensors
        # A pass that will itself be differentiated must use the weight, not a copy of it.
        rounded = weight.to(x.dtype) if torch.is_grad_enabled() else ctx.rounded
        for_x = gradient @ rounded if ctx.needs_input_grad[0] else None
        for_weight = (gradient.t() @ x).to(weight.dtype) if ctx.needs_input_grad[1] else None
        return for_x, for_weight, None


class WholeMapConv2d(nn.Conv2d):
    """`nn.Conv2d(inputs, outputs, side)` on maps of that side: (N, inputs, side, side) -> (N, outputs, 1, 1)."""

    def __init__(self, inputs: int, outputs: int, side: int, bias: bool = True) -> None:
        super().__init__(inputs, outputs, side, bias=bias)

    def forward(self, input: Tensor) -> Tensor:
        # Channels last for both, as maps and weights lie in memory: no copy.
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


FEW = 4
"""Maximum number of image channels for which a special computation of the layer pays off."""


class HalvingConv2d(nn.Conv2d):
    """`nn.Conv2d(inputs, outputs, 4, 2, 1)`, with bitwise identical results in float32."""

    def __init__(self, inputs: int, outputs: int, bias: bool = True) -> None:
        super().__init__(inputs, outputs, 4, 2, 1, bias=bias)

    def forward(self, input: Tensor) -> Tensor:
        product = _product_pays(input.shape[2] // 2, self.out_channels)
        if not in_bfloat16(input) or not (product or self.in_channels <= FEW):
            return super().forward(input)
        y: Tensor = _Strided.apply(*_rounded(input, self.weight, self.bias), False, product)  # type: ignore[no-untyped-call]
        return y


class DoublingConvTranspose2d(nn.ConvTranspose2d):
    """`nn.ConvTranspose2d(inputs, outputs, 4, 2, 1)`, with bitwise identical results in float32."""

    def __init__(self, inputs: int, outputs: int, bias: bool = True) -> None:
        super().__init__(inputs, outputs, 4, 2, 1, bias=bias)

    def forward(self, input: Tensor, output_size: list[int] | None = None) -> Tensor:
        product = _product_pays(input.shape[2], self.in_channels)
        if not in_bfloat16(input) or not (product or self.out_channels <= FEW):
            return super().forward(input, output_size)
        y: Tensor = _Strided.apply(*_rounded(input, self.weight, self.bias), True, product)  # type: ignore[no-untyped-call]
        return y


def _product_pays(side: int, channels: int) -> bool:
    """Whether a matrix product is the faster way to the weight's gradient (measured with AVX512_BF16), by side and
    channels of the smaller map."""
    return side <= 4 or channels >= 256


def _rounded(*tensors: Tensor | None) -> tuple[Tensor | None, ...]:
    dtype = torch.get_autocast_dtype("cpu")
    return tuple(None if tensor is None else tensor.to(dtype) for tensor in tensors)


class _Strided(torch.autograd.Function):
    """A convolution or transposed convolution with kernel 4, stride 2, padding 1; with `product`, the weight's gradient
    is computed as a matrix product."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, transposed: bool, product: bool) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.transposed, ctx.product = transposed, product
        if not transposed:
            return F.conv2d(x, weight, bias, 2, 1)
        y = _spread(x, weight)
        return y if bias is None else y + bias[:, None, None]

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None, None, None]:
        x, weight = ctx.saved_tensors
        for_x = for_weight = None
        if ctx.needs_input_grad[0]:
            odd = (x.shape[2] % 2, x.shape[3] % 2)
            for_x = F.conv2d(gradient, weight, None, 2, 1) if ctx.transposed else _spread(gradient, weight, odd)
        if ctx.needs_input_grad[1] and ctx.product:
            small, large = (x, gradient) if ctx.transposed else (gradient, x)
            for_weight = _patches_product(small, large)
        elif ctx.needs_input_grad[1]:
            strides = ([2, 2], [1, 1], [1, 1], ctx.transposed, [0, 0], 1)
            for_weight = torch.ops.aten.convolution_backward(gradient, x, weight, None, *strides, [False, True, False])[
                1
            ]
        for_bias = gradient.sum((0, 2, 3)) if ctx.needs_input_grad[2] else None
        return for_x, for_weight, for_bias, None, None


def _spread(x: Tensor, weight: Tensor, odd: tuple[int, int] = (0, 0)) -> Tensor:
    """The transposed convolution with kernel 4, stride 2, padding 1; `odd` says which sides of the result are odd.

    If few channels come out, it is computed as a 2 x 2 convolution with four channels per output channel, the pixels
    of a 2 x 2 square: from 32 channels to one, oneDNN's transposed convolution takes two to three times as long.
    """
    inputs, outputs = weight.shape[:2]
    if outputs > FEW or any(odd):
        return F.conv_transpose2d(x, weight, None, 2, 1, odd)
    # A kernel's rows and columns as (which of two neighbours, which pixel of the square), neighbours in reverse order.
    squares = weight.reshape(inputs, outputs, 2, 2, 2, 2).flip(2, 4).permute(3, 5, 1, 0, 2, 4)
    kernel = squares.reshape(4 * outputs, inputs, 2, 2).contiguous(memory_format=torch.channels_last)
    y = F.conv2d(x, kernel, padding=1).permute(0, 2, 3, 1)
    n, h, w, _ = y.shape
    pixels = y.reshape(n, h, w, 2, 2, outputs).permute(0, 1, 3, 2, 4, 5).reshape(n, 2 * h, 2 * w, outputs)
    return pixels[:, 1:-1, 1:-1].permute(0, 3, 1, 2)


def _patches_product(small: Tensor, large: Tensor) -> Tensor:
    """Each pixel of the small map times its 4 x 4 patch of the large one, summed over pixels and images:
    (N, s, h, w), (N, l, 2h or 2h + 1, ...) -> (s, l, 4, 4)."""
    n, channels, h, w = small.shape
    padded = F.pad(large, (1, 1, 1, 1)).permute(0, 2, 3, 1).contiguous()
    rows, columns, depth = padded.shape[1:]
    # In channels-last maps, a row of a patch is contiguous.
    strides = (rows * columns * depth, 2 * columns * depth, 2 * depth, columns * depth, 1)
    patches = padded.as_strided((n, h, w, 4, 4 * depth), strides).reshape(n * h * w, 16 * depth)
    product = small.permute(0, 2, 3, 1).reshape(n * h * w, channels).t() @ patches
    return product.view(channels, 4, 4, depth).permute(0, 3, 1, 2)
