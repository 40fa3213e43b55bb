"""Images drawn in a terminal: every pixel is where it belongs, and the width fits."""

from __future__ import annotations

import io
import re
import sys

import numpy as np
import pytest

from genlab.cli import half_blocks

CELL = re.compile(r"\x1b\[38;([0-9;]+);48;([0-9;]+)m\u2580")


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "160")
    for name in ("NO_COLOR", "COLORTERM"):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


def test_two_pixels_in_a_character(terminal: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    terminal.setenv("COLORTERM", "truecolor")
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (2, 3, 8, 8), np.uint8)
    half_blocks.draw(images)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4
    cells = [CELL.findall(line) for line in lines]
    assert {len(row) for row in cells} == {2 * (8 + 1)}
    assert all(line.endswith("\x1b[0m") for line in lines)
    for n, y, x in ((0, 0, 0), (1, 2, 5), (1, 7, 7)):
        codes = cells[y // 2][n * 9 + x][y % 2]
        assert codes == "2;" + ";".join(map(str, images[n, :, y, x]))


def test_grays_and_colours_of_a_plain_terminal(
    terminal: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    gray = np.array([[0, 255], [128, 0]], np.uint8).reshape(1, 1, 2, 2)
    half_blocks.draw(gray)
    red = np.zeros((1, 3, 2, 2), np.uint8)
    red[0, 0] = 255
    half_blocks.draw(red)
    first, second = (CELL.findall(line) for line in capsys.readouterr().out.splitlines())
    assert first[:2] == [("5;232", "5;243"), ("5;255", "5;232")]
    assert second[0] == ("5;196", "5;196")


@pytest.mark.parametrize("columns", [30, 60, 80, 200])
def test_the_width_fits(columns: int, terminal: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    terminal.setenv("COLUMNS", str(columns))
    half_blocks.draw(np.zeros((5, 1, 32, 32), np.uint8))
    widths = {len(CELL.findall(line)) for line in capsys.readouterr().out.splitlines()}
    assert len(widths) == 1
    assert columns // 2 < max(widths) < columns or columns > half_blocks.WIDEST


class Ascii(io.StringIO):
    encoding = "ascii"

    def isatty(self) -> bool:
        return True


def test_where_nothing_is_drawn(terminal: pytest.MonkeyPatch) -> None:
    assert half_blocks.can_draw()
    for name, value in (("NO_COLOR", ""), ("TERM", "dumb")):
        with terminal.context() as changed:
            changed.setenv(name, value)
            assert not half_blocks.can_draw()
    with terminal.context() as changed:
        changed.setattr(sys.stdout, "isatty", lambda: False)
        assert not half_blocks.can_draw()
    terminal.setattr(sys, "stdout", Ascii())
    assert not half_blocks.can_draw()
