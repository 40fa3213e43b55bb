"""Generative adversarial networks (Goodfellow et al. 2014) and their conditional, packed and penalised variants."""

from genlab.families.base import Family, Sampling, Scoring
from genlab.families.gan import losses, model
from genlab.families.gan.cautions import cautions
from genlab.families.gan.columns import COLUMNS
from genlab.families.gan.cost import multiply_adds
from genlab.families.gan.diagram import diagram
from genlab.families.gan.losses import AdversarialLoss
from genlab.families.gan.plots import plots
from genlab.recipe import equations
from genlab.recipe.objectives import LOSSES

FAMILY = Family(
    build=model.build_networks,
    examples=model.example_inputs,
    model=model.Gan,
    equations=equations.gan,
    columns=COLUMNS,
    called="GAN",
    plots=plots,
    diagram=diagram,
    multiply_adds=multiply_adds,
    players={"generator": "_g", "discriminator": "_d"},
    cautions=cautions,
    mergeable=model.mergeable,
    objective=AdversarialLoss,
    check_objective=losses.check,
    sampling=Sampling("generator", noise=lambda recipe: (recipe.latent,), to_images=model.to_images),
    scoring=Scoring(
        "discriminator",
        is_trained=lambda recipe: recipe.objective.players != "generator",
        is_conditional=lambda recipe: recipe.discriminator_conditional,
        packing=lambda recipe: recipe.objective.packing,
        together=lambda recipe: recipe.together,
        has_border=lambda recipe: LOSSES[recipe.objective.loss].has_border,
        scores=model.scores,
    ),
)
