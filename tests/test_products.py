"""A layer computed as a matrix product is the torch.nn layer it stands for: values and gradients, in float64."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from genlab.nets.products import PointConvTranspose2d, WholeMapConv2d


@pytest.mark.parametrize(
    ("product", "plain", "x"),
    [
        (WholeMapConv2d(3, 5, 4), nn.Conv2d(3, 5, 4), torch.randn(6, 3, 4, 4)),
        (WholeMapConv2d(3, 1, 4, bias=False), nn.Conv2d(3, 1, 4, bias=False), torch.randn(6, 3, 4, 4)),
        (PointConvTranspose2d(7, 5, 4), nn.ConvTranspose2d(7, 5, 4, bias=False), torch.randn(6, 7, 1, 1)),
    ],
)
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_equal_to_the_convolution(product: nn.Module, plain: nn.Module, x: Tensor, layout: torch.memory_format) -> None:
    plain.load_state_dict(product.state_dict())
    results = []
    for layer in (product, plain):
        layer.double().to(memory_format=layout).zero_grad()  # type: ignore[call-overload]
        given = x.double().contiguous(memory_format=layout).requires_grad_()
        made = layer(given)
        (made * torch.arange(made.numel(), dtype=made.dtype).view(made.shape)).sum().backward()
        assert given.grad is not None
        results.append([made, given.grad, *(p.grad for p in layer.parameters())])
    for a, b in zip(*results, strict=True):
        assert torch.allclose(a, b, rtol=1e-12, atol=1e-10)
