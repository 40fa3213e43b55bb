"""What is wrong with a training run, and what is not: rules over its rows and evaluations, in the field's terms.

`diagnose` asks every rule. A rule is a pure function of an `Evidence` that yields findings, or says what it lacks.
"""

from __future__ import annotations

from dataclasses import replace

from genlab.evaluation.diagnosis import game, learning, optimisation, samples
from genlab.evaluation.diagnosis.evidence import Evidence
from genlab.evaluation.diagnosis.finding import CannotTell, Diagnosis, Finding, ordered

__all__ = ["CannotTell", "Diagnosis", "Evidence", "Finding", "diagnose"]
AT_ONCE = optimisation.RULES
"""Rules whose faults are never too early to report."""
PATIENT = (*game.RULES, *samples.RULES, *learning.RULES)
ROOTS = (
    "wrong-optimiser",
    "learning-rate-too-large",
    "learning-rate-too-small",
    "divergence",
    "discriminator-not-learning",
    "generator-not-learning",
    "posterior-collapse",
)
"""Faults that explain others; each also explains those after it in this list."""
WARM_UP, FEWEST = 0.2, 200
"""Share of the training, and steps, before which a fault that `PATIENT` rules find is only a warning: it may pass."""


def diagnose(evidence: Evidence) -> Diagnosis:
    """Diagnosis of a training run, with the worst findings first."""
    early = evidence.step < max(FEWEST, WARM_UP * (evidence.total or 0))
    findings: list[Finding] = []
    unknown: list[CannotTell] = []
    drawn = evidence.known.drawing or evidence.evaluations  # A classifier never has samples to be judged by.
    for rule in (each for each in (*AT_ONCE, *PATIENT) if drawn or each not in samples.RULES):
        for said in rule(evidence):
            if isinstance(said, CannotTell):
                unknown.append(said)
            else:
                findings.append(said.warned() if early and rule in PATIENT else said)
    return Diagnosis(evidence.step, ordered(_explained(findings)), tuple(unknown))


def _explained(findings: list[Finding]) -> list[Finding]:
    """The findings; whatever went wrong from the time of a root fault on becomes a warning that names that fault."""
    roots = [each for each in findings if each.name in ROOTS and each.level == "fault" and each.until is None]
    return [replace(each, level="warning", follows=of) if (of := _root(each, roots)) else each for each in findings]


def _root(finding: Finding, roots: list[Finding]) -> str:
    """Name of the fault that a finding follows from; empty if there is none."""
    if finding.level not in ("fault", "warning") or finding.since is None:
        return ""
    place = ROOTS.index(finding.name) if finding.name in ROOTS else len(ROOTS)
    before = [
        root for root in roots if ROOTS.index(root.name) < place and root.since and root.since[0] <= finding.since[1]
    ]
    return min(before, key=lambda root: ROOTS.index(root.name)).name if before else ""
