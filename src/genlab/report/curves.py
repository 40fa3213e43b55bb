"""Curves over the metric rows of a run: as SVG for the page, as PNG for a text, and their numbers as CSV."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure as Canvas

from genlab.engine import seals
from genlab.families.drawing import Curve, Plot
from genlab.families.registry import FAMILIES
from genlab.recipe import Recipe
from genlab.runs.rows import Row

POINTS = 400
"""A curve shows at most so many points; beyond, each point is the mean of a block of rows."""
WIDTHS = (3.0, 2.1, 1.5, 1.0)
"""A curve under another one of the same values is seen at both its sides."""
LEGEND = 68
"""Characters of labels, and of the strokes beside them, that fit above a figure in one line."""
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7")
STYLES = ("-", "--", "-.", ":")


@dataclass(frozen=True)
class Figure:
    """A drawn plot.

    Attributes:
        svg: for the page; it holds no text from outside genlab. Empty where `numbers` say all.
        png: for a text; empty likewise.
        numbers: (curve, its value) where no curve has more than one point, which is no curve.
        csv: its numbers.
        block: of how many rows each point is the mean.
    """

    plot: Plot
    svg: str
    png: bytes
    csv: bytes
    block: int
    numbers: tuple[tuple[str, float], ...] = ()


Array = np.ndarray[tuple[int], np.dtype[np.float64]]


@dataclass(frozen=True)
class _Series:
    """Points of a curve, each the mean of `block` rows."""

    steps: Array
    values: Array
    block: int


def plots(recipe: Recipe, custom_objective: bool = False) -> list[Plot]:
    """The plots of a run of this recipe, or of one with a custom objective, of which no level is known."""
    family = FAMILIES[recipe.family]
    return [*(_quality_plots(recipe.conditional) if family.sampling else []), *family.plots(recipe, custom_objective)]


def _quality_plots(conditional: bool) -> list[Plot]:
    words = (
        "2,000 new images against 2,000 test images after each sample epoch, same z throughout; few images, so only "
        "good for the course of a training (numbers and intervals: evaluations/)."
    )
    return [
        Plot(
            "distance",
            "Frechet distance",
            f"In the judge's features. {words} The floor is what as many real training images get.",
            "distance",
            (Curve("frechet_distance", "generated"), Curve("frechet_floor", "floor: real images")),
            log=True,
        ),
        Plot(
            "support",
            "Precision, recall, coverage" + (", conditional accuracy" if conditional else ""),
            f"Precision: are the images like real ones; recall and coverage: are all kinds there. {words}",
            "share",
            (
                Curve("precision", "precision"),
                Curve("recall", "recall"),
                Curve("coverage", "coverage"),
                *((Curve("requested_class_accuracy", "conditional accuracy"),) if conditional else ()),
            ),
        ),
    ]


def draw(rows: list[Row], recipe: Recipe, custom_objective: bool = False) -> list[Figure]:
    """Draw every plot that has rows."""
    drawn = []
    for plot in plots(recipe, custom_objective):
        # A player that is not trained has no curve, one that learns in some steps only has a curve over those.
        there = tuple(curve for curve in plot.curves if any(curve.column in row for row in rows))
        if there:
            drawn.append(_drawn(replace(plot, curves=there), rows))
    return drawn


def _drawn(plot: Plot, rows: list[Row]) -> Figure:
    values = {curve.column: _series(rows, curve.column) for curve in plot.curves}
    table = _csv(["step", "epoch", *values], rows)
    if all(len(series.steps) == 1 for series in values.values()):
        numbers = tuple((curve.label, float(values[curve.column].values[0])) for curve in plot.curves)
        return Figure(plot, "", b"", table, 1, numbers)
    with _figure(plot, values) as figure:
        svg, png = io.StringIO(), io.BytesIO()
        figure.savefig(svg, format="svg", metadata={"Date": None, "Creator": None})
        figure.savefig(png, format="png", dpi=160, metadata={"Software": None})
    text = svg.getvalue()
    return Figure(
        plot,
        svg=text[text.index("<svg") :],
        png=seals.seal_png(png.getvalue()),
        csv=table,
        block=max(series.block for series in values.values()),
    )


@contextmanager
def _figure(plot: Plot, values: dict[str, _Series]) -> Iterator[Canvas]:
    style: Any = {"svg.fonttype": "none", "svg.hashsalt": plot.name, "font.family": "sans-serif", "font.size": 10}
    with matplotlib.rc_context(style):
        figure = Canvas(figsize=(6.4, 3.0), layout="constrained")
        axes = figure.subplots()
        widths = WIDTHS if len(plot.curves) > 1 else (1.6,)
        for curve, colour, line, width in zip(plot.curves, COLOURS, STYLES, widths, strict=False):
            series = values[curve.column]
            marker = "o" if len(series.steps) < 3 else None
            axes.plot(
                series.steps, series.values, line, color=colour, label=curve.label, linewidth=width, marker=marker
            )
        for height, meaning in plot.levels:
            axes.axhline(height, color="#777777", linewidth=0.8, linestyle=(0, (1, 2)))
            axes.annotate(
                meaning,
                (1.0, height),
                xycoords=("axes fraction", "data"),
                ha="right",
                va="bottom",
                fontsize=8,
                color="#555555",
            )
        if plot.log and any(np.ptp(series.values) for series in values.values()):
            axes.set_yscale("log")
        axes.set_xlabel("step")
        axes.set_ylabel(plot.y_label)
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.25)
        long = sum(len(curve.label) + 6 for curve in plot.curves) > LEGEND
        columns = 2 if long else len(plot.curves)
        axes.legend(frameon=False, ncols=columns, loc="lower left", bbox_to_anchor=(0, 1.0), borderaxespad=0)
        yield figure


def _series(rows: list[Row], column: str) -> _Series:
    """A column over the rows that have it, as means of blocks of rows; a value that was not finite leaves a gap."""
    table = [(row["step"], math.nan if row[column] is None else row[column]) for row in rows if column in row]
    block = math.ceil(len(table) / POINTS)
    array = np.array(table, dtype=np.float64)
    means = np.array([array[k : k + block].mean(0) for k in range(0, len(array), block)])
    return _Series(means[:, 0], means[:, 1], block)


def _csv(columns: list[str], rows: list[Row]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    shown = [row for row in rows if any(column in row for column in columns[2:])]
    writer.writerows([["" if row.get(column) is None else row[column] for column in columns] for row in shown])
    return text.getvalue().encode()
