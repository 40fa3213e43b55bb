"""How a study was done, worded for a paper."""

from __future__ import annotations

from pathlib import Path

from genlab.errors import counted
from genlab.evaluation.catalogue import METRICS
from genlab.study.design import ALPHA
from genlab.study.outcome import Outcome
from genlab.study.quantities import needs_images
from genlab.study.sentences import EXACTLY


def methods(found: Outcome) -> str:
    """Paragraph for a paper: data, N, judge, seeds, test, correction, hardware."""
    plan, study = found.plan, found.plan.study
    data = " and ".join(sorted({Path(arm.recipe.data.name).name for arm in plan.arms}))
    budgets = sorted({arm.share.words for arm in plan.arms})
    so_far = f"So far {len(found.records)} of {len(plan.cells)} runs exist. " if found.missing else ""
    said = [
        f"{so_far}{_each(len(plan.arms))} of {study.recipe} {'is' if so_far else 'was'} trained on {data} with "
        f"{len(plan.seeds)} random seeds, for {' or '.join(budgets)} of the recipe's budget."
    ]
    if any(map(needs_images, study.quantities.values())):
        said.append(
            f"{plan.images:,} images of each run were measured against the test split, in {_features(found)}, not "
            "Inception's."
        )
    said.append(_tests(found))
    if len(found.hardware) > 1:
        said.append("Seeds ran on several kinds of machine, so arms were compared within each kind.")
    if found.mixed:
        said.append(f"In {counted(len(found.mixed), 'seed')} the arms ran on several kinds of machine.")
    if found.diverged:
        counts, has = ("counts", "has") if len(found.diverged) == 1 else ("count", "have")
        runs = counted(len(found.diverged), "run")
        said.append(
            f"{runs} diverged and {counts} with the numbers of the untrained model, but {has} no training time."
        )
    if found.failed:
        have = "has" if len(found.failed) == 1 else "have"
        said.append(f"{counted(len(found.failed), 'run')} failed and {have} no numbers.")
    machines = found.hardware
    said.append(f"Hardware: {'; '.join(machines)}. Software: {versions(found)}." if machines else "")
    return " ".join(filter(None, said))


def _tests(found: Outcome) -> str:
    """How claims were tested, and since when they and their margins were fixed; empty without a test."""
    plan, study = found.plan, found.plan.study
    many = [sum(len(claim.pairs(plan.names)) for claim in claims.values()) for claims in plan.questions.values()]
    tests = ", ".join(str(n) for n in many if n)
    if not tests:
        return ""
    collected, own = len(found.collected), "the study's own runs" if found.collected else "the runs"
    fixed = f"Claims were stated before {own}. "
    if found.reworded:
        fixed = f"Claims were stated before {own}; the wording of some has changed since. "
    elif found.amended:
        fixed = f"The plan was changed after its first run ({counted(len(found.amended), 'change')}). "
    if collected:
        were = "was" if collected == 1 else "were"
        others = f"{counted(collected, 'run')} {were} collected and may be older than the claims. "
        fixed = others if collected == len(found.records) else fixed + others
    margins = [name for name in study.claims if "margin: " in found.later(name)]
    given = f"given before {own}" + (f", except in {', '.join(margins)}, where it was changed" if margins else "")
    return (
        f"{fixed}Differences of means were tested two-sided by permuting the seeds, "
        f"paired ones by flipping signs ({EXACTLY}); equivalence by two one-sided tests within a margin that was "
        f"{given}. The p-values of all tests of a question ({tests}) were corrected by Holm's method at "
        f"{ALPHA:.0%} for differences and likewise for equivalence; intervals contain the values that the same "
        "test does not reject at its own corrected level.".replace("%", " %")
    )


def _features(found: Outcome) -> str:
    """Whose features compared the images: only a judge gives metrics of classes."""
    known = [metric.name for metric in METRICS.values() if metric.classes]
    judged = any(record.metrics.get(name) is not None for record in found.records.values() for name in known)
    if judged or not found.records:
        return "the features and classes of the dataset's own judge (a frozen classifier)"
    return "the features of a fixed random network, since the dataset has no judge"


def _each(arms: int) -> str:
    return f"Each of {arms} settings" if arms > 1 else "One setting"


def versions(found: Outcome) -> str:
    """Software versions of the runs, each combination once."""
    said = sorted(
        {
            ", ".join(f"{name} {record.where.get(name, '-')}" for name in ("genlab", "torch", "numpy"))
            + f", numerics {record.numerics}"
            for record in found.records.values()
        }
    )
    return "; ".join(said) or "-"
