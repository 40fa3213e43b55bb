"""Which judge a dataset has: one in the package or, for a user's own dataset, a file beside the data.

If the data's folder is not writable, the file lies in the user's data folder. If there are several files, the newest
that was trained on exactly these images is used.
"""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path

from genlab import data
from genlab.data import selection
from genlab.engine.files import make_folder, write
from genlab.engine.places import data_folder, is_writable
from genlab.errors import DataError
from genlab.evaluation.judge import EACH_CHANNEL, PINNED, Judge, learned_from, packaged, read
from genlab.evaluation.random_features import random_features

ENDING = ".judge.safetensors"


def load(dataset: str) -> Judge | None:
    """Judge of a dataset, or None if it has none. `judge(images)` gives features and logits.

    For a built-in dataset this is the judge in the package, for any other the one that `genlab judge train` stored; for
    some classes of a dataset (``mnist[0,1]``) it is that dataset's judge, restricted to these classes.

    Raises:
        DataError: the file in the package is not the pinned one.
    """
    if (inner := selection.parts(dataset)) is not None:
        whole = load(inner[0])
        if whole is None or whole.each_channel > 1:
            return whole
        chosen = selection.chosen(inner[1], data.load(inner[0]).class_names, inner[0])
        return replace(whole, chosen=tuple(chosen))
    return packaged(dataset) if dataset in PINNED or dataset in EACH_CHANNEL else find(dataset)


def reader(dataset: str) -> Judge:
    """Network that reads the images of a dataset: its judge, or the random network if it has none."""
    found = load(dataset)
    if found is not None:
        return found
    train = data.load(dataset)
    return random_features(train.channels, train.side)


def beside(dataset: str) -> Path | None:
    """Path of a dataset's judge beside it: ``mine.judge.safetensors`` for ``mine.npz``; None if it has no path."""
    place = data.place_of(dataset)
    if place is None:
        return None
    return place.absolute().with_name(place.name.removesuffix(".npz") + ENDING)


def apart(fingerprint: str) -> Path:
    """Path in the user's data folder for the judge of images with that fingerprint."""
    return data_folder() / "judges" / f"{fingerprint[:16]}{ENDING}"


def keep(dataset: str, fingerprint: str, content: bytes) -> Path:
    """Write a judge where it will be found, and return its path.

    Raises:
        StorageError: neither place is writable.
    """
    place = beside(dataset)
    if place is None or not is_writable(place.parent):
        place = apart(fingerprint)
        make_folder(place.parent)
    write(place, content)
    return place


def find(dataset: str) -> Judge | None:
    """Newest judge that was trained on exactly these images, or None if there is none.

    A file that was trained on other images, or is damaged, causes a warning and is left alone.
    """
    try:
        fingerprint = data.load(dataset).fingerprint
    except DataError:
        return None  # The code that needs the images says what is wrong with them.
    first = beside(dataset)
    there = [place for place in (first, apart(fingerprint)) if place is not None and place.is_file()]
    fitting: list[tuple[float, Path, Judge]] = []
    for place in there:
        try:
            content = place.read_bytes()
            if learned_from(content, str(place)) != fingerprint:
                warnings.warn(
                    f"{place}: this judge was trained on other images than {dataset} now has; it is ignored",
                    stacklevel=2,
                )
                continue
            fitting.append((place.stat().st_mtime, place, read(place, place.name.removesuffix(ENDING))))
        except (OSError, DataError) as error:
            warnings.warn(f"{error}; it is ignored", stacklevel=2)
    if not fitting:
        return None
    _, place, found = max(fitting, key=lambda each: each[0])
    if len(fitting) > 1:
        warnings.warn(f"{dataset} has {len(fitting)} judges; the newest is used: {place}", stacklevel=2)
    return found
