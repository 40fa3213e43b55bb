"""The metric rows of a run that may still be training: each byte is read once, each column kept as numbers."""

from __future__ import annotations

import math
import os
import threading
from array import array
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from genlab.evaluation.diagnosis.evidence import Curve
from genlab.families.base import BLOCK, Column
from genlab.runs.rows import Row, body_of

Floats = NDArray[np.float64]

MOST = 1200
"""Most points of a curve: as many as a wide screen has columns for."""
ABSENT, NOT_FINITE = math.nan, math.inf
"""Values for a row without the column, and for one whose value was not a number."""


class Follower:
    """The columns of a metrics.jsonl that were read so far.

    Attributes:
        columns: name -> values, one for each row; `ABSENT` or `NOT_FINITE` if there is none.
        damaged: number of lines that are not what was written.
        began: how often the file was read from its start, since a resumed run cuts its rows back.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self.began = 0
        self._forget()

    def _forget(self) -> None:
        self.columns: dict[str, array[float]] = {"step": array("d")}
        self.damaged = 0
        self._offset, self._file = 0, (-1, -1)
        self._last = b""
        self.began += 1

    def __len__(self) -> int:
        return len(self.columns["step"])

    def read(self) -> int:
        """Read what was appended since the last call; returns the number of new rows, 0 if the file is gone."""
        with self._lock:
            return self._read()

    def _read(self) -> int:
        try:
            with self._path.open("rb") as file:
                found = os.fstat(file.fileno())
                if self._is_another(file, (found.st_dev, found.st_ino), found.st_size):
                    self._forget()
                    self._file = (found.st_dev, found.st_ino)
                file.seek(self._offset)
                content = file.read()
        except OSError:
            return 0
        whole = content[: content.rfind(b"\n") + 1]
        if not whole:
            return 0
        before = len(self)
        lines = [_row_of(line) for line in whole.splitlines(keepends=True)]
        rows = [row for row in lines if row is not None]
        self.damaged += len(lines) - len(rows)
        self._append(rows)
        self._offset += len(whole)
        self._last = whole[-64:]
        return len(self) - before

    def _is_another(self, file: Any, identity: tuple[int, int], size: int) -> bool:
        """Whether this is not the file that was read, or its rows were cut back and rewritten."""
        if identity != self._file or size < self._offset:
            return True
        file.seek(self._offset - len(self._last))
        return bool(file.read(len(self._last)) != self._last)

    def _append(self, rows: Sequence[Mapping[str, Any]]) -> None:
        for name in {name for row in rows for name in row} - self.columns.keys():
            self.columns[name] = array("d", [ABSENT]) * len(self)
        for name, column in self.columns.items():
            if name == "step":
                continue
            before = len(column)
            try:  # In a long run, most columns are numbers in all rows.
                column.extend(map(itemgetter(name), rows))
            except (KeyError, TypeError):
                del column[before:]
                column.extend([_number(row.get(name, ABSENT)) for row in rows])
        self.columns["step"].extend([row["step"] for row in rows])

    def since(self, row: int) -> tuple[int, int, dict[str, list[float | None]]]:
        """`began`, the row count, and by column the values from row `row` on (None if not finite), at one moment."""
        with self._lock:
            new = {
                name: [value if math.isfinite(value) else None for value in column[row:]]
                for name, column in self.columns.items()
                if any(not math.isnan(value) for value in column[row:])
            }
            return self.began, len(self), new

    def rows(self, having: Sequence[str]) -> list[Row]:
        """The rows that have one of these columns, and the newest row; only finite values."""
        with self._lock:
            there = np.zeros(len(self), bool)
            for name in having:
                there |= np.isfinite(self._array(name))
            there[-1:] = True
            return [
                {"step": int(self.columns["step"][k])}
                | {
                    name: column[k]
                    for name, column in self.columns.items()
                    if name != "step" and np.isfinite(column[k])
                }
                for k in np.flatnonzero(there).tolist()
            ]

    def curve(self, name: str, first: float = -math.inf, last: float = math.inf, most: int = MOST) -> dict[str, Any]:
        """The rows that have a column, between two steps; more than `most` become means of blocks of equal size.

        `x`, `y`: step (a block has that of its last row) and value: the mean over the steps since the previous row, if
        that was logged, else the value of that step; None if it was not finite. `low`, `high`: 10 % and 90 % quantile
        over these steps; for a block without them, the smallest and the largest value; empty if there are neither.
        `block`: rows per point.
        """
        steps = np.array(self.columns["step"])
        values = self._array(name)
        there = ~np.isnan(values) & (steps >= first) & (steps <= last)
        mean, low, high = (self._array(f"{name}{end}")[there] for end in BLOCK)
        x, y = steps[there], np.where(np.isfinite(mean), mean, values[there])
        block = math.ceil(len(x) / most) or 1
        if block > 1:
            starts = np.arange(0, len(x), block)
            x = x[np.append(starts[1:], len(x)) - 1]
            if np.isnan(low).all():
                low, high = _least(y, starts), -_least(-y, starts)
            else:
                low, high = _mean(low, starts), _mean(high, starts)
            y = _mean(y, starts)
        band = bool(np.isfinite(low).any())
        return {
            "x": x.tolist(),
            "y": _plain(y),
            "low": _plain(low) if band else [],
            "high": _plain(high) if band else [],
            "block": block,
        }

    def by_role(self, columns: Iterable[Column]) -> dict[str, Curve]:
        """Like `diagnosis.evidence.curves_of`: the finite values of the columns that have a role, by role."""
        found: dict[str, Curve] = {}
        steps = np.array(self.columns["step"])
        for column in columns:
            mean, plain = self._array(f"{column.name}_mean"), self._array(column.name)
            values = np.where(np.isnan(mean), plain, mean)
            if column.role and (finite := np.isfinite(values)).any():
                found[column.role] = Curve(steps[finite], values[finite])
        return found

    def _array(self, name: str) -> Floats:
        found = self.columns.get(name)
        return np.full(len(self), ABSENT) if found is None else np.array(found)


def _mean(values: Floats, starts: NDArray[np.int64]) -> Floats:
    """Mean of the finite values of each block; infinite if it has none."""
    finite = np.isfinite(values)
    counts = np.add.reduceat(finite.astype(np.float64), starts)
    sums = np.add.reduceat(np.where(finite, values, 0.0), starts)
    return np.asarray(np.divide(sums, counts, out=np.full(len(starts), NOT_FINITE), where=counts > 0))


def _least(values: Floats, starts: NDArray[np.int64]) -> Floats:
    """Smallest finite value of each block; infinite if it has none."""
    return np.asarray(np.minimum.reduceat(np.where(np.isfinite(values), values, NOT_FINITE), starts))


def _row_of(line: bytes) -> Mapping[str, Any] | None:
    """Like `runs.rows.checked`, with a parser that is several times as fast: a run may have a hundred thousand rows."""
    body = body_of(line)
    with suppress(ValueError):
        row = None if body is None else orjson.loads(body)
        return row if isinstance(row, dict) and isinstance(row.get("step"), int) else None
    return None


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else NOT_FINITE


def _plain(values: Floats) -> list[float | None]:
    return [value if math.isfinite(value) else None for value in values.tolist()]
