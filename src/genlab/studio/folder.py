"""The runs in a folder, each looked at again only if its files have changed; ids are looked up, never used as paths."""

from __future__ import annotations

import json
import os
import threading
import time
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from genlab.errors import StorageError
from genlab.runs.directory import RunDirectory, list_runs
from genlab.runs.listing import FACTS, state_of
from genlab.studio.follow import Follower

TOLD_BY = ("status.json", "provenance.json", "recipe.yaml", "diagnosis.json", "evaluations", "samples", "checkpoints")
"""Files and folders, one of which changes if anything about a run other than its rows does."""
UNSEEN = "not looked at yet"
KEPT = 32
"""Most runs whose rows stay in memory: a few megabytes each."""
SPARKS = 40
COURSES = ("frechet_distance", "test_accuracy", "loss", "loss_g")
"""Columns for the small curve beside a run in the list: the first that the run has."""


class Folder:
    """The runs under a root, with what is known about each.

    Args:
        root: folder of the runs; it may be missing or read-only, and change at any time.
        shipped: folders of runs that come with the package; listed if the root has none, and always found by their
            names, unless a run of the root has the same name.
    """

    def __init__(self, root: Path, shipped: Sequence[Path] = ()) -> None:
        self.root = root
        self._examples = {path.name: RunDirectory(path) for path in shipped}
        self._lock = threading.Lock()
        self._runs: dict[str, RunDirectory] = {}
        self._known: dict[str, tuple[tuple[Any, ...], dict[str, Any]]] = {}
        self._followed: OrderedDict[Path, Follower] = OrderedDict()

    def find(self, name: str) -> RunDirectory | None:
        """The run of that name in the folder as it is now; None if there is none."""
        with self._lock:
            run = self._runs.get(name)
            if run is None or not run.path.is_dir():
                self._scan()
                run = self._runs.get(name) or self._examples.get(name)
            return run

    def listing(self, patience: float = 0.25) -> list[dict[str, Any]]:
        """`runs.listing.state_of` of each run, with `course`: some values of one column, and its name.

        Args:
            patience: seconds after which runs that were not looked at before have only their name and the state "not
                looked at yet"; the next call goes on from there.

        Raises:
            StorageError: the folder cannot be read.
        """
        with self._lock:
            self._scan()
            for name in self._known.keys() - self._runs.keys() - self._examples.keys():
                self._known.pop(name)
            end = time.monotonic() + patience
            return [self._facts(name, run, time.monotonic() < end) for name, run in self._runs.items()]

    def examples(self) -> list[dict[str, Any]]:
        """Like `listing`, for the runs that come with the package and are not listed, since there are others."""
        with self._lock:
            return [self._facts(name, run, True) for name, run in self._examples.items() if name not in self._runs]

    def rows(self, run: RunDirectory) -> Follower:
        """The rows of a run, up to now."""
        with self._lock:
            follower = self._followed.setdefault(run.path, Follower(run.path / "metrics.jsonl"))
            self._followed.move_to_end(run.path)
            while len(self._followed) > KEPT:
                self._followed.popitem(last=False)
        follower.read()  # A long file keeps nobody else waiting.
        return follower

    @property
    def shows_shipped(self) -> bool:
        """Whether the listed runs are those of the package, since there are no others."""
        return bool(self._runs) and all(not run.path.is_relative_to(self.root) for run in self._runs.values())

    def _scan(self) -> None:
        try:
            found = list_runs(self.root, deep=True)
        except FileNotFoundError as error:  # Removed while it was read.
            raise StorageError(f"{self.root}: {error.strerror}") from None
        self._runs = {run.path.relative_to(self.root).as_posix(): run for run in found}
        if not self._runs:
            self._runs = dict(self._examples)

    def _facts(self, name: str, run: RunDirectory, has_time: bool) -> dict[str, Any]:
        signs = signs_of(run.path)
        known_by, known = self._known.get(name, (None, None))
        if known is not None and (not has_time or (known_by == signs and known["state"] != "running")):
            return known
        if not has_time:
            return {"run": name, "state": UNSEEN, **dict.fromkeys(FACTS), "course": None}
        facts = {**_told(run), "run": name}
        self._known[name] = (signs, facts)
        return facts


def signs_of(path: Path) -> tuple[Any, ...]:
    """Signs that tell whether a run has changed, without reading it."""
    found: list[Any] = []
    for name in TOLD_BY:
        try:
            found.append(os.stat(path / name).st_mtime_ns)
        except OSError:
            found.append(None)
    try:
        found.append(os.stat(path / "metrics.jsonl").st_size)
    except OSError:
        found.append(None)
    return tuple(found)


def _told(run: RunDirectory) -> dict[str, Any]:
    """`state_of` a run, with its course; whatever its files hold, the other runs are still listed."""
    try:
        facts = {**state_of(run), "course": _course(run)}
        json.dumps(facts, allow_nan=False)
    except Exception as error:
        return {**dict.fromkeys(FACTS), "state": "damaged", "course": None, "reason": unforeseen(error)}
    return facts


def unforeseen(error: Exception) -> str:
    """The message for a run whose files hold something unforeseen."""
    return f"its files do not look like a run's ({type(error).__name__}: {error})"[:300]


def _course(run: RunDirectory) -> dict[str, Any] | None:
    """At most `SPARKS` values of the first of `COURSES` that a run has, and which; None if there are fewer than two."""
    follower = Follower(run.path / "metrics.jsonl")
    follower.read()
    for column in COURSES:
        if column in follower.columns:
            values = follower.curve(column, most=SPARKS)["y"]
            if len(values) > 1:
                return {"column": column, "values": values}
    return None
