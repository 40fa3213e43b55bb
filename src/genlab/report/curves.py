"""Curves of a run's metric rows: as SVG for the page, as PNG for a document, and their numbers as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from matplotlib.figure import Figure as Canvas

from genlab.families.base import BLOCK
from genlab.families.drawing import Curve, Plot
from genlab.families.registry import FAMILIES
from genlab.recipe import Recipe
from genlab.report import style
from genlab.report.series import Series, series
from genlab.runs.rows import Row

WIDTHS = (3.0, 2.1, 1.5, 1.0)
"""Line widths: a curve under another one with the same values shows on both sides of it."""


@dataclass(frozen=True)
class Figure:
    """A drawn plot.

    Attributes:
        svg: drawing for the page, without text from outside genlab; empty if `numbers` replaces it.
        png: drawing for a document; empty likewise.
        numbers: (curve, value) pairs if no curve has more than one point, since a point is no curve.
        csv: the rows that are drawn.
        block: number of rows that each point is the mean of.
    """

    plot: Plot
    svg: str
    png: bytes
    csv: bytes
    block: int
    numbers: tuple[tuple[str, float], ...] = ()


def plots(recipe: Recipe, custom_objective: bool = False) -> list[Plot]:
    """The plots of a run of this recipe; with a custom objective, no reference levels are known."""
    family = FAMILIES[recipe.family]
    draws = family.sampling or family.own_loop
    return [*(_quality_plots(recipe.conditional) if draws else []), *family.plots(recipe, custom_objective)]


def _quality_plots(conditional: bool) -> list[Plot]:
    words = (
        "2,000 new images against as many test images (or all there are; training images if there is no test split) "
        "after each sample epoch, same z throughout; so few images show only the trend during training."
    )
    return [
        Plot(
            "distance",
            "Frechet distance",
            f"In the judge's features. {words} Real images: the distance of as many training images.",
            "distance",
            (Curve("frechet_distance", "generated"), Curve("frechet_floor", "real images")),
            log=True,
        ),
        Plot(
            "support",
            "Precision, recall, coverage" + (", conditional accuracy" if conditional else ""),
            f"Precision: whether images look real; recall and coverage: whether all kinds are present. {words}",
            "share",
            (
                Curve("precision", "precision"),
                Curve("recall", "recall"),
                Curve("coverage", "coverage"),
                *((Curve("requested_class_accuracy", "conditional accuracy"),) if conditional else ()),
            ),
        ),
    ]


Marks = Sequence[tuple[int, str]]
"""Steps at which something began, and its name."""


def draw(rows: list[Row], recipe: Recipe, custom_objective: bool = False, marks: Marks = ()) -> list[Figure]:
    """Draw every plot that has rows, with a line at each mark."""
    drawn = []
    for plot in plots(recipe, custom_objective):
        # A player that is not trained has no curve; one that learns only in some steps has a curve over those.
        there = tuple(curve for curve in plot.curves if any(curve.column in row for row in rows))
        if there:
            caption = " ".join([plot.caption, *(curve.note for curve in there if curve.note)])
            drawn.append(_drawn(replace(plot, curves=there, caption=caption), rows, marks))
    return drawn


def _drawn(plot: Plot, rows: list[Row], marks: Marks) -> Figure:
    values = {curve.column: series(rows, curve.column) for curve in plot.curves}
    logged = [f"{column}{end}" for column in values for end in ("", *BLOCK)]
    table = _csv(["step", "epoch", *(column for column in logged if any(column in row for row in rows))], rows)
    if all(len(points.x) == 1 for points in values.values()):
        numbers = tuple((curve.label, float(values[curve.column].y[0])) for curve in plot.curves)
        return Figure(plot, "", b"", table, 1, numbers)
    with _figure(plot, values, marks) as figure:
        svg, png = style.as_svg(figure), style.as_png(figure)
    return Figure(plot, svg, png, table, max(points.block for points in values.values()))


@contextmanager
def _figure(plot: Plot, values: dict[str, Series], marks: Marks = ()) -> Iterator[Canvas]:
    with style.canvas(plot.name) as (figure, axes):
        widths = WIDTHS if len(plot.curves) > 1 else (1.6,)
        for curve, colour, line, width in zip(plot.curves, style.COLOURS, style.STYLES, widths, strict=False):
            points = values[curve.column]
            if points.has_band:
                axes.fill_between(points.x, points.low, points.high, color=colour, alpha=0.16, linewidth=0)
            marker = "o" if len(points.x) <= style.MARKED else None
            axes.plot(
                points.x, points.y, line, color=colour, label=curve.label, linewidth=width, marker=marker, markersize=4
            )
        for height, meaning in plot.levels:
            axes.axhline(height, color=style.GRAY, linewidth=0.8, linestyle=(0, (1, 2)))
            axes.annotate(
                meaning,
                (1.0, height),
                xycoords=("axes fraction", "data"),
                ha="right",
                va="bottom",
                fontsize=8,
                color=style.SOFT,
            )
        for step, name in marks:
            axes.axvline(step, color=style.SOFT, linewidth=1.0, linestyle=(0, (4, 3)))
            axes.annotate(
                name,
                (step, 1.0),
                xycoords=("data", "axes fraction"),
                xytext=(-3, -3),
                textcoords="offset points",
                rotation=90,
                ha="right",
                va="top",
                fontsize=8,
                color=style.SOFT,
            )
        if plot.log:
            style.log_scale(axes, [points.y for points in values.values()])
        axes.set_xlabel("step")
        axes.set_ylabel(plot.y_label)
        style.legend(axes, [curve.label for curve in plot.curves])
        yield figure


def _csv(columns: list[str], rows: list[Row]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    shown = [row for row in rows if any(column in row for column in columns[2:])]
    writer.writerows([["" if row.get(column) is None else row[column] for column in columns] for row in shown])
    return text.getvalue().encode()
