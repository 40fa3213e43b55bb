"""What to draw for a family, as data: curves of the columns of its metric rows, and a diagram of its passes."""

from __future__ import annotations

from dataclasses import dataclass

MINIBATCH = "On the training minibatch of each logged step; nothing here is a validation curve."


BLOCKS = (
    "On training minibatches: the mean over the steps since the last logged one, in a band that holds 80 % of them."
)


@dataclass(frozen=True)
class Curve:
    """A column of metrics.jsonl and its label; `note` is added to the caption if the curve is drawn."""

    column: str
    label: str
    note: str = ""


@dataclass(frozen=True)
class Plot:
    """Curves that share their axes. `levels` are horizontal reference lines: (height, meaning)."""

    name: str
    title: str
    caption: str
    y_label: str
    curves: tuple[Curve, ...]
    levels: tuple[tuple[float, str], ...] = ()
    log: bool = False


def gradient_plot() -> Plot:
    """Plot of the gradient norm, for a family with one optimiser."""
    words = f"Euclidean norm of the gradient over all weights. {MINIBATCH}"
    return Plot("gradients", "Gradient norm", words, "norm", (Curve("grad_norm", "norm"),), log=True)


@dataclass(frozen=True)
class Heading:
    """A line of text above a part of a diagram, with its lower left corner at (x, y)."""

    x: float
    y: float
    text: str


@dataclass(frozen=True)
class Box:
    """A quantity or a network, 40 high, with its upper left corner at (x, y); `held`: its weights do not change."""

    x: float
    y: float
    width: float
    title: str
    below: str
    held: bool = False


@dataclass(frozen=True)
class Arrow:
    """An arrow from a quantity to what is computed from it."""

    x1: float
    y1: float
    x2: float
    y2: float


@dataclass(frozen=True)
class Gradient:
    """The path of a gradient from (x1, y1) to (x2, y2) via the height `by`, labelled with `text`."""

    x1: float
    y1: float
    x2: float
    y2: float
    by: float
    text: str


Part = Heading | Box | Arrow | Gradient


@dataclass(frozen=True)
class Diagram:
    """A drawing of `width` by `height` units; y points down."""

    width: float
    height: float
    parts: tuple[Part, ...]
