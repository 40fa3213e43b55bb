"""Differentiable augmentation T of the images that a discriminator is trained on, real and generated alike.

On few images D learns them by heart, and G then learns nothing more. D sees T(x) and T(G(z)) instead, T random: it
cannot tell an image from its copies, and G, whose images are changed as much as the real ones, does not learn the
changes. T is differentiable, so that G learns through it (Zhao, Liu, Lin, Zhu and Han 2020).
"""

from __future__ import annotations

import torch
from torch import Tensor

from genlab.recipe.gan import GanAugmentation
from genlab.recipe.sizes import pixels

DRAWS = 7
"""Random numbers that an image needs, whatever is switched on: so no change moves another one's draws."""


def augmented(images: Tensor, settings: GanAugmentation, u: Tensor) -> Tensor:
    """T(images), each image by a T of its own: brightness, saturation, contrast, translation, cutout, in this order.

    Nothing is cut to [-1, 1], where a gradient would end.

    Args:
        images: floating point, (N, C, H, W), in [-1, 1].
        u: uniform draws from [0, 1), shape (DRAWS, N): of brightness, saturation, contrast, of translation down and
            right, and of the square's row and column.
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
    """middle + factor * (x - middle): distances from the middle are multiplied, and the middle stays."""
    return middle + factor * (x - middle)


def translated(x: Tensor, down: Tensor, right: Tensor) -> Tensor:
    """Images (N, C, H, W) moved by whole pixels, int64 (N,) each way; what comes in is what the edge has.

    The paper has 0, which is grey. The edge goes with black and with white ground, and puts no line there by which a
    shift would be known. The move is a product with matrices of zeros and ones: exact, and so is its gradient, which
    is the same at every call on every device.
    """
    rows, columns = (_moves(shift, side).to(x) for shift, side in ((down, x.shape[-2]), (right, x.shape[-1])))
    return rows @ x @ columns.mT


def _moves(shift: Tensor, side: int) -> Tensor:
    """(N, 1, side, side): whether place i of a line that is moved by `shift` (N,) shows what was at place j."""
    places = torch.arange(side, device=shift.device)
    return ((places - shift[:, None]).clamp(0, side - 1)[:, None, :, None]) == places


def cut_out(x: Tensor, width: int, row: Tensor, column: Tensor) -> Tensor:
    """Images (N, C, H, W) with a square of 0 in them, `width` pixels wide, whose middle is at (row, column), int64 (N,)
    each: it begins width // 2 before that. What of it lies outside of the image is left out.

    0 is grey, the paper's value: seen as missing on black and on white ground, and taken for neither.
    """
    rows, columns = (_within(at - width // 2, width, side) for at, side in ((row, x.shape[-2]), (column, x.shape[-1])))
    return x.masked_fill((rows[:, :, None] & columns[:, None, :])[:, None], 0)


def _within(first: Tensor, width: int, side: int) -> Tensor:
    """(N, side): whether each place of a line is one of the `width` from `first` (N,) on."""
    from_first = torch.arange(side, device=first.device) - first[:, None]
    return (from_first >= 0) & (from_first < width)


def _around(middle: float, reach: float, u: Tensor) -> Tensor:
    """Uniform draws u (N,) from [0, 1) as such from middle - reach .. middle + reach, (N, 1, 1, 1)."""
    return (middle + reach * (2 * u - 1)).view(-1, 1, 1, 1)


def _whole(u: Tensor, n: int) -> Tensor:
    """Uniform draws from [0, 1) as such from 0 .. n - 1, int64. A float32 below 1, times n, is below n after rounding,
    too: n / 2^24 is at least half of the distance between numbers there."""
    return (u * n).long()
