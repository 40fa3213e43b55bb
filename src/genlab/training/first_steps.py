"""Check in the first steps of a training whether the engine's plan holds, and warn if it does not."""

from __future__ import annotations

import warnings

from genlab.engine import calibrate
from genlab.recipe import Engine

AFTER = 3
"""Step at which the plan is checked; earlier steps are warm-up."""


class FirstSteps:
    """Observer that times the plan's choice once more, against the default form that it replaced.

    If the choice takes clearly longer, the plan was measured on another machine or at a bad moment: it is forgotten, so
    that the next run measures again. This run keeps its settings, since others would give other bits.

    Args:
        given: engine section as the recipe has it.
        resolved: engine section with every `auto` resolved.
        convolutional: whether the networks have convolutions.
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
    """Warn if this machine has no instructions for a run's precision."""
    reason = calibrate.impossible(settings.device).get(settings.precision)
    if reason:
        warnings.warn(
            f"engine.precision {settings.precision}: {reason}; a step takes many times as long as in float32",
            stacklevel=3,
        )
