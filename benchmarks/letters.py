"""Draws the built-in dataset `letters` again: `python benchmarks/letters.py [SHEET.png]`, two minutes.

Capitals A to Z, white on black, 28 x 28, of the text faces that matplotlib ships with its fonts. The training split has
sixteen faces, the test split five others. Of each letter each face is drawn `EACH` times, with a random size,
rotation, shift and stroke weight; then each split is put in a random order. Writes letters.npz into the package,
prints the sha256 of each array (pinned in `genlab.data.builtin`), and on request a sheet with ten images per class of
each split.

The same bits on every run, on one machine with matplotlib 3.11.2 (whose fonts are read), Pillow 12.3.0 with FreeType
2.14.3 (which draws each glyph, once and large), numpy 2.4.6 and scipy 1.17.1 (of the dev extra). Other versions or
processors may round a few pixels in another way; the file in the package is the one that is pinned.
"""

from __future__ import annotations

import hashlib
import sys
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

from genlab.data import pictures
from genlab.data.builtin import file_of

Floats = NDArray[np.float64]
Bytes = NDArray[np.uint8]

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
FACES = {
    "train": (
        "DejaVuSans", "DejaVuSans-Bold", "DejaVuSans-BoldOblique",
        "DejaVuSansMono", "DejaVuSansMono-Bold", "DejaVuSansMono-BoldOblique",
        "DejaVuSerif", "DejaVuSerif-Bold", "DejaVuSerif-BoldItalic",
        "STIXGeneral", "STIXGeneralItalic", "STIXGeneralBolIta",
        "cmr10", "cmb10", "cmti10", "cmmi10",
    ),
    "test": ("cmss10", "cmtt10", "STIXGeneralBol", "DejaVuSerif-Italic", "DejaVuSansMono-Oblique"),
}  # fmt: skip
"""The faces whose A to Z are plain letters when they are turned: not the symbols of STIX and cmex10, not the script of
cmsy10, and not DejaVu Sans Oblique, whose J becomes a slash. Those of the test split are a sans serif, a typewriter, a
bold, an italic and an oblique face. cmti10 and cmmi10, nearly the same capitals, are both in the training split."""
EACH = {"train": 30, "test": 20}
SEED = 26
SIDE = 28
FINE = 8
"""Fine pixels per pixel, each way: an image has 65 levels."""
GLYPH = 400
"""Size at which a glyph is drawn before it is turned and reduced, in pixels per em."""
HEIGHT = (14.0, 20.0)
"""Of a capital H, in pixels."""
LARGEST = 21.0
"""Pixels before the rotation; wider and higher letters (W, Q with its tail) are made smaller."""
DEGREES = 10.0
WEIGHT = (-0.1, 0.4)
"""What is added to either side of each stroke, in pixels."""
SHIFT = 3.0
"""Pixels from the middle, each way, as far as a border of `BORDER` pixels stays black."""
BORDER = 1.0


@dataclass(frozen=True, eq=False)
class Glyph:
    """A letter of a face, large.

    Attributes:
        depth: distance to the nearest edge, in its own pixels; positive inside the letter, negative outside.
        edge: row and column of the pixels along the edge, from `middle`, shape (N, 2).
        middle: row and column of the middle of the letter's box.
        capital: height of the face's H.
    """

    depth: Floats
    edge: Floats
    middle: Floats
    capital: float


@dataclass(frozen=True)
class Hand:
    """How one image is drawn: height and weight in pixels, angle in radians, shift in -1 .. 1 of its room."""

    height: float
    angle: float
    weight: float
    shift: Floats


def glyph(face: str, letter: str) -> Glyph:
    """A letter as its signed distances; a face is a file among matplotlib's fonts."""
    path = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / f"{face}.ttf"
    font = ImageFont.truetype(str(path), GLYPH, layout_engine=ImageFont.Layout.BASIC)
    ink = drawn(font, letter)
    depth = ndimage.distance_transform_edt(ink) - ndimage.distance_transform_edt(~ink)
    rows, columns = np.nonzero(ink & (depth <= 1))
    middle = np.array([rows.min() + rows.max(), columns.min() + columns.max()]) / 2
    capital = np.count_nonzero(drawn(font, "H").any(axis=1))
    return Glyph(depth, np.stack([rows, columns], 1) - middle, middle, float(capital))


def drawn(font: ImageFont.FreeTypeFont, letter: str) -> NDArray[np.bool_]:
    """Where the ink of a letter is, with room around it."""
    picture = Image.new("L", (2 * GLYPH, 2 * GLYPH))
    ImageDraw.Draw(picture).text((GLYPH, GLYPH), letter, 255, font, anchor="mm")
    return np.asarray(picture) >= 128


def hand(rng: np.random.Generator) -> Hand:
    """How the next image is drawn."""
    angle = np.deg2rad(rng.uniform(-DEGREES, DEGREES))
    return Hand(rng.uniform(*HEIGHT), float(angle), rng.uniform(*WEIGHT), rng.uniform(-1, 1, 2))


def image(of: Glyph, by: Hand) -> Bytes:
    """A letter as an image, uint8 (28, 28); the edge lies where the depth is minus the weight that is added."""
    scale = min(by.height / of.capital, LARGEST / np.ptp(of.edge, 0).max())
    turn = np.array([[np.cos(by.angle), -np.sin(by.angle)], [np.sin(by.angle), np.cos(by.angle)]])
    turned = scale * of.edge @ turn.T
    low, high = turned.min(0) - by.weight, turned.max(0) + by.weight
    room = np.minimum((SIDE - high + low) / 2 - BORDER, SHIFT)
    centre = SIDE / 2 - (low + high) / 2 + room * by.shift  # Where the glyph's middle comes to lie.
    back = turn.T / scale
    start = back @ (0.5 / FINE - centre) + of.middle
    fine = (SIDE * FINE, SIDE * FINE)
    depth = ndimage.affine_transform(of.depth, back / FINE, start, fine, order=1, mode="nearest")
    ink = scale * depth > -by.weight
    found: Bytes = np.rint(255 * ink.reshape(SIDE, FINE, SIDE, FINE).mean((1, 3))).astype(np.uint8)
    return found


def split(name: str) -> tuple[Bytes, Bytes]:
    """Images (N, 28, 28) and labels (N,) of a split, in their random order."""
    rng = np.random.default_rng([SEED, list(FACES).index(name)])
    images, labels = [], []
    for face in FACES[name]:
        for label, letter in enumerate(LETTERS):
            of = glyph(face, letter)
            images += [image(of, hand(rng)) for _ in range(EACH[name])]
            labels += [label] * EACH[name]
    order = rng.permutation(len(labels))
    return np.stack(images)[order], np.array(labels, np.uint8)[order]


def sheet(arrays: dict[str, Bytes]) -> bytes:
    """A picture of the first ten images per class: one row per class, the training split's ten before the test's."""
    rows = [
        arrays[f"x_{name}"][arrays[f"y_{name}"] == label][:10, None]
        for label in range(len(LETTERS))
        for name in ("train", "test")
    ]
    return pictures.png(pictures.grid(np.concatenate(rows), 20))


def main() -> None:
    arrays = {}
    for name in FACES:
        arrays[f"x_{name}"], arrays[f"y_{name}"] = split(name)
    path = file_of("letters")
    np.savez_compressed(path, **arrays)  # type: ignore[arg-type]
    for name, values in arrays.items():
        print(f"{name}  {values.shape}  {hashlib.sha256(values.data).hexdigest()}")
    print(f"{path}  {path.stat().st_size:,} bytes")
    if len(sys.argv) > 1:
        Path(sys.argv[1]).write_bytes(sheet(arrays))


if __name__ == "__main__":
    main()
