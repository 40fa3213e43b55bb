"""Public functions for datasets: load, import and check them."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from genlab import data
from genlab.api.progress import shown
from genlab.data import Dataset, Split, checking, importing, memory, pictures
from genlab.data.checking import Checked
from genlab.data.import_plan import Options
from genlab.data.importing import Imported
from genlab.data.memory import Images
from genlab.data.sources.conversion import Color, Fit, Ground
from genlab.engine.files import destination, write
from genlab.engine.stages import about, stage
from genlab.errors import DataError, GenlabError, UsageError
from genlab.training.assemble import expected_seconds, settle
from genlab.training.choose import LEAST, SIZES, SMALLER


def load_dataset(images: Images, split: Split = "train") -> Dataset:
    """Dataset from a name (`genlab data list`), a path, or images in memory (see `genlab.train`).

    Raises:
        DataError: the dataset does not exist, its file is damaged, or its images cannot be used as they are.
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
    """Import images from anywhere into an npz file that every command accepts.

    Pictures are read one at a time, so memory stays bounded. An import that was stopped or killed continues when it is
    called again with the same arguments; one that is finished is not repeated.

    Args:
        source: a folder, archive or file (see docs/data.md), or images in memory (see `genlab.train`).
        output: .npz file to write.
        size: side of the images in pixels (default: that of the pictures, if all are square and of one size).
        fit: how pictures of other sizes are brought to that size: "pad", "crop" or "stretch" (default: they are
            refused).
        color: "gray" or "rgb" (default: gray if no pixel has a colour).
        range: values of black and white, as (0, 1) or "0..1" (default: 0 .. 255 for 8 bits, 0 .. 65535 for 16 bits;
            other types are refused).
        ground: "black" or "white", the background under transparent pixels (default: white) and around padded pictures
            (default: the picture's own background if its border is uniform, else black).
        split: fraction of each class that becomes the test split (default .1; a source's own split is kept).
        seed: seed of the split and of `per_class`.
        classes: classes to import, by name or number.
        per_class: maximum number of images per class, in each split if the source has its own test split.
        skip_bad: whether pictures that cannot be read are left out and counted instead of refused.
        progress: whether to show progress in a terminal, in a notebook or on standard error.

    Raises:
        DataError: the source cannot be read as it should be; the message names the picture.
        UsageError: the options contradict the source, or the output file already exists.
        StorageError: the disk refuses.
        BusyError: another process imports into the same file.
        Stopped: interrupted; the same call continues the import.
    """
    between = parse_range(range) if isinstance(range, str) else range
    chosen = None if classes is None else tuple(map(str, classes))
    options = Options(size, fit, color, between, ground, split, seed, chosen, per_class, skip_bad)
    with shown(progress):
        return importing.import_images(source, output, options)


@dataclass(frozen=True)
class Check:
    """Result of checking a dataset.

    Attributes:
        found: facts and findings; see `data.checking`.
        command: command that trains on the dataset, after the import if one is needed; empty if none would work.
        seconds: approximate training time on this machine; None if unknown.
    """

    found: Checked
    command: str
    seconds: float | None

    @property
    def takes(self) -> str:
        """How long a training takes, in words."""
        if self.seconds is None:
            return "How long that takes on this machine is unknown."
        return f"That takes {about(self.seconds)} on this machine, if nothing else runs."

    def save(self, path: str | Path) -> None:
        """Write the page (.html), or only the contact sheet of the training split (.png).

        Raises:
            UsageError: the extension is neither of these.
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
    """Check a dataset before training on it: what is in it, what looks wrong, how to train on it and how long that
    takes.

    Args:
        dataset: a name or path, or images in memory (see `genlab.train`).
        progress: whether to show progress in a terminal, in a notebook or on standard error.

    Raises:
        DataError: none of it can be read.
    """
    with shown(progress):
        name = memory.name_of(dataset)
        found = checking.check(name)
        in_memory = name.startswith(memory.PREFIX)
        if found.refusal is None:
            try:
                recipe, _ = settle("quick", {"data.name": name}, lambda _: found.train)
            except GenlabError as error:
                options = SMALLER if found.train.side > SIZES[-1] else ""
                found = replace(found, refusal=error, options=options)
            else:
                train = 'genlab.train("quick", data=images)' if in_memory else _training(shlex.quote(name))
                with stage("measuring how long a training takes"):
                    return Check(found, train, expected_seconds(recipe, found.train))
        least = LEAST if "test" in found.splits else LEAST + 1  # An import sets one aside as a test image.
        if found.options and len(found.train) < least:
            few = f"{name}: too few images that can be used ({len(found.train)}); quick needs {least} or more"
            found = replace(found, refusal=DataError(few), options="")
        made = data.import_of(name, found.options) if found.options else None
        if made is None:
            return Check(found, "", None)
        second = f'genlab.train("quick", data={made[1]!r})' if in_memory else _training(made[1])
        return Check(found, f"{made[0]}\n{second}", None)


def _training(quoted: str) -> str:
    return f"genlab train quick --data {quoted}"


def as_json(checked: Check) -> dict[str, Any]:
    """Result of a check, for programs."""
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


def parse_range(text: str) -> tuple[float, float]:
    """>>> parse_range("-1..1")
    (-1.0, 1.0)
    """
    low, dots, high = text.partition("..")
    try:
        return float(low), float(high if dots else "x")
    except ValueError:
        raise UsageError(f"range is {text!r}; allowed: LOW..HIGH, as in 0..1") from None
