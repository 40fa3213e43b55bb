"""Style: slant and width of strokes drawn here, and closed forms of the share that columns explain."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from PIL import Image, ImageDraw

from genlab.evaluation import metrics


def stroke(lean: float, width: int, side: int = 64) -> np.ndarray:
    """A bright stroke that moves `lean` pixels to the right per row upwards: (1, 1, side, side), uint8."""
    big = Image.new("L", (4 * side, 4 * side))
    middle, reach = 2 * side, side
    line = [(middle - lean * reach, middle + reach), (middle + lean * reach, middle - reach)]
    ImageDraw.Draw(big).line(line, fill=255, width=4 * width)
    return np.asarray(big.resize((side, side), Image.Resampling.BOX))[None, None]


@pytest.mark.parametrize("lean", [-0.6, -0.2, 0.0, 0.3, 0.7])
def test_the_slant_of_a_stroke_is_its_lean_to_the_right(lean: float) -> None:
    assert metrics.slant(stroke(lean, 4))[0] == pytest.approx(lean, abs=0.03)


@pytest.mark.parametrize("width", [2, 3, 4, 6])
def test_the_width_of_a_stroke(width: int) -> None:
    # The two short edges count too, which gives 2 w l / (2 l + 2 w); corners are counted once.
    assert metrics.stroke_width(stroke(0, width))[0] == pytest.approx(width * 32 / (32 + width), rel=0.08)


def test_scale_place_and_channels_do_not_matter() -> None:
    one = stroke(0.3, 4)
    moved = np.roll(one, (3, -5), (2, 3))
    colour = np.repeat(one, 3, axis=1)
    for each in (moved, colour, one / 255):
        assert metrics.slant(each)[0] == pytest.approx(metrics.slant(one)[0])
        assert metrics.stroke_width(each)[0] == pytest.approx(metrics.stroke_width(one)[0])


def test_an_empty_image_has_neither() -> None:
    nothing = np.zeros((2, 1, 8, 8), np.uint8)
    assert (metrics.slant(nothing) == 0).all()
    assert (metrics.stroke_width(nothing) == 0).all()


def test_columns_that_agree_in_every_class_explain_everything() -> None:
    style = np.array([0.0, 1.0, 5.0])
    assert metrics.share_of_columns(np.array([[10.0], [-3.0]]) + style) == pytest.approx(1)


def test_columns_that_cancel_explain_nothing() -> None:
    style = np.array([0.0, 1.0, 5.0])
    assert metrics.share_of_columns(np.stack([style, -style])) == pytest.approx(0)


def test_shuffled_columns_explain_one_in_so_many_classes_on_average() -> None:
    rng = np.random.default_rng(0)
    table = rng.normal(size=(3, 3))
    orders = list(itertools.permutations(range(3)))
    found = [
        metrics.share_of_columns(np.stack([row[list(order)] for row, order in zip(table, each, strict=True)]))
        for each in itertools.product(orders, repeat=3)
    ]
    assert np.mean([share for share in found if share is not None]) == pytest.approx(1 / 3)


def test_where_no_class_varies_there_is_no_share() -> None:
    assert metrics.share_of_columns(np.array([[2.0, 2.0], [3.0, 3.0]])) is None
