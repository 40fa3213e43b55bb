"""Datasets on the disk: everything that `sources` reads. The last ones read stay cached while they are unchanged."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from genlab.data.dataset import Dataset, Source, Split
from genlab.data.sources import npz
from genlab.data.sources.collection import Collection
from genlab.data.sources.found import collect
from genlab.engine.files import expanded
from genlab.errors import DataError, nearest

NAMES: list[str] = []
"""Names of the datasets in the package, to suggest one for a mistyped name; `data/__init__` fills it."""


LIKELY = 0.7
"""How similar a name must be to be suggested as the one that was meant."""


def collection(name: str | Path) -> Collection:
    """The images at a path.

    Raises:
        DataError: nothing is there, or nothing that can be read as images.
    """
    path = expanded(name)
    if not path.exists():
        if str(name) in NAMES:
            raise DataError(f"{name} is a built-in dataset, not a file; use its name, as in --data {name}")
        there = [] if path.parent == path else [each.name for each in path.parent.glob("*")][:1000]
        guess = nearest(str(name), NAMES, LIKELY) or nearest(path.name, there, LIKELY)
        hint = f"; did you mean {guess!r}?" if guess else ""
        raise DataError(
            f"dataset {str(name)!r}: neither a built-in dataset ({', '.join(NAMES)}) nor a folder or file{hint}"
        )
    return collect(path)


def load(name: str, split: Split) -> Dataset:
    """One split of the images at a path."""
    found = collection(name)
    key = _Key(found)
    return _kept(key, split) if key.worth_keeping else found.dataset(split)


class _Key:
    """Cache key of a collection, equal to that of another one with the same path and content."""

    def __init__(self, of: Collection) -> None:
        self.of, self._equal = of, (of.where, of.stamp)
        self.worth_keeping = of.form != "npz file"  # An npz file is read as fast as it is compared.

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Key) and self._equal == other._equal

    def __hash__(self) -> int:
        return hash(self._equal)


@lru_cache(maxsize=2)
def _kept(key: _Key, split: Split) -> Dataset:
    return key.of.dataset(split)


def load_npz(path: str | Path, split: Split = "train") -> Dataset:
    """One split of an npz file.

    Raises:
        DataError: missing, damaged, or in an unknown layout; says which array and what was expected.
    """
    return npz.collect(expanded(path), str(path)).dataset(split)


SOURCE = Source(claims=lambda name: True, load=load, has_test=lambda name: "test" in collection(name).splits)
