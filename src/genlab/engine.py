"""What the machine is good at: device, precision, memory format, threads; and the optimisers.

`resolve` turns every `auto` of a recipe's engine section into a value, once; the run keeps the result.
"""

from __future__ import annotations

import ctypes
import json
import math
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from genlab import recipe as schema
from genlab.errors import UsageError

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h
_AT_FIRST = torch.get_num_threads()
"""Before any run has set its own: all cores, or OMP_NUM_THREADS."""
MARGIN = 1.15
"""How much faster bfloat16 must be before it is chosen, so that noise does not choose."""


@dataclass(frozen=True)
class Engine:
    """A resolved engine section, ready for use."""

    settings: schema.Engine
    device: torch.device
    dtype: torch.dtype
    memory_format: torch.memory_format

    def place(self, network: nn.Module) -> nn.Module:
        """The network on the device, in the memory format. Weights stay float32."""
        moved: nn.Module = network.to(device=self.device, memory_format=self.memory_format)  # type: ignore[call-overload]
        return moved

    def images(self, x: Tensor) -> Tensor:
        """Images on the device, in the memory format."""
        return x.to(self.device).contiguous(memory_format=self.memory_format)

    def tanh_range(self, images: Tensor) -> Tensor:
        """uint8 images as float32 in [-1, 1], the range of tanh."""
        return self.images(images).float() * (2 / 255) - 1

    @torch.no_grad()
    def apply(self, network: nn.Module, *inputs: Tensor | None, batch_statistics: bool = False) -> Tensor:
        """What a network makes of the inputs (those that are not None), in float32, on the CPU.

        With running BatchNorm statistics, 500 at a time; with the statistics of the batch itself, all at once. The
        network stays as it was.
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
        """The precision of a forward pass."""
        if self.dtype is torch.float32:
            return nullcontext()
        return torch.autocast(self.device.type, self.dtype)


def start(settings: schema.Engine) -> Engine:
    """Make a resolved engine section effective in this process (thread count, determinism) and return its handle.

    Raises:
        UsageError: the device is not there.
    """
    assert settings.device != "auto", "resolve() comes first"
    assert settings.threads != "auto", "resolve() comes first"
    device = torch.device(settings.device)
    _check(settings.device)
    torch.set_num_threads(settings.threads)
    _keep_memory()
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
    """Whether there is a convolution in any of the networks."""
    kinds = (nn.Conv2d, nn.ConvTranspose2d)
    return any(isinstance(module, kinds) for network in networks for module in network.modules())


def resolve(settings: schema.Engine, mergeable: bool, convolutional: bool = True) -> schema.Engine:
    """Every `auto` as a value for this machine.

    Args:
        mergeable: whether the discriminator treats each image by itself, so that its passes may be merged.
        convolutional: whether there is work for several threads. The small products of linear layers gain next to
            nothing from a second one, and wait for it whenever its core is busy.

    Raises:
        UsageError: a device that is not there, or passes to be merged that may not be.
    """
    if settings.merged_passes is True and not mergeable:
        raise UsageError(
            "engine.merged_passes is true, but normalisation would mix real and fake, or count the passes; use auto"
        )
    if settings.plan == "reference":
        return settings.model_copy(update=schema.REFERENCE)
    device = settings.device if settings.device != "auto" else _best_device()
    _check(device)
    threads = settings.threads if settings.threads != "auto" else _threads() if convolutional else 1
    precision = settings.precision
    if precision == "auto":
        precision = "bfloat16" if _bfloat16_wins(device, threads) else "float32"
    chosen = {
        "device": device,
        "threads": threads,
        "precision": precision,
        "memory_format": "channels-last",
        "fused_optimiser": True,
        "merged_passes": mergeable,
    }
    keep = {field: getattr(settings, field) for field in chosen if getattr(settings, field) != "auto"}
    return settings.model_copy(update={**chosen, **keep})


def here(settings: schema.Engine) -> schema.Engine:
    """The settings of a run made elsewhere, on the CPU if its device is not here; for sampling, not for training."""
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
"""Those with a one-pass form on every device."""


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
            f"engine.device is {device!r}, which this machine or this PyTorch does not have; here: {present}"
        )


def _best_device() -> str:
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def _threads() -> int:
    """The cores this process may use, at most 8: small networks gain nothing from more."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(allowed, _AT_FIRST, 8)


@contextmanager
def all_threads() -> Iterator[None]:
    """Inside, torch uses all cores that this process may use, whatever a run has set; afterwards as many as before."""
    before = torch.get_num_threads()
    torch.set_num_threads(_threads())
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _bfloat16_wins(device: str, threads: int) -> bool:
    """Measured once a machine and torch version, then remembered, so that the same command keeps the same plan."""
    if device == "mps":
        return False
    memory = _cache_folder() / "engine.json"
    key = f"{torch.__version__}/{device}/{threads}/{processor()}"
    try:
        known: dict[str, float] = json.loads(memory.read_text("utf-8"))
    except (OSError, ValueError):
        known = {}
    if not isinstance(known.get(key), float):
        known[key] = _bfloat16_gain(torch.device(device), threads)
        try:
            memory.parent.mkdir(parents=True, exist_ok=True)
            beside = memory.with_suffix(f".{os.getpid()}")
            beside.write_text(json.dumps(known, indent=1), "utf-8")
            beside.replace(memory)
        except OSError:
            pass  # A machine without a writable home measures anew each time.
    return known[key] >= MARGIN


def _bfloat16_gain(device: torch.device, threads: int) -> float:
    """Seconds in float32 over seconds in bfloat16, for the forward and backward pass of a middle layer of a DCGAN."""
    torch.set_num_threads(threads)
    layer = nn.Conv2d(32, 64, 4, 2, 1).to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    x = torch.zeros(128, 32, 16, 16, device=device).contiguous(memory_format=torch.channels_last)

    def run(precision: torch.dtype) -> None:
        with torch.autocast(device.type, precision, enabled=precision is not torch.float32):
            layer(x).sum().backward()
        if device.type == "cuda":
            torch.cuda.synchronize()

    return _fastest(partial(run, torch.float32)) / _fastest(partial(run, torch.bfloat16))


def _fastest(run: Callable[[], None], seconds: float = 0.4) -> float:
    """The shortest of as many repetitions as fit, after one to warm up."""
    run()
    times: list[float] = []
    start = time.perf_counter()
    while len(times) < 3 or time.perf_counter() - start < seconds:
        before = time.perf_counter()
        run()
        times.append(time.perf_counter() - before)
    return min(times)


def _keep_memory() -> None:
    """Let glibc keep freed memory instead of giving it back after every tensor, which costs thousands of page faults a
    step. Nothing happens where the C library is another one."""
    if sys.platform != "linux":
        return
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return
    mallopt(M_MMAP_THRESHOLD, 1 << 30)
    mallopt(M_TRIM_THRESHOLD, (1 << 31) - 1)


def processor() -> str:
    """The processor's name, as the operating system gives it."""
    import platform

    try:
        for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _cache_folder() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "genlab"
