"""Tensors and plain values in one file that reveals every changed bit and cannot hold code.

The format is safetensors, with a sha256 of the whole in the header (safetensors itself has no checksum: nearly every
file with one flipped bit loads silently). Any reader of safetensors can open the file.
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
"""Largest file that is read, in bytes: far larger than any genlab model, far smaller than a machine's memory."""
_KEY = "genlab"


def pack(tensors: Mapping[str, Tensor], values: Any = None) -> bytes:
    """File content that holds named tensors and plain values (JSON types, no NaN); equal inputs give equal bytes."""
    # Contiguous copies, so that tensors that share memory are written separately.
    plain = {name: value.detach().cpu().clone(memory_format=torch.contiguous_format) for name, value in tensors.items()}

    def written(sha256: str) -> bytes:
        # A single entry, since safetensors itself chooses the order of several.
        said = json.dumps({"sha256": sha256, "values": values}, allow_nan=False)
        return bytes(safetensors.torch.save(plain, {_KEY: said}))

    return written(hashlib.sha256(written("0" * 64)).hexdigest())


def unpack(content: bytes, where: Path) -> tuple[dict[str, Tensor], Any]:
    """The tensors and values that `pack` was given.

    Args:
        where: path to name in messages.

    Raises:
        CheckpointError: the content was changed or truncated, or does not come from `pack`.
    """
    try:
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
        values = json.loads(header["__metadata__"][_KEY])["values"]
        tensors = safetensors.torch.load(content)
        whole = pack(tensors, values) == content
    except Exception:  # Whatever a hostile or broken file makes its readers raise.
        raise CheckpointError(f"{where}: {damage(content)}") from None
    if not whole:
        raise CheckpointError(f"{where}: damaged: its content does not match its sha256")
    return tensors, values


def damage(content: bytes) -> str:
    """Reason, in words, why bytes do not come from `pack`."""
    if content[:2] == b"PK" or content[:1] == b"\x80":
        return "refused: a pickle, which could run code; genlab reads safetensors only"
    return "damaged or truncated, or not written by genlab"


def read(path: Path) -> bytes:
    """Bytes of a file, which may have at most `LARGEST`.

    Raises:
        CheckpointError: the file is missing, unreadable or too large.
    """
    try:
        if (size := path.stat().st_size) > LARGEST:
            raise CheckpointError(f"{path}: {size:,} bytes; at most {LARGEST:,} are read")
        return path.read_bytes()
    except OSError as error:
        raise CheckpointError(f"{path}: {error.strerror}") from None


def to_values(state: Any, tensors: dict[str, Tensor], name: str = "state") -> Any:
    """Nested dicts, lists, numbers, strings and tensors as plain values; the tensors go into `tensors`, by their path.

    Raises:
        TypeError: `state` contains any other type.
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
    """The state that `to_values` was given, with tuples as lists.

    Raises:
        KeyError, TypeError, ValueError: the values do not come from `to_values`.
    """
    if isinstance(values, list):
        return [from_values(value, tensors) for value in values]
    if not isinstance(values, dict):
        return values
    if "tensor" in values:
        return tensors[values["tensor"]]
    return {key: from_values(value, tensors) for key, value in values["dict"]}
