"""IDX files, gzipped or not: MNIST's own format, in which KMNIST, EMNIST and QMNIST are published too.

A file begins with two zero bytes, its type code, the number of dimensions, and each dimension as 4 bytes, most
significant first (LeCun, Cortes, Burges).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from genlab.data.arrays import Array
from genlab.data.dataset import Split
from genlab.data.sources.collection import ArrayCollection, Part
from genlab.data.sources.packed import beginning_of, content_of
from genlab.data.sources.tree import Folder, Tree
from genlab.errors import DataError

TYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
TRAIN, TEST = ("train",), ("t10k", "test")
CALLED = re.compile(r"idx[1-4]-(ubyte|int)(\.gz)?$")
"""Ending of the name of an IDX file."""


def is_idx(beginning: bytes) -> bool:
    """Whether a file that begins like this is an IDX file."""
    return len(beginning) >= 8 and beginning[:2] == b"\0\0" and beginning[2] in TYPES and 1 <= beginning[3] <= 4


def parse(content: bytes, where: str) -> Array:
    """The array in an IDX file.

    Raises:
        DataError: not an IDX file, damaged, or cut off.
    """
    if not is_idx(content):
        raise DataError(f"{where}: not an IDX file")
    dimensions = content[3]
    begin = 4 + 4 * dimensions
    shape = [int(n) for n in np.frombuffer(content[4:begin], ">u4")] if len(content) >= begin else []
    kind = np.dtype(TYPES[content[2]])
    needed = int(np.prod(shape, dtype=object)) * kind.itemsize if shape else 0
    if len(content) - begin != needed:
        raise DataError(f"{where}: cut off or damaged: {len(content) - begin:,} bytes of data, {needed:,} declared")
    return np.frombuffer(content, kind, offset=begin).reshape(shape)


def beside(path: Path) -> Folder:
    """An IDX file and those that belong to it: images and labels of both splits."""
    names = {path.name}
    for split in (*TRAIN, *TEST):
        for word in (*TRAIN, *TEST):
            changed = path.name.replace(word, split)
            names |= {changed, *_labels_of(changed), *(_images_of(changed))}
    prefix = _prefix(path.name)
    return Folder(path.parent, sorted({*names, f"{prefix}mapping.txt"}))


def collect(tree: Tree, where: str, path: str) -> ArrayCollection | None:
    """The images of a folder, an archive, or of files that belong together; None if there are none."""
    called = [name for name in tree.entries if "ubyte" in name or "idx" in name]
    files = [name for name in called if is_idx(beginning_of(tree, name))]
    bad = next((name for name in called if name not in files and CALLED.search(name)), None)
    if bad is not None:
        raise DataError(f"{where}: {bad} is not an IDX file; damaged, or cut off")
    images = [name for name in files if beginning_of(tree, name)[3] >= 3]
    found: dict[Split, str] = {}
    for split, words in (("train", TRAIN), ("test", TEST)):
        mine = [name for name in images if any(word in name.rpartition("/")[2].lower() for word in words)]
        if len(mine) > 1:
            raise DataError(f"{where}: several files of {split} images ({', '.join(mine[:4])}); give the path of one")
        if mine:
            found[split] = mine[0]  # type: ignore[index]
    if not images:
        return None
    if "train" not in found:
        if len(images) > 1:
            raise DataError(f"{where}: several files of images ({', '.join(images[:4])}); give the path of one")
        found = {"train": images[0]}
    notes: list[str] = []
    parts = {split: _part(tree, name, files, notes) for split, name in found.items()}
    return ArrayCollection(where, "IDX files", parts, tree.stamp, notes=notes, path=path)


def collect_file(path: Path, where: str) -> ArrayCollection | None:
    """The images of a file and of those that belong to it."""
    return collect(beside(path), where, where)


def _part(tree: Tree, name: str, files: list[str], notes: list[str]) -> Part:
    label_file = next((each for each in _labels_of(name) if each in files), None)
    emnist = "emnist" in name.lower()
    note = "EMNIST's files store rows and columns swapped; they were swapped back"
    notes += [note] if emnist and note not in notes else []

    def images() -> Array:
        x = parse(content_of(tree, name), name)
        return x.swapaxes(1, 2) if emnist and x.ndim == 3 else x

    def labels(of: str) -> Array:
        y = parse(content_of(tree, of), of)
        y = np.asarray(y[:, 0] if y.ndim == 2 else y).astype(np.int64)  # QMNIST: the class comes first.
        return _named(tree, name, y)

    return Part(images, partial(labels, label_file) if label_file else None, name, label_file or "")


def _labels_of(name: str) -> Iterator[str]:
    """Possible names of the label file of an image file."""
    stem = name.removesuffix(".gz")
    for old, new in (("idx3", "idx1"), ("idx3-ubyte", "idx2-int"), ("idx4", "idx1"), ("", "")):
        changed = stem.replace("images", "labels").replace(old, new) if old else stem.replace("images", "labels")
        yield from (changed, f"{changed}.gz")


def _images_of(name: str) -> Iterator[str]:
    stem = name.removesuffix(".gz").replace("labels", "images")
    for old in ("idx1-ubyte", "idx2-int"):
        yield from (stem.replace(old, "idx3-ubyte"), f"{stem.replace(old, 'idx3-ubyte')}.gz")


def _prefix(name: str) -> str:
    """What precedes the split's word in a path: the folder and the name of the dataset."""
    folder, slash, file = name.rpartition("/")
    return folder + slash + re.split("train|t10k|test", file)[0]


def _named(tree: Tree, name: str, y: Array) -> Array:
    """EMNIST's labels as the characters they stand for, by the mapping file: lines of "label code-point ..."."""
    file = f"{_prefix(name)}mapping.txt"
    if file not in tree.entries:
        return y
    try:
        lines = [line.split() for line in content_of(tree, file).decode("ascii").splitlines() if line.strip()]
        characters = {int(label): chr(int(code)) for label, code, *_ in lines}
        return np.array([characters[label] for label in y.tolist()])
    except (ValueError, OverflowError):
        raise DataError(f"{tree.where}/{file}: expected lines with a label and the code of its character") from None
    except KeyError as error:
        raise DataError(f"{tree.where}/{file}: label {error} is missing") from None
