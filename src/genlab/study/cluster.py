"""Runs on several machines through Ray: one machine runs all arms of a seed, and each run's files are copied home.

Each machine keeps its runs in its own folder, so that a run whose worker died resumes there from its checkpoint. If a
machine is lost, the seeds that it had begun start over on another machine, as whole blocks.
"""

from __future__ import annotations

import hashlib
import json
import os
import socket
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from genlab.engine.files import make_folder, write
from genlab.errors import StorageError, UsageError, first_line
from genlab.study.plan import Cell
from genlab.study.processes import Event, Processes
from genlab.study.tasks import Pins, pins_of

LOCAL = "ray"
"""Address that stands for a cluster of this machine alone."""
HOME = "GENLAB_CLUSTER"
"""Environment variable of a machine: folder in which it keeps the runs of studies (default: the temporary folder)."""
TICK = 0.5


def connected(address: str, workers: int, patience: float) -> Cluster:
    """Connect to a cluster.

    Args:
        address: "ray" for a cluster of this machine, else HOST:PORT of the cluster's head.

    Raises:
        UsageError: Ray is not installed, or the address is malformed.
        StorageError: no cluster answers there.
    """
    try:
        import ray
    except ImportError:
        raise UsageError("--on ray needs Ray: pip install 'genlab[cluster]'") from None
    given = None if address == LOCAL else address
    if given is not None:
        _check_answers(given)
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    settings: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    if given is None:
        settings |= {"num_cpus": workers, "include_dashboard": False}
    try:
        if not ray.is_initialized():
            ray.init(given, **settings)
    except (ConnectionError, RuntimeError, ValueError, OSError) as error:
        raise StorageError(f"--on {address}: no Ray cluster answers ({first_line(error)})") from None
    return Cluster(workers, patience)


def _check_answers(address: str) -> None:
    """Check that something listens at HOST:PORT; Ray itself would keep trying for minutes.

    Raises:
        UsageError: the address is malformed.
        StorageError: nothing listens there.
    """
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65_535:
        raise UsageError(f"--on {address}: expected ray (a cluster on this machine) or the HOST:PORT of a cluster")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=5).close()
    except OSError as error:
        raise StorageError(f"--on {address}: no Ray cluster answers ({error.strerror or error})") from None


class Cluster:
    """Runs as tasks of a Ray cluster.

    Args:
        workers: number of concurrent runs, over all machines.
        patience: seconds without any sign of progress after which a run is given up.
    """

    def __init__(self, workers: int, patience: float) -> None:
        import ray

        self._ray: Any = ray
        self.workers, self.patience = workers, patience
        self._running: dict[Any, tuple[Cell, dict[str, Any], str]] = {}
        self._nodes: dict[int, str] = {}
        self._pins: dict[str, tuple[dict[str, Pins], str]] = {}
        self._board: Any = self._ray.remote(_Board).options(num_cpus=0).remote()

    @property
    def running(self) -> list[Cell]:
        return [cell for cell, _, _ in self._running.values()]

    def has_room(self, cell: Cell) -> bool:
        """Whether a run can begin now, on the machine of its seed."""
        return len(self._running) < self.workers and self._node(cell.seed) is not None

    def pins(self, cell: Cell, recipes: list[dict[str, Any]]) -> tuple[dict[str, Pins], str]:
        """Engine settings that this seed's machine chooses for each arm, and that machine in words."""
        node = self._node(cell.seed)
        assert node is not None, "has_room is asked first"
        self._nodes[cell.seed] = node
        if node not in self._pins:
            self._pins[node] = self._ray.get(self._on(node, pins_of).remote(recipes))
        return self._pins[node]

    def start(self, cell: Cell, task: dict[str, Any]) -> None:
        """Begin a run."""
        node = self._nodes[cell.seed]
        code = Path(task["code"]["path"]).read_bytes() if task["code"] else b""
        call = self._on(node, carry_out)
        self._running[call.remote(task, code, cell.name, self.patience, self._board)] = cell, task, node

    def hear(self, seconds: float) -> list[Event]:
        """Events since the last call."""
        done, _ = self._ray.wait(list(self._running), num_returns=1, timeout=seconds) if self._running else ([], [])
        found = [event for reference in done if reference in self._running for event in self._ended(reference)]
        with suppress(Exception):  # The progress board may be late, or gone.
            told = self._ray.get(self._board.told.remote(), timeout=seconds)
            found += [Event(cell, "at", told[cell.name]) for cell in self.running if cell.name in told]
        return found

    def stop(self) -> None:
        """End all runs; each resumes from its checkpoint when its machine gets it again."""
        for reference in self._running:
            with suppress(Exception):
                self._ray.cancel(reference, force=True)
        self._running.clear()
        self._ray.shutdown()

    def _ended(self, reference: Any) -> list[Event]:
        """Events of a task that has ended."""
        cell, task, node = self._running.pop(reference)
        try:
            facts, files = self._ray.get(reference)
        except self._ray.exceptions.RayError as error:
            if self._is_alive(node):
                return [Event(cell, "lost", {"reason": f"its worker died ({first_line(error)})"})]
            return self._gone(cell, node)
        _bring_home(files, task)
        return [Event(cell, facts.pop("kind"), facts)]

    def _gone(self, cell: Cell, node: str) -> list[Event]:
        """Drop a lost machine with all its runs, and return one event for each seed that was running on it."""
        seeds = {cell.seed: cell}
        for reference, (other, _, place) in list(self._running.items()):
            if place == node:
                del self._running[reference]
                seeds.setdefault(other.seed, other)
        mine = {seed for seed, place in self._nodes.items() if place == node}
        for seed in mine:
            del self._nodes[seed]
        self._pins.pop(node, None)
        return [Event(each, "gone", {"reason": "its machine is gone"}) for each in seeds.values()]

    def _node(self, seed: int) -> str | None:
        """Machine of a seed: the one that began it, else the one with the most room; None if it has no room."""
        busy = [node for _, _, node in self._running.values()]
        room = {
            node["NodeID"]: int(node["Resources"].get("CPU", 0)) - busy.count(node["NodeID"])
            for node in self._ray.nodes()
            if node["Alive"]
        }
        if seed in self._nodes:
            return self._nodes[seed] if room.get(self._nodes[seed], 0) > 0 else None
        best = max(room, key=lambda node: room[node], default=None)
        return best if best is not None and room[best] > 0 else None

    def _is_alive(self, node: str) -> bool:
        """Whether a machine is there; Ray takes some seconds to notice that it is gone."""
        until = time.monotonic() + 15
        while time.monotonic() < until:
            alive = [each["NodeID"] for each in self._ray.nodes() if each["Alive"]]
            if node not in alive:
                return False
            with suppress(Exception):
                return bool(self._ray.get(self._on(node, _here).remote(), timeout=10))
            time.sleep(TICK)
        return False

    def _on(self, node: str, function: Any) -> Any:
        """Function as a task on that machine, without retries by Ray itself."""
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        strategy = NodeAffinitySchedulingStrategy(node_id=node, soft=False)
        cpus = 1 if function is carry_out else 0
        return self._ray.remote(function).options(num_cpus=cpus, max_retries=0, scheduling_strategy=strategy)


class _Board:
    """Progress of each run, on all machines."""

    def __init__(self) -> None:
        self._told: dict[str, Mapping[str, Any]] = {}

    def tell(self, name: str, facts: Mapping[str, Any]) -> None:
        self._told[name] = facts

    def told(self) -> dict[str, Mapping[str, Any]]:
        return dict(self._told)


def _here() -> bool:
    return True


def carry_out(
    task: dict[str, Any], code: bytes, name: str, patience: float, board: Any
) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Carry out a run on the machine that calls this: (how it ended, its files by their places at home)."""
    where = _home(task)
    here = {
        **task,
        "folder": str(where / "runs" / name),
        "record": str(where / "records" / f"{name}.json"),
        "sample": str(where / "samples" / f"{name}.png"),
    }
    for part in ("runs", "records", "samples"):
        make_folder(where / part)
    if task["code"]:
        place = where / Path(task["code"]["path"]).name
        write(place, code)
        here["code"] = {**task["code"], "path": str(place)}
    processes, cell = Processes(1, patience), Cell(task["arm"], task["seed"])
    processes.start(cell, here)
    end: dict[str, Any] = {}
    while not end:
        for event in processes.hear(TICK):
            if event.kind == "at":
                board.tell.remote(name, dict(event.facts))
            else:
                end = {"kind": event.kind, **event.facts}
    return end, _files(where, name) if end.get("state") in ("finished", "diverged") else {}


def _home(task: Mapping[str, Any]) -> Path:
    """Folder in which this machine keeps a study's runs: one per study and place that it came from."""
    known = json.dumps([task["study"], task["folder"].rpartition(os.sep)[0], task["record"].rpartition(os.sep)[0]])
    root = Path(
        os.environ.get(HOME) or Path(tempfile.gettempdir()) / f"genlab-{os.getuid() if hasattr(os, 'getuid') else 0}"
    )
    return root / hashlib.sha256(known.encode()).hexdigest()[:16]


def _files(where: Path, name: str) -> dict[str, bytes]:
    """Files of a finished run: what remains of its directory, its record, its samples."""
    found = {}
    for part in (where / "runs" / name, where / "runs" / f"{name}-untrained"):
        for file in part.rglob("*"):
            if file.is_file():
                found[f"runs/{file.relative_to(where / 'runs').as_posix()}"] = file.read_bytes()
    for kind, file in (("record", where / "records" / f"{name}.json"), ("sample", where / "samples" / f"{name}.png")):
        if file.is_file():
            found[kind] = file.read_bytes()
    return found


def _bring_home(files: Mapping[str, bytes], task: Mapping[str, Any]) -> None:
    """Write what came from a machine, the record last, since with it the run counts as done."""
    runs = Path(task["folder"]).parent
    for kind, content in sorted(files.items(), key=lambda item: item[0] == "record"):
        if kind.startswith("runs/"):
            parts = kind.split("/")[1:]
            if any(part in ("", ".", "..") or os.sep in part for part in parts):
                raise StorageError(f"a machine sent back a file named {kind!r}; it was not written")
            place = runs.joinpath(*parts)
        else:
            place = Path(task[kind])
        make_folder(place.parent)
        write(place, content)
