"""What to know about a dataset before training on it: what is in it, and what looks wrong."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from genlab.data import check_test, files, selection, source_of
from genlab.data.dataset import Dataset, Images, Split, fingerprint
from genlab.data.import_plan import Options, plan
from genlab.data.sources.collection import DECODED, Collection
from genlab.data.sources.conversion import CLOSE, EVEN
from genlab.data.sources.picture import Picture, Unreadable, proposed_side, size_words, sizes
from genlab.engine.stages import advance, stage
from genlab.errors import DataError, GenlabError

FEW, FEW_OF_A_CLASS = 1000, 20
"""Numbers of training images below which memorisation is likely, and below which a class can hardly be learned."""
UNEVEN = 10
"""A class may have this many times the images of another before it is reported."""
MINORITY = 0.2
"""Images on another ground than the rest are suspected mistakes if they are at most this fraction."""
MIDDLE = 128
ENOUGH = 2000
"""Number of images that suffices to tell what most of them look like."""
NAMED = 5


@dataclass(frozen=True)
class Finding:
    """Something that looks wrong.

    Attributes:
        words: what looks wrong, how often, and what to do about it.
        rows: indices of the images concerned, by split.
    """

    words: str
    rows: dict[Split, NDArray[np.int64]] = field(default_factory=dict)


@dataclass(frozen=True)
class Checked:
    """A dataset and the results of checking it.

    Attributes:
        name: name or path, as it was given.
        form: kind of source.
        splits: its images; if they cannot be trained on as they are, what an import would make of them.
        sizes: sizes of the pictures, in words.
        findings: what looks wrong, the most serious first.
        notes: what was inferred, left out or rearranged.
        refusal: why training would refuse the dataset as it is, or None if it would not.
        bad: unreadable pictures, by name, with the reason.
        options: options of the import that makes the images usable for training; empty if none is needed.
    """

    name: str
    form: str
    splits: dict[Split, Dataset]
    sizes: str
    findings: tuple[Finding, ...]
    notes: tuple[str, ...]
    refusal: GenlabError | None = None
    bad: dict[str, str] = field(default_factory=dict)
    options: str = ""

    @property
    def train(self) -> Dataset:
        return self.splits["train"]

    @property
    def why(self) -> str:
        """The refusal in words, or empty; without the import that it proposes, whose options may not cover all
        findings."""
        return re.split(r"; genlab(?: data import|\.import_images)", str(self.refusal or ""))[0]

    def marked(self, split: Split) -> NDArray[np.int64]:
        """The suspicious images of a split."""
        found = [finding.rows[split] for finding in self.findings if split in finding.rows]
        return np.unique(np.concatenate(found)) if found else np.empty(0, np.int64)


def check(name: str) -> Checked:
    """Check both splits of a dataset.

    Raises:
        DataError: none of it can be read.
    """
    source = source_of(name)
    refusal: DataError | None = None
    form = "in the package" if source.packaged(name) else "in memory"
    if (part := selection.parts(name)) is not None:
        form = f"classes of {part[0]}"
    bad: dict[str, str] = {}
    splits: dict[Split, Dataset]
    if source is not files.SOURCE:
        splits = {"train": source.load(name, "train")}
        splits |= {"test": source.load(name, "test")} if source.has_test(name) else {}
        said = f"all {splits['train'].side} x {splits['train'].side}"
    else:
        found = files.collection(name)
        form, said = found.form, size_words(sizes(found.heads(range(len(found)))), 8)
        try:
            splits = {split: files.load(name, split) for split in found.splits}
        except DataError as error:
            refusal, (splits, bad) = error, _preview(found, error)
        if refusal is None and "test" in splits:
            try:
                check_test(name, splits["train"], splits["test"])
            except DataError as error:
                refusal = error
    notes = tuple(dict.fromkeys(note for split in splits.values() for note in split.notes))
    with stage("looking for duplicates and odd images"):
        found_here = list(_findings(splits))
        if source is files.SOURCE and refusal is None:
            found_here = [_named(each, found) for each in found_here]
        findings = (*_of_bad(bad), *found_here)
    options = ""
    if refusal is not None:
        options = found.completed(f"--size {splits['train'].side} --fit pad")
    return Checked(name, form, splits, said, findings, notes, refusal, bad, options)


def _named(finding: Finding, found: Collection) -> Finding:
    """The finding with the names of the first images concerned."""
    names: list[str] = []
    for split, rows in finding.rows.items():
        mine = found.rows(split)
        names += [found.name(mine[int(row)]) for row in rows]
    return replace(finding, words=f"{finding.words}: {_some(names)}") if names else finding


def _preview(found: Collection, refusal: DataError) -> tuple[dict[Split, Dataset], dict[str, str]]:
    """What the proposed import would make of images that cannot be used as they are, and the pictures that it could not
    read.

    Raises:
        DataError: the refusal, if that import fails too.
    """
    known = sizes(found.heads(range(len(found))))
    if not known:
        raise refusal
    try:
        made = plan(
            found, Options(size=proposed_side(known), fit="pad", split=None if found.test.any() else 0, skip_bad=True)
        )
    except DataError:
        raise refusal from None
    every = -(-len(made.rows) // DECODED)
    shown = [int(row) for row in made.rows[::every]]
    kept: dict[int, Images] = {}
    bad = {found.name(row): reason for row, reason in made.unreadable.items()}
    with stage(f"reading {len(shown):,} pictures", len(shown)):
        for row, picture in found.pictures(shown):
            try:
                kept[row] = made.conversion(_read(picture))
            except Unreadable as error:
                bad[found.name(row)] = str(error)
            advance(1)
    splits: dict[Split, Dataset] = {}
    for split in found.splits:
        rows = [int(row) for row in made.rows[made.of(split)] if int(row) in kept]
        if rows:
            images = np.stack([kept[row] for row in rows])
            labels = None if found.labels is None else found.labels[rows]
            notes = (*found.notes, f"shown as --size {made.conversion.size} --fit pad would make them")
            notes += (f"checked one in {every} pictures",) if every > 1 else ()
            splits[split] = Dataset(
                found.where, split, images, labels, found.class_names, fingerprint(images, labels), notes
            )
    if "train" not in splits:
        raise refusal
    return splits, bad


def _read(picture: Picture | Unreadable) -> Picture:
    if isinstance(picture, Unreadable):
        raise picture
    return picture


def _of_bad(bad: dict[str, str]) -> Iterator[Finding]:
    if bad:
        are = "1 picture" if len(bad) == 1 else f"{len(bad):,} pictures"
        yield Finding(f"{are} that cannot be read: {_some([f'{name} ({why})' for name, why in bad.items()])}")


def _findings(splits: dict[Split, Dataset]) -> Iterator[Finding]:
    yield from _of_numbers(splits)
    yield from _of_duplicates(splits)
    yield from _of_pixels(splits)


def _of_numbers(splits: dict[Split, Dataset]) -> Iterator[Finding]:
    train = splits["train"]
    if len(train) < FEW:
        are = "1 training image" if len(train) == 1 else f"{len(train):,} training images"
        yield Finding(f"only {are}: a model may memorise them; see the memorisation metric")
    if train.labels is not None:
        counts = np.bincount(train.labels, minlength=len(train.class_names))
        named = [f"{name} ({n:,})" for name, n in zip(train.class_names, counts.tolist(), strict=True)]
        few = [words for words, n in zip(named, counts.tolist(), strict=True) if n < FEW_OF_A_CLASS]
        if few:
            yield Finding(f"classes with fewer than {FEW_OF_A_CLASS} training images: {_some(few)}")
        elif counts.max() > UNEVEN * counts.min():
            most, least = named[int(counts.argmax())], named[int(counts.argmin())]
            yield Finding(f"uneven classes: {most} has over {UNEVEN} times as many images as {least}")
    if "test" not in splits:
        yield Finding("no test split: quality would be measured on training images (genlab data import makes one)")


def _of_duplicates(splits: dict[Split, Dataset]) -> Iterator[Finding]:
    hashed = {split: _hashes(data.images) for split, data in splits.items()}
    for split, own in hashed.items():
        _, first, inverse = np.unique(own, return_index=True, return_inverse=True)
        again = np.flatnonzero(first[inverse] != np.arange(len(own)))
        if len(again):
            labels, words = splits[split].labels, ""
            if labels is not None:
                differ = int(np.count_nonzero(labels[again] != labels[first[inverse[again]]]))
                words = f", {differ:,} of them with a different label" if differ else ""
            yield Finding(f"{split} images that repeat an earlier one: {len(again):,}{words}", {split: again})
    if "test" in hashed and hashed["test"].dtype == hashed["train"].dtype:
        known = np.flatnonzero(np.isin(hashed["test"], hashed["train"]))
        if len(known):
            yield Finding(f"test images that are also training images: {len(known):,}", {"test": known})


def _hashes(images: Images) -> NDArray[np.void]:
    flat = np.ascontiguousarray(images).reshape(len(images), -1)
    return flat.view(np.dtype((np.void, flat.shape[1]))).ravel()


def _of_pixels(splits: dict[Split, Dataset]) -> Iterator[Finding]:
    flat = {split: data.images.reshape(len(data), -1) for split, data in splits.items()}
    constant = {split: np.flatnonzero(x.max(1) == x.min(1)) for split, x in flat.items()}
    if n := sum(map(len, constant.values())):
        yield Finding(f"images with a single pixel value: {n:,}", constant)
    light = {split: _light(data.images) for split, data in splits.items()}
    sides = np.concatenate(list(light.values()))
    dark, bright = int((sides == 0).sum()), int((sides == 1).sum())
    rarer, words = (0, "dark") if dark < bright else (1, "light")
    if 0 < min(dark, bright) <= MINORITY * len(sides):
        rows = {split: np.flatnonzero(each == rarer) for split, each in light.items()}
        yield Finding(f"images on a {words} background, unlike the others: {min(dark, bright):,} (inverted?)", rows)
    elif bright > len(sides) / 2:
        yield Finding("light background: data.resize pad would put a black frame around it; edge does not")
    if splits["train"].channels == 3 and all(_is_gray(data.images) for data in splits.values()):
        yield Finding("three equal channels, no colour: genlab data import makes them gray, which trains faster")


def light_ground(images: Images) -> bool:
    """Whether most images have an evenly light border; a large set is judged by images spread over all of it."""
    return bool((_light(images[:: max(1, len(images) // ENOUGH)]) == 1).mean() > 0.5)


def _light(images: Images) -> NDArray[np.int8]:
    """For each image, 1 if its border is evenly light, 0 if it is evenly dark, -1 if it is uneven."""
    x = images.mean(1, dtype=np.float32)
    border = np.concatenate([x[:, 0], x[:, -1], x[:, :, 0], x[:, :, -1]], axis=1)
    median = np.median(border, axis=1)
    even = (np.abs(border - median[:, None]) <= CLOSE).mean(1) >= EVEN
    return np.where(even, median >= MIDDLE, -1).astype(np.int8)


def _is_gray(images: Images) -> bool:
    return bool((images[:, 0] == images[:, 1]).all() and (images[:, 1] == images[:, 2]).all())


def _some(words: Sequence[str]) -> str:
    return ", ".join(words[:NAMED]) + (f" and {len(words) - NAMED:,} more" if len(words) > NAMED else "")
