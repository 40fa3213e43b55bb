"""How a picture of any size, depth and colour becomes an image of a dataset: every step is a named choice.

In this order: values of more than 8 bits (or another range) become 0 .. 255; transparent pixels are laid on a ground;
colour becomes gray, or gray becomes colour; the picture is brought to a square of `size` pixels.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from genlab.data.dataset import Images
from genlab.data.sources.picture import BITS_16, OutOfRange, Picture, Unreadable

Fit = Literal["pad", "crop", "stretch"]
Color = Literal["gray", "rgb"]
Ground = Literal["black", "white"]
FITS: tuple[Fit, ...] = ("pad", "crop", "stretch")
COLORS: tuple[Color, ...] = ("gray", "rgb")
GROUNDS: tuple[Ground, ...] = ("black", "white")
LUMA = "luma, .299 R + .587 G + .114 B"
EVEN, CLOSE = 0.9, 8
"""A ground is even if at least this fraction of the border's pixels is within this many levels of their median."""


@dataclass(frozen=True)
class Conversion:
    """What is done to each picture.

    Attributes:
        size: side of the images, pixels.
        fit: how a picture becomes a square of that side; None if all are one already.
            `pad`: shrunk until it fits, never enlarged, centred on a ground; `crop`: its shorter side becomes `size`,
            and the middle is cut out; `stretch`: both sides become `size`.
        color: gray (by luma) or rgb (gray by repetition).
        range: values of black and white; None: 0 .. 255 for 8 bits, 0 .. 65535 for 16.
        ground: colour under transparent pixels and around padded pictures; None: white under transparent pixels, and
            around a picture its own background if its border is uniform, else black.
    """

    size: int
    fit: Fit | None
    color: Color
    range: tuple[float, float] | None = None
    ground: Ground | None = None

    def __call__(self, picture: Picture) -> Images:
        """The image, (C, size, size).

        Raises:
            Unreadable: values outside of the range, or another size without a `fit`.
        """
        pixels = in_bytes(picture.pixels, self.range)
        if picture.alpha is not None:
            pixels = laid_on(pixels, picture.alpha, 0 if self.ground == "black" else 255)
        channels = 1 if self.color == "gray" else 3
        return fitted(coloured(pixels, channels), self.size, self.fit, self.ground)

    def record(self) -> dict[str, Any]:
        """The conversion as it is written into the file."""
        return asdict(self) | {"interpolation": "bilinear (Pillow)", "gray": LUMA}


def in_bytes(x: NDArray[Any], between: tuple[float, float] | None) -> Images:
    """Pixels as 0 .. 255: round(255 (x - low) / (high - low)).

    Raises:
        Unreadable: no range is known, or NaN. OutOfRange: values outside of it; says which occur.
    """
    if between is None and x.dtype == np.uint8:
        return x
    if between is None and x.dtype != np.uint16:
        raise Unreadable(f"{x.dtype} pixels with values {_extent(x)}: --range LOW..HIGH says what is black and white")
    low, high = between or (0, BITS_16)
    if x.size and not (x.min() >= low and x.max() <= high):  # NaN too.
        kind = Unreadable if x.dtype.kind == "f" and not np.isfinite(x).all() else OutOfRange
        raise kind(f"values {_extent(x)}, outside of --range {low:g}..{high:g}")
    if between is not None and x.dtype == np.uint8 and high > 255:
        raise OutOfRange(f"8 bits, which --range {low:g}..{high:g} would make black; without --range both depths work")
    return np.rint((x.astype(np.float64) - low) * (255 / (high - low))).astype(np.uint8)


def _extent(x: NDArray[Any]) -> str:
    if x.dtype.kind == "f" and not np.isfinite(x).all():
        return "with NaN or infinity"
    return f"{float(x.min()):.6g} .. {float(x.max()):.6g}"


def laid_on(pixels: Images, alpha: NDArray[np.uint8], ground: int) -> Images:
    """Pixels over a ground of one level: round(alpha x + (1 - alpha) ground)."""
    weight = alpha.astype(np.float64) / 255
    return np.rint(weight * pixels + (1 - weight) * ground).astype(np.uint8)


def coloured(pixels: Images, channels: int) -> Images:
    """Pixels (C, H, W) with `channels` channels: gray by luma, as Pillow does it; colour by repetition."""
    if len(pixels) > channels:
        if (pixels[0] == pixels[1]).all() and (pixels[1] == pixels[2]).all():
            return pixels[:1]
        return np.asarray(Image.fromarray(pixels.transpose(1, 2, 0)).convert("L"))[None]
    return pixels.repeat(channels, axis=0) if len(pixels) < channels else pixels


def fitted(pixels: Images, size: int, fit: Fit | None, ground: Ground | None = None) -> Images:
    """Pixels (C, H, W) fitted to (C, size, size).

    Raises:
        Unreadable: the size differs, and `fit` is None.
    """
    height, width = pixels.shape[1:]
    if (height, width) == (size, size):
        return pixels
    if fit is None:
        raise Unreadable(f"{width} x {height} pixels instead of {size} x {size}: --fit pad, crop or stretch")
    if fit == "stretch":
        return resized(pixels, size, size)
    if fit == "crop":
        scale = size / min(width, height)
        pixels = resized(pixels, max(size, round(width * scale)), max(size, round(height * scale)))
        top, left = (pixels.shape[1] - size) // 2, (pixels.shape[2] - size) // 2
        return np.ascontiguousarray(pixels[:, top : top + size, left : left + size])
    if max(width, height) > size:
        scale = size / max(width, height)
        pixels = resized(pixels, max(1, round(width * scale)), max(1, round(height * scale)))
    top, left = (size - pixels.shape[1]) // 2, (size - pixels.shape[2]) // 2
    made = np.empty((len(pixels), size, size), np.uint8)
    made[:] = np.asarray(around(pixels) if ground is None else 255 * (ground == "white"), np.uint8).reshape(-1, 1, 1)
    made[:, top : top + pixels.shape[1], left : left + pixels.shape[2]] = pixels
    return made


def around(pixels: Images) -> NDArray[np.uint8]:
    """Ground around a picture, one level per channel: the median of its border if that is uniform, else black."""
    border = np.concatenate([pixels[:, 0], pixels[:, -1], pixels[:, :, 0], pixels[:, :, -1]], axis=1)
    median = np.median(border, axis=1).astype(np.uint8)
    even = (np.abs(border - median[:, None].astype(np.int16)) <= CLOSE).all(0).mean() >= EVEN
    return median if even else np.zeros_like(median)


def resized(pixels: Images, width: int, height: int) -> Images:
    """Pixels interpolated channel by channel by Pillow's bilinear kernel, which averages when it shrinks."""
    if pixels.shape[1:] == (height, width):
        return pixels
    return np.stack([np.asarray(Image.fromarray(x).resize((width, height), Image.Resampling.BILINEAR)) for x in pixels])
