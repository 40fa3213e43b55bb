"""Run a genlab command in a terminal of a given size, and record what it writes and its longest silence."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import sys
import termios
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Watched:
    """What a command wrote.

    Attributes:
        text: everything it wrote.
        silence: longest time in seconds without a character, from start to end.
        code: exit code.
    """

    text: str
    silence: float
    code: int


def watch(arguments: Sequence[str], columns: int = 80, cwd: Path | None = None, answer: str = "") -> Watched:
    """Run `genlab` with these arguments in a terminal of that many columns; `answer` is typed at once."""
    began = time.monotonic()
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(cwd or Path.cwd())
        fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
        environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
        os.execve(sys.executable, [sys.executable, "-m", "genlab", *arguments], environment)
    chunks, last, silence, status = [], began, 0.0, None
    try:
        if answer:
            os.write(terminal, answer.encode())
        while True:
            select.select([terminal], [], [], 600)
            try:
                chunk = os.read(terminal, 65536)
            except OSError:  # Linux raises this when the other end is closed.
                chunk = b""
            silence, last = max(silence, time.monotonic() - last), time.monotonic()
            if not chunk:
                break
            chunks.append(chunk)
        _, status = os.waitpid(child, 0)
    finally:
        os.close(terminal)
        if status is None:  # A test that ran out of time leaves nothing running.
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
    return Watched(b"".join(chunks).decode(), silence, os.waitstatus_to_exitcode(status))
