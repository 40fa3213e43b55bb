"""Chosen classes of another dataset: ``mnist[0,1]``, ``fashion-mnist[sandal,bag]``, or a recipe's data.classes."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from genlab.data.dataset import Dataset, Source, Split, fingerprint
from genlab.engine.files import expanded
from genlab.errors import DataError, unknown

NAME = re.compile(r"(.+)\[([^\[\]]+)\]")


def parts(name: str) -> tuple[str, list[str]] | None:
    """The dataset and the classes in a name such as ``mnist[0,1]``; None for any other name."""
    match = NAME.fullmatch(name)
    if match is None or expanded(name).exists():
        return None
    return match[1], [SIGN.sub(lambda code: chr(int(code[1], 16)), part.strip()) for part in match[2].split(",")]


SIGN = re.compile("%(2C|5B|5D|25)")
"""A comma, bracket or percent sign in the name of a class, as a dataset's name has it."""


def name_of(dataset: str, classes: Sequence[str | int]) -> str:
    """Name of the dataset with only some classes of another.

    >>> name_of("cats", ["tabby, young", 3]), parts("cats[tabby%2C young,3]")
    ('cats[tabby%2C young,3]', ('cats', ['tabby, young', '3']))
    """
    plain = (re.sub(r"[,\[\]]|%(?=2C|5B|5D|25)", lambda sign: f"%{ord(sign[0]):02X}", str(name)) for name in classes)
    return f"{dataset}[{','.join(plain)}]"


def chosen(classes: Sequence[str], class_names: Sequence[str], where: str) -> list[int]:
    """Indices of classes that are given by name or number, in the dataset's order.

    Raises:
        DataError: no such class, the same one twice, or a dataset without classes.
    """
    if not class_names:
        raise DataError(f"{where}: has no labels, so no classes can be chosen")
    found, composed = [], [unicodedata.normalize("NFC", name) for name in class_names]
    for given in classes:
        if given in class_names:
            found.append(list(class_names).index(given))
        elif (name := unicodedata.normalize("NFC", given)) in composed:  # macOS decomposes accents in folder names.
            found.append(composed.index(name))
        elif given.isascii() and given.isdecimal() and int(given) < len(class_names):
            found.append(int(given))
        else:
            raise DataError(f"{where}: {unknown('class', given, class_names)}")
    if len(set(found)) < len(found):
        raise DataError(f"{where}: a class is chosen twice: {', '.join(classes)}")
    return sorted(found)


def selected(dataset: Dataset, classes: Sequence[str]) -> Dataset:
    """The images of some classes, renumbered from 0."""
    kept = chosen(classes, dataset.class_names, dataset.name)
    assert dataset.labels is not None
    rows = np.isin(dataset.labels, kept)
    if not rows.any():
        raise DataError(f"{dataset.name}, {dataset.split}: no image of {', '.join(classes)}")
    images, labels = dataset.images[rows], np.searchsorted(kept, dataset.labels[rows]).astype(np.int64)
    return replace(
        dataset,
        name=name_of(dataset.name, classes),
        images=images,
        labels=labels,
        class_names=tuple(dataset.class_names[k] for k in kept),
        fingerprint=fingerprint(images, labels),
    )


def source(of: Callable[[str], Source]) -> Source:
    """The source of datasets with chosen classes.

    Args:
        of: finds the source of the whole dataset.
    """

    def inner(name: str) -> tuple[str, list[str]]:
        found = parts(name)
        assert found is not None
        return found

    def load(name: str, split: Split) -> Dataset:
        dataset, classes = inner(name)
        return selected(of(dataset).load(dataset, split), classes)

    def has_test(name: str) -> bool:
        whole = inner(name)[0]
        its = of(whole)
        # Of test images without labels, nobody knows which are of these classes.
        return its.has_test(whole) and (its.packaged(whole) or its.load(whole, "test").labels is not None)

    return Source(
        claims=lambda name: parts(name) is not None,
        load=load,
        has_test=has_test,
        packaged=lambda name: of(inner(name)[0]).packaged(inner(name)[0]),
    )
