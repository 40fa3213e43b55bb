"""Cost of passes through a network, in units of one forward pass."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

FORWARD_BACKWARD = 3
"""Cost of a forward and a backward pass together: the backward pass computes two products per weight."""
THROUGH = 2
"""The same for a network held fixed: only the gradient with respect to its input is computed."""
TWICE = 6
"""Approximate cost of a gradient with respect to images that is itself differentiated."""


def of_one_pass(recipe: Any, adds: Mapping[str, float], times: Mapping[str, int] | None = None) -> float:
    """Multiply-adds per training image if all networks learn in one forward and backward pass.

    Args:
        times: passes per image of each network that does not make exactly one.
    """
    return FORWARD_BACKWARD * sum(each * (times or {}).get(name, 1) for name, each in adds.items())
