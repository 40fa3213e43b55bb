"""Verdicts: what the numbers say about the arms, and what follows for the claim; always two separate answers.

About the arms of a test: `higher`, `lower`, `equivalent` (the difference lies within the margin), `not
distinguishable`. About the claim: `holds`, `does not hold`, `cannot be decided here`, and why. The p-values of all
tests of one question are corrected together (Holm 1979), tests of difference separately from tests of equivalence. The
interval of a difference has the level at which its test was decided, so that the two always agree.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from genlab.evaluation import statistics
from genlab.study.design import ALPHA

Arms = Literal["higher", "lower", "equivalent", "not distinguishable", "rising", "falling", "equal", "unequal", ""]
Answer = Literal["holds", "does not hold", "cannot be decided here"]
Values = Mapping[str, Mapping[int, float]]
"""Arm -> seed -> number."""
Floats = NDArray[np.float64]
ROUNDING = 1e-12
"""An interval of a difference whose ends are both closer to 0 than this contains only 0."""


@dataclass(frozen=True)
class Tested:
    """One test of a claim.

    Attributes:
        arms: one or two arms; more for a trend.
        n: number of seeds per arm.
        means: mean of each arm.
        p, corrected: p of the difference, before and after correction; `equivalent_p`, `equivalent_corrected`: the same
            for equivalence, if there is a margin.
        interval: interval of the difference (the first arm minus the second, or minus the value), at `level`.
        effect: Cohen's d, in SDs within an arm; for a trend the direction, from -1 to 1.
        shown: smallest margin within which these seeds show the arms to be equivalent, before the correction.
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
    answer: Arms = ""
    kind: str = ""


Interval = Callable[[float], tuple[float, float] | None]
"""Interval of a difference, by level."""


@dataclass(frozen=True)
class Verdict:
    """Decision on a claim.

    Attributes:
        claim: name of the claim; `of`: name of its quantity.
        answer: answer about the claim; `why`: why it cannot be decided, or what has to be known beside the answer.
        share: trained share of the recipes' own budgets; empty if it is the whole.
        values: numbers that the figure shows: arm -> seed -> number.
        correction: number of tests of the claim's question.
        so_far: whether missing runs may change the verdict; no run changes a count of parameters.
    """

    claim: str
    of: str
    answer: Answer
    why: str
    tests: tuple[Tested, ...]
    values: dict[str, dict[int, float]]
    margin: float | None = None
    value: float | None = None
    share: str = ""
    correction: int = 1
    so_far: bool = False

    @property
    def said(self) -> str:
        """The answer, and whether the missing runs may change it."""
        return f"so far: {self.answer}" if self.so_far and self.answer != "cannot be decided here" else self.answer

    @property
    def is_indication(self) -> bool:
        """Whether less than the whole budget was trained."""
        return bool(self.share)


def decide(
    claims: Mapping[str, Any],
    values: Mapping[str, Values],
    arms: tuple[str, ...],
    share: Mapping[str, str],
    machines: Mapping[int, str] | None = None,
    counted: Collection[str] = (),
) -> dict[str, Verdict]:
    """Verdicts on the claims of one question.

    Args:
        claims: claims by name; see `design`.
        values: quantity -> arm -> seed -> number.
        arms: all arms of the study.
        share: arm -> trained share of its own budget, if that is not the whole.
        machines: seed -> machine that ran it; if there are several machines, arms are compared within seeds.
        counted: quantities for which the length of training does not matter: a fact about one is no indication.
    """
    within = machines is not None and len(set(machines.values())) > 1
    raw: list[tuple[str, Tested, Interval]] = []
    few: dict[str, str] = {}
    for name, claim in claims.items():
        try:
            raw += [(name, *_test(claim, pair, values[claim.of], within)) for pair in claim.pairs(arms)]
        except _TooFew as error:
            few[name] = str(error)
    tests = _corrected([entry for entry in raw if entry[0] not in few], claims)
    found = {}
    for name, claim in claims.items():
        mine = tuple(test for owner, test in tests if owner == name)
        named = tuple(dict.fromkeys(arm for pair in claim.pairs(arms) or [claim.named] for arm in pair))
        shown = {arm: dict(values[claim.of].get(arm, {})) for arm in named}
        budget = "; ".join(dict.fromkeys(share[arm] for arm in named if arm in share))
        if claim.kind == "fact":
            answer, why, mine = _fact(claim, values[claim.of], claim.of in counted)
            budget = "" if claim.of in counted else budget
        elif name in few:
            answer, why = "cannot be decided here", few[name]
        else:
            answer, why = _answer(claim, mine)
        found[name] = Verdict(
            name,
            claim.of,
            answer,
            why,
            mine,
            shown,
            getattr(claim, "margin", None),
            getattr(claim, "value", None),
            budget,
            len(tests),
        )
    return found


class _TooFew(Exception):
    """Not enough numbers for a test."""


def _test(claim: Any, pair: tuple[str, ...], values: Values, within: bool) -> tuple[Tested, Interval]:
    """Test of a claim on these arms, not yet corrected for the others, and the interval of the difference."""
    series = {arm: dict(values.get(arm, {})) for arm in pair}
    if len(pair) == 2 and (_is_paired(claim) or within):
        shared = set.intersection(*(set(each) for each in series.values()))
        series = {arm: {seed: each[seed] for seed in sorted(shared)} for arm, each in series.items()}
    numbers = [np.array([each[seed] for seed in sorted(each)]) for each in series.values()]
    counts = tuple(len(each) for each in numbers)
    if min(counts) < 2:
        arm = pair[int(np.argmin(counts))]
        if min(counts) == 0:
            raise _TooFew(f"no seed of {arm} has a number")
        raise _TooFew(_alone(arm))
    if claim.kind == "trend":
        direction, p = statistics.trend(numbers)
        means = tuple(float(each.mean()) for each in numbers)
        kind = "trend over the arms (Jonckheere, by permutation)"
        return Tested(pair, counts, means, p, effect=direction, kind=kind), lambda level: None
    if claim.kind == "one arm":
        return _against(claim.value, pair, numbers[0])
    return _of_two(claim, pair, numbers[0], numbers[1], _is_paired(claim) or within)


def _is_paired(claim: Any) -> bool:
    """Whether the claim says that its arms share what a seed decides."""
    return bool(getattr(claim, "paired", False))


def _against(value: float, pair: tuple[str, ...], a: Floats) -> tuple[Tested, Interval]:
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
        kind=f"sign flips{_ways(found)}",
    )
    return tested, lambda level: statistics.one_arm(a, value, level).interval


def _of_two(claim: Any, pair: tuple[str, ...], a: Floats, b: Floats, paired: bool) -> tuple[Tested, Interval]:
    """Test of one arm against another."""
    test = statistics.paired if paired else statistics.difference
    found, margin = test(a, b), getattr(claim, "margin", None)
    tested = Tested(
        pair,
        (len(a), len(b)),
        (float(a.mean()), float(b.mean())),
        found.p,
        difference=found.difference,
        effect=statistics.cohens_d(a, b),
        equivalent_p=None if margin is None else statistics.equivalence(a, b, margin, paired),
        shown=_smallest_margin(a, b, paired),
        kind=("sign flips of the pairs" if paired else "permutation of the seeds") + _ways(found),
    )
    return tested, lambda level: test(a, b, level).interval


def _ways(found: statistics.Test) -> str:
    return f", exact ({found.ways:,} arrangements)" if found.exact else f", {found.ways:,} random arrangements"


def _smallest_margin(a: Floats, b: Floats, paired: bool) -> float:
    """The smallest margin at which two one-sided tests find these numbers equivalent at ALPHA; inf if none."""
    scale = float(np.ptp(np.concatenate([a, b]))) or 1.0
    low, high = 0.0, scale
    while statistics.equivalence(a, b, high, paired) > ALPHA:
        low, high = high, 2 * high
        if high > 64 * scale:
            return math.inf
    for _ in range(12):
        middle = (low + high) / 2
        low, high = (low, middle) if statistics.equivalence(a, b, middle, paired) <= ALPHA else (middle, high)
    return high


def _corrected(raw: Sequence[tuple[str, Tested, Interval]], claims: Mapping[str, Any]) -> list[tuple[str, Tested]]:
    """Tests of a question with their corrected p, their answers, and intervals that agree with the answers."""
    ps = [test.p if test.p is not None else 1.0 for _, test, _ in raw]
    corrected, factors = statistics.holm(ps), _factors(ps)
    margins = {k: test.equivalent_p for k, (_, test, _) in enumerate(raw) if test.equivalent_p is not None}
    equivalent = dict(zip(margins, statistics.holm(list(margins.values())), strict=True))
    found = []
    for k, (name, test, interval) in enumerate(raw):
        level = 1 - ALPHA / factors[k]
        mended = replace(
            test,
            corrected=corrected[k],
            equivalent_corrected=equivalent.get(k),
            interval=interval(level),
            level=None if test.difference is None else level,
        )
        found.append((name, replace(mended, answer=_of_arms(claims[name], mended))))
    return found


def _factors(ps: Sequence[float]) -> list[int]:
    """Factor by which each p is multiplied when it is decided; a p after the first that fails takes the factor of that
    one. With these factors, factor * p <= ALPHA exactly if Holm's corrected p <= ALPHA."""
    order, factors, failed = np.argsort(ps, kind="stable"), [1] * len(ps), 0
    for rank, k in enumerate(order.tolist()):
        factor = failed or len(ps) - rank
        if not failed and factor * ps[k] > ALPHA:
            failed = factor
        factors[k] = factor
    return factors


def _of_arms(claim: Any, test: Tested) -> Arms:
    """Answer of a corrected test about its arms."""
    differs = test.corrected is not None and test.corrected <= ALPHA
    same = test.equivalent_corrected is not None and test.equivalent_corrected <= ALPHA
    if claim.kind == "equivalence" and same:
        return "equivalent"
    if differs and claim.kind == "trend":
        return "rising" if (test.effect or 0) > 0 else "falling"
    if differs:
        return "higher" if (test.difference or 0) > 0 else "lower"
    return "equivalent" if same else "not distinguishable"


def _answer(claim: Any, tests: Sequence[Tested]) -> tuple[Answer, str]:
    """Answer about the claim that follows from those about the arms, and the reason."""
    answers = [test.answer for test in tests]
    if claim.kind == "equivalence":
        wanted: tuple[str, ...] = ("equivalent",)
    elif claim.kind == "ranking":
        wanted = ("higher",) if claim.expect == "highest" else ("lower",)
    else:
        wanted = ("higher", "lower") if claim.expect == "different" else (claim.expect,)
    if all(answer in wanted for answer in answers):
        return "holds", _beside(claim, tests)
    if claim.kind == "equivalence":
        return _not_equivalent(claim, tests[0])
    against = [test for test in tests if test.answer not in (*wanted, "not distinguishable")]
    if against:
        return "does not hold", ""
    open_ = [test for test in tests if test.answer == "not distinguishable"]
    if all(test.interval and max(map(abs, test.interval)) < ROUNDING for test in open_):
        return "does not hold", "the number is the same in all seeds"
    return "cannot be decided here", _why(claim, open_[0])


def _not_equivalent(claim: Any, test: Tested) -> tuple[Answer, str]:
    """Answer if two arms are not shown to be equivalent; arms that differ may do so by less than the margin."""
    low, high = test.interval or (-math.inf, math.inf)
    if low >= claim.margin or high <= -claim.margin:
        return "does not hold", ""
    if test.answer in ("higher", "lower"):
        return "cannot be decided here", "the arms differ, but it is open whether by more than the margin"
    return "cannot be decided here", _why(claim, test)


def _beside(claim: Any, tests: Sequence[Tested]) -> str:
    """What has to be known beside a claim that holds; empty if nothing."""
    if claim.kind == "equivalence" and any((test.corrected or 1) <= ALPHA for test in tests):
        return "the arms differ, but by less than the margin"
    inside = [t for t in tests if t.equivalent_corrected is not None and t.equivalent_corrected <= ALPHA]
    if claim.kind == "difference" and claim.margin is not None and inside:
        return "the difference is smaller than the margin"
    margin, pair = getattr(claim, "margin", None), tests[0].interval
    if claim.kind == "difference" and margin is not None and pair and pair[0] < margin and pair[1] > -margin:
        return "the difference is shown to be nonzero, but not shown to exceed the margin"
    return ""


def _why(claim: Any, test: Tested) -> str:
    """Reason why a claim stays open."""
    arms = " and ".join(test.arms) if len(test.arms) < 4 else f"{len(test.arms)} arms"
    seeds = " and ".join(dict.fromkeys(map(str, test.n)))
    told = "distinguished" if len(test.n) > 1 else f"distinguished from {claim.value:g}"
    if (least := _smallest_p(test)) > ALPHA:
        return f"{seeds} seeds are too few for {arms} to be {told}: the smallest possible p is {least:.2g}"
    return f"{arms} cannot be {told} with {seeds} seeds" + (" each" if len(test.n) > 1 == len(set(test.n)) else "")


def _smallest_p(test: Tested) -> float:
    """Smallest p that a test of one or two arms could have given; 0 for a trend."""
    if len(test.n) > 2:
        return 0.0
    return statistics.smallest_p(*(test.n[:1] if "pairs" in test.kind else test.n))


def _fact(claim: Any, values: Values, counted: bool) -> tuple[Answer, str, tuple[Tested, ...]]:
    """Whether a count or an identity holds in every run; a counted quantity is the same in all of them."""
    series = [values.get(arm, {}) for arm in claim.arms]
    if missing := [arm for arm, each in zip(claim.arms, series, strict=True) if not each]:
        return "cannot be decided here", f"{missing[0]} has no number", ()
    if claim.value is not None:
        pairs = [(found, claim.value) for found in series[0].values()]
    else:
        pairs = [(series[0][seed], series[1][seed]) for seed in sorted(set(series[0]) & set(series[1]))]
    if not pairs:
        return "cannot be decided here", f"no seed has numbers for both {' and '.join(claim.arms)}", ()
    said = [_compared(a, b, claim.tolerance) for a, b in pairs]
    counts = tuple(len(pairs) for _ in claim.arms)
    means = tuple(float(np.mean(list(each.values()))) for each in series)
    kinds, so = set(said), said.count(claim.expect)
    answer: Arms = said[0] if len(kinds) == 1 else "unequal"
    test = Tested(claim.arms, counts, means, answer=answer, kind="counted, in every run")
    if len(pairs) == 1 and not counted:
        return "cannot be decided here", _alone(claim.arms[0]), (test,)
    if so == len(said):
        return "holds", "", (test,)
    return "does not hold", f"true in {so} of {len(said)} seeds" if so else "", (test,)


def _alone(arm: str) -> str:
    return f"one seed of {arm}: another one might say otherwise"


def _compared(a: float, b: float, tolerance: float) -> Arms:
    if abs(a - b) <= tolerance:
        return "equal"
    return "higher" if a > b else "lower"
