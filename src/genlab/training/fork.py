"""Fork a run: begin a new run at one of its steps, with the weights and optimisers of that step and other settings."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from genlab.data import Dataset
from genlab.engine import threads
from genlab.engine.console import note
from genlab.engine.files import check_text, refusals
from genlab.engine.stages import advance, stage
from genlab.errors import CheckpointError, StorageError, UsageError
from genlab.families.base import Validates
from genlab.recipe import Recipe, files
from genlab.recipe.schedule import Schedule
from genlab.runs import checkpoint
from genlab.runs.directory import RunDirectory
from genlab.runs.housekeeping import PRUNED
from genlab.runs.names import check_name
from genlab.runs.open import OpenRun
from genlab.runs.provenance import (
    check_split,
    describe_networks,
    differences,
    flushes_denormals,
    provenance_of,
    split_of,
    training_machine,
    versions,
)
from genlab.training.assemble import Assembly, assemble, prepare
from genlab.training.blocks import Block
from genlab.training.fit import batches, restore, saved_state
from genlab.training.start import MakeEvaluator, moved_from, start_warm, train_in

SECTIONS = ("objective", "ema", "augmentation", "engine", "logging", "budget.epochs", "budget.max_steps")
OPTIMISERS = ("optimisers", "optimiser")
FIELDS = ("lr", "betas", "momentum", "weight_decay", "schedule", "warmup_steps")
"""What may change: `SECTIONS`, and these fields of the `OPTIMISERS`."""
ALLOWED = "objective, learning rates, betas, weight decay, ema, augmentation, the length, engine, logging"
FOLDERS = {"samples": ".png", "snapshots": ".safetensors", "evaluations": ".json"}
"""Folders of files of single steps, and their extensions, which are copied from the old run."""


@dataclass(frozen=True)
class Begun:
    """The step that a fork begins at.

    Attributes:
        state: checkpoint of that step.
        replayed: number of steps that were repeated to reach it.
        exact: whether the old run had exactly these bits at that step.
        differences: reasons why not, if any.
    """

    state: checkpoint.Checkpoint
    replayed: int
    exact: bool
    differences: list[str]


def fork(
    source: OpenRun,
    at: int,
    overrides: Mapping[str, Any],
    root: Path,
    name: str | None,
    observers: Sequence[object],
    evaluator: MakeEvaluator,
) -> OpenRun:
    """New run that equals `source` up to step `at` and continues with other settings.

    It starts from the newest remaining checkpoint at or before that step. The steps in between, or all of them if there
    is no such checkpoint, are repeated, which is exact if a resume would be.

    Raises:
        UsageError: the step does not exist, nothing is changed, or a change does not fit the state of the old run.
        DataError: the dataset is not the one that the run was trained on.
    """
    began, provenance = source.directory.trained_by(), source.provenance
    wanted = _changed(began, overrides)
    length = Schedule.of(began, provenance["data"]["images"]).total_steps
    if not 1 <= at <= length:
        raise UsageError(f"step {at:,}: {source.path.name} has steps 1 .. {length:,}")
    if provenance["own"]:
        own = ", ".join(sorted(provenance["own"]))
        raise UsageError(f"{source.path.name} was trained from Python with custom parts ({own}) and cannot be forked")
    check_text(source.path, "run")
    check_name(name, root, wanted)
    old, dataset = prepare(began, {})
    check_split(source, dataset, "train")
    test = split_of(source, "test")
    new = assemble(wanted, dataset, provenance["seed"])
    if new.schedule.total_steps <= at:
        raise UsageError(f"step {at:,}: the new recipe ends at step {new.schedule.total_steps:,}")
    before = assemble(old, dataset, provenance["seed"])
    _check_networks(before, new)
    begun = _state_at(source, before, dataset, at)
    described = describe_networks(new.family.examples(new.recipe, len(dataset.class_names)), new.networks)
    facts = provenance_of(new.recipe, provenance["seed"], dataset, test, described, {})
    if "encoder_from" in provenance:
        facts["encoder_from"] = provenance["encoder_from"]
    facts["forked_from"] = {
        "run": str(source.path.resolve()),
        "id": provenance.get("id"),
        "step": at,
        "replayed": begun.replayed,
        "exact": begun.exact,
        "differences": begun.differences,
        "changes": {path: list(pair) for path, pair in files.diff(began, new.recipe).items()},
    }
    directory = RunDirectory.create(root, new.recipe, provenance["seed"], facts, name)
    run = OpenRun(directory.path)
    with run.directory.locked():
        state = _averaged(begun.state, new)
        _copy(source, run, at, snapshots=state is begun.state)
        checkpoint.save(run.checkpoints, state)
        train_in(run, new, test, None, observers, evaluator, state)
    return run


def _changed(began: Recipe, overrides: Mapping[str, Any]) -> Recipe:
    """Recipe from the step on.

    Raises:
        UsageError: a field may not change, or nothing changes.
    """
    wanted = files.load(files.to_dict(began), overrides)
    changes = files.diff(began, wanted)
    if refused := [path for path in changes if not _is_free(path)]:
        raise UsageError(
            f"{', '.join(refused)}: a fork cannot change this; allowed: {ALLOWED}; otherwise start a new run: "
            "genlab train"
        )
    if not changes:
        raise UsageError("a fork without a change would be the same run; change a field, as in --objective.loss hinge")
    return wanted


def _is_free(path: str) -> bool:
    if any(path == section or path.startswith(f"{section}.") for section in SECTIONS):
        return True
    return path.startswith(OPTIMISERS) and path.rpartition(".")[2] in FIELDS


def _check_networks(before: Assembly, new: Assembly) -> None:
    """Check that the networks keep the names and shapes of their tensors.

    Raises:
        UsageError: a tensor would differ; the message names the first.
    """
    for name, network in new.networks.items():
        old = {key: tuple(value.shape) for key, value in before.networks[name].state_dict().items()}
        now = {key: tuple(value.shape) for key, value in network.state_dict().items()}
        if differ := [key for key in {**old, **now} if old.get(key) != now.get(key)]:
            told = ", ".join(path for path in files.diff(before.recipe, new.recipe) if path.startswith("objective."))
            raise UsageError(
                f"{told}: it changes the {name} ({differ[0]}), and a fork keeps its networks; start a new run: "
                "genlab train"
            )


def _state_at(source: OpenRun, before: Assembly, dataset: Dataset, at: int) -> Begun:
    """State of a run after a step, from a checkpoint or by repeating steps."""
    saved = _before(source, at)
    first = saved.step if saved else 0
    moved = differences(source.provenance, {"versions": versions(), "machine": training_machine(before.recipe)})
    moved = moved if first < at else []
    resumed = source.provenance.get("resumed", [])
    moved += [line for entry in resumed if not entry["exact"] for line in entry["differences"]]
    if first < at:
        where = f"the newest checkpoint before it is from step {first:,}" if saved else "there is no earlier checkpoint"
        seconds = (at - first) * _seconds_a_step(source)
        about = f", about {max(1, round(seconds))} s" if seconds else ""
        note(f"step {at:,} of {source.path.name}: {where}; {at - first:,} steps are repeated{about}")
    if saved is None and (origin := source.provenance.get("forked_from")):
        raise CheckpointError(
            f"step {at}: {source.path.name} keeps no checkpoint at or before it, and is a fork itself, whose first "
            f"steps had other settings; choose a later step, or fork {origin['run']}"
        )
    warm = before.family.warm_start
    if saved is None and warm and (asked := warm.asked(before.recipe)):
        start_warm(warm, before, OpenRun(RunDirectory.open(asked).path))
    if saved is None:
        moved += moved_from(before.networks, source.provenance)
    if moved:
        note(f"not bit for bit the same as {source.path.name} at step {at:,}: {'; '.join(moved)}")
    model = before.model()
    if saved:
        restore(model, saved, source.directory)
    x = torch.from_numpy(dataset.images)
    y = None if dataset.labels is None else torch.from_numpy(dataset.labels)
    schedule = replace(before.schedule, total_steps=at)
    columns = [column.name for column in before.family.columns if column.block]
    block = Block(columns, saved.state.get("block") if saved else None)
    with (
        stage(f"repeating {at - first:,} steps", at - first),
        threads.of_training(flushes_denormals(source.provenance)),
    ):
        for step, rows in batches(schedule, before.keyed, after=first):
            with before.keyed.scope("networks", step):
                block.add(model.step(x[rows], None if y is None else y[rows], step))
            if before.schedule.row_at(step, before.recipe):
                block.close()
            if step % schedule.steps_per_epoch == 0 and isinstance(model, Validates):
                model.epoch_ended(None, None, step)  # What it sums over an epoch begins anew.
            advance(1)
    rows_before = [row for row in source.directory.sound_rows() if row["step"] <= at]
    seconds = rows_before[-1]["seconds"] if rows_before else 0.0
    return Begun(saved_state(model, at, seconds, block.state), at - first, not moved, moved)


def _before(source: OpenRun, at: int) -> checkpoint.Checkpoint | None:
    """Newest usable checkpoint at or before a step, or None."""
    for path in reversed(checkpoint.found(source.checkpoints)):
        with suppress(CheckpointError):
            if int(path.name[5:]) <= at:
                found = checkpoint.load(path)
                if not found.state.get(PRUNED):
                    return found
    return None


def _seconds_a_step(source: OpenRun) -> float:
    last = source.directory.last_row()
    return float(last["seconds"]) / last["step"] if last else 0.0


def _averaged(begun: checkpoint.Checkpoint, new: Assembly) -> checkpoint.Checkpoint:
    """State as the new recipe needs it: an average of the weights starts at the current weights, or is removed."""
    of = f"{new.family.sampling.network}." if new.family.sampling else ""
    averages = {f"ema.{key.removeprefix(of)}": value for key, value in begun.tensors.items() if key.startswith(of)}
    there = any(key.startswith("ema.") for key in begun.tensors)
    wanted = bool(getattr(new.recipe, "ema", None))
    if there == wanted:
        return begun
    tensors: dict[str, Tensor] = {k: v for k, v in begun.tensors.items() if not k.startswith("ema.")}
    state = {**begun.state, "model": {**begun.state["model"], "ema_updates": 0}}
    return replace(begun, tensors={**tensors, **(averages if wanted else {})}, state=state)


def _copy(source: OpenRun, run: OpenRun, at: int, snapshots: bool) -> None:
    """Copy what the old run had logged, drawn and measured up to the step.

    Args:
        snapshots: whether the old snapshots hold weights of the same kind (averaged or not) as the new run's will.
    """
    with run.directory.appending(after=0) as log:
        for row in source.directory.sound_rows():
            if row["step"] <= at:
                log.append(row)
        log.sync()
    for folder, suffix in FOLDERS.items():
        if folder == "snapshots" and not snapshots:
            continue
        for step in source.steps(folder, suffix):
            if step <= at:
                _copy_file(source.file(folder, step, suffix), run.file(folder, step, suffix))
    _copy_file(source.path / "samples" / "real.png", run.path / "samples" / "real.png")


def _copy_file(old: Path, new: Path) -> None:
    with refusals(new), suppress(FileNotFoundError):
        try:
            shutil.copyfile(old, new)
        except PermissionError as error:
            raise StorageError(f"{old}: {error.strerror}") from None
