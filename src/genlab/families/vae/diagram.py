"""The pass of a VAE as a diagram."""

from __future__ import annotations

from genlab.families.drawing import Arrow, Box, Diagram, Gradient, Heading, Part
from genlab.recipe import VaeRecipe


def diagram(recipe: VaeRecipe) -> Diagram:
    """The one pass of a step."""
    y = ", y" if recipe.conditional else ""
    error = "squared error" if recipe.objective.likelihood == "gaussian" else "cross-entropy"
    parts: tuple[Part, ...] = (
        Heading(0, 14, "One pass: encoder and decoder learn together"),
        Box(0, 116, 80, f"x{y}", "images"),
        Box(120, 116, 100, "encoder", "learns"),
        Box(260, 86, 110, "mean(x)", f"{recipe.latent} numbers"),
        Box(260, 146, 110, "variance(x)", f"{recipe.latent} numbers"),
        Box(410, 116, 130, "z ~ q(z|x)", "mean + sd * noise"),
        Box(410, 52, 130, "KL divergence", "of q from N(0, I)"),
        Box(590, 116, 100, f"decoder{y}", "learns"),
        Box(740, 116, 120, error, "between x and dec(z)"),
        Arrow(80, 136, 120, 136),
        Arrow(220, 128, 260, 108),
        Arrow(220, 144, 260, 164),
        Arrow(370, 108, 410, 128),
        Arrow(370, 164, 410, 144),
        Arrow(370, 100, 410, 76),
        Arrow(370, 156, 412, 92),
        Arrow(540, 136, 590, 136),
        Arrow(690, 136, 740, 136),
        Gradient(475, 52, 170, 116, 42, "gradient"),
        Gradient(800, 156, 640, 156, 188, "gradient"),
        Gradient(790, 156, 170, 156, 214, "gradient, through the decoder and z"),
    )
    return Diagram(868, 228, parts)
