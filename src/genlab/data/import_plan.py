"""What an import will do, decided before the first picture is decoded: which images, splits and conversion."""

from __future__ import annotations

import hashlib
import json
import math
from collections import Counter
from dataclasses import dataclass, field, fields

import numpy as np
from numpy.typing import NDArray

from genlab.data.arrays import DARK, LARGEST, Array, extent, usual_range
from genlab.data.dataset import Labels, Split
from genlab.data.selection import chosen
from genlab.data.sources.collection import ArrayCollection, Collection, MixedSizes
from genlab.data.sources.conversion import COLORS, FITS, GROUNDS, Color, Conversion, Fit, Ground
from genlab.data.sources.picture import BITS_16, Head, Picture, Unreadable, sizes
from genlab.engine.stages import advance, stage
from genlab.errors import DataError, UsageError, unknown

SPLIT = 0.1
"""Fraction of the images that becomes the test split if the source has none."""
BITS_12 = 4095
LOOKED_AT = 256
"""About this many 16-bit pictures are decoded to see whether they use all bits."""
NAMED = 5


@dataclass(frozen=True)
class Options:
    """What the user may specify about an import; None: it is decided automatically and reported.

    Attributes:
        size: side of the images, pixels (default: that of the pictures, if all have one square size).
        fit: how a picture of another size is brought to that size (default: refused).
        color: gray or rgb (default: gray if no pixel of any picture has a colour).
        range: values of black and white (default: 0 .. 255 for 8 bits, 0 .. 65535 for 16; others are refused).
        ground: colour under transparent pixels and around padded pictures; see `Conversion`.
        split: fraction of each class that becomes the test split (default .1; a source's own split is kept).
        seed: seed of the split and of `per_class`.
        classes: the only classes to import, by name or number.
        per_class: maximum number of images per class and split of the source, drawn with the seed.
        skip_bad: whether unreadable pictures are left out and counted, instead of refused.
    """

    size: int | None = None
    fit: Fit | None = None
    color: Color | None = None
    range: tuple[float, float] | None = None
    ground: Ground | None = None
    split: float | None = None
    seed: int = 0
    classes: tuple[str, ...] | None = None
    per_class: int | None = None
    skip_bad: bool = False

    def __post_init__(self) -> None:
        for name, allowed in (("fit", FITS), ("color", COLORS), ("ground", GROUNDS)):
            given = getattr(self, name)
            if given is not None and given not in allowed:
                raise UsageError(f"{name}: {unknown(name, str(given), allowed)}")
        self._check(self.size is None or 4 <= self.size <= LARGEST, "size", f"4 .. {LARGEST} pixels")
        self._check(self.split is None or 0 <= self.split < 1, "split", "at least 0, below 1")
        self._check(self.per_class is None or self.per_class >= 1, "per_class", "1 or more")
        self._check(0 <= self.seed < 2**63, "seed", "0 .. 2^63 - 1")
        if self.range is not None:
            low, high = self.range
            self._check(math.isfinite(high - low) and low < high, "range", "LOW..HIGH, LOW below HIGH")

    @property
    def given(self) -> frozenset[str]:
        """Names of those that differ from their defaults."""
        return frozenset(each.name for each in fields(self) if getattr(self, each.name) != each.default)

    def _check(self, fine: bool, name: str, allowed: str) -> None:
        if not fine:
            raise UsageError(f"{name} is {getattr(self, name)}; allowed: {allowed}")


@dataclass
class Plan:
    """What will be imported.

    Attributes:
        rows: rows of the collection, training images first.
        test: whether each row goes into the test split.
        labels: label of each row, 0 .. K-1; None without classes.
        conversion: conversion of each picture; its colour may still turn out to be gray (`may_be_gray`).
        found: number of pictures of each size.
        unreadable: rows of pictures that cannot even be identified, with the reason.
        decisions: what was decided, by name, in words.
    """

    collection: Collection
    options: Options
    rows: NDArray[np.int64]
    test: NDArray[np.bool_]
    labels: Labels | None
    class_names: tuple[str, ...]
    conversion: Conversion
    may_be_gray: bool
    found: Counter[tuple[int, int]]
    unreadable: dict[int, str]
    decisions: dict[str, str] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """Hash that is equal for the same unchanged source and the same decisions."""
        form = [self.conversion.record(), self.may_be_gray]
        told = [self.collection.stamp, form, self.options.skip_bad, self.class_names]
        digest = hashlib.sha256(json.dumps(told).encode("utf-8", "surrogateescape"))
        for array in (self.rows, self.test, self.labels):
            digest.update(b"-" if array is None else np.ascontiguousarray(array).data)
        return digest.hexdigest()

    def of(self, split: Split) -> NDArray[np.int64]:
        """Indices into `rows` of the images of a split."""
        return np.flatnonzero(self.test == (split == "test"))


def plan(collection: Collection, options: Options) -> Plan:
    """Decide everything that can be decided without decoding.

    Raises:
        DataError: unreadable pictures, values of an unknown range, or no images left.
        MixedSizes: pictures that need a `fit`, and none is given.
        UsageError: options that contradict the source.
    """
    decisions: dict[str, str] = {}
    labels, names = collection.labels, collection.class_names
    rows = np.arange(len(collection), dtype=np.int64)
    if isinstance(collection, ArrayCollection) and len({p.labels is None for p in collection.parts.values()}) > 1:
        decisions["labels"], names = "left out: only one of the splits has them", ()
    if options.classes is not None:
        kept = chosen(options.classes, names, collection.where)
        assert labels is not None
        rows = rows[np.isin(labels, kept)]
        names = tuple(names[k] for k in kept)
        labels = np.searchsorted(kept, labels).astype(np.int64)
        decisions["classes"] = ", ".join(names)
    if options.per_class is not None:
        rows = _drawn(rows, labels, collection.test, options.per_class, options.seed)
        decisions["per class"] = f"at most {options.per_class:,}, drawn with seed {options.seed}"
    if not len(rows):
        raise DataError(f"{collection.where}: no images are left")
    test = _split(collection, rows, labels, options, decisions)
    order = np.argsort(test, kind="stable")
    rows, test = rows[order], test[order]
    found, unreadable, gray, bits = _heads(collection, rows, options)
    _check_values(collection, rows, options, bits)
    conversion, may_be_gray = _form(collection, found, gray, options, decisions)
    mine = None if labels is None else labels[rows]
    return Plan(collection, options, rows, test, mine, names, conversion, may_be_gray, found, unreadable, decisions)


def _drawn(
    rows: NDArray[np.int64], labels: Labels | None, test: NDArray[np.bool_], most: int, seed: int
) -> NDArray[np.int64]:
    """At most `most` rows per class and split, drawn with the seed, in their original order."""
    random = np.random.default_rng([seed, 1])
    kinds = (np.zeros(len(test), np.int64) if labels is None else labels) * 2 + test
    kept = [random.permutation(rows[kinds[rows] == kind])[:most] for kind in np.unique(kinds[rows])]
    return np.sort(np.concatenate(kept))


def _split(
    collection: Collection, rows: NDArray[np.int64], labels: Labels | None, options: Options, decisions: dict[str, str]
) -> NDArray[np.bool_]:
    """Whether each row is in the test split: the source's own, or a fraction of each class drawn with the seed."""
    own = collection.test[rows]
    if collection.test.any():
        if options.split is not None:
            raise UsageError(f"{collection.where} has its own test split; omit --split")
        decisions["split"] = "the source's own"
        return own
    fraction = SPLIT if options.split is None else options.split
    random, test = np.random.default_rng([options.seed, 0]), np.zeros(len(rows), bool)
    kinds = np.zeros(len(rows), np.int64) if labels is None else labels[rows]
    for kind in np.unique(kinds):
        mine = random.permutation(np.flatnonzero(kinds == kind))
        wanted = round(fraction * len(mine))
        n = min(max(wanted, 1 if fraction and len(mine) > 1 else 0), len(mine) - 1)
        test[mine[:n]] = True
    decisions["split"] = (
        f"{fraction:g} of each class is the test split, seed {options.seed}" if fraction else "no test split"
    )
    return test


def _heads(
    collection: Collection, rows: NDArray[np.int64], options: Options
) -> tuple[Counter[tuple[int, int]], dict[int, str], bool, dict[int, int]]:
    """Picture sizes, unreadable rows with reasons, whether all are gray, and the bits of rows with more than 8."""
    unreadable: dict[int, str] = {}
    heads: list[tuple[int, Head | Unreadable]] = []
    with stage(f"looking at {len(rows):,} pictures", len(rows)):
        for row, head in collection.heads(rows.tolist()):
            heads.append((row, head))
            if isinstance(head, Unreadable):
                unreadable[row] = str(head)
            advance(1)
    if unreadable and not options.skip_bad:
        raise bad_pictures(collection, unreadable, rows)
    found = sizes(heads)
    if not found:
        raise DataError(f"{collection.where}: none of its {len(rows):,} pictures can be read")
    known = [(row, head) for row, head in heads if isinstance(head, Head)]
    deep = {row: head.bits for row, head in known if head.bits > 8}
    return found, unreadable, all(head.gray for _, head in known), deep


def bad_pictures(collection: Collection, found: dict[int, str], rows: NDArray[np.int64]) -> DataError:
    """The error for unreadable pictures: those found so far and any others among the rows; it names the first ones."""
    wanted = set(rows.tolist())
    unreadable = dict(sorted((found | {k: v for k, v in collection.unreadable.items() if k in wanted}).items()))
    shown = [f"{collection.name(row)}: {reason}" for row, reason in list(unreadable.items())[:NAMED]]
    if len(unreadable) == 1:
        return DataError(f"{collection.where}/{shown[0]}; --skip-bad leaves it out")
    more = f"\n  and {len(unreadable) - NAMED:,} more" if len(unreadable) > NAMED else ""
    lines = "".join(f"\n  {line}" for line in shown)
    return DataError(
        f"{collection.where}: {len(unreadable):,} pictures cannot be read; --skip-bad leaves them out{lines}{more}"
    )


def _check_values(collection: Collection, rows: NDArray[np.int64], options: Options, deep: dict[int, int]) -> None:
    """Refuse values whose black and white are unknown."""
    if isinstance(collection, ArrayCollection):
        for split in collection.splits:
            at = collection.parts[split].images_at
            if (x := collection.planes(split)).dtype.kind not in "biuf":
                raise DataError(f"{at} is {x.dtype}; expected numbers")
            if options.range is not None and not options.skip_bad:
                _check_range(x, options.range, at)
    if options.range is not None:
        return
    if isinstance(collection, ArrayCollection):
        for split in collection.splits:
            x, at = collection.planes(split), collection.parts[split].images_at
            if x.dtype != np.uint8 or 0 < int(x.max()) <= DARK:
                ends = usual_range(x)
                words = f"if {ends[0]} is black and {ends[1]} white: " if ends else ""
                hint = collection.hint(f"--range {ends[0]}..{ends[1]}", words) if ends else ""
                raise DataError(f"{at} is {x.dtype}{extent(x)}{hint}")
        return
    some = list(deep)[:: max(1, len(deep) // LOOKED_AT)]
    highest = 0.0
    for row, picture in collection.pictures(some):
        if isinstance(picture, Picture):
            if picture.pixels.dtype not in (np.uint8, np.uint16):
                said = collection.hint("--range LOW..HIGH", "say what is black and what is white: ")
                raise DataError(f"{collection.where}/{collection.name(row)}: {picture.remarks[-1]}{said}")
            highest = max(highest, float(picture.pixels.max()))
    if some and 0 < highest <= BITS_12:
        usual = 255 if highest <= 255 else BITS_12
        raise DataError(
            f"{collection.where}: 16-bit pictures with values only up to {highest:,.0f}, as from a camera with fewer "
            f"bits{collection.hint(f'--range 0..{usual}')} (--range 0..{BITS_16} keeps them this dark)"
        )


def _check_range(x: Array, between: tuple[float, float], where: str) -> None:
    """Refuse an array with values outside of the given range."""
    low, high = between
    if not (x.min() >= low and x.max() <= high):  # NaN too.
        bad = int(np.flatnonzero(~((x >= low) & (x <= high)).reshape(len(x), -1).all(1))[0])
        finite = x[np.isfinite(x)] if x.dtype.kind == "f" and np.isfinite(x).any() else x
        strange = "" if len(finite) == x.size else ", and NaN or infinity"
        raise DataError(
            f"{where}[{bad}] has values outside of --range {low:g}..{high:g}; the values of all images are "
            f"{float(finite.min()):.6g} .. {float(finite.max()):.6g}{strange}"
        )


def _form(
    collection: Collection, found: Counter[tuple[int, int]], gray: bool, options: Options, decisions: dict[str, str]
) -> tuple[Conversion, bool]:
    """The conversion, and whether its colour stays open until all pixels have been seen."""
    side = options.size
    square = len(found) == 1 and all(width == height for width, height in found)
    if side is None:
        if not square:
            raise MixedSizes(collection, found)
        side = next(iter(found))[0]
        if side > LARGEST:
            raise DataError(f"{collection.where}: pictures of {side} pixels; --size makes them smaller")
    if options.fit is None and set(found) != {(side, side)}:
        raise MixedSizes(collection, found, side)
    color = options.color or ("gray" if gray else "rgb")
    decisions["size"] = f"{side} pixels" + ("" if options.fit is None else f", {options.fit}")
    return Conversion(side, options.fit, color, options.range, options.ground), options.color is None and not gray
