"""Plots of a VAE's training."""

from __future__ import annotations

from genlab.families.drawing import BLOCKS, Curve, Plot, gradient_plot
from genlab.recipe import VaeRecipe


def plots(recipe: VaeRecipe, custom_objective: bool) -> list[Plot]:
    """Plots of a run."""
    latent = recipe.latent
    return [
        *_losses(recipe),
        Plot(
            "bound",
            "Reconstruction and KL, summed",
            "Both terms of the bound in nats per image, whatever the recipe's reductions, one z per image: on the test "
            "split after each epoch, on the training minibatch at each logged step. A rising KL means that "
            "information about the image flows into z; 0 is collapse. The constant of a Gaussian density, pixels / 2 * "
            "ln(2 pi), is left out of the reconstruction here; the likelihood includes it.",
            "nats per image",
            (
                Curve("test_reconstruction_sum", "reconstruction, test"),
                Curve("reconstruction_sum", "minibatch"),
                Curve("test_kl_sum", "KL, test"),
                Curve("kl_sum", "KL, minibatch"),
            ),
            log=True,
        ),
        Plot(
            "active-units",
            "Active units",
            f"How many of the {latent} latent dimensions have a variance of E[z|x] above 0.01 (Burda et al. 2016), "
            "over the test split and over the training minibatch. At 0 the decoder ignores z: every z gives the same "
            "image (posterior collapse).",
            "units",
            (Curve("test_active_units", "test"), Curve("active_units", "training minibatch")),
            ((0, "collapse"), (latent, "all")),
        ),
        Plot(
            "effective-beta",
            "Effective beta",
            "c in: summed negative log-likelihood + c times summed KL, to which the loss is proportional. 1 is the "
            "bound itself; the larger c is, the less information z can carry.",
            "c",
            (Curve("effective_beta", "effective beta"),),
            ((1, "1: the bound"),),
            log=True,
        ),
        gradient_plot(),
    ]


def _losses(recipe: VaeRecipe) -> list[Plot]:
    """Plots of what is minimised, in training and on the test split."""
    terms = (
        f"the reconstruction ({recipe.objective.reconstruction} over pixels) plus the weight times the KL divergence "
        f"({recipe.objective.kl} over latents)"
    )
    n = recipe.objective.importance_samples
    what = terms if n == 1 else f"the bound on -log p(x) by {n} samples of z per image, which is below {terms}"
    return [
        Plot(
            "loss",
            "Loss and its terms",
            f"What is minimised: {what}. {BLOCKS}",
            "as reduced",
            (Curve("loss", "loss"), Curve("reconstruction", "reconstruction"), Curve("kl", "KL")),
        ),
        Plot(
            "test-loss",
            "Loss and its terms on the test split",
            "The same three after each epoch, on held-out images, one z per image.",
            "as reduced",
            (
                Curve("test_loss", "loss, test"),
                Curve("test_reconstruction", "reconstruction, test"),
                Curve("test_kl", "KL, test"),
            ),
        ),
    ]
