"""What a finished run leaves for its study: one sealed file of 20 kB or less, from which tables and verdicts come."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from genlab.engine import seals
from genlab.engine.files import write
from genlab.engine.version import NUMERICS
from genlab.errors import DataError
from genlab.study.quantities import CLASSES, Quantity, Source, is_number, key

BYTES = 20_000
POINTS = 100
"""Of a curve, at most; where there are many columns fewer, so that a record stays small."""
NUMBERS = 1_600
"""Of all curves together."""
CLASSES_KEPT = 30
"""Of more classes than this no single ones are kept."""


@dataclass(frozen=True)
class Record:
    """A run of a study, as numbers.

    Attributes:
        state: finished, or diverged: a loss or a weight was not finite. Then metrics, quantities and curves are those
            of the untrained model.
        reason: of a divergence.
        identity: of the recipe (`plan.identity`).
        data: fingerprint of the training split.
        weights: sha256 over the final weights; empty of a loop of the user's own.
        run: what a copy of the run has alike.
        metrics: by dotted path.
        quantities: by their definitions (`quantities.key`).
        curves: column -> values, thinned; "step" among them.
        exact: whether it is bit for bit as if never interrupted.
        where: processor, instructions, threads and precision, versions.
    """

    study: str
    arm: str
    seed: int
    state: str
    reason: str
    identity: str
    data: str
    code: str | None
    weights: str
    run: str
    numerics: int
    steps: int
    seconds: float
    measuring: float
    images: int
    parameters: dict[str, int]
    metrics: dict[str, float | None]
    quantities: dict[str, float | None]
    curves: dict[str, list[float | None]]
    exact: bool
    where: dict[str, Any]
    schema: int = 1
    notes: list[str] = field(default_factory=list)

    @property
    def is_stale(self) -> bool:
        """Whether it is of a version of genlab that computes other numbers."""
        return self.numerics != NUMERICS

    @property
    def machine(self) -> str:
        """What of the machine can move a bit, as a text."""
        return in_words(self.where)

    def value(self, quantity: Quantity) -> float | None:
        """Of a quantity; None where the record does not have it."""
        return self.quantities.get(key(quantity))

    def has(self, quantities: Sequence[Quantity]) -> bool:
        return all(key(quantity) in self.quantities for quantity in quantities)

    @property
    def content(self) -> dict[str, Any]:
        """What it says of the run, times and places apart: equal wherever and however it was run."""
        times = ("seconds", "measuring", "run", "where")
        known = {name: value for name, value in asdict(self).items() if name not in times}
        known["quantities"] = {name: value for name, value in self.quantities.items() if not _is_of_time(name)}
        return known


def _is_of_time(definition: str) -> bool:
    """Whether a quantity (`quantities.key`) says how long something took."""
    told = json.loads(definition)
    return told["kind"] == "seconds" or "seconds" in (told.get("name"), told.get("column"), *told.get("columns", ()))


def in_words(where: Mapping[str, Any]) -> str:
    """What of a machine can move a bit, as in "AMD EPYC, AVX2, without bfloat16, cpu, 1 thread, float32"."""
    half = {"yes": "with bfloat16", "no": "without bfloat16"}.get(str(where.get("onednn_bfloat16")), "")
    threads = f"{where.get('threads')} thread{'' if where.get('threads') == 1 else 's'}"
    device = f"on {where.get('device')}"
    parts = (where.get("processor"), where.get("capability"), half, where.get("limits"), device, threads)
    return ", ".join(str(part) for part in (*parts, where.get("precision")) if part)


def digest(records: Sequence[Record]) -> str:
    """sha256 over the content of records, in whatever order they come: the hash of a study's table."""
    lines = sorted(json.dumps(record.content, sort_keys=True) for record in records)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def measured(source: Source, quantities: Sequence[Quantity]) -> dict[str, float | None]:
    """The value of each quantity by its definition; one that is not finite is None."""
    found = {key(quantity): quantity.value(source) for quantity in quantities}
    return {name: _rounded(value, 9) for name, value in found.items()}


def thinned(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[float | None]]:
    """The curves of metric rows: means of equally many rows each, where there are more than a record bears."""
    names = list(dict.fromkeys(name for row in rows for name, value in row.items() if is_number(value)))
    names = [
        name for name in names if name not in ("epoch", "images", "seconds") and not name.endswith(("_p10", "_p90"))
    ]
    points = min(POINTS, NUMBERS // max(1, len(names)))
    return _means(rows, names, min(points, len(rows))) if rows else {}


def _means(rows: Sequence[Mapping[str, Any]], names: Sequence[str], points: int) -> dict[str, list[float | None]]:
    """The means of each column over so many blocks of rows; None where a block has no value."""
    blocks = np.array_split(np.arange(len(rows)), points)
    found: dict[str, list[float | None]] = {}
    for name in names:
        values = [[row[name] for k in block if is_number((row := rows[k]).get(name))] for block in blocks]
        found[name] = [_rounded(float(np.mean(part)), 5) if part else None for part in values]
    return found


def flat(record: Mapping[str, Any]) -> dict[str, float | None]:
    """An evaluation's numbers by dotted path: metrics by their names alone, other parts under theirs."""
    found: dict[str, float | None] = {}
    for name, entry in record["metrics"].items():
        found[name] = _rounded(entry["value"], 9)
        found[f"{name}.floor"] = _rounded(entry["floor"], 9)
    for part, entry in record.items():
        if isinstance(entry, Mapping) and part not in ("protocol", "metrics"):
            found |= {f"{part}.{name}": _rounded(value, 9) for name, value in entry.items() if is_number(value)}
    classes = record.get("classes", ())
    for row in classes if len(classes) <= CLASSES_KEPT else ():
        found |= {f"{CLASSES}{row['class']}.{name}": _rounded(row.get(name), 5) for name in ("share", "legibility")}
    return found


def write_record(path: Path, record: Record) -> None:
    """Put a record at `path`, whole or not at all; where it would be larger than `BYTES`, with coarser curves."""
    while len(content := _content(record)) > BYTES and record.curves:
        record = replace(record, curves=_halved(record.curves))
    write(path, content)


def _content(record: Record) -> bytes:
    return json.dumps(seals.seal(asdict(record)), allow_nan=False, separators=(",", ":")).encode() + b"\n"


def _halved(curves: Mapping[str, Sequence[float | None]]) -> dict[str, list[float | None]]:
    """Curves with the mean of every two neighbours for these; none at all where there is nothing to join."""
    if max(map(len, curves.values())) < 2:
        return {}
    rows = [dict(zip(curves, row, strict=True)) for row in zip(*curves.values(), strict=True)]
    return _means(rows, list(curves), (len(rows) + 1) // 2)


def read_record(path: Path) -> Record:
    """The record at `path`.

    Raises:
        DataError: damaged, edited, or of a newer version.
    """
    try:
        plain, seal = seals.unseal(json.loads(path.read_bytes()))
        if seal == "whole" and plain.get("schema", 0) > 1:
            raise DataError(f"{path}: written by a newer genlab (schema {plain['schema']}); update genlab to read it")
        if seal != "whole":
            raise ValueError
        return Record(**plain)
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}") from None
    except (ValueError, TypeError, AttributeError, RecursionError):
        raise DataError(f"{path}: damaged or edited (its crc does not match)") from None


def _rounded(value: Any, digits: int) -> float | None:
    """A number to so many significant digits; None where it is none, or not finite."""
    return float(f"{value:.{digits}g}") if is_number(value) else None
