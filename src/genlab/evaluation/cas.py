"""Classification accuracy score: a classifier that is trained on generated images and tested on real ones."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from genlab.data import Dataset
from genlab.data.dataset import Images, Labels
from genlab.engine import device
from genlab.engine.stages import advance
from genlab.evaluation import metrics
from genlab.evaluation.metrics import Estimate
from genlab.recipe import Recipe, files
from genlab.training.assemble import assemble
from genlab.training.fit import batches

RECIPE, EPOCHS = "judge-mnist", 5
"""The network and optimiser are the judge's, but images are not augmented, and it learns for this many epochs."""
LEAST = 128
"""Fewest images that it needs: its batch."""


def recipe_of(images: Dataset) -> Recipe:
    """Classifier recipe for images of this size and number of channels.

    Raises:
        RecipeError: its network cannot take such images.
    """
    changes = {
        "data.size": images.side,
        "data.channels": images.channels,
        "augmentation": None,
        "budget.epochs": EPOCHS,
        "budget.batch": LEAST,
    }
    return files.load(RECIPE, changes)


def accuracy_score(
    images: Images,
    labels: Labels,
    test: Dataset,
    classes: int,
    seed: int = 0,
) -> Estimate:
    """Accuracy on the test split of a CNN trained on `images` with `labels` (Ravuri and Vinyals 2019).

    Args:
        images: uint8, (N, C, H, W), in the dataset's form; at least `LEAST`.
        labels: class that each image is meant to show, (N,).
        test: real images with labels.
        classes: number of classes of the training set; the test split may lack some.
        seed: seed of the initial weights and of the order.
    """
    assert test.labels is not None
    learned = replace(test, images=images, labels=labels, class_names=tuple(map(str, range(classes))))
    assembly = assemble(recipe_of(test), learned, seed)
    model, schedule = assembly.model(), assembly.schedule
    x, y = torch.from_numpy(learned.images), torch.from_numpy(np.ascontiguousarray(labels))
    for step, rows in batches(schedule, assembly.keyed, after=0):
        model.step(x[rows], y[rows], step)
        advance(1 / schedule.total_steps)
    naming = assembly.family.naming
    assert naming is not None
    network, machine = model.networks[naming.network], device.start(assembly.recipe.engine)
    found = naming.classify(network, machine, torch.from_numpy(test.images)).argmax(1).numpy()
    return metrics.bootstrap(found == test.labels)
