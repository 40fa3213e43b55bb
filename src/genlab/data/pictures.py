"""Image arrays as pictures: grids, PNG."""

from __future__ import annotations

import importlib.util
import io
import math
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont, PngImagePlugin
from torch import Tensor

from genlab.engine import seals

GAP = 2
SCALE = 2


def to_uint8(images: Tensor | NDArray[Any]) -> NDArray[np.uint8]:
    """uint8 images as they are; float images in [0, 1] rounded to 0 .. 255."""
    array = np.asarray(images)
    return np.asarray(array if array.dtype == np.uint8 else np.rint(np.clip(array, 0, 1) * 255), np.uint8)


def grid(images: Tensor | NDArray[Any], columns: int) -> NDArray[np.uint8]:
    """Images (N, C, H, W), row by row, as one uint8 picture (height, width, C) with white lines between them."""
    array = to_uint8(images)
    n, channels, height, width = array.shape
    rows = -(-n // columns)
    picture = np.full((rows * (height + GAP) - GAP, columns * (width + GAP) - GAP, channels), 255, np.uint8)
    for k, image in enumerate(array):
        top, left = (k // columns) * (height + GAP), (k % columns) * (width + GAP)
        picture[top : top + height, left : left + width] = image.transpose(1, 2, 0)
    return picture


def tiles(picture: NDArray[np.uint8], side: int) -> list[NDArray[np.uint8]]:
    """The images of a `grid`, row by row, each (side, side, C)."""
    height, width = picture.shape[:2]
    return [
        picture[top : top + side, left : left + side]
        for top in range(0, height, side + GAP)
        for left in range(0, width, side + GAP)
    ]


def png(picture: NDArray[np.uint8], text: Mapping[str, str] | None = None, scale: int = SCALE) -> bytes:
    """A picture (height, width, C) as a sealed PNG, each pixel `scale` pixels wide, with `text` in its metadata."""
    array = picture.repeat(scale, axis=0).repeat(scale, axis=1)
    info = PngImagePlugin.PngInfo()
    for key, value in (text or {}).items():
        info.add_itxt(key, value)
    buffer = io.BytesIO()
    Image.fromarray(array.squeeze(2) if array.shape[2] == 1 else array).save(buffer, "PNG", pnginfo=info)
    return seals.seal_png(buffer.getvalue())


FACE = Path("mpl-data", "fonts", "ttf", "DejaVuSans.ttf")
"""Matplotlib's own typeface, which covers most alphabets."""


@cache
def _fonts(size: int) -> tuple[ImageFont.FreeTypeFont | ImageFont.ImageFont, ...]:
    """Pillow's typeface and, if it is installed, matplotlib's (without importing matplotlib)."""
    found = importlib.util.find_spec("matplotlib")
    place = Path(found.origin).parent / FACE if found and found.origin else None
    more = (ImageFont.truetype(str(place), size),) if place and place.exists() else ()
    return (ImageFont.load_default(size), *more)


def has_letters(font: Any, text: str) -> bool:
    """Whether a typeface covers a text: it draws each character unlike one that does not exist."""
    missing = bytes(font.getmask(chr(0x10FFFD)))
    return all(char.isspace() or bytes(font.getmask(char)) != missing for char in text)


def legible(names: Sequence[str]) -> list[str]:
    """Names as pictures can show them: a name that no typeface here covers becomes its number, as in "class 3"."""
    return [name if has_letters(_fonts(14)[-1], name) else f"class {k}" for k, name in enumerate(names)]


def _sheet(width: int, height: int, channels: int) -> tuple[Image.Image, int | tuple[int, int, int]]:
    """A white picture, gray or in colour, and the ink to write on it with."""
    if channels == 1:
        return Image.new("L", (width, height), 255), 60
    return Image.new("RGB", (width, height), (255, 255, 255)), (60, 60, 60)


def captioned(
    images: Tensor | NDArray[Any], captions: Sequence[str], columns: int, least: int = 112
) -> NDArray[np.uint8]:
    """A grid with a caption below each image; images are enlarged by a whole factor to at least `least` pixels wide,
    and a caption too long for its image is cut."""
    array = to_uint8(images)
    scale = max(1, math.ceil(least / array.shape[3]))
    cells = array.repeat(scale, axis=2).repeat(scale, axis=3)
    font = next((each for each in _fonts(12) if all(has_letters(each, name) for name in captions)), _fonts(12)[-1])
    strip = np.full((*cells.shape[:2], 18, cells.shape[3]), 255, np.uint8)
    for k, caption in enumerate(captions):
        while caption and font.getlength(caption) > cells.shape[3]:
            caption = caption[:-1]
        line = Image.new("L", (cells.shape[3], 18), 255)
        ImageDraw.Draw(line).text((cells.shape[3] / 2, 13), caption, 60, font, anchor="ms")
        strip[k] = np.asarray(line)
    return grid(np.concatenate([cells, strip], axis=2), columns)


def beside(panels: Sequence[NDArray[np.uint8]], titles: Sequence[str], scale: int = SCALE) -> NDArray[np.uint8]:
    """Pictures (height, width, C) of equal height side by side, each under its title of one or more lines."""
    drawn = [panel.repeat(scale, axis=0).repeat(scale, axis=1) for panel in panels]
    top, gap = 10 + 17 * max(title.count("\n") + 1 for title in titles), 16
    height, channels = top + max(panel.shape[0] for panel in drawn), drawn[0].shape[2]
    width = sum(panel.shape[1] for panel in drawn) + gap * (len(drawn) - 1)
    canvas, ink = _sheet(width, height, channels)
    draw, left = ImageDraw.Draw(canvas), 0
    for panel, title in zip(drawn, titles, strict=True):
        canvas.paste(Image.fromarray(panel.squeeze(2) if channels == 1 else panel), (left, top))
        draw.multiline_text((left + panel.shape[1] / 2, 4), title, ink, _fonts(13)[0], anchor="ma", align="center")
        left += panel.shape[1] + gap
    found = np.asarray(canvas)
    return found[:, :, None] if channels == 1 else found


def labelled(
    picture: NDArray[np.uint8], rows: Sequence[str] = (), columns: Sequence[str] = (), scale: int = SCALE
) -> NDArray[np.uint8]:
    """A grid, each pixel `scale` pixels wide, with a name beside each row and above each column; it stays gray or in
    colour. Names too long for their column are left out."""
    array = picture.repeat(scale, axis=0).repeat(scale, axis=1)
    rows, columns = legible(rows), legible(columns)
    font = next(
        (each for each in _fonts(14) if all(has_letters(each, name) for name in (*rows, *columns))), _fonts(14)[-1]
    )
    left = max((math.ceil(font.getlength(name)) for name in rows), default=0)
    left, top = (left + 12 if rows else 0), (22 if columns else 0)
    height, width, channels = array.shape
    canvas, ink = _sheet(left + width, top + height, channels)
    canvas.paste(Image.fromarray(array.squeeze(2) if channels == 1 else array), (left, top))
    draw = ImageDraw.Draw(canvas)
    for k, name in enumerate(rows):
        draw.text((left - 6, top + (k + 0.5) * height / len(rows)), name, ink, font, anchor="rm")
    for k, name in enumerate(columns):
        if font.getlength(name) <= width / len(columns):
            draw.text((left + (k + 0.5) * width / len(columns), top - 4), name, ink, font, anchor="ms")
    drawn = np.asarray(canvas)
    return drawn[:, :, None] if channels == 1 else drawn
