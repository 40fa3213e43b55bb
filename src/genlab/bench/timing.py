"""Steps timed side by side: each way of training in a process of its own, which waits while another one is timed.

A way is `report` or a precision of genlab's; one that the plan has left out is not timed. The report's process loads
torch before genlab, so that its threads wait as they do in a script that knows nothing of genlab.
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
    """The report's way, and each precision that a recipe's `auto` may become on this machine's CPU."""
    return [REPORT, *calibrate.measured("cpu").precisions()]


def child_of(way: str, module: str) -> list[str]:
    """The command of a process that trains this way: it runs `serve` of a module of genlab.bench."""
    first = "import torch; " if way == REPORT else ""
    return [sys.executable, "-c", f"{first}from genlab.bench import {module}; {module}.serve()"]


class Stepper(AbstractContextManager["Stepper"]):
    """A training in a process of its own, which makes steps when it is told to.

    Args:
        recipe: a built-in recipe's name.
        way: of `ways`, or `auto`.
        overrides: of the recipe, by dotted path.
    """

    def __init__(self, recipe: str, way: str, overrides: Mapping[str, Any] | None = None) -> None:
        self._process = subprocess.Popen(
            child_of(way, "timing"), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._say({"recipe": recipe, "way": way, "overrides": dict(overrides or {})})
        self._ready = False

    def seconds(self, steps: int) -> float:
        """Make so many steps; how long they took."""
        return float(self._ask({"steps": steps})["seconds"])

    def facts(self) -> dict[str, float]:
        """Floating-point operations of a step (a multiply-add is two), and the process's peak memory in MB."""
        return self._ask({})

    def ready(self) -> Stepper:
        """Wait until it is loaded and warm; the first question waits too.

        Raises:
            GenlabError: it cannot be trained.
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
        with suppress(BrokenPipeError):  # What it printed before it ended says why.
            print(json.dumps(question), file=self._process.stdin, flush=True)

    def _hear(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise GenlabError("a benchmark's training ended before its time; its error stands above")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()


def serve() -> None:
    """The process of a `Stepper`: the first line says what to train, each further one asks for steps, or for facts."""
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
    """Of this process so far; None where the system does not tell."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    if sys.platform == "linux":
        with suppress(OSError), open("/proc/self/status", encoding="utf-8") as file:
            # The other count has in it what the process that started this one had in use.
            return int(next(line.split()[1] for line in file if line.startswith("VmHWM"))) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform == "linux" else 2**20)


def loop_of(
    recipe: str, way: str, overrides: Mapping[str, Any], seed: int = 0
) -> tuple[Loop, AbstractContextManager[None]]:
    """A way of training a recipe, and where its threads are placed meanwhile."""
    if way == REPORT:
        return ReportLoop(recipe, overrides, seed), nullcontext()
    precision = {} if way == "auto" else {"engine.precision": way}
    # A schedule needs a length; a benchmark of speed never comes to its end.
    return GenlabLoop(recipe, {**precision, **overrides}, seed), threads.pinned()


@dataclass
class Paired:
    """Milliseconds a step of several ways, measured in turns.

    Attributes:
        milliseconds: of each way, one number a round.
        facts: of each way, see `Stepper.facts`.
    """

    milliseconds: dict[str, list[float]] = field(default_factory=dict)
    facts: dict[str, dict[str, float]] = field(default_factory=dict)

    def ratio(self, way: str, over: str = REPORT) -> tuple[float, tuple[float, float]]:
        """How many times faster a way is than another one: median over rounds, and its interval of about 95 %."""
        ratios = [b / a for a, b in zip(self.milliseconds[way], self.milliseconds[over], strict=True)]
        return statistics.median(ratios), median_interval(ratios)

    def median(self, way: str) -> float:
        return statistics.median(self.milliseconds[way])


def paired(recipe: str, ways: Sequence[str], rounds: int, seconds: float, limit: float | None = None) -> Paired:
    """Time each way in turns, `rounds` times about so many seconds each; the order turns around from round to round.

    Args:
        limit: seconds after which no further round is begun, once there are three.
    """
    found = Paired({way: [] for way in ways})
    steppers = {way: Stepper(recipe, way) for way in ways}
    try:
        for stepper in steppers.values():
            stepper.ready()  # All are loading by now; none is timed while another one does.
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
    """A distribution-free interval of the median: the narrowest pair of order statistics, k-th lowest and k-th highest,
    that holds it with probability `level`, by the binomial distribution; lowest and highest where there are too few."""
    n, ordered = len(values), sorted(values)
    best = 1
    for k in range(1, n // 2 + 1):
        if 1 - 2 * sum(comb(n, i) for i in range(k)) / 2**n >= level:
            best = k
    return ordered[best - 1], ordered[n - best]


STUDENT = {2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776}
"""The 97.5 % quantile of Student's t, by the number of values."""


def mean_interval(values: Sequence[float]) -> tuple[float, list[float] | None]:
    """The mean of two to five values, a training's each, and its 95 % t-interval; no interval of a single one."""
    mean = statistics.mean(values)
    if len(values) == 1:
        return mean, None
    reach = STUDENT[len(values)] * statistics.stdev(values) / len(values) ** 0.5
    return mean, [mean - reach, mean + reach]


def peak_gflops() -> dict[str, float]:
    """10^9 floating-point operations a second of a product of two 2048 x 2048 matrices on all cores, by precision: as a
    product and as a 1 x 1 convolution, which takes another library's way, the faster of both, best of several. Of the
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
