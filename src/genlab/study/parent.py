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


def follow() -> None:
    """From now on this process is killed when its parent is gone. Standard input is the pipe that breaks."""
    expected = int(os.environ.get(PARENT, "0"))
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, _SIGKILL)
    if expected and os.name != "nt" and os.getppid() != expected:  # It went before we asked.
        os._exit(1)
    threading.Thread(target=_read_to_the_end, daemon=True).start()


def _read_to_the_end() -> None:
    while os.read(0, 4096):
        pass
    os._exit(1)
