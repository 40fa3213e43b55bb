"""Runs at a glance: what each one is, its state and quality, and which are copies of others. Loads no torch."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from genlab.errors import DataError, GenlabError, UsageError
from genlab.recipe.changes import changes, short
from genlab.runs.directory import RunDirectory, default_root, list_runs

FACTS = (
    *("step", "total_steps", "seconds", "reason", "id", "recipe", "family", "changed", "started"),
    *("times_real", "measured", "accuracy", "finding", "bytes", "weights", "copy_of", "equal_weights"),
)
ORDERS = ("name", "date", "quality", "state", "size")


def overview(root: Path | None = None, order: str = "name") -> list[dict[str, Any]]:
    """`state_of` of each run in a folder and its subfolders, with copies marked.

    Args:
        order: one of `ORDERS`; `date` and `size` are descending, `quality` has the best first and unmeasured runs last.

    Raises:
        UsageError: the order is unknown.
        StorageError: the folder cannot be read.
    """
    if order not in ORDERS:
        raise UsageError(f"sort is {order!r}; allowed: {', '.join(ORDERS)}")
    place = root or default_root()
    found = [state_of(run, place) for run in list_runs(place, deep=True)]
    _mark(found, "id", "copy_of")
    _mark([facts for facts in found if facts["copy_of"] is None], "weights", "equal_weights")
    keys: dict[str, Any] = {
        "name": lambda facts: facts["run"],
        "date": lambda facts: facts["started"] or "",
        "quality": _badness,
        "state": lambda facts: (facts["state"], facts["run"]),
        "size": lambda facts: facts["bytes"] or 0,
    }
    return sorted(found, key=keys[order], reverse=order in ("date", "size"))


def state_of(run: RunDirectory, root: Path | None = None) -> dict[str, Any]:
    """Facts about a run at a glance.

    `state` as in `RunDirectory.status`, or `damaged`, or `unreadable` if permission is missing; `run`, its name
    (with the folders under `root`); `step`, `total_steps`, `seconds`, `reason`; `id`, `recipe`, `family`, `changed`,
    `started`; `times_real` (Frechet distance over that of real images), `measured` (number of images measured),
    `accuracy` (of a classifier); `finding`, the name of the worst finding of its diagnosis; `bytes`, and `weights`, the
    sha256 of its newest weights. Unknown facts are None.
    """
    facts: dict[str, Any] = {"run": _name(run.path, root), "state": "damaged", **dict.fromkeys(FACTS)}
    try:
        os.listdir(run.path)
    except OSError as error:
        return {**facts, "state": "unreadable", "reason": f"{run.path}: {error.strerror}"}
    facts |= {"bytes": size(run.path), "weights": weights_of(run.path)}
    with suppress(GenlabError, KeyError):
        recipe, provenance = run.trained_by(), run.provenance
        facts |= {
            "recipe": recipe.name,
            "family": recipe.family,
            "changed": short(changes(recipe, provenance.get("base"))) or None,
        }
        facts |= {"started": provenance["started"], "id": provenance.get("id")}
    with suppress(GenlabError):
        facts |= _quality(run) | {"finding": _finding(run)}
    try:
        facts |= {key: run.status.get(key) for key in ("state", "step", "total_steps", "seconds", "reason")}
        changed = run.recipe_changes()
    except GenlabError as error:
        return {**facts, "state": "damaged", "reason": str(error).splitlines()[0]}
    return {**facts, "reason": facts["reason"] or changed}


def size(folder: Path) -> int:
    """Total bytes of all files in a folder; links are not followed."""
    total = 0
    for place, _, files in os.walk(folder):
        for name in files:
            with suppress(OSError):
                total += os.lstat(os.path.join(place, name)).st_size
    return total


def _name(path: Path, root: Path | None) -> str:
    """Name of a run, with the folders between it and the root."""
    if root is not None and path.is_relative_to(root) and path != root:
        return path.relative_to(root).as_posix()
    return path.name


def _quality(run: RunDirectory) -> dict[str, Any]:
    """Distance over that of real images, from the full or else largest evaluation; or a classifier's last accuracy."""
    for name in ("evaluation.json", *_smaller(run.path / "evaluations")):
        with suppress(DataError, KeyError, TypeError, ZeroDivisionError):
            record = run.read_json(f"evaluations/{name}")
            found, images = record["metrics"]["frechet_distance"], record["protocol"]["samples"]
            return {"times_real": found["value"] / found["floor"], "measured": images}
    row = run.last_row() or {}
    return {"accuracy": row.get("test_accuracy")}


def _finding(run: RunDirectory) -> str | None:
    """Name of the worst lasting fault or warning, if a diagnosis was made; it lists findings from worst to mildest."""
    with suppress(DataError, KeyError, TypeError):
        for each in run.read_json("diagnosis.json")["findings"]:
            if each["level"] in ("fault", "warning") and each["until_step"] is None:
                return str(each["name"])
    return None


def _smaller(folder: Path) -> list[str]:
    """File names of the evaluations other than the full one, those of most images first."""
    with suppress(OSError):
        found = [match for name in os.listdir(folder) if (match := re.fullmatch(r"n(\d+)\.json", name))]
        return [match[0] for match in sorted(found, key=lambda match: int(match[1]), reverse=True)]
    return []


def weights_of(path: Path) -> str | None:
    """sha256 of the newest checkpoint's weights, according to its manifest."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        newest = max(p for p in (path / "checkpoints").iterdir() if p.name[5:].isdigit())
        return str(json.loads((newest / "manifest.json").read_bytes())["files"]["model.safetensors"]["sha256"])
    return None


def _mark(found: Iterable[dict[str, Any]], key: str, mark: str) -> None:
    """If a run has the same `key` as an older one, set its `mark` to the name of the oldest such run."""
    first: dict[Any, str] = {}
    for facts in sorted(found, key=lambda facts: (facts["started"] or "", facts["run"])):
        if facts[key] is not None:
            other = first.setdefault(facts[key], facts["run"])
            facts[mark] = other if other != facts["run"] else None


def _badness(facts: dict[str, Any]) -> tuple[bool, float, str]:
    distance, accuracy = facts["times_real"], facts["accuracy"]
    value = distance if distance is not None else None if accuracy is None else -accuracy
    return value is None, value or 0.0, facts["run"]
