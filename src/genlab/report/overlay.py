"""A quantity of several runs in one figure: one colour per setting, one line per seed."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure as Canvas

from genlab.engine.files import write
from genlab.errors import UsageError, unknown
from genlab.evaluation import live
from genlab.evaluation.measure import CHEAP
from genlab.families.base import Column
from genlab.families.registry import FAMILIES
from genlab.recipe import Recipe
from genlab.recipe.changes import apart
from genlab.report import style
from genlab.report.series import AXIS_WORDS, POINTS, Axis, Series, series
from genlab.runs.directory import RunDirectory
from genlab.runs.rows import Row

MOST_BANDS = 4
"""With more runs, bands would hide each other."""
FEWEST_POINTS = 60
"""Lowest limit on the points of a curve, however many curves are on a page."""
NAMED = 5


@dataclass(frozen=True)
class Compared:
    """Runs to be compared.

    Attributes:
        names: name of each run, or its path if two names are equal.
        settings: what sets each run's recipe apart from the others; equal for two seeds of one setting.
        seeds: seed of each run.
        rows: metric rows of each run.
        custom: whether a run has custom parts, of which only the names are known: two may differ all the same.
    """

    names: list[str]
    recipes: list[Recipe]
    settings: list[str]
    seeds: list[int]
    rows: list[list[Row]]
    custom: bool = False

    @classmethod
    def of(cls, runs: dict[str, RunDirectory]) -> Compared:
        """Runs to be compared, from runs by name.

        Raises:
            DataError: a provenance is damaged.
        """
        recipes = [run.trained_by() for run in runs.values()]
        found = apart(recipes)
        told = [setting or recipe.name for setting, recipe in zip(found, recipes, strict=True)]
        own = [sorted(run.provenance["own"]) for run in runs.values()]
        told = [
            f"{setting}, custom {' and '.join(parts)}" if parts else setting
            for setting, parts in zip(told, own, strict=True)
        ]
        seeds = [run.provenance["seed"] for run in runs.values()]
        custom = any(own) or any(FAMILIES[recipe.family].own_loop for recipe in recipes)
        return cls(list(runs), recipes, told, seeds, [run.sound_rows() for run in runs.values()], custom)

    @cached_property
    def labels(self) -> list[str]:
        """Label of each run: what sets it apart from the others, or its name."""
        plain = [
            f"{setting}, seed {seed}" if len(set(self.seeds)) > 1 else setting
            for setting, seed in zip(self.settings, self.seeds, strict=True)
        ]
        return plain if len(set(plain)) == len(plain) else self.names

    @cached_property
    def columns(self) -> list[Column]:
        """The columns that occur in any run's rows, in the order of the families' own lists."""
        known = {c.name: c for recipe in self.recipes for c in (*live.COLUMNS, *FAMILIES[recipe.family].columns)}
        return [column for column in known.values() if any(column.name in row for rows in self.rows for row in rows)]

    def check(self, column: str) -> None:
        """Check that a column can be drawn.

        Raises:
            UsageError: none of the runs has it.
        """
        names = [c.name for c in self.columns]
        if column not in names:
            quality = column in (c.name for c in live.COLUMNS)
            hint = "; quality is measured during training if logging.evaluation is cheap or full" if quality else ""
            raise UsageError(unknown("column", column, names) + hint)


@dataclass(frozen=True)
class Overlay:
    """Curves of one quantity in one figure, drawn on demand.

    Attributes:
        runs: the runs that the curves belong to.
        column: column of the metric rows.
        against: quantity on the horizontal axis.
        found: points of each run that has this column, keyed by the run's index.
    """

    runs: Compared
    column: str
    against: Axis
    found: dict[int, Series]

    def __repr__(self) -> str:
        return f"Overlay({self.title!r})"

    def _repr_png_(self) -> bytes:
        """The picture that a notebook shows."""
        return self.png

    @property
    def title(self) -> str:
        """Name of the quantity."""
        tag = next(c.tag for c in self.runs.columns if c.name == self.column)
        return tag.removeprefix("Quality/").replace("/", ": ")

    @property
    def caption(self) -> str:
        """What the lines, colours and bands stand for."""
        settings = [self.runs.settings[k] for k in self.found]
        several = len(set(settings)) < len(settings)
        seeds = [self.runs.seeds[k] for k in self.found]
        styles = (
            f" (seeds {', '.join(map(str, dict.fromkeys(seeds)))}: solid, dashed, ...)" if len(set(seeds)) > 1 else ""
        )
        lines = f"One colour per setting, one line per seed{styles}." if several else "One line per run."
        if self.column in live.METRICS:
            lines = f"{CHEAP:,} images at each point against as many test images. {lines}"
        bands = " Bands hold about 80 % of the steps that a point stands for." if self.is_banded else ""
        return f"{lines}{bands}{self._left_out}"

    @property
    def _left_out(self) -> str:
        """Which runs have no such column."""
        lacking = [name for k, name in enumerate(self.runs.names) if k not in self.found]
        shown = ", ".join(lacking[:NAMED]) + (f" and {len(lacking) - NAMED} more" if len(lacking) > NAMED else "")
        return f" Not drawn: {shown} ({'has' if len(lacking) == 1 else 'have'} no {self.column})." if lacking else ""

    def look(self, k: int) -> tuple[int, int]:
        """(colour, line style) of run k, both counted from 0: one colour per setting, the same in every figure, and one
        style per seed."""
        kinds = list(dict.fromkeys(self.runs.settings))
        same = [j for j in self.found if self.runs.settings[j] == self.runs.settings[k]]
        return kinds.index(self.runs.settings[k]), same.index(k) if len(same) <= len(style.STYLES) else 0

    @property
    def spacing(self) -> int:
        """Median number of steps from row to row."""
        steps = [[row["step"] for row in self.runs.rows[k] if self.column in row] for k in self.found]
        gaps = [b - a for each in steps for a, b in pairwise(each)]
        return int(np.median(gaps)) if gaps else 0

    @property
    def is_banded(self) -> bool:
        """Whether bands are drawn."""
        return len(self.found) <= MOST_BANDS and any(points.has_band for points in self.found.values())

    @property
    def svg(self) -> str:
        """The figure as SVG, for a page."""
        with _figure(self) as figure:
            return style.as_svg(figure)

    @property
    def png(self) -> bytes:
        """The figure as PNG, for a document."""
        with _figure(self) as figure:
            return style.as_png(figure)

    @property
    def pdf(self) -> bytes:
        """The figure as PDF, for a paper."""
        with _figure(self) as figure:
            return style.as_pdf(figure)

    @property
    def csv(self) -> bytes:
        """Every point as CSV: run, setting, seed, position, value, quantiles."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        name = self.column
        writer.writerow(["run", "setting", "seed", self.against, name, f"{name}_p10", f"{name}_p90"])
        for k, points in self.found.items():
            for values in zip(points.x, points.y, points.low, points.high, strict=True):
                numbers = ["" if np.isnan(value) else repr(float(value)) for value in values]
                writer.writerow([self.runs.names[k], self.runs.settings[k], self.runs.seeds[k], *numbers])
        return text.getvalue().encode()

    def save(self, path: str | Path) -> None:
        """Write the figure (.png, .pdf, .svg) or its numbers (.csv).

        Raises:
            UsageError: another extension.
        """
        path, forms = Path(path), ("png", "pdf", "svg", "csv")
        form = path.suffix.lower().removeprefix(".")
        if form not in forms:
            raise UsageError(f"{path}: the extension sets the format; allowed: .{', .'.join(forms)}")
        content: str | bytes = getattr(self, form)
        write(path, content.encode() if isinstance(content, str) else content)


def overlay(runs: Compared, column: str, against: Axis = "step", block: int | None = None) -> Overlay:
    """Curves of a column of the metric rows, one for each run that has it.

    Args:
        block: steps that each point is the mean of (default: the fewest that give a readable curve).

    Raises:
        UsageError: none of the runs has it.
    """
    runs.check(column)
    points = max(FEWEST_POINTS, POINTS // max(1, len(runs.rows) // 4))
    drawn = (series(rows, column, against, block, points) for rows in runs.rows)
    return Overlay(runs, column, against, {k: found for k, found in enumerate(drawn) if len(found.x)})


@contextmanager
def _figure(drawn: Overlay) -> Iterator[Canvas]:
    runs, found = drawn.runs, drawn.found
    with style.canvas(f"{drawn.column}-{drawn.against}") as (figure, axes):
        said: list[str] = []
        for k, points in found.items():
            kind, dash = drawn.look(k)
            colour, line = style.COLOURS[kind % len(style.COLOURS)], style.STYLES[dash]
            label = runs.settings[k] if runs.settings[k] not in said else None
            said += [label] if label else []
            if drawn.is_banded and points.has_band:
                axes.fill_between(points.x, points.low, points.high, color=colour, alpha=0.16, linewidth=0)
            marker = "o" if len(points.x) <= style.MARKED else None
            axes.plot(points.x, points.y, line, color=colour, label=label, linewidth=1.6, marker=marker, markersize=4)
        if drawn.column.startswith(("frechet", "grad_norm")):
            style.log_scale(axes, [points.y for points in found.values()])
        axes.set_xlabel(AXIS_WORDS[drawn.against])
        axes.set_ylabel(drawn.title if len(drawn.title) < 30 else drawn.column)
        style.legend(axes, said)
        yield figure


def default_columns(runs: Compared) -> Sequence[str]:
    """Columns worth drawing to compare runs: quality first, then what the runs minimise."""
    wanted = ("frechet_distance", "recall", "coverage", "requested_class_accuracy", "test_accuracy", "test_loss")
    there = [c.name for c in runs.columns]
    losses = [c.name for c in runs.columns if c.block and not c.name.startswith(("reconstruction", "kl"))]
    more = ["loss_d_held_out", "test_reconstruction_sum", "test_kl_sum"]
    return [name for name in (*wanted, *losses, *more) if name in there]
