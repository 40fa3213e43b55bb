"""Figures of a run: drawn as SVG for the page and PNG for a text, their numbers saved as CSV beside them."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure as Canvas

from genlab.recipe import GanRecipe, Recipe
from genlab.runs import Row, RunDirectory
from genlab.storage import write

POINTS = 400
"""A curve shows at most so many points; beyond, each point is the mean of a block of rows."""
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7")
STYLES = ("-", "--", "-.", ":")


@dataclass(frozen=True)
class Curve:
    """A column of metrics.jsonl, and what it is called."""

    column: str
    label: str


@dataclass(frozen=True)
class Plot:
    """Curves over one axis. `levels` are horizontal lines worth knowing: (height, what it means)."""

    name: str
    title: str
    caption: str
    y_label: str
    curves: tuple[Curve, ...]
    levels: tuple[tuple[float, str], ...] = ()
    log: bool = False


@dataclass(frozen=True)
class Figure:
    """A drawn plot: `svg` holds no text from outside genlab."""

    plot: Plot
    svg: str
    block: int


def plots(recipe: Recipe, own_objective: bool = False) -> list[Plot]:
    """The plots of a run of this recipe, or of one with an own objective, of which no level is known."""
    equilibrium = () if own_objective else _equilibrium(recipe)
    minibatch = "On the training minibatch of each logged step; nothing here is a validation curve."
    return [
        Plot(
            "losses",
            "Losses",
            f"What discriminator (D) and generator (G) minimise. {minibatch} "
            "A loss tells who is ahead in the game, not how good the images are.",
            "loss, nats",
            (Curve("loss_d", "D"), Curve("loss_g", "G")),
            equilibrium,
        ),
        Plot(
            "scores",
            "D(x) and D(G(z))",
            f"Mean logistic function of D's logits, before its update. {minibatch} {_score_words(recipe)}",
            "mean score",
            (Curve("d_real", "D(x), real"), Curve("d_fake", "D(G(z)), generated")),
            ((0.5, "1/2"),),
        ),
        Plot(
            "penalty",
            "Penalty",
            f"R1 + R2: the squared slope of D at real and at generated images, halved, before its weight. {minibatch}",
            "penalty",
            (Curve("penalty", "R1 + R2"),),
        ),
        Plot(
            "gradients",
            "Gradient norms",
            f"Euclidean norm of the gradient over all weights of each network. {minibatch} "
            "A norm that falls to nothing means that this network has stopped learning.",
            "norm",
            (Curve("grad_norm_d", "D"), Curve("grad_norm_g", "G")),
            log=True,
        ),
    ]


def draw(run: RunDirectory, rows: list[Row], recipe: Recipe, own_objective: bool = False) -> list[Figure]:
    """Draw every plot that has rows; PNG and CSV go into the run's figures/."""
    drawn = []
    for plot in plots(recipe, own_objective):
        columns = ["step", "epoch", *(curve.column for curve in plot.curves)]
        table = [row for row in rows if all(column in row for column in columns)]
        if not table:
            continue
        write(run.path / "figures" / f"{plot.name}.csv", _csv(columns, table))
        block = math.ceil(len(table) / POINTS)
        values = {column: _blocks([row[column] for row in table], block) for column in columns}
        with _figure(plot, values) as figure:
            svg, png = io.StringIO(), io.BytesIO()
            figure.savefig(svg, format="svg", metadata={"Date": None, "Creator": None})
            figure.savefig(png, format="png", dpi=160, metadata={"Software": None})
        write(run.path / "figures" / f"{plot.name}.png", png.getvalue())
        text = svg.getvalue()
        drawn.append(Figure(plot, text[text.index("<svg") :], block))
    return drawn


@contextmanager
def _figure(plot: Plot, values: dict[str, np.ndarray[tuple[int], np.dtype[np.float64]]]) -> Iterator[Canvas]:
    style: Any = {"svg.fonttype": "none", "svg.hashsalt": plot.name, "font.family": "sans-serif", "font.size": 10}
    with matplotlib.rc_context(style):
        figure = Canvas(figsize=(6.4, 3.0), layout="constrained")
        axes = figure.subplots()
        for curve, colour, line in zip(plot.curves, COLOURS, STYLES, strict=False):
            axes.plot(values["step"], values[curve.column], line, color=colour, label=curve.label, linewidth=1.6)
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
        if plot.log:
            axes.set_yscale("log")
        axes.set_xlabel("step")
        axes.set_ylabel(plot.y_label)
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.25)
        axes.legend(frameon=False, ncols=len(plot.curves), loc="lower left", bbox_to_anchor=(0, 1.0), borderaxespad=0)
        yield figure


def _equilibrium(recipe: Recipe) -> tuple[tuple[float, str], ...]:
    """The losses at which the discriminator cannot tell real from generated."""
    ln2 = math.log(2)
    if not isinstance(recipe, GanRecipe) or recipe.objective.loss == "relativistic":
        return ((ln2, "ln 2: D cannot tell"),)
    half = recipe.objective.discriminator_terms == "half-sum"
    return (
        (ln2, "ln 2: D cannot tell" if half else "ln 2: G, where D cannot tell"),
        *(() if half else ((2 * ln2, "2 ln 2: D, where it cannot tell"),)),
    )


def _score_words(recipe: Recipe) -> str:
    if isinstance(recipe, GanRecipe) and recipe.objective.loss == "relativistic":
        return (
            "With relativistic pairing only the difference of the two means anything; their common level drifts freely."
        )
    return "Both at 1/2: D cannot tell. At 1 and 0: D is certain, and a saturated D teaches G little."


def _blocks(values: list[float | None], block: int) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Means of consecutive blocks; a missing value leaves a gap."""
    array = np.array([math.nan if value is None else value for value in values], dtype=np.float64)
    return np.array([array[k : k + block].mean() for k in range(0, len(array), block)])


def _csv(columns: list[str], rows: list[Row]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([["" if row[column] is None else row[column] for column in columns] for row in rows])
    return text.getvalue().encode()
