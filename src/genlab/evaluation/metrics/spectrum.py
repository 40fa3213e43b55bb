"""How much detail of each size images have: the radial power spectrum."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from genlab.evaluation.metrics.rows import Floats, rows_of

DETAIL = (0.15, 0.30)
"""Frequencies of edges and strokes, in cycles per pixel: too little power here is blur."""
GRAIN = (0.36, 0.50)
"""The finest frequencies, at which smooth images have little power: too much here is noise."""


def frequencies(side: int) -> Floats:
    """Frequencies of `power_spectrum`'s rings for images of `side` pixels, cycles per pixel: 0 .. 0.5,
    (side // 2 + 1,)."""
    return np.arange(side // 2 + 1) / side


def power_spectrum(images: NDArray[Any]) -> Floats:
    """Power of images (N, C, H, W) in [0, 1] on each ring of frequencies: (N, rings), see `frequencies`.

    |DFT|^2 / (H W)^2 summed over the frequencies whose distance from 0 rounds to that ring, mean over channels; corners
    beyond half a cycle per pixel are left out. With them, by Parseval, the rings would sum to the mean squared pixel.
    """
    n, _, side, _ = images.shape
    each = np.fft.fftfreq(side) * side
    ring = np.rint(np.hypot(each[:, None], each[None, : side // 2 + 1])).astype(np.int64)
    # A real image's spectrum is symmetric: columns between 0 and half a cycle count twice.
    twice = np.where((np.arange(side // 2 + 1) == 0) | (np.arange(side // 2 + 1) * 2 == side), 1.0, 2.0)
    rings = np.eye(ring.max() + 1)[ring.ravel()] * np.tile(twice, side)[:, None]
    found = np.empty((n, side // 2 + 1))
    for start in range(0, n, 500):
        part = rows_of(images[start : start + 500], "images")
        power = np.square(np.abs(np.fft.rfft2(part))).mean(1) / side**4
        found[start : start + 500] = (power.reshape(len(part), -1) @ rings)[:, : side // 2 + 1]
    return found


def band_power(spectra: Floats, side: int, band: tuple[float, float]) -> Floats:
    """Power of each image between two frequencies, both inclusive: spectra (N, rings) -> (N,)."""
    f = frequencies(side)
    summed: Floats = spectra[:, (f >= band[0]) & (f <= band[1])].sum(1)
    return summed
