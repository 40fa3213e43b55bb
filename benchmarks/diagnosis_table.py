"""What the rules of genlab.evaluation.diagnosis say of the labelled set: found, missed, false; nothing is trained.

`python benchmarks/diagnosis_table.py` prints the table of the development part, and with --held-out that of the other;
--write puts both into docs/diagnosis.md.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from diagnosis import HEALTHY, SPEC, Case, cases, kept
from genlab.evaluation.diagnosis import FEWEST, WARM_UP, Diagnosis, diagnose
from genlab.evaluation.diagnosis.evidence import Evidence, Measured, curves_of, known_of
from genlab.families.registry import FAMILIES
from genlab.recipe import files

LATE = 0.1
"""Of a training: how far from the planted step a finding's onset may lie."""


@dataclass(frozen=True)
class Judged:
    """What was said of a training.

    Attributes:
        said: at its end.
        false: findings that are faults at some evaluation after the warm-up of a healthy training, and since when.
        found: whether one of the expected findings was made at the end, as a fault or a warning.
        onset: of that finding, between which steps; None where none was made.
        counts: whether the training failed at all: a natural failure may not.
    """

    case: Case
    said: Diagnosis
    false: tuple[tuple[str, int], ...]
    found: bool
    onset: tuple[int, int] | None
    counts: bool

    @property
    def in_time(self) -> bool:
        """Whether a failure that was planted late was dated within a tenth of the training."""
        if not self.case.planted or self.onset is None:
            return True
        before, first = self.onset
        slack = LATE * self.case.steps
        return before - slack <= self.case.planted <= first + slack


def evidence_of(record: Mapping[str, Any]) -> Evidence:
    """What rules may look at of a kept training."""
    recipe = files.load(record["recipe"])
    curves = curves_of(record["rows"], FAMILIES[recipe.family].columns)
    measured = [
        Measured(
            each["step"],
            each["samples"],
            {name: value for name, (value, _) in each["metrics"].items() if value is not None},
            {name: floor for name, (_, floor) in each["metrics"].items() if floor is not None},
            each["classes"],
        )
        for each in record["evaluations"]
    ]
    failure = (record["reason"] or "") if record["state"] == "failed" else ""
    step = max([row["step"] for row in record["rows"][-1:]] + [0])
    known = known_of(recipe, curves, recipe.data.subset, record["classes"] or 10, failure)
    return Evidence(step, record["steps"], curves, tuple(measured), known)


def outcome(record: Mapping[str, Any]) -> float | None:
    """How a training ended, smaller is better: distance over that of real images, or the share of wrong answers."""
    if record["evaluations"]:
        value, floor = record["evaluations"][-1]["metrics"]["frechet_distance"]
        return None if value is None or not floor else value / floor
    accuracy = [row["test_accuracy"] for row in record["rows"] if row.get("test_accuracy") is not None]
    return 1 - accuracy[-1] if accuracy else None


def judged(case: Case, record: Mapping[str, Any], best: float | None, worse: float, far: float) -> Judged:
    """What the rules say of a training.

    Args:
        best: how the healthy training of the same system and dataset ended.
        worse: by what a natural failure must be worse to count.
        far: the distance beyond which a training that was to be healthy is none.
    """
    e = evidence_of(record)
    said = diagnose(e)
    false: dict[str, int] = {}
    if case.kind == HEALTHY:
        steps = [each.step for each in e.evaluations] or [int(s) for s in e.curve("test loss").steps]
        for step in (s for s in steps if s >= max(FEWEST, WARM_UP * case.steps)):
            for fault in diagnose(e.until(step)).faults:
                false.setdefault(fault.name, step)
    named = [each for each in said.lasting if each.name in case.expected]
    ended = outcome(record)
    if case.kind == HEALTHY:
        counts = ended is None or ended < far
    else:
        counts = (
            not case.natural or ended is None or best is None or ended >= worse * best or record["state"] == "failed"
        )
    return Judged(case, said, tuple(false.items()), bool(named), named[0].since if named else None, counts)


def everything(held_out: bool) -> Iterator[Judged]:
    """Of each training of a part that was recorded, what is said of it."""
    spec = yaml.safe_load(SPEC.read_text("utf-8"))
    records = {record["key"]: record for kind in (HEALTHY, *spec["kinds"]) for record in kept(kind)}
    for case in cases(spec):
        if case.held_out == held_out and case.key in records:
            healthy = records.get(f"{HEALTHY}/{case.system}/{case.dataset}/0")
            best = None if healthy is None else outcome(healthy)
            yield judged(case, records[case.key], best, spec["worse"], spec["far"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--held-out", action="store_true")
    options = parser.parse_args()
    for each in everything(options.held_out):
        names = ", ".join(f"{f.level[0].upper()} {f.name}@{f.since}" for f in each.said.lasting)
        if each.case.kind == HEALTHY:
            mark = "--    " if not each.counts else "FALSE " if each.false else "ok    "
            print(f"{mark} {each.case.key}: {dict(each.false) or ''} | {names}")
            continue
        mark = "ok    " if each.in_time else "late  "
        mark = "--    " if not each.counts else mark if each.found else "MISS  "
        print(f"{mark} {each.case.key} (at {each.case.planted}): {names}")


if __name__ == "__main__":
    main()
