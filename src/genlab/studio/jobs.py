"""Trainings that the studio starts: a queue of child processes, which outlive it and are found again.

A training is a process of its own session, so that closing the studio, or its terminal, ends none; a study's children,
on the other hand, end with their driver, since a driver that is gone could not count them. What was started is written
down in `.studio/` of the runs folder, where the next studio reads it.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

from genlab.engine.files import make_folder, write
from genlab.errors import BusyError, StorageError, UsageError

PLACE = ".studio"
WAITING = 20
"""Jobs that may wait; more are refused."""
LOG = 40
"""Lines of a training's output that are shown."""
LONGEST_LOG = 64 * 1024
TRAIN = (sys.executable, "-m", "genlab", "train")
GROUP = getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)
INTERRUPT = getattr(signal, "CTRL_BREAK_EVENT", signal.SIGINT)
"""What Ctrl-C is to a process of a group of its own: on Windows Ctrl-Break."""


class Jobs:
    """The trainings that were started from here.

    Args:
        root: the folder of the runs.
        at_once: how many may run beside each other; the others wait.
        command: that trains; its arguments follow.
    """

    def __init__(self, root: Path, at_once: int = 1, command: Sequence[str] = TRAIN) -> None:
        self._root, self._at_once, self._command = root, at_once, command
        self._lock = threading.Lock()
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._waiting: list[tuple[str, list[str]]] = []
        self._failed: dict[str, str] = {}
        self._stopping: set[str] = set()

    def start(self, name: str, arguments: list[str]) -> None:
        """Train: `genlab train ARGUMENTS`, as soon as it is its turn.

        Args:
            name: of the run that this makes or resumes; looked up or checked by the caller.

        Raises:
            BusyError: too many wait.
            UsageError: it trains, or waits, already; where it was asked to stop, it may wait for its end.
        """
        with self._lock:
            waits = any(name == each for each, _ in self._waiting)
            if waits or (name in self._running() and name not in self._stopping):
                raise UsageError(f"{name} {'waits' if waits else 'trains'} already")
            if len(self._waiting) >= WAITING:
                raise BusyError(f"{WAITING} trainings are waiting; stop one first")
            self._waiting.append((name, arguments))
        self.tend()

    def tend(self) -> None:
        """Start what may start now; take note of what has ended."""
        with self._lock:
            for name, child in list(self._children.items()):
                if child.poll() is not None:
                    del self._children[name]
                    stopped = name in self._stopping
                    self._stopping.discard(name)
                    if child.returncode and not stopped and not (self._root / name).exists():
                        self._failed[name] = (self.log(name) or ["it ended before it began"])[-1]
            while self._waiting and len(self._running()) < self._at_once:
                name, arguments = self._waiting.pop(0)
                try:
                    self._spawn(name, arguments)
                except (OSError, StorageError) as error:
                    self._failed[name] = str(error)

    def listing(self) -> list[dict[str, Any]]:
        """Every job that runs, waits or failed to begin: run, state, and the end of what it said."""
        self.tend()
        with self._lock:
            running = [{"run": name, "state": "running"} for name in self._running()]
            waiting = [{"run": name, "state": "waiting"} for name, _ in self._waiting]
            failed = [{"run": name, "state": "failed", "why": why} for name, why in self._failed.items()]
        return [*running, *waiting, *failed]

    def left(self) -> tuple[list[str], list[str]]:
        """What goes on when the studio ends, and what will not have begun."""
        with self._lock:
            return list(self._running()), [name for name, _ in self._waiting]

    def log(self, name: str) -> list[str]:
        """The last lines that a training said."""
        with suppress(OSError), self._file(name, "log").open("rb") as file:
            end = file.seek(0, os.SEEK_END)
            file.seek(max(0, end - LONGEST_LOG))
            text = file.read().decode("utf-8", "replace")
            # Progress is drawn over itself: of each line the last state counts.
            lines = [line.rpartition("\r")[2] for line in text.splitlines()]
            return [re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", line) for line in lines if line.strip()][-LOG:]
        return []

    def stop(self, name: str) -> None:
        """Ask a training to save and stop, as Ctrl-C does; take it out of the queue where it still waits.

        Raises:
            UsageError: it was not started from here, or does not run.
        """
        with self._lock:
            left = [each for each in self._waiting if each[0] != name]
            if len(left) < len(self._waiting):
                self._waiting = left
                return
            pid = self._running().get(name)
            if pid is None:
                raise UsageError(f"{name} was not started from the studio, or does not run any more")
            self._stopping.add(name)
            if name in self._children:
                self._children[name].send_signal(INTERRUPT)
            else:
                os.kill(pid, INTERRUPT)

    def _spawn(self, name: str, arguments: list[str]) -> None:
        make_folder(self._root / PLACE)
        log, record = self._file(name, "log"), self._file(name, "json")
        write(log, b"")
        write(record, b"{}")  # What does not fit on the disk is known before there is a process.
        with log.open("ab") as output:
            child = subprocess.Popen(
                [*self._command, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                creationflags=GROUP,
                env={**os.environ, "OMP_WAIT_POLICY": "PASSIVE"},
            )
        try:
            facts = {"run": name, "pid": child.pid, "started": started(child.pid)}
            write(record, json.dumps(facts).encode())
        except (OSError, StorageError):  # No studio would find it again.
            child.kill()
            child.wait()
            raise
        self._children[name] = child
        self._failed.pop(name, None)

    def _running(self) -> dict[str, int]:
        """The process of each training that was started from here: by this studio, or by an earlier one and still the
        same process. A process number is given anew: the time when it began tells one process from another."""
        found = {name: child.pid for name, child in self._children.items() if child.poll() is None}
        with suppress(OSError):
            for file in sorted((self._root / PLACE).glob("*.json")):
                with suppress(OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
                    facts = json.loads(file.read_bytes())
                    if facts["started"] is not None and started(int(facts["pid"])) == facts["started"]:
                        found.setdefault(str(facts["run"]), int(facts["pid"]))
        return found

    def _file(self, name: str, ending: str) -> Path:
        return self._root / PLACE / f"{quote(name, safe='')[:150]}.{ending}"


def started(pid: int) -> str | None:
    """When a process began, in the system's own words; None where there is no such process, or it has ended, or the
    system (Windows) does not tell: there trainings are known to the studio alone that began them."""
    with suppress(OSError, ValueError, IndexError):
        # The name stands in brackets and may hold anything; state and start follow it.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return None if fields[0] == "Z" else fields[19]
    if Path("/proc/self/stat").exists():
        return None
    with suppress(OSError):
        told = subprocess.run(["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)
        return told.stdout.strip() or None
    return None


def arguments_of(source: str, name: str, root: Path, seed: int, overrides: Mapping[str, Any]) -> list[str]:
    """What `genlab train` is given for a recipe with changes."""
    changes = [part for path, value in overrides.items() for part in (f"--{path}", _typed(value))]
    return [source, "--name", name, "--runs", str(root), "--seed", str(seed), *changes]


def _typed(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
