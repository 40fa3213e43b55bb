"""Carry out a study's runs: none is made twice, a failed run does not stop the others, and all can stop at any point.

What remains to be done follows from the files: a run with a record is done, and one with a directory resumes from its
checkpoint. The driver therefore keeps no state of its own and may be killed at any moment.
"""

from __future__ import annotations

import re
import shutil
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from genlab.engine import signals
from genlab.errors import DataError, RunsFailed, Stopped, StorageError
from genlab.study.folder import Folder
from genlab.study.plan import Cell, Plan
from genlab.study.processes import Event
from genlab.study.record import Record
from genlab.study.tasks import Pins, recipes_of, task_of

ATTEMPTS = 3
"""Attempts at a run whose process died; a run that says why it failed is not retried, unless the cause may pass."""
FINAL = (2, 3, 6)
"""Exit codes that another attempt would end with as well: a wrong recipe, wrong data, non-finite numbers."""
ALIKE = 3
"""Number of runs failing in the same way, with none succeeding, after which the study is given up."""
TICK = 1.0
LEAST, SOON = 0.01, 60.0
"""Number of runs, and seconds, after which the time left is told from the runs in progress."""


class Backend(Protocol):
    """Where runs are carried out."""

    @property
    def running(self) -> list[Cell]:
        """Runs in progress."""

    def has_room(self, cell: Cell) -> bool:
        """Whether a run can begin now."""

    def pins(self, cell: Cell, recipes: list[dict[str, Any]]) -> tuple[dict[str, Pins], str]:
        """Engine settings that the machine of this run's seed chooses for each arm, and that machine in words."""

    def start(self, cell: Cell, task: dict[str, Any]) -> None:
        """Begin a run."""

    def hear(self, seconds: float) -> list[Event]:
        """Events since the last call."""

    def stop(self) -> None:
        """Let all runs save and end."""


@dataclass
class State:
    """Progress of a study, or of one seed of it, for display.

    Attributes:
        seed: the only seed that is run; None: all.
        done: record of each run that is done.
        failed: reason for each run that was given up.
        at: progress of each run: step, number of steps, what it is doing.
        began: start time, by `time.monotonic`.
        fresh: number of runs finished since then.
        given: what runs of this time were resumed with, as a number of whole runs.
    """

    plan: Plan
    done: dict[Cell, Record]
    seed: int | None = None
    failed: dict[Cell, str] = field(default_factory=dict)
    at: dict[Cell, Mapping[str, Any]] = field(default_factory=dict)
    waiting: int = 0
    workers: int = 1
    began: float = field(default_factory=time.monotonic)
    fresh: int = 0
    given: float = 0.0

    @property
    def cells(self) -> list[Cell]:
        """Runs that are to be done, or are done."""
        return [cell for cell in self.plan.cells if self.seed in (None, cell.seed)]

    def heard(self, cell: Cell, facts: Mapping[str, Any]) -> None:
        """Take in how far a run is."""
        if not self.at.get(cell):
            self.given += _share(facts)
        self.at[cell] = facts

    @property
    def left(self) -> float | None:
        """Seconds until all is done, estimated from the runs so far; None before any is known."""
        begun = sum(map(_share, self.at.values()))
        runs = max(0.0, self.waiting + len(self.at) - begun)
        spent, made = time.monotonic() - self.began, self.fresh + begun - self.given
        if made > LEAST and (self.fresh or spent > SOON):
            # By the clock, which includes what a run takes beside its training, and what else is running. Records may
            # be of another machine.
            return runs * spent / made
        known = [record.seconds + record.measuring for record in self.done.values()]
        return runs * sum(known) / len(known) / max(1, self.workers) if known else None


def _share(facts: Mapping[str, Any]) -> float:
    """How much of a run is trained, 0 .. 1."""
    return float(facts.get("step", 0)) / max(1.0, float(facts.get("of", 1)))


Show = Callable[[State, str], None]
"""Function of the progress and of a line about what has happened, or an empty one."""


def execute(
    plan: Plan,
    folder: Folder,
    runs: Path,
    backend: Backend,
    *,
    seed: int | None = None,
    keep: bool = False,
    anew: bool = False,
    amend: bool = False,
    workers: int = 1,
    show: Show = lambda state, line: None,
) -> State:
    """Carry out the missing runs of a study.

    Args:
        runs: folder of the study's runs.
        seed: run only this seed, with all arms.
        keep: whether to keep the checkpoints of finished runs.
        anew: redo stale records, those of a version that computes other numbers.
        amend: accept that the plan was changed since the first run; the page mentions it.

    Raises:
        StudyError: the plan was changed.
        BusyError: another process runs the study.
        StorageError: the disk is full; what is done is kept, and the study can be resumed.
        Stopped: the study was asked to stop; it can be resumed, too.
        RunsFailed: all runs fail in the same way.
    """
    plan.check_seed(seed)
    with folder.locked():
        folder.begin(plan, amend)
        folder.journal(mend=True)
        driver = _Driver(plan, folder, runs, backend, keep, show, State(plan, {}, seed, workers=workers))
        with signals.requests() as stop:
            driver.run(driver.state.cells, anew, stop)
        return driver.state


class _Driver:
    def __init__(
        self, plan: Plan, folder: Folder, runs: Path, backend: Backend, keep: bool, show: Show, state: State
    ) -> None:
        self.plan, self.folder, self.runs, self.backend, self.keep, self.show = plan, folder, runs, backend, keep, show
        self.state = state
        self.queue: deque[Cell] = deque()
        self.attempts: dict[Cell, int] = {}
        self.blocks: dict[int, tuple[dict[str, Pins], str]] = {}

    def run(self, cells: list[Cell], anew: bool, stop: signals.Stop) -> None:
        """Carry out the cells that have no record."""
        there, unusable = self.folder.records(self.plan)
        quantities = list(self.plan.study.quantities.values())
        for cell, reason in unusable.items():
            self._set_aside(cell, reason)
        for cell, record in there.items():
            if anew and record.is_stale:
                self._set_aside(cell, "stale")
                shutil.rmtree(self.runs / cell.name, ignore_errors=True)
            elif not record.has(quantities) and (self.runs / cell.name).is_dir():
                self._set_aside(cell, "measured again: the study asks for more quantities")
            else:
                self.state.done[cell] = record
        self.queue.extend(cell for cell in cells if cell not in self.state.done)
        with self._stopping():
            while self.queue or self.backend.running:
                self._start()
                for event in self.backend.hear(TICK):
                    self._take(event)
                if stop.signal:
                    self.backend.stop()
                    raise Stopped(self._stopped(), 128 + stop.signal)
                self._tell("")

    @contextmanager
    def _stopping(self) -> Iterator[None]:
        """Stop all runs when the loop ends, however it ends."""
        try:
            yield
        finally:
            running = self.backend.running
            self.backend.stop()
            for cell in running:
                self.state.at.pop(cell, None)

    def _start(self) -> None:
        while self.queue and self.backend.has_room(self.queue[0]):
            cell = self.queue[0]
            pins = self._block(cell)
            if self.queue[0] != cell:  # Its block starts over, from its first arm.
                continue
            self.queue.popleft()
            self.folder.note("begin", cell, attempt=self.attempts.get(cell, 0) + 1)
            self.state.at[cell] = {}
            self.backend.start(cell, task_of(self.plan, cell, pins[cell.arm], self.runs, self.folder, self.keep))
            self._tell("")

    def _block(self, cell: Cell) -> dict[str, Pins]:
        """Engine settings of each arm of this seed; a block that another machine began starts over."""
        if cell.seed not in self.blocks:
            pins, machine = self.blocks[cell.seed] = self.backend.pins(cell, recipes_of(self.plan))
            begun = [
                event for event in self.folder.journal() if event["event"] == "block" and event["seed"] == cell.seed
            ]
            if begun and (begun[-1]["machine"] != machine or begun[-1]["pins"] != pins):
                self.forget(cell.seed, f"it was begun on another machine ({begun[-1]['machine']})")
            if not begun or begun[-1]["machine"] != machine or begun[-1]["pins"] != pins:
                self.folder.note("block", cell, machine=machine, pins=pins)
        return self.blocks[cell.seed][0]

    def forget(self, seed: int, reason: str) -> None:
        """Start a block over, so that one machine runs all of it."""
        mine = [cell for cell in self.plan.cells if cell.seed == seed]
        for cell in mine:
            if cell in self.state.done:
                self._set_aside(cell, reason)
                del self.state.done[cell]
            shutil.rmtree(self.runs / cell.name, ignore_errors=True)
        self.queue = deque([*mine, *(cell for cell in self.queue if cell.seed != seed)])
        self._tell(f"seed {seed}: started over: {reason}")

    def _take(self, event: Event) -> None:
        cell, facts = event.cell, event.facts
        if event.kind == "at":
            self.state.heard(cell, facts)
            return
        if event.kind == "gone":
            self.blocks.pop(cell.seed, None)
            self.state.at.pop(cell, None)
            self.forget(cell.seed, str(facts["reason"]))
            return
        self.state.at.pop(cell, None)
        if event.kind == "end" and facts["state"] != "failed":
            self._finished(cell, str(facts["state"]))
        elif facts.get("full"):
            self.queue.appendleft(cell)
            with suppress(StorageError):
                self.folder.note("paused", cell, reason=str(facts["reason"]))
            raise StorageError(
                f"{facts['reason']}; the study is paused with {len(self.state.done)} of {len(self.plan.cells)} runs "
                "done: free some disk space and run it again"
            )
        elif facts.get("code") not in (130, 143):
            self._failed(cell, facts, final=facts.get("code") in FINAL or bool(facts.get("hung")))

    def _finished(self, cell: Cell, state: str) -> None:
        try:
            record = self.state.done[cell] = self.folder.record(self.plan, cell)
        except DataError as error:
            self._failed(cell, {"reason": str(error)}, final=False)
            return
        self.state.fresh += 1
        self.folder.note(state, cell)
        self._tell(f"{cell.arm}, seed {cell.seed}: {state}, {record.seconds + record.measuring:.0f} s")

    def _failed(self, cell: Cell, facts: Mapping[str, Any], final: bool) -> None:
        reason, tries = str(facts["reason"]), self.attempts.get(cell, 0) + 1
        self.attempts[cell] = tries
        if not final and tries < ATTEMPTS:
            self.folder.note("failed", cell, reason=reason)
            self.queue.appendleft(cell)
            self._tell(f"{cell.arm}, seed {cell.seed}: {reason}; trying again, attempt {tries + 1} of {ATTEMPTS}")
            return
        self.state.failed[cell] = reason
        self.folder.note("gave up", cell, reason=reason, tail=str(facts.get("tail", ""))[-2000:])
        self._tell(f"{cell.arm}, seed {cell.seed}: failed: {reason}")
        same = {_general(why, self.plan) for why in self.state.failed.values()}
        if len(self.state.failed) >= ALIKE and len(same) == 1 and not self.state.done:
            raise RunsFailed(f"given up: the first {len(self.state.failed)} runs all failed in the same way: {reason}")

    def _set_aside(self, cell: Cell, reason: str) -> None:
        """Set aside a record that must no longer be used."""
        path = self.folder.record_path(cell)
        path.replace(path.with_suffix(".aside"))
        self.folder.note("set aside", cell, reason=reason)
        self._tell(f"{cell.arm}, seed {cell.seed}: its record is set aside: {reason}")

    def _stopped(self) -> str:
        done = len(self.folder.records(self.plan)[0])  # A run may have finished while it was being stopped.
        return f"stopped with {done} of {len(self.plan.cells)} runs done; the same command continues"

    def _tell(self, line: str) -> None:
        self.state.waiting = len(self.queue)
        self.show(self.state, line)


def _general(reason: str, plan: Plan) -> str:
    """Reason without the names of runs and arms, and with every number replaced by 0."""
    names = sorted({*(cell.name for cell in plan.cells), *plan.names}, key=len, reverse=True)
    return re.sub(r"\d+", "0", re.sub(rf"(?<!\w)({'|'.join(map(re.escape, names))})(?!\w)", "ARM", reason))
