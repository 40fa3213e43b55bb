"""Write docs/api.md from the docstrings of the public names: `make docs`."""

from __future__ import annotations

import inspect
from functools import cached_property
from pathlib import Path
from typing import Any

import genlab

PAGE = Path(__file__).parent / "api.md"
HEAD = """# Python reference

Made from the docstrings by `make docs`. Everything here is imported by `import genlab`; nothing heavy is loaded before it is
used.
"""


def page() -> str:
    """Text of the whole page."""
    names = [name for name in genlab.__all__ if not name.startswith("__")]
    functions = [name for name in names if inspect.isfunction(getattr(genlab, name))]
    classes = [name for name in names if inspect.isclass(getattr(genlab, name))]
    parts = [HEAD, *(_function(f"genlab.{name}", getattr(genlab, name)) for name in functions)]
    for name in classes:
        kind = getattr(genlab, name)
        parts += [f"## genlab.{name}\n\n{_docstring(kind)}", *_members(name, kind)]
    return "\n".join(parts)


def _members(name: str, kind: type) -> list[str]:
    """Public methods and properties defined in genlab, in the order of the source."""
    found = []
    for owner in reversed(kind.__mro__):
        if not owner.__module__.startswith("genlab"):
            continue
        for member, value in vars(owner).items():
            value = property(value.func) if isinstance(value, cached_property) else value
            if member.startswith("_") or not (inspect.isfunction(value) or isinstance(value, property)):
                continue
            if inspect.getdoc(getattr(value, "fget", value)):
                found.append(_function(f"{name}.{member}", value, depth=3))
    return found


def _function(title: str, value: Any, depth: int = 2) -> str:
    call = "" if isinstance(value, property) else _call(value)
    signature = f"{title.rpartition('.')[2]}{call}".replace("(self, ", "(").replace("(self)", "()")
    mark = "property" if isinstance(value, property) else signature
    return f"{'#' * depth} {title}\n\n`{mark}`\n\n{_docstring(getattr(value, 'fget', None) or value)}"


def _call(value: Any) -> str:
    """Signature as in the source."""
    signature = inspect.signature(value)
    parameters = [
        p.replace(default="...") if callable(p.default) and p.default is not p.empty else p
        for p in signature.parameters.values()
    ]
    return str(signature.replace(parameters=parameters)).replace("'...'", "...").replace("'", "")


def _docstring(value: Any) -> str:
    """Docstring as Markdown: paragraphs as they are, sections (Args:, Raises:) as lists."""
    lines, made = (inspect.getdoc(value) or "").splitlines(), []
    section = False
    for line in lines:
        if line in ("Args:", "Raises:", "Returns:", "Attributes:"):
            section = True
            made += [f"*{line[:-1]}*", ""]
        elif section and line.startswith("    ") and not line.startswith("     "):
            made.append(f"- {line.strip()}")
        else:
            section = section and bool(line.strip())
            made.append(line.strip() if section else line)
    return "\n".join(made) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
