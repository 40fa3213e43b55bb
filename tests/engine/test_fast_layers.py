"""A layer computed as a matrix product equals the torch.nn layer it replaces: values and gradients, in float64."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from genlab import recipe as schema
from genlab.engine import device, fast_layers
from genlab.engine.fast_layers import (
    DoublingConvTranspose2d,
    HalvingConv2d,
    Linear,
    PointConvTranspose2d,
    WholeMapConv2d,
)
from genlab.engine.optim import Descent
from genlab.recipe import sections


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


@pytest.mark.parametrize("side", [4, 5, 8])
@pytest.mark.parametrize("product", [False, True])
@pytest.mark.parametrize("few", [False, True])
@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_strided_convolutions_with_the_gradient_as_a_product(
    side: int, product: bool, few: bool, transposed: bool, layout: torch.memory_format
) -> None:
    """First and second derivatives match finite differences; values and first derivatives match torch.nn's."""
    large = 2 if few else fast_layers.FEW + 1  # channels of the larger map
    inputs, outputs = (3, large) if transposed else (large, 3)
    x = torch.randn(2, inputs, side, side, dtype=torch.float64).contiguous(memory_format=layout).requires_grad_()
    shape = (3, large, 4, 4)
    weight = torch.randn(shape, dtype=torch.float64).contiguous(memory_format=layout).requires_grad_()
    bias = torch.randn(outputs, dtype=torch.float64, requires_grad=True)

    def layer(*given: Tensor) -> Tensor:
        y: Tensor = fast_layers._Strided.apply(*given, transposed, product)  # type: ignore[no-untyped-call]
        return y

    plain = (F.conv_transpose2d if transposed else F.conv2d)(x, weight, bias, 2, 1)
    assert torch.allclose(layer(x, weight, bias), plain, rtol=1e-12, atol=1e-12)
    into = torch.randn_like(plain)
    for mine, theirs in zip(
        torch.autograd.grad(layer(x, weight, bias), (x, weight, bias), into),
        torch.autograd.grad(plain, (x, weight, bias), into),
        strict=True,
    ):
        assert torch.allclose(mine, theirs, rtol=1e-12, atol=1e-12)
    if side < 5 or (side == 5 and few):
        assert torch.autograd.gradcheck(layer, (x, weight, bias), fast_mode=True)
        assert torch.autograd.gradgradcheck(layer, (x, weight, bias), fast_mode=True)


@pytest.mark.parametrize(
    ("layer", "x"),
    [(HalvingConv2d(3, 5), torch.randn(6, 3, 8, 8)), (DoublingConvTranspose2d(3, 5), torch.randn(6, 3, 4, 4))],
)
def test_they_are_the_layers_of_torch(layer: nn.Module, x: Tensor) -> None:
    """The layers equal torch's bitwise in float32, and up to rounding in bfloat16, which uses the product."""
    kind = nn.ConvTranspose2d if isinstance(layer, nn.ConvTranspose2d) else nn.Conv2d
    plain = kind(3, 5, 4, 2, 1)
    plain.load_state_dict(layer.state_dict())
    for on in (False, True):
        found = []
        for network in (layer, plain):
            network.zero_grad()
            with torch.autocast("cpu", torch.bfloat16, enabled=on):
                y = network(x)
            assert ("_Strided" in type(y.grad_fn).__name__) == (on and network is layer)
            y.float().square().sum().backward()
            found.append([y.float(), *(p.grad for p in network.parameters())])
        for mine, theirs in zip(*found, strict=True):
            assert mine is not None
            assert theirs is not None
            assert (
                torch.allclose(mine, theirs, atol=0.02 * float(theirs.detach().abs().max()))
                if on
                else torch.equal(mine, theirs)
            )


def autocast() -> torch.autocast:
    return torch.autocast("cpu", torch.bfloat16)


def test_a_linear_layer_under_autocast() -> None:
    layer, plain, x = Linear(20, 30), nn.Linear(20, 30), torch.randn(7, 20)
    plain.load_state_dict(layer.state_dict())
    assert torch.equal(layer(x), plain(x))
    found = []
    for network in (layer, plain):
        given = x.clone().requires_grad_()
        with autocast():
            y = network(given)
        y.float().square().sum().backward()
        found.append([y.float(), given.grad, *(p.grad for p in network.parameters())])
    for mine, theirs in zip(*found, strict=True):
        assert mine is not None
        assert theirs is not None
        assert mine.dtype == theirs.dtype
        assert torch.allclose(mine, theirs, atol=0.02 * float(theirs.detach().abs().max()))


def test_its_derivatives_in_float64() -> None:
    x = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(2, 3, dtype=torch.float64, requires_grad=True)

    def product(x: Tensor, weight: Tensor) -> Tensor:
        y: Tensor = fast_layers._RoundedProduct.apply(x, weight, weight.detach())  # type: ignore[no-untyped-call]
        return y

    assert torch.autograd.gradcheck(product, (x, weight))
    assert torch.autograd.gradgradcheck(product, (x, weight))


@pytest.mark.parametrize("name", ["adam", "sgd", "rmsprop"])
@pytest.mark.parametrize("fused", [True, False])
def test_a_rounded_weight_is_never_an_old_one(name: str, fused: bool) -> None:
    """A rounded weight stays current although PyTorch's fused optimisers do not increment a weight's version."""
    settings = schema.Engine(**{**schema.REFERENCE, "precision": "bfloat16", "fused_optimiser": fused})
    machine = device.start(settings)
    layer, x = machine.place(Linear(5, 4)), torch.randn(3, 5)
    kinds = {"adam": sections.Adam, "sgd": sections.Sgd, "rmsprop": sections.RmsProp}
    descent = Descent("player", "optimiser", layer, kinds[name](name=name, lr=0.5), machine, 10)

    def now() -> Tensor:
        with machine.autocast():
            y: Tensor = layer(x)
        return y

    for step in (1, 2):
        descent(now().float().square().sum(), step)
        fresh = Linear(5, 4)
        fresh.load_state_dict(layer.state_dict())
        with machine.autocast():
            assert torch.equal(now(), fresh(x))
    with torch.no_grad():
        layer.get_parameter("weight").fill_(0)
    assert torch.equal(now(), layer.get_parameter("bias").bfloat16().expand(3, 4))


def test_without_a_descent_a_weight_is_rounded_in_each_pass() -> None:
    layer = Linear(3, 2, bias=False)
    x = torch.ones(1, 3)
    optimiser = torch.optim.Adam(layer.parameters(), lr=1.0, fused=True)
    with autocast():
        before = layer(x)
    before.float().sum().backward()
    optimiser.step()
    with autocast():
        assert not torch.equal(layer(x), before)


def test_spectral_normalisation_is_seen() -> None:
    """A weight that is recomputed in each pass is not cached, and its source gets the gradient."""
    layer: Any = nn.utils.parametrizations.spectral_norm(Linear(6, 5))
    layer.updates_are_told = True
    x = torch.randn(4, 6)
    with autocast():
        before = layer(x)
        with torch.no_grad():
            layer.parametrizations.weight.original[0] *= 3
        y = layer(x)
    assert not torch.equal(before, y)
    y.float().sum().backward()
    assert layer.parametrizations.weight.original.grad is not None
