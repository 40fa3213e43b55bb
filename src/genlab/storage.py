"""Files that are whole or not there: written beside, synced, renamed; and what to say when the disk refuses."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from genlab.errors import StorageError


def write(path: Path, content: bytes) -> None:
    """Put `content` at `path`; a reader sees the old file or the new one, never a part.

    Raises:
        StorageError: the disk is full, or the place may not be written.
    """
    partial = path.with_name(f"{path.name}.tmp-{os.getpid()}")
    with refusals(path, len(content)):
        try:
            write_synced(partial, content)
            partial.replace(path)
            sync_folder(path.parent)
        except OSError:
            partial.unlink(missing_ok=True)
            raise


def write_json(path: Path, value: Any) -> None:
    """`write` for a JSON document. NaN and infinity are refused: JSON has none."""
    write(path, (json.dumps(value, indent=2, allow_nan=False) + "\n").encode())


def write_synced(path: Path, content: bytes) -> None:
    """Write a file and wait until the disk has it."""
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Wait until the disk has the folder's entries (a no-op where folders cannot be opened, as on Windows)."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def refusals(path: Path, needed: int = 0) -> Iterator[None]:
    """Inside: an operating system's refusal becomes one line that names the path and, on a full disk, the bytes."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        if needed and error.errno in (errno.ENOSPC, errno.EDQUOT):
            existing = next((p for p in (path, *path.parents) if p.exists()), None)
            free = shutil.disk_usage(existing).free if existing else 0
            reason += f" (needed {needed:,} bytes, free {free:,})"
        raise StorageError(f"{path}: {reason}") from error
