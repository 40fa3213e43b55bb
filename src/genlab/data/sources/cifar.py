"""CIFAR's binary files: records of one label (CIFAR-100: two) and 3,072 pixels, red, green, blue (Krizhevsky 2009)."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from genlab.data.arrays import Array
from genlab.data.dataset import Split
from genlab.data.sources.collection import ArrayCollection, Part
from genlab.data.sources.packed import content_of
from genlab.data.sources.tree import Folder, Tree
from genlab.errors import DataError

PIXELS = 3 * 32 * 32
TRAIN, TEST = re.compile(r"(.*/)?(data_batch_\d+|train)\.bin"), re.compile(r"(.*/)?(test_batch|test)\.bin")
NAMES = ("batches.meta.txt", "fine_label_names.txt")


def is_cifar(name: str) -> bool:
    """Whether a file is named like a CIFAR binary file."""
    return bool(TRAIN.fullmatch(name) or TEST.fullmatch(name))


def beside(path: Path) -> Folder:
    """A CIFAR file and those that belong to it, in the same folder."""
    there = [each.name for each in path.parent.iterdir() if is_cifar(each.name) or each.name in NAMES]
    return Folder(path.parent, there)


def collect(tree: Tree, where: str, path: str) -> ArrayCollection | None:
    """The images of a folder or archive; None if there are none."""
    files: dict[Split, list[str]] = {
        "train": [name for name in tree.entries if TRAIN.fullmatch(name)],
        "test": [name for name in tree.entries if TEST.fullmatch(name)],
    }
    if not files["train"]:
        return None
    labels = 2 if files["train"][0].endswith("train.bin") else 1
    parts = {split: _part(tree, names, labels, where) for split, names in files.items() if names}
    file = next((name for name in tree.entries if name.rpartition("/")[2] in NAMES), None)
    names = None
    if file is not None:
        names = [line for line in content_of(tree, file).decode("utf-8", "replace").splitlines() if line.strip()]
    form = f"CIFAR-{'100' if labels == 2 else '10'} binary files"
    return ArrayCollection(where, form, parts, tree.stamp, names, file or "", path=path)


def collect_file(path: Path, where: str) -> ArrayCollection | None:
    """The images of a file and of those that belong to it."""
    return collect(beside(path), where, where)


def is_file(path: Path) -> bool:
    """Whether a file consists of whole CIFAR records."""
    size = path.stat().st_size
    return path.suffix == ".bin" and size > 0 and any(size % (PIXELS + labels) == 0 for labels in (1, 2))


def _part(tree: Tree, names: Sequence[str], labels: int, where: str) -> Part:
    def records() -> Array:
        return np.concatenate([_records(tree, name, labels) for name in names])

    at = f"{where}: {names[0]}{f' .. {names[-1]}' if len(names) > 1 else ''}"
    return Part(partial(_images, records), partial(_labels, records, labels), at, f"{at}, labels")


def _images(records: Callable[[], Array]) -> Array:
    return records()[:, -PIXELS:].reshape(-1, 3, 32, 32)


def _labels(records: Callable[[], Array], labels: int) -> Array:
    return records()[:, labels - 1].astype(np.int64)  # For CIFAR-100 the fine label, which comes second.


def _records(tree: Tree, name: str, labels: int) -> Array:
    content = content_of(tree, name)
    if not content or len(content) % (PIXELS + labels):
        raise DataError(f"{tree.where}/{name}: {len(content):,} bytes do not divide into records of {PIXELS + labels}")
    return np.frombuffer(content, np.uint8).reshape(-1, PIXELS + labels)
