"""Tables and texts on a terminal, fitted to its width."""

from __future__ import annotations

import json
import re
import shutil
import sys
import textwrap
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from typing import Any

from genlab.engine.console import folded, say, visible
from genlab.errors import aligned
from genlab.report.tables import NO_BREAK, Table, unbroken

GAP = 2
"""Spaces between two columns."""


def show_table(table: Table) -> None:
    """Print a table: on a terminal fitted to its width, in a pipe with one line per row."""
    table = _visible(table)
    numeric = {k for k, column in enumerate(table.columns) if column in table.numeric}
    lines = [list(table.columns), *map(list, table.rows), *([list(table.total)] if table.total else [])]
    if not sys.stdout.isatty():
        say(f"{table.title}\n" if table.title else "", end="")
        say(aligned(lines, numeric))
        return
    if table.title:
        say(wrapped(table.title))
    remarks = [line.pop() for line in lines] if table.columns[-1] == "" else [""] * len(lines)
    filled = [k for k in range(len(lines[0])) if any(line[k] for line in lines)]
    lines, numeric = [[line[k] for k in filled] for line in lines], {filled.index(k) for k in numeric & {*filled}}
    width = shutil.get_terminal_size().columns - 1
    widths = _widths(lines, width)
    for line, remark in zip(lines, remarks, strict=True):
        if widths is None:
            say(_stacked(lines[0], line, width) if line is not lines[0] else "", end="", fold=False)
        else:
            say("\n".join(_folded(line, widths, numeric)), fold=False)
        if remark:
            say(textwrap.fill(remark, width, initial_indent="  ", subsequent_indent="  "))


def _widths(lines: list[list[str]], width: int) -> list[int] | None:
    """Widths with which all columns fit: the widest shrink first, at spaces, then at hyphens; None if none fit."""
    widths = [max(len(line[k]) for line in lines) for k in range(len(lines[0]))]
    for pattern in (r"[^ ]+", r"[^ -]+-?"):
        least = [
            max((len(part) for line in lines for part in re.findall(pattern, unbroken(line[k]))), default=0)
            for k in range(len(widths))
        ]
        while sum(widths) + GAP * (len(widths) - 1) > width:
            room = [k for k in range(len(widths)) if widths[k] > least[k]]
            if not room:
                break
            widths[max(room, key=lambda k: widths[k])] -= 1
        else:
            return widths
    return None


def _folded(line: list[str], widths: list[int], numeric: Collection[int]) -> Iterator[str]:
    """A row as lines of the terminal."""
    cells = [
        textwrap.wrap(unbroken(cell), width, break_long_words=False) or [""]
        for cell, width in zip(line, widths, strict=True)
    ]
    for k in range(max(map(len, cells))):
        parts = [cell[k] if k < len(cell) else "" for cell in cells]
        padded = [
            part.rjust(width) if n in numeric else part.ljust(width)
            for n, (part, width) in enumerate(zip(parts, widths, strict=True))
        ]
        yield (" " * GAP).join(padded).replace(NO_BREAK, " ").rstrip()


def _stacked(names: list[str], line: list[str], width: int) -> str:
    """A row as a paragraph under its first cell: for terminals that are too narrow for its columns."""
    cells = [f"{name}: {cell}".replace(" ", NO_BREAK) for name, cell in zip(names[1:], line[1:], strict=True) if cell]
    text = textwrap.fill(
        ", ".join(cells),
        width,
        initial_indent="  ",
        subsequent_indent="  ",
        break_long_words=False,
        break_on_hyphens=False,
    )
    return f"{folded(line[0], width)}\n{text.replace(NO_BREAK, ' ')}\n"


def wrapped(text: str, label: str = "") -> str:
    """A text after a label, in lines that fit the terminal, at most 100 characters wide; in a pipe, on one line."""
    if not sys.stdout.isatty():
        return label + text
    width = min(shutil.get_terminal_size().columns - 1, 100)
    return folded(text, width, label, " " * len(label))


def show_json(value: Any) -> None:
    """Print a value as one line of JSON."""
    say(json.dumps(value, allow_nan=False), fold=False)


def _visible(table: Table) -> Table:
    """The table without characters that control a terminal, each cell on one line."""

    def line(cells: Sequence[str]) -> list[str]:
        return [visible(cell, keep="") for cell in cells]

    return replace(
        table,
        columns=line(table.columns),
        rows=[line(row) for row in table.rows],
        numeric=line(table.numeric),
        total=line(table.total) if table.total else None,
    )
