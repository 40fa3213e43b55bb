"""A recipe's engine section in effect: device, precision, memory format, threads; and the optimisers.

`resolve` turns every `auto` into a value, once, by what was measured on this machine (`plan`); the run stores it.
"""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from genlab import recipe as schema
from genlab.engine import calibrate, threads
from genlab.errors import UsageError


@dataclass(frozen=True)
class Engine:
    """A resolved engine section, ready for use."""

    settings: schema.Engine
    device: torch.device
    dtype: torch.dtype
    memory_format: torch.memory_format

    def place(self, network: nn.Module) -> nn.Module:
        """The network on the device, in the memory format, each weight in one block of memory. Weights stay float32."""
        moved: nn.Module = network.to(device=self.device, memory_format=self.memory_format)  # type: ignore[call-overload]
        for p in moved.parameters():
            if sum((n - 1) * stride for n, stride in zip(p.shape, p.stride(), strict=True)) != p.numel() - 1:
                p.data = p.data.contiguous()
        if self.settings.compile:
            moved.compile()
        return moved

    def images(self, x: Tensor) -> Tensor:
        """Images on the device, in the memory format."""
        return x.to(self.device).contiguous(memory_format=self.memory_format)

    def tanh_range(self, images: Tensor) -> Tensor:
        """uint8 images as float32 in [-1, 1], the range of tanh."""
        return self.images(images).float() * (2 / 255) - 1

    @torch.no_grad()
    def apply(self, network: nn.Module, *inputs: Tensor | None, batch_statistics: bool = False) -> Tensor:
        """Outputs of a network for the inputs (those that are not None), in float32, on the CPU.

        With running BatchNorm statistics, 500 at a time; with the statistics of the batch itself, all at once. The
        network is left as it was.
        """
        given = [value for value in inputs if value is not None]
        was_training = network.training
        network.eval()
        before = [(module, module.track_running_stats) for module in batch_normalisations(network)]
        try:
            for module, _ in before:
                # Normalise by the batch and leave the running statistics alone.
                module.train(batch_statistics)
                module.track_running_stats = not batch_statistics
            size = len(given[0]) if batch_statistics else 500
            parts = [
                network(*(value[k : k + size].to(self.device) for value in given)).float().cpu()
                for k in range(0, len(given[0]), size)
            ]
        finally:
            for module, tracked in before:
                module.track_running_stats = tracked
            network.train(was_training)
        return torch.cat(parts)

    def autocast(self) -> AbstractContextManager[Any]:
        """Context manager that sets the precision of a forward pass."""
        if self.dtype is torch.float32:
            return nullcontext()
        return torch.autocast(self.device.type, self.dtype)


def start(settings: schema.Engine) -> Engine:
    """Make a resolved engine section effective in this process (thread count, determinism) and return its handle.

    Raises:
        UsageError: the device is not available, or `compile` lacks a C++ compiler.
    """
    assert settings.device != "auto", "resolve() comes first"
    assert settings.threads != "auto", "resolve() comes first"
    device = torch.device(settings.device)
    _check(settings.device)
    torch.set_num_threads(settings.threads)
    threads.keep_memory()
    if (
        settings.compile
        and device.type == "cpu"
        and not any(map(shutil.which, (os.environ.get("CXX", "g++"), "clang++")))
    ):
        raise UsageError("engine.compile is true, which on a CPU needs a C++ compiler, and none was found; use auto")
    if device.type == "cuda":
        torch.backends.cudnn.benchmark = False
        torch.backends.cudnn.deterministic = True
    return Engine(
        settings,
        device,
        torch.bfloat16 if settings.precision == "bfloat16" else torch.float32,
        torch.channels_last if settings.memory_format == "channels-last" else torch.contiguous_format,
    )


def convolves(networks: Iterable[nn.Module]) -> bool:
    """Whether any of the networks contains a convolution."""
    kinds = (nn.Conv2d, nn.ConvTranspose2d)
    return any(isinstance(module, kinds) for network in networks for module in network.modules())


def resolve(settings: schema.Engine, mergeable: bool, convolutional: bool = True) -> schema.Engine:
    """The settings with a value for this machine in place of every `auto`.

    Args:
        mergeable: whether the discriminator treats each image independently, so that its passes may be merged.
        convolutional: whether there are convolutions, or linear layers only.

    Raises:
        UsageError: the device is not available, or passes are to be merged that must not be.
    """
    if settings.merged_passes is True and not mergeable:
        raise UsageError(
            "engine.merged_passes is true, but normalisation would mix real and fake, or count the passes; use auto"
        )
    if settings.plan == "reference":
        return settings.model_copy(update=schema.REFERENCE)
    device = settings.device if settings.device != "auto" else best_device()
    _check(device)
    given = {field: getattr(settings, field) for field in schema.REFERENCE if getattr(settings, field) != "auto"}
    chosen = {"merged_passes": mergeable, "device": device}
    if set(schema.REFERENCE) - given.keys() - chosen.keys():
        chosen |= calibrate.measured(device).choice(convolutional)
    return settings.model_copy(update={**chosen, **given})


def here(settings: schema.Engine) -> schema.Engine:
    """Settings of a run made elsewhere, on the CPU if its device is not available; for sampling, not for training."""
    return settings if _present(settings.device) else settings.model_copy(update={"device": "cpu"})


OPTIMISERS: dict[str, type[torch.optim.Optimizer]] = {
    "gradient-descent": torch.optim.SGD,
    "sgd": torch.optim.SGD,
    "adagrad": torch.optim.Adagrad,
    "adadelta": torch.optim.Adadelta,
    "rmsprop": torch.optim.RMSprop,
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
}
FUSED = ("sgd", "adam", "adamw")
"""Optimisers with a fused (one-pass) form on every device."""


def optimiser(settings: schema.Optimiser, parameters: Iterable[nn.Parameter], machine: Engine) -> torch.optim.Optimizer:
    """The optimiser that a recipe's section describes; its lr is set before each step by `lr_at`."""
    flat = settings.model_dump(exclude={"name", "schedule", "warmup_steps"})
    if machine.settings.fused_optimiser and settings.name in FUSED:
        flat["fused"] = True
    return OPTIMISERS[settings.name](parameters, **flat)


def lr_at(settings: schema.Optimiser, step: int, total: int) -> float:
    """The learning rate of step 1 .. total: lr times the schedule, times step / warmup_steps during the warm-up.

    The schedule is 1 (constant), 1 - t (linear) or (1 + cos(pi t)) / 2 (cosine) at t = (step - 1) / total.
    """
    t = (step - 1) / total
    shape = {"constant": 1.0, "linear": 1 - t, "cosine": (1 + math.cos(math.pi * t)) / 2}[settings.schedule]
    return settings.lr * shape * (min(1.0, step / settings.warmup_steps) if settings.warmup_steps else 1.0)


def batch_normalisations(network: nn.Module) -> list[nn.modules.batchnorm._BatchNorm]:
    """The layers of a network that normalise by batch statistics."""
    return [module for module in network.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]


def _present(device: str) -> bool:
    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    return there[device]


def _check(device: str) -> None:
    if not _present(device):
        present = ", ".join(name for name in ("cpu", "cuda", "mps") if _present(name))
        raise UsageError(
            f"engine.device is {device!r}, which this machine or this PyTorch does not have; available: {present}"
        )


def best_device() -> str:
    """The name of the GPU device if there is one, else "cpu"."""
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"
