"""Images as a training loop has them: flat or in planes, in the range of their generator's output."""

from __future__ import annotations

from typing import Any

import numpy as np

from genlab.data.arrays import extent, planes
from genlab.data.dataset import Images
from genlab.errors import DataError

Range = tuple[float, float]
RANGES: tuple[Range, ...] = ((0.0, 1.0), (-1.0, 1.0), (0.0, 255.0))
"""Values of black and white: after a logistic function, after tanh, and as bytes."""
SLACK = 0.01
"""Fraction of a range by which values may lie outside of it, as those from averaged weights do."""


def range_of(x: np.ndarray[Any, Any], where: str) -> Range:
    """Range of images: the smallest of `RANGES` that holds them.

    >>> range_of(np.array([-0.3, 0.8]), "samples")
    (-1.0, 1.0)

    Raises:
        DataError: no range holds them, or a value is not finite.
    """
    if x.dtype == np.uint8:
        return RANGES[2]
    if x.dtype.kind == "f" and x.size and np.isfinite(x).all():
        low, high = float(x.min()), float(x.max())
        for a, b in RANGES:
            if a - SLACK * (b - a) <= low and high <= b + SLACK * (b - a):
                return a, b
    raise DataError(
        f"{where} is {x.dtype}{extent(x)}; expected images in [0, 1], in [-1, 1] or in 0 .. 255 (values_in says which)"
    )


def as_bytes(x: np.ndarray[Any, Any], values_in: Range, where: str) -> Images:
    """Images in a range as uint8 (N, C, H, W); values outside of it are clipped.

    Args:
        x: N x pixels, N x H x W, N x C x H x W or N x H x W x C, square.

    Raises:
        DataError: unsupported shape, or images that are not square.
    """
    images = planes(x, where, [])
    if images.shape[2] != images.shape[3]:
        raise DataError(f"{where} has images of {images.shape[3]} x {images.shape[2]} pixels; expected squares")
    if images.dtype == np.uint8:
        return np.ascontiguousarray(images)
    low, high = values_in
    unit = np.nan_to_num((images.astype(np.float32) - low) / (high - low))
    return np.ascontiguousarray(np.rint(unit.clip(0, 1) * 255).astype(np.uint8))
