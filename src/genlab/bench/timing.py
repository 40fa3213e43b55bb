"""Steps timed side by side: each way of training in a separate process, which waits while another one is timed.

A way is `report` or one of genlab's precisions; one that the plan has left out is not timed. The report's process loads
torch before genlab, so that its threads wait as they do in a script that does not use genlab.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, field
from math import comb
from typing import Any

import torch
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from genlab.bench.loops import GenlabLoop, Loop, ReportLoop
from genlab.engine import calibrate, threads
from genlab.errors import GenlabError

REPORT = "report"
_WARM_UP = 3


def ways() -> list[str]:
    """The report's way, and each precision that a recipe's `auto` may resolve to on this machine's CPU."""
    return [REPORT, *calibrate.measured("cpu").precisions()]


def child_of(way: str, module: str) -> list[str]:
    """Command of a process that trains this way: it runs `serve` of a module of genlab.bench."""
    first = "import torch; " if way == REPORT else ""
    return [sys.executable, "-c", f"{first}from genlab.bench import {module}; {module}.serve()"]


class Stepper(AbstractContextManager["Stepper"]):
    """A training in a separate process, which makes steps on request.

    Args:
        recipe: name of a built-in recipe.
        way: one of `ways`, or `auto`.
        overrides: overrides of the recipe, by dotted path.
    """

    def __init__(self, recipe: str, way: str, overrides: Mapping[str, Any] | None = None) -> None:
        self._process = subprocess.Popen(
            child_of(way, "timing"), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._say({"recipe": recipe, "way": way, "overrides": dict(overrides or {})})
        self._ready = False

    def seconds(self, steps: int) -> float:
        """Make this many steps and return the seconds that they took."""
        return float(self._ask({"steps": steps})["seconds"])

    def facts(self) -> dict[str, float]:
        """Floating-point operations per step (a multiply-add is two), and the process's peak memory in MB."""
        return self._ask({})

    def ready(self) -> Stepper:
        """Wait until the process has loaded and warmed up; the first question waits too.

        Raises:
            GenlabError: the recipe cannot be trained.
        """
        if not self._ready:
            try:
                self._hear()
            except GenlabError:
                self.__exit__()
                raise
            self._ready = True
        return self

    def _ask(self, question: dict[str, Any]) -> dict[str, Any]:
        self.ready()
        self._say(question)
        return self._hear()

    def _say(self, question: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # What the process printed before it ended says why.
            print(json.dumps(question), file=self._process.stdin, flush=True)

    def _hear(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise GenlabError("a benchmark's training process ended early; see its error above")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()


def serve() -> None:
    """Main function of a `Stepper`'s process: the first line says what to train, each later one asks for steps or
    facts."""
    asked = json.loads(sys.stdin.readline())
    loop, placed = loop_of(asked["recipe"], asked["way"], asked["overrides"])
    with placed:
        for _ in range(_WARM_UP):
            loop.step()
        print(json.dumps({}), flush=True)
        for line in sys.stdin:
            steps = json.loads(line).get("steps")
            if steps is None:
                memory = _peak_memory_mb()
                with FlopCounterMode(display=False) as counter:
                    loop.step()
                print(json.dumps({"flops": counter.get_total_flops(), "peak_memory_mb": memory}), flush=True)
                continue
            start = time.perf_counter()
            for _ in range(steps):
                loop.step()
            print(json.dumps({"seconds": time.perf_counter() - start}), flush=True)


def _peak_memory_mb() -> float | None:
    """Peak memory of this process so far; None if the system does not tell."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    if sys.platform == "linux":
        with suppress(OSError), open("/proc/self/status", encoding="utf-8") as file:
            # The other count includes the memory of the process that started this one.
            return int(next(line.split()[1] for line in file if line.startswith("VmHWM"))) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform == "linux" else 2**20)


def loop_of(
    recipe: str, way: str, overrides: Mapping[str, Any], seed: int = 0
) -> tuple[Loop, AbstractContextManager[None]]:
    """Loop that trains a recipe in this way, and the context that places its threads meanwhile."""
    if way == REPORT:
        return ReportLoop(recipe, overrides, seed), nullcontext()
    precision = {} if way == "auto" else {"engine.precision": way}
    # A schedule needs a length; a benchmark of speed never reaches its end.
    return GenlabLoop(recipe, {**precision, **overrides}, seed), threads.of_training()


@dataclass
class Paired:
    """Milliseconds per step of several ways, measured in turns.

    Attributes:
        milliseconds: way -> one number per round.
        facts: way -> its facts, see `Stepper.facts`.
    """

    milliseconds: dict[str, list[float]] = field(default_factory=dict)
    facts: dict[str, dict[str, float]] = field(default_factory=dict)

    def ratio(self, way: str, over: str = REPORT) -> tuple[float, tuple[float, float]]:
        """How many times faster a way is than another: median over rounds, and its interval of about 95 %."""
        ratios = [b / a for a, b in zip(self.milliseconds[way], self.milliseconds[over], strict=True)]
        return statistics.median(ratios), median_interval(ratios)

    def median(self, way: str) -> float:
        return statistics.median(self.milliseconds[way])


def paired(recipe: str, ways: Sequence[str], rounds: int, seconds: float, limit: float | None = None) -> Paired:
    """Time each way in turns, in `rounds` rounds of about `seconds` per way; the order is reversed from round to round.

    Args:
        limit: seconds after which no further round begins, once there are three.
    """
    found = Paired({way: [] for way in ways})
    steppers = {way: Stepper(recipe, way) for way in ways}
    try:
        for stepper in steppers.values():
            stepper.ready()  # All are loading by now; none is timed while another loads.
        steps = {way: max(1, round(seconds / (stepper.seconds(2) / 2))) for way, stepper in steppers.items()}
        start = time.monotonic()
        for k in range(rounds):
            if limit is not None and k >= 3 and time.monotonic() - start > limit:
                break
            for way in ways if k % 2 else reversed(ways):
                found.milliseconds[way].append(steppers[way].seconds(steps[way]) / steps[way] * 1000)
        found.facts = {way: stepper.facts() for way, stepper in steppers.items()}
    finally:
        for stepper in steppers.values():
            stepper.__exit__()
    return found


def median_interval(values: Sequence[float], level: float = 0.95) -> tuple[float, float]:
    """Distribution-free interval of the median: the narrowest pair of order statistics, k-th lowest and k-th highest,
    that contains it with probability `level`, by the binomial distribution; lowest and highest if there are too few."""
    n, ordered = len(values), sorted(values)
    best = 1
    for k in range(1, n // 2 + 1):
        if 1 - 2 * sum(comb(n, i) for i in range(k)) / 2**n >= level:
            best = k
    return ordered[best - 1], ordered[n - best]


STUDENT = {2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776}
"""97.5 % quantile of Student's t, by the number of values."""


def mean_interval(values: Sequence[float]) -> tuple[float, list[float] | None]:
    """Mean of two to five values, one per training, and its 95 % t-interval; a single value has no interval."""
    mean = statistics.mean(values)
    if len(values) == 1:
        return mean, None
    reach = STUDENT[len(values)] * statistics.stdev(values) / len(values) ** 0.5
    return mean, [mean - reach, mean + reach]


def peak_gflops() -> dict[str, float]:
    """10^9 floating-point operations per second for a product of two 2048 x 2048 matrices on all cores, by precision:
    as a product and as a 1 x 1 convolution, which another library computes, the faster of both, best of several. Only
    precisions that the plan has not left out."""
    found = {}
    precisions = calibrate.measured("cpu").precisions()
    with threads.all_threads(), threads.pinned(), torch.no_grad():
        for name in precisions:
            a, b = torch.randn(2, 2048, 2048).to(calibrate.PRECISIONS[name])
            image = a.t()[None, :, :, None].contiguous(memory_format=torch.channels_last)
            times = []
            for _ in range(6):
                for product in (lambda a=a, b=b: a @ b, lambda image=image, b=b: F.conv2d(image, b[:, :, None, None])):
                    start = time.perf_counter()
                    product()
                    times.append(time.perf_counter() - start)
            found[name] = 2 * 2048**3 / min(times[2:]) / 1e9
    return found
