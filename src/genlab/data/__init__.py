"""Datasets: `load` finds one by name or path; all of them are `Dataset`."""

from pathlib import Path

from genlab.data import builtin, files, memory, selection
from genlab.data.builtin import BUILTIN, load_builtin
from genlab.data.dataset import Dataset, Source, Split, first, fit
from genlab.data.files import load_npz
from genlab.engine.files import expanded
from genlab.errors import DataError

__all__ = ["BUILTIN", "Dataset", "Split", "first", "fit", "is_packaged", "load", "load_builtin"]
__all__ += ["load_npz", "load_test", "place_of", "source_of", "stacks"]

SOURCES: tuple[Source, ...] = (
    memory.SOURCE,
    builtin.SOURCE,
    selection.source(lambda name: source_of(name)),
    files.SOURCE,
)
"""Where datasets come from; the first source that claims a name has it, and the last one claims all."""
files.NAMES += BUILTIN


def source_of(name: str) -> Source:
    """The source that has the dataset of that name or at that path."""
    return next(source for source in SOURCES if source.claims(name))


def load(name: str, split: Split = "train") -> Dataset:
    """The dataset of that name (`genlab data list`), or what lies at that path (see `sources`).

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
    test = source.load(name, "test")
    if not source.packaged(name):
        _check_test(name, source.load(name, "train"), test)
    return test


def _check_test(name: str, train: Dataset, test: Dataset) -> None:
    """See whether both splits have images of one form and the same classes."""
    if test.images.shape[1:] != train.images.shape[1:]:
        (a, b, c), (d, e, f) = test.images.shape[1:], train.images.shape[1:]
        raise DataError(
            f"{name}: the test images are of {a} x {b} x {c} (channels, pixels), the training images of {d} x {e} x {f}"
        )
    if train.labels is not None and test.labels is not None and test.class_names != train.class_names:
        raise DataError(
            f"{name}: the test split has {len(test.class_names)} classes ({', '.join(test.class_names[:5])}, ...), the "
            f"training split {len(train.class_names)} ({', '.join(train.class_names[:5])}, ...)"
        )


def is_packaged(name: str) -> bool:
    """Whether a dataset comes with genlab: it lies nowhere else and cannot change."""
    return source_of(name).packaged(name)


def place_of(name: str) -> Path | None:
    """Where on the disk a dataset lies; None for one that lies nowhere there."""
    inner = selection.parts(name)
    whole = inner[0] if inner else name
    source = source_of(whole)
    if source.packaged(whole) or source is memory.SOURCE:
        return None
    return expanded(whole)


def settled(name: str, classes: list[str | int] | None) -> str:
    """The name by which a dataset is found again from anywhere: its path absolute, the chosen classes behind it."""
    place, inner = place_of(name), selection.parts(name)
    whole = name if place is None else str(place.resolve())
    if place is not None and inner:
        whole = selection.name_of(whole, inner[1])
    return selection.name_of(whole, classes) if classes else whole


def stacks(name: str) -> str | None:
    """The dataset whose images are the channels of this one's; None for any other."""
    return BUILTIN[name].stacks if name in BUILTIN else None
