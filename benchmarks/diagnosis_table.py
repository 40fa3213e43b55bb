"""What the rules of genlab.evaluation.diagnosis say of the labelled set: found, missed, false; nothing is trained.

`python benchmarks/diagnosis_table.py` prints the tables of the development part; with --held-out, those of both parts,
as in docs/diagnosis.md; with --each, what is said of each training of one part.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from diagnosis import HEALTHY, SPEC, Case, cases, kept
from genlab.evaluation.diagnosis import FEWEST, WARM_UP, Diagnosis, diagnose
from genlab.evaluation.diagnosis.evidence import Evidence, Measured, curves_of, known_of
from genlab.families.registry import FAMILIES
from genlab.recipe import files

FLAWLESS = 0.001
"""Share of wrong answers assumed for a healthy classifier that makes no mistakes, since nothing is a multiple of 0."""
LATE = 0.1
"""Share of a training by which the onset of a finding may be off from the planted step."""


@dataclass(frozen=True)
class Judged:
    """What was said of a training.

    Attributes:
        said: diagnosis at the end.
        false: faults found at some evaluation after the warm-up of a healthy training, and the first step of each.
        level: level of the worst expected finding made at the end; None if none was made.
        onset: steps between which that finding began; None if none was made.
        counts: whether the training counts: a natural failure only if it ended worse than its healthy counterpart or
            failed outright, a healthy training only if it ended well.
    """

    case: Case
    said: Diagnosis
    false: tuple[tuple[str, int], ...]
    level: str | None
    onset: tuple[int, int] | None
    counts: bool

    @property
    def found(self) -> bool:
        """Whether one of the expected findings was made."""
        return self.level is not None

    @property
    def in_time(self) -> bool:
        """Whether a failure that was planted late was dated to within a tenth of the training."""
        if not self.case.planted or self.onset is None:
            return True
        before, first = self.onset
        slack = LATE * self.case.steps
        return before - slack <= self.case.planted <= first + slack


def evidence_of(record: Mapping[str, Any]) -> Evidence:
    """What rules may look at, from the record of a training."""
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
    """How a training ended (smaller is better): distance over that of real images, or share of wrong answers."""
    if record["evaluations"]:
        value, floor = record["evaluations"][-1]["metrics"]["frechet_distance"]
        return None if value is None or not floor else value / floor
    accuracy = [row["test_accuracy"] for row in record["rows"] if row.get("test_accuracy") is not None]
    return 1 - accuracy[-1] if accuracy else None


def judged(case: Case, record: Mapping[str, Any], best: float | None, worse: float, far: float) -> Judged:
    """What the rules say of a training.

    Args:
        best: how the healthy training of the same system and dataset ended.
        worse: factor by which a natural failure must be worse to count.
        far: distance from which a training meant to be healthy does not count.
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
        is_worse = ended is not None and best is not None and ended >= worse * max(best, FLAWLESS)
        counts = not case.natural or is_worse or record["state"] == "failed"
    level, onset = (named[0].level, named[0].since) if named else (None, None)
    return Judged(case, said, tuple(false.items()), level, onset, counts)


def everything(held_out: bool) -> Iterator[Judged]:
    """What is said of each recorded training of a part."""
    spec = yaml.safe_load(SPEC.read_text("utf-8"))
    records = {record["key"]: record for kind in (HEALTHY, *spec["kinds"]) for record in kept(kind)}
    for case in cases(spec):
        if case.held_out == held_out and case.key in records:
            healthy = records.get(f"{HEALTHY}/{case.system}/{case.dataset}/0")
            best = None if healthy is None else outcome(healthy)
            yield judged(case, records[case.key], best, spec["worse"], spec["far"])


PARTS = {False: "development", True: "held out"}


def table(found: Mapping[bool, Sequence[Judged]]) -> str:
    """The outcome as a table in Markdown: for each part, one row per kind of failure and one for all of them.

    Args:
        found: trainings by whether they are held out.
    """
    lines = [
        "| part | kind | trainings | found as a fault | as a warning | missed | dated correctly |",
        f"{'|---' * 7}|",
    ]
    for held_out, all_of_it in found.items():
        failing = [each for each in all_of_it if each.case.kind != HEALTHY and each.counts]
        kinds = dict.fromkeys(each.case.kind for each in failing)
        lines += [_row(PARTS[held_out], kind, [each for each in failing if each.case.kind == kind]) for kind in kinds]
        lines.append(_row(f"**{PARTS[held_out]}**", "**all failing**", failing))
    return "\n".join(lines)


def _row(part: str, name: str, those: Sequence[Judged]) -> str:
    levels = [each.level for each in those]
    missed, late = levels.count(None), [each for each in those if each.case.planted]
    in_time = f"{sum(each.in_time and each.found for each in late)} of {len(late)}" if late else ""
    count = levels.count("fault"), levels.count("warning"), missed
    return f"| {part} | {name} | {len(those)} | {' | '.join(map(str, count))} | {in_time} |"


def healthy_table(found: Mapping[bool, Sequence[Judged]]) -> str:
    """Table of the healthy trainings per system: how many had no fault at any evaluation after the warm-up."""
    lines = ["| part | system | trainings | counted | without a false fault |", "|---|---|---|---|---|"]
    for held_out, all_of_it in found.items():
        healthy = [each for each in all_of_it if each.case.kind == HEALTHY]
        systems = {name: [e for e in healthy if e.case.system == name] for name in _systems(healthy)}
        for name, those in {**systems, "**all**": healthy}.items():
            counted = [each for each in those if each.counts]
            clean = sum(not each.false for each in counted)
            lines.append(f"| {PARTS[held_out]} | {name} | {len(those)} | {len(counted)} | {clean} |")
    return "\n".join(lines)


def _systems(those: Sequence[Judged]) -> list[str]:
    return list(dict.fromkeys(each.case.system for each in those))


def words(found: Mapping[bool, Sequence[Judged]]) -> str:
    """Shares of each part with their exact 95 % intervals, and every miss and false fault."""
    said = []
    for held_out, all_of_it in found.items():
        failing = [each for each in all_of_it if each.case.kind != HEALTHY and each.counts]
        healthy = [each for each in all_of_it if each.case.kind == HEALTHY and each.counts]
        missed = [each.case.key for each in failing if not each.found]
        false = [f"{each.case.key} ({', '.join(dict(each.false))})" for each in healthy if each.false]
        late = [each.case.key for each in failing if each.found and not each.in_time]
        found_share, clean = (
            _share(len(failing) - len(missed), len(failing)),
            _share(len(healthy) - len(false), len(healthy)),
        )
        said += [
            f"{PARTS[held_out].capitalize()}: {found_share} failures were found, and {clean} healthy trainings had no "
            "fault at any evaluation after the warm-up.",
            f"Missed: {', '.join(missed) or 'none'}. Dated wrongly, by more than a tenth of the training: "
            f"{', '.join(late) or 'none'}. False faults: {', '.join(false) or 'none'}.",
        ]
    return "\n\n".join(said)


def _share(k: int, n: int) -> str:
    if not n:
        return "0 of 0"
    low, high = exact_interval(k, n)
    return f"{k} of {n} ({100 * k / n:.1f} %, exact 95 % interval {100 * low:.1f} to {100 * high:.1f} %)"


def exact_interval(k: int, n: int) -> tuple[float, float]:
    """95 % interval of Clopper and Pearson (1934) for a share of k in n."""
    from scipy.stats import beta

    low = 0.0 if k == 0 else float(beta.ppf(0.025, k, n - k + 1))
    high = 1.0 if k == n else float(beta.ppf(0.975, k + 1, n - k))
    return low, high


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--held-out", action="store_true")
    parser.add_argument("--each", action="store_true", help="print the diagnosis of each training")
    options = parser.parse_args()
    if not options.each:
        found = {part: list(everything(part)) for part in ((False, True) if options.held_out else (False,))}
        print(table(found), healthy_table(found), words(found), sep="\n\n")
        return
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
