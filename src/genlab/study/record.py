"""Record of a finished run for its study: one sealed file of at most 20 kB, from which tables and verdicts are made."""

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
"""Most points of a curve; fewer if there are many columns, so that a record stays small."""
NUMBERS = 1_600
"""Most numbers in all curves together."""
CLASSES_KEPT = 30
"""With more classes than this, no numbers of single classes are kept."""


@dataclass(frozen=True)
class Record:
    """A run of a study, as numbers.

    Attributes:
        state: finished, or diverged (a loss or a weight was not finite). If diverged, metrics, curves
            and quantities are those of the untrained model, but for what the diagnosis found; no quantity has its time.
        reason: reason for a divergence.
        identity: identity of the recipe (`plan.identity`).
        data: fingerprint of the training split.
        weights: sha256 over the final weights; empty for a loop of the user's own.
        run: id of the run, which a copy of it shares.
        metrics: values by dotted path.
        quantities: values by definition (`quantities.key`).
        curves: column -> values, thinned; includes "step".
        exact: whether the run is bit for bit as if it had never been interrupted.
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
        """Whether the record is from a version of genlab that computes other numbers."""
        return self.numerics != NUMERICS

    @property
    def machine(self) -> str:
        """Properties of the machine that can change a bit of the results, as text."""
        return in_words(self.where)

    def value(self, quantity: Quantity) -> float | None:
        """Value of a quantity; None if the record does not have it."""
        return self.quantities.get(key(quantity))

    def has(self, quantities: Sequence[Quantity]) -> bool:
        return all(key(quantity) in self.quantities for quantity in quantities)

    @property
    def content(self) -> dict[str, Any]:
        """Content without times and places: equal wherever and however the run was carried out."""
        times = ("seconds", "measuring", "run", "where")
        known = {name: value for name, value in asdict(self).items() if name not in times}
        known["quantities"] = {name: value for name, value in self.quantities.items() if not _is_of_time(name)}
        return known


def _is_of_time(definition: str) -> bool:
    """Whether a quantity (`quantities.key`) says how long something took."""
    told = json.loads(definition)
    return told["kind"] == "seconds" or "seconds" in (told.get("name"), told.get("column"), *told.get("columns", ()))


def in_words(where: Mapping[str, Any]) -> str:
    """Machine properties that can change a bit, as in "AMD EPYC, AVX2, without bfloat16, cpu, 1 thread, float32"."""
    half = {"yes": "with bfloat16", "no": "without bfloat16"}.get(str(where.get("onednn_bfloat16")), "")
    threads = f"{where.get('threads')} thread{'' if where.get('threads') == 1 else 's'}"
    device = f"on {where.get('device')}"
    parts = (where.get("processor"), where.get("capability"), half, where.get("limits"), device, threads)
    return ", ".join(str(part) for part in (*parts, where.get("precision")) if part)


def digest(records: Sequence[Record]) -> str:
    """Hash of a study's table: sha256 over the content of its records, whatever their order."""
    lines = sorted(json.dumps(record.content, sort_keys=True) for record in records)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def measured(source: Source, quantities: Sequence[Quantity]) -> dict[str, float | None]:
    """Value of each quantity, by definition; None if it is not finite."""
    found = {key(quantity): quantity.value(source) for quantity in quantities}
    return {name: _rounded(value, 9) for name, value in found.items()}


def thinned(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[float | None]]:
    """Curves of metric rows; if there are more rows than a record can hold, means over equally large blocks of them."""
    names = list(dict.fromkeys(name for row in rows for name, value in row.items() if is_number(value)))
    names = [
        name for name in names if name not in ("epoch", "images", "seconds") and not name.endswith(("_p10", "_p90"))
    ]
    points = min(POINTS, NUMBERS // max(1, len(names)))
    return _means(rows, names, min(points, len(rows))) if rows else {}


def _means(rows: Sequence[Mapping[str, Any]], names: Sequence[str], points: int) -> dict[str, list[float | None]]:
    """Mean of each column over each of `points` blocks of rows; None if a block has no value."""
    blocks = np.array_split(np.arange(len(rows)), points)
    found: dict[str, list[float | None]] = {}
    for name in names:
        values = [[row[name] for k in block if is_number((row := rows[k]).get(name))] for block in blocks]
        found[name] = [_rounded(float(np.mean(part)), 5) if part else None for part in values]
    return found


def flat(record: Mapping[str, Any]) -> dict[str, float | None]:
    """Numbers of an evaluation by dotted path: metrics by name alone, other parts under the name of the part."""
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
    """Write a record to `path`, whole or not at all; with coarser curves if it would be larger than `BYTES`."""
    while len(content := _content(record)) > BYTES and record.curves:
        record = replace(record, curves=_halved(record.curves))
    write(path, content)


def _content(record: Record) -> bytes:
    return json.dumps(seals.seal(asdict(record)), allow_nan=False, separators=(",", ":")).encode() + b"\n"


def _halved(curves: Mapping[str, Sequence[float | None]]) -> dict[str, list[float | None]]:
    """Curves with every two neighbours replaced by their mean; empty if there is nothing to join."""
    if max(map(len, curves.values())) < 2:
        return {}
    rows = [dict(zip(curves, row, strict=True)) for row in zip(*curves.values(), strict=True)]
    return _means(rows, list(curves), (len(rows) + 1) // 2)


def read_record(path: Path) -> Record:
    """Read the record at `path`.

    Raises:
        DataError: the record is unreadable, damaged, edited, or from a newer version.
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
    """Number rounded to `digits` significant digits; None if it is not a finite number."""
    return float(f"{value:.{digits}g}") if is_number(value) else None
