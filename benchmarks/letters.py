"""Redraw the built-in dataset `letters`: `python benchmarks/letters.py [SHEET.png]`, two minutes.

Capitals A to Z, white on black, 28 x 28, in the text faces that matplotlib ships with its fonts. The training split has
sixteen faces, the test split five others. Each letter of each face is drawn `EACH` times, with a random size, rotation,
shift and stroke weight; then each split is shuffled. Writes letters.npz into the package, prints the sha256 of each
array (pinned in `genlab.data.builtin`), and on request writes a sheet with ten images per class of each split.

On one machine, every run gives the same bits with matplotlib 3.11.2 (whose fonts are read), Pillow 12.3.0 with FreeType
2.14.3 (which draws each glyph, once and large), numpy 2.4.6 and scipy 1.17.1 (of the dev extra). Other versions or
processors may round a few pixels differently; the file in the package is the pinned one.
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
"""Faces whose A to Z are still plain letters when rotated: not the symbols of STIX and cmex10, not the script of
cmsy10, and not DejaVu Sans Oblique, whose J becomes a slash. The test split has a sans serif, a typewriter, a bold, an
italic and an oblique face. cmti10 and cmmi10, whose capitals are nearly the same, are both in the training split."""
EACH = {"train": 30, "test": 20}
SEED = 26
SIDE = 28
FINE = 8
"""Fine pixels per pixel in each direction, so that an image has 65 levels."""
GLYPH = 400
"""Size at which a glyph is drawn before it is rotated and scaled down, in pixels per em."""
HEIGHT = (14.0, 20.0)
"""Range of the height of a capital H, in pixels."""
LARGEST = 21.0
"""Largest width and height before the rotation, in pixels; larger letters (W, Q with its tail) are scaled down."""
DEGREES = 10.0
WEIGHT = (-0.1, 0.4)
"""Range of what is added to either side of each stroke, in pixels."""
SHIFT = 3.0
"""Largest shift from the middle in each direction, in pixels; a border of `BORDER` pixels stays black."""
BORDER = 1.0


@dataclass(frozen=True, eq=False)
class Glyph:
    """A letter of a face, drawn large.

    Attributes:
        depth: distance to the nearest edge, in the glyph's pixels; positive inside the letter, negative outside.
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
    """Parameters of one image: height and weight in pixels, angle in radians, shift from -1 to 1 of its room."""

    height: float
    angle: float
    weight: float
    shift: Floats


def glyph(face: str, letter: str) -> Glyph:
    """Letter as signed distances to its edge; a face is a file among matplotlib's fonts."""
    path = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / f"{face}.ttf"
    font = ImageFont.truetype(str(path), GLYPH, layout_engine=ImageFont.Layout.BASIC)
    ink = drawn(font, letter)
    depth = ndimage.distance_transform_edt(ink) - ndimage.distance_transform_edt(~ink)
    rows, columns = np.nonzero(ink & (depth <= 1))
    middle = np.array([rows.min() + rows.max(), columns.min() + columns.max()]) / 2
    capital = np.count_nonzero(drawn(font, "H").any(axis=1))
    return Glyph(depth, np.stack([rows, columns], 1) - middle, middle, float(capital))


def drawn(font: ImageFont.FreeTypeFont, letter: str) -> NDArray[np.bool_]:
    """Mask of the ink of a letter, with room around it."""
    picture = Image.new("L", (2 * GLYPH, 2 * GLYPH))
    ImageDraw.Draw(picture).text((GLYPH, GLYPH), letter, 255, font, anchor="mm")
    return np.asarray(picture) >= 128


def hand(rng: np.random.Generator) -> Hand:
    """Random parameters of the next image."""
    angle = np.deg2rad(rng.uniform(-DEGREES, DEGREES))
    return Hand(rng.uniform(*HEIGHT), float(angle), rng.uniform(*WEIGHT), rng.uniform(-1, 1, 2))


def image(of: Glyph, by: Hand) -> Bytes:
    """Letter as an image, uint8 (28, 28); its edge lies where the depth is minus the added weight."""
    scale = min(by.height / of.capital, LARGEST / np.ptp(of.edge, 0).max())
    turn = np.array([[np.cos(by.angle), -np.sin(by.angle)], [np.sin(by.angle), np.cos(by.angle)]])
    turned = scale * of.edge @ turn.T
    low, high = turned.min(0) - by.weight, turned.max(0) + by.weight
    room = np.minimum((SIDE - high + low) / 2 - BORDER, SHIFT)
    centre = SIDE / 2 - (low + high) / 2 + room * by.shift  # Position of the glyph's middle.
    back = turn.T / scale
    start = back @ (0.5 / FINE - centre) + of.middle
    fine = (SIDE * FINE, SIDE * FINE)
    depth = ndimage.affine_transform(of.depth, back / FINE, start, fine, order=1, mode="nearest")
    ink = scale * depth > -by.weight
    found: Bytes = np.rint(255 * ink.reshape(SIDE, FINE, SIDE, FINE).mean((1, 3))).astype(np.uint8)
    return found


def split(name: str) -> tuple[Bytes, Bytes]:
    """Images (N, 28, 28) and labels (N,) of a split, in random order."""
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
