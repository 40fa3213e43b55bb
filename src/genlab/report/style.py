"""Style of every figure: colours that colour-blind people can tell apart, fonts, axes; saving as SVG, PNG and PDF."""

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
"""Colours of Okabe and Ito (2008), darkest first. A page in dark mode replaces them (`--c1` ... in its style)."""
STYLES = ("-", "--", "-.", ":")
MARKED = 30
"""Curves of at most this many points have markers: values were measured only there, not in between."""
GRAY, SOFT = "#777777", "#555555"
SIZE = (4.6, 2.9)
"""Inches: on a phone, a figure's text is as large as the page's; on a desktop, two figures fit side by side."""
STEPS_SHOWN = 5
"""Most numbers on a horizontal axis, not counting the first: that many six-digit numbers stay apart on a phone."""
LEGEND = 42
"""Characters of labels, including the strokes beside them, that fit on one line above a figure."""
MOST_ROWS = 4
"""Rows of a legend beyond which the figure grows."""
LABEL, DIGIT = 0.42, 0.085
"""Inches for a vertical axis's label with its padding, and for a digit."""
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
    """A figure with axes in genlab's style, to be saved while the context is open. `salt` determines the ids in its
    SVG: those of two figures on a page differ, and the same figure always gives the same file."""
    with panels(salt, (1,), size) as (figure, axes):
        yield figure, axes[0]


@contextmanager
def panels(
    salt: str, widths: Sequence[float], size: tuple[float, float] = SIZE
) -> Iterator[tuple[Canvas, Sequence[Axes]]]:
    """Like `canvas`, with several axes side by side."""
    with matplotlib.rc_context({**RC, "svg.hashsalt": salt}):
        figure = Canvas(figsize=size)
        found = list(figure.subplots(1, len(widths), width_ratios=list(widths), squeeze=False)[0])
        for axes in found:
            axes.yaxis.set_major_formatter(Numbers())
            axes.xaxis.set_major_formatter(Numbers())
            axes.xaxis.set_major_locator(MaxNLocator(STEPS_SHOWN, steps=[1, 2, 2.5, 5, 10]))
        yield figure, found


class Numbers(Formatter):
    """Numbers of a linear axis, with as many digits as tell them apart, and thousands commas from 10,000 on. Large or
    small numbers each have their own power of ten: matplotlib writes one for all of them, at the spot where a legend
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
    """Put a legend above the axes, on one line if it fits, else in columns; the axes take the rest of the figure, which
    grows if the legend has many rows.

    The margins come from counting characters: measuring the drawn text takes as long as all the drawing.
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
    """Make the y axis logarithmic, labelled with plain numbers, if all values are positive and some differ."""
    known = np.concatenate([part[np.isfinite(part)] for part in values] or [np.empty(0)])
    if not known.size or known.min() <= 0 or known.min() == known.max():
        return
    axes.set_yscale("log")
    narrow = known.max() / known.min() < 100
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_locator(LogLocator(subs=(2, 5)))
    axes.yaxis.set_minor_formatter(FuncFormatter(lambda value, _: f"{value:g}") if narrow else NullFormatter())


def as_svg(figure: Canvas) -> str:
    """The figure as SVG for a page: with a transparent background, in the page's colours."""
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
    """The figure as PNG for a document; sealed."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=200, metadata={"Software": None})
    return seals.seal_png(buffer.getvalue())


def as_pdf(figure: Canvas) -> bytes:
    """The figure as PDF for a paper."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="pdf", metadata={"CreationDate": None, "Creator": None, "Producer": None})
    return buffer.getvalue()
