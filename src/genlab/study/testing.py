"""The statistical test that a claim needs, and its outcome on the numbers of some arms, before any correction.

Seeds that ran on several kinds of machine are compared within each kind, and arms of one seed only if they ran on one
kind, so that no difference between machines is taken for one between arms.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from genlab.evaluation import statistics
from genlab.evaluation.arrangements import Floats
from genlab.study.design import ALPHA

Arms = Literal["higher", "lower", "equivalent", "not distinguishable", "rising", "falling", "equal", "unequal", ""]
Values = Mapping[str, Mapping[int, float]]
"""Arm -> seed -> number."""
Machines = Mapping[tuple[str, int], str]
"""Arm and seed -> kind of machine that ran it."""


@dataclass(frozen=True)
class Tested:
    """One test of a claim.

    Attributes:
        arms: one or two arms; more for a trend.
        n: number of seeds per arm.
        means: mean of each arm.
        p, corrected: p of the difference, before and after correction; `equivalent_p`, `equivalent_corrected`: the same
            for equivalence, if there is a margin.
        interval: interval of the difference (the first arm minus the second, or minus the value) at `level`, by the
            test that gave the answer.
        effect: Cohen's d, in SDs within an arm; for a trend the direction, from -1 to 1.
        shown: smallest margin within which these seeds show the arms to be equivalent, before the correction.
        smallest, equivalent_smallest: smallest p, and p of equivalence, that any numbers of these seeds could give,
            corrected as if all tests of the question gave theirs; 0 if that is not known.
        left_out: seeds, of all arms together, that have no other arm on their kind of machine to be compared with.
        answer: answer about the arms.
        kind: the test, in words.
    """

    arms: tuple[str, ...]
    n: tuple[int, ...]
    means: tuple[float, ...]
    p: float | None = None
    corrected: float | None = None
    equivalent_p: float | None = None
    equivalent_corrected: float | None = None
    difference: float | None = None
    interval: tuple[float, float] | None = None
    level: float | None = None
    effect: float | None = None
    shown: float | None = None
    smallest: float = 0.0
    equivalent_smallest: float = 0.0
    left_out: int = 0
    answer: Arms = ""
    kind: str = ""


Interval = Callable[[float], tuple[float, float] | None]


class Intervals(NamedTuple):
    """Interval of a difference, by level: the values that the test of a difference does not reject, and those that the
    two one-sided tests of equivalence do not reject."""

    difference: Interval
    equivalence: Interval


class TooFew(Exception):
    """Not enough numbers for a test."""


def test_of(claim: Any, pair: tuple[str, ...], values: Values, machines: Machines) -> tuple[Tested, Intervals]:
    """Test of a claim on these arms, not yet corrected for the others, and the intervals of the difference."""
    series = {arm: dict(values.get(arm, {})) for arm in pair}
    there = sum(map(len, series.values()))
    if _is_paired(claim):
        shared = shared_seeds(series, {})
        series = {arm: {seed: series[arm][seed] for seed in shared_seeds(series, machines)} for arm in pair}
        there = len(pair) * len(shared)
    elif len(pair) > 1:
        series = _on_shared_machines(series, machines)
    left_out = there - sum(map(len, series.values()))
    numbers = [np.array([each[seed] for seed in sorted(each)]) for each in series.values()]
    blocks = [np.array([machines.get((arm, seed), "") for seed in sorted(each)]) for arm, each in series.items()]
    counts = tuple(len(each) for each in numbers)
    if min(counts) < 2:
        raise TooFew(_too_few(claim, pair, values, counts))
    if claim.kind == "trend":
        direction, p = statistics.trend(numbers, blocks=blocks)
        means = tuple(float(each.mean()) for each in numbers)
        kind = f"trend over the arms (Jonckheere, by permutation{_within(blocks)})"
        sizes = [[int((labels == name).sum()) for labels in blocks] for name in np.unique(blocks[0])]
        smallest = statistics.smallest_p_of_trend(*sizes)
        tested = Tested(pair, counts, means, p, effect=direction, smallest=smallest, kind=kind)
        return replace(tested, left_out=left_out), Intervals(_none, _none)
    if claim.kind == "one arm":
        return _against(claim.value, pair, numbers[0])
    tested, intervals = _of_two(claim, pair, (numbers[0], numbers[1]), (blocks[0], blocks[1]))
    return replace(tested, left_out=left_out), intervals


def _none(level: float) -> None:
    """Interval of a test that has none."""


def _too_few(claim: Any, pair: tuple[str, ...], values: Values, counts: tuple[int, ...]) -> str:
    """Why there is no test of arms of which one has fewer than two numbers to compare."""
    if bare := [arm for arm in pair if not values.get(arm)]:
        return f"no seed of {bare[0]} has a number"
    arms, arm = f"{', '.join(pair[:-1])} and {pair[-1]}", pair[int(np.argmin(counts))]
    if len(values[arm]) == 1:
        return alone(arm)
    if _is_paired(claim):
        return f"{('no', 'only one')[min(counts)]} seed has numbers of {arms} from one kind of machine"
    if min(counts) == 0:
        return f"no kind of machine has numbers of {arms}"
    return f"only one seed of {arm} ran on a kind of machine that ran every arm"


def shared_seeds(series: Mapping[str, Mapping[int, float]], machines: Machines) -> list[int]:
    """Seeds that have a number of each arm, all from one kind of machine."""
    shared = set.intersection(*(set(each) for each in series.values()))
    return sorted(seed for seed in shared if len({machines.get((arm, seed), "") for arm in series}) == 1)


def _on_shared_machines(series: Mapping[str, Mapping[int, float]], machines: Machines) -> dict[str, dict[int, float]]:
    """The numbers of machines that ran every arm: the others compare nothing."""
    ran = [{machines.get((arm, seed), "") for seed in each} for arm, each in series.items()]
    shared = set.intersection(*ran)
    return {
        arm: {seed: number for seed, number in each.items() if machines.get((arm, seed), "") in shared}
        for arm, each in series.items()
    }


def _is_paired(claim: Any) -> bool:
    """Whether the claim says that its arms share what a seed decides."""
    return bool(getattr(claim, "paired", False))


def _against(value: float, pair: tuple[str, ...], a: Floats) -> tuple[Tested, Intervals]:
    """Test of an arm against a value."""
    found, spread = statistics.one_arm(a, value), float(a.std(ddof=1))
    effect = found.difference / spread if spread else math.copysign(math.inf, found.difference)
    tested = Tested(
        pair,
        (len(a),),
        (float(a.mean()),),
        found.p,
        difference=found.difference,
        effect=effect,
        smallest=found.smallest,
        kind=f"sign flips{_ways(found)}",
    )
    return tested, Intervals(lambda level: statistics.one_arm(a, value, level).interval, _none)


def _of_two(
    claim: Any, pair: tuple[str, ...], numbers: tuple[Floats, Floats], blocks: statistics.Blocks
) -> tuple[Tested, Intervals]:
    """Test of one arm against another."""
    (a, b), paired = numbers, _is_paired(claim)

    def test(level: float) -> statistics.Test:
        return statistics.paired(a, b, level) if paired else statistics.difference(a, b, level, blocks)

    def equivalent(level: float) -> tuple[float, float]:
        return statistics.equivalence_interval(a, b, level, paired, blocks)

    found, margin = test(1 - ALPHA), getattr(claim, "margin", None)
    tested = Tested(
        pair,
        (len(a), len(b)),
        statistics.means(a, b, blocks),
        found.p,
        difference=found.difference,
        effect=statistics.cohens_d(a, b, blocks),
        equivalent_p=None if margin is None else statistics.equivalence(a, b, margin, paired, blocks),
        shown=max(map(abs, equivalent(1 - 2 * ALPHA))),
        smallest=found.smallest,
        equivalent_smallest=found.smallest_one_sided,
        kind=("sign flips of the pairs" if paired else f"permutation of the seeds{_within(blocks)}") + _ways(found),
    )
    return tested, Intervals(lambda level: test(level).interval, equivalent)


def _within(blocks: Sequence[ArrayLike]) -> str:
    """Addition to the name of a test whose seeds ran on several kinds of machine."""
    return " within each kind of machine" if len(np.unique(np.concatenate(blocks))) > 1 else ""


def _ways(found: statistics.Test) -> str:
    return f", exact ({found.ways:,} arrangements)" if found.exact else f", {found.ways:,} random arrangements"


def alone(arm: str) -> str:
    return f"one seed of {arm}: another one might say otherwise"
