"""Existing runs: an earlier training of a recipe, to use instead of a new one or to resume."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

from genlab.errors import GenlabError
from genlab.recipe import Recipe, files
from genlab.runs.directory import RunDirectory, list_runs

WITHOUT_EFFECT = ("engine", "logging")
"""Sections of a recipe in which runs of the same training may differ."""


def readable(root: Path) -> list[RunDirectory]:
    """Runs in a folder whose recipe, provenance and status can be read, oldest first."""
    found = []
    for run in list_runs(root):
        with suppress(GenlabError):
            _ = run.trained_by(), run.status
            found.append((run.provenance["started"], run.path.name, run))
    return [run for *_, run in sorted(found, key=lambda each: each[:2])]


def earlier(recipe: Recipe, seed: int, states: Collection[str], root: Path) -> RunDirectory | None:
    """Newest run with this complete recipe and seed in one of these states, or None; its `engine` and `logging` may
    differ."""
    for run in reversed(readable(root)):
        changed = {path.split(".")[0] for path in files.diff(recipe, run.trained_by())}
        if changed <= set(WITHOUT_EFFECT) and run.provenance["seed"] == seed and run.status["state"] in states:
            return run
    return None
