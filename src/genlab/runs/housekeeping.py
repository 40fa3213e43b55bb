"""Making room: a run taken away as a whole, or made smaller by what only further training needs."""

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
"""The key, in the state of a checkpoint and in the provenance, that says that a run cannot be trained on."""


def remove(run: RunDirectory) -> int:
    """Remove a run; returns the bytes that are free now. A kill in the middle leaves no half of one that looks whole.

    Raises:
        BusyError: it is being trained.
        StorageError: the disk refuses.
    """
    freed = size(run.path)
    away = run.path.with_name(f".{run.path.name}.tmp-{os.getpid()}-removed")
    with run.locked():
        pass
    clean(run.path.parent)
    with refusals(run.path):
        patiently(run.path.rename, away)
        shutil.rmtree(away)
    return freed


def check_finished(run: RunDirectory) -> None:
    """See whether a run has come to its end, so that nothing is lost by pruning it.

    Raises:
        UsageError: it may still be resumed.
        DataError: its status is damaged.
    """
    state = run.status["state"]
    if state != "finished":
        raise UsageError(f"{run.path} is {state}: pruned, it could never be resumed; finish it, or remove it with rm")


def prune(run: RunDirectory) -> int:
    """Take from a run what only further training needs: older checkpoints, the optimisers' state, snapshots and event
    files; returns the bytes that are free now. It can still be sampled, explored, measured, compared and reported.

    Raises:
        UsageError: it is not finished.
        CheckpointError: there is no whole checkpoint to keep.
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
    """See whether a checkpoint still holds what training goes on from.

    Raises:
        CheckpointError: the run was pruned.
    """
    if saved.state.get(PRUNED):
        raise CheckpointError(f"{run.path}: it was pruned, so it cannot be trained on; begin again: genlab train")
