"""What is fastest on this machine: measured once, in less than two seconds, cached, and stored with every run.

`measured` times the forward and backward pass of convolutions and of linear layers, and a step of Adam, in every
available form; `Measured.choice` says which form a recipe's `auto` becomes. The default form is kept unless another one
wins by `MARGIN`, so that noise does not decide. A single thread is timed by its processor time, which other processes
do not affect; only the gain of further threads needs a clock, and results from a busy machine are not cached.

A precision for which oneDNN has no kernels still works, 15 to 20 times more slowly: it is ruled out for that reason
(`impossible`) and never timed. Results are cached for the instructions that a process computes with, not for the
processor's name alone, and are checked once more in the first steps of each training (`slower`).
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard

import torch
from torch import nn

from genlab.engine import places
from genlab.engine import threads as cores

MARGIN = 1.15
"""How many times faster another form must be to be chosen."""
PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}
FORMATS = {"contiguous": torch.contiguous_format, "channels-last": torch.channels_last}
SECONDS = 0.08
"""Seconds of timing per form."""
FIRST: dict[str, Any] = {"precision": "float32", "memory_format": "channels-last", "fused_optimiser": True}
"""Default forms, which are kept unless others win."""
CLEARLY = 1.5
"""How many times as long as the default form a chosen one must take for the plan to be called wrong."""
WORK = {"convolution": 32 * (32 * 16 * 16**2 + 64 * 512 * 8**2 + 128 * 1024 * 4**2), "linear": 100 * 1024 * (784 + 512)}
"""Multiply-adds of a forward pass of the timed layers."""
STEP_MILLISECONDS = 1.0
"""Time of a training step that has nothing to compute (docs/performance.md)."""


@dataclass(frozen=True)
class Measured:
    """Timings of each form of each kind of work on a device.

    Attributes:
        device: cpu, cuda or mps.
        threads: most threads that torch may use.
        milliseconds: by "work form": convolution and linear in each precision, convolution also in each memory format,
            linear also on all threads ("linear bfloat16 x2"); adam plain and fused.
        source: "measured", "remembered", or "measured on a busy machine".
    """

    device: str
    threads: int
    milliseconds: dict[str, float]
    source: str

    def gain(self, form: str, over: str) -> float:
        """How many times faster one form is than another; 1 if either was not measured."""
        mine, other = self.milliseconds.get(form), self.milliseconds.get(over)
        return other / mine if mine and other else 1.0

    def choice(self, convolutional: bool) -> dict[str, Any]:
        """Engine fields for networks with convolutions, or with linear layers only."""
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
            "compile": False,  # Slower on the CPUs that were measured (docs/performance.md); no GPU was measured.
        }

    def left_out(self) -> dict[str, str]:
        """Precisions that a recipe's `auto` never becomes here, each with the reason."""
        found = impossible(self.device)
        if not found and not any(self.choice(kind)["precision"] == "bfloat16" for kind in (True, False)):
            gains = [
                self.gain(
                    f"convolution bfloat16 {FIRST['memory_format']}", f"convolution float32 {FIRST['memory_format']}"
                ),
                self.gain("linear bfloat16", "linear float32"),
            ]
            found["bfloat16"] = "measured {:.2g} times as fast as float32 in convolutions, {:.2g} in products".format(
                *gains
            )
        return found

    def precisions(self) -> list[str]:
        """Precisions that `auto` may become here, float32 first."""
        return [name for name in PRECISIONS if name not in self.left_out()]

    def seconds(
        self, multiply_adds: float, steps: int, settings: Mapping[str, Any], convolutional: bool
    ) -> float | None:
        """Estimated seconds that a training takes at the measured speed, on all its threads; None if its form was
        not timed.

        Args:
            multiply_adds: number of multiply-adds of all steps, forward and backward.
            settings: fields of an engine section.
        """
        precision, threads = settings["precision"], int(settings["threads"])
        work = "convolution" if convolutional else "linear"
        form = f"convolution {precision} {settings['memory_format']}" if convolutional else f"linear {precision}"
        if form not in self.milliseconds:
            return None
        milliseconds = self.milliseconds.get(f"{form} x{threads}", self.milliseconds[form] / threads)
        return (multiply_adds / (3 * WORK[work]) * milliseconds + steps * STEP_MILLISECONDS) / 1000


def impossible(device: str) -> dict[str, str]:
    """Precisions that must not be tried on a device, each with the reason."""
    if device == "mps":
        return {"bfloat16": "not tried on mps"}
    facts = cores.instructions()
    if device != "cpu" or facts["onednn_bfloat16"] != "no":
        return {}
    limits = f", {facts['limits']}" if facts["limits"] else ""
    return {"bfloat16": f"no instructions for it here ({cores.processor()}: {facts['capability']}{limits})"}


_LATEST: dict[str, Measured] = {}
"""Latest measurements of this process, by device; those of a busy machine are kept only here."""


def known(device: str) -> Measured | None:
    """What is known about this machine without measuring."""
    entry = _remembered().get(_key(device))
    if device not in _LATEST and _is_sound(entry):
        return Measured(device, cores.most_threads(), entry, "remembered")
    return _LATEST.get(device)


def measured(device: str, anew: bool = False) -> Measured:
    """Measurements of this machine, from the cache if it has any for this machine and PyTorch version.

    Args:
        anew: whether to measure in any case, and cache the result.
    """
    _LATEST[device] = _measured(device, anew)
    return _LATEST[device]


def _measured(device: str, anew: bool) -> Measured:
    if not anew and (before := remembered(device)):
        return before
    threads, key, known = cores.most_threads(), _key(device), _remembered()
    start, cpu = time.perf_counter(), time.process_time()
    milliseconds = _milliseconds(device, threads)
    if device == "cpu" and time.process_time() - cpu < 0.9 * (time.perf_counter() - start):
        return Measured(device, threads, milliseconds, "measured on a busy machine")
    with suppress(OSError):  # A machine without a writable home measures again each time.
        _keep({**known, key: milliseconds})
    return Measured(device, threads, milliseconds, "measured")


def remembered(device: str) -> Measured | None:
    """Cached measurements of this machine, or None; nothing is measured."""
    entry: Any = _remembered().get(_key(device))
    return Measured(device, cores.most_threads(), entry, "remembered") if _is_sound(entry) else None


def forget(device: str) -> None:
    """Remove this machine's measurements from the cache, so that the next run measures again."""
    known = _remembered()
    if known.pop(_key(device), None) is not None:
        with suppress(OSError):
            _keep(known)


def slower(chosen: Mapping[str, Any], automatic: set[str], convolutional: bool) -> str | None:
    """Message if a chosen form takes clearly longer than the default form, both timed in turns on one CPU thread; None
    if it does not, or is the default form.

    Args:
        chosen: fields of a resolved engine section.
        automatic: those fields that were `auto`, and so were chosen by the plan.
    """
    first = {field: FIRST[field] if field in automatic else chosen[field] for field in FIRST}

    def forms(fields: Mapping[str, Any]) -> list[str]:
        layout = f" {fields['memory_format']}" if convolutional else ""
        work = "convolution" if convolutional else "linear"
        return [f"{work} {fields['precision']}{layout}", f"adam {'fused' if fields['fused_optimiser'] else 'plain'}"]

    for mine, other in zip(forms(chosen), forms(first), strict=True):
        if mine == other:
            continue
        with torch.random.fork_rng(devices=[]), _one_thread():
            runs, times = [_work(torch.device("cpu"), form) for form in (mine, other)], [float("inf")] * 2
            for _ in range(4):
                for k, run in enumerate(runs):
                    start = time.thread_time()
                    run()
                    times[k] = min(times[k], time.thread_time() - start)
        if times[0] > CLEARLY * times[1]:
            return f"{mine} takes {times[0] / times[1]:.2g} times as long as {other}"
    return None


def cache_file() -> Path:
    """File in which measurements are cached."""
    return places.cache_folder() / "plan.json"


def _key(device: str) -> str:
    facts = (torch.__version__, device, cores.most_threads(), cores.processor(), *cores.instructions().values())
    return "/".join(map(str, facts))


def _remembered() -> dict[str, Any]:
    try:
        known = json.loads(cache_file().read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return known if isinstance(known, dict) else {}


def _is_sound(entry: object) -> TypeGuard[dict[str, float]]:
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
    """Milliseconds of every form that could be chosen on the device."""
    on, precisions = torch.device(device), [name for name in PRECISIONS if name not in impossible(device)]
    clock = time.process_time if device == "cpu" else time.perf_counter
    forms = [
        form
        for name in precisions
        for form in (f"linear {name}", *(f"convolution {name} {layout}" for layout in FORMATS))
    ]
    with _one_thread():
        found = {form: _fastest(_work(on, form), clock) for form in (*forms, "adam plain", "adam fused")}
        if threads > 1 and device == "cpu":
            torch.set_num_threads(threads)
            with cores.pinned():
                for name in precisions:
                    found[f"linear {name} x{threads}"] = _fastest(_work(on, f"linear {name}"), time.perf_counter)
    return found


@contextmanager
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _work(device: torch.device, form: str) -> Callable[[], None]:
    """The function that is timed for a form, given its name in `Measured.milliseconds`."""
    work, *rest = form.split()
    if work == "adam":
        return _adam(device, fused=rest == ["fused"])
    return _convolution(device, *rest) if work == "convolution" else _linear(device, *rest)


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
    """Milliseconds of the fastest of all repetitions that fit into `SECONDS`, at least three, after two for warm-up."""
    for _ in range(2):
        run()
    times: list[float] = []
    start = time.perf_counter()
    while len(times) < 3 or time.perf_counter() - start < SECONDS:
        before = clock()
        run()
        times.append(clock() - before)
    return min(times) * 1000
