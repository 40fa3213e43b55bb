"""The passes of a GAN as a diagram."""

from __future__ import annotations

from genlab.families.drawing import Arrow, Box, Diagram, Gradient, Heading, Part
from genlab.recipe import GanRecipe
from genlab.recipe.objectives import LOSSES


def diagram(recipe: GanRecipe) -> Diagram:
    """The passes of a step: one for D, one for G."""
    y_g = ", y" if recipe.conditional else ""
    y_d = ", y" if recipe.discriminator_conditional else ""
    augmented = recipe.augmentation is not None
    x, made = ("T(x)", "T(G(z))") if augmented else ("x", "G(z)")
    real, generated = ("real, augmented", "augmented") if augmented else ("real images", "generated")
    players, top = recipe.objective.players, 0
    parts: list[Part] = []
    if players != "generator":
        steps = recipe.objective.critic_steps
        again = f", {steps} times" if steps > 1 else ""
        parts += [
            Heading(0, top + 14, f"Pass 1: the discriminator learns{again}; the generator is held fixed"),
            Box(0, top + 40, 110, f"z{y_g}", "noise"),
            Box(150, top + 40, 130, "generator G", "held fixed", held=True),
            Box(340, top + 40, 100, f"{made}{y_d}", generated),
            Box(340, top + 100, 100, f"{x}{y_d}", real),
            Box(510, top + 70, 140, "discriminator D", "learns"),
            Box(720, top + 70, 130, "loss of D", "real from generated"),
            Arrow(110, top + 60, 150, top + 60),
            Arrow(280, top + 60, 340, top + 60),
            Arrow(440, top + 60, 510, top + 82),
            Arrow(440, top + 120, 510, top + 98),
            Arrow(650, top + 90, 720, top + 90),
            Gradient(785, top + 110, 580, top + 110, top + 140, "gradient, to D only"),
        ]
        top += 170
    if players != "discriminator":
        again = " the same" if recipe.objective.generator_noise == "reuse" and players == "both" else " fresh"
        number = "Pass 2: the" if players == "both" else "One pass: the"
        pairs = LOSSES[recipe.objective.loss].pairs
        parts += [
            Heading(0, top + 14, f"{number} generator learns; the discriminator is held fixed"),
            Box(0, top + 40, 110, f"z{y_g}", f"noise,{again}"),
            Box(150, top + 40, 130, "generator G", "learns"),
            Box(340, top + 40, 100, made, generated),
            Box(510, top + 40, 140, "discriminator D", "held fixed", held=True),
            Box(720, top + 40, 130, "loss of G", "compared with real" if pairs else "taken for real"),
            *(Arrow(x, top + 60, x + w, top + 60) for x, w in ((110, 40), (280, 60), (440, 70), (650, 70))),
            Gradient(785, top + 80, 215, top + 80, top + 112, "gradient, through D and the image, to G only"),
        ]
        top += 140
    return Diagram(860, top, tuple(parts))
