"""Check that a run's pictures and numbers are what its weights give, by drawing and measuring them again.

On the machine that made them every pixel and every number must be the same, bit for bit. Elsewhere floating-point
arithmetic rounds differently: a pixel may differ by `PIXELS` of 255 levels, and a number by `NUMBERS` of itself, or by
`IMAGES` images if it counts images.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from genlab.api.run import Run
from genlab.data import pictures
from genlab.engine.randomness import Keyed
from genlab.engine.stages import stage
from genlab.errors import GenlabError
from genlab.evaluation import judge_search, kept, remembered
from genlab.evaluation import run as of_run
from genlab.families.registry import FAMILIES
from genlab.runs.options import SamplingOptions
from genlab.runs.provenance import differences, training_machine, versions
from genlab.runs.sampling import Sampler
from genlab.training import fit

PIXELS, NUMBERS, IMAGES = 2, 0.002, 5
SHOWN = 3
"""Number of differences that are listed per record; the rest are counted."""
SECTIONS = ("metrics", "classes", "discriminator", "vae", "interpolation", "style", "modes")
"""Sections of an evaluation's record that hold numbers."""
LATER = ("style",)
"""Sections that records of older versions lack."""


@dataclass(frozen=True)
class Recomputed:
    """Result of drawing and measuring again.

    Attributes:
        said: (what, how it compares), in words.
        damages: one line for each picture or number that differs by more than is allowed.
    """

    said: list[tuple[str, str]]
    damages: list[str]


def recompute(run: Run) -> Recomputed:
    """Draw every sample grid of a run again from its snapshot, and measure its evaluations again.

    The accuracy score, which trains a classifier, and evaluations by another judge than the dataset's own are not
    repeated; the result says so.
    """
    said: list[tuple[str, str]] = []
    damages: list[str] = []
    parts: tuple[tuple[str, Callable[..., Iterator[str]]], ...] = (
        (("samples", _samples), ("evaluations", _evaluations))
        if FAMILIES[run.directory.trained_by().family].sampling
        else (("accuracy", _accuracy),)
    )
    for name, part in parts:
        try:
            with stage(f"{run.path.name}: {name}"), remembered.anew():
                said += [(name, line) for line in part(run, damages)]
        except GenlabError as error:
            said.append((name, f"not compared: {str(error).splitlines()[0]}"))
    return Recomputed(said, damages)


def _elsewhere(then: Mapping[str, Any] | None, run: Run) -> list[str]:
    """Changes since then in what affects rounding, such as the machine."""
    if then is None:
        return ["by an older version, which did not record where"]
    return differences(then, {"versions": versions(), "machine": training_machine(run.directory.trained_by())})


def _samples(run: Run, damages: list[str]) -> Iterator[str]:
    """Compare the sample grids, each drawn again from its snapshot."""
    recipe, provenance = run.directory.trained_by(), run.provenance
    z, labels, columns = fit.previews(recipe, Keyed(provenance["seed"]), len(provenance["data"]["class_names"]))
    resumed = provenance.get("resumed", [])
    elsewhere = _elsewhere(provenance, run) + [
        f"resumed elsewhere ({'; '.join(entry['differences'])})" for entry in resumed if not entry["exact"]
    ]
    steps, largest = run.steps("snapshots", ".safetensors"), 0
    for step in steps:
        file = run.file("samples", step, ".png")
        drawn = pictures.grid(Sampler(run, SamplingOptions(step=step))(z, labels), columns)
        drawn = drawn.repeat(pictures.SCALE, 0).repeat(pictures.SCALE, 1)
        there = _picture(run, file)
        if there is None or there.shape != drawn.shape:
            damages.append(f"{file}: not a grid of this run")
            continue
        off = int(np.abs(drawn.astype(np.int16) - there).max())
        largest = max(largest, off)
        if off > (PIXELS if elsewhere else 0):
            damages.append(f"{file}: not what the snapshot draws: pixels differ by up to {off} of 255 levels")
    yield f"{len(steps)} grids drawn again: " + _agreement(
        largest == 0, elsewhere, f"pixels differ by at most {largest} of 255 levels (allowed: {PIXELS})"
    )


def _picture(run: Run, file: Any) -> Any:
    try:
        with Image.open(file, formats=["PNG"]) as picture:
            there = np.asarray(picture, np.int16)
    except (OSError, SyntaxError, ValueError):
        return None
    return there[:, :, None] if there.ndim == 2 else there


def _evaluations(run: Run, damages: list[str]) -> Iterator[str]:
    """Compare every evaluation that the run keeps, if it is of weights that the run still has."""
    own = judge_search.reader(run.directory.trained_by().data.name)
    for name in kept.names(run.directory):
        try:
            record = kept.load(run.directory, name)
        except GenlabError as error:
            damages.append(str(error))
            continue
        assert record is not None
        protocol = record["protocol"]
        how, reason = _how(run, protocol), None
        if how is None:
            reason = "an older version did not record how its images were drawn"
        elif (protocol["judge"] or {}).get("sha256") != own.sha256:
            reason = "another judge was used"
        elif how.step is None and protocol.get("step") != run.directory.step_of_weights():
            reason = "it measured the weights from before the run was trained further"
        if how is None or reason:
            yield f"{name}: not compared: {reason}"
            continue
        try:
            again = of_run.evaluate(run, how, protocol["samples"], own).record
        except GenlabError as error:  # Such as a snapshot that was pruned: the other records are compared all the same.
            yield f"{name}: not compared: {str(error).splitlines()[0]}"
            continue
        elsewhere = _elsewhere(protocol.get("measured_on"), run)
        numbers = list(_pairs(record, again))
        wrong = [
            f"{run.path / 'evaluations' / name}: {path}: {_short(old)} recorded, {_short(new)} measured again"
            for path, old, new in numbers
            if not _agree(old, new, protocol["samples"], bool(elsewhere))
        ]
        damages += wrong[:SHOWN]
        if len(wrong) > SHOWN:
            damages.append(f"{run.path / 'evaluations' / name}: {len(wrong) - SHOWN} more numbers differ")
        same = all(old == new for _, old, new in numbers)
        yield f"{name}: {len(numbers)} numbers measured again: " + (
            f"{len(wrong)} differ"
            if wrong
            else _agreement(same, elsewhere, f"all within {NUMBERS:.1%} or {IMAGES} images")
        )


def _accuracy(run: Run, damages: list[str]) -> Iterator[str]:
    """Compare the test accuracy in the last metric row of a classifier."""
    row = run.metrics()[-1] if run.metrics() else {}
    if "test_accuracy" not in row:
        yield "none was recorded"
        return
    counts = run.confusion().arrays["counts"]
    again, elsewhere = float(np.trace(counts) / counts.sum()), _elsewhere(run.provenance, run)
    off = round(abs(again - row["test_accuracy"]) * counts.sum())
    if off > (IMAGES if elsewhere else 0):
        damages.append(
            f"{run.path / 'metrics.jsonl'}: test accuracy {row['test_accuracy']:.4f} recorded, {again:.4f} measured "
            "again"
        )
    yield f"{again:.2%} of {counts.sum():,} test images: " + _agreement(off == 0, elsewhere, f"{off} images differ")


def _how(run: Run, protocol: Mapping[str, Any]) -> SamplingOptions | None:
    try:
        return SamplingOptions(**protocol["drawn"])
    except (KeyError, TypeError):
        return None


def _agreement(same: bool, elsewhere: list[str], tolerance: str) -> str:
    if same:
        return "identical" + (f", although made elsewhere ({elsewhere[0]})" if elsewhere else " (same machine)")
    return f"{tolerance}; made elsewhere: {elsewhere[0]}" if elsewhere else "they differ on the same machine"


def _pairs(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    """(path, old, new) for every number of two records; the accuracy score is left out."""

    def walk(path: str, a: Any, b: Any) -> Iterator[tuple[str, Any, Any]]:
        if isinstance(a, dict) and isinstance(b, dict):
            for key in a.keys() | b.keys():
                if key != kept.ACCURACY_SCORE:
                    yield from walk(f"{path}.{key}", a.get(key), b.get(key))
        elif isinstance(a, list | tuple) and isinstance(b, list | tuple) and len(a) == len(b):
            for k, (x, y) in enumerate(zip(a, b, strict=True)):
                yield from walk(f"{path}[{k}]", x, y)
        else:
            yield path, a, b

    for section in SECTIONS:
        if section in old or (section in new and section not in LATER):
            yield from walk(section, old.get(section), new.get(section))


def _agree(old: Any, new: Any, n: int, elsewhere: bool) -> bool:
    if old == new or not elsewhere:
        return bool(old == new)
    if not all(isinstance(value, int | float) and not isinstance(value, bool) for value in (old, new)):
        return False
    return math.isclose(old, new, rel_tol=NUMBERS, abs_tol=IMAGES / n)


def _short(value: Any) -> str:
    return f"{value:.8g}" if isinstance(value, float) else str(value)
