"""The metric log: rows of JSON, each with its CRC-32, that are only ever appended."""

from __future__ import annotations

import errno
import json
import math
import os
import zlib
from pathlib import Path
from typing import Any

from genlab.engine import seals
from genlab.engine.files import refusals

Row = dict[str, Any]


class MetricLog:
    """An open metrics.jsonl."""

    def __init__(self, path: Path, file: Any) -> None:
        self._path, self._file = path, file

    def append(self, row: Row) -> None:
        """Add a row; a value that is not finite becomes null, since JSON has no other word for it."""
        plain = {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in row.items()}
        line = _sealed(plain).encode()
        with refusals(self._path, len(line)):
            if self._file.write(line) < len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def sync(self) -> None:
        """Wait until the disk has all rows."""
        with refusals(self._path):
            os.fsync(self._file.fileno())


def _sealed(row: Row) -> str:
    return json.dumps(seals.seal(row), allow_nan=False) + "\n"


_CRC = b', "crc": "'
_END = len(_CRC) + 8 + len(b'"}\n')


def body_of(line: bytes) -> bytes | None:
    """The JSON of a line of metrics.jsonl, without its crc; None of a damaged one, or one that is not whole yet."""
    body, end = line[:-_END] + b"}", line[-_END:]
    return body if end.startswith(_CRC) and end == _CRC + b'%08x"}\n' % zlib.crc32(body) else None


def no_constant(word: str) -> Any:
    """For `json.loads`: NaN and Infinity are no JSON."""
    raise ValueError(f"{word} is no JSON")


def checked(line: bytes) -> Row | None:
    """The row of a line of metrics.jsonl, without its crc; None of a damaged one, or one that is not whole yet."""
    try:
        row: Row = json.loads(body_of(line) or b"", parse_constant=no_constant)
        return row if isinstance(row["step"], int) else None
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
