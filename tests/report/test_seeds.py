"""Figures of a study are not cut off, however long their numbers and names."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from genlab.report.figures.seeds import Bands, Dots, Drawn

FEW = ("warm", "cold")
MANY = ("report", "ngf-256", "ndf-256", "ndf-256-probabilities", "ndf-256-slow", "ndf-256-slow-probabilities", "z-1000")


@pytest.mark.parametrize("arms", [FEW, MANY], ids=["two arms", "seven arms"])
@pytest.mark.parametrize("title", ["loss", "standard deviation of mean generator loss from the middle on"])
@pytest.mark.parametrize("size", [1e-5, 0.18, 3.0, 2_212_800.0])
@pytest.mark.parametrize("difference", [None, 0.0049], ids=["alone", "with a difference"])
def test_nothing_is_cut_off(arms: tuple[str, ...], title: str, size: float, difference: float | None) -> None:
    values = {arm: {seed: size * (1 + 0.004 * (k + seed)) for seed in range(4)} for k, arm in enumerate(arms)}
    dots = Dots("x", title, values, arms=arms)
    if difference is not None:
        apart = size * difference
        dots = replace(dots, difference=apart, interval=(apart / 20, 2.5 * apart), kind="95 % interval")
    assert _edges(dots).min() == 255


def test_what_is_asked_of_every_seed_has_no_mean() -> None:
    values = {"report": {0: 8_740.0, 1: 15_008.0}}
    asked, compared = Dots("x", "step", values, value=11_256.0, mean=False), Dots("x", "step", values)
    assert asked.caption == "Each point is one seed (n = 2); the dashed line is at 11,256."
    assert "the bar is the mean" in compared.caption
    for dots, lines in ((asked, 2), (compared, 2)):
        with dots.figure() as figure:
            assert len(figure.axes[0].lines) == lines, "points and the dashed line; points and the stroke"


@pytest.mark.parametrize(("top", "scale"), [(5.0, "linear"), (1e4, "log")])
def test_one_leap_does_not_flatten_the_other_curves(top: float, scale: str) -> None:
    steps, values = np.arange(1.0, 11.0), np.array([*[1.0] * 9, top])
    with Bands("x", "loss_d_mean", {"a": {0: (steps, values)}}).figure() as figure:
        assert figure.axes[0].get_yscale() == scale


def test_the_room_is_that_of_the_numbers_drawn() -> None:
    # The tick labels that fit into a smaller figure, 5, 10 and 15, would give a different layout.
    values = {
        "tenth": {0: 20.4, 1: 19.0, 2: 21.5, 3: 24.5, 4: 18.8, 5: 19.2},
        "report": {0: 5.9, 1: 6.0, 2: 6.1, 3: 5.2, 4: 5.6, 5: 6.0},
    }
    dots = Dots("x", "Frechet distance (FID)", values, 14.7, (12.8, 17.4), "95 % interval", arms=FEW)
    assert _edges(dots).min() == 255


@pytest.mark.parametrize("size", [1e-5, 1.0, 1.5e7, -1.5e7])
def test_numbers_beside_curves_are_whole(size: float) -> None:
    curve = np.arange(5.0) * 100, np.linspace(0, size, 5)
    assert _edges(Bands("x", "loss_d_mean", {"report": {0: curve}})).min() == 255


def _edges(drawn: Drawn) -> NDArray[np.uint8]:
    """The outermost pixels of a figure."""
    ground = np.asarray(Image.open(io.BytesIO(drawn.png)).convert("L"))
    return np.concatenate([ground[0], ground[-1], ground[:, 0], ground[:, -1]])
