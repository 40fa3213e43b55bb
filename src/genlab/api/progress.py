"""Progress on the screen: a live display for a person, in a terminal or a notebook, and plain lines for a pipe."""

from __future__ import annotations

import io
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import copy_context
from typing import Any, TextIO, cast

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from genlab.engine import console, stages
from genlab.engine.console import hush, visible
from genlab.engine.stages import about
from genlab.evaluation import live
from genlab.families.base import Column
from genlab.families.cost import expected_seconds
from genlab.families.registry import FAMILIES
from genlab.recipe.schedule import Schedule
from genlab.runs.directory import RunDirectory
from genlab.runs.rows import Row
from genlab.training.fit import Observer
from genlab.training.minutes import is_foretold

PLAIN_SECONDS = 10.0


_shown = False


@contextmanager
def shown(wanted: bool = True) -> Iterator[list[Observer]]:
    """Context in which progress is displayed; yields a list with the observer that displays a training.

    The list is empty, and nothing more is displayed, if no display is `wanted` or a calling function already has one.
    """
    global _shown
    if not wanted or _shown:
        yield []
        return
    _shown = True
    try:
        if (display := _notebook()) is not None:
            with display.watching():
                yield [display]
        else:
            with console.showing():
                yield [progress()]
    finally:
        _shown = False


def progress(stream: TextIO | None = None) -> Observer:
    """Display that suits the stream (default: standard error)."""
    heard = cast(TextIO, _Heard(stream or sys.stderr or io.StringIO()))
    return Live(Console(file=heard)) if heard.isatty() else Lines(heard)


class _Heard(io.TextIOBase):
    """Stream whose reader may go away (`| head`, a closed terminal): it is then silent instead of raising errors."""

    def __init__(self, stream: TextIO) -> None:
        self._stream, self._reader = stream, True

    def write(self, text: str) -> int:
        if self._reader:
            try:
                self._stream.write(text)
                self._stream.flush()
            except UnicodeEncodeError:  # The command line did not prepare this stream.
                known = self._stream.encoding or "ascii"
                self._stream.write(text.encode(known, "backslashreplace").decode(known))
            except OSError:
                self._reader = False
                hush(self._stream)
        return len(text)

    def isatty(self) -> bool:
        return self._stream.isatty()

    def fileno(self) -> int:
        return self._stream.fileno()

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self._stream.encoding


class _Speed:
    """Images per second since the training began or was resumed, excluding the first steps, which warm up."""

    WARM_UP = 3

    def __init__(self, batch: int) -> None:
        self.batch = batch
        self._from: tuple[int, float] | None = None
        self._steps = 0

    def __call__(self, seconds: float) -> float:
        self._steps += 1
        if self._steps <= self.WARM_UP:
            self._from = (self._steps, seconds)
        steps, start = self._from or (0, 0.0)
        return (self._steps - steps) * self.batch / (seconds - start) if seconds > start else 0.0


class Live(Observer):
    """Bar with step, images/s and time left; under it the losses, or the current stage if it is not a step."""

    def __init__(self, console: Console) -> None:
        self.console = console

    def started(self, schedule: Schedule, run: RunDirectory, done: int) -> None:
        self.held = console.held()
        self.held.__enter__()
        for line in _beginning(schedule, run, done):
            told = console.folded(visible(line), self.console.width - 1)
            self.console.print(told, highlight=False, soft_wrap=True, markup=False)
        self.columns = _columns(run)
        self.speed, self.epochs = _Speed(schedule.batch), schedule.epochs
        self.bar = _Bar(
            TextColumn("step"),
            MofNCompleteColumn(),
            *([BarColumn(bar_width=None)] if self.console.width >= 60 else []),
            TextColumn("{task.fields[speed]}"),
            TimeRemainingColumn(compact=True),
            *([TextColumn("left")] if self.console.width >= 60 else []),
            console=self.console,
            expand=self.console.width >= 60,
            speed_estimate_period=20,
        )
        self.task = self.bar.add_task("training", total=schedule.total_steps, completed=done, speed="")
        self.bar.start()

    def stepped(self, step: int, seconds: float) -> None:
        self.bar.update(self.task, completed=step, speed=f"{self.speed(seconds):,.0f} images/s")

    def logged(self, row: Row) -> None:
        self.bar.losses = _losses(row, self.columns)
        line = epoch_line(row, self.epochs, self.columns)
        if line:
            self.console.print(_folded(line, self.console.width - 1), highlight=False, soft_wrap=True)

    def ended(self) -> None:
        if hasattr(self, "bar"):
            self.bar.stop()
        if hasattr(self, "held"):
            self.held.__exit__(None, None, None)


class _Bar(Progress):
    """Two lines: the bar, and the text under it."""

    losses = ""

    def get_renderables(self) -> Any:
        yield from super().get_renderables()
        yield Text(visible(stages.in_words() or self.losses, keep=""), no_wrap=True, overflow="ellipsis")


class Lines(Observer):
    """A line every ten seconds, and at the first and last step."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def started(self, schedule: Schedule, run: RunDirectory, done: int) -> None:
        for line in _beginning(schedule, run, done):
            self._say(visible(line))
        self.columns = _columns(run)
        self.speed, self.schedule, self.rate = _Speed(schedule.batch), schedule, 0.0
        self.printed = -PLAIN_SECONDS

    def stepped(self, step: int, seconds: float) -> None:
        self.rate = self.speed(seconds)

    def logged(self, row: Row) -> None:
        total = self.schedule.total_steps
        line = epoch_line(row, self.schedule.epochs, self.columns)
        if line:
            self.printed = time.monotonic()
            self._say(line)
        if line or (row["step"] < total and time.monotonic() - self.printed < PLAIN_SECONDS):
            return
        self.printed = time.monotonic()
        left = (total - row["step"]) * self.schedule.batch / self.rate if self.rate else 0.0
        speed = f"  {self.rate:,.0f} images/s  {left:.0f} s left" if self.rate else ""
        self._say(f"step {row['step']}/{total}{speed}  {_losses(row, self.columns)}")

    def _say(self, line: str) -> None:
        print(line, file=self.stream, flush=True)


class Notebook(Observer):
    """Text in one output of a notebook, updated at most twice per second while a training or another stage goes on."""

    EVERY = 0.5

    def __init__(self, show: Any) -> None:
        self._show, self._at = show, 0.0
        self._handle: Any = None
        self._head = self._training = ""

    @contextmanager
    def watching(self) -> Iterator[None]:
        ended = threading.Event()
        # In this context the thread writes into the cell that is being executed.
        ticker = threading.Thread(target=copy_context().run, args=(self._tick, ended), daemon=True)
        ticker.start()
        try:
            yield
        finally:
            ended.set()
            ticker.join()
            self._update()

    def _tick(self, ended: threading.Event) -> None:
        while not ended.wait(self.EVERY):
            if stages.now():
                self._update()

    def started(self, schedule: Schedule, run: RunDirectory, done: int) -> None:
        self._head = "\n".join(visible(line) for line in _beginning(schedule, run, done))
        self.columns, self.speed, self.schedule = _columns(run), _Speed(schedule.batch), schedule
        self._losses = ""

    def stepped(self, step: int, seconds: float) -> None:
        rate, total = self.speed(seconds), self.schedule.total_steps
        left = (total - step) * self.schedule.batch / rate if rate else 0.0
        remains = f", {about(left)} left" if left else ""
        self._training = f"step {step:,} of {total:,}, {rate:,.0f} images/s{remains}  {self._losses}"
        if time.monotonic() - self._at >= self.EVERY or step == total:
            self._update()

    def logged(self, row: Row) -> None:
        self._losses = _losses(row, self.columns)

    def _update(self) -> None:
        self._at = time.monotonic()
        text = "\n".join(line for line in (self._head, self._training, visible(stages.in_words())) if line)
        if self._handle is None:
            if text:
                self._handle = self._show({"text/plain": text}, raw=True, display_id=True)
        else:
            self._handle.update({"text/plain": text}, raw=True)


def _notebook() -> Notebook | None:
    """Display for the notebook that this process runs in, or None if there is none."""
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    if shell is None or not hasattr(shell, "kernel"):
        return None
    from IPython.display import display

    return Notebook(display)


def _beginning(schedule: Schedule, run: RunDirectory, done: int) -> list[str]:
    """Lines that name the run and say about how long it will take, if that is long and something was measured."""
    provenance, lines = run.provenance, [f"run {run.path}"]
    seconds = expected_seconds(run.recipe, provenance["networks"], schedule.images)
    if seconds is not None:
        seconds *= (schedule.total_steps - done) / schedule.total_steps
    told = not done and is_foretold(run.recipe)  # From timed steps, which is more accurate.
    if seconds is not None and seconds >= 10 and not told:
        what = provenance["recipe"]["name"]
        lines.append(f"training {what} takes {about(seconds)} on this machine, if nothing else runs")
    return lines


def _columns(run: RunDirectory) -> list[Column]:
    """Columns that a run's rows may have: those of its family and of the evaluation during training."""
    return [*FAMILIES[run.recipe.family].columns, *live.COLUMNS]


def _losses(row: Row, columns: Sequence[Column]) -> str:
    shown = [c for c in columns if c.live and row.get(c.name) is not None]
    return "  ".join(f"{c.live} {_number(row[c.name])}" for c in shown)


def _number(value: float) -> str:
    return f"{value:.3f}" if abs(value) < 1e4 else f"{value:.2e}"


def _folded(line: str, width: int) -> str:
    """Line of parts separated by two spaces, broken before each part that does not fit."""
    lines = [""]
    for part in line.split("  "):
        if lines[-1] and len(lines[-1]) + 2 + len(part) > width:
            lines.append(f"  {part}")
        else:
            lines[-1] += f"  {part}" if lines[-1] else part
    return "\n".join(lines)


def epoch_line(row: Row, epochs: int, columns: Sequence[Column]) -> str | None:
    """Line about the epoch that a row ends, or about samples that were measured; None for any other row."""
    ending = [column for column in columns if column.epoch and column.name in row]
    if not ending:
        return None
    words = [column.epoch.format(row[column.name]) for column in ending if row[column.name] is not None]
    return "  ".join([f"epoch {row['epoch']:.3g}/{epochs}", *words])
