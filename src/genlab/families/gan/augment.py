"""Differentiable augmentation T of the images that a discriminator is trained on, real and generated alike.

With few images D memorises them, and G then learns nothing more. Instead, D sees T(x) and T(G(z)) with random T: it
cannot tell an image from its altered copies, and G, whose images are altered as much as the real ones, does not learn
the alterations. T is differentiable, so that G learns through it (Zhao, Liu, Lin, Zhu and Han 2020).
"""

from __future__ import annotations

import torch
from torch import Tensor

from genlab.recipe.gan import GanAugmentation
from genlab.recipe.sizes import pixels

DRAWS = 7
"""Random numbers per image, whatever is switched on, so that no change shifts the draws of another."""


def augmented(images: Tensor, settings: GanAugmentation, u: Tensor) -> Tensor:
    """T(images), with a separate T per image: brightness, saturation, contrast, translation, cutout, in this order.

    Nothing is clipped to [-1, 1], which would stop the gradient.

    Args:
        images: floating point, (N, C, H, W), in [-1, 1].
        u: uniform draws from [0, 1), shape (DRAWS, N): for brightness, saturation, contrast, translation down and
            right, and the square's row and column.
    """
    x, side = images, images.shape[-1]
    if settings.brightness:
        x = x + _around(0, settings.brightness, u[0])
    if settings.saturation:
        x = stretched(x, x.mean(1, keepdim=True), _around(1, settings.saturation, u[1]))
    if settings.contrast:
        x = stretched(x, x.mean((1, 2, 3), keepdim=True), _around(1, settings.contrast, u[2]))
    if reach := pixels(settings.translation, side):
        x = translated(x, *(_whole(u[3:5], 2 * reach + 1) - reach))
    if width := pixels(settings.cutout, side):
        x = cut_out(x, width, *_whole(u[5:7], side + 1 - width % 2))
    return x


def stretched(x: Tensor, middle: Tensor, factor: Tensor) -> Tensor:
    """middle + factor * (x - middle): distances from the middle are scaled, and the middle stays."""
    return middle + factor * (x - middle)


def translated(x: Tensor, down: Tensor, right: Tensor) -> Tensor:
    """Images (N, C, H, W) shifted by whole pixels, int64 (N,) along each axis; vacated pixels repeat the edge.

    The paper fills with 0, which is grey. Repeating the edge suits black and white backgrounds, and leaves no line that
    would reveal a shift. The shift is a product with matrices of zeros and ones: it is exact, and so is its gradient,
    which is the same at every call on every device.
    """
    rows, columns = (_moves(shift, side).to(x) for shift, side in ((down, x.shape[-2]), (right, x.shape[-1])))
    return rows @ x @ columns.mT


def _moves(shift: Tensor, side: int) -> Tensor:
    """(N, 1, side, side): whether position i of a line shifted by `shift` (N,) shows what was at position j."""
    places = torch.arange(side, device=shift.device)
    return ((places - shift[:, None]).clamp(0, side - 1)[:, None, :, None]) == places


def cut_out(x: Tensor, width: int, row: Tensor, column: Tensor) -> Tensor:
    """Images (N, C, H, W) with a square of zeros, `width` pixels wide, centred at (row, column), int64 (N,) each: it
    begins width // 2 before that. Any part outside the image is dropped.

    0 is grey, the paper's value: seen as missing on black and white backgrounds, and mistaken for neither.
    """
    rows, columns = (_within(at - width // 2, width, side) for at, side in ((row, x.shape[-2]), (column, x.shape[-1])))
    return x.masked_fill((rows[:, :, None] & columns[:, None, :])[:, None], 0)


def _within(first: Tensor, width: int, side: int) -> Tensor:
    """(N, side): whether each position of a line is among the `width` positions from `first` (N,) on."""
    from_first = torch.arange(side, device=first.device) - first[:, None]
    return (from_first >= 0) & (from_first < width)


def _around(middle: float, reach: float, u: Tensor) -> Tensor:
    """Uniform draws u (N,) from [0, 1), mapped to middle - reach .. middle + reach, (N, 1, 1, 1)."""
    return (middle + reach * (2 * u - 1)).view(-1, 1, 1, 1)


def _whole(u: Tensor, n: int) -> Tensor:
    """Uniform draws from [0, 1), mapped to the integers 0 .. n - 1, int64. A float32 below 1 times n stays below n even
    after rounding: n / 2^24 is at least half the spacing of floats there."""
    return (u * n).long()
