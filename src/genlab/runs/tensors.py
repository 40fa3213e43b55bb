"""Tensors and plain values as one file in which no changed bit goes unnoticed, and which can hold no code.

A safetensors file whose header carries the sha256 of the whole (safetensors itself has no checksum: of its single-bit
flips nearly all load silently). Any reader of safetensors can open it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from genlab.errors import CheckpointError

LARGEST = 1 << 31
"""Bytes that are read at most: far above any model of this house, and far below what fills a machine."""
_KEY = "genlab"


def pack(tensors: Mapping[str, Tensor], values: Any = None) -> bytes:
    """Tensors by name and plain values (what JSON holds, no NaN) as the bytes of a file; equal content, equal bytes."""
    # Contiguous copies: tensors that share memory are written each by itself.
    plain = {name: value.detach().cpu().clone(memory_format=torch.contiguous_format) for name, value in tensors.items()}

    def written(sha256: str) -> bytes:
        # A single entry, since safetensors writes several in an order of its own.
        said = json.dumps({"sha256": sha256, "values": values}, allow_nan=False)
        return bytes(safetensors.torch.save(plain, {_KEY: said}))

    return written(hashlib.sha256(written("0" * 64)).hexdigest())


def unpack(content: bytes, where: Path) -> tuple[dict[str, Tensor], Any]:
    """What `pack` was given.

    Args:
        where: what messages call it.

    Raises:
        CheckpointError: changed, truncated, or not such a file.
    """
    try:
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
        values = json.loads(header["__metadata__"][_KEY])["values"]
        tensors = safetensors.torch.load(content)
        whole = pack(tensors, values) == content
    except Exception:  # Whatever a hostile or broken file makes its readers raise.
        raise CheckpointError(f"{where}: {damage(content)}") from None
    if not whole:
        raise CheckpointError(f"{where}: damaged: its content is not what its sha256 says")
    return tensors, values


def damage(content: bytes) -> str:
    """Why bytes are no such file, in words."""
    if content[:2] == b"PK" or content[:1] == b"\x80":
        return "refused: a pickle, which could run code; genlab reads safetensors only"
    return "damaged or truncated, or not written by genlab"


def read(path: Path) -> bytes:
    """A file's bytes, at most `LARGEST`.

    Raises:
        CheckpointError: not there, not readable, or too large.
    """
    try:
        if (size := path.stat().st_size) > LARGEST:
            raise CheckpointError(f"{path}: {size:,} bytes; at most {LARGEST:,} are read")
        return path.read_bytes()
    except OSError as error:
        raise CheckpointError(f"{path}: {error.strerror}") from None


def to_values(state: Any, tensors: dict[str, Tensor], name: str = "state") -> Any:
    """A nest of dicts, lists, numbers, texts and tensors as plain values; its tensors go into `tensors` by their place.

    Raises:
        TypeError: something else is in it.
    """
    if isinstance(state, Tensor):
        tensors[name] = state
        return {"tensor": name}
    if isinstance(state, Mapping):
        return {"dict": [[key, to_values(value, tensors, f"{name}/{key}")] for key, value in state.items()]}
    if isinstance(state, list | tuple):
        return [to_values(value, tensors, f"{name}/{k}") for k, value in enumerate(state)]
    if state is None or isinstance(state, bool | int | float | str):
        return state
    raise TypeError(f"{name}: a {type(state).__name__} cannot be saved")


def from_values(values: Any, tensors: Mapping[str, Tensor]) -> Any:
    """What `to_values` was given, tuples as lists.

    Raises:
        KeyError, TypeError, ValueError: it gave no such values.
    """
    if isinstance(values, list):
        return [from_values(value, tensors) for value in values]
    if not isinstance(values, dict):
        return values
    if "tensor" in values:
        return tensors[values["tensor"]]
    return {key: from_values(value, tensors) for key, value in values["dict"]}
