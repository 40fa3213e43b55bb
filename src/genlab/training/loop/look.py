"""Observe single steps of a loop: how far its networks moved, by which optimiser, and how many units are dead."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager

from torch import nn

from genlab.training.loop.steps import OptimiserSteps
from genlab.training.vitals import Vitals

ENDINGS = {"G": "_g", "D": "_d", "model": ""}
"""Suffix of the names of a network's columns."""
OTHER = {"G": "update_g_by_d", "D": "update_d_by_g"}


class Look:
    """Observes a step from `begin` to `found`.

    Args:
        networks: G and D, or model.
    """

    def __init__(self, networks: Mapping[str, nn.Module]) -> None:
        self._vitals = Vitals(networks, {name: ENDINGS[name] for name in networks})
        self._steps = OptimiserSteps(networks)
        self._open: tuple[AbstractContextManager[dict[str, float]], dict[str, float]] | None = None

    def begin(self) -> None:
        """Start to observe a step."""
        context = self._vitals.of_a_step()
        self._open = context, context.__enter__()
        self._steps.begin()

    def found(self) -> dict[str, float]:
        """What was observed, as columns of a row; empty if no observation was started."""
        if self._open is None:
            return {}
        (context, row), self._open = self._open, None
        context.__exit__(None, None, None)
        heard = self._steps.taken()
        row |= {f"grad_norm{ENDINGS[name]}": norm for name, norm in heard.norms.items()}
        return row | {OTHER[name]: moved for name, moved in heard.by_others.items() if name in OTHER}

    def close(self) -> None:
        """Remove all hooks."""
        self.found()
        self._steps.close()
