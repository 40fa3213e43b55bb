"""Runs as processes on this machine: start, follow and stop them; they end with the process that started them."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from genlab.study.parent import PARENT
from genlab.study.plan import Cell
from genlab.study.tasks import Pins, pins_of

TAIL = 8_000
"""Characters kept of what a process prints."""
GRACE = 30.0
"""Seconds that a process has to save its run when it is asked to stop."""
LINE = 10_000


@dataclass(frozen=True)
class Event:
    """Event of a run: `at` (its progress), `end` (it ended, successfully or not), `lost` (its process died or hung)."""

    cell: Cell
    kind: str
    facts: Mapping[str, Any] = field(default_factory=dict)


class Processes:
    """Runs on this machine.

    Args:
        workers: number of concurrent runs.
        patience: seconds without any sign of progress after which a run is given up.
    """

    def __init__(self, workers: int, patience: float) -> None:
        self.workers, self.patience = workers, patience
        self._something = threading.Event()
        self._running: dict[Cell, _Worker] = {}
        self._idle: list[_Worker] = []
        self._pins: tuple[dict[str, Pins], str] | None = None

    @property
    def running(self) -> list[Cell]:
        """Runs in progress."""
        return list(self._running)

    def has_room(self, cell: Cell) -> bool:
        """Whether a run can begin now."""
        return len(self._running) < self.workers

    def pins(self, cell: Cell, recipes: list[dict[str, Any]]) -> tuple[dict[str, Pins], str]:
        """Engine settings that this machine chooses for each arm, and the machine in words; determined once."""
        if self._pins is None:
            self._pins = pins_of(recipes)
        return self._pins

    def start(self, cell: Cell, task: dict[str, Any]) -> None:
        """Begin a run."""
        threads = int(task["recipe"]["engine"]["threads"])
        fit = [worker for worker in self._idle if worker.threads == threads and worker.is_alive]
        for worker in self._idle:
            if worker not in fit:
                worker.kill()
        worker = fit[0] if fit else _Worker(threads, self._something)
        self._idle = fit[1:]
        worker.begin(task)
        self._running[cell] = worker

    def hear(self, seconds: float) -> list[Event]:
        """Events since the last call; waits up to `seconds` for the first."""
        until = time.monotonic() + seconds
        while True:
            found = [event for cell in self.running for event in self._of(cell)]
            if found or time.monotonic() >= until:
                return found
            self._something.wait(0.1)
            self._something.clear()

    def _of(self, cell: Cell) -> list[Event]:
        """New events of one run."""
        worker = self._running[cell]
        found = [Event(cell, "at", facts) for facts in worker.read()]
        silent = time.monotonic() - worker.moved_at
        if (outcome := worker.outcome()) is not None:
            del self._running[cell]
            if worker.is_alive:
                self._idle.append(worker)
            return [*found, Event(cell, *outcome)]
        if silent > self.patience:
            worker.kill()
            del self._running[cell]
            how = f"{silent / 60:.0f} minutes" if silent > 90 else f"{silent:.0f} s"
            facts = {"reason": f"no sign of progress for {how}", "hung": True, "tail": worker.tail}
            return [*found, Event(cell, "lost", facts)]
        return found

    def stop(self) -> None:
        """Ask all runs to save and end; those that do not within `GRACE` are killed."""
        for worker in self._running.values():
            worker.ask()
        until = time.monotonic() + GRACE
        for worker in self._running.values():
            worker.wait(max(0.0, until - time.monotonic()))
        for worker in [*self._running.values(), *self._idle]:
            worker.kill()
        self._running.clear()
        self._idle = []


class _Worker:
    """Process that carries out one run after another, each in its own child process; see `worker`."""

    def __init__(self, threads: int, something: threading.Event) -> None:
        self.threads, self.moved_at = threads, time.monotonic()
        self._something, self._lines, self._tail = something, queue.Queue[str](), list[str]()
        self._child, self._end, self._gone = 0, dict[str, Any](), dict[str, Any]()
        source = str(Path(__file__).resolve().parents[2])
        paths = os.pathsep.join(filter(None, (source, os.environ.get("PYTHONPATH"))))
        environment = {**os.environ, PARENT: str(os.getpid()), "OMP_NUM_THREADS": str(threads), "PYTHONPATH": paths}
        # In its own process group: Ctrl-C in a terminal reaches the study alone, which asks its runs to stop.
        own_group: dict[str, Any] = {} if os.name == "nt" else {"process_group": 0}
        self._popen = subprocess.Popen(
            [sys.executable, "-m", "genlab.study.worker"],
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

    def begin(self, task: dict[str, Any]) -> None:
        """Start a task."""
        self._child, self._end, self._gone, self._tail = 0, {}, {}, []
        self.moved_at = time.monotonic()
        assert self._popen.stdin is not None
        with suppress(BrokenPipeError):  # It has died meanwhile, which `outcome` will report.
            self._popen.stdin.write(json.dumps(task) + "\n")
            self._popen.stdin.flush()

    def read(self) -> list[dict[str, Any]]:
        """Progress that the run has reported since the last call."""
        found = []
        while not self._lines.empty():
            self.moved_at = time.monotonic()
            try:
                facts = json.loads(self._lines.get())
            except ValueError:  # Killed in the middle of a line.
                continue
            match facts["event"]:
                case "begun":
                    self._child = facts["pid"]
                case "end":
                    self._end = facts
                case "gone":
                    self._gone = facts
                case _:
                    found.append(facts)
        return found

    @property
    def is_alive(self) -> bool:
        return self._popen.poll() is None

    @property
    def tail(self) -> str:
        """The end of what the run has printed."""
        return "".join(self._tail)[-TAIL:]

    def outcome(self) -> tuple[str, dict[str, Any]] | None:
        """How the run ended: (end or lost, facts); None while it goes on."""
        if not self._gone and self.is_alive:
            return None
        if not self.is_alive:
            for reader in self._readers:
                reader.join(1.0)
            self.read()
        if self._end:
            return "end", {**self._end, "tail": self.tail}
        code = self._gone["code"] if self._gone else self._popen.returncode
        how = f"killed (signal {-code})" if code < 0 else f"ended without a message (exit code {code})"
        if code == -9:
            how += "; the machine may have run out of memory"
        return "lost", {"reason": how, "tail": self.tail}

    def ask(self) -> None:
        """Ask the run to save and end."""
        with suppress(ProcessLookupError):
            if self._child:
                os.kill(self._child, signal.SIGTERM)
            else:
                self._popen.terminate()

    def wait(self, seconds: float) -> None:
        """Wait until the run is over, for at most `seconds`."""
        until = time.monotonic() + seconds
        while self.outcome() is None and time.monotonic() < until:
            self.read()
            time.sleep(0.02)

    def kill(self) -> None:
        """End the process at once, with its run."""
        with suppress(ProcessLookupError):
            if self._child and not self._gone:
                os.kill(self._child, signal.SIGKILL)
        self._popen.kill()
        self._popen.wait()
        for reader in self._readers:
            reader.join(1.0)
        for stream in (self._popen.stdin, self._popen.stdout, self._popen.stderr):
            if stream is not None:
                with suppress(OSError):  # What was not sent yet is dropped.
                    stream.close()
