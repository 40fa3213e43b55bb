"""Datasets: `load` finds one by name or path; all of them are `Dataset`."""

from typing import Any

import numpy as np

from genlab.data.builtin import BUILTIN, load_builtin
from genlab.data.dataset import Dataset, first, fit
from genlab.data.npz import load_npz, read_arrays
from genlab.errors import DataError

__all__ = ["BUILTIN", "Dataset", "fact_words", "facts", "first", "fit", "load", "load_builtin", "load_npz", "load_test"]


def load(name: str, split: str = "train") -> Dataset:
    """The dataset of that name (`genlab data list`) or at that path (an npz file; see `arrays`).

    Raises:
        DataError: no such dataset, a damaged file, or a layout that is not the documented one.
    """
    return load_builtin(name, split) if name in BUILTIN else load_npz(name, split)


def load_test(name: str) -> Dataset | None:
    """The test split of the dataset of that name or at that path; None where the file has none.

    Raises:
        DataError: it has images of another form, or classes that the training split lacks.
    """
    if name in BUILTIN:
        return load(name, "test")
    if "x_test" not in read_arrays(name, ("x_test",)):
        return None
    train, test = load(name), load(name, "test")
    if test.images.shape[1:] != train.images.shape[1:]:
        raise DataError(
            f"{name}: x_test has images of shape {test.images.shape[1:]}, x_train of {train.images.shape[1:]}"
        )
    if train.labels is not None and len(test.class_names) > len(train.class_names):
        raise DataError(f"{name}: y_test has {len(test.class_names)} classes, y_train {len(train.class_names)}")
    return test


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
