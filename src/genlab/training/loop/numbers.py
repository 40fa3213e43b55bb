"""Quantities that a loop reports about its steps, as columns of metric rows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from genlab.families.base import Column
from genlab.training.blocks import Block

Scalar = Tensor | float
SCORES = ("logit_real", "logit_fake")
"""Outputs of D for images; probabilities are logged as their logits."""


class Numbers:
    """Quantities of steps, read only when a row is due, so that until then no step waits for a device.

    Attributes:
        failure: message about the first value that was not finite, and its step; empty if there was none.
    """

    def __init__(self, columns: Sequence[Column]) -> None:
        self._means = [column.name for column in columns if column.block]
        self._block = Block(self._means)
        self._told: list[tuple[int, dict[str, Scalar]]] = []
        self._probabilities = True
        self.failure = ""

    def __bool__(self) -> bool:
        """Whether anything was reported since the last row."""
        return bool(self._told)

    def tell(self, step: int, **given: Scalar | None) -> None:
        """Record the quantities of a step; None means unknown."""
        values = {k: v.detach() if isinstance(v, Tensor) else float(v) for k, v in given.items() if v is not None}
        self._told.append((step, values))

    def row(self) -> dict[str, float]:
        """Last value of each quantity since the last row, with mean and quantiles for `block` columns; only finite
        values count."""
        last: dict[str, float] = {}
        for step, told in self._told:
            for name, given in told.items():
                value = self._logit(given) if name in SCORES else float(torch.as_tensor(given).float().mean())
                if not math.isfinite(value):
                    self.failure = self.failure or f"step {step}: {name} is not finite"
                    continue
                last[name] = value
                self._block.add({name: value})
        self._told = []
        return last | self._block.close()

    def _logit(self, scores: Any) -> float:
        """Mean logit of D's outputs; outputs that have always been in [0, 1] are probabilities."""
        p = torch.as_tensor(scores).float()
        self._probabilities &= bool(((p >= 0) & (p <= 1)).all())
        return float(torch.logit(p, 1e-7).mean() if self._probabilities else p.mean())
