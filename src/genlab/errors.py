"""What genlab says when something is wrong: what, where, what is allowed, what to do next.

Every kind of error has its own exit code, so that a script can tell a wrong recipe from a full disk:

====  =======================================================
code  meaning
====  =======================================================
0     done
1     a bug in genlab (please report it, with ``--debug``)
2     wrong usage: command line or recipe
3     data that cannot be used
4     a checkpoint that cannot be used
5     input/output: disk full, no permission, no such path
6     training met a value that is not finite
7     busy: another process holds the run
8     a study has ended, and some of its runs failed
9     a collapsed training was stopped, as requested
130   interrupted (Ctrl-C); the run was saved
143   terminated (SIGTERM); the run was saved
====  =======================================================
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Any, ClassVar


class GenlabError(Exception):
    """An error that the user can do something about."""

    exit_code = 1


class UsageError(GenlabError):
    """An invalid command, or an invalid argument of a public function."""

    exit_code = 2


class _ProblemsError(UsageError):
    """A file with one or more problems, all of them reported at once.

    Attributes:
        problems: one line each, in the order of the file.
    """

    what: ClassVar[str]

    def __init__(self, name: str, problems: list[str]) -> None:
        self.problems = problems
        if len(problems) == 1:
            message = f"{self.what} {name}: {problems[0]}"
        else:
            told = (f"  {line}" for line in problems)
            message = "\n".join([f"{self.what} {name} has {len(problems)} problems:", *told])
        super().__init__(message)


class RecipeError(_ProblemsError):
    """A recipe with one or more problems."""

    what = "recipe"


class StudyError(_ProblemsError):
    """A study file with one or more problems."""

    what = "study"


class DataError(GenlabError):
    """A dataset that is damaged, or not in the expected layout."""

    exit_code = 3


class DrawnError(DataError):
    """A data error that a picture helps to understand.

    Attributes:
        caption: what the picture shows.
    """

    caption: ClassVar[str]

    def pictures(self) -> Any:
        """uint8 images (N, C, H, W) to be drawn side by side."""
        raise NotImplementedError


class CheckpointError(GenlabError):
    """A checkpoint that is damaged, incomplete or of another model."""

    exit_code = 4


class StorageError(GenlabError):
    """The disk or the operating system refused."""

    exit_code = 5


class NonFiniteError(GenlabError):
    """A loss or a gradient became NaN or infinite; the step was not made."""

    exit_code = 6


class BusyError(GenlabError):
    """Another process writes to this run."""

    exit_code = 7


class RunsFailed(GenlabError):
    """A study has ended, or was given up, and some of its runs failed; the others are kept."""

    exit_code = 8


class Stopped(GenlabError):
    """The training was asked to stop, and has saved its state."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class Collapsed(Stopped):
    """The training has collapsed, and was stopped as requested.

    Attributes:
        run: path of its run.
    """

    def __init__(self, message: str, run: Path) -> None:
        super().__init__(message, exit_code=9)
        self.run = run


def first_line(error: BaseException) -> str:
    """First line of an error's message, at most 200 characters: a library's message may go on for pages."""
    return next(iter(str(error).strip().splitlines()), "")[:200]


def in_words(error: BaseException) -> tuple[str, int] | None:
    """What a library's error means for the user, and its exit code; None if it can only be a bug in genlab."""
    library, said = type(error).__module__.partition(".")[0], str(error)
    if isinstance(error, MemoryError) or (
        library in ("torch", "builtins") and ("allocate memory" in said or "out of memory" in said)
    ):
        return "not enough memory; use a smaller --budget.batch or narrower networks, or close other programs", 5
    if type(error).__module__.startswith(("torch._inductor", "torch._dynamo")):
        return f"engine.compile: PyTorch's compiler fails on this machine ({first_line(error)}); leave it false", 2
    return None


def reason(error: BaseException) -> str:
    """Why something ended, for a status: genlab's message, or a library's in one line."""
    if isinstance(error, GenlabError):
        return str(error)
    known = in_words(error)
    return known[0] if known else f"{type(error).__name__}: {first_line(error)}"


def nearest(name: str, names: Iterable[str], cutoff: float = 0.5) -> str | None:
    """The entry of `names` closest to `name`, or None if nothing is close.

    >>> nearest("quick-mnst", ["quick-mnist", "s4-dcgan"])
    'quick-mnist'
    """
    matches = difflib.get_close_matches(name, list(names), n=1, cutoff=cutoff)
    return matches[0] if matches else None


def unknown(kind: str, name: str, names: Iterable[str], most: int = 30, cutoff: float = 0.5) -> str:
    """One line saying that `name` is unknown, with the nearest known name and up to `most` known names."""
    names = list(names)
    guess = nearest(name, names, cutoff)
    hint = f"; did you mean {guess!r}?" if guess else "."
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return f"unknown {kind} {name!r}{hint} Known: {', '.join(names[:most]) or 'none'}{more}"


def counted(count: float, word: str) -> str:
    """A count with its noun, to three digits if it is not whole.

    >>> counted(1, "epoch"), counted(0.25, "epoch"), counted(1200, "class")
    ('1 epoch', '0.25 epochs', '1,200 classes')
    """
    shown = f"{count:,}" if isinstance(count, int) else f"{count:.3g}"
    return f"{shown} {word}{'' if shown == '1' else 'es' if word.endswith('s') else 's'}"


def check_seed(seed: object) -> None:
    """Raise UsageError if a seed is not a whole number from 0 to 2^63 - 1."""
    if not isinstance(seed, int) or isinstance(seed, bool) or not 0 <= seed < 2**63:
        raise UsageError(f"seed is {seed!r}; allowed: a whole number, 0 .. 2^63 - 1")


def aligned(lines: Sequence[Sequence[str]], numeric: Collection[int] = ()) -> str:
    """Lines of cells as text, each column as wide as its widest cell, `numeric` columns aligned to the right."""
    widths = [max(len(line[k]) for line in lines) for k in range(len(lines[0]))]
    return "\n".join(
        "  ".join(
            cell.rjust(w) if k in numeric else cell.ljust(w)
            for k, (cell, w) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )
