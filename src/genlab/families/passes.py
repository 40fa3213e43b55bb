"""What passes through a network cost, in forward passes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

FORWARD_BACKWARD = 3
"""Forward passes that a forward and a backward pass cost together: the backward one computes two products a weight."""
THROUGH = 2
"""The same for a network held fixed: only the gradient of its input is computed."""
TWICE = 6
"""About the same for a gradient with respect to images that is itself differentiated."""


def of_one_pass(recipe: Any, adds: Mapping[str, float], times: Mapping[str, int] | None = None) -> float:
    """Multiply-adds for each training image where all networks learn in one pass forward and backward.

    Args:
        times: how often a network passes for an image, if not once.
    """
    return FORWARD_BACKWARD * sum(each * (times or {}).get(name, 1) for name, each in adds.items())
