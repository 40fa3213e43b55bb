"""Outcome of a study: its records as numbers, and the verdicts from these alone."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from genlab.study.claims import Verdict, decide
from genlab.study.design import lacking
from genlab.study.folder import Folder
from genlab.study.plan import Cell, Plan
from genlab.study.record import Record, digest


@dataclass(frozen=True)
class Outcome:
    """Present state of a study.

    Attributes:
        records: records of the runs so far; `unusable`: why others are not used; `failed`: why runs were given up.
        values: quantity -> arm -> seed -> number.
        verdicts: verdicts by claim.
        amended: changes to the plan since the first run, each with its date.
        collected: runs that the study did not make itself; they may be older than its claims.
    """

    plan: Plan
    records: dict[Cell, Record]
    unusable: dict[Cell, str]
    failed: dict[Cell, str]
    values: dict[str, dict[str, dict[int, float]]]
    verdicts: dict[str, Verdict]
    amended: list[dict[str, Any]]
    collected: list[Cell]

    @property
    def missing(self) -> list[Cell]:
        """Runs without a record."""
        return [cell for cell in self.plan.cells if cell not in self.records]

    @property
    def diverged(self) -> list[Cell]:
        return [cell for cell, record in self.records.items() if record.state == "diverged"]

    @property
    def stale(self) -> list[Cell]:
        return [cell for cell, record in self.records.items() if record.is_stale]

    @property
    def digest(self) -> str:
        """Hash of the table, which is equal however the study was run."""
        return digest(list(self.records.values()))

    @property
    def reworded(self) -> bool:
        """Whether the plan was changed, but only in the wording of its question and its claims."""
        paths = [line.split(": ", 1)[0] for entry in self.amended for line in entry["changes"]]
        return bool(paths) and all(path == "question" or path.endswith(".says") for path in paths)

    def later(self, claim: str) -> str:
        """Sentence saying what of a claim was set when runs already existed; empty if all was fixed before."""
        of = self.plan.study.claims[claim].of
        places = (f"claims.{claim}.", f"quantities.{of}.")
        said = []
        for entry in self.amended:
            lines = [
                line.removeprefix(place) for line in entry["changes"] for place in places if line.startswith(place)
            ]
            told = [line for line in lines if line.split(": ", 1)[0] not in ("says", "question")]
            if told and entry["records"]:
                what = (
                    "added"
                    if any(line.startswith("kind: none ->") for line in told)
                    else f"changed ({'; '.join(told)})"
                )
                said.append(f"{what} when {entry['records']} of {len(self.plan.cells)} runs were done")
        return f"The claim was {', then '.join(said)}." if said else ""

    @property
    def machines(self) -> dict[tuple[str, int], str]:
        """Arm and seed -> kind of machine that ran it."""
        return machines_of(self.records)

    @property
    def hardware(self) -> list[str]:
        """Every machine that ran a seed of an arm, sorted."""
        return sorted({record.machine for record in self.records.values()})

    @property
    def mixed(self) -> list[int]:
        """Seeds whose arms did not all run on one kind of machine."""
        found: dict[int, set[str]] = {}
        for cell, record in self.records.items():
            found.setdefault(cell.seed, set()).add(record.machine)
        return [seed for seed, machines in found.items() if len(machines) > 1]

    @property
    def csv(self) -> str:
        """All runs: arm, seed, state, each quantity, final weights, and the time, apart in the last column."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["arm", "seed", "state", *self.values, "weights", "seconds"])
        for cell in self.plan.cells:
            record = self.records.get(cell)
            state = record.state if record else "failed" if cell in self.failed else "missing"
            numbers = [self.values[name].get(cell.arm, {}).get(cell.seed) for name in self.values]
            cells = ["" if number is None else repr(number) for number in numbers]
            tail = [record.weights[:16], record.seconds] if record else ["", ""]
            writer.writerow([_inert(cell.arm), cell.seed, state, *cells, *tail])
        return text.getvalue()

    @property
    def as_json(self) -> dict[str, Any]:
        """Verdicts as plain values, with null for numbers that are not finite."""
        return {
            "study": self.plan.title,
            "table": self.digest,
            "runs": len(self.records),
            "of": len(self.plan.cells),
            "failed": len(self.failed),
            "diverged": len(self.diverged),
            "verdicts": {name: plain(asdict(verdict)) for name, verdict in self.verdicts.items()},
        }


def outcome(plan: Plan, folder: Folder) -> Outcome:
    """Outcome of the records in a folder.

    Raises:
        DataError: the folder's plan.json is damaged.
    """
    records, unusable = folder.records(plan)
    failures = folder.failures()
    failed = {cell: failures[cell.arm, cell.seed] for cell in plan.cells if (cell.arm, cell.seed) in failures}
    failed = {cell: why for cell, why in failed.items() if cell not in records}
    began = folder.began
    values = values_of(plan, records)
    share = {arm.name: arm.share.words for arm in plan.arms if not arm.share.is_whole}
    verdicts = verdicts_of(plan, values, share, machines_of(records))
    if len(records) < len(plan.cells):
        counted = {name for name, each in plan.study.quantities.items() if each.kind == "parameters"}
        verdicts = {name: replace(each, so_far=each.of not in counted) for name, each in verdicts.items()}
    taken = folder.collected()
    collected = [cell for cell in records if (cell.arm, cell.seed) in taken]
    return Outcome(plan, records, unusable, failed, values, verdicts, began["amended"] if began else [], collected)


def machines_of(records: Mapping[Cell, Record]) -> dict[tuple[str, int], str]:
    """Arm and seed -> kind of machine that ran it."""
    return {(cell.arm, cell.seed): record.machine for cell, record in records.items()}


def values_of(plan: Plan, records: Mapping[Cell, Record]) -> dict[str, dict[str, dict[int, float]]]:
    """Quantity -> arm -> seed -> number, from the records that have it."""
    found: dict[str, dict[str, dict[int, float]]] = {}
    for name, quantity in plan.study.quantities.items():
        found[name] = {arm: {} for arm in plan.names}
        for cell in plan.cells:
            value = records[cell].value(quantity) if cell in records else None
            if value is not None:
                found[name][cell.arm][cell.seed] = value
    return found


def verdicts_of(
    plan: Plan,
    values: Mapping[str, Mapping[str, Mapping[int, float]]],
    share: Mapping[str, str],
    machines: Mapping[tuple[str, int], str],
) -> dict[str, Verdict]:
    """Verdicts on all claims, in the order of the file; each question has its own correction."""
    found: dict[str, Verdict] = {}
    counted = {name for name, each in plan.study.quantities.items() if each.kind in ("parameters", "weights")}
    for claims in plan.questions.values():
        found |= decide(claims, values, plan.names, share, machines, counted)
    for name, claim in plan.study.claims.items():
        if missing := lacking(claim, plan.left_out):
            why = f"the profile {plan.profile} does not run {', '.join(missing)}"
            shown = {arm: dict(values[claim.of].get(arm, {})) for arm in claim.named}
            found[name] = Verdict(name, claim.of, "cannot be decided here", why, (), shown)
    return {name: found[name] for name in plan.study.claims}


def plain(value: Any) -> Any:
    """Value for JSON, with None for numbers that are not finite, which JSON does not have."""
    if isinstance(value, Mapping):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _inert(text: str) -> str:
    """Text that no spreadsheet takes for a formula."""
    return f"'{text}" if text[:1] in "=+-@" else text


def latex(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """LaTeX table for a paper (booktabs)."""
    words = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    marks = str.maketrans({**{mark: f"\\{mark}" for mark in "&%$#_{}"}, **words})

    def line(cells: Sequence[str]) -> str:
        return " & ".join(cell.translate(marks) for cell in cells) + r" \\"

    shape = "l" + "r" * (len(columns) - 1)
    body = "\n".join(line(row) for row in rows)
    head = f"\\begin{{tabular}}{{{shape}}}\n\\toprule\n{line(columns)}\n\\midrule\n"
    return f"{head}{body}\n\\bottomrule\n\\end{{tabular}}\n"
