from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

from rich.console import Console

import genlab
from genlab.progress import Lines, Live, progress
from genlab.recipe import GanRecipe


def test_a_pipe_gets_plain_lines(small: Callable[..., GanRecipe], tmp_path: Path) -> None:
    stream = io.StringIO()
    watcher = progress(stream)
    assert isinstance(watcher, Lines)
    genlab.train(small(), runs=tmp_path, observers=[watcher], report=False)
    lines = stream.getvalue().splitlines()
    assert lines[0].startswith("step 1/12")
    assert lines[-1].startswith("step 12/12")
    assert "images/s" in lines[-1]
    assert " D " in lines[-1]
    assert "\x1b" not in stream.getvalue()


def test_a_terminal_gets_a_bar_that_fits(small: Callable[..., GanRecipe], tmp_path: Path) -> None:
    for width in (40, 60, 100):
        stream = io.StringIO()
        live = Live(Console(file=stream, force_terminal=True, width=width, color_system=None))
        genlab.train(small(), runs=tmp_path, observers=[live], report=False)
        shown = stream.getvalue()
        assert "12/12" in shown
        assert "images/s" in shown


def test_a_reader_that_is_gone_does_not_end_the_training(small: Callable[..., GanRecipe], tmp_path: Path) -> None:
    class Gone(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    run = genlab.train(small(), runs=tmp_path, observers=[Lines(Gone())], report=False)
    assert run.status["state"] == "finished"
