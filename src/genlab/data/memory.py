"""Datasets given from Python: arrays, tensors, Pillow images, torch datasets; see `keep` for every form.

Only this process knows them, by a name that contains their fingerprint. A run trained on such a dataset stores the name
and the fingerprint; in another process it has to be given the same images again.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from genlab.data.arrays import RANGES, Array, as_labels, class_names_of, numbered
from genlab.data.dataset import Dataset, Source, Split, fingerprint
from genlab.data.sources.collection import ArrayCollection, Collection, Part, PictureCollection
from genlab.data.sources.picture import Head, Picture, Unreadable, of_image
from genlab.engine.stages import advance, stage
from genlab.errors import DataError

PREFIX = "memory:"
Images = Any
"""What is accepted in place of a dataset's name or path; see `keep`."""

_kept: dict[str, dict[Split, Dataset]] = {}


def name_of(given: Images) -> str:
    """Name of a dataset: a given name or path as it is; for anything else, the name that `keep` returns."""
    return str(given) if isinstance(given, str | Path) else keep(given)


def keep(given: Images) -> str:
    """Make a dataset of images in memory, and return the name by which this process knows it.

    Args:
        given: one of
            - images: an array or tensor, uint8 or float in [0, 1], N x H x W, N x C x H x W or N x H x W x C;
              a list of Pillow images; or a `Dataset`;
            - (images, labels);
            - a torch dataset whose items are an image or (image, label);
            - a mapping with x_train and, optionally, y_train, x_test, y_test, class_names; or with train and,
              optionally, test, each one of the above.

    Raises:
        DataError: none of these, or images that cannot be used as they are; says what is expected.
    """
    splits = _splits(given)
    train = splits["train"]
    name = f"{PREFIX}{train.fingerprint[:12]}"
    if "test" in splits:
        name += f"-{splits['test'].fingerprint[:12]}"
    _kept[name] = {split: replace(data, images=data.images.copy()) for split, data in splits.items()}
    return name


def collection(given: Images) -> Collection:
    """Images in memory as a collection, which `genlab.import_images` reads."""
    if isinstance(given, Dataset) or (isinstance(given, Mapping) and "train" in given):
        splits = _splits(given)
        arrays: dict[str, Any] = {f"x_{split}": data.images for split, data in splits.items()}
        arrays |= {f"y_{split}": data.labels for split, data in splits.items() if data.labels is not None}
        return _of_arrays(arrays | ({"class_names": names} if (names := splits["train"].class_names) else {}))
    found = _collection(given, "images")
    if found is None:
        raise DataError(_expected(given))
    return found


def _splits(given: Images) -> dict[Split, Dataset]:
    if isinstance(given, Dataset):
        return {"train": replace(given, fingerprint=fingerprint(given.images, given.labels))}  # It may be a subset.
    if isinstance(given, Mapping) and "train" in given:
        return _both(given)
    found = _collection(given, "images")
    if found is None:
        raise DataError(_expected(given))
    return {split: found.dataset(split) for split in found.splits}


def _both(given: Mapping[str, Any]) -> dict[Split, Dataset]:
    """Two splits that were given separately."""
    strange = set(given) - {"train", "test"}
    if strange:
        raise DataError(f"data: unknown key {min(strange)!r}; a mapping has train and test, or x_train, y_train, ...")
    found: dict[Split, Dataset] = {"train": _splits(given["train"])["train"]}
    if given.get("test") is not None:
        found["test"] = _numbered_as(found["train"], _splits(given["test"])["train"])
    return found


def _numbered_as(train: Dataset, test: Dataset) -> Dataset:
    """The test split with labels renumbered as in the training split, if it has no other classes."""
    if (
        test.labels is None
        or test.class_names == train.class_names
        or not set(test.class_names) <= {*train.class_names}
    ):
        return test
    labels = np.array([train.class_names.index(name) for name in test.class_names], np.int64)[test.labels]
    return replace(test, labels=labels, class_names=train.class_names, fingerprint=fingerprint(test.images, labels))


def _collection(given: Images, where: str) -> Collection | None:
    if isinstance(given, Mapping):
        return _of_mapping(given) if "x_train" in given else None
    if isinstance(given, torch.utils.data.Dataset):
        return _of_torch(given)
    if isinstance(given, tuple) and len(given) == 2:
        images, labels = given
        if isinstance(images, list | tuple) and images and isinstance(images[0], Image.Image):
            return _of_pillow(images, _array(labels), where)
        return _of_arrays({"x_train": images, "y_train": labels})
    if isinstance(given, list | tuple) and given and all(isinstance(each, Image.Image) for each in given):
        return _of_pillow(given, None, where)
    if isinstance(given, list | tuple) and given and all(isinstance(each, str | Path) for each in given):
        raise DataError("data is a list of names; give the folder that the files are in, or their pictures as a list")
    if isinstance(given, np.ndarray | torch.Tensor) or (isinstance(given, list) and given):
        return _of_arrays({"x_train": given})
    return None


def _of_mapping(given: Mapping[str, Any]) -> Collection:
    known = ("x_train", "y_train", "x_test", "y_test", "class_names")
    strange = [key for key in given if key not in known]
    if strange:
        raise DataError(f"data: unknown key {strange[0]!r}; allowed: {', '.join(known)}")
    return _of_arrays(given)


def _of_arrays(given: Mapping[str, Any]) -> ArrayCollection:
    parts: dict[Split, Part] = {}
    notes: list[str] = []
    splits: tuple[Split, ...] = ("train", "test")
    for split in splits:
        x, y = given.get(f"x_{split}"), given.get(f"y_{split}")
        if x is None:
            if y is not None or split == "train":
                raise DataError(f"data: x_{split}, the images, is missing")
            continue
        images = _as_bytes(_array(x), f"x_{split}", notes)
        labels = None if y is None else partial(_array, y)
        parts[split] = Part(partial(_same, images), labels, f"x_{split}", f"y_{split}")
    return ArrayCollection("images", "arrays", parts, "", given.get("class_names"), "class_names", notes)


def _same(x: Array) -> Array:
    return x


def _array(x: Any) -> Array:
    """The given data as an array on the CPU."""
    if isinstance(x, torch.Tensor):
        x = x.detach().cpu()
        try:
            return np.asarray((x.float() if x.dtype == torch.bfloat16 else x).numpy())
        except (TypeError, RuntimeError):
            raise DataError(f"a tensor of {x.dtype}, {x.layout}, cannot be used as images or labels") from None
    if isinstance(x, list | tuple) and any(isinstance(each, torch.Tensor) for each in x):
        x = [_array(each) for each in x]
    try:
        found = np.asarray(x)
    except ValueError:
        raise DataError("images of several sizes cannot form one array; give a list of Pillow images") from None
    return found


def _as_bytes(x: Array, where: str, notes: list[str]) -> Array:
    """Float images in [0, 1], torch's own convention, as 0 .. 255; any other array as it is."""
    if x.dtype.kind != "f" or not x.size:
        return x
    low, high = float(x.min()), float(x.max())
    if not (low >= 0 and high <= 1):  # NaN too.
        usual = next((pair for pair in RANGES if pair[0] <= low and high <= pair[1]), None)
        ways = {(-1, 1): "(x + 1) / 2", (0, 255): "x / 255", (0, 65_535): "x / 65535"}
        way = f"; if {usual[0]} is black and {usual[1]} white, give {ways[usual]}" if usual in ways and usual else ""
        found = "NaN" if not np.isfinite(low + high) else f"values {low:.6g} .. {high:.6g}"
        raise DataError(f"{where} has {found}; float images must lie in [0, 1]{way}")
    notes.append("float images in [0, 1], rounded to 0 .. 255")
    return np.rint(x.astype(np.float64) * 255).astype(np.uint8)


def _of_pillow(
    images: Sequence[Image.Image], labels: Array | None, where: str, given: Sequence[str] | None = None
) -> PictureCollection:
    names: tuple[str, ...] = ()
    numbers = None
    odd = next((each for each in images if not isinstance(each, Image.Image)), None)
    if odd is not None:
        raise DataError(f"{where}: a {type(odd).__name__} among Pillow images")
    if labels is not None:
        y = as_labels(labels, len(images), "labels")
        names = tuple(class_names_of(y, "labels", given, "classes"))
        numbers = numbered(y, names, "labels", given is not None)

    def decoded(rows: Sequence[int], heads: bool) -> Iterator[tuple[int, Head | Picture | Unreadable]]:
        for row in rows:
            found: Head | Picture | Unreadable
            try:
                found = of_image(images[row])
                found = Head(found.size, len(found.pixels) == 1, 8 * found.pixels.itemsize) if heads else found
            except Unreadable as error:
                found = error
            yield row, found

    test = np.zeros(len(images), bool)
    called = [f"[{k}]" for k in range(len(images))]
    return PictureCollection(where, "Pillow images", called, test, numbers, names, [], "", decoded)


def _of_torch(given: Any) -> Collection:
    """A torch dataset, read once; each item is an image, or an image and a label."""
    images: list[Any] = []
    labels: list[Any] = []
    total = len(given) if hasattr(given, "__len__") else 0
    with stage("reading the torch dataset", total):
        for item in itertools.islice((given[k] for k in range(total)) if total else iter(given), 10_000_000):
            image, label = item if isinstance(item, tuple | list) and len(item) == 2 else (item, None)
            images.append(image)
            labels.append(label)
            advance(1)
    if not images:
        raise DataError("the torch dataset is empty")
    y = None if labels[0] is None else _array(labels)
    names = getattr(given, "classes", None)
    if not (isinstance(names, list | tuple) and names and all(isinstance(name, str) for name in names)):
        names = None
    if isinstance(images[0], Image.Image):
        return _of_pillow(images, y, "images", names)
    return _of_arrays({"x_train": [_array(image) for image in images], "y_train": y, "class_names": names})


def _expected(given: Any) -> str:
    if isinstance(given, torch.utils.data.DataLoader):
        return "data is a DataLoader; give its dataset (loader.dataset), which genlab orders and batches itself"
    return (
        f"data is a {type(given).__name__}; expected a name, a path, an array of images, (images, labels), a list of "
        "Pillow images, a torch dataset, or a mapping with x_train and y_train"
    )


def load(name: str, split: Split) -> Dataset:
    """One split of a dataset that was given in this process.

    Raises:
        DataError: it was not given in this process, or lacks the split.
    """
    if name not in _kept:
        others = f"; this process has only {', '.join(_kept)}" if _kept else ""
        raise DataError(
            f"dataset {name}: its images were passed from Python, and are not in this process; pass them again with "
            f"data=, as in genlab.open_run(run, data=images){others}"
        )
    found = _kept[name]
    if split not in found:
        raise DataError(f"{name}: no {split} images")
    made = found[split]
    return Dataset(name, split, made.images, made.labels, made.class_names, made.fingerprint, made.notes)


def has_test(name: str) -> bool:
    load(name, "train")
    return "test" in _kept[name]


SOURCE = Source(
    claims=lambda name: name.startswith(PREFIX) and not name.endswith("]"), load=load, has_test=has_test
)  # Names with chosen classes belong to `selection`.
