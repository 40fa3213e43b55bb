"""How every figure looks: colours that colour-blind people tell apart, type, axes; as SVG for a page and as PNG."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.ticker import Formatter, FuncFormatter, LogLocator, MaxNLocator, NullFormatter
from numpy.typing import NDArray

from genlab.engine import seals

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#5b6675")
"""Of Okabe and Ito (2008), darkest first. A page in dark mode replaces them (`--c1` ... in its style)."""
STYLES = ("-", "--", "-.", ":")
MARKED = 30
"""So many points or fewer are marked: there something was measured, and nowhere between."""
GRAY, SOFT = "#777777", "#555555"
SIZE = (4.6, 2.9)
"""Inches: the text of a figure has the size of the page's on a phone, and two stand side by side on a desktop."""
STEPS_SHOWN = 5
"""Numbers on a horizontal axis, at most, beside the first: so many of six digits stand apart on the page of a phone."""
LEGEND = 42
"""Characters of labels, and of the strokes beside them, that fit above a figure in one line."""
MOST_ROWS = 4
"""Of a legend, before a figure grows by the rest."""
LABEL, DIGIT = 0.42, 0.085
"""Inches: of a vertical axis's label, with its distances; of a digit."""
RC: Any = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.25,
    "legend.frameon": False,
}


@contextmanager
def canvas(salt: str, size: tuple[float, float] = SIZE) -> Iterator[tuple[Canvas, Axes]]:
    """A figure with axes in genlab's looks; it is written while this is open. `salt` makes the ids in its SVG, so that
    two on a page differ, and the same figure is the same file."""
    with panels(salt, (1,), size) as (figure, axes):
        yield figure, axes[0]


@contextmanager
def panels(
    salt: str, widths: Sequence[float], size: tuple[float, float] = SIZE
) -> Iterator[tuple[Canvas, Sequence[Axes]]]:
    """The same with several axes side by side."""
    with matplotlib.rc_context({**RC, "svg.hashsalt": salt}):
        figure = Canvas(figsize=size)
        found = list(figure.subplots(1, len(widths), width_ratios=list(widths), squeeze=False)[0])
        for axes in found:
            axes.yaxis.set_major_formatter(Numbers())
            axes.xaxis.set_major_formatter(Numbers())
            axes.xaxis.set_major_locator(MaxNLocator(STEPS_SHOWN, steps=[1, 2, 2.5, 5, 10]))
        yield figure, found


class Numbers(Formatter):
    """Numbers of a linear axis, with as many digits as tell them apart, and a comma in thousands where there are ten of
    them; each has its own power of ten, where they are large or small: matplotlib writes one for all, where a legend
    begins."""

    def __call__(self, x: float, pos: int | None = None) -> str:
        return f"{x:g}"

    def format_ticks(self, values: Sequence[float]) -> list[str]:
        there = np.unique(values)
        exact = np.diff(there).min() / 1000 if len(there) > 1 else 0.0
        most = np.abs(there).max() if len(there) else 0.0
        kind, comma = "f" if 1e-4 <= most < 1e6 else "g", "," if 1e4 <= most < 1e6 else ""
        for digits in range(17):
            told = [f"{value:{comma}.{digits}{kind}}" for value in values]
            if all(
                abs(float(text.replace(",", "")) - value) <= exact for text, value in zip(told, values, strict=True)
            ):
                break
        return told if kind == "g" else [self.fix_minus(text) for text in told]


def legend(axes: Axes, labels: Sequence[str]) -> None:
    """A legend above the axes, in a line if it fits, else in columns; the axes take the rest of the figure, which grows
    by what a legend of many rows needs.

    The margins come from counted characters: finding them from the drawn text takes as long as all the drawing.
    """
    if sum(len(label) + 6 for label in labels) <= LEGEND:
        columns = len(labels)
    else:
        columns = 2 if max(map(len, labels)) + 6 <= LEGEND // 2 else 1
    axes.legend(ncols=columns, loc="lower left", bbox_to_anchor=(0, 1.0), borderaxespad=0)
    rows = -(-len(labels) // columns)
    figure, grown = axes.get_figure(root=True), 1 + 0.078 * max(0, rows - MOST_ROWS)
    assert figure is not None
    figure.set_figheight(figure.get_figheight() * grown)
    top = 1 - (0.045 + 0.078 * rows) / grown
    figure.subplots_adjust(left=0.175, right=0.955, bottom=0.17 / grown, top=top)
    figure.subplots_adjust(left=max(0.175, _beside(axes) / figure.get_figwidth()))


def _beside(axes: Axes) -> float:
    """Inches that the label and the numbers of the vertical axis need."""
    low, high = sorted(axes.get_ylim())
    numbers = axes.yaxis.get_major_formatter().format_ticks([y for y in axes.get_yticks() if low <= y <= high])
    return LABEL + DIGIT * max(map(len, numbers), default=0)


def log_scale(axes: Axes, values: Sequence[NDArray[np.float64]]) -> None:
    """A logarithmic y axis, labelled with plain numbers, where all values are positive and some differ."""
    known = np.concatenate([part[np.isfinite(part)] for part in values] or [np.empty(0)])
    if not known.size or known.min() <= 0 or known.min() == known.max():
        return
    axes.set_yscale("log")
    narrow = known.max() / known.min() < 100
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_locator(LogLocator(subs=(2, 5)))
    axes.yaxis.set_minor_formatter(FuncFormatter(lambda value, _: f"{value:g}") if narrow else NullFormatter())


def as_svg(figure: Canvas) -> str:
    """For a page: on no ground of its own, in the page's colours."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :].replace("#000000", "currentColor")
    for colour in (GRAY, SOFT):
        text = text.replace(f": {colour}", f": var(--soft, {colour})")
    for k, colour in enumerate(COLOURS, start=1):
        text = text.replace(f": {colour}", f": var(--c{k}, {colour})")
    return text


def as_png(figure: Canvas) -> bytes:
    """For a text; sealed."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=200, metadata={"Software": None})
    return seals.seal_png(buffer.getvalue())


def as_pdf(figure: Canvas) -> bytes:
    """For a paper."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="pdf", metadata={"CreationDate": None, "Creator": None, "Producer": None})
    return buffer.getvalue()
