"""Checkpoints: written so that a kill at any moment leaves the last one whole, and verified before they are read.

Layout of one: ``step-000123/{model.safetensors, training_state.pt, manifest.json}``. It is built in
``step-000123.tmp-<pid>``, every file synced, the manifest (sizes and sha256) last, and then renamed.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from genlab.errors import CheckpointError
from genlab.storage import refusals, sync_folder, write_synced

SCHEMA = 1
KEEP = 2
MODEL, STATE, MANIFEST = "model.safetensors", "training_state.pt", "manifest.json"
_NAME = re.compile(r"step-(\d{6,})$")


@dataclass(frozen=True)
class Checkpoint:
    """What a checkpoint holds: every network's tensors under "network.path", and the state of the training."""

    step: int
    tensors: dict[str, Tensor]
    state: dict[str, Any]


def save(folder: Path, checkpoint: Checkpoint) -> Path:
    """Write a checkpoint into `folder`, read it back, then remove all but the newest two.

    Raises:
        StorageError: the disk refused; older checkpoints are untouched.
    """
    path = folder / f"step-{checkpoint.step:06d}"
    building = folder / f"{path.name}.tmp-{os.getpid()}"
    buffer = io.BytesIO()
    torch.save(checkpoint.state, buffer)
    contents = {MODEL: to_bytes(checkpoint.tensors), STATE: buffer.getvalue()}
    manifest = _manifest(checkpoint.step, contents)
    with refusals(path, sum(map(len, contents.values())) + len(manifest)):
        try:
            folder.mkdir(exist_ok=True)
            _clean(folder)
            building.mkdir()
            for name, data in {**contents, MANIFEST: manifest}.items():
                write_synced(building / name, data)
            sync_folder(building)
            if path.exists():
                shutil.rmtree(path)
            building.rename(path)
            sync_folder(folder)
        except OSError:
            shutil.rmtree(building, ignore_errors=True)
            raise
    _verify(path)
    _prune(folder)
    return path


def load(path: Path) -> Checkpoint:
    """Read a checkpoint after every byte of it was verified.

    Raises:
        CheckpointError: missing, incomplete, changed, or not written by genlab.
    """
    step = _verify(path)
    try:
        tensors = safetensors.torch.load((path / MODEL).read_bytes())
        state = torch.load(path / STATE, map_location="cpu", weights_only=True)
    except Exception as error:
        raise CheckpointError(f"{path}: refused: {str(error).splitlines()[0][:200]}") from None
    return Checkpoint(step, tensors, state)


def newest(folder: Path) -> tuple[Checkpoint, list[str]]:
    """The newest checkpoint that verifies, and one warning for each newer one that does not.

    Raises:
        CheckpointError: there is none.
    """
    warnings: list[str] = []
    for path in reversed(found(folder)):
        try:
            checkpoint = load(path)
        except CheckpointError as error:
            warnings.append(f"damaged checkpoint left aside: {error}")
        else:
            return checkpoint, [f"{warning}; using {path.name}" for warning in warnings]
    raise CheckpointError("\n".join([f"{folder}: no usable checkpoint", *warnings]))


def found(folder: Path) -> list[Path]:
    """The checkpoints in `folder`, oldest first, verified or not."""
    if not folder.is_dir():
        return []
    steps = {int(match[1]): path for path in folder.iterdir() if (match := _NAME.match(path.name))}
    return [steps[step] for step in sorted(steps)]


def to_bytes(tensors: dict[str, Tensor]) -> bytes:
    """Tensors as safetensors, in plain order; tensors that share memory are written each by itself."""
    return safetensors.torch.save(
        {name: value.detach().cpu().clone(memory_format=torch.contiguous_format) for name, value in tensors.items()}
    )


def from_file(path: Path) -> dict[str, Tensor]:
    """Tensors of a safetensors file (which has no checksum of its own; a checkpoint's manifest has).

    Raises:
        CheckpointError: missing or damaged.
    """
    try:
        return safetensors.torch.load(path.read_bytes())
    except OSError as error:
        raise CheckpointError(f"{path}: {error.strerror}") from None
    except (safetensors.SafetensorError, ValueError, KeyError) as error:
        raise CheckpointError(f"{path}: damaged ({error})") from None


def _verify(path: Path) -> int:
    """Hold every byte of a checkpoint against its manifest, which is the only one that its files allow; its step."""
    name = _NAME.match(path.name)
    if not name:
        raise CheckpointError(f"{path}: not a checkpoint (step-000123)")
    try:
        written = (path / MANIFEST).read_bytes()
        contents = {file: (path / file).read_bytes() for file in (MODEL, STATE)}
    except OSError as error:
        raise CheckpointError(f"{error.filename or path}: {error.strerror}") from None
    if written != _manifest(int(name[1]), contents):
        raise CheckpointError(_difference(path, written, contents))
    return int(name[1])


def _manifest(step: int, contents: dict[str, bytes]) -> bytes:
    files = {name: {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()} for name, data in contents.items()}
    return json.dumps({"schema": SCHEMA, "step": step, "files": files}, indent=2).encode()


def _difference(path: Path, written: bytes, contents: dict[str, bytes]) -> str:
    """What is wrong between a manifest and the files beside it."""
    try:
        manifest = json.loads(written)
        if manifest["schema"] != SCHEMA:
            return f"{path}: written in form {manifest['schema']!r}; this genlab reads form {SCHEMA}"
        for name, data in contents.items():
            expected = manifest["files"][name]
            if len(data) != expected["bytes"]:
                return f"{path / name}: truncated: {len(data):,} of {expected['bytes']:,} bytes"
            if hashlib.sha256(data).hexdigest() != expected["sha256"]:
                return f"{path / name}: damaged: its sha256 is not the manifest's"
    except (ValueError, KeyError, TypeError):
        pass
    return f"{path / MANIFEST}: damaged, or of another checkpoint"


def _prune(folder: Path) -> None:
    """Remove what is older than the newest two that verify; a damaged one does not count."""
    whole = 0
    for path in reversed(found(folder)):
        if whole >= KEEP:
            shutil.rmtree(path, ignore_errors=True)
            continue
        with suppress(CheckpointError):
            _verify(path)
            whole += 1


def _clean(folder: Path) -> None:
    """Remove what a killed save left behind. Only the holder of the run's lock saves, so nothing here is in use."""
    for left in folder.glob("step-*.tmp-*"):
        shutil.rmtree(left, ignore_errors=True)
