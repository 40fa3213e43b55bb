"""Seals that show whether a small file is as genlab wrote it: a CRC-32 of its content inside the file itself.

JSON documents carry it as their last entry, `crc`; pictures as a text chunk just before their end, over all bytes
before it. It detects damage and manual edits. It is not a signature: anyone can write a matching one.
Weights and optimiser state have sha256 instead (`runs.tensors`).
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from typing import Any, Literal

Seal = Literal["whole", "unsealed", "damaged"]
"""`unsealed`: the file has no seal to check, as with files of older versions."""
_PNG_START, _PNG_END = b"\x89PNG\r\n\x1a\n", b"\0\0\0\0IEND\xaeB`\x82"
_KEY = b"genlab:crc\0"
_CHUNK = 4 + 4 + len(_KEY) + 8 + 4
"""Length, type, key, eight hexadecimal digits, the chunk's own CRC."""


def crc(value: Mapping[str, Any]) -> str:
    """CRC-32 of a JSON document, as eight hexadecimal digits.

    Raises:
        ValueError: NaN or infinity, which JSON does not have.
    """
    return f"{zlib.crc32(json.dumps(value, allow_nan=False).encode()):08x}"


def seal(value: Mapping[str, Any]) -> dict[str, Any]:
    """The document with its `crc`."""
    content = {key: entry for key, entry in value.items() if key != "crc"}
    return {**content, "crc": crc(content)}


def unseal(value: Mapping[str, Any]) -> tuple[dict[str, Any], Seal]:
    """The document without its `crc`, and the state of that seal."""
    content = {key: entry for key, entry in value.items() if key != "crc"}
    if "crc" not in value:
        return content, "unsealed"
    return content, "whole" if value["crc"] == crc(content) else "damaged"


def seal_png(content: bytes) -> bytes:
    """A PNG file with the seal in it."""
    assert content.startswith(_PNG_START)
    assert content.endswith(_PNG_END)
    body = content[: -len(_PNG_END)]
    data = b"tEXt" + _KEY + f"{zlib.crc32(body):08x}".encode()
    return body + (len(data) - 4).to_bytes(4) + data + zlib.crc32(data).to_bytes(4) + _PNG_END


def check_png(content: bytes) -> Seal:
    """Whether a PNG file is what `seal_png` returned."""
    if not content.startswith(_PNG_START) or not content.endswith(_PNG_END):
        return "damaged"
    body = content[: -len(_PNG_END) - _CHUNK]
    if content[len(body) :][8 : 8 + len(_KEY)] != _KEY:
        return "damaged" if _KEY in content else "unsealed"
    return "whole" if seal_png(body + _PNG_END) == content else "damaged"
