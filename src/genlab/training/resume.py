"""Resume a run: when that is allowed, from which checkpoint, and whether the result is exact.

Exact means that the run ends with the same bits as if it had never been stopped. It is promised for the same machine,
PyTorch and thread count. More epochs are exact if every learning rate is constant, and refused otherwise: a decaying
schedule spans the whole length, so a longer training has other rates from its start.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from genlab.engine.files import check_text
from genlab.errors import CheckpointError, DataError, GenlabError, UsageError
from genlab.families.gan.losses import AdversarialLoss
from genlab.recipe import Recipe, files
from genlab.recipe.schedule import Schedule
from genlab.recipe.text import spelled
from genlab.runs import checkpoint
from genlab.runs.directory import RunDirectory
from genlab.runs.housekeeping import check_trainable
from genlab.runs.open import OpenRun
from genlab.runs.provenance import (
    SPLITS,
    check_split,
    data_is_there,
    differences,
    now,
    split_facts,
    split_of,
    test_is_recorded,
    training_machine,
    versions,
)
from genlab.runs.record import Provenance, Resumed
from genlab.runs.verify import missing_rows
from genlab.training.assemble import assemble, prepare
from genlab.training.start import MakeEvaluator, moved_from, start_warm, train_in


def resume(
    run: OpenRun,
    objective: AdversarialLoss | None,
    observers: Sequence[object],
    evaluator: MakeEvaluator,
    epochs: int | None,
    overrides: Mapping[str, Any],
    strict: bool,
) -> bool:
    """Continue from the newest checkpoint that verifies, or from the start if none was written yet.

    Args:
        epochs: number of epochs, if more than the recipe's; None keeps the recipe's.
        overrides: overrides of the recipe's `engine` section; no others are allowed.
        strict: whether to refuse if the newest checkpoint is damaged.

    Returns:
        Whether anything was left to train.

    Raises:
        UsageError: the recipe or custom parts are not those of the run, or may not be changed.
        DataError: the dataset is not the one that the run was trained on.
        CheckpointError: no checkpoint is usable, or (`strict`) the newest is not.
        BusyError: another process writes to the run.
    """
    check_text(run.path, "run")
    with run.directory.locked():
        provenance = run.directory.provenance
        _check_parts(run, provenance["own"], objective)
        began = run.directory.trained_by()
        wanted = _changed(began, epochs, overrides)
        _check_recipe(run, began, wanted)
        saved = _saved(run, strict)
        step, schedule = (saved.step if saved else 0), Schedule.of(wanted, provenance["data"]["images"])
        if step >= schedule.total_steps:
            for split in SPLITS if data_is_there(run) else ():
                split_of(run, split)
            steps, epochs = wanted.budget.max_steps, wanted.budget.epochs
            end = f"it ends at budget.max_steps {steps:,}" if steps else f"--epochs above {epochs} continues it"
            warnings.warn(f"run {run.path.name} is already finished; nothing was trained ({end})", stacklevel=4)
            _heal_status(run, step, schedule)
            return False
        if saved:
            check_trainable(saved, run.directory)
        test = split_of(run, "test")
        recipe, dataset = prepare(wanted, {})
        check_split(run, dataset, "train")
        if not test_is_recorded(run):
            warnings.warn(
                f"run {run.path.name}: the older version that began it did not record the test split; the present one "
                "is used and recorded",
                stacklevel=4,
            )
            provenance["data"]["test"] = split_facts(test)
        _say_lost_rows(run, step)
        assembly = assemble(recipe, dataset, provenance["seed"], run.custom, provenance["own"])
        recipe = assembly.recipe
        warm = assembly.family.warm_start
        if saved is None and warm and (asked := warm.asked(recipe)):
            start_warm(warm, assembly, OpenRun(RunDirectory.open(asked).path))
        moved = moved_from(assembly.networks, provenance) if saved is None else []
        _note(run, provenance, began, recipe, step, moved)
        run.reread()
        train_in(run, assembly, test, objective, observers, evaluator, saved)
        return True


def _heal_status(run: OpenRun, step: int, schedule: Schedule) -> None:
    """Record that the run is finished, with the facts of the old status if it can be read."""
    known: dict[str, Any] = {"total_steps": schedule.total_steps}
    try:
        known |= run.status
    except DataError as error:
        warnings.warn(f"{str(error).partition(';')[0]}; rewritten", stacklevel=5)
        with suppress(DataError, IndexError):
            known["seconds"] = run.metrics()[-1]["seconds"]
    run.directory.set_status(**{**known, "state": "finished", "step": step})


def _say_lost_rows(run: OpenRun, step: int) -> None:
    lost = missing_rows(run.directory, step)
    if lost:
        warnings.warn(
            f"{run.path / 'metrics.jsonl'}: {len(lost)} rows are missing, the first at step {lost[0]}", stacklevel=5
        )


def _check_parts(run: OpenRun, own: Mapping[str, str], objective: AdversarialLoss | None) -> None:
    if "objective" in own and objective is None:
        raise UsageError(
            f"{run.path.name} was trained with a custom objective; from Python: genlab.train(resume=..., objective=...)"
        )
    extra = sorted({*run.custom, *(["objective"] if objective else [])} - own.keys())
    if extra:
        raise UsageError(f"run {run.path.name} was trained with the recipe's {' and '.join(extra)}; pass none")


def _changed(began: Recipe, epochs: int | None, overrides: Mapping[str, Any]) -> Recipe:
    """The run's recipe with the changes that are allowed: more epochs, and its engine."""
    fixed = [path for path in overrides if not path.startswith("engine.")]
    if fixed:
        raise UsageError(
            f"a resumed run keeps its recipe; {', '.join(fixed)} cannot be changed (--epochs and --engine.FIELD can)"
        )
    changes = dict(overrides)
    if epochs is not None and epochs != began.budget.epochs:
        _check_longer(began, epochs)
        changes["budget.epochs"] = epochs
    return files.load(files.to_dict(began), changes) if changes else began


def _check_longer(began: Recipe, epochs: int) -> None:
    """Check that a training can be made longer as if it had been longer from its start."""
    if epochs < began.budget.epochs:
        raise UsageError(f"the run has {began.budget.epochs} epochs; resuming can only make it longer")
    if began.budget.max_steps is not None:
        raise UsageError(
            f"the run ends at budget.max_steps {began.budget.max_steps}, whatever the number of epochs; start a new run"
        )
    plain = files.to_dict(began)
    sections = {f"optimisers.{name}": section for name, section in plain.get("optimisers", {}).items()}
    sections |= {"optimiser": plain["optimiser"]} if "optimiser" in plain else {}
    for path, section in sections.items():
        if section["schedule"] != "constant":
            raise UsageError(
                f"{path}.schedule is {section['schedule']}: a training of {epochs} epochs would have had "
                f"different learning rates from its first step; start a new run with --epochs {epochs} (only a run "
                "with constant rates can be extended)"
            )


def _check_recipe(run: OpenRun, began: Recipe, wanted: Recipe) -> None:
    """Check that recipe.yaml is what the run began with, or the wanted one, as a kill during that change leaves it."""
    file = run.path / "recipe.yaml"
    try:
        there = files.load(file)
    except GenlabError as error:
        warnings.warn(f"{str(error).splitlines()[0]}; rewritten with the run's original recipe", stacklevel=5)
        run.directory.set_recipe(began)
        return
    changed = files.diff(began, there)
    if changed and files.diff(wanted, there):
        words = files.in_words(changed)
        raise UsageError(
            f"{file} was changed after the run began: {words}; restore it, or delete it to have it rewritten"
        )


def _saved(run: OpenRun, strict: bool) -> checkpoint.Checkpoint | None:
    if not checkpoint.found(run.checkpoints):
        if origin := run.directory.provenance.get("forked_from"):
            raise CheckpointError(
                f"{run.path}: no checkpoint is left, and a fork cannot begin at its first step; fork "
                f"{origin['run']} at step {origin['step']} again"
            )
        return None
    saved, damaged = checkpoint.newest(run.checkpoints)
    if damaged and strict:
        raise CheckpointError(
            f"{damaged[0].partition('; using ')[0]}; without --strict the run resumes at step {saved.step}"
        )
    for line in damaged:
        warnings.warn(line, stacklevel=5)
    return saved


def _note(run: OpenRun, provenance: Provenance, began: Recipe, recipe: Recipe, step: int, moved: Sequence[str]) -> None:
    """Record where and with which changes the run continues, and warn if it is no longer exact."""
    changes = {path: [old, new] for path, (old, new) in files.diff(began, recipe).items()}
    moved = [*moved, *differences(provenance, {"versions": versions(), "machine": training_machine(recipe)})]
    moved += [
        f"{path} {spelled(old)} -> {spelled(new)}"
        for path, (old, new) in changes.items()
        if path.startswith("engine.") and path.rpartition(".")[2] not in ("device", "threads", "precision")
    ]
    if moved:
        warnings.warn(f"resuming, but not bit for bit equal to an uninterrupted run: {'; '.join(moved)}", stacklevel=5)
    entry: Resumed = {"at": now(), "step": step, "exact": not moved, "differences": moved, "changes": changes}
    if changes:
        run.directory.set_recipe(recipe)
    resumed = [*provenance.get("resumed", []), entry]
    run.directory.set_provenance({**provenance, "recipe": files.to_dict(recipe), "resumed": resumed})
