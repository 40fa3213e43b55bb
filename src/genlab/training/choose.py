"""Settings of the recipe `quick` for a dataset, chosen from its facts, each with a reason."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any

import numpy as np

from genlab.data import Dataset, hint, memory, selection
from genlab.data.checking import light_ground
from genlab.errors import DataError
from genlab.recipe import files

CHOOSERS = {"quick": 1, "quick-color": 3}
"""Recipes that are chosen for their dataset, and the channels in their recipe files."""
SIZES = (16, 32, 64)
"""Image sides that the networks can make, in pixels."""
SMALLER = f"--size {SIZES[-1]} --fit stretch"
"""Options of the import of larger images."""
LEAST = 2
"""Images that batch normalisation needs."""
STEPS = 1600
"""Approximate number of updates of each network."""
BATCH = 64
COPIED = 5000
"""Training images below which copies are likely."""
MOST_CLASSES, LEAST_OF_A_CLASS = 100, 5
"""A conditional GAN needs at most this many classes, and at least this many images of the smallest class."""
BORDER = 0.75
"""An image that fills less of the networks' side than this is enlarged; any other gets a border."""
UNCONDITIONAL = {
    "networks.generator.kind": "dcgan",
    "networks.generator.head": "transposed",
    "networks.discriminator.kind": "dcgan",
    "networks.discriminator.stem": "strided",
    "networks.discriminator.normalise_first": False,
}


@dataclass
class Choice:
    """Settings for a dataset.

    Attributes:
        overrides: dotted path -> value.
        words: what was chosen and why, one line per choice.
    """

    overrides: dict[str, Any] = field(default_factory=dict)
    words: list[str] = field(default_factory=list)

    def take(self, words: str, overrides: Mapping[str, Any]) -> None:
        self.words.append(words)
        self.overrides |= overrides


def choose(dataset: Dataset, channels: int, length_is_given: bool = False) -> Choice:
    """Settings for a dataset's training images.

    Args:
        channels: minimum number of channels of the images that the networks make.
        length_is_given: whether the caller sets the length of the training, so that the words leave it out.

    Raises:
        DataError: the images are larger than the networks can make, or too few.
    """
    if len(dataset) < LEAST:
        raise DataError(f"{dataset.name}: 1 training image; quick needs {LEAST} or more (a few hundred are better)")
    made = Choice()
    _form(made, dataset, max(channels, dataset.channels))
    conditional = _classes(made, dataset)
    _budget(made, len(dataset), length_is_given)
    name = called(dataset.name)
    what = f"{'conditional ' if conditional else ''}GAN, {len(dataset):,} images"
    own = f"quick-{name}" if f"quick-{name}" not in files.names() else f"quick-for-{name}"
    made.overrides |= {"name": own, "description": f"{what} of {name}; settings chosen by genlab"}
    return made


def called(dataset: str) -> str:
    """Name of a dataset as part of a recipe's name: ``photos`` for ``/data/photos.npz``.

    >>> called("data/My photos.npz"), called("memory:0123456789ab"), called("mnist[0,1]")
    ('My-photos', 'images', 'mnist-0-1')
    """
    inner = selection.parts(dataset)
    if dataset.startswith(memory.PREFIX):
        return "images"
    stem = PurePath(inner[0]).stem + "-" + "-".join(inner[1]) if inner else PurePath(dataset).stem
    return re.sub("[^A-Za-z0-9._-]+", "-", stem).strip("-._")[:50] or "images"


def _form(made: Choice, dataset: Dataset, channels: int) -> None:
    """Choose size, border and channels."""
    side = dataset.side
    size = next((each for each in SIZES if each >= side), None)
    if size is None:
        smaller = hint(dataset.name, SMALLER)
        raise DataError(f"{dataset.name}: images of {side} pixels; quick takes at most {SIZES[-1]}{smaller}")
    resize = "none" if size == side else "bilinear"
    if side < size and side >= BORDER * size:
        resize = "edge" if light_ground(dataset.images) else "pad"
    how = {"none": "as they are", "pad": "with a black border", "edge": "with their edge repeated around them"}
    colour = "colour" if channels == 3 else "gray"
    words = (
        f"{size} x {size} pixels, {colour}: images of {side} pixels are used {how.get(resize, 'enlarged (bilinear)')}"
    )
    made.take(words, {"data.size": size, "data.resize": resize, "data.channels": channels})


def _classes(made: Choice, dataset: Dataset) -> bool:
    """Choose a conditional GAN if there are classes that can be learned; returns whether it is one."""
    classes = len(dataset.class_names)
    least = 0 if dataset.labels is None else int(np.bincount(dataset.labels, minlength=classes).min())
    if 2 <= classes <= MOST_CLASSES and least >= LEAST_OF_A_CLASS:
        made.take(f"conditional: {classes} classes, the smallest with {least:,} images", {})
        return True
    why = "there are no labels"
    if classes == 1:
        why = "there is only one class"
    elif classes > MOST_CLASSES:
        why = f"there are {classes:,} classes, more than {MOST_CLASSES}"
    elif classes:
        why = f"the smallest class has {least:,} images, fewer than {LEAST_OF_A_CLASS}"
    made.take(f"unconditional: {why}", UNCONDITIONAL)
    return False


def _budget(made: Choice, images: int, length_is_given: bool) -> None:
    """Choose batch size and epochs by the number of images."""
    batch = min(BATCH, 1 << (images.bit_length() - 1))
    per_epoch = max(1, images // batch)
    epochs = math.ceil(STEPS / per_epoch)
    steps = min(epochs * per_epoch, 2 * STEPS)
    cut = steps if steps < per_epoch else None
    epochs_word = f"{epochs:,} epochs" if epochs > 1 else "1 epoch" if cut is None else "part of an epoch"
    made.take(
        f"batches of {batch} images" if length_is_given else f"{epochs_word}, {steps:,} steps of {batch} images",
        {"budget.batch": batch, "budget.epochs": epochs, "budget.max_steps": cut},
    )
    # Differentiable augmentation is left out even for few images: within this budget it costs much and prevents nothing
    # (docs/data.md has the measurement).
    if images < COPIED:
        made.words.append(
            f"with so few images ({images:,}), a model may copy them: see `memorised` while it trains, and the nearest "
            "training images in its report"
        )
