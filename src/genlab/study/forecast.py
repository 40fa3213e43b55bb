"""Forecast, before a study is run, of what it can show, how long it takes and how much disk it fills."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from genlab.engine import threads
from genlab.engine.stages import about, stage
from genlab.errors import RunsFailed, counted
from genlab.evaluation import catalogue
from genlab.evaluation.power import detectable, showable
from genlab.evaluation.statistics import variance_within
from genlab.families.registry import FAMILIES
from genlab.report.tables import Table
from genlab.study.design import ALPHA
from genlab.study.folder import Folder
from genlab.study.outcome import Outcome
from genlab.study.plan import Cell, Plan
from genlab.study.processes import Processes
from genlab.study.quantities import needs_images
from genlab.study.sentences import number, p_value
from genlab.study.tasks import pins_of, recipes_of, task_of
from genlab.study.testing import shared_seeds

SECONDS = 2.0
"""Seconds for which the steps of each arm are timed."""
WORKERS, STARTING, REAL = 5.0, 2.0, 2.0
"""Seconds in which the workers start; of a run, before its first step and after its last; and of measuring a run's
images, whatever their number."""
PER_WEIGHT, PICTURES = 4, 1_500_000
"""Bytes of a finished run: per weight, and for its samples and its log."""


@dataclass(frozen=True)
class Forecast:
    """What is shown before anything is run: tables, then lines."""

    tables: list[Table]
    lines: list[str]
    as_json: dict[str, Any]


def forecast(plan: Plan, known: Outcome, workers: int, seed: int | None = None) -> Forecast:
    """Forecast for a plan or one of its seeds, from timed steps of each arm: with one process, and with `workers` (or
    one per core)."""
    many = workers if workers > 1 else max(1, len(threads.allowed()))
    with stage("timing each arm", (len(plan.arms) + 1) * SECONDS):
        alone = {arm.name: _step(plan, [arm.name], 1) for arm in plan.arms}
        slowest = max(alone, key=lambda name: alone[name])
        beside = max(1.0, _step(plan, [slowest], many) / alone[slowest]) if many > 1 else 1.0
    left = [cell for cell in plan.cells if cell not in known.records and seed in (None, cell.seed)]
    each = {arm.name: arm.share.steps * alone[arm.name] + STARTING + _measuring(plan, known) for arm in plan.arms}
    begin, training = WORKERS if left else 0.0, sum(each[cell.arm] for cell in left)
    one, together = begin + training, begin + training * beside / many
    size = sum(_bytes(plan, cell.arm) for cell in left)
    claims = _claims(plan, known)
    arms = Table(
        f"{plan.title}: {counted(len(plan.arms), 'arm')} x {counted(len(plan.seeds), 'seed')}",
        ("arm", "steps", "of its own budget", "ms per step", "time per run"),
        [
            (arm.name, f"{arm.share.steps:,}", arm.share.words, f"{1000 * alone[arm.name]:.1f}", about(each[arm.name]))
            for arm in plan.arms
        ],
        numeric=("steps", "ms per step"),
    )
    done = f"{len(known.records)} of {len(plan.cells)} runs are done; " if known.records else ""
    mine = "" if seed is None else f"seed {seed} only: "
    lines = [
        f"{done}{mine}time with 1 worker: {about(one)}; with {many}: {about(together)} "
        f"(measured: a step takes {beside:.2f} times as long with {counted(many - 1, 'other run')} in "
        "parallel, so "
        + (f"{many / beside:.2f} times faster)" if many > 1.05 * beside else "more workers would not help here)"),
        f"disk: about {size / 1e6:,.0f} MB",
        *_remarks(plan),
    ]
    facts = {
        "study": plan.title,
        "seconds_per_step": alone,
        "seconds": {"1": round(one, 1), str(many): round(together, 1)},
        "beside": beside,
        "bytes": size,
        "claims": claims[1],
    }
    return Forecast([arms, *([claims[0]] if claims[1] else [])], lines, facts)


def _step(plan: Plan, arms: Sequence[str], copies: int) -> float:
    """Seconds per step of an arm, run in `copies` processes at once: those of the slowest."""
    processes, pins = Processes(copies, 60.0), pins_of(recipes_of(plan))[0]
    cells = [Cell(arms[0], seed) for seed in range(copies)]
    for cell in cells:
        task = task_of(plan, cell, pins[cell.arm], Path(), Folder("."), keep=True)
        processes.start(cell, {**task, "measure": SECONDS})
    found: list[float] = []
    until = time.monotonic() + 120
    try:
        while processes.running and time.monotonic() < until:
            for event in processes.hear(1.0):
                if event.kind == "at" and "seconds_per_step" in event.facts:
                    found.append(float(event.facts["seconds_per_step"]))
                elif event.kind == "lost" or event.facts.get("state") == "failed":
                    raise RunsFailed(f"arm {event.cell.arm} cannot be timed: {event.facts['reason']}")
    finally:
        processes.stop()
    return max(found, default=math.nan)


def _measuring(plan: Plan, known: Outcome) -> float:
    """Seconds to measure a run's images: their mean over the runs so far, or an estimate from the catalogue."""
    spent = [record.measuring for record in known.records.values()]
    if spent:
        return float(np.mean(spent))
    metrics = any(map(needs_images, plan.study.quantities.values()))
    if not metrics:
        return 0.0
    return REAL + catalogue.SECONDS * min(1.0, plan.images / 10_000)


def _bytes(plan: Plan, arm: str) -> float:
    from genlab.api.train import show

    shown = show(plan.arm(arm).recipe)
    weights = sum(network.parameters for network in shown.networks)
    return PER_WEIGHT * weights * 1.5 + PICTURES


def _claims(plan: Plan, known: Outcome) -> tuple[Table, list[dict[str, Any]]]:
    """What each claim can show with these seeds."""
    n, facts, rows = len(plan.seeds), [], []
    for question, claims in plan.questions.items():
        tests_of = {name: len(claim.pairs(plan.names)) for name, claim in claims.items()}
        count = sum(tests_of.values())
        # Tests of equivalence are corrected among themselves.
        with_margin = sum(
            tests_of[name] for name, claim in claims.items() if getattr(claim, "margin", None) is not None
        )
        level = ALPHA / max(1, with_margin)
        for name, claim in claims.items():
            if not tests_of[name] or n < 2:
                continue
            pairs = bool(getattr(claim, "paired", False)) or claim.kind == "one arm"
            best = claim.best_p(n) * count
            least = detectable(n, ALPHA / count, pairs) if claim.kind != "trend" else math.nan
            margin = showable(n, level, pairs) if claim.kind in ("difference", "equivalence") else math.nan
            needed = _seeds_for(claim, known, pairs, level)
            rows.append((name, f"{p_value(best)}", _sds(least), _sds(margin), needed))
            facts.append(
                {
                    "claim": name,
                    "question": question,
                    "tests": count,
                    "smallest_corrected_p": best,
                    "detectable_sd": None if not math.isfinite(least) else least,
                    "equivalence_margin_sd": None if not math.isfinite(margin) else margin,
                    "seeds_for_margin": needed,
                }
            )
    columns = ("claim", "smallest p, corrected", "difference found", "equivalence shown", "seeds for its margin")
    title = f"what {n} seeds can show, in 80 of 100 studies (SD: within an arm; for pairs, of their differences)"
    return Table(title, columns, rows, numeric=columns[1:]), facts


def _sds(value: float) -> str:
    return "-" if math.isnan(value) else "never" if math.isinf(value) else f"{value:.2g} SD"


def _seeds_for(claim: Any, known: Outcome, pairs: bool, level: float) -> str:
    """Number of seeds that show equivalence at this level within the claim's margin if the arms are the same, from the
    spread of the runs so far; unknown without runs."""
    margin = getattr(claim, "margin", None)
    if margin is None:
        return "-"
    spread = _spread(claim, known.values[claim.of], pairs, known.machines)
    if spread is None:
        return "not known yet"
    for n in (2, 3, 4, 5, 6, 8, 10, 12, 16):
        if showable(n, level, pairs) * spread <= margin:
            return f"{n} (SD {number(spread)})"
    return f"more than 16 (SD {number(spread)})"


def _spread(
    claim: Any, values: Mapping[str, Mapping[int, float]], pairs: bool, machines: Mapping[tuple[str, int], str]
) -> float | None:
    """Standard deviation within an arm and a kind of machine (of pairs, of their differences); None if unknown."""
    series = {arm: values.get(arm, {}) for arm in claim.named}
    if pairs and len(series) == 2:
        (_, a), (_, b) = series.items()
        apart = [a[seed] - b[seed] for seed in shared_seeds(series, machines)]
        return float(np.std(apart, ddof=1)) if len(apart) > 1 else None
    found = [
        variance_within(np.array(list(each.values())), np.array([machines.get((arm, seed), "") for seed in each]))
        for arm, each in series.items()
    ]
    known = [each for each in found if each is not None]
    return float(np.sqrt(np.mean(known))) if known else None


def _remarks(plan: Plan) -> list[str]:
    said = []
    for k, arm in enumerate(plan.arms):
        same = [other.name for other in plan.arms[:k] if other.identity == arm.identity and not arm.own_code]
        if same and not plan.arm(same[0]).own_code:
            said.append(f"arms {same[0]} and {arm.name} have the same settings: they differ by chance alone")
    if len(plan.seeds) < 2:
        said.append("one seed: no claim can be decided; a verdict needs two seeds or more")
    unused = [arm.name for arm in plan.arms if FAMILIES[arm.recipe.family].sampling is None]
    if unused and any(map(needs_images, plan.study.quantities.values())):
        said.append(f"arms that make no images get no image metrics: {', '.join(unused)}")
    if any(not arm.share.is_whole for arm in plan.arms):
        said.append("less than the recipe's own budget is trained: every verdict will be an indication")
    return said
