"""What is fastest on this machine: measured once, in less than two seconds, remembered, and kept by every run.

`measured` times the forward and backward pass of a convolution and of linear layers, and a step of Adam, in the forms
that there are; `Measured.choice` says which form a recipe's `auto` becomes. The first form keeps its place unless
another one wins by `MARGIN`, so that noise does not choose. Of one thread its processor time counts, which other
processes do not move; only the gain of further threads needs a clock, and is not remembered from a busy machine.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from genlab import cores, places

MARGIN = 1.15
"""How much faster another form must be before it is chosen."""
PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}
FORMATS = {"contiguous": torch.contiguous_format, "channels-last": torch.channels_last}
SECONDS = 0.08
"""For each form."""


@dataclass(frozen=True)
class Measured:
    """Milliseconds of each form of each work on a device.

    Attributes:
        device: cpu, cuda or mps.
        threads: the most that torch may use.
        milliseconds: by "work form": convolution and linear in each precision, convolution also in each memory format,
            linear also by all threads ("linear bfloat16 x2"); adam plain and fused.
        source: "measured", "remembered", or "measured on a busy machine".
    """

    device: str
    threads: int
    milliseconds: dict[str, float]
    source: str

    def gain(self, form: str, over: str) -> float:
        """How many times faster a form is than another one; 1 where one of them was not measured."""
        mine, other = self.milliseconds.get(form), self.milliseconds.get(over)
        return other / mine if mine and other else 1.0

    def choice(self, convolutional: bool) -> dict[str, Any]:
        """The engine's fields for networks with convolutions, or of linear layers alone."""
        if convolutional:
            half = self.gain("convolution bfloat16 channels-last", "convolution float32 channels-last")
        else:
            half = self.gain("linear bfloat16", "linear float32")
        precision = "bfloat16" if half >= MARGIN else "float32"
        contiguous = self.gain(f"convolution {precision} contiguous", f"convolution {precision} channels-last")
        # The small products of linear layers gain little from a second thread on some machines, nothing on others.
        more = convolutional or self.gain(f"linear {precision} x{self.threads}", f"linear {precision}") >= MARGIN
        return {
            "device": self.device,
            "precision": precision,
            "memory_format": "contiguous" if contiguous >= MARGIN else "channels-last",
            "threads": self.threads if more else 1,
            "fused_optimiser": self.gain("adam plain", "adam fused") < MARGIN,
            "compile": False,  # Slower on the CPUs that were measured (docs/performance.md); no GPU was.
        }


def measured(device: str, anew: bool = False) -> Measured:
    """What this machine is good at; from the cache, where this machine and PyTorch are in it.

    Args:
        anew: measure whatever the cache says, and keep the result.
    """
    threads, key, known = cores.most_threads(), _key(device), _remembered()
    if not anew and (before := remembered(device)):
        return before
    start, cpu = time.perf_counter(), time.process_time()
    milliseconds = _milliseconds(device, threads)
    if device == "cpu" and time.process_time() - cpu < 0.9 * (time.perf_counter() - start):
        return Measured(device, threads, milliseconds, "measured on a busy machine")
    with suppress(OSError):  # A machine without a writable home measures anew each time.
        _keep({**known, key: milliseconds})
    return Measured(device, threads, milliseconds, "measured")


def remembered(device: str) -> Measured | None:
    """What was measured on this machine before; nothing is measured for it."""
    entry: Any = _remembered().get(_key(device))
    return Measured(device, cores.most_threads(), entry, "remembered") if _is_sound(entry) else None


def _key(device: str) -> str:
    return f"{torch.__version__}/{device}/{cores.most_threads()}/{cores.processor()}"


def cache_file() -> Path:
    """Where it is remembered."""
    return places.cache_folder() / "plan.json"


def _remembered() -> dict[str, Any]:
    try:
        known = json.loads(cache_file().read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return known if isinstance(known, dict) else {}


def _is_sound(entry: object) -> bool:
    return (
        isinstance(entry, dict)
        and bool(entry)
        and all(isinstance(value, float) and value > 0 for value in entry.values())
    )


def _keep(known: dict[str, Any]) -> None:
    file = cache_file()
    file.parent.mkdir(parents=True, exist_ok=True)
    beside = file.with_suffix(f".{os.getpid()}")
    beside.write_text(json.dumps(known, indent=1), "utf-8")
    beside.replace(file)


def _milliseconds(device: str, threads: int) -> dict[str, float]:
    """Of every form that could be chosen on the device."""
    on, before = torch.device(device), torch.get_num_threads()
    clock = time.process_time if device == "cpu" else time.perf_counter
    found: dict[str, float] = {}
    try:
        torch.set_num_threads(1)
        for precision in ["float32"] if device == "mps" else PRECISIONS:
            found[f"linear {precision}"] = _fastest(_linear(on, precision), clock)
            for layout in FORMATS:
                found[f"convolution {precision} {layout}"] = _fastest(_convolution(on, precision, layout), clock)
        for form in ("plain", "fused"):
            found[f"adam {form}"] = _fastest(_adam(on, fused=form == "fused"), clock)
        if threads > 1 and device == "cpu":
            torch.set_num_threads(threads)
            with cores.pinned():
                for precision in PRECISIONS:
                    found[f"linear {precision} x{threads}"] = _fastest(_linear(on, precision), time.perf_counter)
    finally:
        torch.set_num_threads(before)
    return found


def _convolution(device: torch.device, precision: str, layout: str) -> Callable[[], None]:
    """Three layers of a DCGAN's discriminator, forward and backward, 32 x 32 pixels, batch 32."""
    layers: list[nn.Module] = []
    for narrow, wide in ((1, 32), (32, 64), (64, 128)):
        layers += [nn.Conv2d(narrow, wide, 4, 2, 1), nn.LeakyReLU(0.2, inplace=True)]
    network = nn.Sequential(*layers).to(device=device, memory_format=FORMATS[layout])  # type: ignore[call-overload]
    x = torch.randn(32, 1, 32, 32, device=device).contiguous(memory_format=FORMATS[layout])
    return _passes(device, precision, lambda: network(x))


def _linear(device: torch.device, precision: str) -> Callable[[], None]:
    """Two layers of report S3's discriminator, forward and backward, batch 100."""
    network = nn.Sequential(nn.Linear(784, 1024), nn.LeakyReLU(0.2), nn.Linear(1024, 512)).to(device)
    x = torch.randn(100, 784, device=device)
    return _passes(device, precision, lambda: network(x))


def _passes(device: torch.device, precision: str, forward: Callable[[], torch.Tensor]) -> Callable[[], None]:
    def run() -> None:
        with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16"):
            loss = forward().float().square().mean()
        loss.backward()  # type: ignore[no-untyped-call]
        _wait(device)

    return run


def _adam(device: torch.device, fused: bool) -> Callable[[], None]:
    p = nn.Parameter(torch.zeros(500_000, device=device))
    p.grad = torch.ones_like(p)
    optimiser = torch.optim.Adam([p], fused=fused)

    def run() -> None:
        optimiser.step()
        _wait(device)

    return run


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()
    elif device.type == "mps":
        torch.mps.synchronize()


def _fastest(run: Callable[[], None], clock: Callable[[], float]) -> float:
    """Milliseconds of the fastest of as many repetitions as fit into `SECONDS`, at least three; two more warm up."""
    for _ in range(2):
        run()
    times: list[float] = []
    start = time.perf_counter()
    while len(times) < 3 or time.perf_counter() - start < SECONDS:
        before = clock()
        run()
        times.append(clock() - before)
    return min(times) * 1000
