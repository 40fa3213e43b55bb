"""Malicious files."""

from __future__ import annotations

import io
import json
import os
import pickle
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch


class Attack:
    """Object that creates a folder, the canary, when it is unpickled."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.canary),)


def pickled(canary: Path) -> bytes:
    return pickle.dumps(Attack(canary))


def torch_zip(canary: Path) -> bytes:
    buffer = io.BytesIO()
    torch.save({"state": Attack(canary)}, buffer)
    return buffer.getvalue()


def torch_legacy(canary: Path) -> bytes:
    buffer = io.BytesIO()
    torch.save({"state": Attack(canary)}, buffer, _use_new_zipfile_serialization=False)
    return buffer.getvalue()


def tar(canary: Path) -> bytes:
    """The oldest format of torch.save and of .pth files."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        content = pickled(canary)
        info = tarfile.TarInfo("pickle")
        info.size = len(content)
        archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def unreadable_pickle(canary: Path) -> bytes:
    """A pickle with garbage after the call, on which safe loading fails in another way."""
    return pickled(canary)[:-1] + b"\xff\xff"


def zip_bomb(_: Path) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", b"\0" * 50_000_000)
    return buffer.getvalue()


def many_members(_: Path) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for k in range(20_000):
            archive.writestr(f"archive/{k}", b"")
    return buffer.getvalue()


def header(said: object, data: bytes = b"", length: int | None = None) -> bytes:
    """A safetensors file with an arbitrary header."""
    text = said if isinstance(said, bytes) else json.dumps(said).encode()
    return (len(text) if length is None else length).to_bytes(8, "little") + text + data


def entry(begin: int, end: int, shape: list[int] | None = None, dtype: str = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": [(end - begin) // 4] if shape is None else shape, "data_offsets": [begin, end]}


SEAL = {"__metadata__": {"genlab": json.dumps({"sha256": "0" * 64, "values": None})}}
ATTACKS: dict[str, Callable[[Path], bytes]] = {
    "pickle": pickled,
    "torch": torch_zip,
    "torch before 1.6": torch_legacy,
    "tar": tar,
    "pickle that does not end": unreadable_pickle,
    "zip bomb": zip_bomb,
    "many members": many_members,
    "empty": lambda _: b"",
    "header of 2^63": lambda _: header({}, length=2**63),
    "header beyond the file": lambda _: header({}, length=10**6),
    "no JSON": lambda _: header(b"{" * 50),
    "deep JSON": lambda _: header(b"[" * 100_000 + b"]" * 100_000),
    "a list": lambda _: header([1, 2]),
    "no seal": lambda _: header({"a": entry(0, 4)}, bytes(4)),
    "wrong seal": lambda _: header({**SEAL, "a": entry(0, 4)}, bytes(4)),
    "overlap": lambda _: header({**SEAL, "a": entry(0, 8), "b": entry(4, 12)}, bytes(12)),
    "hole": lambda _: header({**SEAL, "a": entry(0, 4), "b": entry(8, 12)}, bytes(12)),
    "beyond the end": lambda _: header({**SEAL, "a": entry(0, 400)}, bytes(4)),
    "shape of 10^12": lambda _: header({**SEAL, "a": entry(0, 4, [10**12])}, bytes(4)),
    "negative shape": lambda _: header({**SEAL, "a": entry(0, 4, [-1])}, bytes(4)),
    "strange type": lambda _: header({**SEAL, "a": entry(0, 4, [1], "Q4")}, bytes(4)),
    "twice": lambda _: header(
        b'{"__metadata__":{"genlab":"{}"},"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},'
        b'"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}',
        bytes(4),
    ),
}
