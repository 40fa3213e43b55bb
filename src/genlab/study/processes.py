"""Runs as processes of this machine: started, heard, stopped; they end with the one that started them."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from genlab.study.parent import PARENT
from genlab.study.plan import Cell
from genlab.study.tasks import Pins, pins_of

TAIL = 8_000
"""Characters of what a process prints that are kept."""
GRACE = 30.0
"""Seconds that a process has to save its run when it is asked to stop."""
LINE = 10_000


@dataclass(frozen=True)
class Event:
    """What is heard of a run: `at` (how far it is), `end` (it came to an end, well or not), `lost` (it died)."""

    cell: Cell
    kind: str
    facts: Mapping[str, Any] = field(default_factory=dict)


class Processes:
    """Runs on this machine.

    Args:
        workers: how many at once.
        patience: seconds without any sign of progress after which a run is given up.
    """

    def __init__(self, workers: int, patience: float) -> None:
        self.workers, self.patience = workers, patience
        self._something = threading.Event()
        self._running: dict[Cell, _Process] = {}
        self._pins: tuple[dict[str, Pins], str] | None = None

    @property
    def running(self) -> list[Cell]:
        return list(self._running)

    def has_room(self, cell: Cell) -> bool:
        """Whether a run can begin now."""
        return len(self._running) < self.workers

    def pins(self, cell: Cell, recipes: list[dict[str, Any]]) -> tuple[dict[str, Pins], str]:
        """What this machine chooses; found once."""
        if self._pins is None:
            self._pins = pins_of(recipes)
        return self._pins

    def start(self, cell: Cell, task: dict[str, Any]) -> None:
        """Begin a run."""
        self._running[cell] = _Process(cell, task, self._something)

    def hear(self, seconds: float) -> list[Event]:
        """What has happened since the last call; it is waited for as long as `seconds`."""
        until = time.monotonic() + seconds
        while True:
            found = [event for cell in self.running for event in self._of(cell)]
            if found or time.monotonic() >= until:
                return found
            self._something.wait(0.1)
            self._something.clear()

    def _of(self, cell: Cell) -> list[Event]:
        """What has happened to one run."""
        process = self._running[cell]
        over = process.is_over()  # Asked first, so that its last lines are read.
        found = [Event(cell, "at", facts) for facts in process.read()]
        silent = time.monotonic() - process.moved_at
        if over:
            del self._running[cell]
            return [*found, process.outcome()]
        if silent > self.patience:
            process.kill()
            del self._running[cell]
            return [*found, process.hung(silent)]
        return found

    def stop(self) -> None:
        """Ask all runs to save and end; those that do not within `GRACE` are killed."""
        for process in self._running.values():
            process.ask()
        until = time.monotonic() + GRACE
        for process in self._running.values():
            process.wait(max(0.0, until - time.monotonic()))
        self._running.clear()


class _Process:
    """One run."""

    def __init__(self, cell: Cell, task: dict[str, Any], something: threading.Event) -> None:
        self.cell, self.moved_at, self._end = cell, time.monotonic(), dict[str, Any]()
        self._something, self._lines = something, queue.Queue[str]()
        self._tail: list[str] = []
        threads = str(task["recipe"]["engine"]["threads"])
        source = str(Path(__file__).resolve().parents[2])
        paths = os.pathsep.join(filter(None, (source, os.environ.get("PYTHONPATH"))))
        environment = {**os.environ, PARENT: str(os.getpid()), "OMP_NUM_THREADS": threads, "PYTHONPATH": paths}
        # A group of its own: Ctrl-C in a terminal reaches the study alone, which asks its runs to stop.
        own_group: dict[str, Any] = {} if os.name == "nt" else {"process_group": 0}
        self._popen = subprocess.Popen(
            [sys.executable, "-m", "genlab.study.worker", json.dumps(task)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            text=True,
            errors="replace",
            **own_group,
        )
        self._readers = [
            threading.Thread(target=self._forward, args=(self._popen.stdout,), daemon=True),
            threading.Thread(target=self._remember, args=(self._popen.stderr,), daemon=True),
        ]
        for reader in self._readers:
            reader.start()

    def _forward(self, stream: IO[str]) -> None:
        for line in stream:
            self._lines.put(line)
            self._something.set()
        self._something.set()

    def _remember(self, stream: IO[str]) -> None:
        while part := stream.read(LINE):
            self._tail = [*self._tail, part][-2:]

    def read(self) -> list[dict[str, Any]]:
        """What it has said since the last call, but for how it ended."""
        found = []
        while not self._lines.empty():
            self.moved_at = time.monotonic()
            try:
                facts = json.loads(self._lines.get())
            except ValueError:  # Killed in the middle of a line.
                continue
            if facts["event"] == "end":
                self._end = facts
            else:
                found.append(facts)
        return found

    @property
    def tail(self) -> str:
        """The end of what it printed."""
        return "".join(self._tail)[-TAIL:]

    def is_over(self) -> bool:
        if self._popen.poll() is None:
            return False
        for reader in self._readers:
            reader.join(1.0)
        return True

    def outcome(self) -> Event:
        """What came of a process that is gone."""
        code = self._popen.returncode
        if self._end:
            return Event(self.cell, "end", {**self._end, "tail": self.tail})
        how = f"killed (signal {-code})" if code < 0 else f"ended without a word (exit code {code})"
        if code == -9:
            how += "; the machine may have run out of memory"
        return Event(self.cell, "lost", {"reason": how, "tail": self.tail})

    def hung(self, silent: float) -> Event:
        """That it stood still for so many seconds."""
        how = f"{silent / 60:.0f} minutes" if silent > 90 else f"{silent:.0f} s"
        return Event(self.cell, "lost", {"reason": f"no sign of progress for {how}", "hung": True, "tail": self.tail})

    def ask(self) -> None:
        self._popen.terminate()

    def wait(self, seconds: float) -> None:
        try:
            self._popen.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        self._popen.kill()
        self._popen.wait()
