"""Which directories are runs, in a folder and in the folders below it."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

MARKS = ("recipe.yaml", "provenance.json", "status.json", "metrics.jsonl")
"""A directory that has one of these is a run."""
DEEPEST = 6
"""Folders in one another that are looked through for runs."""


def is_run(path: Path) -> bool:
    """Whether a directory is a run: it has one of a run's files, damaged or not."""
    return any(os.path.lexists(path / name) for name in MARKS)


def found(folder: Path, depth: int) -> Iterator[Path]:
    """Directories in a folder that are runs, or may not be read."""
    for path in sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")):
        if is_run(path) or refusal(path):
            yield path
        elif depth and not path.is_symlink():
            yield from found(path, depth - 1)


def refusal(folder: Path) -> str | None:
    """Why a folder may not be read; None where it may."""
    try:
        with os.scandir(folder):
            return None if os.access(folder, os.X_OK) else os.strerror(errno.EACCES)
    except OSError as error:
        return error.strerror
