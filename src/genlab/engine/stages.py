"""What is going on: work that takes long says here what it does and how far it is, and whoever shows it asks here.

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
"""The fraction of a stage after which what is left can be told from what it took."""


@dataclass(eq=False)
class Stage:
    """One thing that takes long.

    Attributes:
        words: what is being done.
        total: how much there is to do, in any unit that is proportional to time; 0 where that is not known.
        done: how much of it is done.
        began: on the clock of `time.monotonic`, in seconds.
    """

    words: str
    total: float = 0.0
    done: float = 0.0
    began: float = field(default_factory=time.monotonic)


_open: list[Stage] = []


@contextmanager
def stage(words: str, total: float = 0.0) -> Iterator[Stage]:
    """Inside: this is going on. Stages may lie in one another."""
    mine = Stage(words, total)
    _open.append(mine)
    try:
        yield mine
    finally:
        _open.remove(mine)


def advance(by: float) -> None:
    """More of the innermost stage that has a total is done."""
    for each in reversed(_open):
        if each.total:
            each.done = min(each.total, each.done + by)
            return


def now() -> list[Stage]:
    """The stages that are going on, outermost first."""
    return list(_open)


def in_words(at: float | None = None) -> str:
    """What is going on and how far it is, in a line; empty where nothing is."""
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
    """A time that is not known better: "about 40 s", "about 4 minutes", "about 3 hours"."""
    if seconds < 95:
        return f"about {max(1.0, round(seconds, -1 if seconds >= 15 else 0)):.0f} s"
    if seconds < 95 * 60:
        return f"about {seconds / 60:.0f} minutes"
    return f"about {seconds / 3600:.0f} hours"
