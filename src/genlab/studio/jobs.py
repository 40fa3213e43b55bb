"""Training jobs that the studio starts: a queue of child processes, which outlive it and are found again.

Each job is a process in its own session, so closing the studio or its terminal does not end it; a study's children, on
the other hand, end with their driver, since a driver that is gone could not count them. Jobs that were started are
recorded in `.studio/` in the runs folder, where the next studio reads them.
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
"""Most jobs that may wait; more are refused."""
LOG = 40
"""Lines of a job's output that are shown."""
LONGEST_LOG = 64 * 1024
TRAIN = (sys.executable, "-m", "genlab", "train")
GROUP = getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)
INTERRUPT = getattr(signal, "CTRL_BREAK_EVENT", signal.SIGINT)
"""What Ctrl-C is to a process in its own group; on Windows, Ctrl-Break."""


class Jobs:
    """The training jobs that were started from here.

    Args:
        root: the folder of the runs.
        at_once: how many jobs may run at once; the others wait.
        command: command that trains; its arguments are appended.
    """

    def __init__(self, root: Path, at_once: int = 1, command: Sequence[str] = TRAIN) -> None:
        self._root, self._at_once, self._command = root, at_once, command
        self._lock = threading.Lock()
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._waiting: list[tuple[str, list[str]]] = []
        self._failed: dict[str, str] = {}
        self._stopping: set[str] = set()

    def start(self, name: str, arguments: list[str]) -> None:
        """Queue `genlab train ARGUMENTS`; it starts when its turn comes.

        Args:
            name: name of the run that this makes or resumes; looked up or checked by the caller.

        Raises:
            BusyError: too many jobs are waiting.
            UsageError: the run is training or waiting already; if it was asked to stop, it may be queued until it ends.
        """
        with self._lock:
            waits = any(name == each for each, _ in self._waiting)
            if waits or (name in self._running() and name not in self._stopping):
                raise UsageError(f"{name} is already {'waiting' if waits else 'training'}")
            if len(self._waiting) >= WAITING:
                raise BusyError(f"{WAITING} runs are waiting; remove one from the queue first")
            self._waiting.append((name, arguments))
        self.tend()

    def tend(self) -> None:
        """Start the jobs that may start now; note those that have ended."""
        with self._lock:
            for name, child in list(self._children.items()):
                if child.poll() is not None:
                    del self._children[name]
                    stopped = name in self._stopping
                    self._stopping.discard(name)
                    if child.returncode and not stopped and not (self._root / name).exists():
                        self._failed[name] = (self.log(name) or ["the process ended before the run was created"])[-1]
            while self._waiting and len(self._running()) < self._at_once:
                name, arguments = self._waiting.pop(0)
                try:
                    self._spawn(name, arguments)
                except (OSError, StorageError) as error:
                    self._failed[name] = str(error)

    def listing(self) -> list[dict[str, Any]]:
        """Every job that is running, waiting or failed to begin: its run, its state and, if it failed, why."""
        self.tend()
        with self._lock:
            running = [{"run": name, "state": "running"} for name in self._running()]
            waiting = [{"run": name, "state": "waiting"} for name, _ in self._waiting]
            failed = [{"run": name, "state": "failed", "why": why} for name, why in self._failed.items()]
        return [*running, *waiting, *failed]

    def left(self) -> tuple[list[str], list[str]]:
        """The runs that continue when the studio ends, and those that will not have begun."""
        with self._lock:
            return list(self._running()), [name for name, _ in self._waiting]

    def log(self, name: str) -> list[str]:
        """The last lines of a job's output."""
        with suppress(OSError), self._file(name, "log").open("rb") as file:
            end = file.seek(0, os.SEEK_END)
            file.seek(max(0, end - LONGEST_LOG))
            text = file.read().decode("utf-8", "replace")
            # Progress overwrites itself: only the last state of each line counts.
            lines = [line.rpartition("\r")[2] for line in text.splitlines()]
            return [re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", line) for line in lines if line.strip()][-LOG:]
        return []

    def stop(self, name: str) -> None:
        """Ask a job to save and stop, as Ctrl-C does; if it is still waiting, remove it from the queue.

        Raises:
            UsageError: it was not started from here, or is not running.
        """
        with self._lock:
            left = [each for each in self._waiting if each[0] != name]
            if len(left) < len(self._waiting):
                self._waiting = left
                return
            pid = self._running().get(name)
            if pid is None:
                raise UsageError(f"{name} was not started from the studio, or is no longer running")
            self._stopping.add(name)
            if name in self._children:
                self._children[name].send_signal(INTERRUPT)
            else:
                os.kill(pid, INTERRUPT)

    def _spawn(self, name: str, arguments: list[str]) -> None:
        make_folder(self._root / PLACE)
        log, record = self._file(name, "log"), self._file(name, "json")
        write(log, b"")
        write(record, b"{}")  # A full disk is noticed before there is a process.
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
        except (OSError, StorageError):  # No later studio could find it.
            child.kill()
            child.wait()
            raise
        self._children[name] = child
        self._failed.pop(name, None)

    def _running(self) -> dict[str, int]:
        """Process id of each job that was started from here: by this studio, or by an earlier one if it is still the
        same process. Process ids are reused; the start time tells one process from another."""
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
    """When a process began, in the system's own words; None if there is no such process, it has ended, or the system
    (Windows) does not tell: there, only the studio that started a job knows it."""
    with suppress(OSError, ValueError, IndexError):
        # The name is in parentheses and may hold anything; state and start time follow it.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return None if fields[0] == "Z" else fields[19]
    if Path("/proc/self/stat").exists():
        return None
    with suppress(OSError):
        told = subprocess.run(["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)
        return told.stdout.strip() or None
    return None


def arguments_of(source: str, name: str, root: Path, seed: int, overrides: Mapping[str, Any]) -> list[str]:
    """Arguments of `genlab train` for a recipe with changes."""
    changes = [part for path, value in overrides.items() for part in (f"--{path}", _typed(value))]
    return [source, "--name", name, "--runs", str(root), "--seed", str(seed), *changes]


def _typed(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
