"""What is wrong with a training, and what is not: rules over its rows and evaluations, in the field's terms.

`diagnose` asks every rule. A rule is a pure function of an `Evidence` that gives findings, or says what it lacks.
"""

from __future__ import annotations

from dataclasses import replace

from genlab.evaluation.diagnosis import game, learning, optimisation, samples
from genlab.evaluation.diagnosis.evidence import Evidence
from genlab.evaluation.diagnosis.finding import CannotTell, Diagnosis, Finding, ordered

__all__ = ["CannotTell", "Diagnosis", "Evidence", "Finding", "diagnose"]
AT_ONCE = optimisation.RULES
"""Rules whose faults are never too early to tell."""
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
"""What explains that other things go wrong, each also what stands behind it."""
WARM_UP, FEWEST = 0.2, 200
"""The share of a training, and the steps, before which what others find is a warning: it may pass."""


def diagnose(evidence: Evidence) -> Diagnosis:
    """All that is to be said of a training, the worst first."""
    early = evidence.step < max(FEWEST, WARM_UP * (evidence.total or 0))
    findings: list[Finding] = []
    unknown: list[CannotTell] = []
    for rule in (*AT_ONCE, *PATIENT):
        for said in rule(evidence):
            if isinstance(said, CannotTell):
                unknown.append(said)
            else:
                findings.append(said.warned() if early and rule in PATIENT else said)
    return Diagnosis(evidence.step, ordered(_explained(findings)), tuple(unknown))


def _explained(findings: list[Finding]) -> list[Finding]:
    """Of a fault of the optimisation, which comes with its cause, what else went wrong from then on is a consequence: a
    warning that says so."""
    roots = [each for each in findings if each.name in ROOTS and each.level == "fault" and each.until is None]
    return [replace(each, level="warning", follows=of) if (of := _root(each, roots)) else each for each in findings]


def _root(finding: Finding, roots: list[Finding]) -> str:
    """The name of the fault that a finding follows from; empty where there is none."""
    if finding.level not in ("fault", "warning") or finding.since is None:
        return ""
    place = ROOTS.index(finding.name) if finding.name in ROOTS else len(ROOTS)
    before = [
        root for root in roots if ROOTS.index(root.name) < place and root.since and root.since[0] <= finding.since[1]
    ]
    return min(before, key=lambda root: ROOTS.index(root.name)).name if before else ""
