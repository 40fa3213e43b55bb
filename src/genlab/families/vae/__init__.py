"""Variational autoencoders (Kingma and Welling 2014), also conditional and with a weight beta on the KL term."""

from genlab.families.base import Bounding, Encoding, Family, Sampling, WarmStart
from genlab.families.passes import of_one_pass
from genlab.families.vae import model, warm_start
from genlab.families.vae.columns import COLUMNS, outcome
from genlab.families.vae.diagram import diagram
from genlab.families.vae.plots import plots
from genlab.recipe import equations

FAMILY = Family(
    build=model.build_networks,
    examples=model.example_inputs,
    model=lambda recipe, networks, engine, keyed, steps, _: model.Vae(recipe, networks, engine, keyed, steps),
    equations=equations.vae,
    columns=COLUMNS,
    called="VAE",
    plots=plots,
    diagram=diagram,
    multiply_adds=lambda recipe, adds: of_one_pass(recipe, adds, {"decoder": recipe.objective.importance_samples}),
    players={"encoder": "", "decoder": ""},
    outcome=outcome,
    sampling=Sampling("decoder", noise=lambda recipe: (recipe.latent,), to_images=model.to_images, axes=True),
    encoding=Encoding("encoder", model.encode),
    bounding=Bounding(
        ("encoder", "decoder"),
        section="vae",
        facts=model.facts,
        bound=model.bound,
        constant=model.constant,
        discrete=lambda recipe: recipe.objective.binarise != "none",
        log_likelihood=model.log_likelihood,
    ),
    warm_start=WarmStart("init_encoder_from", "encoder", warm_start.check_bodies, warm_start.start_encoder),
)
