"""Small studies for the tests: runs of a second or two that measure no images."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from genlab.study import design
from genlab.study.folder import Folder
from genlab.study.plan import Cell, Plan, plan
from genlab.study.record import Record, write_record

SMALL: dict[str, Any] = {
    "data.subset": 320,
    "budget.batch": 16,
    "budget.max_steps": 12,
    "networks.generator.ngf": 4,
    "networks.discriminator.ndf": 4,
    "logging.metrics_every": 2,
    "logging.sample_every": None,
    "logging.evaluation": "none",
    "logging.checkpoint_seconds": 0.2,
    "engine.precision": "float32",
}


def raw(**changes: Any) -> dict[str, Any]:
    """Plain values of a study file: two arms, four seeds, one claim."""
    return {
        "schema": 1,
        "name": "small",
        "question": "Does a faster generator have a lower loss?",
        "recipe": "quick-mnist",
        "overrides": SMALL,
        "arms": {"slow": {"optimisers.generator.lr": 0.001}, "fast": {"optimisers.generator.lr": 0.004}},
        "seeds": 4,
        "quantities": {"loss": {"kind": "column", "name": "loss_g_mean", "window": [0.5, 1]}},
        "claims": {
            "lower": {
                "says": "The loss is lower with a faster generator.",
                "kind": "difference",
                "of": "loss",
                "arms": ["fast", "slow"],
                "expect": "lower",
            }
        },
        **changes,
    }


def planned(**changes: Any) -> Plan:
    return _planned(json.dumps(changes))


@cache
def _planned(changes: str) -> Plan:
    return plan(design.check(raw(**json.loads(changes)), "small"), Path())


def record_for(plan: Plan, cell: Cell, value: float = 1.0, **changes: Any) -> Record:
    """Record that a run of that cell would leave."""
    from genlab.engine.version import NUMERICS
    from genlab.study.quantities import key

    facts: dict[str, Any] = {
        "study": plan.title,
        "arm": cell.arm,
        "seed": cell.seed,
        "state": "finished",
        "reason": "",
        "identity": plan.arm(cell.arm).identity,
        "data": "d" * 64,
        "code": None,
        "weights": f"{abs(hash((cell.arm, cell.seed))):016x}",
        "run": f"{cell.arm}{cell.seed}",
        "numerics": NUMERICS,
        "steps": 12,
        "seconds": 1.0,
        "measuring": 0.5,
        "images": 0,
        "parameters": {"generator": 10, "discriminator": 5},
        "metrics": {},
        "quantities": {key(quantity): value for quantity in plan.study.quantities.values()},
        "curves": {"step": [2.0, 6.0, 12.0], "loss_g_mean": [value, value, value]},
        "exact": True,
        "where": {"processor": "P", "capability": "AVX2", "device": "cpu", "threads": 1, "precision": "float32"},
    }
    return Record(**{**facts, **changes})


def leave(folder: Folder, plan: Plan, cell: Cell, value: float = 1.0, **changes: Any) -> Record:
    """Write the record that a run of that cell would leave into a results folder."""
    record = record_for(plan, cell, value, **changes)
    folder.record_path(cell).parent.mkdir(parents=True, exist_ok=True)
    write_record(folder.record_path(cell), record)
    return record
