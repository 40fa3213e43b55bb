"""What there is to draw of a family, as data: curves over the columns of its metric rows, a diagram of its passes."""

from __future__ import annotations

from dataclasses import dataclass

MINIBATCH = "On the training minibatch of each logged step; nothing here is a validation curve."


BLOCKS = (
    "On training minibatches: the mean over the steps since the last logged one, in a band that holds 80 % of them."
)


@dataclass(frozen=True)
class Curve:
    """A column of metrics.jsonl, and what it is called; `note` is said in the caption where the curve is there."""

    column: str
    label: str
    note: str = ""


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


def gradient_plot() -> Plot:
    """The gradient's norm of a family with one optimiser."""
    words = f"Euclidean norm of the gradient over all weights. {MINIBATCH}"
    return Plot("gradients", "Gradient norm", words, "norm", (Curve("grad_norm", "norm"),), log=True)


@dataclass(frozen=True)
class Heading:
    """A line of text over a part of a diagram, its lower left corner at (x, y)."""

    x: float
    y: float
    text: str


@dataclass(frozen=True)
class Box:
    """A quantity or a network, 40 high, its upper left corner at (x, y); `held`: its weights stay as they are."""

    x: float
    y: float
    width: float
    title: str
    below: str
    held: bool = False


@dataclass(frozen=True)
class Arrow:
    """What becomes of what."""

    x1: float
    y1: float
    x2: float
    y2: float


@dataclass(frozen=True)
class Gradient:
    """The way of a gradient, from (x1, y1) to (x2, y2) over the height `by`, with a text on it."""

    x1: float
    y1: float
    x2: float
    y2: float
    by: float
    text: str


Part = Heading | Box | Arrow | Gradient


@dataclass(frozen=True)
class Diagram:
    """A drawing of so many units; y points down."""

    width: float
    height: float
    parts: tuple[Part, ...]
