"""Progress: long work reports here what it does and how far it is, and whatever displays it asks here.

>>> with stage("measuring", total=4):
...     advance(1)
...     in_words(now()[0].began + 10)
'measuring: 25 %, about 30 s left'
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

KNOWN_AFTER = 0.05
"""Fraction of a stage after which the time left can be estimated from the time taken."""


@dataclass(eq=False)
class Stage:
    """A piece of work that takes long.

    Attributes:
        words: what is being done.
        total: how much there is to do, in any unit that is proportional to time; 0 if that is not known.
        done: how much of it is done.
        began: start on the clock of `time.monotonic`, in seconds.
    """

    words: str
    total: float = 0.0
    done: float = 0.0
    began: float = field(default_factory=time.monotonic)


_open: list[Stage] = []


@contextmanager
def stage(words: str, total: float = 0.0) -> Iterator[Stage]:
    """Report a stage as in progress within the context. Stages may be nested."""
    mine = Stage(words, total)
    _open.append(mine)
    try:
        yield mine
    finally:
        _open.remove(mine)


def advance(by: float) -> None:
    """Add to the work done in the innermost stage that has a total."""
    for each in reversed(_open):
        if each.total:
            each.done = min(each.total, each.done + by)
            return


def now() -> list[Stage]:
    """The stages in progress, outermost first."""
    return list(_open)


def in_words(at: float | None = None) -> str:
    """The work in progress and how far it is, in one line; empty if there is none."""
    there = now()
    if not there:
        return ""
    counted = next((each for each in reversed(there) if each.total), None)
    words = ": ".join(each.words for each in there)
    seconds = (time.monotonic() if at is None else at) - (counted or there[-1]).began
    if counted is None or counted.done < KNOWN_AFTER * counted.total:
        return f"{words}: {seconds:.0f} s" if seconds >= 1 else words
    left = seconds * (counted.total - counted.done) / counted.done
    return f"{words}: {counted.done / counted.total:.0%}, {about(left)} left".replace("%", " %")


def about(seconds: float) -> str:
    """An estimated time in words: "about 40 s", "about 4 minutes", "about 3 hours"."""
    if seconds < 95:
        return f"about {max(1.0, round(seconds, -1 if seconds >= 15 else 0)):.0f} s"
    if seconds < 95 * 60:
        return f"about {seconds / 60:.0f} minutes"
    return f"about {seconds / 3600:.0f} hours"
