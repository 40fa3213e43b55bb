"""Rules about the images that a model makes: collapse, missing classes, ignored z or class, copies, noise, blur."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from genlab.evaluation.diagnosis.evidence import Evidence, Measured, episodes
from genlab.evaluation.diagnosis.finding import CannotTell, Finding
from genlab.evaluation.metrics.classes import MISSING

SAMPLES = "samples (an evaluation during training)"
COLLAPSED, ALIKE = 0.1, 0.3
NARROW = 0.5
LISTED = 6
"""Class names listed in a sentence."""
IGNORED = 0.5
COPIED = 0.05
GRAINY, BLURRED = 2.0, 0.5
HALF, RARE = 0.5, 0.35
LEGIBLE = 0.5
WORSE = 1.5
FAR = 100.0


def _lasting(
    e: Evidence, metric: str, holds: Callable[[Measured], bool], stays: int = 1
) -> tuple[list[Measured], list[tuple[tuple[int, int], int | None]]]:
    """The evaluations that have a metric, and the episodes in which something held for them."""
    there = [each for each in e.evaluations if metric in each.values]
    return there, episodes([each.step for each in there], [holds(each) for each in there], stays)


def collapse(e: Evidence) -> Iterator[Finding | CannotTell]:
    """The root mean square distance between two samples (of one class, if classes are requested) is less than
    `COLLAPSED` of that between real images. A fault if the images do not get better, or if the ratio was once above
    `ALIKE`; else a warning. Losses cannot tell: a game may look balanced meanwhile."""
    name = "z-ignored" if e.known.conditional else "mode-collapse"
    there, found = _lasting(e, "spread_ratio", lambda each: each.values["spread_ratio"] < COLLAPSED)
    if not there:
        yield CannotTell(name, SAMPLES)
    if not found or found[-1][1] is not None:
        yield from _alike(e, name)
    for since, until in found:
        now = next(each for each in there if each.step == since[1]) if until else there[-1]
        before = [each for each in there if each.step < since[1]]
        best = max(before, key=lambda each: each.values["spread_ratio"], default=None)
        varied = best is not None and best.values["spread_ratio"] > ALIKE
        earlier = f"; at step {best.step:,} it was {best.values['spread_ratio']:.2g}" if best else ""
        title = (
            "z is ignored: within a class, every z gives nearly the same image"
            if e.known.conditional
            else "Mode collapse: every z gives nearly the same image"
        )
        yield Finding(
            name,
            "warning" if e.improves() and not varied else "fault",
            title,
            since=since,
            until=until,
            seen=(f"the spread between samples is {now.values['spread_ratio']:.2g} of that of real images{earlier}",),
            keep=_best(e, since[1]),
        )


def _alike(e: Evidence, name: str) -> Iterator[Finding | CannotTell]:
    there, found = _lasting(e, "spread_ratio", lambda each: each.values["spread_ratio"] < ALIKE)
    if found and found[-1][1] is None:
        yield Finding(
            name,
            "warning",
            "The images vary little: different z give similar images",
            since=found[-1][0],
            seen=(f"the spread between samples is {there[-1].values['spread_ratio']:.2g} of that of real images",),
        )


def narrow_classes(e: Evidence) -> Iterator[Finding | CannotTell]:
    """Within some classes, though not on the whole, two samples are less than `ALIKE` as far apart as real images of
    that class, at the last two evaluations. A warning; for a conditional model a fault if below `COLLAPSED` while the
    images do not get better: z then gives one picture of that class."""

    def spreads(each: Measured) -> dict[str, float]:
        """Class -> distance between its samples over that between real images of it, for each class that is drawn."""
        drawn = [
            row
            for row in each.classes
            if row.get("within_class_diversity") is not None
            and (e.known.conditional or row.get("share", 0) >= MISSING * (row.get("share_in_data") or 0))
        ]
        # Diversity is a mean of squared distances.
        return {str(row["class"]): float(row["within_class_diversity"]) ** 0.5 for row in drawn}

    def narrow(each: Measured) -> bool:
        return each.values["spread_ratio"] >= ALIKE and min(spreads(each).values(), default=1.0) < ALIKE

    there, found = _lasting(e, "spread_ratio", narrow, stays=2)
    if not found or found[-1][1] is not None:
        return
    by_class = spreads(there[-1])
    worst, least = min(by_class.items(), key=lambda pair: pair[1])
    names = [name for name, spread in sorted(by_class.items(), key=lambda pair: pair[1]) if spread < ALIKE]
    of = f"{len(names)} of {e.known.classes} classes: {_listed(names)}"
    yield Finding(
        "z-ignored" if e.known.conditional else "low-diversity",
        "fault" if e.known.conditional and least < COLLAPSED and not e.improves() else "warning",
        f"{'z has little effect' if e.known.conditional else 'Little variety'} within {of}",
        since=found[-1][0],
        seen=(f"the spread between samples of {worst} is {least:.2g} of that between its real images",),
    )


def missing_classes(e: Evidence) -> Iterator[Finding | CannotTell]:
    """Classes of the data are drawn less than a tenth as often as in the data, and more of them than few images miss by
    chance. A warning; a fault if half of them are missing, or several that had been there, and the images do not get
    better."""
    there, found = _lasting(e, "missing_classes", lambda each: _missing(each) >= 1)
    if not there:
        yield CannotTell("missing-classes", "a judge that tells the classes apart, and " + SAMPLES)
    for since, until in found:
        now = next(each for each in there if each.step == since[1]) if until else there[-1]
        number = round(now.values["missing_classes"])
        rows = [row for row in now.classes if row.get("share") is not None and row.get("share_in_data")]
        lost = [str(row["class"]) for row in rows if row["share"] < MISSING * row["share_in_data"]]
        most = sorted(rows, key=lambda row: -float(row["share"]))[:4]
        shares = ", ".join(f"{row['class']} ({100 * row['share']:.0f} %)" for row in most if row["share"] >= 0.005)
        of = len(rows) or e.known.classes
        names = f": {_listed(lost)}" if lost else ""
        real = now.real.get("missing_classes", 0)
        seen = [f"of {now.samples:,} samples: {shares}"] if shares else []
        seen += [f"the same number of real images lacks {real:.0f}"] if real else []
        are = "is" if number == 1 else "are"
        yield Finding(
            "missing-classes",
            "fault" if (number >= HALF * of or _had_more(there, since, number)) and not e.improves() else "warning",
            f"{number} of {of} classes {are} missing{names}",
            since=since,
            until=until,
            seen=tuple(seen),
            no=_precision(now),
            keep=_best(e, since[1]),
        )


def _missing(each: Measured) -> float:
    """Number of missing classes beyond those that as many real images miss, with three standard deviations of their
    number; 0 if there are no more."""
    by_chance = each.real.get("missing_classes", 0.0)
    number = each.values["missing_classes"]
    return number - by_chance if number > by_chance + 3 * by_chance**0.5 else 0.0


def rare_classes(e: Evidence) -> Iterator[Finding | CannotTell]:
    """Two or more classes are drawn less than `RARE` times as often as in the data, and three standard deviations more
    rarely than they would be by chance, at the last two evaluations, but none is missing."""

    def rare(each: Measured) -> list[str]:
        rows = [row for row in each.classes if row.get("share") is not None and row.get("share_in_data")]
        number = [(str(row["class"]), row["share"], each.samples * row["share_in_data"]) for row in rows]
        return [
            name
            for name, share, expected in number
            if each.samples * share < min(RARE * expected, expected - 3 * expected**0.5)
        ]

    there, found = _lasting(e, "missing_classes", lambda each: len(rare(each)) >= 2, stays=2)
    if not found or found[-1][1] is not None or _missing(there[-1]) >= 1:
        return
    names = rare(there[-1])
    yield Finding(
        "missing-classes",
        "warning",
        f"{len(names)} of {e.known.classes} classes are rare: {_listed(names)}",
        since=found[-1][0],
        seen=(f"each is drawn less than {RARE:g} times as often as in the data",),
    )


def _listed(names: list[str]) -> str:
    """The first of some names, and the number of the others."""
    more = [f"and {len(names) - LISTED} more"] if len(names) > LISTED else []
    return ", ".join([*names[:LISTED], *more])


def _had_more(there: list[Measured], since: tuple[int, int], missing: int) -> bool:
    """Whether several classes have been missing for two evaluations, and at most half as many at the two before."""
    before = [each.values["missing_classes"] for each in there if each.step < since[1]]
    lasts = len(there) - len(before) >= 2
    return lasts and missing >= 3 and len(before) >= 2 and max(before[-2:]) <= missing / 2


def _precision(now: Measured) -> str:
    if now.values.get("precision", 0) < NARROW or "coverage" not in now.values:
        return ""
    real = f" (real images: {now.real['coverage']:.2f})" if "coverage" in now.real else ""
    return (
        f"precision {now.values['precision']:.2f} is not a good sign here: a few typical shapes suffice; coverage is "
        f"{now.values['coverage']:.2g}{real}"
    )


def low_diversity(e: Evidence) -> Iterator[Finding | CannotTell]:
    """Recall is below `NARROW` of that of real images while precision is above `NARROW`: what is drawn lies among real
    images, but covers too little of them; total collapse is a finding of its own."""
    there = [each for each in e.evaluations if "recall" in each.values and each.real.get("recall")]
    if not there:
        yield CannotTell("low-diversity", SAMPLES)
        return
    narrow = [
        each.values["recall"] < NARROW * each.real["recall"]
        and each.values.get("precision", 0) >= NARROW
        and each.values.get("spread_ratio", 1) >= COLLAPSED
        for each in there
    ]
    for since, until in episodes([each.step for each in there], narrow):
        if until is not None:
            continue
        now = there[-1]
        yield Finding(
            "low-diversity",
            "warning",
            "Little variety: the samples cover only part of the data",
            since=since,
            seen=(f"recall {now.values['recall']:.2f} (real images: {now.real['recall']:.2f}), precision "
                  f"{now.values['precision']:.2f}",),
        )  # fmt: skip


def condition_ignored(e: Evidence) -> Iterator[Finding | CannotTell]:
    """Fewer than `IGNORED` of the samples are of the requested class, while the judge is sure of what it sees."""
    if not e.known.conditional:
        return
    there, found = _lasting(
        e,
        "requested_class_accuracy",
        lambda each: (
            each.values["requested_class_accuracy"] < IGNORED
            and each.values.get("legibility", 0) > LEGIBLE * each.real.get("legibility", 1.0)
        ),
    )
    if not there:
        yield CannotTell("condition-ignored", "a judge that tells the classes apart, and " + SAMPLES)
    for since, until in found:
        now = there[-1]
        share, chance = now.values["requested_class_accuracy"], 1 / max(1, e.known.classes)
        real = now.real.get("requested_class_accuracy", 1.0)
        if until is None:
            yield Finding(
                "condition-ignored",
                "warning" if e.improves() and share > 2 * chance else "fault",
                f"The class is ignored: {share:.0%} of the samples are of the class that was asked for",
                since=since,
                seen=(f"conditional accuracy {share:.0%} (real images: {real:.0%}; chance: {chance:.0%})",),
                no="the images themselves are legible: it is not a matter of quality",
            )


def memorisation(e: Evidence) -> Iterator[Finding | CannotTell]:
    """More than `COPIED` of the samples, and more than five times as many as of real images, are near-copies of
    training images."""
    there, found = _lasting(
        e,
        "memorised_fraction",
        lambda each: each.values["memorised_fraction"] > max(COPIED, 5 * each.real.get("memorised_fraction", 0.0)),
    )
    if not there:
        yield CannotTell("memorisation", "an evaluation that searches for copies (a full one, or few training images)")
    for since, until in found:
        if until is None:
            share = there[-1].values["memorised_fraction"]
            yield Finding(
                "memorisation",
                "fault",
                f"Memorisation: {share:.0%} of the samples are near-copies of training images",
                since=since,
                seen=(f"{share:.1%} lie closer to a training image than 99.9 % of real images do",),
                cause=e.known.few,
                keep=_best(e, since[1]),
            )


def noise_and_blur(e: Evidence) -> Iterator[Finding | CannotTell]:
    """The finest detail has more than `GRAINY` times its power in real images (checkerboard or specks); edges have less
    than `BLURRED` of theirs (blur). Judged by the last evaluation."""
    for name, metric, wrong, title, healthy in (
        ("noise", "grain_ratio", lambda v: v > GRAINY, "Noise: the images have specks or a checkerboard", "above 2"),
        ("blur", "sharpness_ratio", lambda v: v < BLURRED, "Blur: the images lack detail", "below 0.5"),
    ):
        there, found = _lasting(e, metric, lambda each, m=metric, w=wrong: w(each.values[m]))  # type: ignore[misc]
        if not there:
            yield CannotTell(name, SAMPLES)
        for since, until in found:
            if until is None:
                now = there[-1].values[metric]
                words = "the finest detail" if name == "noise" else "edges and strokes"
                yield Finding(
                    name,
                    "warning",
                    title,
                    since=since,
                    seen=(f"{words}: {now:.2g} times the power in real images; {healthy} is worth a look",),
                )


def late_degradation(e: Evidence) -> Iterator[Finding | CannotTell]:
    """The distance to real images is more than `WORSE` times its best value, at the last two evaluations."""
    curve = e.distances()
    if len(curve) < 3:
        yield CannotTell("late-degradation", "three evaluations during training, with a judge")
        return
    best = int(np.argmin(curve.values))
    bad = curve.values > WORSE * curve.values[best]
    if best >= len(curve) - 2 or not bad[-2:].all():
        return
    first = len(bad) - int(np.argmin(bad[::-1])) if not bad.all() else 0
    yield Finding(
        "late-degradation",
        "fault",
        f"The images got worse: they were better at step {int(curve.steps[best]):,}",
        since=(int(curve.steps[first - 1]), int(curve.steps[first])),
        seen=(f"distance to real images {curve.values[-1]:.3g} times that of other real images; at step "
              f"{int(curve.steps[best]):,} it was {curve.values[best]:.3g}",),
        keep=int(curve.steps[best]),
    )  # fmt: skip


def nothing_learned(e: Evidence) -> Iterator[Finding | CannotTell]:
    """The distance to real images is above `FAR` times that of other real images and does not fall, and no part of the
    data was ever covered."""
    curve, covered = e.distances(), e.metric("coverage")
    if len(curve) and not e.evaluations[-1].pinned:
        yield CannotTell(
            "nothing-learned", "a judge from the package: for any other, it is unknown which distance is large"
        )
        return
    if len(curve) < 2 or e.improves():
        return
    if curve.values[-3:].min() > FAR and (not len(covered) or covered.values.max() < 0.02):
        yield Finding(
            "nothing-learned",
            "fault",
            "Nothing was learned: the images are far from real ones, and get no closer",
            since=(0, int(curve.steps[0])),
            seen=(f"distance to real images {curve.values[-1]:.3g} times that of other real images; at step "
                  f"{int(curve.steps[0]):,} it was {curve.values[0]:.3g}",),
        )  # fmt: skip


def _best(e: Evidence, before: int) -> int | None:
    """Step of the best evaluation before a step; None if there is none."""
    there = [(each.distance, each.step) for each in e.evaluations if each.step < before and each.distance is not None]
    return min(there)[1] if there else None


RULES = (
    collapse,
    narrow_classes,
    missing_classes,
    rare_classes,
    low_diversity,
    condition_ignored,
    memorisation,
    noise_and_blur,
    late_degradation,
    nothing_learned,
)
