"""What is wrong with a run, from what it has on disk."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from genlab.api.run import Run
from genlab.api.train import place_of
from genlab.engine import seals
from genlab.engine.files import write_json
from genlab.errors import DataError
from genlab.evaluation.diagnosis import Diagnosis, diagnose
from genlab.evaluation.diagnosis.evidence import Evidence, Measured, curves_of, known_of
from genlab.evaluation.diagnosis.remedies import proposed
from genlab.families.registry import FAMILIES
from genlab.runs.open import OpenRun

FILE = "diagnosis.json"


def evidence_of(run: OpenRun) -> Evidence:
    """What the rules may look at of a run: its sound rows, its evaluations, its recipe."""
    recipe, directory = run.directory.trained_by(), run.directory
    rows = directory.sound_rows()
    status = directory.status
    measured = []
    for step in run.steps("evaluations", ".json"):
        with suppress(DataError):  # A damaged one says nothing; `genlab runs verify` names it.
            measured.append(Measured.of(step, directory.read_json(f"evaluations/step-{step:06d}.json")))
    with suppress(DataError):
        full = Measured.of(status["step"], directory.read_json("evaluations/evaluation.json"))
        measured = [each for each in measured if each.step != full.step] + [full]
    data = run.provenance["data"]
    return Evidence(
        step=max([status["step"], *(row["step"] for row in rows[-1:])]),
        total=status.get("total_steps"),
        curves=curves_of(rows, FAMILIES[recipe.family].columns),
        evaluations=tuple(measured),
        known=known_of(recipe, data["images"], len(data["class_names"]), status.get("reason") or ""),
    )


def diagnosis_of(run: str | Path | Run, *, runs: str | Path | None = None, keep: bool = True) -> Diagnosis:
    """What is wrong with a run, or that nothing is.

    Args:
        run: its path or name, or the run itself.
        runs: the folder of the runs (default: GENLAB_RUNS or ./runs).
        keep: whether diagnosis.json is written into the run.
    """
    opened = Run.at(place_of(run), Path(runs) if runs else None)
    evidence = evidence_of(opened)
    found = diagnose(evidence)
    recipe = opened.directory.trained_by()
    told = []
    for finding in found.findings:
        changes, expect = proposed(finding, recipe, evidence)
        told.append(replace(finding, changes=changes, expect=expect))
    found = replace(found, findings=tuple(told))
    if keep:
        write_json(opened.path / FILE, seals.seal(found.as_json()))
    return found
