"""Status of a study, as a table of arms by seeds."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from genlab.engine.console import note
from genlab.engine.stages import about
from genlab.report.tables import Table
from genlab.study.execute import Show, State
from genlab.study.outcome import Outcome
from genlab.study.plan import Cell, Plan

MARKS = {"finished": "done", "diverged": "diverged"}
EVERY = 10.0
"""Seconds between two lines if nothing has happened."""
MOST = 12
"""Most seeds with a column each in a table; of more seeds, only counts are shown."""


def summary(state: State) -> str:
    """One line: how many runs are done, how long the rest takes."""
    done, mine = sum(cell in state.done for cell in state.cells), "" if state.seed is None else f" of seed {state.seed}"
    said = f"{done} of {len(state.cells)} runs{mine} done"
    said += f", {len(state.failed)} failed" if state.failed else ""
    if state.left is not None and (state.waiting or state.at):
        said += f", {about(state.left)} left"
    return said


def lines() -> Show:
    """Function that reports events on standard error, one line each, and the status every ten seconds."""
    told = time.monotonic()

    def show(state: State, line: str) -> None:
        nonlocal told
        if line or time.monotonic() - told > EVERY:
            told = time.monotonic()
            note(f"{line}  ({summary(state)})" if line else summary(state))

    return show


def worth_showing(state: State) -> list[int]:
    """Seeds with runs in progress, and those around them."""
    seeds = list(state.plan.seeds) if state.seed is None else [state.seed]
    busy = [k for k, seed in enumerate(seeds) if any(cell.seed == seed for cell in state.at)]
    first = max(0, min(busy[0] - 3, len(seeds) - MOST)) if busy else 0
    return seeds[first : first + MOST]


def in_a_word(state: State, cell: Cell) -> str:
    """Status of one run, while the study runs."""
    if cell in state.done:
        return MARKS[state.done[cell].state]
    if cell in state.failed:
        return "failed"
    if cell not in state.at:
        return "-"
    facts = state.at[cell]
    if not facts or not facts.get("of"):
        return "starting"
    if facts["step"] >= facts["of"]:
        return str(facts["doing"]).partition(" ")[0]
    return f"{100 * facts['step'] / facts['of']:.0f} %"


def table(found: Outcome) -> Table:
    """One row per arm, one column per seed."""
    plan = found.plan
    if len(plan.seeds) > MOST:
        columns = ("arm", "done", "diverged", "failed", "missing")
        return Table(plan.title, columns, [_counts(found, arm) for arm in plan.names], numeric=columns[1:])
    rows = [(arm, *(_state(found, Cell(arm, seed)) for seed in plan.seeds)) for arm in plan.names]
    return Table(plan.title, ("arm", *(f"seed {seed}" for seed in plan.seeds)), rows)


def _counts(found: Outcome, arm: str) -> tuple[str, ...]:
    states = [_state(found, cell) for cell in found.plan.cells if cell.arm == arm]
    done = sum(state in ("done", "stale") for state in states)
    return (arm, *map(str, (done, states.count("diverged"), states.count("failed"), states.count("-"))))


def _state(found: Outcome, cell: Cell) -> str:
    if cell in found.records:
        return "stale" if found.records[cell].is_stale else MARKS[found.records[cell].state]
    return "failed" if cell in found.failed else "damaged" if cell in found.unusable else "-"


def remarks(found: Outcome) -> list[str]:
    """Remarks that belong beside the table."""
    done, all_ = len(found.records), len(found.plan.cells)
    lines = [f"{done} of {all_} runs done" + ("" if found.missing else "; complete")]
    lines += _missing(found) if len(found.plan.seeds) > MOST and found.records else []
    lines += [f"failed: {cell.arm}, seed {cell.seed}: {why}" for cell, why in found.failed.items()]
    lines += [f"not used: {why}" for why in found.unusable.values()]
    if found.stale:
        names = ", ".join(cell.name for cell in found.stale[:6])
        lines.append(
            f"stale: {names}{', ...' if len(found.stale) > 6 else ''}: recorded by a version that computes different "
            "numbers; study run --anew redoes them"
        )
    if len(found.hardware) > 1:
        lines.append("seeds ran on several kinds of machine: arms are compared within each kind")
    if found.mixed:
        listed = ", ".join(map(str, found.mixed[:6]))
        lines.append(
            f"arms of one seed ran on several kinds of machine (seed {listed}), which may explain a difference "
            "within a seed"
        )
    return lines


def _missing(found: Outcome) -> list[str]:
    """Which seeds are missing, if the table has no column for each: arms that miss the same ones in one line."""
    arms: dict[tuple[int, ...], list[str]] = {}
    for name in found.plan.names:
        arms.setdefault(tuple(cell.seed for cell in found.missing if cell.arm == name), []).append(name)
    every = len(arms) == 1
    return [
        f"missing: {'' if every else ', '.join(names) + ', '}seed{'s' if len(seeds) > 1 else ''} {_ranges(seeds)}"
        for seeds, names in arms.items()
        if seeds
    ]


def _ranges(seeds: Sequence[int]) -> str:
    """Seeds in order, as in 0-2, 5, 7-19."""
    parts: list[list[int]] = []
    for seed in sorted(seeds):
        if parts and seed == parts[-1][-1] + 1:
            parts[-1].append(seed)
        else:
            parts.append([seed])
    return ", ".join(f"{part[0]}-{part[-1]}" if len(part) > 2 else ", ".join(map(str, part)) for part in parts)


def as_json(found: Outcome) -> dict[str, Any]:
    """Table and remarks as plain values."""
    plan: Plan = found.plan
    return {
        "study": plan.title,
        "runs": [{"arm": c.arm, "seed": c.seed, "state": _state(found, c)} for c in plan.cells],
        "remarks": remarks(found),
        "table": found.digest,
    }
