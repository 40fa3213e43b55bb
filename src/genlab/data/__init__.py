"""Datasets: `load` finds one by name or path and returns a `Dataset`."""

import shlex
from pathlib import Path

from genlab.data import builtin, files, memory, selection
from genlab.data.arrays import import_call, import_command
from genlab.data.builtin import BUILTIN, load_builtin
from genlab.data.dataset import Dataset, Source, Split, first, fit
from genlab.data.files import load_npz
from genlab.engine.files import expanded
from genlab.errors import DataError

__all__ = ["BUILTIN", "Dataset", "Split", "check_test", "first", "fit", "is_packaged", "load", "load_builtin"]
__all__ += ["load_npz", "load_test", "place_of", "source_of", "stacks"]

SOURCES: tuple[Source, ...] = (
    memory.SOURCE,
    builtin.SOURCE,
    selection.source(lambda name: source_of(name)),
    files.SOURCE,
)
"""Where datasets come from. The first source that claims a name is used; the last one claims every name."""
files.NAMES += BUILTIN


def source_of(name: str) -> Source:
    """The source of the dataset with this name or at this path."""
    return next(source for source in SOURCES if source.claims(name))


def load(name: str, split: Split = "train") -> Dataset:
    """The dataset with this name (`genlab data list`), or the images at this path (see `sources`).

    Raises:
        DataError: no such dataset, a damaged file, or an undocumented layout.
    """
    return source_of(name).load(name, split)


def load_test(name: str) -> Dataset | None:
    """The test split of the dataset with this name or at this path; None if it has none.

    Raises:
        DataError: its image shape or its classes differ from those of the training split.
    """
    source = source_of(name)
    if not source.has_test(name):
        return None
    test = source.load(name, "test")
    if not source.packaged(name):
        check_test(name, source.load(name, "train"), test)
    return test


def check_test(name: str, train: Dataset, test: Dataset) -> None:
    """Refuse a test split whose image shape or classes differ from those of the training split."""
    if test.images.shape[1:] != train.images.shape[1:]:
        (a, b, c), (d, e, f) = test.images.shape[1:], train.images.shape[1:]
        options = "--color rgb" if b == e else f"--size {e} --fit pad"
        raise DataError(
            f"{name}: the test images are {a} x {b} x {c} (channels, pixels), the training images {d} x {e} x {f}"
            + hint(name, options)
        )
    if train.labels is not None and test.labels is not None and test.class_names != train.class_names:
        raise DataError(
            f"{name}: the test split has {len(test.class_names)} classes ({', '.join(test.class_names[:5])}, ...), the "
            f"training split {len(train.class_names)} ({', '.join(train.class_names[:5])}, ...)"
        )


def import_of(name: str, options: str) -> tuple[str, str] | None:
    """The import, a command or a call in Python, that makes a dataset usable, and the file that it writes; None for a
    dataset that is in the package."""
    whole, classes = selection.parts(name) or (name, [])
    if source_of(whole) is memory.SOURCE:
        return import_call(options), "images.npz"
    if is_packaged(whole):
        return None
    if expanded(whole).exists():  # It may have been removed since it was read.
        options = files.collection(whole).completed(options)
    return import_command(whole, f"{options} --classes {shlex.join(classes)}" if classes else options)


def hint(name: str, options: str) -> str:
    """A semicolon and the import that makes a dataset usable; empty for a dataset that is in the package."""
    made = import_of(name, options)
    return f"; {made[0]}" if made else ""


def is_packaged(name: str) -> bool:
    """Whether a dataset ships with genlab, and so has no path of its own and cannot change."""
    return source_of(name).packaged(name)


def place_of(name: str) -> Path | None:
    """Path of a dataset on the disk; None if it is built in or in memory."""
    inner = selection.parts(name)
    whole = inner[0] if inner else name
    source = source_of(whole)
    if source.packaged(whole) or source is memory.SOURCE:
        return None
    return expanded(whole)


def settled(name: str, classes: list[str | int] | None) -> str:
    """The name that finds a dataset from any working directory: its absolute path, followed by the chosen classes."""
    place, inner = place_of(name), selection.parts(name)
    whole = name if place is None else str(place.resolve())
    if place is not None and inner:
        whole = selection.name_of(whole, inner[1])
    return selection.name_of(whole, classes) if classes else whole


def stacks(name: str) -> str | None:
    """Name of the dataset whose images are the channels of this one's images; None for any other dataset."""
    return BUILTIN[name].stacks if name in BUILTIN else None
