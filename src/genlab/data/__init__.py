"""Datasets: `load` finds one by name or path; all of them are `Dataset`."""

from typing import Any

import numpy as np

from genlab.data import builtin, npz
from genlab.data.builtin import BUILTIN, load_builtin
from genlab.data.dataset import Dataset, Source, Split, first, fit
from genlab.data.npz import load_npz
from genlab.errors import DataError

__all__ = ["BUILTIN", "Dataset", "Split", "fact_words", "facts", "first", "fit", "is_packaged", "load", "load_builtin"]
__all__ += ["load_npz", "load_test", "source_of", "stacks"]

SOURCES: tuple[Source, ...] = (builtin.SOURCE, npz.SOURCE)
"""Where datasets come from; the first source that claims a name has it, and the last one claims all."""


def source_of(name: str) -> Source:
    """The source that has the dataset of that name or at that path."""
    return next(source for source in SOURCES if source.claims(name))


def load(name: str, split: Split = "train") -> Dataset:
    """The dataset of that name (`genlab data list`) or at that path (an npz file; see `npz`).

    Raises:
        DataError: no such dataset, a damaged file, or a layout that is not the documented one.
    """
    return source_of(name).load(name, split)


def load_test(name: str) -> Dataset | None:
    """The test split of the dataset of that name or at that path; None where there is none.

    Raises:
        DataError: it has images of another form, or classes that the training split lacks.
    """
    source = source_of(name)
    if not source.has_test(name):
        return None
    test = load(name, "test")
    if not source.packaged:
        _check_test(name, load(name), test)
    return test


def _check_test(name: str, train: Dataset, test: Dataset) -> None:
    if test.images.shape[1:] != train.images.shape[1:]:
        raise DataError(
            f"{name}: x_test has images of shape {test.images.shape[1:]}, x_train of {train.images.shape[1:]}"
        )
    if train.labels is not None and len(test.class_names) > len(train.class_names):
        raise DataError(f"{name}: y_test has {len(test.class_names)} classes, y_train {len(train.class_names)}")


def is_packaged(name: str) -> bool:
    """Whether a dataset comes with genlab: it lies nowhere else and cannot change."""
    return source_of(name).packaged


def stacks(name: str) -> str | None:
    """The dataset whose images are the channels of this one's; None for any other."""
    return BUILTIN[name].stacks if name in BUILTIN else None


def facts(dataset: Dataset) -> dict[str, Any]:
    """What is in a dataset, for people and as JSON."""
    counts = [] if dataset.labels is None else np.bincount(dataset.labels, minlength=len(dataset.class_names)).tolist()
    return {
        "name": dataset.name,
        "split": dataset.split,
        "images": len(dataset),
        "side": dataset.side,
        "channels": dataset.channels,
        "pixels": {
            "lowest": int(dataset.images.min()),
            "mean": round(float(dataset.images.mean()), 2),
            "highest": int(dataset.images.max()),
        },
        "classes": dict(zip(dataset.class_names, counts, strict=True)),
        "sha256": dataset.fingerprint,
        "notes": list(dataset.notes),
    }


def fact_words(value: Any) -> str:
    """One of `facts` as text."""
    if isinstance(value, dict):
        return ", ".join(f"{key}: {inner:,}" for key, inner in value.items()) or "none"
    if isinstance(value, list):
        return "; ".join(value) or "none"
    return f"{value:,}" if isinstance(value, int) else str(value)
