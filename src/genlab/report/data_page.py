"""What `genlab data check` shows: facts about a dataset, what looks wrong, ten images of each class."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from genlab.data import pictures
from genlab.data.checking import Checked
from genlab.data.dataset import Dataset, Images, Split
from genlab.errors import counted
from genlab.report.page import Grid, embed_png
from genlab.report.tables import Table

COLUMNS, ROWS = 10, 30
"""Images per class and number of classes on a contact sheet; five rows if the dataset has no classes."""
UNLABELLED = 5
MARK = (214, 39, 40)
FRAME = 2
SMALL = 48
"""Images with fewer pixels per side are drawn at twice their size."""


@dataclass(frozen=True)
class CheckPage:
    """The page of a checked dataset.

    Attributes:
        title, lead: the dataset's name, and what it holds in a sentence.
        refusal: why training would refuse it; empty if it would not.
        findings: what looks wrong.
        facts: the same as on the terminal.
        classes: one row per class; None if there are no classes.
        sheets: the contact sheet of each split.
        command, takes: the command that trains on it, and how long that takes.
    """

    title: str
    lead: str
    refusal: str
    findings: list[str]
    facts: Table
    classes: Table | None
    sheets: list[Grid]
    command: str
    takes: str


def page(checked: Checked, command: str, takes: str) -> CheckPage:
    """The page of a dataset."""
    sheets = [
        Grid(embed_png(sheet(checked, split)), _caption(checked, split), f"{split} split") for split in checked.splits
    ]
    return CheckPage(
        title=checked.name,
        lead=_lead(checked),
        refusal=checked.why,
        findings=[finding.words for finding in checked.findings],
        facts=facts(checked, findings=False),
        classes=classes(checked),
        sheets=sheets,
        command=command,
        takes=takes,
    )


def _lead(checked: Checked) -> str:
    train, test = checked.train, checked.splits.get("test")
    kinds = f" of {counted(len(train.class_names), 'class')}" if train.labels is not None else ""
    more = f" and {counted(len(test), 'test image')}" if test is not None else ""
    return f"{counted(len(train), 'training image')}{kinds}{more}; {checked.form}."


def facts(checked: Checked, findings: bool = True) -> Table:
    """What is in a dataset and what looks wrong, one row per fact."""
    train = checked.train
    pixels = np.concatenate([np.bincount(data.images.ravel(), minlength=256) for data in checked.splits.values()])
    counts = pixels.reshape(-1, 256).sum(0)
    there = np.flatnonzero(counts)
    mean = float((counts * np.arange(256)).sum() / counts.sum())
    rows = [
        ("source", checked.form),
        ("images", ", ".join(f"{len(data):,} {split}" for split, data in checked.splits.items())),
        ("sizes", checked.sizes),
        ("colour", "gray" if train.channels == 1 else "colour"),
        ("pixels", f"{there[0]} .. {there[-1]}, mean {mean:.1f}"),
        ("sha256", ", ".join(f"{split} {data.fingerprint[:12]}" for split, data in checked.splits.items())),
    ]
    rows += [("note", note) for note in checked.notes]
    rows += [("look at", finding.words) for finding in checked.findings if findings]
    return Table("", ("fact", "value"), rows)


def classes(checked: Checked) -> Table | None:
    """Number of images of each class in each split; None if there are no classes."""
    if checked.train.labels is None:
        return None
    names = checked.train.class_names
    counts = {
        split: np.bincount(data.labels, minlength=len(names))
        for split, data in checked.splits.items()
        if data.labels is not None
    }
    rows = [(name, *(f"{each[k]:,}" for each in counts.values())) for k, name in enumerate(names)]
    return Table("", ("class", *counts), rows, numeric=list(counts))


def sheet(checked: Checked, split: Split) -> NDArray[np.uint8]:
    """The contact sheet of a split: one class per row, suspicious images first and in a red frame; (H, W, 3)."""
    data, marked = checked.splits[split], set(checked.marked(split).tolist())
    rows = [_chosen(mine, marked) for mine in _by_class(data)]
    scale = 2 if data.side < SMALL else 1
    side = data.side * scale
    cell = side + 2 * FRAME
    picture = np.full((len(rows) * cell, COLUMNS * cell, 3), 255, np.uint8)
    for top, row in enumerate(rows):
        for left, which in enumerate(row):
            place = picture[top * cell : (top + 1) * cell, left * cell : (left + 1) * cell]
            if which in marked:
                place[:] = MARK
            place[FRAME:-FRAME, FRAME:-FRAME] = _in_colour(data.images[which], scale)
    names = data.class_names[:ROWS] if data.labels is not None else ()
    return pictures.labelled(picture, names, scale=1)


def _by_class(data: Dataset) -> list[NDArray[np.int64]]:
    """Indices of the images of each of at most `ROWS` classes; without classes, all images in `UNLABELLED` rows."""
    if data.labels is None:
        return [row for row in np.array_split(np.arange(len(data)), UNLABELLED) if len(row)]
    return [np.flatnonzero(data.labels == k) for k in range(min(len(data.class_names), ROWS))]


def _chosen(mine: NDArray[np.int64], marked: set[int]) -> list[int]:
    """Images of one row: suspicious ones first, at most half the row, then others."""
    odd = [which for which in mine.tolist() if which in marked][: COLUMNS // 2]
    return odd + [which for which in mine.tolist() if which not in marked][: COLUMNS - len(odd)]


def _in_colour(image: Images, scale: int) -> NDArray[np.uint8]:
    colour = image.repeat(3, axis=0) if len(image) == 1 else image
    return np.asarray(colour.transpose(1, 2, 0).repeat(scale, 0).repeat(scale, 1))


def _caption(checked: Checked, split: Split) -> str:
    data = checked.splits[split]
    if data.labels is None:
        what = f"{COLUMNS} images per row, from across the {split} split"
    else:
        more = f", the first {ROWS} of {len(data.class_names):,}" if len(data.class_names) > ROWS else ""
        what = f"One class per row{more}: its first images"
    marked = len(checked.marked(split))
    return f"{what}. Red frames: {marked:,} images to look at, a few of each class." if marked else f"{what}."
