"""Stacked MNIST: three digits as the channels of one image, a thousand classes (Metz et al. 2017)."""

from __future__ import annotations

from itertools import product

import numpy as np
from numpy.typing import NDArray

from genlab.data.dataset import Dataset, fingerprint

CHANNELS = 3
SAMPLES = 26_000
"""Number of images in which the classes found are counted, by convention."""


def stack(digits: Dataset, seed: int = 0) -> Dataset:
    """As many triples as there are digits, each of three digits a, b, c drawn independently: label 100 a + 10 b + c.

    The same digits and seed give the same triples.
    """
    assert digits.labels is not None
    chosen = np.random.default_rng(seed).integers(len(digits), size=(len(digits), CHANNELS))
    images = digits.images[chosen, 0]
    classes = len(digits.class_names)
    labels = digits.labels[chosen] @ (classes ** np.arange(CHANNELS)[::-1])
    return Dataset(
        f"stacked-{digits.name}", digits.split, images, labels, names(digits.class_names), fingerprint(images, labels)
    )


def names(class_names: tuple[str, ...]) -> tuple[str, ...]:
    """The names of the triples, in the order of their labels."""
    return tuple("".join(triple) for triple in product(class_names, repeat=CHANNELS))


def shares(digits: Dataset) -> NDArray[np.float64]:
    """Probability of each triple of independent digits: the distribution that `stack` draws from."""
    assert digits.labels is not None
    single = np.bincount(digits.labels, minlength=len(digits.class_names)) / len(digits)
    joint: NDArray[np.float64] = np.einsum("a,b,c->abc", single, single, single).ravel()
    return joint
