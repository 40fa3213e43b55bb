"""Workers of a study, kept from run to run: a new one loads PyTorch, which takes seconds."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from genlab.study import processes
from genlab.study.plan import Cell
from genlab.study.processes import Processes


class Pretended:
    """A worker whose runs end at once."""

    made = 0

    def __init__(self, threads: int, something: threading.Event) -> None:
        self.threads, self.moved_at, self.is_alive = threads, float("inf"), True
        type(self).made += 1

    def begin(self, task: dict[str, Any]) -> None:
        assert self.is_alive

    def read(self) -> list[dict[str, Any]]:
        return []

    def outcome(self) -> tuple[str, dict[str, Any]]:
        return "end", {"state": "finished"}

    def kill(self) -> None:
        self.is_alive = False


def task(threads: int) -> dict[str, Any]:
    return {"recipe": {"engine": {"threads": threads}}}


def test_two_workers_whose_runs_end_together_are_both_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "_Worker", Pretended)
    monkeypatch.setattr(Pretended, "made", 0)
    place = Processes(workers=2, patience=60)
    for seed in range(5):
        for arm in ("a", "b"):
            place.start(Cell(arm, seed), task(threads=1))
        assert len(place.hear(0)) == 2
    assert Pretended.made == 2
    place.start(Cell("other", 0), task(threads=2))  # It needs a worker of its own kind, and ends the others.
    assert Pretended.made == 3
    assert [worker.is_alive for worker in place._idle] == []
