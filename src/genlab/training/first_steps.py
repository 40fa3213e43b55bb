"""Whether the engine's plan holds, looked at in the first steps of a training; it is said where it does not."""

from __future__ import annotations

import warnings

from genlab.engine import calibrate
from genlab.recipe import Engine

AFTER = 3
"""Steps; the ones before warm up."""


class FirstSteps:
    """An observer: what the plan has chosen is timed once more beside what it has left for it.

    Where that takes clearly longer, the plan was measured on another machine or in a bad moment: it is forgotten, so
    that the next run measures again. This run keeps it, since another one would give other bits.

    Args:
        given: the engine section as the recipe has it.
        resolved: as it became.
        convolutional: whether there are convolutions.
    """

    def __init__(self, given: Engine, resolved: Engine, convolutional: bool) -> None:
        self.chosen, self.convolutional = resolved.model_dump(), convolutional
        self.automatic = {
            field for field in calibrate.FIRST if given.plan == "auto" and getattr(given, field) == "auto"
        }
        self.steps = 0

    def stepped(self, step: int, seconds: float) -> None:
        self.steps += 1
        if self.steps != AFTER or self.chosen["device"] != "cpu":
            return
        found = calibrate.slower(self.chosen, self.automatic, self.convolutional)
        if found:
            calibrate.forget("cpu")
            warnings.warn(
                f"the calibration remembered for this machine is wrong: {found}. It was forgotten; this run keeps its "
                "settings. The next run calibrates again (genlab bench plan --anew does it now)",
                stacklevel=2,
            )


def note_precision(settings: Engine) -> None:
    """Say that a run's precision is one that this machine has no instructions for."""
    reason = calibrate.impossible(settings.device).get(settings.precision)
    if reason:
        warnings.warn(
            f"engine.precision {settings.precision}: {reason}; a step takes many times as long as in float32",
            stacklevel=3,
        )
