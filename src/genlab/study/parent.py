"""End a process with its parent, however the parent ends: by a signal from the kernel, and by a broken pipe.

Nothing heavy is imported here: a worker must be watched from its first moment.
"""

from __future__ import annotations

import os
import sys
import threading

PARENT = "GENLAB_PARENT"
"""Environment variable: id of the process that must be alive."""
_PR_SET_PDEATHSIG, _SIGKILL = 1, 9


def follow(parent: int) -> None:
    """Let the kernel kill this process when its parent is gone (on Linux)."""
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, _SIGKILL)
    if parent and os.name != "nt" and os.getppid() != parent:  # It was gone before the request.
        os._exit(1)


def watch_input() -> None:
    """End this process when standard input ends, a pipe whose other end only its parent holds."""
    threading.Thread(target=_read_to_the_end, daemon=True).start()


def _read_to_the_end() -> None:
    while os.read(0, 4096):
        pass
    os._exit(1)
