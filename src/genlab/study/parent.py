"""A process that ends with its parent, however that one ends: by the kernel's word, and by a pipe that breaks.

Nothing heavy is imported here: a worker must be watched from its first moment.
"""

from __future__ import annotations

import os
import sys
import threading

PARENT = "GENLAB_PARENT"
"""Environment variable: the process that must be alive."""
_PR_SET_PDEATHSIG, _SIGKILL = 1, 9


def follow(parent: int) -> None:
    """From now on the kernel kills this process when its parent is gone (on Linux)."""
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, _SIGKILL)
    if parent and os.name != "nt" and os.getppid() != parent:  # It went before we asked.
        os._exit(1)


def watch_input() -> None:
    """From now on this process ends when standard input does, a pipe whose other end only its parent has."""
    threading.Thread(target=_read_to_the_end, daemon=True).start()


def _read_to_the_end() -> None:
    while os.read(0, 4096):
        pass
    os._exit(1)
