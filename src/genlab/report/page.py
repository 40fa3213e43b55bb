"""Content of a page as plain dataclasses; the same data could be served as JSON."""

from __future__ import annotations

import base64
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genlab.data import pictures
from genlab.errors import DataError, GenlabError, counted
from genlab.evaluation import kept
from genlab.families.nets.describe import Description, Layer
from genlab.families.registry import FAMILIES
from genlab.recipe import Recipe, files
from genlab.recipe.changes import changes
from genlab.recipe.schedule import Schedule
from genlab.recipe.text import settings
from genlab.report import text as words
from genlab.report.curves import Figure, draw
from genlab.report.diagnosed import Diagnosed, diagnosed
from genlab.report.diagram import drawing
from genlab.report.figures import look
from genlab.report.origin import Again, again, provenance_lines
from genlab.report.tables import Table, of_layers
from genlab.report.verdict import Class, Verdict, classes_of, classes_table, named_rightly, verdict
from genlab.runs import verify
from genlab.runs.directory import RunDirectory
from genlab.runs.open import OpenRun
from genlab.runs.record import Provenance
from genlab.runs.rows import Row
from genlab.runs.sampling import sampling_words
from genlab.runs.verify import is_whole, missing_rows

TIMELINE, FEW = 9, 4
"""Positions of the step slider, and how many of them are shown side by side if scripts are disabled."""
IN_TABLES = ("evaluation-classes",)
"""Figures whose numbers the page shows in a table."""


@dataclass(frozen=True)
class Grid:
    """A grid of images; `source` is a data: URL, `caption` says what it shows."""

    source: str
    caption: str
    title: str = ""


@dataclass(frozen=True)
class Card:
    """A run in a few lines: `facts` are (label, value), `picture` is a data: URL or empty."""

    title: str
    state: str
    picture: str
    facts: list[tuple[str, str]]


def run_card(run: RunDirectory) -> Card:
    """What a notebook shows for a run: its state, its last samples, its quality; writes nothing."""
    status = _status(run)
    steps = [step for step in run.steps("samples", ".png") if is_whole(run, run.file("samples", step, ".png"))]
    picture = embed(run.file("samples", steps[-1], ".png")) if steps else ""
    record = kept.read(run, kept.FULL_FILE)
    facts = words.summary(record) if record else []
    try:
        recipe, last = run.trained_by(), run.last_row() or {}
        outcome = FAMILIES[recipe.family].outcome(recipe, last)
        facts = [
            ("recipe", recipe.description),
            *_changes(recipe, run.provenance.get("base")),
            *{**dict(outcome), **dict(facts)}.items(),
        ]
    except GenlabError as error:
        facts = [("damaged", str(error).splitlines()[0])]
    total = f" of {status['total_steps']:,}" if status.get("total_steps") else ""
    return Card(run.path.name, f"{status['state']}, step {status['step']:,}{total}", picture, facts)


@dataclass(frozen=True)
class Quality:
    """The full evaluation.

    Attributes:
        summary: (label, result) pairs.
        classes: table of the classes, worst first, or None; `classes_caption` explains its columns.
        table: every metric with its value, its interval, and the value of real images.
        explained: (metric, what it says, what it cannot see) for each metric.
        more: (label, result) pairs for the discriminator, likelihood, latent interpolation and style.
        protocol: how the numbers were measured.
        notes: remarks that must stand beside the numbers.
        glossary: (term, meaning) for the terms that a page uses.
    """

    summary: list[tuple[str, str]]
    classes: Table | None
    classes_caption: str
    table: Table
    explained: list[tuple[str, str, str]]
    more: list[tuple[str, str]]
    protocol: str
    notes: list[str]
    glossary: list[tuple[str, str]]


@dataclass(frozen=True)
class Frame:
    """One position of a step slider; `few` marks those that are shown side by side if scripts are disabled."""

    label: str
    grids: list[Grid]
    few: bool = False


@dataclass(frozen=True)
class RunPage:
    """The report of a run.

    Attributes:
        lead: what this run is.
        notes: what is wrong with the run's files, one line per problem.
        verdict: a sentence and five numbers.
        final, real: the last sample grid, and real images in the same layout.
        row_names: what each row of a grid shows; empty if rows mean nothing.
        frames: grids over the course of training, same z throughout.
        drawn: how the images of all grids were drawn.
        same_z: whether all grids show the same z.
        quality: the full evaluation, if there was one.
        diagnosis: what is wrong, or that nothing is; None if the run cannot be diagnosed.
        looks: figures that were drawn from the run (`report.figures.looks`).
        networks: tables of the networks' layers.
        drawing: SVG of the system and its networks.
        equations: the objective; empty for a custom one.
        recipe: the recipe as YAML.
        provenance: what made the run, as (label, value) pairs.
    """

    title: str
    lead: str
    state: str
    notes: list[str]
    verdict: Verdict
    final: Grid | None
    real: Grid | None
    row_names: list[str]
    frames: list[Frame]
    drawn: str
    same_z: bool
    quality: Quality | None
    diagnosis: Diagnosed | None
    looks: list[Grid]
    figures: list[Figure]
    again: Again
    networks: list[Table]
    drawing: str
    equations: list[str]
    recipe: str
    provenance: list[tuple[str, str]]

    @property
    def course(self) -> str:
        """Images of the same z before and after things went wrong, as a data: URL; empty if there are none."""
        shown = self.diagnosis.course if self.diagnosis else None
        return "" if shown is None else embed_png(shown)

    @property
    def contents(self) -> list[tuple[str, str]]:
        """(anchor, title) of each section on the page."""
        there = [
            ("samples", "Samples", bool(self.final or not self.looks)),
            ("course", "Course", len(self.frames) > 1),
            ("quality", "Quality", self.quality is not None),
            ("diagnosis", "Diagnosis", self.diagnosis is not None),
            ("looks", "A closer look", bool(self.looks)),
            ("curves", "Curves", bool(self.figures)),
            ("again", "Reproduce it", True),
            ("system", "System", True),
            ("provenance", "Provenance", True),
        ]
        return [(anchor, title) for anchor, title, shown in there if shown]


def run_page(run: RunDirectory) -> RunPage:
    """Content of a run's page; writes nothing."""
    recipe, provenance, status, rows = run.trained_by(), run.provenance, _status(run), run.sound_rows()
    schedule, family = Schedule.of(recipe, provenance["data"]["images"]), FAMILIES[recipe.family]
    steps = [step for step in run.steps("samples", ".png") if is_whole(run, run.file("samples", step, ".png"))]
    record, real_file = kept.read(run, kept.FULL_FILE), run.path / "samples" / "real.png"
    classes = classes_of(record) if record else _classified(run, provenance)
    found = diagnosed(run)
    drawn = "as the loop produced them" if family.own_loop else sampling_words(OpenRun(run))
    described = _described(provenance["networks"])
    return RunPage(
        title=run.path.name,
        lead=_lead(recipe, provenance, rows[-1] if rows else None),
        state=_state_words(status, resumes=not family.own_loop),
        notes=_notes(run),
        verdict=verdict(recipe, rows, record, classes),
        final=Grid(
            embed(run.file("samples", steps[-1], ".png")), f"Generated after {_when(steps[-1], schedule)}: {drawn}."
        )
        if steps
        else None,
        real=Grid(embed(real_file), f"Real images of {recipe.data.name}, training set.")
        if is_whole(run, real_file)
        else None,
        row_names=provenance["data"]["class_names"] if recipe.conditional else [],
        frames=_frames(run, steps, schedule),
        drawn=drawn,
        same_z=not family.own_loop,
        quality=_quality(record, classes),
        looks=[
            Grid(embed(path), caption, title)
            for path, title, caption in look.kept(run)
            if is_whole(run, path) and path.stem not in IN_TABLES
        ],
        diagnosis=found,
        figures=draw(rows, recipe, "objective" in provenance["own"], found.marks if found else ()),
        again=again(recipe, provenance),
        networks=[of_layers(description) for description in described],
        drawing=drawing(recipe, described),
        equations=[] if "objective" in provenance["own"] else family.equations(recipe),
        recipe=files.dump(recipe),
        provenance=provenance_lines(recipe, provenance, rows[-1] if rows else None),
    )


def _lead(recipe: Recipe, provenance: Provenance, last: Row | None) -> str:
    """What this run actually is, not what its recipe originally was."""
    trained = counted(last["epoch"], "epoch") if last else "no step yet"
    on = f"of {provenance['data']['images']:,} images of {PurePath(recipe.data.name).name}"
    said = [f"{recipe.description}; {trained} {on}, seed {provenance['seed']}"]
    return "; ".join([*said, *(f"{label}: {value}" for label, value in _changes(recipe, provenance.get("base")))])


def _frames(run: RunDirectory, steps: Sequence[int], schedule: Schedule) -> list[Frame]:
    """Grids over the course of training: at most `TIMELINE`, of which `FEW` are marked for pages without scripts."""
    grids = [
        Grid(embed(run.file("samples", steps[k], ".png")), _when(steps[k], schedule))
        for k in spread(len(steps), TIMELINE)
    ]
    few = spread(len(grids), FEW)
    return [Frame(grid.caption, [grid], k in few) for k, grid in enumerate(grids)]


def _classified(run: RunDirectory, provenance: Provenance) -> list[Class]:
    """The classes of a classifier's confusion matrix; empty if none was drawn."""
    try:
        with np.load(run.path / "figures" / "confusion.npz") as arrays:
            return named_rightly(arrays["counts"].tolist(), provenance["data"]["class_names"])
    except (OSError, ValueError, KeyError):
        return []


def _status(run: RunDirectory) -> dict[str, Any]:
    """The run's status; if it cannot be read, the state "damaged" at step 0."""
    try:
        return run.status
    except DataError:
        return {"state": "damaged", "step": 0}


def _notes(run: RunDirectory) -> list[str]:
    """What is wrong with the files that this page is made from."""
    found: list[str] = []
    looked: list[Callable[[], object]] = [lambda: run.status, lambda: kept.load(run, kept.FULL_FILE)]
    pictures = [*sorted((run.path / "samples").glob("*.png")), *sorted((run.path / "figures").glob("*.png"))]
    looked += [partial(verify.check_picture, run, file) for file in pictures]
    for read in looked:
        try:
            read()
        except GenlabError as error:
            found.append(str(error).splitlines()[0])
    try:
        found.append(run.recipe_changes() or "")
    except GenlabError as error:
        found.append(str(error).splitlines()[0])
    damaged = run.damaged_rows()
    if damaged:
        found.append(
            f"{run.path / 'metrics.jsonl'} line {damaged[0]}: damaged; {counted(len(damaged), 'row')} left out"
        )
    elif lost := missing_rows(run, max(run.steps("checkpoints", ""), default=0)):
        found.append(f"{run.path / 'metrics.jsonl'}: {len(lost)} rows are missing, the first at step {lost[0]}")
    return [line.replace(f"{run.path}{os.sep}", "") for line in found if line]


def _quality(record: dict[str, Any] | None, classes: Sequence[Class]) -> Quality | None:
    if record is None:
        return None
    return Quality(
        summary=words.summary(record),
        classes=classes_table(record, classes),
        classes_caption=f"{record['protocol']['samples']:,} samples, read by the judge; in brackets, the 95 % "
        "interval; diversity: 1 is that of real images",
        table=words.table(record),
        explained=words.explained(record),
        more=words.more(record),
        protocol=words.protocol(record),
        notes=record["notes"],
        glossary=words.GLOSSARY,
    )


def _changes(recipe: Recipe, base: str | None) -> list[tuple[str, str]]:
    """What sets this run apart from the built-in recipe of the same name."""
    said = settings({path: new for path, (_, new) in changes(recipe, base).items()})
    return [(f"changed from {recipe.name}", said)] if said else []


def _when(step: int, schedule: Schedule) -> str:
    epochs, rest = divmod(step, schedule.steps_per_epoch)
    if rest == 0:
        return f"epoch {epochs} (step {step:,})"
    return f"step {step:,} (epoch {step / schedule.steps_per_epoch:.2f})"


def spread(n: int, most: int) -> list[int]:
    """At most `most` of n positions, evenly spread, including the first and the last; if `most` is 1, the last."""
    if n <= most:
        return list(range(n))
    return [n - 1] if most == 1 else [round(k * (n - 1) / (most - 1)) for k in range(most)]


def embed(path: Path) -> str:
    """A PNG file as a data: URL."""
    return _address(path.read_bytes())


def embed_png(picture: NDArray[np.uint8]) -> str:
    """A picture (H, W, C) as a data: URL."""
    return _address(pictures.png(picture, scale=1))


def _address(png: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(png).decode()


def _state_words(status: dict[str, Any], resumes: bool) -> str:
    at = f"step {status['step']:,}" + (f" of {status['total_steps']:,}" if status.get("total_steps") else "")
    words = {
        "created": "This run has not begun.",
        "running": f"This run is in progress: {at} at its last checkpoint.",
        "interrupted": f"This run was stopped at {at}" + (" and can be resumed." if resumes else "."),
        "killed": f"This run was killed; its last checkpoint is at {at}; it can be resumed."
        if resumes
        else f"This run did not finish; its last reported position is {at}.",
        "failed": f"This run failed after {at}: {status.get('reason', '')}",
    }
    return words.get(status["state"], "")


def _described(networks: list[dict[str, Any]]) -> list[Description]:
    """Layer tables, restored from their stored form."""
    layers = [
        tuple(Layer(**{**layer, "output_shape": tuple(layer["output_shape"])}) for layer in network["layers"])
        for network in networks
    ]
    return [Description(**{**network, "layers": rows}) for network, rows in zip(networks, layers, strict=True)]
