"""Files that are whole or absent: written under another name, synced, renamed; and messages if the disk refuses."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from genlab.errors import StorageError, UsageError

WINDOWS = os.name == "nt"
PATIENCE = 2.0
"""Seconds for which Windows may refuse to rename what another program (a virus scanner, `genlab runs`) has open."""


def write(path: Path, content: bytes) -> None:
    """Write `content` to `path`; a reader sees the old file or the new one, never a part.

    Raises:
        StorageError: the disk is full, or the path is not writable.
    """
    partial = path.with_name(f"{path.name}.tmp-{os.getpid()}")
    with refusals(path, len(content)):
        try:
            write_synced(partial, content)
            patiently(partial.replace, path)
            sync_folder(path.parent)
        except BaseException:  # Including a second Ctrl-C.
            partial.unlink(missing_ok=True)
            raise


def expanded(path: str | Path) -> Path:
    """The path with ``~`` expanded to a home folder, or as it is if there is no such user."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        return Path(path)


def destination(path: Path, *endings: str) -> None:
    """Check, before any work, that a file may be written at `path`.

    Args:
        endings: allowed extensions, each with its meaning, as in ".npz (arrays)"; none: any.

    Raises:
        UsageError: another extension.
        StorageError: the folder does not exist or is not writable, or `path` is a folder.
    """
    if endings and path.suffix.lower() not in {words.split()[0] for words in endings}:
        raise UsageError(f"{path}: the extension sets the format; allowed: {', '.join(endings)}")
    reason = None
    if not path.parent.is_dir():
        reason = f"there is no folder {path.parent}"
    elif path.is_dir():
        reason = "is a folder; a file is needed"
    elif not os.access(path.parent, os.W_OK | os.X_OK):
        reason = f"the folder {path.parent} is not writable"
    if reason:
        raise StorageError(f"{path}: {reason}")


def write_json(path: Path, value: Any) -> None:
    """`write` for a JSON document. NaN and infinity are refused: JSON has none."""
    write(path, (json.dumps(value, indent=2, allow_nan=False) + "\n").encode())


def write_synced(path: Path, content: bytes) -> None:
    """Write a file and wait until the disk has it."""
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def patiently(rename: Callable[[Path], Any], target: Path) -> None:
    """Rename a file or a folder to `target`; if Windows refuses, try again for `PATIENCE` seconds."""
    until = time.monotonic() + (PATIENCE if WINDOWS else 0)
    while True:
        try:
            rename(target)
            return
        except PermissionError:
            if time.monotonic() >= until:
                raise
        time.sleep(0.02)


def check_text(path: str | Path, what: str) -> None:
    """Refuse a path that is to be recorded as text but holds bytes that are not UTF-8.

    Raises:
        UsageError: the path holds such bytes; says which path.
    """
    try:
        str(path).encode()
    except UnicodeEncodeError:
        raise UsageError(f"{what} {path}: a name with bytes that are not UTF-8; rename it, or use another") from None


def sync_folder(folder: Path) -> None:
    """Wait until the disk has the folder's entries (a no-op where folders cannot be opened, as on Windows)."""
    if WINDOWS:
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_folder(folder: Path) -> None:
    """Make a folder and its missing parents, and wait until the disk has their entries."""
    if folder.is_dir():
        return
    make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    sync_folder(folder.parent)


def clean(folder: Path, of_living: bool = False, pattern: str = "*.tmp-*") -> None:
    """Remove unfinished files and folders (``*.tmp-<pid>*``) that killed processes left in a folder.

    Args:
        of_living: whether to remove those of living processes too, since no other may write here.
        pattern: which of them, where a folder has names that somebody chose.
    """
    for left in folder.glob(pattern):
        pid = re.search(r"\.tmp-(\d+)", left.name)
        if pid and (of_living or not _alive(int(pid[1]))):
            if left.is_dir():
                shutil.rmtree(left, ignore_errors=True)
            else:
                left.unlink(missing_ok=True)


def _alive(pid: int) -> bool:
    if WINDOWS:
        return True  # There, os.kill would send a Ctrl-C.
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass  # Another user's process.
    return True


@contextmanager
def refusals(path: Path, needed: int = 0) -> Iterator[None]:
    """Context manager that turns an OSError into one line that names the path and, on a full disk, the bytes."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        if isinstance(error, FileExistsError | NotADirectoryError):
            file = next((part for part in (path, *path.parents) if part.exists() and not part.is_dir()), path)
            reason = f"{'it' if file == path else file} is a file; a folder is needed there"
        if needed and error.errno in (errno.ENOSPC, errno.EDQUOT):
            existing = next((p for p in (path, *path.parents) if p.exists()), None)
            free = shutil.disk_usage(existing).free if existing else 0
            reason += f" (needed {needed:,} bytes, free {free:,})"
        raise StorageError(f"{path}: {reason}") from error
