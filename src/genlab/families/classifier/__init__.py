"""Classifiers: the judges, and the networks that an encoder can start from."""

from genlab.families.base import Family, Naming
from genlab.families.classifier import model
from genlab.families.classifier.columns import COLUMNS, outcome
from genlab.families.classifier.diagram import diagram
from genlab.families.classifier.plots import plots
from genlab.families.passes import of_one_pass
from genlab.recipe import equations

FAMILY = Family(
    build=model.build_networks,
    examples=model.example_inputs,
    model=lambda recipe, networks, engine, keyed, steps, _: model.Classifier(recipe, networks, engine, keyed, steps),
    equations=equations.classifier,
    columns=COLUMNS,
    called="classifier",
    plots=plots,
    diagram=diagram,
    multiply_adds=of_one_pass,
    players={"classifier": ""},
    outcome=outcome,
    naming=Naming("classifier", model.classify),
)
