"""What a page shows of a run's diagnosis: the findings in words, and the same z before and after things went wrong."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from genlab.data import pictures
from genlab.errors import DataError, GenlabError
from genlab.evaluation.diagnosis import Diagnosis, Finding
from genlab.evaluation.diagnosis.run import TRIED, diagnosis_of
from genlab.recipe.text import settings
from genlab.report import findings
from genlab.runs.directory import RunDirectory
from genlab.runs.verify import is_whole

COLUMNS = 10
"""Number of z whose images are shown side by side."""


@dataclass(frozen=True)
class Diagnosed:
    """A diagnosis on a page.

    Attributes:
        findings: level and lines of each finding; a line is (label, words), and the first one is the headline.
        healthy: message if nothing is wrong; empty otherwise.
        unknown: what could not be diagnosed, one line each.
        marks: (step, name) of the faults that last, for the curves.
        course: images of the same z before, at and after the first thing that went wrong, as pixels; None if there are
            no such samples.
        caption: caption of that picture.
    """

    findings: list[tuple[str, list[tuple[str, str]]]]
    healthy: str
    unknown: list[str]
    marks: list[tuple[int, str]]
    course: NDArray[np.uint8] | None
    caption: str


def diagnosed(run: RunDirectory) -> Diagnosed | None:
    """The diagnosis of a run for its page; None if the run is damaged or has not begun."""
    try:
        found, status = diagnosis_of(run, keep=False), run.status
    except DataError:
        return None
    if not found.step:
        return None
    recipe, provenance = run.trained_by(), run.provenance
    lines: list[tuple[str, list[tuple[str, str]]]] = [
        (each.level, findings.lines(each, run.path.name, recipe, provenance, status.get("total_steps")))
        for each in found.findings
    ]
    began = [each for each in found.lasting if each.since and each.since[0]]
    first = min(began, key=lambda each: each.since or (0, 0), default=None)
    course, caption = _course(run, first)
    return Diagnosed(
        lines,
        "" if found.lasting else findings.HEALTHY.partition("  ")[2],
        findings.unknown(found.unknown),
        _marks(found),
        course,
        caption,
    )


def _marks(found: Diagnosis) -> list[tuple[int, str]]:
    return [(each.since[1], each.name) for each in found.faults if each.since and each.since[0]]


def _course(run: RunDirectory, began: Finding | None) -> tuple[NDArray[np.uint8] | None, str]:
    """Images of ten z at the last samples before a finding began, at the first ones from then on, at the end and, if
    the proposed changes were tried, at the end of that run; if no finding began, only the last two."""
    there = _samples(run)
    before, first = began.since if began and began.since else (-1, there[-1] if there else 0)
    chosen = [
        *[step for step in there if step <= before][-1:],
        *[step for step in there if step >= first][:1],
        *there[-1:],
    ]
    steps = list(dict.fromkeys(chosen))
    rows, names = [(run, step) for step in steps], [f"step {step:,}" for step in steps]
    caption = f"The same z at {', '.join(names)}."
    if began:
        caption += f" What began: {began.title[0].lower()}{began.title[1:]}."
    new, told = _tried(run)
    if new is not None and (ends := _samples(new)):
        rows, names, caption = [*rows, (new, ends[-1])], [*names, "tried"], f"{caption} {told}"
    if len(rows) < 2:
        return None, ""
    return pictures.labelled(same_z(rows), names), caption


def _samples(run: RunDirectory) -> list[int]:
    """The steps for which a run has an undamaged sample grid."""
    return [step for step in run.steps("samples", ".png") if is_whole(run, run.file("samples", step, ".png"))]


def _tried(run: RunDirectory) -> tuple[RunDirectory | None, str]:
    """The run in which the proposed changes were tried, if it still lies beside this one, and the outcome."""
    with suppress(GenlabError, KeyError, TypeError):
        told = run.read_json(TRIED)
        changes = settings(told["changes"])
        new = RunDirectory(run.path.parent / Path(told["run"]).name)
        if new.trained_by().data.size == run.trained_by().data.size:
            return new, f"Tried, in {new.path.name}: {changes}; {told['words']}."
    return None, ""


def same_z(rows: Sequence[tuple[RunDirectory, int]]) -> NDArray[np.uint8]:
    """The first `COLUMNS` images of each run's sample grid at the given step, one row per grid; equal seeds show the
    same z."""
    images = []
    for run, step in rows:
        with Image.open(run.file("samples", step, ".png"), formats=["PNG"]) as file:
            grid = np.asarray(file)[:: pictures.SCALE, :: pictures.SCALE]
        grid = grid[:, :, None] if grid.ndim == 2 else grid
        images += pictures.tiles(grid, run.trained_by().data.size)[:COLUMNS]
    return pictures.grid(np.stack(images).transpose(0, 3, 1, 2), COLUMNS)
