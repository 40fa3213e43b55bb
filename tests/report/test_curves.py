"""Curves that a reader can tell apart, in figures that lose nothing."""

from __future__ import annotations

import re
import shutil
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

import genlab
from genlab.api.run import Run
from genlab.families.drawing import Curve, Plot
from genlab.report import curves
from genlab.report.series import series
from genlab.runs.rows import Row

PLOTS = {
    f"{recipe} {plot.name}": plot
    for recipe in ("quick-mnist", "s2-dcgan", "wgan-gp", "s4-vae", "s4-classifier")
    for plot in curves.plots(genlab.load_recipe(recipe))
}


def rows_of(plot: Plot, n: int = 50) -> list[Row]:
    return [
        {"step": k, "epoch": k / 10, **{c.column: 1 + k / (n + i) for i, c in enumerate(plot.curves)}}
        for k in range(1, n + 1)
    ]


@pytest.mark.parametrize("plot", PLOTS.values(), ids=PLOTS.keys())
def test_a_legend_is_whole_and_takes_no_room_from_the_curves(plot: Plot) -> None:
    with curves._figure(plot, {c.column: series(rows_of(plot), c.column) for c in plot.curves}) as figure:
        FigureCanvasAgg(figure).draw()  # type: ignore[no-untyped-call]
        (axes,) = figure.axes
        legend = axes.get_legend()
        assert legend is not None
        extent = legend.get_window_extent()
        assert extent.x0 >= 0
        assert extent.x1 <= figure.bbox.x1
        assert extent.y1 <= figure.bbox.y1
        assert extent.y0 >= axes.get_window_extent().y1 - 1, "it lies above the curves"
        assert axes.get_position().width > 0.75


@pytest.mark.parametrize("scale", [1e7, 1.0, 1e-7])
def test_the_numbers_of_an_axis_are_whole(scale: float) -> None:
    """Tick labels need no power of ten above the axis, where the legend begins, and no two neighbours look alike."""
    plot = Plot("x", "X", "", "y", (Curve("c", "curve"),))
    rows: list[Row] = [{"step": k, "c": scale * (1 + k / 10)} for k in range(1, 40)]
    with curves._figure(plot, {"c": series(rows, "c")}) as figure:
        FigureCanvasAgg(figure).draw()  # type: ignore[no-untyped-call]
        axis = figure.axes[0].yaxis
        assert axis.get_offset_text().get_text() == ""
        told = [text.get_text().replace("\N{MINUS SIGN}", "-") for text in axis.get_ticklabels()]
        assert [float(text) for text in told] == pytest.approx(list(axis.get_ticklocs()))


@pytest.mark.parametrize("steps", [1, 99, 2_345, 15_008, 60_000, 468_750])
def test_the_numbers_of_steps_stand_apart(steps: int) -> None:
    plot = Plot("x", "X", "", "y", (Curve("c", "curve"),))
    rows: list[Row] = [{"step": 1 + k * steps // 16, "c": 1 + k / 10} for k in range(1, 17)]
    with curves._figure(plot, {"c": series(rows, "c")}) as figure:
        FigureCanvasAgg(figure).draw()  # type: ignore[no-untyped-call]
        (axes,) = figure.axes
        shown = [text for text in axes.xaxis.get_ticklabels() if _within(text.get_position()[0], axes.get_xlim())]
        extents = [text.get_window_extent() for text in shown]
        space = figure.dpi * 10 / 72 / 2  # Half the height of a letter.
        assert len(shown) >= 2
        assert all(right.x0 - left.x1 >= space for left, right in pairwise(extents))
        assert all(extent.x1 <= figure.bbox.x1 for extent in extents)


def _within(x: float, limits: tuple[float, float]) -> bool:
    return limits[0] <= x <= limits[1]


def test_curves_of_equal_values_are_all_seen() -> None:
    """Earlier curves are wider, so each shows at the sides of those drawn over it."""
    plot = Plot("x", "X", "", "y", tuple(Curve(f"c{k}", f"curve {k}") for k in range(4)))
    rows: list[Row] = [{"step": k, **{f"c{n}": 1.0 for n in range(4)}} for k in range(1, 9)]
    with curves._figure(plot, {c.column: series(rows, c.column) for c in plot.curves}) as figure:
        lines = figure.axes[0].get_lines()[:4]
        widths = [line.get_linewidth() for line in lines]
        assert len({line.get_color() for line in lines}) == 4
    assert all(wide - narrow >= 0.5 for wide, narrow in pairwise(widths))


def test_curves_of_one_point_are_numbers(finished: Run, tmp_path: Path) -> None:
    rows: list[Row] = [
        {"step": 12, "epoch": 2.0, "frechet_distance": 7.25, "frechet_floor": 0.5},
        {"step": 12, "epoch": 2.0},
    ]
    (figure,) = curves.draw(rows, finished.recipe)
    assert figure.numbers == (("generated", 7.25), ("real images", 0.5))
    assert (figure.svg, figure.png) == ("", b"")
    assert figure.csv.decode().splitlines()[1] == "12,2.0,7.25,0.5"
    (drawn,) = curves.draw([rows[0], {**rows[0], "step": 24}], finished.recipe)
    assert drawn.numbers == ()
    assert drawn.svg.startswith("<svg")


def test_a_page_shows_numbers_in_the_place_of_dots(finished: Run, tmp_path: Path) -> None:
    run = Run(shutil.copytree(finished.path, tmp_path / "one"))
    with run.directory.appending(after=11) as log:
        (*_, last) = finished.metrics()
        log.append({**last, "frechet_distance": 7.25, "frechet_floor": 0.5})
    page = run.report().read_text("utf-8")
    figure = page[page.index("Frechet distance") :]
    figure = figure[: figure.index("</figure>")]
    assert "<svg" not in figure
    assert re.search(r"generated\D+7\.25", figure)


def test_unconditional_curves_do_not_speak_of_requests() -> None:
    for recipe, conditional in (("s2-dcgan", False), ("s2-cdcgan", True)):
        plots = curves.plots(genlab.load_recipe(recipe))
        words = " ".join([f"{p.title} {p.caption} {' '.join(c.label for c in p.curves)}" for p in plots])
        assert ("conditional accuracy" in words) == conditional


def test_captions_say_which_images_were_augmented() -> None:
    for changes, said in (({"augmentation.cutout": 0.5}, True), ({}, False)):
        plots = {plot.name: plot for plot in curves.plots(genlab.load_recipe("s2-dcgan", changes))}
        assert ("and sees augmented images" in plots["scores"].caption) == said
        (held_out,) = (curve for curve in plots["losses"].curves if curve.column == "loss_d_held_out")
        assert ("they are not augmented" in held_out.note) == said


def test_a_figure_of_nothing_but_gaps_is_none(finished: Run) -> None:
    assert curves.draw([{"step": 1, "epoch": 0.1}], finished.recipe) == []
    rows: list[Any] = [{"step": k, "epoch": 0.1, "frechet_distance": None, "frechet_floor": None} for k in (1, 2)]
    (figure,) = curves.draw(rows, finished.recipe)
    assert np.isnan(series(rows, "frechet_distance").y).all()
    assert figure.svg
