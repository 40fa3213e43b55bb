"""Progress of a run, reported by the process that carries it out: one line of JSON whenever something has changed."""

from __future__ import annotations

import json
import threading
from typing import Any

from genlab.engine import stages

TICK = 0.5
"""Seconds between two progress lines."""


class Teller:
    """Reports the progress of a run whenever it has changed."""

    def __init__(self, stream: Any) -> None:
        self._stream, self._lock, self._last = stream, threading.Lock(), ""
        self.step, self.total = 0, 0
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Teller:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def say(self, event: str, **facts: Any) -> None:
        with self._lock:
            self._stream.write(json.dumps({"event": event, **facts}) + "\n")
            self._stream.flush()

    def started(self, schedule: Any, run: object, done: int) -> None:
        self.step, self.total = done, schedule.total_steps

    def stepped(self, step: int, seconds: float) -> None:
        self.step = step

    def _watch(self) -> None:
        """Report only changes, so that silence means that nothing is happening."""
        while not self._end.wait(TICK):
            there = stages.now()
            now = f"{self.step} {[(each.words, each.done) for each in there]}"
            if now != self._last:
                self._last = now
                self.say("at", step=self.step, of=self.total, doing=there[-1].words if there else "training")
