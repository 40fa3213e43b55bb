"""The command for bug reports: `checkup` as a block of text, or as JSON. `cli` puts it on the command line."""

from __future__ import annotations

import shutil
import textwrap
from typing import Any

from genlab.cli.options import Json
from genlab.engine.console import say, visible

WIDTH = 60
"""Columns of the text: bug reports are read in narrow boxes."""
LABEL = 12


def doctor(*, json: Json = False) -> None:
    """Show what a bug report needs, and what is wrong on this machine."""
    from genlab.api import doctor as checkup
    from genlab.cli import terminal

    found = checkup.doctor()
    if json:
        terminal.show_json(found)
    else:
        say("\n".join(line for label, text in _words(found) for line in _wrapped(label, text)))


def _words(found: dict[str, Any]) -> list[tuple[str, str]]:
    """The block's parts, as (label, text)."""
    parts = [(name, _said(facts)) for name, facts in found.items() if name != "problems"]
    if found["plan"].get("remembered") is False:
        parts[list(found).index("plan")] = ("plan", "none remembered for this machine; genlab bench plan measures it")
    parts += [("problem", f"{problem['what']}. Next: {problem['next']}") for problem in found["problems"]]
    return parts if found["problems"] else [*parts, ("problems", "none found")]


def _said(value: Any) -> str:
    """A fact as text."""
    if isinstance(value, dict):
        if "unknown" in value:
            return f"unknown ({value['unknown']})"
        return "; ".join(f"{key} {_said(inner)}" for key, inner in value.items() if inner not in (None, {}))
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)


def _wrapped(label: str, text: str) -> list[str]:
    indent = " " * LABEL
    width = min(WIDTH, shutil.get_terminal_size().columns - 1)  # Else the terminal's own folding would break the lines.
    return textwrap.wrap(
        visible(text, keep=""), width, initial_indent=f"{label:{LABEL}}", subsequent_indent=indent
    ) or [label]
