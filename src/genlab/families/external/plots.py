"""Plots of a watched loop."""

from __future__ import annotations

from genlab.families.drawing import BLOCKS, MINIBATCH, Curve, Plot
from genlab.recipe.external import ExternalRecipe
from genlab.recipe.objectives import LOSSES


def plots(recipe: ExternalRecipe, custom_objective: bool) -> list[Plot]:
    """Plots of a run; curves of quantities that the loop did not give are not drawn."""
    loss = LOSSES.get(recipe.objective.loss or "")
    rests = [] if loss is None else [(loss.rest_discriminator, "D"), (loss.rest_generator, "G")]
    levels = [(height, f"{height:.3g}: {who}, where D cannot tell") for height, who in rests if height is not None]
    return [
        Plot(
            "losses",
            "Losses",
            f"As reported by the loop. {BLOCKS}",
            "loss",
            (
                Curve("loss", "training"),
                Curve("test_loss", "test"),
                Curve("loss_d", "D"),
                Curve("loss_g", "G"),
            ),
            tuple(levels),
        ),
        *OTHERS,
    ]


OTHERS = (
    Plot(
        "terms",
        "Reconstruction and KL",
        f"In nats per image, as reported by the loop. {BLOCKS}",
        "nats",
        (Curve("reconstruction_sum", "reconstruction"), Curve("kl_sum", "KL")),
    ),
    Plot(
        "scores",
        "D on real and generated images",
        f"Mean logit; for a D that outputs probabilities p, log(p / (1 - p)). {BLOCKS}",
        "logit",
        (Curve("logit_real", "real"), Curve("logit_fake", "generated")),
    ),
    Plot(
        "accuracy",
        "Accuracy",
        "As reported by the loop.",
        "share classified correctly",
        (Curve("train_accuracy", "training"), Curve("test_accuracy", "test")),
    ),
    Plot(
        "updates",
        "Size of updates",
        f"How far a step moves the weights, relative to their size; about 0.001 is usual. {MINIBATCH}",
        "update over weights",
        (Curve("update", "network"), Curve("update_d", "D"), Curve("update_g", "G")),
        log=True,
    ),
    Plot(
        "gradients",
        "Gradient norms",
        f"Euclidean norm of the gradient used in an optimiser step. {MINIBATCH}",
        "norm",
        (Curve("grad_norm", "network"), Curve("grad_norm_d", "D"), Curve("grad_norm_g", "G")),
        log=True,
    ),
)
