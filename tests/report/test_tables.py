"""Tables keep every character, however narrow the terminal."""

from __future__ import annotations

import sys

import pytest

from genlab import errors
from genlab.cli import terminal
from genlab.report import tables

WIDE = tables.Table("t", ("layer", "output shape", "parameters"), [("ConvTranspose2d", "32 x 16 x 16", "392,500")] * 2,
                    numeric=("output shape", "parameters"))  # fmt: skip


@pytest.mark.parametrize("columns", [20, 40, 60, 100])
def test_numbers_stay_whole(columns: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", str(columns))
    terminal.show_table(WIDE)
    text = capsys.readouterr().out
    for cell in WIDE.rows[0]:
        assert text.count(cell) == 2, (columns, cell)


def test_lines_are_aligned() -> None:
    assert errors.aligned([("a", "bb"), ("ccc", "d")], numeric={1}) == "a    bb\nccc   d"
