"""Content of a page that compares runs, as plain dataclasses: quality, classes, samples at equal steps, curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from genlab.errors import DataError, counted
from genlab.evaluation.statistics import difference, smallest_p
from genlab.families.registry import FAMILIES
from genlab.recipe import Recipe
from genlab.recipe.changes import is_told
from genlab.recipe.files import leaves
from genlab.recipe.schedule import Schedule
from genlab.report import text as words
from genlab.report.overlay import Compared, Overlay, default_columns, overlay
from genlab.report.page import FEW, TIMELINE, Frame, Grid, embed, spread
from genlab.report.series import Axis
from genlab.report.tables import Table
from genlab.report.verdict import classes_of, duration
from genlab.runs.directory import RunDirectory
from genlab.runs.verify import is_whole

LEVEL = 0.05
"""Significance level of the test between two settings."""
BYTES = 1_900_000
"""Limit for the sample grids on a page: more runs mean fewer steps and, in the end, grids of only some runs."""


@dataclass(frozen=True)
class ComparePage:
    """A page that compares runs.

    Attributes:
        lead: what is compared.
        verdict: what the seeds say about two settings, in a sentence.
        settings: results of each setting over its seeds.
        runs: what each run is, and its state.
        differences: fields of the recipes that differ; None if only the seeds do.
        quality: every metric with its interval; None for models that make no images. `protocol` says how it was
            measured, `explained` is (metric, what it says, what it cannot see).
        ends: values in the last rows, for models that are tested during training.
        classes: how well each class does in each run.
        frames: sample grids at equal steps.
        frames_caption: whether the grids show the same z.
        figures: curves of all runs, one figure per quantity.
        machines: where each run was trained, and how long.
    """

    title: str
    lead: str
    verdict: str
    runs: Table
    settings: Table
    differences: Table | None
    quality: Table | None
    protocol: str
    explained: list[tuple[str, str, str]]
    ends: Table | None
    classes: Table | None
    frames: list[Frame]
    frames_caption: str
    figures: list[Overlay]
    machines: Table

    @property
    def contents(self) -> list[tuple[str, str]]:
        """(anchor, title) of each section on the page."""
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
    """Content of the page that compares these runs; writes nothing.

    Args:
        records: evaluations of the runs that make images, by the same names.
        against: quantity on the curves' horizontal axis.
    """
    compared = Compared.of(dict(runs))
    labels = dict(zip(runs, compared.labels, strict=True))
    seeds = len(set(compared.seeds))
    settings = list(dict.fromkeys(compared.settings))
    said = f"{len(settings)} settings ({', '.join(settings[:6])}{', ...' if len(settings) > 6 else ''})"
    kinds = said if len(settings) > 1 else f"one setting ({settings[0]})"
    frames = _frames(runs, compared, labels)
    title, scores = _scores(list(runs), compared, records)
    same = seeds == 1 and len({_noise(recipe) for recipe in compared.recipes}) == 1
    measured = {labels[name]: dict(record) for name, record in records.items()}
    figures = [overlay(compared, column, against) for column in default_columns(compared)]
    return ComparePage(
        title=f"{len(runs)} runs compared",
        lead=f"{kinds}, {'seeds' if seeds > 1 else 'seed'} {', '.join(map(str, sorted(set(compared.seeds))))}",
        verdict=said_of_settings(compared, scores, title, [_interval(records.get(name)) for name in runs]),
        runs=_runs(runs, compared),
        settings=_settings(compared, scores, title),
        differences=_differences(compared),
        quality=words.comparison(measured, real=True) if measured else None,
        protocol=words.measured(measured) if measured else "",
        explained=words.explained(next(iter(measured.values()))) if measured else [],
        ends=_ends(compared),
        classes=_classes(measured),
        frames=frames,
        frames_caption=_caption(frames, len(runs), seeds, same),
        figures=[drawn for drawn in figures if any(len(points.x) > 1 for points in drawn.found.values())],
        machines=_machines(runs, compared),
    )


def _noise(recipe: Recipe) -> tuple[object, ...]:
    """The settings that decide which z a seed gives."""
    sampling = FAMILIES[recipe.family].sampling
    return (recipe.conditional, *(sampling.noise(recipe) if sampling else ()))


def _scores(
    names: Sequence[str], compared: Compared, records: Mapping[str, Mapping[str, Any]]
) -> tuple[str, list[float | None]]:
    """Name of the score, and each run's score: the Frechet distance over that of real images, or the test accuracy."""
    if records:
        found = [words.times_real(dict(records[name])) if name in records else None for name in names]
        return "Frechet distance over that of real images (lower is better)", found
    last = [
        next((r["test_accuracy"] for r in reversed(rows) if r.get("test_accuracy")), None) for rows in compared.rows
    ]
    return "test accuracy (higher is better)", last


def _interval(record: Mapping[str, Any] | None) -> tuple[float, float] | None:
    """95 % interval of the Frechet distance over that of real images, from the run's measured images."""
    found = record["metrics"]["frechet_distance"] if record else None
    if not found or not found["interval"] or not found["floor"]:
        return None
    low, high = found["interval"]
    return low / found["floor"], high / found["floor"]


def _groups(compared: Compared, scores: Sequence[float | None]) -> dict[str, list[float]]:
    """The scores of each setting, one per seed: the same seed again is no independent number."""
    found: dict[str, dict[int, float]] = {setting: {} for setting in compared.settings}
    for setting, seed, score in zip(compared.settings, compared.seeds, scores, strict=True):
        if score is not None:
            found[setting].setdefault(seed, score)
    return {setting: list(by_seed.values()) for setting, by_seed in found.items()}


def said_of_settings(
    compared: Compared,
    scores: Sequence[float | None],
    title: str,
    intervals: Sequence[tuple[float, float] | None] = (),
) -> str:
    """Whether two settings, or the seeds of one, differ by more than seeds do; empty if that is not the question.

    Args:
        scores: score of each run, or None.
        intervals: 95 % interval of each score over the measured images; it is about runs, not seeds.
    """
    groups = {setting: values for setting, values in _groups(compared, scores).items() if values}
    if len(groups) == 1 and len(scores) > 1:
        return _of_one_setting(compared, scores, title)
    if len(groups) != 2:
        return ""
    (one, a), (other, b) = groups.items()
    both = f"{title}: {_over_seeds(a)} with {one}, {_over_seeds(b)} with {other}"
    if min(len(a), len(b)) < 2:
        few = "One seed each" if len(a) == len(b) else f"Only one seed with {one if len(a) < 2 else other}"
        measured = _apart([each for each in intervals if each]) if len(a) == len(b) else ""
        return f"{both}. {measured}{few}: it is not known whether another seed would agree."
    found, least = difference(a, b), smallest_p(len(a), len(b))
    if least > LEVEL:
        return (
            f"{both}. {len(a)} and {len(b)} seeds cannot show a difference (exact permutation test: p is {least:.2f} "
            "at best; with 4 and 4 it can be 0.03)."
        )
    verdict = "more than seeds alone usually do" if found.p <= LEVEL else "no more than seeds alone usually do"
    return f"{both}. They differ by {verdict} (exact permutation test, p = {found.p:.2g})."


def _of_one_setting(compared: Compared, scores: Sequence[float | None], title: str) -> str:
    """What to say about runs that differ only in their seed."""
    there = [
        f"{_number(score)} with seed {seed}"
        for seed, score in zip(compared.seeds, scores, strict=True)
        if score is not None
    ]
    if len(there) < 2:
        return ""
    shown = ", ".join(there) if len(there) <= FEW else _over_seeds([score for score in scores if score is not None])
    if compared.custom:
        unsure = "Custom parts and loops are known only by name: these runs may differ in more than their seed."
        return f"{title}: {shown}. {unsure}"
    if len(set(compared.seeds)) == 1:
        return f"{title}: {shown}. These runs have the same recipe and the same seed."
    return (
        f"{title}: {shown}. These runs differ only in their seed: any difference between them is chance, no reason to "
        "call one of them better."
    )


def _apart(intervals: Sequence[tuple[float, float]]) -> str:
    """Whether measurement tells two runs apart: a run is measured on a limited number of images."""
    if len(intervals) != 2:
        return ""
    (low, high), (other_low, other_high) = intervals
    if low <= other_high and other_low <= high:
        return "Their 95 % measurement intervals overlap: they show no clear difference. "
    return "Their 95 % measurement intervals do not overlap: these two runs do differ. "


def _over_seeds(values: Sequence[float]) -> str:
    mean = _number(sum(values) / len(values))
    if len(values) == 1:
        return mean
    return f"{mean} on average ({_number(min(values))} to {_number(max(values))}, {len(values)} seeds)"


def _number(value: float) -> str:
    """A number to three digits, or to all digits before the point if there are more."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _settings(compared: Compared, scores: Sequence[float | None], title: str) -> Table:
    """Each setting over its seeds: its scores, its training time."""
    rows = []
    for setting, values in _groups(compared, scores).items():
        mine = [rows[-1]["seconds"] for k, rows in enumerate(compared.rows) if compared.settings[k] == setting and rows]
        spent = duration(sum(mine) / len(mine)) if mine else "-"
        told = _over_seeds(values).replace(f", {len(values)} seeds)", ")") if values else "-"
        rows.append((setting, str(compared.settings.count(setting)), told, spent))
    return Table("", ("setting", "seeds", title, "training, mean"), rows, numeric=("seeds",))


def _runs(runs: Mapping[str, RunDirectory], compared: Compared) -> Table:
    rows = []
    for k, (name, run) in enumerate(runs.items()):
        try:
            status = run.status
            state = f"{status['state']}, step {status['step']:,}"
        except DataError:
            state = "damaged"
        rows.append((compared.labels[k], name, compared.recipes[k].name, str(compared.seeds[k]), state))
    return Table("", ("label", "run", "recipe", "seed", "state"), rows, numeric=("seed",))


def _differences(compared: Compared) -> Table | None:
    """One row per recipe field that differs between the runs."""
    fields = [leaves(recipe) for recipe in compared.recipes]
    rows = []
    for path in dict.fromkeys(path for each in fields for path in each if is_told(path)):
        cells = ["-" if each.get(path) is None else str(each[path]) for each in fields]
        if len(set(cells)) > 1:
            rows.append((path, *cells))
    return Table("", ("field", *compared.labels), rows) if rows else None


def _ends(compared: Compared) -> Table | None:
    """What the last rows of each run say about the test split and the epoch."""
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
            rows.append((column.words, *cells))
    return Table("", ("at the end", *compared.labels), rows, numeric=compared.labels) if rows else None


def _classes(records: Mapping[str, dict[str, Any]]) -> Table | None:
    """How well each class does in each run, the worst overall first. If some runs were asked for classes, only for
    those: the other runs' numbers are of another kind."""
    asked = any(_was_asked(record) for record in records.values())
    ranked = {
        label: {each.name: each for each in classes_of(record)} if _was_asked(record) == asked else {}
        for label, record in records.items()
    }
    names = list(dict.fromkeys(name for found in ranked.values() for name in found))
    if not names:
        return None

    def mean(name: str) -> float:
        there = [found[name].rank for found in ranked.values() if name in found]
        return sum(there) / len(there)

    def cell(found: Mapping[str, Any], name: str) -> str:
        if name not in found:
            return "-"
        return f"{100 * found[name].value:.1f} %" if asked else f"{found[name].value:.2f}"

    title = "conditional accuracy" if asked else "share of the samples over share in the data"
    rows = [(name, *(cell(found, name) for found in ranked.values())) for name in sorted(names, key=mean)]
    return Table(f"{title}, worst first", ("class", *ranked), rows, numeric=tuple(ranked))


def _was_asked(record: Mapping[str, Any]) -> bool:
    """Whether the images were drawn by requested class."""
    return any(row.get("requested_class_accuracy") is not None for row in record["classes"])


def _frames(runs: Mapping[str, RunDirectory], compared: Compared, labels: Mapping[str, str]) -> list[Frame]:
    """Sample grids of the runs at the steps that all of them have, or at equal shares of each run's own steps."""
    steps = {
        name: [step for step in run.steps("samples", ".png") if is_whole(run, run.file("samples", step, ".png"))]
        for name, run in runs.items()
    }
    drawn = _that_fit(runs, {name: found for name, found in steps.items() if found})
    if not drawn:
        return []
    shared = sorted(set.intersection(*(set(found) for found in drawn.values())))
    places: list[dict[str, int]] = [dict.fromkeys(drawn, step) for step in shared]
    most = max(len(found) for found in drawn.values())
    if len(shared) < min(2, most):
        places = [
            {name: found[round(k * (len(found) - 1) / max(1, most - 1))] for name, found in drawn.items()}
            for k in range(most)
        ]
    size = sum(_largest(runs[name], found) for name, found in drawn.items())
    chosen = [places[k] for k in spread(len(places), max(1, min(TIMELINE, BYTES // size)))]
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


def _caption(frames: Sequence[Frame], runs: int, seeds: int, same: bool) -> str:
    """Which z the grids show, and of which runs."""
    shown = len(frames[0].grids) if frames else 0
    few = f" Shown are the first {shown} of {runs} runs." if 0 < shown < runs else ""
    if seeds > 1:
        return f"Runs with the same seed show the same z; drawn as in training.{few}"
    own = "The same z in every run and at every step" if same else "Each run has its own z, the same at every step"
    return f"{own}; drawn as in training.{few}"


def _that_fit(runs: Mapping[str, RunDirectory], steps: Mapping[str, list[int]]) -> dict[str, list[int]]:
    """The first runs, as many as fit on a page with one grid each."""
    found: dict[str, list[int]] = {}
    left = BYTES
    for name, there in steps.items():
        left -= _largest(runs[name], there)
        if left < 0 and found:
            break
        found[name] = there
    return found


def _largest(run: RunDirectory, steps: Sequence[int]) -> int:
    """Bytes that a run's largest grid takes on a page."""
    return max(run.file("samples", step, ".png").stat().st_size for step in steps) * 4 // 3


def _when(place: Mapping[str, int], schedules: Mapping[str, Schedule]) -> str:
    """Label of a slider position: its step, or the range of steps if they differ."""
    steps: Sequence[int] = sorted(set(place.values()))
    if len(steps) == 1:
        name = next(iter(place))
        return f"step {steps[0]:,} (epoch {steps[0] / schedules[name].steps_per_epoch:.2f})"
    return f"steps {steps[0]:,} to {steps[-1]:,}"


def _machines(runs: Mapping[str, RunDirectory], compared: Compared) -> Table:
    rows = []
    for k, run in enumerate(runs.values()):
        machine, last = run.provenance["machine"], compared.rows[k][-1] if compared.rows[k] else None
        threads = counted(machine["threads"], "thread")
        where = f"{machine['processor']}, {machine['device']}, {threads}, {machine['precision']}"
        spent = duration(last["seconds"]) if last else "-"
        speed = f"{last['images'] / last['seconds']:,.0f}" if last and last["seconds"] else "-"
        rows.append((compared.labels[k], spent, speed, where))
    return Table("", ("run", "training", "images/s", "machine"), rows, numeric=("training", "images/s"))
