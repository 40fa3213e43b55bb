from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image

from genlab.data import pictures


def test_rounding() -> None:
    """0 .. 1 becomes 0 .. 255 by rounding, so every uint8 image survives the round trip."""
    gray = np.arange(256, dtype=np.uint8)
    assert (pictures.to_uint8(torch.from_numpy(gray).float() / 255) == gray).all()
    assert pictures.to_uint8(gray) is gray or (pictures.to_uint8(gray) == gray).all()
    assert pictures.to_uint8(np.array([-0.1, 0.4 / 255, 0.6 / 255, 1.2])).tolist() == [0, 0, 1, 255]


@pytest.mark.parametrize(("n", "columns", "rows"), [(6, 3, 2), (7, 3, 3), (2, 5, 1)])
def test_a_grid_goes_row_by_row(n: int, columns: int, rows: int) -> None:
    images = np.stack([np.full((1, 4, 4), k + 1, np.uint8) for k in range(n)])
    picture = pictures.grid(images, columns)
    assert picture.shape == (rows * 6 - 2, columns * 6 - 2, 1)
    for k in range(n):
        top, left = k // columns * 6, k % columns * 6
        assert (picture[top : top + 4, left : left + 4] == k + 1).all()
    assert (picture[4] == 255).all() if rows > 1 else True


def test_png_holds_pixels_and_text() -> None:
    colour = np.random.default_rng(0).integers(0, 256, (2, 3, 5, 5), np.uint8)
    picture = pictures.grid(colour, 2)
    with Image.open(io.BytesIO(pictures.png(picture, {"genlab:run": "<b>é</b>"}, scale=3))) as opened:
        assert opened.mode == "RGB"
        assert (np.asarray(opened)[::3, ::3] == picture).all()
        assert opened.info["genlab:run"] == "<b>é</b>"


def test_names_stand_beside_rows_and_above_columns() -> None:
    """The enlarged picture is at the lower right, otherwise unchanged; ink appears in the margins."""
    picture = np.full((20, 30, 1), 200, np.uint8)
    named = pictures.labelled(picture, ["a", "b"], ["c", "d", "e"], scale=2)
    assert named.shape[2] == 1
    assert (named[-40:, -60:] == 200).all()
    assert named.shape[0] > 40
    assert named.shape[1] > 60
    assert (named[-40:, :-60] < 128).any()
    assert (named[:-40, -60:] < 128).any()


def test_without_names_there_are_no_margins() -> None:
    colour = np.zeros((4, 6, 3), np.uint8)
    assert pictures.labelled(colour, scale=1).shape == (4, 6, 3)


def test_a_name_too_long_for_its_column_is_left_out() -> None:
    picture = np.full((20, 10, 1), 200, np.uint8)
    assert (pictures.labelled(picture, (), ["a very long name indeed"], scale=1)[:22] == 255).all()
