"""The diagnosis of a run from what it has on disk, and of a training run in progress."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Literal

from genlab.engine import seals
from genlab.engine.console import note
from genlab.engine.files import write_json
from genlab.errors import Collapsed, DataError, StorageError
from genlab.evaluation import kept
from genlab.evaluation.diagnosis import Diagnosis, Finding, diagnose
from genlab.evaluation.diagnosis.advice import ADVICE
from genlab.evaluation.diagnosis.evidence import Curve, Evidence, Measured, curves_of, known_of
from genlab.evaluation.diagnosis.finding import when
from genlab.evaluation.diagnosis.remedies import proposed
from genlab.families.registry import FAMILIES
from genlab.recipe import Recipe
from genlab.recipe.schedule import Schedule
from genlab.runs.directory import RunDirectory
from genlab.runs.rows import Row

FILE = "diagnosis.json"
TRIED = "tried.json"
"""File with the outcome of the latest attempt to apply what a run's diagnosis proposes."""
COLLAPSES = ("mode-collapse", "z-ignored")


Curves = Mapping[str, Curve]


def evidence_of(run: RunDirectory, curves: Curves | None = None) -> Evidence:
    """What the rules may look at for a run: its sound rows, its evaluations, its recipe.

    Args:
        curves: its curves by role, if its rows were read already.

    Raises:
        DataError: its status or provenance is damaged.
    """
    status = run.status
    if curves is None:
        curves = curves_of(run.sound_rows(), FAMILIES[run.trained_by().family].columns)
    return _evidence(run, curves, status["step"], status.get("total_steps"), status.get("reason") or "")


def _evidence(run: RunDirectory, curves: Curves, step: int, total: int | None, failure: str) -> Evidence:
    recipe, told = run.trained_by(), run.provenance["data"]
    measured = {}
    for at in run.steps("evaluations", ".json"):
        # A damaged record is skipped here; `genlab runs verify` names it.
        if (record := kept.read(run, f"step-{at:06d}.json")) is not None:
            measured[at] = Measured.of(at, record)
    if (record := kept.read(run, kept.FULL_FILE)) is not None and isinstance(at := record["protocol"].get("step"), int):
        measured[at] = Measured.of(at, record)
    return Evidence(
        step=max([step, *(int(curve.steps[-1]) for curve in curves.values() if len(curve))]),
        total=total,
        curves=curves,
        evaluations=tuple(measured[at] for at in sorted(measured)),
        known=known_of(recipe, curves, told["images"], len(told["class_names"]), failure),
    )


def diagnosis_of(run: RunDirectory, keep: bool = True, curves: Curves | None = None) -> Diagnosis:
    """What is wrong with a run, if anything, and what may help.

    Args:
        keep: whether to write diagnosis.json into the run, if that is possible.
        curves: see `evidence_of`.

    Raises:
        DataError: its status or provenance is damaged.
    """
    evidence, recipe = evidence_of(run, curves), run.trained_by()
    found = diagnose(evidence)
    steps = run.steps("snapshots", ".safetensors") if FAMILIES[recipe.family].sampling else []
    once = _kept_once(found.findings, steps)
    found = replace(found, findings=tuple(_advised(each, recipe, evidence) for each in once))
    if keep:
        with suppress(StorageError):  # It can always be computed again.
            write_json(run.path / FILE, seals.seal(found.as_json()))
    return found


def _kept_once(findings: Sequence[Finding], snapshots: Sequence[int]) -> list[Finding]:
    """The findings, with the step to keep named by the first one alone, and whether it has a snapshot."""
    keep = next((each.keep for each in findings if each.keep is not None and each.until is None), None)
    first = [not k and each.until is None for k, each in enumerate(findings)]
    return [
        replace(each, keep=keep if here else None, kept=here and keep in snapshots)
        for each, here in zip(findings, first, strict=True)
    ]


def _advised(finding: Finding, recipe: Recipe, evidence: Evidence) -> Finding:
    """The finding with what may help; one that follows from another, or has healed, needs nothing."""
    if finding.follows or finding.until is not None:
        return finding
    if FAMILIES[recipe.family].own_loop:
        return replace(finding, advice=ADVICE.get(finding.name, ""))
    changes, expect = proposed(finding, recipe, evidence)
    return replace(finding, changes=changes, expect=expect)


class Attentive:
    """Observer that examines a training run after each evaluation and says in one line what begins and what ends.

    Args:
        says: whether it says so.
        stop_on: "collapse": a fault in `COLLAPSES` ends the training, once its step is saved.
    """

    def __init__(self, says: bool = True, stop_on: Literal["collapse"] | None = None) -> None:
        self._says, self._stop_on = says, stop_on
        self._collapse: Finding | None = None

    def started(self, schedule: Schedule, run: RunDirectory, done: int) -> None:
        self.begin(run, schedule.total_steps, [row for row in run.sound_rows() if row["step"] <= done])

    def begin(self, run: RunDirectory, total: int | None, rows: list[Row]) -> None:
        """Start to watch a run of `total` steps (None if unknown), with these rows so far."""
        self._run, self._total, self._rows = run, total, rows
        self._there: dict[str, Finding] = {}

    def stepped(self, step: int, seconds: float) -> None:
        if self._collapse is not None:
            raise Collapsed(
                f"stopped after step {step - 1:,} of {self._total or 0:,}: {self._collapse.title}, "
                f"{when(self._collapse)}; to continue anyway: genlab train --resume {self._run.path}",
                self._run.path,
            )

    def logged(self, row: Row) -> None:
        self._rows.append(row)
        # What is found at the end is reported with the results.
        if ("spread_ratio" in row or "test_loss" in row) and row["step"] != self._total:
            self._look(row["step"])

    def _look(self, step: int) -> None:
        try:
            curves = curves_of(self._rows, FAMILIES[self._run.trained_by().family].columns)
            found = diagnose(_evidence(self._run, curves, step, self._total, ""))
        except DataError:  # Reported elsewhere; the training goes on.
            return
        if self._stop_on:
            grave = [each for each in found.lasting if each.level == "fault" or (each.follows and not each.early)]
            self._collapse = next((each for each in grave if each.name in COLLAPSES), None)
        now = {each.name: each for each in found.lasting}
        if self._says:
            self._say(now, step)
        self._there = now

    def _say(self, now: Mapping[str, Finding], step: int) -> None:
        for name, finding in now.items():
            if self._there.get(name, None) is None or self._there[name].level != finding.level:
                note(_line(finding, self._total))
        for name, finding in self._there.items():
            if name not in now:
                note(f"step {step:,}: resolved: {finding.title}")


def _line(finding: Finding, total: int | None) -> str:
    """The line that reports a finding when it begins."""
    return f"{finding.level.upper()}  {finding.title}, {when(finding, total)}"
