"""What signals do to a training: Ctrl-C and SIGTERM end it cleanly, a closed terminal (SIGHUP) does not end it."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Any

from genlab.errors import Stopped

ENDS = ("SIGINT", "SIGTERM", "SIGBREAK")
"""SIGBREAK is Windows' Ctrl-Break; Windows has no SIGHUP."""


@dataclass
class Stop:
    """A request to stop: the signal that came, and whether the loop has noticed it (and saved)."""

    signal: int = 0
    heard: bool = False


@contextmanager
def requests() -> Iterator[Stop]:
    """Record the first SIGINT or SIGTERM within the context; the next one acts as usual."""
    stop = Stop()

    def note(number: int, _frame: FrameType | None) -> None:
        stop.signal = number
        for each in ENDS:
            if (known := getattr(signal, each, None)) in previous:
                signal.signal(known, previous[known])

    with _handled(note) as previous:
        yield stop


@contextmanager
def at_once(message: str) -> Iterator[None]:
    """Within the context, SIGINT and SIGTERM end the work at once, as `Stopped` with this message."""

    def end(number: int, _frame: FrameType | None) -> None:
        raise _Asked(number)

    with _handled(end):
        try:
            yield
        except _Asked as asked:
            raise Stopped(message, 128 + asked.number) from None


class _Asked(BaseException):
    """Raised by a signal; not an Exception, so that no `except Exception` on the way takes it for an error."""

    def __init__(self, number: int) -> None:
        self.number = number


@contextmanager
def _handled(handler: Callable[[int, FrameType | None], None]) -> Iterator[dict[int, Any]]:
    """Send the `ENDS` signals to `handler` and ignore SIGHUP; yield the previous handlers, restored at the end."""
    previous: dict[int, Any] = {}
    if threading.current_thread() is not threading.main_thread():  # Only the main thread may handle signals.
        yield previous
        return
    wanted: dict[str, Any] = {**dict.fromkeys(ENDS, handler), "SIGHUP": signal.SIG_IGN}
    for name, action in wanted.items():
        if hasattr(signal, name):
            number = getattr(signal, name)
            previous[number] = signal.getsignal(number)
            signal.signal(number, action)
    try:
        yield previous
    finally:
        for number, action in previous.items():
            signal.signal(number, action)
