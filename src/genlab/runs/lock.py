"""The lock of a run: one process writes; the kernel lets go of it when that process ends, however."""

from __future__ import annotations

import os
from typing import Any


def _lock(file: Any) -> bool:
    """Take the lock of an open file, if it is free."""
    try:
        import fcntl
    except ImportError:
        return _lock_byte(file)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _lock_byte(file: Any) -> bool:
    """On Windows: one byte, always the same, and far behind the text, which nobody could read otherwise."""
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
