"""A lock by which only one process writes to a run, study or import; the kernel frees it however that process ends."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from genlab.engine.files import refusals
from genlab.errors import BusyError


@contextmanager
def held(file: Path, doing: str) -> Iterator[None]:
    """Hold the lock within the context; the file names this process and its host.

    Args:
        doing: what another process that has the lock does, as in "is writing to this run".

    Raises:
        BusyError: another process has the lock; names its pid and host.
    """
    with ExitStack() as stack:
        with refusals(file.parent):  # Not what happens in the context: that is the caller's.
            opened = stack.enter_context(file.open("a+", encoding="utf-8"))
            if not _take(opened):
                opened.seek(0)
                raise BusyError(f"{file.parent}: another process {doing} ({opened.read().strip() or 'unknown'})")
            opened.truncate(0)
            opened.write(f"pid {os.getpid()} on {_host()}\n")
            opened.flush()
        yield


def is_held(file: Path) -> bool:
    """Whether a process has the lock. One that may not be looked at, since it is another user's, counts as held."""
    try:
        with file.open("r", encoding="utf-8") as opened:
            return not _lock(opened, shared=True)
    except PermissionError:
        return True
    except OSError:
        return False


def _take(file: Any) -> bool:
    """Take the lock; a process that only looks whether it is held has it for an instant."""
    for _ in range(5):
        if _lock(file):
            return True
        time.sleep(0.02)
    return False


def _lock(file: Any, shared: bool = False) -> bool:
    """Take the lock on an open file if it is free; return whether it was. Shared, it hinders only exclusive ones."""
    try:
        import fcntl
    except ImportError:
        return _lock_byte(file)
    try:
        fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _lock_byte(file: Any) -> bool:
    """`_lock` on Windows: locks one byte, always the same and far behind the text, which must stay readable."""
    import msvcrt

    os.lseek(file.fileno(), 1 << 30, os.SEEK_SET)
    try:
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
    except OSError:
        return False
    finally:
        os.lseek(file.fileno(), 0, os.SEEK_SET)
    return True


def _host() -> str:
    import platform

    return platform.node()
