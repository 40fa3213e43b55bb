"""Stages of work: how they are described, and where they are shown."""

from __future__ import annotations

import io
import re
import sys
import time

import pytest

from genlab.engine import console
from genlab.engine.stages import about, advance, in_words, now, stage


def test_what_is_left_follows_from_what_is_done() -> None:
    with stage("measuring", total=200):
        began = now()[0].began
        assert in_words(began + 0.4) == "measuring"
        assert in_words(began + 3) == "measuring: 3 s"
        advance(9)
        assert in_words(began + 3) == "measuring: 3 s"  # too little to estimate the time left
        advance(41)
        assert in_words(began + 10) == "measuring: 25 %, about 30 s left"
        advance(1000)
        assert in_words(began + 10) == "measuring: 100 %, about 1 s left"
    assert in_words() == ""


def test_stages_lie_in_one_another() -> None:
    """Progress counts for the innermost stage that has a total; a stage without a total takes no share."""
    with stage("run a", total=4), stage("its samples"):
        advance(1)
        began = now()[0].began
        assert [each.words for each in now()] == ["run a", "its samples"]
        assert in_words(began + 5) == "run a: its samples: 25 %, about 20 s left"
        with stage("distances", total=2):
            advance(1)
        assert now()[0].done == 1


def test_an_error_ends_its_stage() -> None:
    with pytest.raises(ZeroDivisionError), stage("dividing"):
        _ = 1 / 0
    assert now() == []


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.2, "1 s"), (14.4, "14 s"), (76, "80 s"), (100, "2 minutes"), (5600, "93 minutes"), (9000, "2 hours")],
)
def test_a_time_that_is_not_known_better(seconds: float, words: str) -> None:
    assert about(seconds) == f"about {words}"


class Stream(io.StringIO):
    def __init__(self, terminal: bool) -> None:
        super().__init__()
        self.terminal = terminal

    def isatty(self) -> bool:
        return self.terminal


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten the status line's times by a factor of 50."""
    for name, seconds in (("TICK", 0.01), ("FIRST", 0.04), ("NEXT", 0.2)):
        monkeypatch.setattr(console._Status, name, seconds)


@pytest.mark.usefixtures("quick")
def test_a_terminal_shows_the_stage_in_its_last_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", stream := Stream(True))
    with console.showing():
        time.sleep(0.1)
        with stage("measuring"), console.showing():  # the outer one goes on showing
            time.sleep(0.1)
            console.note("a remark")
            before = stream.getvalue()
            time.sleep(0.1)
    shown = stream.getvalue()
    assert re.match(r"(\r\x1b\[Kworking: 0 s)+(\r\x1b\[Kmeasuring)+\r\x1b\[Ka remark\n", shown)
    assert before.endswith("\r\x1b[Ka remark\n"), "a remark stands in a line of its own"
    assert shown[len(before) :].startswith("\r\x1b[Kmeasuring")
    assert shown.endswith("\r\x1b[K"), "nothing of it stays"
    time.sleep(0.05)
    assert stream.getvalue() == shown


@pytest.mark.usefixtures("quick")
def test_while_something_else_shows_it_nothing_is_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", stream := Stream(True))
    with console.showing(), console.held(), stage("measuring"):
        time.sleep(0.1)
    assert stream.getvalue() == ""


@pytest.mark.usefixtures("quick")
def test_a_pipe_gets_a_line_for_what_takes_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", stream := Stream(False))
    with console.showing():
        time.sleep(0.1)
        for _ in range(5):
            with stage("a moment"):
                time.sleep(0.02)
        with stage("measuring"):
            time.sleep(0.4)
    lines = stream.getvalue().splitlines()
    assert lines[0] == "measuring"
    assert lines[1:] in (["measuring"], ["measuring", "measuring"])


def test_a_long_line_ends_at_the_edge(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", stream := Stream(True))
    monkeypatch.setenv("COLUMNS", "40")
    console._Status()._draw("x" * 100)
    assert stream.getvalue() == "\r\x1b[K" + "x" * 36 + "..."
