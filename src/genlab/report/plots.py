"""Plots other than training curves, as PNG: a map of points, a confusion matrix, a spectrum, bars by class."""

from __future__ import annotations

import io
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure as Canvas
from numpy.typing import NDArray

from genlab.data import pictures
from genlab.engine import seals

Array = NDArray[Any]
STYLE: Any = {"font.family": "sans-serif", "font.size": 10}


def latent_map(
    picture: NDArray[np.uint8], points: Array | None, labels: Array | None, class_names: Sequence[str], limit: float
) -> Canvas:
    """Left: the decoded plane, (height, width, C). Right: where images are encoded, (N, 2), coloured by class."""
    with matplotlib.rc_context(STYLE):
        both = points is not None
        figure = Canvas(figsize=(10.5 if both else 5.2, 5.2), layout="constrained")
        axes = figure.subplots(1, 2 if both else 1, squeeze=False)[0]
        axes[0].imshow(picture.squeeze(), cmap="gray", vmin=0, vmax=255, interpolation="nearest")
        axes[0].set_title("decoded: equal steps of probability", fontsize=10)
        axes[0].set_axis_off()
        if both:
            assert points is not None
            names = ["images"] if labels is None else _plain(class_names)
            kinds = np.zeros(len(points), np.int64) if labels is None else labels
            colours = matplotlib.colormaps["tab10" if len(names) <= 10 else "tab20"]
            for k, name in enumerate(names):
                here = points[kinds == k]
                axes[1].scatter(here[:, 0], here[:, 1], s=3, color=colours(k % colours.N), label=name, linewidths=0)
            axes[1].set(
                xlabel="E[z0 | x]", ylabel="E[z1 | x]", xlim=(-limit, limit), ylim=(-limit, limit), aspect="equal"
            )
            axes[1].set_title("encoded", fontsize=10)
            axes[1].legend(markerscale=4, fontsize=8, frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
        return figure


def confusion(counts: Array, class_names: Sequence[str]) -> Canvas:
    """A confusion matrix counts[true, predicted], each row coloured by its shares of the class."""
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    n = len(class_names)
    with matplotlib.rc_context(STYLE):
        side = min(12.0, 2.2 + 0.5 * n)
        figure = Canvas(figsize=(side, side), layout="constrained")
        axes = figure.subplots()
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        if n <= 20:
            for row in range(n):
                for column in range(n):
                    if counts[row, column]:
                        ink = "white" if shares[row, column] > 0.5 else "#333333"
                        text = f"{counts[row, column]}"
                        axes.text(column, row, text, ha="center", va="center", color=ink, fontsize=8)
        axes.set_xticks(range(n), _plain(class_names), rotation=45, ha="right")
        axes.set_yticks(range(n), _plain(class_names))
        axes.set(xlabel="predicted", ylabel="true")
        return figure


def spectrum(frequencies: Array, generated: Array, real: Array, bands: Sequence[tuple[float, float]]) -> Canvas:
    """Power of generated and real images over frequency in cycles per pixel, with shaded bands."""
    with matplotlib.rc_context(STYLE):
        figure = Canvas(figsize=(6.4, 3.4), layout="constrained")
        axes = figure.subplots()
        for low, high in bands:
            axes.axvspan(low, high, color="#000000", alpha=0.06, linewidth=0)
        axes.plot(frequencies, real, "--", color="#1c2430", label="real", linewidth=1.6)
        axes.plot(frequencies, generated, "-", color="#0072b2", label="generated", linewidth=1.6)
        if min(real.min(), generated.min()) > 0:
            axes.set_yscale("log")
        axes.set(xlabel="frequency, cycles per pixel", ylabel="power")
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False)
        return figure


PANELS = (
    ("share", "share of samples"),
    ("legibility", "judge confidence"),
    ("requested_class_accuracy", "conditional accuracy"),
    ("within_class_diversity", "diversity, real = 1"),
)


def classes(rows: Sequence[Mapping[str, Any]]) -> Canvas:
    """Bars for each class, one panel per quantity; `rows` as in an evaluation's `classes`."""
    panels = [(key, title) for key, title in PANELS if any(row.get(key) is not None for row in rows)]
    names = _plain([row["class"] for row in rows])
    with matplotlib.rc_context(STYLE):
        figure = Canvas(figsize=(1.4 + 2.2 * len(panels), 1.2 + 0.26 * len(rows)), layout="constrained")
        grid = figure.subplots(1, len(panels), squeeze=False, sharey=True)[0]
        for axes, (key, title) in zip(grid, panels, strict=True):
            axes.barh(names, [row.get(key) or 0.0 for row in rows], color="#0072b2", height=0.7)
            expected = [row.get("share_in_data") for row in rows] if key == "share" else []
            if key == "within_class_diversity":
                expected = [1.0] * len(rows)
            for k, value in enumerate(expected):
                if value is not None:
                    axes.plot([value, value], [k - 0.42, k + 0.42], color="#d55e00", linewidth=2)
            axes.set_title(title, fontsize=10)
            axes.spines[["top", "right"]].set_visible(False)
            if key in ("legibility", "requested_class_accuracy"):
                axes.set_xlim(0, 1)
        grid[0].invert_yaxis()
        return figure


def curves(lines: Mapping[str, tuple[Sequence[str], Sequence[float]]], y_label: str) -> Canvas:
    """One panel per disturbance: the value measured at each strength, on a shared logarithmic scale."""
    with matplotlib.rc_context(STYLE):
        figure = Canvas(figsize=(1 + 2.0 * len(lines), 2.9), layout="constrained")
        grid = figure.subplots(1, len(lines), squeeze=False, sharey=True)[0]
        for axes, (name, (strengths, values)) in zip(grid, lines.items(), strict=True):
            axes.plot(range(len(values)), values, "o-", color="#0072b2", linewidth=1.6, markersize=4)
            axes.set_xticks(range(len(values)), strengths, fontsize=8)
            axes.set_title(name, fontsize=10)
            axes.set_yscale("log")
            axes.grid(alpha=0.25)
            axes.spines[["top", "right"]].set_visible(False)
        grid[0].set_ylabel(y_label)
        return figure


def _plain(names: Sequence[str]) -> list[str]:
    """Names that matplotlib shows as they are: it reads $ as mathematics, and leaves names with a leading _ out of
    legends. A name in letters that the fonts lack is replaced by its number."""
    return [" " * name.startswith("_") + name.replace("$", r"\$") for name in pictures.legible(names)]


def png(figure: Canvas, text: Mapping[str, str]) -> bytes:
    """The figure as PNG, with `text` in its metadata; sealed."""
    buffer = io.BytesIO()
    with matplotlib.rc_context(STYLE):
        figure.savefig(buffer, format="png", dpi=130, metadata={"Software": None, **text})
    return seals.seal_png(buffer.getvalue())


def fonts() -> dict[str, Any]:
    """The font that plots use, and how many fonts matplotlib finds on this machine."""
    from matplotlib import font_manager

    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    used = font_manager.findfont(font_manager.FontProperties())
    return {"used": Path(used).name, "found": len(font_manager.fontManager.ttflist)}
