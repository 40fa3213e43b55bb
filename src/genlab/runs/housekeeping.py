"""Free disk space: remove a whole run, or the parts of it that only further training needs."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress

from genlab.engine.files import clean, patiently, refusals
from genlab.errors import CheckpointError, UsageError
from genlab.runs import checkpoint
from genlab.runs.directory import RunDirectory
from genlab.runs.listing import size

PRUNED = "pruned"
"""Key in a checkpoint's state and in the provenance that marks a run that cannot be trained further."""


def remove(run: RunDirectory) -> int:
    """Remove a run and return the number of bytes freed. A kill midway leaves no partial run that looks whole.

    Raises:
        BusyError: the run is being trained.
        StorageError: the run cannot be removed from the disk.
    """
    freed = size(run.path)
    away = run.path.with_name(f".{run.path.name}.tmp-{os.getpid()}-removed")
    with run.locked():
        pass
    clean(run.path.parent, pattern=".*.tmp-*-removed")
    with refusals(run.path):
        patiently(run.path.rename, away)
        shutil.rmtree(away)
    return freed


def check_finished(run: RunDirectory) -> None:
    """Check that a run is finished, so that pruning it loses nothing.

    Raises:
        UsageError: the run may still be resumed.
        DataError: its status is damaged.
    """
    state = run.status["state"]
    if state != "finished":
        raise UsageError(f"{run.path} is {state}: once pruned, it cannot be resumed; finish it, or remove it with rm")


def prune(run: RunDirectory) -> int:
    """Remove what only further training needs: older checkpoints, the optimisers' state, snapshots and event files.
    Returns the number of bytes freed. The run can still be sampled, explored, measured, compared and reported.

    Raises:
        UsageError: the run is not finished.
        CheckpointError: there is no intact checkpoint to keep.
        StorageError: the disk refuses.
    """
    check_finished(run)
    before = size(run.path)
    with run.locked():
        kept, _ = checkpoint.newest(run.checkpoints)
        if not run.provenance.get("pruned"):
            run.set_provenance({**run.provenance, "pruned": True})
        checkpoint.save(run.checkpoints, checkpoint.Checkpoint(kept.step, kept.tensors, {PRUNED: True}))
        with refusals(run.path):
            for path in checkpoint.found(run.checkpoints)[:-1]:
                shutil.rmtree(path)
            for name in ("snapshots", "tensorboard"):
                with suppress(FileNotFoundError):
                    shutil.rmtree(run.path / name)
    return before - size(run.path)


def check_trainable(saved: checkpoint.Checkpoint, run: RunDirectory) -> None:
    """Check that a checkpoint still holds the state that further training needs.

    Raises:
        CheckpointError: the run was pruned.
    """
    if saved.state.get(PRUNED):
        raise CheckpointError(f"{run.path}: pruned, so it cannot be trained further; start a new run: genlab train")
