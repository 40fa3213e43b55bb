"""Progress of a training on the screen: a live display for a person, plain lines for a pipe."""

from __future__ import annotations

import io
import sys
import time
from collections.abc import Sequence
from typing import TextIO, cast

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from genlab.engine.console import hush, visible
from genlab.evaluation import live
from genlab.families.base import Column
from genlab.families.cost import expected_seconds
from genlab.families.registry import FAMILIES
from genlab.recipe.schedule import Schedule
from genlab.runs.directory import RunDirectory
from genlab.runs.rows import Row
from genlab.training.fit import Observer

PLAIN_SECONDS = 10.0


def progress(stream: TextIO | None = None) -> Observer:
    """The display that suits the stream (standard error unless given)."""
    heard = cast(TextIO, _Heard(stream or sys.stderr or io.StringIO()))
    return Live(Console(file=heard)) if heard.isatty() else Lines(heard)


class _Heard(io.TextIOBase):
    """A stream whose reader may leave (`| head`, a closed terminal): from then on it is silent, and nothing ends."""

    def __init__(self, stream: TextIO) -> None:
        self._stream, self._reader = stream, True

    def write(self, text: str) -> int:
        if self._reader:
            try:
                self._stream.write(text)
                self._stream.flush()
            except UnicodeEncodeError:  # No command line has prepared this stream.
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
    """Images per second since the training began or was resumed, without the first steps, which warm up."""

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


class Live:
    """A bar with step, images/s, time left, losses."""

    def __init__(self, console: Console) -> None:
        self.console = console

    def started(self, schedule: Schedule, run: RunDirectory, done: int) -> None:
        for line in _beginning(schedule, run, done):
            self.console.print(visible(line), highlight=False, soft_wrap=True, markup=False)
        self.columns = _columns(run)
        self.speed, self.epochs = _Speed(schedule.batch), schedule.epochs
        width = self.console.width
        self.bar = Progress(
            TextColumn("step"),
            MofNCompleteColumn(),
            *([BarColumn(bar_width=None)] if width >= 60 else []),
            TextColumn("{task.fields[speed]}"),
            *([TimeElapsedColumn(), TextColumn("left")] if width >= 80 else []),
            TimeRemainingColumn(),
            *([TextColumn("{task.fields[losses]}")] if width >= 50 else []),
            console=self.console,
            expand=width >= 60,
            speed_estimate_period=20,
        )
        self.task = self.bar.add_task("training", total=schedule.total_steps, completed=done, speed="", losses="")
        self.bar.start()

    def stepped(self, step: int, seconds: float) -> None:
        self.bar.update(self.task, completed=step, speed=f"{self.speed(seconds):,.0f} images/s")

    def logged(self, row: Row) -> None:
        self.bar.update(self.task, losses=_losses(row, self.columns))
        line = epoch_line(row, self.epochs, self.columns)
        if line:
            self.console.print(line, highlight=False, soft_wrap=True)

    def sampled(self, step: int, picture: NDArray[np.uint8]) -> None:
        pass

    def ended(self) -> None:
        if hasattr(self, "bar"):
            self.bar.stop()


class Lines:
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

    def sampled(self, step: int, picture: NDArray[np.uint8]) -> None:
        pass

    def ended(self) -> None:
        pass

    def _say(self, line: str) -> None:
        print(line, file=self.stream, flush=True)


def _beginning(schedule: Schedule, run: RunDirectory, done: int) -> list[str]:
    """Which run it is, and about how long it will take, if that is long and something was measured."""
    provenance, lines = run.provenance, [f"run {run.path}"]
    seconds = expected_seconds(run.recipe, provenance["networks"], schedule.images)
    if seconds is not None:
        seconds *= (schedule.total_steps - done) / schedule.total_steps
    if seconds is not None and seconds >= 10:
        what = provenance["recipe"]["name"]
        lines.append(f"training {what} takes {in_words(seconds)} on this machine, if nothing else runs")
    return lines


def in_words(seconds: float) -> str:
    """A time that is not known better: "about 40 s", "about 4 minutes", "about 3 hours"."""
    if seconds < 95:
        return f"about {round(seconds, -1):.0f} s"
    if seconds < 95 * 60:
        return f"about {seconds / 60:.0f} minutes"
    return f"about {seconds / 3600:.0f} hours"


def _columns(run: RunDirectory) -> list[Column]:
    """What a run's rows may hold: of its family, and of the evaluation during training."""
    return [*FAMILIES[run.recipe.family].columns, *live.COLUMNS]


def _losses(row: Row, columns: Sequence[Column]) -> str:
    shown = [c for c in columns if c.live and row.get(c.name) is not None]
    return "  ".join(f"{c.live} {_number(row[c.name])}" for c in shown)


def _number(value: float) -> str:
    return f"{value:.3f}" if abs(value) < 1e4 else f"{value:.2e}"


def epoch_line(row: Row, epochs: int, columns: Sequence[Column]) -> str | None:
    """What is said of an epoch that a row ends, or of a sample that was measured; None for any other row."""
    ending = [column for column in columns if column.epoch and column.name in row]
    if not ending:
        return None
    words = [column.epoch.format(row[column.name]) for column in ending if row[column.name] is not None]
    return "  ".join([f"epoch {row['epoch']:.3g}/{epochs}", *words])
