"""Figures of a study: every seed as a point, the interval of a difference, the curves of an arm over its seeds."""

from __future__ import annotations

import csv
import io
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from genlab.report import style
from genlab.report.series import AXIS_WORDS, Axis

SPREAD = 0.24
"""Half the width over which the points of an arm are spread."""
NAME = 14
"""Characters per line of an arm's name on an axis."""
TITLE = 28
"""Characters per line of the vertical axis's label."""
NUMBERS = 8
"""Most numbers on a vertical axis, not counting the first."""
LEAP = 100
"""Ratio of the largest value to the median beyond which a curve's axis is logarithmic."""
TALLER = 0.9
"""Inches that the names of many arms add to a figure's height."""


class Drawn:
    """A figure in several file formats; a subclass draws it."""

    name: str

    def figure(self) -> AbstractContextManager[Canvas]:
        """The drawn figure, while the context is open."""
        raise NotImplementedError

    @property
    def svg(self) -> str:
        with self.figure() as figure:
            return style.as_svg(figure)

    @property
    def png(self) -> bytes:
        with self.figure() as figure:
            return style.as_png(figure)

    @property
    def pdf(self) -> bytes:
        with self.figure() as figure:
            return style.as_pdf(figure)


@dataclass(frozen=True)
class Dots(Drawn):
    """Every seed of each arm as a point, the mean as a stroke; beside them, the difference with its interval.

    Attributes:
        values: arm -> seed -> number.
        difference: first arm minus the second, or minus `value`; None if there is none.
        interval: interval of the difference; an infinite end is drawn as an arrow.
        kind: name of the interval, such as "95 % interval".
        margin: difference within which arms count as equal.
        value: number that one arm is compared with.
        joined: whether lines join the points of equal seeds, as for pairs.
        arms: all arms of the study, so that each keeps its colour in every figure.
        mean: whether the arms' means are drawn; a claim about every single seed has none.
    """

    name: str
    title: str
    values: Mapping[str, Mapping[int, float]]
    difference: float | None = None
    interval: tuple[float, float] | None = None
    kind: str = ""
    margin: float | None = None
    value: float | None = None
    joined: bool = False
    arms: Sequence[str] = ()
    mean: bool = True

    @property
    def caption(self) -> str:
        """The number of seeds, and what points and strokes stand for."""
        counts = {len(seeds) for seeds in self.values.values()}
        n = (
            f"n = {counts.pop()}{' each' if len(self.values) > 1 else ''}"
            if len(counts) == 1
            else ", ".join(f"{arm} n = {len(seeds)}" for arm, seeds in self.values.items())
        )
        said = f"Each point is one seed ({n})"
        said += "; the bar is the mean" if self.mean else ""
        said += f"; the dashed line is at {self.value:,.6g}" if self.value is not None else ""
        said += "; lines join points of the same seed" if self.joined and len(self.values) > 1 else ""
        if self.difference is not None:
            said += f". Right: the difference with its {self.kind}"
            said += ", the margin shaded" if self.margin is not None else ""
        return f"{said}."

    @property
    def csv(self) -> bytes:
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["arm", "seed", self.title])
        for arm, seeds in self.values.items():
            writer.writerows([arm, seed, repr(number)] for seed, number in seeds.items())
        return text.getvalue().encode()

    @contextmanager
    def figure(self) -> Iterator[Canvas]:
        beside = self.difference is not None
        width, height = style.SIZE
        size = width, height + TALLER * self._many
        with style.panels(f"dots-{self.name}", (3, 1) if beside else (1,), size) as (figure, axes):
            for each in axes:
                # Their count does not depend on the space: the layout is computed once, for the numbers that are drawn.
                each.yaxis.set_major_locator(MaxNLocator(NUMBERS, steps=[1, 2, 2.5, 5, 10]))
            self._points(axes[0])
            if beside:
                self._interval(axes[1])
            figure.set_layout_engine("constrained", w_pad=0.08, h_pad=0.08)
            yield figure

    def _points(self, axes: Axes) -> None:
        places: dict[int, list[tuple[float, float]]] = {}
        for k, (arm, seeds) in enumerate(self.values.items()):
            place = self.arms.index(arm) if arm in self.arms else k
            colour = style.COLOURS[place % len(style.COLOURS)]
            numbers = np.array(list(seeds.values()), np.float64)
            x = k + _beside(len(numbers))
            axes.plot(x, numbers, "o", color=colour, markersize=5, alpha=0.8, label=arm)
            if self.mean:
                axes.plot([k - 0.32, k + 0.32], [numbers.mean()] * 2, "-", color=colour, linewidth=2.2)
            for seed, at, number in zip(seeds, x, numbers, strict=True):
                places.setdefault(seed, []).append((float(at), float(number)))
        if self.joined:
            for points in places.values():
                axes.plot(*zip(*points, strict=True), "-", color=style.GRAY, linewidth=0.6, alpha=0.6, zorder=0)
        if self.value is not None:
            axes.axhline(self.value, color=style.GRAY, linewidth=1, linestyle="--")
        axes.set_xticks(range(len(self.values)), [_folded(arm) for arm in self.values])
        if self._many:
            for label in axes.get_xticklabels():
                label.set(rotation=45, ha="right", va="top", rotation_mode="anchor", fontsize=9, linespacing=0.9)
        axes.set_xlim(-0.6, len(self.values) - 0.4)
        axes.set_ylabel("\n".join(textwrap.wrap(self.title, TITLE, max_lines=3, placeholder="...")))
        axes.grid(axis="x", visible=False)
        if self._spans_decades:
            style.log_scale(axes, [np.array(list(seeds.values()), np.float64) for seeds in self.values.values()])

    @property
    def _many(self) -> bool:
        """Whether there are so many arms that their names must be slanted."""
        return len(self.values) > 4

    @property
    def _spans_decades(self) -> bool:
        numbers = [number for seeds in self.values.values() for number in seeds.values()]
        return min(numbers) > 0 and max(numbers) > 30 * min(numbers)

    def _interval(self, axes: Axes) -> None:
        assert self.difference is not None
        low, high = self.interval or (self.difference, self.difference)
        ends = [end for end in (low, high, 0.0, self.difference) if np.isfinite(end)]
        reach = max(max(ends) - min(ends), abs(self.difference), 1e-12)
        bottom, top = min(ends) - 0.15 * reach, max(ends) + 0.15 * reach
        if self.margin is not None:
            axes.axhspan(-self.margin, self.margin, color=style.GRAY, alpha=0.2, linewidth=0)
            bottom, top = min(bottom, -1.2 * self.margin), max(top, 1.2 * self.margin)
        axes.axhline(0, color=style.GRAY, linewidth=1)
        drawn = max(low, bottom), min(high, top)
        axes.plot([0, 0], drawn, "-", color=style.COLOURS[0], linewidth=2)
        for end, mark in ((low, "v"), (high, "^")):
            if not np.isfinite(end):
                axes.plot(0, drawn[0] if mark == "v" else drawn[1], mark, color=style.COLOURS[0], markersize=6)
        axes.plot(0, self.difference, "o", color=style.COLOURS[0], markersize=6)
        axes.set_ylim(bottom, top)
        axes.set_xlim(-1, 1)
        axes.set_xticks([0], ["difference"])
        axes.grid(axis="x", visible=False)


@dataclass(frozen=True)
class Bands(Drawn):
    """A column over training: the mean of an arm's seeds, with a band from the lowest seed to the highest.

    Attributes:
        curves: arm -> seed -> (places, values).
        arms: all arms of the study, so that each keeps its colour in every figure.
        against: what the places are: step, epoch or half-epoch.
    """

    name: str
    title: str
    curves: Mapping[str, Mapping[int, tuple[NDArray[np.float64], NDArray[np.float64]]]]
    arms: Sequence[str] = ()
    against: Axis = "step"

    @property
    def caption(self) -> str:
        n = sorted({len(seeds) for seeds in self.curves.values()})
        told = f"n = {n[0]}" if len(n) == 1 else f"n = {n[0]} to {n[-1]}"
        return f"Mean over seeds ({told} in each arm); the band reaches from the lowest seed to the highest."

    @property
    def csv(self) -> bytes:
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["arm", "seed", self.against, self.title])
        for arm, seeds in self.curves.items():
            for seed, (places, values) in seeds.items():
                writer.writerows(
                    [arm, seed, f"{place:.10g}", "" if np.isnan(value) else repr(float(value))]
                    for place, value in zip(places, values, strict=True)
                )
        return text.getvalue().encode()

    @contextmanager
    def figure(self) -> Iterator[Canvas]:
        with style.canvas(f"bands-{self.name}") as (figure, axes):
            means = []
            for shown, (arm, seeds) in enumerate(self.curves.items()):
                k = self.arms.index(arm) if arm in self.arms else shown
                steps, table = _on_common_steps(list(seeds.values()))
                colour = style.COLOURS[k % len(style.COLOURS)]
                line = style.STYLES[k // len(style.COLOURS) % len(style.STYLES)]
                mean, low, high = np.nanmean(table, 0), np.nanmin(table, 0), np.nanmax(table, 0)
                means.append(mean)
                if len(seeds) > 1:
                    axes.fill_between(steps, low, high, color=colour, alpha=0.18, linewidth=0)
                marker = "o" if len(steps) <= style.MARKED else None
                axes.plot(steps, mean, line, color=colour, label=arm, linewidth=1.6, marker=marker, markersize=3.5)
            if self.name.startswith(("curve-frechet", "curve-grad_norm")) or _leaps(means):
                style.log_scale(axes, means)
            axes.set_xlabel(AXIS_WORDS[self.against])
            axes.set_ylabel(self.title if len(self.title) < 30 else f"{self.title[:27]}...")
            style.legend(axes, list(self.curves))
            yield figure


def _leaps(lines: Sequence[NDArray[np.float64]]) -> bool:
    """Whether all values are positive and a few so large that the others would lie at the bottom of a linear axis."""
    values = np.concatenate(lines)
    values = values[np.isfinite(values)]
    return bool(len(values)) and values.min() > 0 and values.max() > LEAP * np.median(values)


def _on_common_steps(
    curves: Sequence[tuple[NDArray[np.float64], NDArray[np.float64]]],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The steps at which any seed has a value, and the values of all seeds there, (seeds, steps)."""
    steps = np.unique(np.concatenate([at[~np.isnan(values)] for at, values in curves]))
    table = np.full((len(curves), len(steps)), np.nan)
    for k, (at, values) in enumerate(curves):
        there = ~np.isnan(values)
        table[k, np.searchsorted(steps, at[there])] = values[there]
    return steps, table


def _beside(n: int) -> NDArray[np.float64]:
    """Horizontal offsets of n points: evenly spaced, in an order that looks random."""
    if n == 1:
        return np.zeros(1)
    places = np.linspace(-SPREAD, SPREAD, n)
    return places[np.argsort(np.arange(n) * 0.618 % 1)]


def _folded(name: str) -> str:
    """A long name over several lines, broken at its hyphens if it has any."""
    return "\n".join(textwrap.wrap(name, NAME, max_lines=3, placeholder="..."))
