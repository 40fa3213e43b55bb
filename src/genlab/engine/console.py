"""What genlab prints: in any encoding, on a stream that may be gone, and with nothing in it that steers a terminal."""

from __future__ import annotations

import os
import sys
import threading
import time
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO


def visible(text: str, keep: str = "\n") -> str:
    r"""`text` with each character that shows nothing or steers a terminal written as its escape.

    Those are control characters, marks that turn the direction of writing, and bytes that are no UTF-8 (which Python
    reads as lone surrogates). Names of files and texts in files may hold any of them.

    Args:
        keep: characters that stay as they are.

    >>> visible("\x1b[31mred\u202e")
    '\\x1b[31mred\\u202e'
    """
    if text.isprintable():
        return text
    return "".join(c if c in keep or _is_visible(c) else c.encode("unicode_escape").decode() for c in text)


def _is_visible(character: str) -> bool:
    return character.isprintable() or unicodedata.category(character) == "Zs"  # a space, of whatever width


def shows(text: str) -> bool:
    """Whether standard output can show `text` as it is."""
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        return False
    return visible(text) == text


def say(text: Any = "", end: str = "\n") -> None:
    """Print on standard output; every line that genlab prints for people goes through here or `note`."""
    print(visible(str(text)), end=end)


def note(text: str) -> None:
    """Print on standard error; one that was closed hears nothing, and ends nothing."""
    try:
        print(visible(text), file=sys.stderr, flush=True)
    except OSError:
        hush(sys.stderr)


def waiting(words: str) -> None:
    """What is going on, for a person who waits."""
    if sys.stderr.isatty():
        note(f"{words} ...")


@contextmanager
def doing() -> Iterator[Callable[[str], None]]:
    """Inside, a terminal shows what is going on and for how long, anew every second, in one line; nothing else is
    written to. What is going on is told to the function that this gives."""
    if not sys.stderr.isatty():
        yield lambda words: None
        return
    what, began, ended = [""], [time.monotonic()], threading.Event()

    def show() -> None:
        while not ended.wait(1.0):
            _overwrite(f"{what[0]} ... {time.monotonic() - began[0]:.0f} s")

    def progress(words: str) -> None:
        what[0], began[0] = words, time.monotonic()
        _overwrite(f"{words} ...")

    teller = threading.Thread(target=show, daemon=True)
    teller.start()
    try:
        yield progress
    finally:
        ended.set()
        teller.join()
        _overwrite("")


def _overwrite(text: str) -> None:
    """Put a text in the place of the terminal's last line."""
    try:
        print(f"\r\x1b[K{visible(text)}", end="", file=sys.stderr, flush=True)
    except OSError:
        hush(sys.stderr)


def prepare() -> None:
    """Make standard output and error take every text: what their encoding lacks is written as its escape.

    A stream that was closed before the start (``>&-``, pythonw) becomes one that leads nowhere.
    """
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
        elif hasattr(stream, "reconfigure"):
            with suppress(OSError, ValueError):  # Its reader has gone already.
                stream.reconfigure(errors="backslashreplace")


def hush(stream: TextIO) -> None:
    """Let a stream whose reader is gone (`| head`, a closed terminal) swallow what is still written to it."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
