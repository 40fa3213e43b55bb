"""Classification accuracy score: a classifier that is trained on generated images and tested on real ones."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from genlab.data import Dataset
from genlab.data.dataset import Images, Labels
from genlab.engine import device
from genlab.engine.randomness import Keyed
from genlab.evaluation import metrics
from genlab.evaluation.metrics import Estimate
from genlab.families.classifier.model import Classifier, build_networks
from genlab.recipe import ClassifierRecipe, files
from genlab.training.fit import Plan

RECIPE, EPOCHS = "judge-mnist", 5
"""The network and optimiser are the judge's; the images are not disturbed, and it learns for so many epochs."""
LEAST = 128
"""Images that it needs: its batch."""


def recipe_of(images: Dataset) -> ClassifierRecipe:
    """The classifier for images of this size and number of channels.

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
    recipe = files.load(RECIPE, changes)
    assert isinstance(recipe, ClassifierRecipe)
    return recipe


def accuracy_score(
    images: Images,
    labels: Labels,
    test: Dataset,
    classes: int,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Estimate:
    """Accuracy on the test split of a CNN trained on `images` with `labels` (Ravuri and Vinyals 2019).

    Args:
        images: uint8, (N, C, H, W), in the dataset's form; `LEAST` or more.
        labels: what each was meant as, (N,).
        test: real images with labels.
        classes: of the training set; the test split may lack some.
        seed: of initial weights and order.
        progress: told (step, steps) now and then.
    """
    assert test.labels is not None
    recipe = recipe_of(test)
    keyed, plan = Keyed(seed), Plan.of(recipe, len(images))
    machine = device.start(device.resolve(recipe.engine, mergeable=False))
    networks = build_networks(recipe, classes, keyed)
    model = Classifier(recipe, networks, machine, keyed, plan.total_steps)
    x, y = torch.from_numpy(images), torch.from_numpy(np.ascontiguousarray(labels))
    for step, rows in plan.batches(keyed, after=0):
        model.step(x[rows], y[rows], step)
        if progress and step % 20 == 0:
            progress(step, plan.total_steps)
    found = model.classify(torch.from_numpy(test.images)).argmax(1).numpy()
    return metrics.bootstrap(found == test.labels)
