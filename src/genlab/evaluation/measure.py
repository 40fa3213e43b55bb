"""Metrics of images from any source against the real ones of a dataset, as numbers that carry their protocol."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from genlab.engine.version import VERSION
from genlab.errors import StorageError
from genlab.evaluation import by_class, catalogue, metrics
from genlab.evaluation.image_set import ImageSet, Reference, Samples
from genlab.evaluation.metrics import Estimate
from genlab.evaluation.notes import notes
from genlab.evaluation.remembered import Arrays, recalled

FULL, CHEAP = 10_000, 2_000
"""Numbers of samples in a full evaluation, and in one during training."""


@dataclass(frozen=True)
class Evaluation:
    """The result of an evaluation.

    Attributes:
        record: the record as it is stored: `protocol`, `metrics` (name -> value, interval, floor, n), `classes`,
            `notes`, and what a run adds.
        fake, against: the sets of images, for figures.
        file: file in which a run keeps the record; None if it is not kept.
    """

    record: dict[str, Any]
    fake: ImageSet
    against: Reference
    file: Path | None = None

    def __repr__(self) -> str:
        found = self.record["metrics"]["frechet_distance"]
        distance = "none" if found["value"] is None else f"{found['value']:.3g}"
        real = "" if found["floor"] is None else f", real images {found['floor']:.3g}"
        of = self.record["protocol"]["of"]
        return f"Evaluation({len(self.fake):,} images of {of}: Frechet distance {distance}{real})"

    def value(self, name: str) -> float | None:
        """Value of a metric; None if it could not be computed."""
        found = self.record["metrics"][name]["value"]
        return None if found is None else float(found)


class NotStored(StorageError):
    """An evaluation is done, but its record could not be written.

    Attributes:
        found: the evaluation.
    """

    def __init__(self, message: str, found: Evaluation) -> None:
        super().__init__(message)
        self.found = found


@contextmanager
def storing(found: Evaluation) -> Iterator[None]:
    """Context for writing an evaluation's record (and figures): a failure becomes `NotStored`, with the evaluation."""
    try:
        yield
    except StorageError as error:
        words = f"the numbers are right, but could not be stored: {error} (-o FILE.json stores them elsewhere)"
        raise NotStored(words, found) from error


def measure(samples: Samples, against: Reference, memorisation: bool = True) -> Evaluation:
    """All metrics of the samples against the reference, and those of as many training images as the floor.

    Args:
        memorisation: whether to search for the nearest training image of each sample, which takes longest.
    """
    real = against.real
    side, channels = real.images.shape[2], real.images.shape[1]
    fake = ImageSet(samples.way.back(samples.images, side, channels), samples.requested, against.judge)
    found = catalogue.estimates(fake, against, memorisation)
    floor = _floor(against, len(fake), memorisation)
    record: dict[str, Any] = {
        "protocol": _protocol(samples, against),
        "metrics": {name: _entry(found[name], floor[name], len(fake)) for name in catalogue.NAMES},
        "classes": by_class.of_each_class(fake, against, against.train.class_names),
        "notes": notes(fake, against, memorisation),
    }
    if (modes := by_class.modes(fake, against)) is not None:
        record["modes"] = modes
    return Evaluation(record, fake, against)


def _floor(against: Reference, n: int, memorisation: bool) -> catalogue.Estimates:
    """The floor of n images, computed once per reference."""
    key = (n, memorisation)
    if key not in against.known:
        name = f"{against.key}-floor-{n}{'-memorised' if memorisation else ''}"
        known = recalled(
            name,
            lambda: _as_rows(catalogue.floor_of(against.floor(n), against, memorisation)),
            catalogue.FLOOR_SECONDS / (1 + catalogue.FLOOR_SECONDS) * catalogue.SECONDS,
        )
        against.known[key] = _from_rows(known)
    return against.known[key]


def _as_rows(found: catalogue.Estimates) -> Arrays:
    """Estimates as arrays: for each metric that could be computed, its value, and its interval if it has one."""
    return {name: np.array([each.value, *(each.interval or ())]) for name, each in found.items() if each is not None}


def _from_rows(rows: Arrays) -> catalogue.Estimates:
    found: catalogue.Estimates = dict.fromkeys(catalogue.NAMES)
    for name, (value, *interval) in rows.items():
        found[name] = Estimate(float(value), (float(interval[0]), float(interval[1])) if interval else None)
    return found


def _entry(found: Estimate | None, floor: Estimate | None, n: int) -> dict[str, Any]:
    return {
        "value": None if found is None else found.value,
        "interval": None if found is None or found.interval is None else list(found.interval),
        "floor": None if floor is None else floor.value,
        "n": n,
    }


def _protocol(samples: Samples, against: Reference) -> dict[str, Any]:
    judge = against.judge
    return {
        **samples.words,
        "samples": len(samples.images),
        "dataset": against.dataset,
        "fingerprints": against.fingerprints,
        "split": against.split,
        "real_images": len(against.real),
        "classes_in_data": len(against.train.class_names),
        "size": samples.way.words,
        "judge": None if judge is None else {"name": judge.name, "sha256": judge.sha256},
        "neighbours": metrics.K,
        "intervals": f"95 %: jackknife over {metrics.BLOCKS} blocks; bootstrap for accuracy and confidence",
        "floor": "the same number of training images, drawn with seed 0 and processed like the samples, against the "
        "same real images (memorisation: those real images themselves)",
        "genlab": VERSION,
    }
