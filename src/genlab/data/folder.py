"""Images to be measured, from any source: a folder of pictures, or a file of arrays."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genlab.data import memory
from genlab.data.arrays import as_images, as_labels
from genlab.data.dataset import Images, Labels
from genlab.data.sources.collection import Collection
from genlab.data.sources.found import collect
from genlab.data.sources.npz import arrays_in, read_arrays
from genlab.engine.files import expanded
from genlab.errors import DataError


def read_images(path: str | Path, class_names: Sequence[str]) -> tuple[Images, Labels | None, tuple[str, ...]]:
    """The images at `path`, uint8 (N, C, H, W), the intended class of each, or None if unknown, and notes.

    A folder or archive: all pictures in it, in natural order; folders named after classes (`place_of`) give the
    intended classes. An npz file: `images`, uint8 or float in [0, 1], N x H x W, N x C x H x W or N x H x W x C, and
    optionally `labels`, integers or class names (N,): what `genlab sample -o FILE.npz` writes. Any other source of
    images: all of them, with its labels.

    Raises:
        DataError: nothing is there, or no such images; names the file or array.
    """
    path = expanded(path)
    if not path.exists():
        raise DataError(f"{path}: no such run, folder or file")
    if path.suffix.lower() == ".npz" and path.is_file() and "images" in arrays_in(path):
        return (*_arrays(path, class_names), ())
    found = collect(path)
    images = found.images(range(len(found)))
    labels, notes = _meant(found, class_names)
    return images, labels, (*found.notes, *notes)


def in_memory(given: Any, class_names: Sequence[str]) -> tuple[Images, Labels | None, tuple[str, ...]]:
    """Like `read_images`, for images in memory; see `memory.keep`."""
    found = memory.collection(given)
    labels, notes = _meant(found, class_names)
    return found.images(range(len(found))), labels, (*found.notes, *notes)


def _meant(found: Collection, class_names: Sequence[str]) -> tuple[Labels | None, tuple[str, ...]]:
    """Intended class of each image by the source's class names, or None unless all of these are known; and notes."""
    if found.labels is None or not class_names:
        return None, ()
    places = [place_of(name, class_names) for name in found.class_names]
    strange = [name for name, place in zip(found.class_names, places, strict=True) if place is None]
    if strange:
        shown = ", ".join(strange[:5])
        return None, (f"folders {shown} match no class of the dataset, so the intended classes are unknown",)
    return np.array(places, np.int64)[found.labels], ()


INDEX = "class-index-"
"""Beginning of a folder's name that is the index of a class, also where classes are named by numbers."""


def place_of(name: str, class_names: Sequence[str]) -> int | None:
    """Index of the class that a folder is named after: by its name (capitals and separators do not matter), or by its
    number, alone (`7`, `07`), after a word (`digit_7`) or, where names are numbers, as `class-index-7`; None if there
    is no such class.

    >>> [place_of(name, ["T-shirt", "trouser"]) for name in ("Trouser", "t_shirt", "01", "class-1", "coat")]
    [1, 0, 1, 1, None]
    """

    def plain(text: str) -> str:
        return re.sub(r"[\W_]+", " ", text).casefold().strip()

    if (index := re.fullmatch(rf"{INDEX}([0-9]{{1,4}})", name)) is not None:
        return int(index[1]) if int(index[1]) < len(class_names) else None
    if name in class_names:
        return list(class_names).index(name)
    alike = [k for k, known in enumerate(class_names) if plain(known) == plain(name) and plain(name)]
    if len(alike) == 1:
        return alike[0]
    number = re.fullmatch(r"(?:[^\W\d]+[\W_]*)?0*([0-9]{1,4})", name)
    if number is None:
        return None
    if number[1] in class_names:
        return list(class_names).index(number[1])
    return int(number[1]) if int(number[1]) < len(class_names) else None


def from_array(x: NDArray[Any], where: str) -> Images:
    """Images of an array that is uint8, or float in [0, 1]: N x H x W, N x C x H x W or N x H x W x C -> uint8
    (N, C, H, W).

    Raises:
        DataError: any other array; the message begins with `where`.
    """
    if x.dtype.kind == "f" and x.ndim:
        bad = np.flatnonzero(~((x >= 0) & (x <= 1)).reshape(len(x), -1).all(1)) if x.size else np.array([], int)
        if len(bad):
            high = x[bad[0]][np.isfinite(x[bad[0]])].max(initial=0)
            way = "for 0 .. 255 use x / 255" if high > 2 else "for [-1, 1] use (x + 1) / 2"
            raise DataError(f"{where}[{bad[0]}] has values outside of [0, 1] or NaN; {way}")
        x = np.rint(x.astype(np.float64) * 255).astype(np.uint8)
    return as_images(x, where, [])


def _arrays(path: Path, class_names: Sequence[str]) -> tuple[Images, Labels | None]:
    arrays = read_arrays(path, ("images", "labels"))
    y, images = arrays.get("labels"), from_array(arrays["images"], f"{path}: images")
    if y is None or not class_names:
        return images, None
    labels = as_labels(y, len(images), f"{path}: labels")
    if labels.dtype.kind == "U":
        places = {str(name): place_of(str(name), class_names) for name in np.unique(labels)}
        labels = np.array([-1 if (k := places[str(name)]) is None else k for name in labels], np.int64)
    bad = np.flatnonzero((labels < 0) | (labels >= len(class_names)))
    if len(bad):
        raise DataError(f"{path}: label {y[bad[0]]} of image {bad[0]}; allowed: 0 .. {len(class_names) - 1}")
    return images, labels
