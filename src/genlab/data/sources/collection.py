"""Contents of a source: where each image is, its split and its class. Images are decoded on request.

`Collection.dataset` takes images as they are and refuses those that would have to be changed; `genlab data import`
changes them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from genlab.data import arrays
from genlab.data.arrays import DARK, Array, addition, import_call, import_hint, range_hint
from genlab.data.dataset import Dataset, Images, Labels, Split, fingerprint
from genlab.data.sources.conversion import FITS, Conversion
from genlab.data.sources.picture import CUT, Head, Picture, Unreadable, proposed_side, size_words, sizes
from genlab.engine.stages import advance, stage
from genlab.errors import DataError, DrawnError

SPLITS: tuple[Split, ...] = ("train", "test")
DECODED = 20_000
"""At most this many pictures are decoded to find damaged ones, or to inspect what an import would make of them."""


class Collection(ABC):
    """The images of a source, training images first, each split in stored order (folders: in natural order).

    Attributes:
        where: the source, as it was given.
        form: kind of source, in words.
        test: whether each image is a test image, (N,).
        labels: (N,), or None without classes.
        class_names: K names, empty without classes.
        notes: what was inferred, left out or rearranged.
        stamp: a hash that changes when the source does.
        asked: options of the import that is being made of it; None if none is.
    """

    where: str
    form: str
    test: NDArray[np.bool_]
    labels: Labels | None
    class_names: tuple[str, ...]
    notes: list[str]
    stamp: str
    asked: frozenset[str] | None = None

    def __len__(self) -> int:
        return len(self.test)

    @property
    def in_memory(self) -> bool:
        """Whether there is no file that a command could read."""
        return not self.stamp

    def hint(self, options: str, words: str = "") -> str:
        """A semicolon and the import, with these options and those that its pictures need, too; what has to be added
        to the import that is being made."""
        options = self.completed(options)
        if self.asked is not None:
            return f"; {words}{addition(options, self.asked, self.in_memory)}"
        return f"; {words}{import_call(options)}" if self.in_memory else import_hint(self.where, options, words)

    def completed(self, options: str) -> str:
        """Options of an import, completed so that the import does not refuse the pictures."""
        return options

    @property
    def unreadable(self) -> dict[int, str]:
        """Rows that cannot be decoded, with the reason."""
        return {}

    @abstractmethod
    def name(self, row: int) -> str:
        """Name of an image in messages."""

    @abstractmethod
    def heads(self, rows: Sequence[int]) -> Iterator[tuple[int, Head | Unreadable]]:
        """Size and kind of images, in any order, without decoding them if possible."""

    @abstractmethod
    def pictures(self, rows: Sequence[int]) -> Iterator[tuple[int, Picture | Unreadable]]:
        """Images with their rows, in the order that costs least; one at a time is in memory."""

    @abstractmethod
    def images(self, rows: Sequence[int]) -> Images:
        """Images as they are, (n, C, H, W), H = W.

        Raises:
            DataError: an image cannot be read, or would have to be changed; names it, and a remedy.
        """

    @property
    def splits(self) -> tuple[Split, ...]:
        """The splits that the source has."""
        return tuple(split for split in SPLITS if (self.test == (split == "test")).any())

    def rows(self, split: Split) -> list[int]:
        return [int(row) for row in np.flatnonzero(self.test == (split == "test"))]

    def dataset(self, split: Split) -> Dataset:
        """One split as a dataset.

        Raises:
            DataError: no such split, or images that cannot be taken as they are.
        """
        rows = self.rows(split)
        if not rows:
            raise DataError(f"{self.where}: no {split} images")
        images, labels = self.images(rows), None if self.labels is None else self.labels[rows]
        if 0 < (highest := int(images.max())) <= DARK:
            hint = range_hint(images, None if self.in_memory else self.where)
            raise DataError(f"{self.where} has pixel values 0 .. {highest}, which look black{hint}")
        notes = [*self.notes, *of_classes(labels, self.class_names, split)]
        return Dataset(self.where, split, images, labels, self.class_names, fingerprint(images, labels), tuple(notes))


def of_classes(labels: Labels | None, class_names: Sequence[str], split: Split) -> Iterator[str]:
    """Notes about the classes of a dataset."""
    if labels is None:
        only = "no labels: only unconditional recipes can use it"
        yield only if split == "train" else "the test images have no labels: results by class need them"
        return
    empty = sorted(set(range(len(class_names))) - set(labels.tolist()))
    if empty:
        kind = "training" if split == "train" else "test"
        yield f"classes without a {kind} image: {', '.join(class_names[k] for k in empty[:10])}"
    if len(class_names) == 1:
        yield "a single class: class metrics are meaningless"


class PictureCollection(Collection):
    """Encoded pictures.

    Args:
        names: names of the pictures.
        decoded: (rows, whether their heads are enough) -> each row with its head, its picture, or the error.
    """

    def __init__(
        self,
        where: str,
        form: str,
        names: Sequence[str],
        test: NDArray[np.bool_],
        labels: Labels | None,
        class_names: tuple[str, ...],
        notes: list[str],
        stamp: str,
        decoded: Callable[[Sequence[int], bool], Iterator[tuple[int, Head | Picture | Unreadable]]],
    ) -> None:
        self.where, self.form, self._names, self.test, self.labels = where, form, names, test, labels
        self.class_names, self.notes, self.stamp, self._decoded = class_names, notes, stamp, decoded

    def name(self, row: int) -> str:
        return self._names[row]

    def heads(self, rows: Sequence[int]) -> Iterator[tuple[int, Head | Unreadable]]:
        for row, found in self._decoded(rows, True):
            assert not isinstance(found, Picture)
            yield row, found

    def pictures(self, rows: Sequence[int]) -> Iterator[tuple[int, Picture | Unreadable]]:
        for row, found in self._decoded(rows, False):
            assert not isinstance(found, Head)
            yield row, found

    @cached_property
    def unreadable(self) -> dict[int, str]:
        """Only decoding finds a file that was cut off; of a large collection, pictures spread over it are decoded."""
        bad = {row: str(head) for row, head in self.heads(range(len(self))) if isinstance(head, Unreadable)}
        tried = [row for row in range(0, len(self), -(-len(self) // DECODED)) if row not in bad]
        with stage("looking for damaged pictures", len(tried)):
            for row, found in self.pictures(tried):
                bad |= {row: str(found)} if isinstance(found, Unreadable) else {}
                advance(1)
        return dict(sorted(bad.items()))

    def completed(self, options: str) -> str:
        known = sizes(self.heads(range(len(self))))
        if "--fit" not in options and (len(known) > 1 or any(width != height for width, height in known)):
            options = f"--size {proposed_side(known)} --fit pad {options}"
        return f"{options} --skip-bad" if self.unreadable and "--skip-bad" not in options else options

    def images(self, rows: Sequence[int]) -> Images:
        self._check_sizes(rows)
        place = {row: k for k, row in enumerate(rows)}
        images: Images | None = None
        with stage(f"reading {len(rows):,} pictures", len(rows)):
            for row, picture in self.pictures(rows):
                pixels = self._as_is(row, picture)
                if images is None:
                    images = np.empty((len(rows), *pixels.shape), np.uint8)
                if len(pixels) > images.shape[1]:
                    images = images.repeat(3, axis=1)
                images[place[row]] = pixels
                advance(1)
        assert images is not None
        return images

    def _as_is(self, row: int, picture: Picture | Unreadable) -> Images:
        where = f"{self.where}/{self.name(row)}"
        if isinstance(picture, Unreadable):
            raise DataError(f"{where}: {picture}{self.hint('--skip-bad', 'to leave such files out: ')}")
        if picture.pixels.dtype != np.uint8:
            said = ", ".join(picture.remarks)
            raise DataError(f"{where}: {said}, expected 8 bits{self.hint('')}")
        if CUT in picture.remarks:
            raise DataError(f"{where}: {CUT}{self.hint('--color rgb', 'to accept that: ')}")
        if picture.alpha is not None:
            raise DataError(f"{where}: transparent pixels need a background colour{self.hint('--ground white')}")
        return picture.pixels if picture.colourful else picture.pixels[:1]

    def _check_sizes(self, rows: Sequence[int]) -> None:
        """Refuse pictures that are not all squares of one size, before anything is decoded."""
        heads = list(self.heads(rows))
        found = sizes(heads)
        if not found or (len(found) == 1 and all(width == height for width, height in found)):
            return
        rarest = found.most_common()[-1][0]
        odd = next(row for row, each in heads if isinstance(each, Head) and each.size == rarest)
        raise MixedSizes(self, found, odd=self.name(odd))


class MixedSizes(DrawnError):
    """Pictures that have to be brought to one square size before training.

    Attributes:
        collection: collection that holds them.
        found: number of pictures of each (width, height).
        side: requested side, or else a proposed one.
    """

    caption = "one of them, padded, cropped and stretched:"

    def __init__(
        self, collection: Collection, found: Counter[tuple[int, int]], side: int | None = None, odd: str | None = None
    ) -> None:
        self.collection, self.found = collection, found
        self.side = side or proposed_side(found)
        hint = collection.hint(f"--size {self.side} --fit pad")
        other = "(or fit='crop', or 'stretch')" if collection.in_memory else "(or --fit crop, or stretch)"
        what = "pictures of several sizes"
        if len(found) == 1:
            what = "pictures of one size, but not square" if side is None else f"pictures of a size other than {side}"
        example = f"; {odd} has the rarest size" if odd and len(found) > 1 else ""
        super().__init__(f"{collection.where}: {what} ({size_words(found)}{example}){hint} {other}")

    def pictures(self) -> Images:
        """The first picture that is not a square of that side, fitted in each of the `FITS`."""
        collection, wanted = self.collection, range(min(len(self.collection), 200))
        odd = next(
            row for row, head in collection.heads(wanted) if isinstance(head, Head) and head.size != (self.side,) * 2
        )
        (_, picture), *_ = collection.pictures([odd])
        if isinstance(picture, Unreadable):
            raise picture
        return np.stack([Conversion(self.side, fit, "rgb")(picture) for fit in FITS])


@dataclass(frozen=True)
class Part:
    """A split in arrays, read on request.

    Attributes:
        images, labels: functions that read the arrays; `labels` is None if there are no labels.
        images_at, labels_at: names of the arrays in messages.
    """

    images: Callable[[], Array]
    labels: Callable[[], Array] | None
    images_at: str
    labels_at: str


class ArrayCollection(Collection):
    """Images in arrays.

    Args:
        parts: the splits, "train" among them.
        names: names of the classes, if they were given.
        path: path to give to `genlab data import`, or None if the arrays come from no file.
    """

    def __init__(
        self,
        where: str,
        form: str,
        parts: dict[Split, Part],
        stamp: str,
        names: Array | Sequence[str] | None = None,
        names_at: str = "",
        notes: Sequence[str] = (),
        path: str | None = None,
    ) -> None:
        self.where, self.form, self.parts, self.stamp = where, form, parts, stamp
        self.notes, self.path, self._given, self._given_at = list(notes), path, names, names_at
        self._kept: dict[Split, Array] = {}

    @cached_property
    def _counts(self) -> dict[Split, int]:
        return {split: len(self._array(split)) for split in SPLITS if split in self.parts}

    @property
    def splits(self) -> tuple[Split, ...]:
        return tuple(split for split in SPLITS if split in self.parts)

    @cached_property
    def test(self) -> NDArray[np.bool_]:  # type: ignore[override]
        return np.concatenate([np.full(n, split == "test") for split, n in self._counts.items()])

    @cached_property
    def class_names(self) -> tuple[str, ...]:  # type: ignore[override]
        part = self.parts["train"]
        if part.labels is None:
            return ()
        y = arrays.as_labels(part.labels(), len(self._array("train")), part.labels_at)
        return tuple(arrays.class_names_of(y, part.labels_at, self._given, self._given_at))

    @cached_property
    def labels(self) -> Labels | None:  # type: ignore[override]
        found = [self._labels(split) for split in self.splits]
        return None if any(y is None for y in found) else np.concatenate([y for y in found if y is not None])

    def _of_names(self) -> Iterator[str]:
        """A note that label values became class names, if they are not 0 .. K-1."""
        names = self.class_names
        if self._given is None and names != tuple(map(str, range(len(names)))):
            shown = f"{names[0]} .. {names[-1]}" if len(names) > 6 else ", ".join(names)
            yield f"labels are {shown}: taken as the names of {len(names)} classes"

    def _labels(self, split: Split) -> Labels | None:
        part = self.parts[split]
        if part.labels is None:
            return None
        y = arrays.as_labels(part.labels(), len(self._array(split)), part.labels_at)
        return arrays.numbered(y, self.class_names, part.labels_at, self._given is not None)

    def _array(self, split: Split) -> Array:
        if split not in self._kept:
            found, at = self.parts[split].images(), self.parts[split].images_at
            if not (found.ndim and found.size):
                arrays.planes(found, at, [])  # This refuses it.
            self._kept[split] = found
        return self._kept[split]

    def _place(self, row: int) -> tuple[Split, int]:
        n = self._counts["train"]
        return ("train", row) if row < n else ("test", row - n)

    def name(self, row: int) -> str:
        split, k = self._place(row)
        return f"{self.parts[split].images_at.rpartition(': ')[2]}[{k}]"

    def heads(self, rows: Sequence[int]) -> Iterator[tuple[int, Head | Unreadable]]:
        forms = {split: self.planes(split) for split in self.splits}
        for row in rows:
            x = forms[self._place(row)[0]]
            yield row, Head((x.shape[3], x.shape[2]), x.shape[1] == 1, 8 * x.dtype.itemsize)

    def pictures(self, rows: Sequence[int]) -> Iterator[tuple[int, Picture | Unreadable]]:
        forms = {split: self.planes(split) for split in self.splits}
        for row in rows:
            split, k = self._place(row)
            yield row, Picture(forms[split][k])

    def planes(self, split: Split) -> Array:
        """The images of a split as they are stored, (N, C, H, W), of any type."""
        return arrays.planes(self._array(split), self.parts[split].images_at, [])

    def images(self, rows: Sequence[int]) -> Images:
        asked = dict.fromkeys(self._place(row)[0] for row in rows)
        found = [self._whole(split)[[k for s, k in map(self._place, rows) if s == split]] for split in asked]
        if len({images.shape[1:] for images in found}) > 1:
            forms = " and ".join(" x ".join(map(str, images.shape[1:])) for images in found)
            raise DataError(f"{self.where}: training and test images of {forms} (channels, pixels) cannot form one set")
        return np.concatenate(found)

    def _whole(self, split: Split) -> Images:
        notes: list[str] = []
        images = arrays.as_images(self._array(split), self.parts[split].images_at, notes, self.path)
        self.notes += [note for note in notes if note not in self.notes]
        return images

    def dataset(self, split: Split) -> Dataset:
        if split not in self.parts:
            raise DataError(f"{self.where}: no {split} images")
        images, labels = self._whole(split), self._labels(split)
        names = () if labels is None else self.class_names
        notes = [*self.notes, *self._of_names(), *of_classes(labels, names, split)]
        return Dataset(self.where, split, images, labels, names, fingerprint(images, labels), tuple(notes))
