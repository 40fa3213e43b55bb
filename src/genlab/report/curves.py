"""Figures of a run: drawn as SVG for the page and PNG for a text, their numbers saved as CSV beside them."""

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
from genlab.engine.files import write
from genlab.recipe import GanRecipe, Recipe, VaeRecipe
from genlab.recipe.objectives import LN_2, LOSSES, PENALTIES
from genlab.runs.directory import Row, RunDirectory

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


Array = np.ndarray[tuple[int], np.dtype[np.float64]]


@dataclass(frozen=True)
class _Series:
    """Points of a curve, each the mean of `block` rows."""

    steps: Array
    values: Array
    block: int


MINIBATCH = "On the training minibatch of each logged step; nothing here is a validation curve."


def plots(recipe: Recipe, own_objective: bool = False) -> list[Plot]:
    """The plots of a run of this recipe, or of one with an own objective, of which no level is known."""
    if isinstance(recipe, VaeRecipe):
        return [*_quality_plots(), *_vae_plots(recipe)]
    return (
        [*_quality_plots(), *_gan_plots(recipe, own_objective)]
        if isinstance(recipe, GanRecipe)
        else _classifier_plots()
    )


def _quality_plots() -> list[Plot]:
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
            "Precision, recall, coverage, requests",
            f"Precision: are the images like real ones; recall and coverage: are all kinds there. {words}",
            "share",
            (
                Curve("precision", "precision"),
                Curve("recall", "recall"),
                Curve("coverage", "coverage"),
                Curve("requested_class_accuracy", "requested class"),
            ),
        ),
    ]


def _gan_plots(recipe: GanRecipe, own_objective: bool) -> list[Plot]:
    penalty = PENALTIES.get(recipe.objective.penalty)
    return [
        Plot(
            "losses",
            "Losses",
            f"What discriminator (D) and generator (G) minimise. {MINIBATCH} "
            "A loss tells who is ahead in the game, not how good the images are.",
            "loss, nats" if LOSSES[recipe.objective.loss].logistic and not own_objective else "loss",
            (Curve("loss_d", "D"), Curve("loss_g", "G")),
            () if own_objective else _equilibrium(recipe),
        ),
        Plot(
            "scores",
            "D(x) and D(G(z))",
            f"Mean logistic function of D's logits, before its update. {MINIBATCH}{_mode_words(recipe)}"
            + ("" if own_objective else f" {_score_words(recipe)}"),
            "mean score",
            (Curve("d_real", "D(x), real"), Curve("d_fake", "D(G(z)), generated")),
            ((0.5, "1/2"),) if LOSSES[recipe.objective.loss].logistic and not own_objective else (),
        ),
        Plot(
            "penalty",
            "Penalty",
            f"{penalty.words if penalty else ''}, before its weight. {MINIBATCH}",
            "penalty",
            (Curve("penalty", recipe.objective.penalty),),
        ),
        Plot(
            "gradients",
            "Gradient norms",
            f"Euclidean norm of the gradient over all weights of each network. {MINIBATCH} "
            "A norm that falls to nothing means that this network has stopped learning.",
            "norm",
            (Curve("grad_norm_d", "D"), Curve("grad_norm_g", "G")),
            log=True,
        ),
    ]


def _vae_plots(recipe: VaeRecipe) -> list[Plot]:
    latent = recipe.latent
    return [
        Plot(
            "loss",
            "Loss and its terms",
            f"What is minimised: the reconstruction ({recipe.objective.reconstruction} over pixels) plus the weight "
            f"times the KL divergence ({recipe.objective.kl} over latents). {MINIBATCH}",
            "as reduced",
            (Curve("loss", "loss"), Curve("reconstruction", "reconstruction"), Curve("kl", "KL")),
        ),
        Plot(
            "bound",
            "Reconstruction and KL, summed",
            "Both terms of the bound in nats an image, whatever the recipe's reductions, one z an image: on the test "
            "split after each epoch, on the training minibatch at each logged step. A KL that rises is information "
            "about the image flowing into z; 0 is collapse.",
            "nats an image",
            (
                Curve("test_reconstruction_sum", "reconstruction, test"),
                Curve("reconstruction_sum", "minibatch"),
                Curve("test_kl_sum", "KL, test"),
                Curve("kl_sum", "KL, minibatch"),
            ),
            log=True,
        ),
        Plot(
            "active-units",
            "Active units",
            f"Latent dimensions, of {latent}, in which the variance of E[z|x] exceeds 0.01 (Burda et al. 2016), over "
            "the test split and over the training minibatch. At 0 the decoder ignores z: every z gives the same image "
            "(posterior collapse).",
            "units",
            (Curve("test_active_units", "test"), Curve("active_units", "training minibatch")),
            ((0, "collapse"), (latent, "all")),
        ),
        Plot(
            "effective-beta",
            "Effective beta",
            "c in: summed negative log-likelihood + c times summed KL, to which the loss is proportional. 1 is the "
            "bound itself; the larger, the less z may say.",
            "c",
            (Curve("effective_beta", "effective beta"),),
            ((1, "1: the bound"),),
            log=True,
        ),
        _gradient_plot(),
    ]


def _classifier_plots() -> list[Plot]:
    words = (
        "After each epoch: training, the mean over the epoch's minibatches, each before its update; test, the test "
        "split with the weights at the end of the epoch."
    )
    return [
        Plot(
            "accuracy",
            "Accuracy",
            words,
            "share named rightly",
            (Curve("train_accuracy", "training"), Curve("test_accuracy", "test")),
        ),
        Plot("loss", "Cross-entropy", words, "nats", (Curve("train_loss", "training"), Curve("test_loss", "test"))),
        _gradient_plot(),
    ]


def _gradient_plot() -> Plot:
    words = f"Euclidean norm of the gradient over all weights. {MINIBATCH}"
    return Plot("gradients", "Gradient norm", words, "norm", (Curve("grad_norm", "norm"),), log=True)


def draw(run: RunDirectory, rows: list[Row], recipe: Recipe, own_objective: bool = False) -> list[Figure]:
    """Draw every plot that has rows; PNG and CSV go into the run's figures/."""
    drawn = []
    for plot in plots(recipe, own_objective):
        # A player that is not trained has no curve, one that learns in some steps only has a curve over those.
        there = tuple(curve for curve in plot.curves if any(curve.column in row for row in rows))
        if not there:
            continue
        plot = replace(plot, curves=there)
        columns = ["step", "epoch", *(curve.column for curve in there)]
        write(run.path / "figures" / f"{plot.name}.csv", _csv(columns, rows))
        values = {curve.column: _series(rows, curve.column) for curve in there}
        block = max(series.block for series in values.values())
        with _figure(plot, values) as figure:
            svg, png = io.StringIO(), io.BytesIO()
            figure.savefig(svg, format="svg", metadata={"Date": None, "Creator": None})
            figure.savefig(png, format="png", dpi=160, metadata={"Software": None})
        write(run.path / "figures" / f"{plot.name}.png", seals.seal_png(png.getvalue()))
        text = svg.getvalue()
        drawn.append(Figure(plot, text[text.index("<svg") :], block))
    return drawn


@contextmanager
def _figure(plot: Plot, values: dict[str, _Series]) -> Iterator[Canvas]:
    style: Any = {"svg.fonttype": "none", "svg.hashsalt": plot.name, "font.family": "sans-serif", "font.size": 10}
    with matplotlib.rc_context(style):
        figure = Canvas(figsize=(6.4, 3.0), layout="constrained")
        axes = figure.subplots()
        for curve, colour, line in zip(plot.curves, COLOURS, STYLES, strict=False):
            series = values[curve.column]
            marker = "o" if len(series.steps) < 3 else None
            axes.plot(series.steps, series.values, line, color=colour, label=curve.label, linewidth=1.6, marker=marker)
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
        axes.legend(frameon=False, ncols=len(plot.curves), loc="lower left", bbox_to_anchor=(0, 1.0), borderaxespad=0)
        yield figure


def _equilibrium(recipe: GanRecipe) -> tuple[tuple[float, str], ...]:
    """The losses at which the discriminator cannot tell real from generated and gives all of them the logit 0."""
    loss = LOSSES[recipe.objective.loss]
    half = recipe.objective.discriminator_terms == "half-sum"
    d, g = loss.rest_discriminator, loss.rest_generator
    d = None if d is None else d / 2 if half else d
    if d is not None and d == g:
        return ((d, f"{_height(d)}: D cannot tell"),)
    levels = [] if d is None else [(d, f"{_height(d)}: D, where it cannot tell")]
    return (*levels, *([] if g is None else [(g, f"{_height(g)}: G, where D cannot tell")]))


def _height(value: float) -> str:
    """A loss as a multiple of ln 2, where it is one."""
    times = value / LN_2
    if not times.is_integer():
        return f"{value:g}"
    return f"{'-' if times < 0 else ''}{'' if abs(times) == 1 else f'{abs(times):g} '}ln 2"


def _mode_words(recipe: GanRecipe) -> str:
    """In which mode D was, where it matters."""
    D = recipe.networks.discriminator
    parts = ["normalises by the statistics of each batch"] if D.normalisation == "batch" else []
    parts += [f"drops {D.dropout:g} of its units"] if D.kind == "mlp" and D.dropout else []
    return f" D as it trains: it {' and '.join(parts)}." if parts else ""


def _score_words(recipe: GanRecipe) -> str:
    if LOSSES[recipe.objective.loss].pairs:
        return (
            "With relativistic pairing only the difference of the two means anything; their common level drifts freely."
        )
    if LOSSES[recipe.objective.loss].logistic:
        return "Both at 1/2: D cannot tell. At 1 and 0: D is certain, and a saturated D teaches G little."
    return "This loss does not use the logistic function; it only brings the logits to one scale."


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
