"""What genlab prints: in any encoding, on streams that may be closed, and without anything that controls a terminal."""

from __future__ import annotations

import os
import re
import shutil
import sys
import textwrap
import threading
import time
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, TextIO

from genlab.engine import stages


def visible(text: str, keep: str = "\n") -> str:
    r"""`text` with each character that is invisible or controls a terminal written as its escape.

    These are control characters, marks that change the direction of writing, and bytes that are not UTF-8 (which Python
    reads as lone surrogates). File names and texts in files may contain any of them.

    Args:
        keep: characters that stay as they are.

    >>> visible("\x1b[31mred\u202e")
    '\\x1b[31mred\\u202e'
    """
    if text.isprintable():
        return text
    return "".join(c if c in keep or _is_visible(c) else c.encode("unicode_escape").decode() for c in text)


def _is_visible(character: str) -> bool:
    return character.isprintable() or unicodedata.category(character) == "Zs"  # a space of any width


def shows(text: str) -> bool:
    """Whether standard output can show `text` as it is."""
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        return False
    return visible(text) == text


COMMAND = re.compile(
    r"\bgenlab [a-z][^;,()`]*?(?=[;,()`]|\. |$| (?:and|to|or|shows?|lists|says|makes|with|for|is) )", re.MULTILINE
)
"""A command within a sentence, up to where the sentence continues."""
NO_BREAK = "\N{NO-BREAK SPACE}"


def folded(text: str, width: int, first: str = "", later: str = "  ") -> str:
    r"""`text` in lines of at most `width` characters, broken only at spaces, so that names stay whole; a command stays
    on one line, however long, since a broken one cannot be copied.

    Args:
        first, later: prefixes of the first and of the further lines that each line of the text is folded into, in
            addition to its own indentation.

    >>> folded("unknown recipe 'quik-mnist'; see genlab recipes --json", 30)
    "unknown recipe 'quik-mnist';\n  see genlab recipes --json"
    """
    lines = []
    for line in text.split("\n"):
        if len(first) + len(line) <= width:
            lines.append(first + line)
            continue
        whole = COMMAND.sub(lambda found: found[0].replace(" ", NO_BREAK), line)
        margin = " " * (len(line) - len(line.lstrip(" ")))
        parts = textwrap.wrap(
            whole.lstrip(" "),
            width,
            initial_indent=first + margin,
            subsequent_indent=margin + later,
            break_long_words=False,
            break_on_hyphens=False,
        )
        lines += [part.replace(NO_BREAK, " ") for part in parts]
    return "\n".join(lines)


def _fitted(text: str, stream: TextIO) -> str:
    """`text` folded to the width of a terminal; unchanged in a pipe."""
    return folded(text, max(20, shutil.get_terminal_size().columns - 1)) if stream.isatty() else text


def say(text: Any = "", end: str = "\n", fold: bool = True) -> None:
    """Print on standard output; every line printed for people goes through here or `note`.

    Args:
        fold: whether lines are folded to fit a terminal; those that a program may read are not.
    """
    shown = visible(str(text))
    with _status.cleared():
        print(_fitted(shown, sys.stdout) if fold else shown, end=end)


def paint(lines: Sequence[str]) -> None:
    """Print genlab's own lines as they are, including their colour codes."""
    with _status.cleared():
        print("\n".join(lines))


def note(text: str) -> None:
    """Print on standard error; a closed one is silently ignored."""
    with _status.cleared():
        _note(text)


def _note(text: str, end: str = "\n") -> None:
    try:
        print(text if end == "" else _fitted(visible(text), sys.stderr), end=end, file=sys.stderr, flush=True)
    except OSError:
        hush(sys.stderr)


def ask(question: str) -> bool | None:
    """Whether the user at the terminal says yes; None if nobody can be asked."""
    if not (sys.stdin and sys.stdin.isatty() and sys.stderr.isatty()):
        return None
    with _status.cleared():
        _note(f"{visible(question)} [y/N] ", end="")
        return sys.stdin.readline().strip().lower() in ("y", "yes")


class _Status:
    """Progress of the current work (`engine.stages`) on standard error: on a terminal as the last line, redrawn twice a
    second and removed in the end; in a pipe as a line after two seconds of work, and another every ten."""

    TICK, FIRST, NEXT = 0.5, 2.0, 10.0

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._users, self._held, self._there = 0, 0, False
        self._ended = threading.Event()
        self._ticker: threading.Thread | None = None

    @contextmanager
    def shown(self) -> Iterator[None]:
        with self._lock:
            self._users += 1
            if self._users == 1:
                self._ended = threading.Event()
                self._ticker = threading.Thread(target=self._show, args=(self._ended,), daemon=True)
                self._ticker.start()
        try:
            yield
        finally:
            with self._lock:
                self._users -= 1
                last, ticker = self._users == 0, self._ticker
            if last and ticker:
                self._ended.set()
                ticker.join()
                with self.cleared():
                    pass

    @contextmanager
    def held(self) -> Iterator[None]:
        """Suspend the status within the context, where something else shows the progress."""
        with self.cleared():
            self._held += 1
        try:
            yield
        finally:
            with self._lock:
                self._held -= 1

    @contextmanager
    def cleared(self) -> Iterator[None]:
        """Remove the status from the terminal, and do not draw it within the context."""
        with self._lock:
            if self._there:
                self._there = False
                _note("\r\x1b[K", end="")
            yield

    def _show(self, ended: threading.Event) -> None:
        terminal, told, begun = sys.stderr.isatty(), 0.0, time.monotonic()
        known: list[stages.Stage] = []
        while not ended.wait(self.TICK):
            with self._lock:
                if self._held:
                    continue
                if stages.now() != known:
                    known, begun, told = stages.now(), time.monotonic(), 0.0
                lasted = time.monotonic() - begun
                words = stages.in_words()
                if terminal and lasted >= self.TICK:
                    self._draw(words or f"working: {lasted:.0f} s")
                elif not terminal and words and lasted >= (told + self.NEXT if told else self.FIRST):
                    told = lasted
                    _note(words)

    def _draw(self, words: str) -> None:
        text, width = visible(words, keep=""), shutil.get_terminal_size().columns - 1
        self._there = True
        _note("\r\x1b[K" + (text if len(text) <= width else text[: width - 3] + "..."), end="")


_status = _Status()
showing, cleared, held = _status.shown, _status.cleared, _status.held


def prepare() -> None:
    """Make standard output and error accept every text: characters that their encoding lacks are written as escapes.

    A stream that was closed before the start (``>&-``, pythonw) is replaced by one to the null device.
    """
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
        elif hasattr(stream, "reconfigure"):
            with suppress(OSError, ValueError):  # Its reader has gone already.
                stream.reconfigure(errors="backslashreplace")


def hush(stream: TextIO) -> None:
    """Discard what is still written to a stream whose reader is gone (`| head`, a closed terminal)."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
