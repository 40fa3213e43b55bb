"""Checkpoints: written so that a kill at any moment leaves the last one intact, and verified before they are used.

Layout: ``step-000123/{model.safetensors, training_state.safetensors, manifest.json}``. The files are written to
``step-000123.tmp-<pid>`` and synced, the manifest (sizes and sha256) last; then that folder is renamed.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from genlab.engine.files import clean, make_folder, patiently, refusals, sync_folder, write_synced
from genlab.errors import CheckpointError, StorageError
from genlab.runs import tensors as sealed

SCHEMA = 2
KEEP = 2
MODEL, STATE, MANIFEST = "model.safetensors", "training_state.safetensors", "manifest.json"
_NAME = re.compile(r"step-(\d{6,})$")


@dataclass(frozen=True)
class Checkpoint:
    """Content of a checkpoint.

    Attributes:
        tensors: tensors of every network, under "network.path".
        state: state of the training: nested dicts, lists, numbers, strings and tensors.
    """

    step: int
    tensors: dict[str, Tensor]
    state: dict[str, Any]


def save(folder: Path, checkpoint: Checkpoint) -> Path:
    """Write a checkpoint into `folder`, read it back, then remove all but the newest two.

    Raises:
        StorageError: the disk refuses; older checkpoints are untouched.
    """
    path = folder / f"step-{checkpoint.step:06d}"
    building = folder / f"{path.name}.tmp-{os.getpid()}"
    parts: dict[str, Tensor] = {}
    values = sealed.to_values(checkpoint.state, parts)
    contents = {MODEL: sealed.pack(checkpoint.tensors), STATE: sealed.pack(parts, values)}
    manifest = _manifest(checkpoint.step, contents)
    with refusals(path, sum(map(len, contents.values())) + len(manifest)):
        try:
            make_folder(folder)
            clean(folder, of_living=True)  # Only the holder of the run's lock saves.
            building.mkdir()
            for name, data in {**contents, MANIFEST: manifest}.items():
                write_synced(building / name, data)
            sync_folder(building)
            earlier, replaced = _away(path), path.exists()
            if replaced:
                patiently(path.rename, earlier)
            patiently(building.rename, path)
            sync_folder(folder)
            if replaced:
                shutil.rmtree(earlier, ignore_errors=True)
        except OSError:
            shutil.rmtree(building, ignore_errors=True)
            with suppress(OSError, StorageError):
                recover(folder)
            raise
    verify(path)
    _prune(folder)
    return path


def load(path: Path) -> Checkpoint:
    """Verify every byte of a checkpoint, then read it.

    Raises:
        CheckpointError: the checkpoint is missing, incomplete, changed, not finite, or not written by genlab.
    """
    step, contents = _verified(path)
    tensors, _ = sealed.unpack(contents[MODEL], path / MODEL)
    parts, values = sealed.unpack(contents[STATE], path / STATE)
    try:
        state: dict[str, Any] = sealed.from_values(values, parts)
    except (KeyError, TypeError, ValueError, RecursionError):
        raise CheckpointError(f"{path / STATE}: not a training state") from None
    if name := not_finite(tensors):
        raise CheckpointError(f"{path / MODEL}: {name} is not finite; this checkpoint is never used")
    return Checkpoint(step, tensors, state)


def newest(folder: Path) -> tuple[Checkpoint, list[str]]:
    """Newest checkpoint that verifies, and one warning for each newer one that does not.

    Raises:
        CheckpointError: no checkpoint verifies.
    """
    warnings: list[str] = []
    for path in reversed(found(folder)):
        try:
            checkpoint = load(path)
        except CheckpointError as error:
            warnings.append(f"damaged checkpoint: {error}")
        else:
            return checkpoint, [f"{warning}; using {path.name}" for warning in warnings]
    raise CheckpointError("\n".join([f"{folder}: no usable checkpoint", *warnings]))


def found(folder: Path) -> list[Path]:
    """Paths of the checkpoints in `folder`, oldest first, intact or not."""
    if not folder.is_dir():
        return []
    steps = {int(match[1]): path for path in folder.iterdir() if (match := _NAME.match(path.name))}
    return [steps[step] for step in sorted(steps)]


def verify(path: Path) -> None:
    """Check every byte of a checkpoint on disk.

    Raises:
        CheckpointError: a byte is not what was written; the message names the file.
    """
    _verified(path)


def not_finite(tensors: dict[str, Tensor]) -> str | None:
    """Name of the first tensor that holds NaN or infinity, or None."""
    floats = {name: value for name, value in tensors.items() if value.is_floating_point()}
    if not floats or torch.isfinite(torch.nn.utils.get_total_norm(list(floats.values()))):
        return None
    return next((name for name, value in floats.items() if not torch.isfinite(value).all()), None)


def _verified(path: Path) -> tuple[int, dict[str, bytes]]:
    """Step and file contents of a checkpoint, after comparing its manifest with the only one that its files allow."""
    name = _NAME.match(path.name)
    if not name:
        raise CheckpointError(f"{path}: not a checkpoint; expected a name like step-000123")
    written = sealed.read(path / MANIFEST)
    contents = {file: sealed.read(path / file) for file in (MODEL, STATE)}
    if written != _manifest(int(name[1]), contents):
        raise CheckpointError(_difference(path, written, contents))
    strange = sorted({entry.name for entry in path.iterdir()} - {*contents, MANIFEST})
    if strange:
        raise CheckpointError(f"{path / strange[0]}: not part of a checkpoint; remove it")
    return int(name[1]), contents


def _manifest(step: int, contents: dict[str, bytes]) -> bytes:
    files = {name: {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()} for name, data in contents.items()}
    return json.dumps({"schema": SCHEMA, "step": step, "files": files}, indent=2).encode()


def _difference(path: Path, written: bytes, contents: dict[str, bytes]) -> str:
    """Description of how a manifest and the files beside it disagree."""
    try:
        manifest = json.loads(written)
        if manifest["schema"] != SCHEMA:
            other = "a newer" if manifest["schema"] > SCHEMA else "an older"
            return f"{path}: format {manifest['schema']!r}, of {other} genlab; this one reads format {SCHEMA}"
        for name, data in contents.items():
            expected = manifest["files"][name]
            if len(data) < expected["bytes"]:
                return f"{path / name}: truncated: {len(data):,} of {expected['bytes']:,} bytes"
            if hashlib.sha256(data).hexdigest() != expected["sha256"]:
                return f"{path / name}: damaged: its sha256 differs from the manifest's"
    except (ValueError, KeyError, TypeError, RecursionError):
        pass
    return f"{path / MANIFEST}: damaged, or from another checkpoint"


def _prune(folder: Path) -> None:
    """Remove checkpoints older than the newest two that verify; damaged ones do not count."""
    whole = 0
    for path in reversed(found(folder)):
        if whole >= KEEP:
            with suppress(OSError):  # One old checkpoint too many does no harm.
                _discard(path)
            continue
        with suppress(CheckpointError):
            verify(path)
            whole += 1


def recover(folder: Path) -> None:
    """Put back a checkpoint that a killed process had set aside, and not yet replaced. Only the holder of the run's
    lock may do this."""
    for away in folder.glob("step-*.tmp-*-old"):
        path = away.with_name(away.name.partition(".")[0])
        if path.exists():
            continue
        with refusals(path):
            away.rename(path)
        try:
            verify(path)
        except CheckpointError:  # It was being removed.
            path.rename(away)


def _away(path: Path) -> Path:
    """Name under which a checkpoint stands while it is replaced or removed."""
    return path.with_name(f"{path.name}.tmp-{os.getpid()}-old")


def _discard(path: Path) -> None:
    """Remove a checkpoint atomically: a kill midway leaves something to clean up, never half a checkpoint."""
    away = _away(path)
    patiently(path.rename, away)
    shutil.rmtree(away, ignore_errors=True)
