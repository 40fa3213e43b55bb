"""What stands on a page of several runs, as plain dataclasses: quality, classes, samples of equal steps, curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from genlab.errors import DataError
from genlab.families.registry import FAMILIES
from genlab.recipe.changes import is_told
from genlab.recipe.files import diff
from genlab.recipe.schedule import Schedule
from genlab.report import text as words
from genlab.report.overlay import Compared, Overlay, default_columns, overlay
from genlab.report.page import FEW, TIMELINE, Frame, Grid, embed, spread
from genlab.report.series import Axis
from genlab.report.tables import Table
from genlab.report.verdict import classes_of, duration
from genlab.runs.directory import RunDirectory
from genlab.runs.verify import is_whole

BYTES = 1_500_000
"""Of sample grids on a page: with more runs there are fewer steps."""


@dataclass(frozen=True)
class ComparePage:
    """Runs beside one another.

    Attributes:
        lead: what is compared.
        runs: what each is, how it stands.
        differences: fields of the recipes that differ; None where only the seeds do.
        quality: every metric with its interval; None for models that make no images.
        ends: what the last rows say, for models that are tested in training.
        classes: how each class does in each run.
        frames: sample grids at equal steps.
        frames_caption: whether they show the same z.
        figures: curves over each other.
        machines: where each was trained, how long.
    """

    title: str
    lead: str
    runs: Table
    differences: Table | None
    quality: Table | None
    ends: Table | None
    classes: Table | None
    frames: list[Frame]
    frames_caption: str
    figures: list[Overlay]
    machines: Table

    @property
    def contents(self) -> list[tuple[str, str]]:
        """(anchor, title) of each section that there is."""
        there = [
            ("quality", "Quality", self.quality is not None or self.ends is not None),
            ("classes", "By class", self.classes is not None),
            ("samples", "Samples", bool(self.frames)),
            ("curves", "Curves", bool(self.figures)),
            ("differences", "What differs", self.differences is not None),
            ("machines", "Machine and time", True),
        ]
        return [(anchor, title) for anchor, title, shown in there if shown]


def compare_page(
    runs: Mapping[str, RunDirectory], records: Mapping[str, Mapping[str, Any]], against: Axis = "step"
) -> ComparePage:
    """What a page of these runs shows; nothing is written.

    Args:
        records: the evaluations of those that make images, by the same names.
        against: what the curves are drawn over.
    """
    compared = Compared.of(dict(runs))
    labels = dict(zip(runs, compared.labels, strict=True))
    seeds = len(set(compared.seeds))
    settings = list(dict.fromkeys(compared.settings))
    said = f"{len(settings)} settings ({', '.join(settings[:6])}{', ...' if len(settings) > 6 else ''})"
    kinds = said if len(settings) > 1 else f"one setting ({settings[0]})"
    frames = _frames(runs, compared, labels)
    same = seeds == 1 and len({repr(FAMILIES[r.family].sampling) for r in compared.recipes}) == 1
    measured = {labels[name]: dict(record) for name, record in records.items()}
    return ComparePage(
        title=f"{len(runs)} runs compared",
        lead=f"{kinds}, {'seeds' if seeds > 1 else 'seed'} {', '.join(map(str, sorted(set(compared.seeds))))}",
        runs=_runs(runs, compared),
        differences=_differences(compared),
        quality=words.comparison(measured) if measured else None,
        ends=_ends(compared),
        classes=_classes(measured),
        frames=frames,
        frames_caption="The same z in every run, where they have the same seed."
        if seeds > 1
        else "The same z in every run and at every step."
        if same
        else "Each run has its own z, the same at every step.",
        figures=[overlay(compared, column, against) for column in default_columns(compared)],
        machines=_machines(runs, compared),
    )


def _runs(runs: Mapping[str, RunDirectory], compared: Compared) -> Table:
    rows = []
    for k, (name, run) in enumerate(runs.items()):
        try:
            status = run.status
            state = f"{status['state']}, step {status['step']:,}"
        except DataError:
            state = "damaged"
        rows.append((compared.labels[k], name, compared.recipes[k].name, str(compared.seeds[k]), state))
    return Table("", ("here called", "run", "recipe", "seed", "state"), rows, numeric=("seed",))


def _differences(compared: Compared) -> Table | None:
    """One row per field of the recipes that is not the same in all."""
    first = compared.recipes[0]
    paths = dict.fromkeys(path for other in compared.recipes for path in diff(first, other) if is_told(path))
    if not paths:
        return None
    values = []
    for path in paths:
        cells = [diff(first, recipe).get(path, (None, None))[1] for recipe in compared.recipes]
        known = next(diff(first, other)[path][0] for other in compared.recipes if path in diff(first, other))
        own = [
            known if path not in diff(first, recipe) else cell
            for recipe, cell in zip(compared.recipes, cells, strict=True)
        ]
        values.append((path, *("-" if value is None else str(value) for value in own)))
    return Table("", ("field", *compared.labels), values)


def _ends(compared: Compared) -> Table | None:
    """What the last row of each says of the test split and of the epoch."""
    columns = {c.name: c for recipe in compared.recipes for c in FAMILIES[recipe.family].columns if c.epoch}
    rows = []
    for column in columns.values():
        found = [
            next((row[column.name] for row in reversed(rows) if row.get(column.name) is not None), None)
            for rows in compared.rows
        ]
        if any(value is not None for value in found):
            share = "accuracy" in column.name
            cells = [
                "-" if v is None else f"{100 * v:.2f} %" if share else f"{v:.4g}" if isinstance(v, float) else str(v)
                for v in found
            ]
            rows.append((column.name.replace("_", " "), *cells))
    return Table("", ("at the end", *compared.labels), rows, numeric=compared.labels) if rows else None


def _classes(records: Mapping[str, dict[str, Any]]) -> Table | None:
    """How each class does in each run, the one that does worst on the whole first."""
    ranked = {label: {each.name: each for each in classes_of(record)} for label, record in records.items()}
    names = list(dict.fromkeys(name for found in ranked.values() for name in found))
    if not names:
        return None
    asked = any("asked for" in each.told for found in ranked.values() for each in found.values())

    def mean(name: str) -> float:
        there = [found[name].rank for found in ranked.values() if name in found]
        return sum(there) / len(there)

    def cell(found: Mapping[str, Any], name: str) -> str:
        if name not in found:
            return "-"
        return f"{100 * found[name].rank:.1f} %" if asked else f"{found[name].rank:.2f}"

    title = "drawn as asked" if asked else "share of the samples over that in the data"
    rows = [(name, *(cell(found, name) for found in ranked.values())) for name in sorted(names, key=mean)]
    return Table(f"{title}, worst first", ("class", *ranked), rows, numeric=tuple(ranked))


def _frames(runs: Mapping[str, RunDirectory], compared: Compared, labels: Mapping[str, str]) -> list[Frame]:
    """Sample grids of all runs at the steps that all of them have, or at the same share of each run's own."""
    steps = {
        name: [step for step in run.steps("samples", ".png") if is_whole(run, run.file("samples", step, ".png"))]
        for name, run in runs.items()
    }
    drawn = {name: found for name, found in steps.items() if found}
    if not drawn:
        return []
    shared = sorted(set.intersection(*(set(found) for found in drawn.values())))
    if len(shared) >= 2 or all(len(found) == 1 for found in drawn.values()):
        places: list[dict[str, int]] = [dict.fromkeys(drawn, step) for step in shared]
    else:
        places = []
    if not places:
        most = max(len(found) for found in drawn.values())
        places = [
            {name: found[round(k * (len(found) - 1) / max(1, most - 1))] for name, found in drawn.items()}
            for k in range(most)
        ]
    size = sum(max(runs[n].file("samples", s, ".png").stat().st_size for s in found) for n, found in drawn.items())
    chosen = [places[k] for k in spread(len(places), max(2, min(TIMELINE, BYTES * 3 // 4 // max(1, size))))]
    few = spread(len(chosen), min(FEW, max(1, 8 // len(drawn))))
    epochs = {
        name: Schedule.of(compared.recipes[k], run.provenance["data"]["images"])
        for k, (name, run) in enumerate(runs.items())
    }
    return [
        Frame(
            _when(place, epochs),
            [
                Grid(embed(runs[name].file("samples", step, ".png")), f"step {step:,}", labels[name])
                for name, step in place.items()
            ],
            k in few,
        )
        for k, place in enumerate(chosen)
    ]


def _when(place: Mapping[str, int], schedules: Mapping[str, Schedule]) -> str:
    """Of a position of the slider: its step, or the steps where they differ."""
    steps: Sequence[int] = sorted(set(place.values()))
    if len(steps) == 1:
        name = next(iter(place))
        return f"step {steps[0]:,} (epoch {steps[0] / schedules[name].steps_per_epoch:.2f})"
    return f"steps {steps[0]:,} to {steps[-1]:,}"


def _machines(runs: Mapping[str, RunDirectory], compared: Compared) -> Table:
    rows = []
    for k, run in enumerate(runs.values()):
        machine, last = run.provenance["machine"], compared.rows[k][-1] if compared.rows[k] else None
        where = f"{machine['processor']}, {machine['device']}, {machine['threads']} threads, {machine['precision']}"
        spent = duration(last["seconds"]) if last else "-"
        speed = f"{last['images'] / last['seconds']:,.0f}" if last and last["seconds"] else "-"
        rows.append((compared.labels[k], spent, speed, where))
    return Table("", ("run", "training", "images/s", "machine"), rows, numeric=("training", "images/s"))
