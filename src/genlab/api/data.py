"""The public functions about datasets: import them, check them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from genlab.api.progress import shown
from genlab.data import importing
from genlab.data.conversion import Color, Fit, Ground
from genlab.data.import_plan import Options
from genlab.data.importing import Imported
from genlab.errors import UsageError


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


def parse_range(text: str) -> tuple[float, float]:
    """>>> parse_range("-1..1")
    (-1.0, 1.0)
    """
    low, dots, high = text.partition("..")
    try:
        return float(low), float(high if dots else "x")
    except ValueError:
        raise UsageError(f"range is {text!r}; allowed: LOW..HIGH, as in 0..1") from None
