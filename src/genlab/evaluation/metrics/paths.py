"""Smoothness of a path through latent space, in the features of its images."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from genlab.evaluation.metrics.rows import Floats, rows_of


def _steps(paths: NDArray[Any]) -> Floats:
    rows = rows_of(paths, "paths")
    lengths: Floats = np.linalg.norm(np.diff(rows, axis=1), axis=2)
    return lengths


def path_length(paths: NDArray[Any]) -> Floats:
    """Sum of the distances between neighbours along each path: features (P, steps, d) -> (P,).

    At least the distance between the path's ends (a straight line in feature space).
    """
    summed: Floats = _steps(paths).sum(1)
    return summed


def roughest_step(paths: NDArray[Any]) -> Floats:
    """Longest step of each path as a share of its length, (P,): 1 / (steps - 1) for an even path, 1 for a jump.

    0 if a path does not move at all.
    """
    steps = _steps(paths)
    length = steps.sum(1)
    share: Floats = np.divide(steps.max(1), length, out=np.zeros(len(steps)), where=length > 0)
    return share
