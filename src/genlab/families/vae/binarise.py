"""Binarise gray pixels: each is white with its gray as probability, else black (Salakhutdinov and Murray 2008).

Published likelihoods of MNIST are for such images, binarised once (`fixed`) or anew whenever they are shown (`drawn`).
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

_SEED = 2008
_GOLDEN, _MIX_1, _MIX_2 = (np.uint64(k) for k in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB))


def drawn(images: Tensor, uniform: Tensor) -> Tensor:
    """uint8 images of 0 and 255: white where `uniform`, in [0, 1) with the images' shape, is below gray / 255."""
    return (uniform * 255 < images).to(torch.uint8) * 255


def fixed(images: Tensor) -> Tensor:
    """uint8 images (N, C, H, W) binarised once and for all: the same image always becomes the same one.

    The draws are a hash of the image and the pixel's position, so they depend neither on a run's seed nor on the order,
    number or split of the images.
    """
    pixels = images.flatten(1).numpy().astype(np.uint64)
    places = np.arange(1, pixels.shape[1] + 1, dtype=np.uint64) * _GOLDEN + np.uint64(_SEED)
    of_image = (_mixed(places) * (pixels + np.uint64(1))).sum(1, dtype=np.uint64)
    bits = _mixed(_mixed(of_image)[:, None] + places)
    uniform = torch.from_numpy((bits >> np.uint64(40)).astype(np.float32) / 2**24)
    return drawn(images, uniform.view(images.shape))


def _mixed(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Well mixed bits, modulo 2^64: the finaliser of SplitMix64 (Steele, Lea and Flood 2014)."""
    x = (x ^ (x >> np.uint64(30))) * _MIX_1
    x = (x ^ (x >> np.uint64(27))) * _MIX_2
    return x ^ (x >> np.uint64(31))
