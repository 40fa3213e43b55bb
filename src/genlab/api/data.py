"""The public functions about datasets: import them, check them."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from genlab import data
from genlab.api.progress import shown
from genlab.data import Dataset, Split, checking, importing, memory, pictures
from genlab.data.arrays import import_command
from genlab.data.checking import Checked
from genlab.data.import_plan import Options
from genlab.data.importing import Imported
from genlab.data.memory import Images
from genlab.data.sources.conversion import Color, Fit, Ground
from genlab.engine.files import destination, write
from genlab.engine.stages import about, stage
from genlab.errors import GenlabError, UsageError
from genlab.training.assemble import expected_seconds, settle


def load_dataset(images: Images, split: Split = "train") -> Dataset:
    """A dataset by its name (`genlab data list`) or path, or of images in memory (see `genlab.train`).

    Raises:
        DataError: no such dataset, a damaged file, or images that cannot be taken as they are.
    """
    return data.load(memory.name_of(images), split)


def import_images(
    source: Any,
    output: str | Path,
    *,
    size: int | None = None,
    fit: Fit | None = None,
    color: Color | None = None,
    range: tuple[float, float] | str | None = None,
    ground: Ground | None = None,
    split: float | None = None,
    seed: int = 0,
    classes: Sequence[str | int] | None = None,
    per_class: int | None = None,
    skip_bad: bool = False,
    progress: bool = True,
) -> Imported:
    """Import images from anywhere into an npz file that every command takes.

    Pictures are read one at a time, so memory stays bounded. An import that was stopped or killed goes on when it is
    called again with the same arguments; one that is finished is not made again.

    Args:
        source: a folder, archive or file (see docs/data.md), or images in memory (see `genlab.train`).
        output: the .npz file.
        size: side of the images, pixels (default: that of the pictures, if all are one square size).
        fit: how pictures of other sizes become that: "pad", "crop" or "stretch" (default: they are refused).
        color: "gray" or "rgb" (default: gray if no pixel has a colour).
        range: the values that are black and white, as (0, 1) or "0..1" (default: 0 .. 255 of 8 bits, 0 .. 65535 of 16
            bits; other types are refused).
        ground: "black" or "white": what is under transparent pixels (default: white) and around padded pictures
            (default: their own ground where their border is even, else black).
        split: the fraction of each class that becomes the test split (default .1; a source's own split is kept).
        seed: of the split and of `per_class`.
        classes: only these, by name or number.
        per_class: at most so many images of each class.
        skip_bad: whether pictures that cannot be read are left out and counted, instead of refused.
        progress: whether a terminal, a notebook or standard error shows how far it is.

    Raises:
        DataError: a source that cannot be read as it should be; names the picture.
        UsageError: options that contradict the source; a file that is there already.
        StorageError: the disk refuses.
        BusyError: another process imports into the same file.
        Stopped: interrupted; the same call goes on.
    """
    between = parse_range(range) if isinstance(range, str) else range
    chosen = None if classes is None else tuple(map(str, classes))
    options = Options(size, fit, color, between, ground, split, seed, chosen, per_class, skip_bad)
    with shown(progress):
        return importing.import_images(source, output, options)


@dataclass(frozen=True)
class Check:
    """A dataset that was looked at.

    Attributes:
        found: its facts and findings; see `data.checking`.
        command: that trains on it, after the import where one is needed.
        seconds: about how long that takes on this machine; None where it is not known.
    """

    found: Checked
    command: str
    seconds: float | None

    @property
    def takes(self) -> str:
        """How long a training takes, in words."""
        if self.seconds is None:
            return "How long that takes here is not known."
        return f"That takes {about(self.seconds)} on this machine, if nothing else runs."

    def save(self, path: str | Path) -> None:
        """Write a page (.html), or the contact sheet of the training split alone (.png).

        Raises:
            UsageError: another ending.
            StorageError: the disk refuses.
        """
        from genlab.report import data_page, html

        path = Path(path)
        destination(path, ".html (the page)", ".png (the contact sheet)")
        if path.suffix.lower() == ".png":
            write(path, pictures.png(data_page.sheet(self.found, "train"), scale=1))
        else:
            write(path, html.render(data_page.page(self.found, self.command, self.takes)).encode())


def check(dataset: Images, *, progress: bool = True) -> Check:
    """Look at a dataset before training on it: what is in it, what looks wrong, how to train on it and how long that
    takes.

    Args:
        dataset: a name or path, or images in memory (see `genlab.train`).
        progress: whether a terminal, a notebook or standard error shows how far it is.

    Raises:
        DataError: nothing of it can be read.
    """
    with shown(progress):
        name = memory.name_of(dataset)
        found = checking.check(name)
        train = f"genlab train quick --data {shlex.quote(name)}"
        if found.refusal is not None:
            first, output = import_command(name, found.options)
            return Check(found, f"{first}\ngenlab train quick --data {output}", None)
        if name.startswith(memory.PREFIX):
            train = 'genlab.train("quick", data=images)'
        with stage("measuring what a training takes"):
            return Check(found, train, _seconds(found.train))


def as_json(checked: Check) -> dict[str, Any]:
    """What was found, for programs."""
    found, train = checked.found, checked.found.train
    counts = {
        split: [] if data.labels is None else np.bincount(data.labels, minlength=len(data.class_names)).tolist()
        for split, data in found.splits.items()
    }
    return {
        "name": found.name,
        "form": found.form,
        "images": {split: len(data) for split, data in found.splits.items()},
        "side": train.side,
        "channels": train.channels,
        "sizes": found.sizes,
        "classes": {name: [each[k] for each in counts.values() if each] for k, name in enumerate(train.class_names)},
        "sha256": {split: data.fingerprint for split, data in found.splits.items()},
        "notes": list(found.notes),
        "findings": [
            {"says": each.words, "images": {split: rows.tolist() for split, rows in each.rows.items()}}
            for each in found.findings
        ],
        "refusal": None if found.refusal is None else str(found.refusal),
        "command": checked.command,
        "seconds": checked.seconds,
    }


def _seconds(dataset: Dataset) -> float | None:
    """About how long the recipe `quick` trains on a dataset here."""
    try:
        recipe, _ = settle("quick", {"data.name": dataset.name}, lambda name: dataset)
    except GenlabError:
        return None
    return expected_seconds(recipe, dataset)


def parse_range(text: str) -> tuple[float, float]:
    """>>> parse_range("-1..1")
    (-1.0, 1.0)
    """
    low, dots, high = text.partition("..")
    try:
        return float(low), float(high if dots else "x")
    except ValueError:
        raise UsageError(f"range is {text!r}; allowed: LOW..HIGH, as in 0..1") from None
