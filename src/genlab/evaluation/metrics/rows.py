"""What every metric requires of its input: finite numbers, one row per image."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def features_of(values: NDArray[Any], name: str = "features") -> Floats:
    """Features (N, d), or probabilities or logits (N, K), as float64.

    Raises:
        ValueError: the shape is another one, such as that of images; there are no rows, or one is not finite.
    """
    shape = np.shape(values)
    if len(shape) != 2:
        made = "genlab.features(images, 'mnist')" if name == "features" else "genlab.load_judge('mnist')(images)"
        raise ValueError(
            f"{name}: expected N x d (one row per image), not {' x '.join(map(str, shape)) or 'a number'}; "
            f"{made} computes them from images"
        )
    return rows_of(values, name)


def rows_of(values: NDArray[Any], name: str = "features") -> Floats:
    """The values (N, ...) as float64.

    Raises:
        ValueError: there are no rows, or one is not finite (the message names the first).
    """
    rows = np.asarray(values, np.float64)
    if not len(rows):
        raise ValueError(f"{name}: no rows")
    bad = np.flatnonzero(~np.isfinite(rows).reshape(len(rows), -1).all(1))
    if len(bad):
        raise ValueError(f"{name}: row {bad[0]} is not finite ({len(bad):,} of {len(rows):,} rows are not)")
    return rows
