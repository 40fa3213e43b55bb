"""The metric log: append-only rows of JSON, each with its CRC-32."""

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
        """Add a row; a value that is not finite becomes null, since JSON cannot express it."""
        plain = {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in row.items()}
        line = _sealed(plain).encode()
        with refusals(self._path, len(line)):
            if self._file.write(line) < len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def sync(self) -> None:
        """Wait until all rows are on disk."""
        with refusals(self._path):
            os.fsync(self._file.fileno())


def _sealed(row: Row) -> str:
    return json.dumps(seals.seal(row), allow_nan=False) + "\n"


_CRC = b', "crc": "'
_END = len(_CRC) + 8 + len(b'"}\n')


def body_of(line: bytes) -> bytes | None:
    """JSON of a line of metrics.jsonl, without its crc; None if the line is damaged or incomplete."""
    body, end = line[:-_END] + b"}", line[-_END:]
    return body if end.startswith(_CRC) and end == _CRC + b'%08x"}\n' % zlib.crc32(body) else None


def no_constant(word: str) -> Any:
    """Hook for `json.loads` that refuses NaN and Infinity, which are not JSON."""
    raise ValueError(f"{word} is not JSON")


def checked(line: bytes) -> Row | None:
    """Row of a line of metrics.jsonl, without its crc; None if the line is damaged or incomplete."""
    try:
        row: Row = json.loads(body_of(line) or b"", parse_constant=no_constant)
        return row if isinstance(row["step"], int) else None
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
