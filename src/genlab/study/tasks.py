"""Task of the process of one run: everything it needs, as plain values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from genlab import data
from genlab.engine import threads
from genlab.recipe import Recipe, files
from genlab.runs.provenance import versions
from genlab.study.folder import Folder
from genlab.study.plan import Cell, Load, Plan
from genlab.study.record import in_words
from genlab.training.assemble import assemble, settle

PINS = ("device", "precision", "memory_format", "threads", "fused_optimiser")
"""Engine settings that are chosen for a whole block, so that all arms of one seed compute alike."""
Pins = dict[str, Any]


def pins_of(recipes: Sequence[Mapping[str, Any]]) -> tuple[dict[str, Pins], str]:
    """(arm -> engine settings that this machine chooses, the machine in words); half precision only if all choose it.

    Args:
        recipes: name and recipe of each arm, as plain values.
    """
    load = cache(data.load)
    found = {each["arm"]: _pins(files.load(each["recipe"]), load) for each in recipes}
    if len({pins["precision"] for pins in found.values()}) > 1:
        found = {arm: {**pins, "precision": "float32"} for arm, pins in found.items()}
    return found, machine(next(iter(found.values())))


def _pins(recipe: Recipe, load: Load) -> Pins:
    settings = assemble(*settle(recipe, {}, load), seed=0).recipe.engine
    return {name: getattr(settings, name) for name in PINS}


def machine(pins: Pins) -> str:
    """This machine in words, as in records."""
    words = in_words({"processor": threads.processor(), **threads.instructions(), **pins})
    return f"{words}, torch {versions()['torch']}"


def recipes_of(plan: Plan) -> list[dict[str, Any]]:
    """Name and recipe of each arm, for `pins_of`."""
    return [{"arm": arm.name, "recipe": files.to_dict(arm.recipe)} for arm in plan.arms]


def task_of(plan: Plan, cell: Cell, pins: Pins, runs: Path, folder: Folder, keep: bool) -> dict[str, Any]:
    """Task of one run of a plan, for `job.run`.

    Args:
        pins: engine settings of the run.
        runs: folder of the study's runs.
        folder: folder of results, for the run's record.
        keep: whether to keep the run's checkpoints.
    """
    arm = plan.arm(cell.arm)
    recipe = arm.recipe.model_copy(update={"engine": arm.recipe.engine.model_copy(update=pins)})
    code = plan.code if arm.own_code else None
    return {
        "study": plan.title,
        "arm": cell.arm,
        "seed": cell.seed,
        "recipe": files.to_dict(recipe),
        "quantities": [quantity.model_dump(mode="json") for quantity in plan.study.quantities.values()],
        "images": plan.images,
        "folder": str((runs / cell.name).resolve()),
        "record": str(folder.record_path(cell).resolve()),
        "sample": str(folder.sample_path(cell).resolve()),
        "code": code and {"path": str(code.path), "sha256": code.sha256, "name": code.names[cell.arm]},
        "keep": keep,
    }
