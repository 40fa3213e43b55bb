"""Find the directories that are runs, in a folder and its subfolders."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from genlab.engine.files import expanded
from genlab.errors import unknown
from genlab.recipe.source import names

MARKS = ("recipe.yaml", "provenance.json", "status.json", "metrics.jsonl")
"""Files that make a directory a run; one of them is enough."""
DEEPEST = 6
"""Levels of nested folders that are searched for runs."""


def is_run(path: Path) -> bool:
    """Whether a directory is a run: it has one of a run's files, damaged or not."""
    return any(os.path.lexists(path / name) for name in MARKS)


def is_meant(name: str | Path, root: Path) -> bool:
    """Whether a name that may be one of images means a run: a run of that name is there, or nothing that exists."""
    there = expanded(name).exists()
    if is_run(Path(name)):
        return True
    if is_run(root / name):
        return not (there and str(name).startswith("."))  # ./photos is a folder, photos the run of that name.
    return not there and not str(name).endswith(".npz")


def found(folder: Path, depth: int) -> Iterator[Path]:
    """Directories in a folder that are runs or cannot be read."""
    for path in sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")):
        if is_run(path) or refusal(path):
            yield path
        elif depth and not path.is_symlink():
            yield from found(path, depth - 1)


def unknown_run(given: str | Path, root: Path) -> str:
    """Message for a run that does not exist: names the runs in the intended folder, or says that it is missing."""
    told, path = str(given)[:100], Path(given)
    meant = root
    if told in names():
        return f"{told} is a recipe, not a run; train it first: genlab train {told}{_its_runs(told, root)}"
    with suppress(OSError, ValueError):
        if path.is_file():
            return f"{told} is a file, not a run; give a run's folder"
        if path.is_dir():
            inside = _names(path)
            return (
                f"{told} is {f'a folder of runs, not a run: {_few(inside)}' if inside else 'not a run'}; "
                "give a run's folder"
            )
        meant = path.parent if path.parent != Path() and path.parent.is_dir() else root
    if not meant.is_dir():
        return f"unknown run {told!r}: there is no folder {meant}; --runs sets the folder of runs"
    return f"{unknown('run', told if meant == root else path.name, _names(meant), most=8)} (in {meant})"


def _its_runs(recipe: str, root: Path) -> str:
    """The runs of a recipe, after a semicolon; empty if there are none."""
    mine = [name for name in (_names(root) if root.is_dir() else []) if name.startswith(f"{recipe}-")]
    return f"; its runs in {root}: {_few(mine)}" if mine else ""


def _names(folder: Path) -> list[str]:
    return [path.relative_to(folder).as_posix() for path in found(folder, DEEPEST)]


def _few(names: list[str]) -> str:
    return ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")


def refusal(folder: Path) -> str | None:
    """Reason why a folder cannot be read, or None if it can."""
    try:
        with os.scandir(folder):
            return None if os.access(folder, os.X_OK) else os.strerror(errno.EACCES)
    except OSError as error:
        return error.strerror
