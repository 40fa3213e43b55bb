"""Cache of what is computed from a dataset's real images, since every evaluation against them needs it.

The key of an entry covers everything that can change a bit of it (images, judge, code, machine). Entries lie in the
cache folder, which may be deleted at any time. What cannot be read or written there is computed as if it had never been
kept.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from functools import cache
from importlib import resources
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from genlab.engine import threads
from genlab.engine.files import make_folder, write
from genlab.engine.places import cache_folder
from genlab.engine.stages import advance
from genlab.errors import StorageError

Arrays = dict[str, NDArray[Any]]
MOST_BYTES = 250_000_000
"""Limit for all entries together; the oldest are deleted first."""
_ANEW: ContextVar[bool] = ContextVar("anew", default=False)


@contextmanager
def anew() -> Iterator[None]:
    """Context in which no kept entry is used."""
    before = _ANEW.set(True)
    try:
        yield
    finally:
        _ANEW.reset(before)


def key(*facts: object) -> str:
    """Key of what this code computes from these facts on this machine."""
    told = (*facts, _code(), torch.__version__, np.__version__, threads.processor(), threads.most_threads())
    return hashlib.sha256(repr((told, threads.instructions())).encode()).hexdigest()


def recalled(name: str, work_out: Callable[[], Arrays], work: float = 0.0) -> Arrays:
    """The arrays kept under a name; if there are none, they are computed and kept.

    Args:
        name: a `key`, and what was computed from it.
        work: how far computing the arrays advances the current stage.
    """
    place = cache_folder() / "real" / f"{name}.npz"
    if not _ANEW.get():
        with (
            suppress(OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile),
            np.load(io.BytesIO(place.read_bytes())) as kept,
        ):
            found = {part: kept[part] for part in kept.files}
            advance(work)
            return found
    found = work_out()
    buffer = io.BytesIO()
    np.savez(buffer, **found)  # type: ignore[arg-type]  # numpy 2.1 would store allow_pickle as an array.
    with suppress(StorageError, OSError):
        make_folder(place.parent)
        write(place, buffer.getvalue())
        _make_room()
    return found


@cache
def _code() -> str:
    """Hash of all code that computes here: after a change to a metric, no earlier number is used."""
    digest, folder = hashlib.sha256(), resources.files("genlab")
    for part in ("evaluation", "evaluation/metrics", "data", "families/nets"):
        for file in sorted(folder.joinpath(part).iterdir(), key=lambda file: file.name):
            if file.name.endswith(".py"):
                digest.update(file.read_bytes())
    return digest.hexdigest()


def _make_room() -> None:
    """Delete the oldest entries beyond `MOST_BYTES`."""
    files = sorted((cache_folder() / "real").glob("*.npz"), key=lambda file: file.stat().st_mtime, reverse=True)
    total = 0
    for file in files:
        total += file.stat().st_size
        if total > MOST_BYTES:
            file.unlink(missing_ok=True)
