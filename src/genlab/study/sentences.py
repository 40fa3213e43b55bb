"""Verdicts in plain English: one sentence to quote, and the texts beside it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import median
from typing import Any

from genlab.evaluation.arrangements import EXACT
from genlab.evaluation.catalogue import METRICS
from genlab.families.base import BLOCK
from genlab.families.registry import FAMILIES
from genlab.report import text as words
from genlab.study.claims import Verdict, compared
from genlab.study.quantities import Classes, Column, Curve, Found, Metric, Number, Pair
from genlab.study.testing import Tested

PROPER = ("Frechet",)
"""Words that keep their capital."""
MEAN = BLOCK[0]
EXACTLY = f"exact for up to {EXACT:,} arrangements, otherwise with {EXACT:,} random ones"
MOST_LISTED = 8
"""Most seeds whose numbers a sentence gives one by one."""


def title(name: str, quantity: Any) -> str:
    """Name of a quantity, in words that fit into a sentence."""
    if isinstance(quantity, Metric):
        return (
            words.title(quantity.name)
            if quantity.name in METRICS
            else quantity.name.replace(".", ": ").replace("_", " ")
        )
    if isinstance(quantity, Column):
        less = f" minus {column(quantity.minus)}" if quantity.minus else ""
        return f"{column(quantity.name)}{less} {_when(quantity)}"
    if isinstance(quantity, Classes):
        what = "share" if quantity.number == "share" else "judge confidence"
        return f"{what} of {', '.join(quantity.of)} minus that of other classes"
    if isinstance(quantity, Curve):
        beyond = (
            f" {'below' if quantity.below else 'above'} {quantity.threshold:g}"
            if quantity.threshold is not None
            else ""
        )
        what = {
            "change-point": "step at which {} changes its level (the last step: never)",
            "spikes": "spikes of {}",
            "plateau": "step from which {} stays level (the last step: never)",
            "onset": "first of three logged steps with {} (the last step: never)",
        }[quantity.kind]
        return what.format(column(quantity.column) + beyond)
    if isinstance(quantity, Pair):
        a, b = map(column, quantity.columns)
        kind = "correlation of the changes" if quantity.kind == "correlation-of-changes" else "rank correlation"
        return f"{kind} of {a} and {b}"
    if isinstance(quantity, Number):
        return (
            "training time in seconds"
            if quantity.kind == "seconds"
            else f"number of parameters of the {quantity.of or 'networks'}"
        )
    if isinstance(quantity, Found):
        return f"share of trainings in which the diagnosis finds {quantity.name.replace('-', ' ')}"
    return "final weights"


def column(name: str) -> str:
    """Name of a logged column in a sentence, also if it is the mean over the steps of a row."""
    known = {each.name: each.words for family in FAMILIES.values() for each in family.columns}
    if name in METRICS:
        return words.title(name)
    return known.get(name) or known.get(name.removesuffix(MEAN)) or name.replace("_", " ")


def _when(column: Column) -> str:
    if column.window is not None:
        a, b = (f"{100 * share:g} %" for share in column.window)
        return f"({column.take} from {a} to {b} of the training)"
    if column.at is None or column.at == 1:
        return "at the end"
    return f"after {100 * column.at:g} % of the training" if column.at < 1 else f"at step {column.at:g}"


def number(value: float | None) -> str:
    """Number with three significant digits; a whole number keeps all its digits."""
    if value is None or not math.isfinite(value):
        return "-" if value is None else ("infinite" if value > 0 else "-infinite")
    value += 0.0  # Turns -0 into 0.
    if value == 0 or 1e-3 <= abs(value) < 1e5 or (value == round(value) and abs(value) < 1e12):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return f"{value:.2g}"


def p_value(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.2g}" if value >= 1e-4 else f"{value:.0e}".replace("e-0", "e-")


def percent(level: float) -> str:
    """Confidence level as text, such as 99.2 %."""
    return f"{100 * level:.3g} %"


def interval(test: Tested) -> str:
    """Interval of a difference, as text; an end that the seeds do not bound is called infinite."""
    if test.interval is None:
        return "-"
    return " to ".join(ends(test)) if is_bounded(test) else "none: too few seeds for one"


def is_bounded(test: Tested) -> bool:
    """Whether the seeds bound a difference at its level on at least one side."""
    return test.interval is not None and any(map(math.isfinite, test.interval))


def ends(test: Tested) -> list[str]:
    """Ends of the interval of a difference, as text; the rounding error of a 0 is shown as 0."""
    assert test.interval is not None
    size = max((abs(end) for end in test.interval if math.isfinite(end)), default=0.0)
    return [number(0.0 if abs(end) < 1e-12 * size else end) for end in test.interval]


def verdict_line(verdict: Verdict) -> str:
    """Answer about the claim, with the trained share of the budget if that is not the whole."""
    said = verdict.said
    if verdict.why:
        said += f": {verdict.why}"
    if verdict.is_indication:
        said += f" - an indication, from {verdict.share}"
    return said


def sentence(claim: Any, verdict: Verdict, what: str) -> str:
    """Sentence to quote: the arms' numbers, their difference with its interval, test, p and correction."""
    budget = f" After {verdict.share}:" if verdict.is_indication else ""
    if not verdict.tests:
        return f"Nothing can be said about the {small(what)} yet: {verdict.why}."
    told = " ".join(_told(claim, test, verdict, what) for test in verdict.tests)
    if budget and told.startswith(("For ", "From ", "The ", "Which ")):
        told = told[:1].lower() + told[1:]
    return f"{budget} {told}".strip()


def small(what: str) -> str:
    """Title as it is written within a sentence."""
    return what if what.startswith(PROPER) or what[:2].isupper() else what[:1].lower() + what[1:]


def _told(claim: Any, test: Tested, verdict: Verdict, what: str) -> str:
    what = small(what)
    if claim.kind == "fact":
        return _fact_told(claim, test, verdict, what)
    seeds = (
        f"{test.n[0]} seeds" if len(test.n) == 1 or len(set(test.n)) == 1 else f"{' and '.join(map(str, test.n))} seeds"
    )
    each = " each" if len(test.n) > 1 and len(set(test.n)) == 1 else ""
    if claim.kind == "trend":
        listed = ", ".join(f"{arm} {number(mean)}" for arm, mean in zip(test.arms, test.means, strict=True))
        way = "shows no trend" if test.answer == "not distinguishable" else f"is {test.answer}"
        return (
            f"From arm to arm ({listed}), the {what} {way} (direction {test.effect:+.2f} on a scale of -1 to 1, "
            f"{seeds}{each}, {test.kind}; {_ps(test, verdict)})."
        )
    if claim.kind == "one arm":
        than = f"than {number(claim.value)}" if test.answer in ("higher", "lower") else f"from {number(claim.value)}"
        way = {"higher": "is higher", "lower": "is lower"}.get(test.answer, "cannot be distinguished")
        mean = f"{number(test.means[0])} on average"
        return f"For {test.arms[0]}, the {what} {way} {than}: {mean}, {_difference(test, verdict, seeds)}."
    a, b = test.arms
    means = f"{number(test.means[0])} and {number(test.means[1])} on average"
    said = {
        "higher": f"{a} has a higher {what} than {b}",
        "lower": f"{a} has a lower {what} than {b}",
        "equivalent": f"{a} and {b} are equivalent in {what}, to within {number(verdict.margin)}",
        "not distinguishable": f"{a} and {b} cannot be distinguished in {what}",
    }[test.answer]
    return f"{said}: {means}, {_difference(test, verdict, seeds + each)}."


def _difference(test: Tested, verdict: Verdict, seeds: str) -> str:
    assert test.level is not None
    within = f"{percent(test.level)} interval {interval(test)}"
    if not is_bounded(test):
        within = f"too few seeds for an interval at {percent(test.level)}"
    return (
        f"difference {number(test.difference)} ({within}; {seeds}; {test.kind}; {_ps(test, verdict)}; {_effect(test)})"
    )


def _effect(test: Tested) -> str:
    """Cohen's d, if there is a spread to measure it by."""
    known = test.effect is not None and math.isfinite(test.effect)
    return f"d = {number(test.effect)}" if known else "no spread within the arms"


def _ps(test: Tested, verdict: Verdict) -> str:
    """The p that decides, with its correction."""
    many = f", corrected for {verdict.correction} tests: {p_value(test.corrected)}" if verdict.correction > 1 else ""
    said = f"p = {p_value(test.p)}{many}"
    if test.equivalent_p is not None and test.answer in ("equivalent", "not distinguishable"):
        said += f"; for equivalence p = {p_value(test.equivalent_corrected)}"
    return said


def _listed(values: Sequence[float]) -> str:
    """Each of a few numbers; of many, the smallest, the median and the largest."""
    if len(values) > MOST_LISTED:
        return f"{number(values[0])} to {number(values[-1])}, median {number(median(values))}"
    return " and ".join(filter(None, (", ".join(map(number, values[:-1])), number(values[-1]))))


def _fact_told(claim: Any, test: Tested, verdict: Verdict, what: str) -> str:
    seeds = {1: "in the one seed", 2: "in both seeds"}.get(test.n[0], f"in all {test.n[0]} seeds")
    if claim.value is not None:
        way = {"equal": "is", "higher": "is higher than", "lower": "is lower than"}.get(test.answer)
        if way is None:
            found = verdict.values[claim.arms[0]].values()
            side = {"lower": "below", "higher": "above"}.get(claim.expect)
            if side is None:
                side = f"within {number(claim.tolerance)} of" if claim.tolerance else "equal to"
            there = [compared(value, claim.value, claim.tolerance) for value in found].count(claim.expect)
            return (
                f"For {claim.arms[0]}, the {what} is {side} {number(claim.value)} in {there or 'none'} of {len(found)} "
                f"seeds: {_listed(sorted(found))}."
            )
        mean = "" if test.means[0] == claim.value else f": {number(test.means[0])} on average"
        near = f", to within {number(claim.tolerance)}," if claim.tolerance and test.answer == "equal" else ""
        return f"For {claim.arms[0]}, the {what} {way} {number(claim.value)}{near} {seeds}{mean}."
    if claim.of and what == "final weights":
        way = "are the same, bit for bit," if test.answer == "equal" else "are not the same"
        return f"The final weights of {claim.arms[0]} and {claim.arms[1]} {way} {seeds}."
    a, b = (number(mean) for mean in test.means)
    if test.answer == "equal":
        return f"The {what} is equal for {claim.arms[0]} and {claim.arms[1]} {seeds}: {a}."
    if test.answer == "unequal":
        return (
            f"Which of {claim.arms[0]} and {claim.arms[1]} has the higher {what} depends on the seed: {a} and {b} on "
            "average."
        )
    return f"The {what} is {test.answer} for {claim.arms[0]} than for {claim.arms[1]} {seeds}: {a} and {b} on average."
