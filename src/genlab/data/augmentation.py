"""Disturbed copies of training images, so that a classifier responds to content rather than to its rendering."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from genlab.recipe.classifier import Augmentation


def augmented(images: Tensor, settings: Augmentation, stream: torch.Generator) -> Tensor:
    """uint8 images (N, C, H, W), each disturbed at random, as float32 in [0, 1], on the CPU; see `recipe.Augmentation`.

    Args:
        stream: generator of the draws; shift and noise, if not 0, take additional draws.
    """
    n = len(images)
    chosen = torch.rand(5, n, 1, 1, 1, generator=stream) < settings.probability
    strength = torch.rand(5, n, 1, 1, 1, generator=stream)
    x = images.float() / 255
    if settings.shift:
        offsets = torch.randint(-settings.shift, settings.shift + 1, (2, n), generator=stream)
        x = shifted(x, *(offsets * chosen[0].view(1, n)))
    if settings.blur:
        x = torch.where(chosen[1], blurred(x, (settings.blur * strength[1]).view(n)), x)
    if settings.contrast:
        factor = 1 + settings.contrast * (2 * strength[2] - 1)
        x = torch.where(chosen[2], 0.5 + factor * (x - 0.5), x)
    if settings.brightness:
        x = torch.where(chosen[3], x + settings.brightness * (2 * strength[3] - 1), x)
    if settings.noise:
        noise = torch.randn(x.shape, generator=stream)
        x = torch.where(chosen[4], x + settings.noise * strength[4] * noise, x)
    return x.clamp(0, 1)


def shifted(images: Tensor, down: Tensor, right: Tensor) -> Tensor:
    """Images (N, C, H, W) shifted by whole pixels, int64 (N,) per direction; vacated pixels are 0."""
    n, _, height, width = images.shape
    rows = torch.arange(height) - down[:, None]
    columns = torch.arange(width) - right[:, None]
    inside = ((rows >= 0) & (rows < height))[:, :, None] & ((columns >= 0) & (columns < width))[:, None, :]
    which = torch.arange(n)[:, None, None]
    moved = images.permute(0, 2, 3, 1)[
        which, rows.clamp(0, height - 1)[:, :, None], columns.clamp(0, width - 1)[:, None]
    ]
    return (moved * inside[..., None]).permute(0, 3, 1, 2)


def blurred(images: Tensor, sigma: Tensor) -> Tensor:
    """Images (N, C, H, W) blurred by Gaussian kernels of standard deviation `sigma` (N,) pixels, cut off at three times
    the largest one; beyond an image, its edge is repeated."""
    n, channels, height, width = images.shape
    reach = max(1, int(torch.ceil(3 * sigma.max())))
    offsets = torch.arange(-reach, reach + 1, dtype=torch.float32)
    kernel = torch.exp(-0.5 * (offsets / sigma[:, None].clamp(min=1e-3)) ** 2)
    kernel = (kernel / kernel.sum(1, keepdim=True)).repeat_interleave(channels, 0)
    flat = F.pad(images.reshape(1, n * channels, height, width), (reach, reach, reach, reach), mode="replicate")
    flat = F.conv2d(flat, kernel[:, None, :, None], groups=n * channels)
    flat = F.conv2d(flat, kernel[:, None, None, :], groups=n * channels)
    return flat.reshape(images.shape)
