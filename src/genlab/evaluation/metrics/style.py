"""Style: how much of the slant and stroke width in a class-conditional model's images z determines.

A model draws every class from the same z. If z is the style, images of one z have a similar slant and stroke width in
all classes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from genlab.evaluation.metrics.rows import Floats


def _ink(images: NDArray[Any]) -> Floats:
    """Gray images in [0, 1], (N, H, W), from any (N, C, H, W), uint8 or in [0, 1]: the mean over channels."""
    scale = 255.0 if images.dtype == np.uint8 else 1.0
    found: Floats = images.astype(np.float64).mean(1) / scale
    return found


def slant(images: NDArray[Any]) -> Floats:
    """How far the ink moves to the right from one row of pixels to the row above, in pixels; (N,).

    For an image I with moments around the centre of its ink, m_xy = sum I (x - x0)(y - y0) and m_yy likewise, the slant
    is -m_xy / m_yy: 0 for an upright stroke, 1 for one that leans to the right by 45 degrees. 0 if the ink has no
    height. Images: (N, C, H, W), bright ink on a dark ground.
    """
    ink = _ink(images)
    total = ink.sum((1, 2))
    y, x = np.mgrid[: ink.shape[1], : ink.shape[2]].astype(np.float64)
    safe = np.where(total > 0, total, 1)[:, None, None]
    dx = x - (ink * x).sum((1, 2), keepdims=True) / safe
    dy = y - (ink * y).sum((1, 2), keepdims=True) / safe
    xy, yy = (ink * dx * dy).sum((1, 2)), (ink * dy * dy).sum((1, 2))
    found: Floats = -np.divide(xy, yy, out=np.zeros(len(ink)), where=yy > 0)
    return found


def stroke_width(images: NDArray[Any]) -> Floats:
    """Mean width of strokes in pixels; (N,).

    A stroke of length l and width w, both in pixels, has the area w l and, if it is much longer than wide, the edge
    2 l. So the width is twice the ink over the length of its edge, which is the total variation of the image, sum
    |grad I|. 0 for a black image.
    """
    ink = np.pad(_ink(images), ((0, 0), (1, 1), (1, 1)))
    dx, dy = np.diff(ink, axis=2)[:, :-1], np.diff(ink, axis=1)[:, :, :-1]
    edge = np.hypot(dx, dy).sum((1, 2))
    found: Floats = 2 * np.divide(ink.sum((1, 2)), edge, out=np.zeros(len(ink)), where=edge > 0)
    return found


def share_of_columns(values: NDArray[Any]) -> float | None:
    """Share of the variance within classes that the columns explain, for `values` (classes, columns).

    With v_kj the values minus the mean of their class, and c_j the mean of column j over the classes, it is

        classes * sum_j c_j^2 / sum_kj v_kj^2,

    the sum of squares between columns of a two-way analysis of variance without replication (Fisher 1925). 1: each
    column is the same in all classes. Its mean over all ways to shuffle each class's columns is exactly 1 / classes.
    None if no class varies.
    """
    table = np.asarray(values, np.float64)
    within = table - table.mean(1, keepdims=True)
    total = (within**2).sum()
    if not total > 1e-12 * max(1.0, (table**2).sum()):
        return None
    return float(len(table) * (within.mean(0) ** 2).sum() / total)
