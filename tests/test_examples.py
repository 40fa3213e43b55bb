"""The examples in docstrings give what they say."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path

import pytest

SOURCE = Path(__file__).parent.parent / "src"
TRAINS = {"genlab/__init__.py"}
"""Files whose example trains a model; docs/python.md has the same example, and its blocks are run."""
WITH = sorted(
    path.relative_to(SOURCE).as_posix()
    for path in (SOURCE / "genlab").rglob("*.py")
    if "    >>> " in path.read_text("utf-8") or "\n>>> " in path.read_text("utf-8")
)


@pytest.mark.parametrize("file", [file for file in WITH if file not in TRAINS])
def test_an_example_gives_what_it_says(file: str) -> None:
    module = importlib.import_module(file.removesuffix(".py").removesuffix("/__init__").replace("/", "."))
    found = doctest.testmod(module, optionflags=doctest.NORMALIZE_WHITESPACE)
    assert found.attempted
    assert not found.failed


def test_what_trains_has_an_example() -> None:
    assert set(WITH) >= TRAINS
