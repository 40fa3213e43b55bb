"""Tables and texts on a terminal, as wide as it is."""

from __future__ import annotations

import json
import shutil
import sys
import textwrap
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from genlab.engine.console import say, visible
from genlab.errors import aligned
from genlab.report.tables import Table


def show_table(table: Table) -> None:
    """Print a table in the form that suits standard output."""
    table = _visible(table)
    if sys.stdout.isatty() and _fits(table):
        _rich(table)
    else:
        _plain(table)


def wrapped(text: str, label: str = "") -> str:
    """A text behind a label, in lines that fit the terminal, at most 100 characters."""
    width = min(shutil.get_terminal_size().columns, 100)
    return textwrap.fill(text, width, initial_indent=label, subsequent_indent=" " * len(label))


def show_json(value: Any) -> None:
    """Print a value as one line of JSON."""
    say(json.dumps(value, allow_nan=False))


def _visible(table: Table) -> Table:
    """The table with nothing in it that steers a terminal, each cell on a line."""

    def line(cells: Sequence[str]) -> list[str]:
        return [visible(cell, keep="") for cell in cells]

    return replace(
        table,
        columns=line(table.columns),
        rows=[line(row) for row in table.rows],
        numeric=line(table.numeric),
        total=line(table.total) if table.total else None,
    )


def _fits(table: Table) -> bool:
    """Whether the columns that must not be cut leave room for the others; rich would cut numbers otherwise."""
    lines = [table.columns, *table.rows, *([table.total] if table.total else [])]
    widths = [max(len(line[k]) for line in lines) for k in range(len(table.columns))]
    fixed = [k == 0 or column in table.numeric for k, column in enumerate(table.columns)]
    need = sum(width if keep else min(width, 16) for width, keep in zip(widths, fixed, strict=True))
    return need + 3 * len(widths) + 1 <= shutil.get_terminal_size().columns


def _rich(table: Table) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table as RichTable
    from rich.text import Text

    drawn = RichTable(
        title=Text(visible(table.title)),
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        show_footer=table.total is not None,
    )
    footer = table.total or [""] * len(table.columns)
    for column, foot in zip(table.columns, footer, strict=True):
        drawn.add_column(
            Text(column),
            Text(foot),
            justify="right" if column in table.numeric else "left",
            overflow="fold",
            no_wrap=column in table.numeric or column == table.columns[0],
        )
    for row in table.rows:
        drawn.add_row(*(Text(cell) for cell in row))
    Console().print(drawn)


def _plain(table: Table) -> None:
    if table.title:
        say(table.title)
    lines = [table.columns, *table.rows, *([table.total] if table.total else [])]
    say(aligned(lines, {k for k, column in enumerate(table.columns) if column in table.numeric}))
