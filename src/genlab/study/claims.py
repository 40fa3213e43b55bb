"""Verdicts: what the numbers say about the arms, and what follows for the claim; always two separate answers.

About the arms of a test: `higher`, `lower`, `equivalent` (the difference lies within the margin), `not
distinguishable`. About the claim: `holds`, `does not hold`, `cannot be decided here`, and why. The p-values of all
tests of one question are corrected together (Holm 1979), tests of difference separately from tests of equivalence.
The interval of a difference has the level at which its test was decided, so that the two always agree: 1 - alpha for a
difference, 1 - 2 alpha for equivalence, whose two tests are one-sided.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from genlab.evaluation import statistics
from genlab.study.design import ALPHA
from genlab.study.testing import Arms, Intervals, Machines, Tested, TooFew, Values, alone, shared_seeds, test_of

Answer = Literal["holds", "does not hold", "cannot be decided here"]
ROUNDING = 1e-12
"""An interval of a difference whose ends are both closer to 0 than this contains only 0."""


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
    machines: Machines | None = None,
    counted: Collection[str] = (),
) -> dict[str, Verdict]:
    """Verdicts on the claims of one question.

    Args:
        claims: claims by name; see `design`.
        values: quantity -> arm -> seed -> number.
        arms: all arms of the study.
        share: arm -> trained share of its own budget, if that is not the whole.
        machines: arm and seed -> machine that ran it; arms are compared within each machine, pairs within their seed.
        counted: quantities for which the length of training does not matter: a fact about one is no indication.
    """
    raw: list[tuple[str, Tested, Intervals]] = []
    few: dict[str, str] = {}
    for name, claim in claims.items():
        try:
            raw += [(name, *test_of(claim, pair, values[claim.of], machines or {})) for pair in claim.pairs(arms)]
        except TooFew as error:
            few[name] = str(error)
    tests = _corrected([entry for entry in raw if entry[0] not in few], claims)
    found = {}
    for name, claim in claims.items():
        mine = tuple(test for owner, test in tests if owner == name)
        named = tuple(dict.fromkeys(arm for pair in claim.pairs(arms) or [claim.named] for arm in pair))
        shown = {arm: dict(values[claim.of].get(arm, {})) for arm in named}
        budget = "; ".join(dict.fromkeys(share[arm] for arm in named if arm in share))
        if claim.kind == "fact":
            answer, why, mine = _fact(claim, values[claim.of], claim.of in counted, machines or {})
            budget = "" if claim.of in counted else budget
        elif name in few:
            answer, why = "cannot be decided here", few[name]
        else:
            answer, why = _answer(claim, mine, len(tests))
            why = "; ".join(filter(None, (why, _left_out(claim, mine))))
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


def _corrected(raw: Sequence[tuple[str, Tested, Intervals]], claims: Mapping[str, Any]) -> list[tuple[str, Tested]]:
    """Tests of a question with their corrected p, their answers, and intervals that agree with the answers."""
    ps = [test.p if test.p is not None else 1.0 for _, test, _ in raw]
    corrected, factors = statistics.holm(ps), _factors(ps)
    smallest = statistics.holm([test.smallest for _, test, _ in raw])
    margins = {k: test.equivalent_p for k, (_, test, _) in enumerate(raw) if test.equivalent_p is not None}
    equivalent = dict(zip(margins, statistics.holm(list(margins.values())), strict=True))
    of_margins = dict(zip(margins, _factors(list(margins.values())), strict=True))
    same = dict(zip(margins, statistics.holm([raw[k][1].equivalent_smallest for k in margins]), strict=True))
    found = []
    for k, (name, test, intervals) in enumerate(raw):
        mended = replace(
            test,
            corrected=corrected[k],
            equivalent_corrected=equivalent.get(k),
            smallest=smallest[k],
            equivalent_smallest=same.get(k, 0.0),
        )
        answer = _of_arms(claims[name], mended)
        if answer == "equivalent" or claims[name].kind == "equivalence":
            level, interval = 1 - 2 * ALPHA / of_margins[k], intervals.equivalence
        else:
            level, interval = 1 - ALPHA / factors[k], intervals.difference
        ends, known = interval(level), None if test.difference is None else level
        found.append((name, replace(mended, answer=answer, interval=ends, level=known)))
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


def _answer(claim: Any, tests: Sequence[Tested], count: int) -> tuple[Answer, str]:
    """Answer about the claim that follows from those about the arms, and the reason; `count` tests were corrected."""
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
        return _not_equivalent(claim, tests[0], count)
    against = [test for test in tests if test.answer not in (*wanted, "not distinguishable")]
    if against:
        return "does not hold", ""
    open_ = [test for test in tests if test.answer == "not distinguishable"]
    if all(test.interval and max(map(abs, test.interval)) < ROUNDING for test in open_):
        return "does not hold", "the number is the same in all seeds"
    return "cannot be decided here", _why(claim, open_[0], count)


def _not_equivalent(claim: Any, test: Tested, count: int) -> tuple[Answer, str]:
    """Answer if two arms are not shown to be equivalent; arms that differ may do so by less than the margin."""
    low, high = test.interval or (-math.inf, math.inf)
    if low >= claim.margin or high <= -claim.margin:
        return "does not hold", ""
    if test.answer in ("higher", "lower"):
        return "cannot be decided here", "the arms differ, but it is unclear whether by more than the margin"
    return "cannot be decided here", _why(claim, test, count)


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


def _left_out(claim: Any, tests: Sequence[Tested]) -> str:
    """Note on seeds that were not compared; empty if there are none."""
    if not (count := max((test.left_out for test in tests), default=0)):
        return ""
    runs = f"{count} run{'s' if count > 1 else ''} do{'' if count > 1 else 'es'} not count"
    other = "the other arm has none" if len(tests[0].arms) == 2 else "not every arm has one"
    return f"{runs}: {other} on the same kind of machine"


def _why(claim: Any, test: Tested, count: int) -> str:
    """Reason why a claim stays open."""
    arms = " and ".join(test.arms) if len(test.arms) < 4 else f"{len(test.arms)} arms"
    seeds = " and ".join(dict.fromkeys(map(str, test.n)))
    told = "distinguished" if len(test.n) > 1 else f"distinguished from {claim.value:g}"
    least = test.equivalent_smallest if claim.kind == "equivalence" else test.smallest
    if least > ALPHA:
        corrected = f", corrected for {count} tests," if count > 1 else ""
        return f"{seeds} seeds are too few for {arms} to be {told}: the smallest possible p{corrected} is {least:.2g}"
    return f"{arms} cannot be {told} with {seeds} seeds" + (" each" if len(test.n) > 1 == len(set(test.n)) else "")


def _fact(claim: Any, values: Values, counted: bool, machines: Machines) -> tuple[Answer, str, tuple[Tested, ...]]:
    """Whether a count or an identity holds in every run; a counted quantity is the same in all of them."""
    series = [values.get(arm, {}) for arm in claim.arms]
    if missing := [arm for arm, each in zip(claim.arms, series, strict=True) if not each]:
        return "cannot be decided here", f"{missing[0]} has no number", ()
    if claim.value is not None:
        pairs = [(found, claim.value) for found in series[0].values()]
    else:
        seeds = shared_seeds(dict(zip(claim.arms, series, strict=True)), machines)
        pairs = [(series[0][seed], series[1][seed]) for seed in seeds]
    if not pairs:
        arms = " and ".join(claim.arms)
        return "cannot be decided here", f"no seed has numbers of {arms} from one kind of machine", ()
    said = [compared(a, b, claim.tolerance) for a, b in pairs]
    counts = tuple(len(pairs) for _ in claim.arms)
    means = tuple(float(np.mean(list(each.values()))) for each in series)
    kinds, so = set(said), said.count(claim.expect)
    answer: Arms = said[0] if len(kinds) == 1 else "unequal"
    test = Tested(claim.arms, counts, means, answer=answer, kind="counted, in every run")
    if len(pairs) == 1 and not counted:
        return "cannot be decided here", alone(claim.arms[0]), (test,)
    if so == len(said):
        return "holds", "", (test,)
    return "does not hold", f"true in {so} of {len(said)} seeds" if so else "", (test,)


def compared(a: float, b: float, tolerance: float) -> Arms:
    if abs(a - b) <= tolerance:
        return "equal"
    return "higher" if a > b else "lower"
