"""The evaluation of a run: its images, its discriminator or encoder, its latent interpolation."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from genlab.data import Dataset, pictures
from genlab.data.dataset import Images, Labels
from genlab.data.preprocessing import Preprocessing, fitted
from genlab.engine import device, threads
from genlab.engine.stages import advance, stage
from genlab.evaluation import catalogue, models
from genlab.evaluation.image_set import Reference, Samples, drawn, in_class_order
from genlab.evaluation.judge import Judge
from genlab.evaluation.measure import Evaluation, measure
from genlab.families.base import Bounding, Scoring
from genlab.families.registry import FAMILIES
from genlab.recipe import Recipe
from genlab.runs.open import OpenRun
from genlab.runs.options import SamplingOptions
from genlab.runs.provenance import check_split, machine_of, split_of, test_is_recorded, versions
from genlab.runs.sampling import Sampler, learned, load_network

DRAWING, BEYOND = 3.0, 5.0
"""Rough seconds for 10,000 images on two ordinary cores: for drawing them, and for what is not in the catalogue."""


def evaluate(run: OpenRun, how: SamplingOptions, n: int, judge: Judge | None) -> Evaluation:
    """All metrics of n images of a run.

    A conditional run is asked for the classes of n training images, so that classes are as frequent as there.

    Raises:
        UsageError: the run makes no images.
        DataError: the dataset is not the one that the run began with.
    """
    recipe = run.recipe
    sampler = Sampler(run, how)
    with threads.all_threads(), stage(f"measuring {n:,} images", catalogue.SECONDS + DRAWING + BEYOND):
        held_out = split_of(run, "test")
        against = Reference(recipe.data.name, Preprocessing.of(recipe), judge, subset=recipe.data.subset)
        check_split(run, against.train, "train")
        labels = requests(recipe, against, n)
        made = pictures.to_uint8(sampler(sampler.z("evaluation", n), labels))
        advance(DRAWING)
        requested = None if labels is None else labels.numpy()
        evaluation = measure(Samples(made, requested, _words(run, how, sampler), against.way), against)
        record = evaluation.record
        record["protocol"] |= {
            "drawn": asdict(how),
            "measured_on": {"versions": versions(), "machine": machine_of(recipe)},
        }
        if not test_is_recorded(run):
            record["notes"].append(
                "this run was made by an older version, which did not record its test split: it may have differed"
            )
        family = FAMILIES[recipe.family]
        if family.scoring:
            record |= _discriminator(run, family.scoring, how, against, held_out, made, requested, record)
        if family.bounding:
            record |= _bound(run, family.bounding, how, held_out, record)
        if (ways := _smoothness(recipe, sampler, against)) is not None:
            record["interpolation"] = ways
        else:
            record["notes"].append("the real images do not differ: latent interpolation cannot be measured")
        classes = learned(run)
        if recipe.conditional and len(classes) > 1:
            record["style"] = models.style(
                lambda z, told: pictures.to_uint8(sampler(z, told)),
                sampler.z("evaluation/style", models.STYLES),
                classes,
            )
    return evaluation


def requests(recipe: Recipe, against: Reference, n: int) -> Tensor | None:
    """Classes requested for n images: those of n learned images; None for an unconditional run."""
    labels = against.requests(n) if recipe.conditional else None
    if labels is None:
        return None
    return torch.from_numpy(np.resize(labels, n))


def _words(run: OpenRun, how: SamplingOptions, sampler: Sampler) -> dict[str, object]:
    return {
        "of": run.path.name,
        "step": sampler.step,
        "drawn_with": sampler.words,
        "seed": how.seed,
        "classes": "as frequent as in the training set" if run.recipe.conditional else "not asked for",
    }


def _smoothness(recipe: Recipe, sampler: Sampler, against: Reference) -> dict[str, Any] | None:
    real = against.real

    def generate(z: Tensor, told: Tensor | None) -> Images:
        return against.way.back(pictures.to_uint8(sampler(z, told)), real.images.shape[2], real.images.shape[1])

    ends = sampler.z("evaluation/paths", 2, models.PATHS)
    along = requests(recipe, against, models.PATHS)
    features = real.features
    if in_class_order(real.requested):  # Two neighbours would mostly be of one class.
        features = features[np.random.default_rng(0).permutation(len(features))]
    return models.smoothness(generate, ends, along, against.judge, features)


def _discriminator(
    run: OpenRun,
    scoring: Scoring,
    how: SamplingOptions,
    against: Reference,
    held_out: Dataset | None,
    made: Images,
    requested: np.ndarray[Any, Any] | None,
    record: dict[str, Any],
) -> dict[str, Any]:
    """What D says about held-out, training and generated images; empty for a snapshot, which has no D."""
    recipe, notes, name = run.recipe, record["notes"], scoring.network
    if how.step is not None or not scoring.is_trained(recipe):
        return {}
    if name in run.provenance["own"] and name not in run.custom:
        notes.append(f"the run's custom {name} was not given: it is not evaluated")
        return {}
    machine = device.start(device.here(recipe.engine))
    network = machine.place(load_network(run, name))
    if held_out is None:
        notes.append(f"no test split: how the {name} scores images that it has not seen is unknown")
        return {}
    if scoring.is_conditional(recipe) and held_out.labels is None:
        notes.append(f"the test split has no labels, which the {name} needs: it is not evaluated")
        return {}
    packing = scoring.packing(recipe)
    if min(len(held_out), len(against.learned), len(made)) < packing:
        notes.append(f"the {name} needs {packing} images of each kind: it is not evaluated")
        return {}

    def scores(images: Images, labels: Labels | None) -> NDArray[np.float64]:
        y = None if labels is None else torch.from_numpy(labels)
        return scoring.scores(recipe, network, machine, torch.from_numpy(images), y).double().numpy()

    held_out, trained_on = (fitted(drawn(rows, models.SCORED), recipe) for rows in (held_out, against.learned))
    real, known = (scores(rows.images, rows.labels) for rows in (held_out, trained_on))
    bordered = scoring.has_border(recipe) and "objective" not in run.provenance["own"]
    fake = scores(made, requested)
    if requested is not None and packing == 1:
        for k, row in enumerate(record["classes"]):
            row["discriminator_score"] = float(fake[requested == k].mean()) if (requested == k).any() else None
    return {"discriminator": models.discriminator(real, known, fake, bordered)}


def _bound(
    run: OpenRun, bounding: Bounding, how: SamplingOptions, test: Dataset | None, record: dict[str, Any]
) -> dict[str, Any]:
    recipe = run.recipe
    if how.step is not None:
        return {}
    if test is None or (recipe.conditional and test.labels is None):
        lacks = "no test split" if test is None else "no labels in the test split, which the encoder needs"
        record["notes"].append(f"{lacks}: the bound on test images is unknown")
        return {}
    machine = device.start(device.here(recipe.engine))
    networks = {name: load_network(run, name) for name in bounding.networks}
    return {bounding.section: models.bound(recipe, bounding, networks, machine, fitted(test, recipe), how.seed)}
