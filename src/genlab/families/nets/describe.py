"""What a network is made of: one row per layer with output shape, parameters and multiply-adds, found by running it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Layer:
    """One leaf module. `output_shape` excludes the batch dimension; `multiply_adds` are for one sample."""

    path: str
    type: str
    output_shape: tuple[int, ...]
    parameters: int
    multiply_adds: int


@dataclass(frozen=True)
class Description:
    """A network's layers in the order of their first call, and its totals."""

    name: str
    layers: tuple[Layer, ...]
    parameters: int
    trainable: int
    multiply_adds: int
    buffers: int = 0
    """Numbers that are kept but not trained: running statistics."""


def describe(name: str, network: nn.Module, *inputs: Tensor) -> Description:
    """Run `network` on `inputs` (a batch of any size) and note every leaf module.

    Multiply-adds count the products of convolutions, transposed convolutions and linear layers, with the full kernel at
    every position (also at the border), but not biases, normalisations or activations.
    """
    layers: list[Layer] = []
    hooks = [
        module.register_forward_hook(_note(path, layers))
        for path, module in network.named_modules()
        if _is_leaf(module) and "parametrizations" not in path
    ]
    training = network.training
    try:
        with torch.no_grad():
            network.eval()(*inputs)
    finally:
        network.train(training)
        for hook in hooks:
            hook.remove()
    counts = [(p.numel(), p.requires_grad) for p in network.parameters()]
    return Description(
        name,
        tuple(layers),
        parameters=sum(n for n, _ in counts),
        trainable=sum(n for n, trainable in counts if trainable),
        multiply_adds=sum(layer.multiply_adds for layer in layers),
        buffers=sum(b.numel() for name, b in network.named_buffers() if "running_" in name),
    )


def _is_leaf(module: nn.Module) -> bool:
    return all(name == "parametrizations" for name, _ in module.named_children())


def _note(path: str, layers: list[Layer]) -> Any:
    def hook(module: nn.Module, inputs: tuple[Tensor, ...], result: Any) -> None:
        output: Tensor = result[0] if isinstance(result, tuple) else result
        shape = tuple(output.shape[1:])
        parameters = sum(p.numel() for p in module.parameters())
        layers.append(Layer(path, _torch_name(module), shape, parameters, _multiply_adds(module, inputs[0], output)))

    return hook


def _torch_name(module: nn.Module) -> str:
    """Name of the torch.nn class that a layer is or derives from."""
    return next(
        (kind.__name__ for kind in type(module).__mro__ if kind.__module__.startswith("torch.nn.modules")), "Module"
    )


def _multiply_adds(module: nn.Module, x: Tensor, y: Tensor) -> int:
    """Each weight is used once per output position of a convolution, or per input position of a transposed one."""
    if isinstance(module, nn.ConvTranspose2d):
        return module.weight.numel() * x.shape[2:].numel()
    if isinstance(module, nn.Conv2d):
        return module.weight.numel() * y.shape[2:].numel()
    return module.weight.numel() * y.shape[1:-1].numel() if isinstance(module, nn.Linear) else 0
