"""Images in a terminal: two pixels per character, the upper one its foreground and the lower one its background."""

from __future__ import annotations

import os
import shutil
import sys
from functools import partial

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from genlab.engine.console import paint, shows

HALF, PLAIN = "\u2580", "\x1b[0m"
WIDEST = 160
"""Most columns of a terminal that are used."""


def can_draw() -> bool:
    """Whether standard output is a terminal with colours and these characters."""
    plain = os.environ.get("TERM", "dumb") == "dumb" or "NO_COLOR" in os.environ
    return sys.stdout.isatty() and not plain and shows(HALF)


def draw(images: NDArray[np.uint8]) -> None:
    """Draw images (N, C, H, W) side by side, smaller if the terminal is narrow."""
    room = (min(shutil.get_terminal_size().columns, WIDEST) - 1) // len(images) - 1
    picture = np.concatenate([_small(image, min(image.shape[1], room)) for image in images], 1)
    true = os.environ.get("COLORTERM") in ("truecolor", "24bit")
    rows = zip(picture[::2], picture[1::2], strict=True)
    paint(["".join(map(partial(_half, true), top, low)) + PLAIN for top, low in rows])


def _small(image: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """An image (C, H, W) resized to `side` pixels per side: (side, side + 1, 3), padded to an even number of rows."""
    color = image.repeat(3, 0) if len(image) == 1 else image
    made = np.asarray(Image.fromarray(color.transpose(1, 2, 0)).resize((side, side), Image.Resampling.BOX))
    return np.pad(made, ((0, side % 2), (0, 1), (0, 0)))


def _half(true: bool, top: NDArray[np.uint8], low: NDArray[np.uint8]) -> str:
    """Two pixels, one above the other: the upper one as the text's colour, the lower one as its background."""
    if true:
        codes = [";".join(map(str, (2, *map(int, pixel)))) for pixel in (top, low)]
    else:  # 24 grays, or a cube of 6 x 6 x 6 colours.
        codes = [
            f"5;{232 + int(pixel[0]) * 23 // 255}"
            if np.ptp(pixel) == 0
            else f"5;{16 + int(np.dot(pixel.astype(int) * 5 // 255, (36, 6, 1)))}"
            for pixel in (top, low)
        ]
    return f"\x1b[38;{codes[0]};48;{codes[1]}m{HALF}"
