"""Plots of a GAN's training."""

from __future__ import annotations

from genlab.families.drawing import BLOCKS, MINIBATCH, Curve, Plot
from genlab.recipe import GanRecipe
from genlab.recipe.objectives import LN_2, LOSSES, PENALTIES

HELD_OUT = (
    "D on held-out images: its loss on 1,000 test images and as many new generated ones, as it trains; if it is far "
    "above D's training loss, D has memorised its training images."
)


def plots(recipe: GanRecipe, custom_objective: bool) -> list[Plot]:
    """Plots of a run; with a custom objective, no reference levels are known."""
    held_out = HELD_OUT + (" Unlike those that D learns from, they are not augmented." if recipe.augmentation else "")
    penalty = PENALTIES.get(recipe.objective.penalty)
    named = " the penalty" * (penalty is not None), " the class loss" * bool(recipe.objective.classification)
    without = f", without{' and'.join(filter(None, named))}" if any(named) else ""
    return [
        Plot(
            "losses",
            "Losses",
            f"What discriminator (D) and generator (G) minimise{without}. {BLOCKS} A loss tells who is ahead in the "
            "game, not how good the images are.",
            "loss, nats" if LOSSES[recipe.objective.loss].nats and not custom_objective else "loss",
            (Curve("loss_d", "D"), Curve("loss_g", "G"), Curve("loss_d_held_out", "D, held-out images", held_out)),
            () if custom_objective else _equilibrium(recipe),
        ),
        Plot(
            "scores",
            "D(x) and D(G(z))",
            f"Mean of the logistic function of D's logits, before D's update. {MINIBATCH}{_mode_words(recipe)}"
            + ("" if custom_objective else f" {_score_words(recipe)}"),
            "mean score",
            (Curve("d_real", "D(x), real"), Curve("d_fake", "D(G(z)), generated")),
            ((0.5, "1/2"),) if LOSSES[recipe.objective.loss].logistic and not custom_objective else (),
        ),
        Plot(
            "penalty",
            "Penalty",
            f"{penalty.words if penalty else ''}, unweighted. {MINIBATCH}",
            "penalty",
            (Curve("penalty", recipe.objective.penalty),),
        ),
        Plot(
            "gradients",
            "Gradient norms",
            f"Euclidean norm of the gradient over all weights of each network. {MINIBATCH} "
            "A norm that falls to 0 means that the network has stopped learning.",
            "norm",
            (Curve("grad_norm_d", "D"), Curve("grad_norm_g", "G")),
            log=True,
        ),
    ]


def _equilibrium(recipe: GanRecipe) -> tuple[tuple[float, str], ...]:
    """Losses at the equilibrium, where the discriminator cannot tell real from generated images, as levels."""
    loss = LOSSES[recipe.objective.loss]
    half = recipe.objective.discriminator_terms == "half-sum"
    d, g = loss.rest_discriminator, loss.rest_generator
    d = None if d is None else d / 2 if half else d
    if d is not None and d == g:
        return ((d, f"{_height(d)}: D cannot tell"),)
    levels = [] if d is None else [(d, f"{_height(d)}: D, where it cannot tell")]
    return (*levels, *([] if g is None else [(g, f"{_height(g)}: G, where D cannot tell")]))


def _height(value: float) -> str:
    """A loss in text, as a multiple of ln 2 if it is one."""
    times = value / LN_2
    if not times.is_integer():
        return f"{value:g}"
    return f"{'-' if times < 0 else ''}{'' if abs(times) == 1 else f'{abs(times):g} '}ln 2"


def _mode_words(recipe: GanRecipe) -> str:
    """Words on the mode that D was in, if it matters."""
    D = recipe.networks.discriminator
    parts = ["normalises by the statistics of each batch"] if D.normalisation == "batch" else []
    parts += [f"drops {D.dropout:g} of its units"] if D.kind == "mlp" and D.dropout else []
    parts += ["sees augmented images"] if recipe.augmentation else []
    return f" D in training mode: it {' and '.join(parts)}." if parts else ""


def _score_words(recipe: GanRecipe) -> str:
    if LOSSES[recipe.objective.loss].pairs:
        return (
            "With relativistic pairing only the difference between the two matters; their common level drifts freely."
        )
    if LOSSES[recipe.objective.loss].logistic:
        return "Both at 1/2: D cannot tell. At 1 and 0: D is certain, and a saturated D teaches G little."
    return "This loss does not use the logistic function, which here only puts the logits on one scale."
