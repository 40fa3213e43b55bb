"""The pass of a classifier as a diagram."""

from __future__ import annotations

from genlab.families.drawing import Arrow, Box, Diagram, Gradient, Heading, Part
from genlab.recipe import ClassifierRecipe


def diagram(recipe: ClassifierRecipe) -> Diagram:
    """The one pass of a step."""
    parts: tuple[Part, ...] = (
        Heading(0, 14, "One pass: the classifier learns"),
        Box(0, 40, 90, "x", "images"),
        Box(160, 40, 130, "classifier", "learns"),
        Box(360, 40, 90, "logits", "one per class"),
        Box(520, 40, 150, "cross-entropy", "with the label"),
        *(Arrow(x, 60, x + 70, 60) for x in (90, 290, 450)),
        Gradient(595, 80, 225, 80, 112, "gradient"),
    )
    return Diagram(680, 130, parts)
