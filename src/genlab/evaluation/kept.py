"""The evaluations that a run keeps: one sealed file per protocol, and which of them replaces which.

`FULL_FILE` holds the full one: 10,000 images, drawn as the run samples by default, read by the dataset's own judge. The
report, its figures and `compare` refer to it, so only another full evaluation replaces it. Any other protocol has its
own file beside it, such as ``n2000.json`` or ``n10000-judge-NAME-1f3a9c2e-seed7.json``.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from genlab.engine import seals
from genlab.engine.files import sync_folder, write_json
from genlab.errors import DataError
from genlab.evaluation.catalogue import NAMES
from genlab.evaluation.judge import Judge
from genlab.evaluation.measure import FULL
from genlab.runs.directory import RunDirectory
from genlab.runs.options import SamplingOptions

FULL_FILE = "evaluation.json"
ACCURACY_SCORE = "classification_accuracy_score"


def file_of(n: int, how: SamplingOptions, judge: Judge | None) -> str:
    """Name of the file for n images drawn with these options.

    Args:
        judge: judge that was chosen instead of the dataset's own.
    """
    if n == FULL and how == SamplingOptions() and judge is None:
        return FULL_FILE
    parts = [f"n{n}"]
    if judge is not None:
        parts.append(_of_judge(judge.name, judge.sha256))
    if how.seed:
        parts.append(f"seed{how.seed}")
    if how.step is not None:
        parts.append(f"step-{how.step:06d}")
    if not how.ema:
        parts.append("last-weights")
    if how.batch_statistics:
        parts.append("batch-statistics")
    if how.truncation is not None:
        parts.append(f"truncation-{how.truncation:g}")
    return "-".join(parts) + ".json"


def keep(run: RunDirectory, name: str, record: dict[str, Any]) -> Path:
    """Write a record under its name and return the path.

    An earlier record of the same weights is replaced, but its accuracy score, which takes minutes, is carried over. One
    of an earlier step, before the run was trained for longer, is kept under that step, and one by another judge under
    that judge.

    Raises:
        StorageError: the record cannot be written.
    """
    path = run.folder("evaluations") / name
    earlier = read(run, name)
    if earlier is not None and (past := _past(earlier["protocol"], record["protocol"])):
        path.replace(path.with_name("-".join([path.stem, *past]) + ".json"))
        sync_folder(path.parent)
    elif earlier is not None and ACCURACY_SCORE in earlier["metrics"]:
        record["metrics"].setdefault(ACCURACY_SCORE, earlier["metrics"][ACCURACY_SCORE])
    write_json(path, seals.seal(record))
    return path


def keep_beside(images: Path, record: dict[str, Any]) -> Path:
    """Write the record of a folder or file of images beside them and return the path.

    That is FOLDER/evaluation.json or FILE.evaluation.json; if there is already one with another dataset, judge or
    preprocessing, the new one gets a name with its own dataset and judge instead, and if that is taken as well, by a
    dataset of the same name, one that ends in the first digits of the dataset's fingerprint.

    Raises:
        StorageError: the record cannot be written.
    """
    stem = "evaluation" if images.is_dir() else f"{images.stem}.evaluation"
    folder = images if images.is_dir() else images.parent
    longer = "-".join([stem, *map(_safe, _measured_by(record))])
    for name in (stem, longer, f"{longer}-{(_fingerprint(record) or 'unknown')[:8]}"):
        path = folder / f"{name}.json"
        earlier = _plain(path)
        if earlier is None or _are_alike(earlier, record):
            break
    if earlier is not None:
        score, rest = earlier["metrics"].get(ACCURACY_SCORE), {**earlier["metrics"], ACCURACY_SCORE: None}
        if score and rest == {**record["metrics"], ACCURACY_SCORE: None}:  # The same images.
            record["metrics"].setdefault(ACCURACY_SCORE, score)
    write_json(path, record)
    return path


def _plain(path: Path) -> dict[str, Any] | None:
    """The record of images at a path, if there is one."""
    try:
        record = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) and _is_record(record) else None


def _measured_by(record: dict[str, Any]) -> tuple[str, ...]:
    """Dataset, judge and preprocessing of a record, in words."""
    protocol = record["protocol"]
    judge = protocol["judge"] or {"name": "no judge", "sha256": ""}
    return Path(protocol["dataset"]).stem, f"{judge['name']}-{judge['sha256'][:8]}", str(protocol["size"])


def _fingerprint(record: dict[str, Any]) -> str | None:
    """Fingerprint of a record's training images; None in records of versions that did not write it."""
    found = record["protocol"].get("fingerprints")
    return str(found.get("train")) if isinstance(found, dict) else None


def _are_alike(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether two records are of the same dataset, judge and preprocessing."""
    known = {_fingerprint(one), _fingerprint(other)} - {None}
    return _measured_by(one) == _measured_by(other) and len(known) <= 1


def _of_judge(name: str, sha256: str) -> str:
    """A judge as a part of a file's name."""
    return f"judge-{_safe(name)}-{sha256[:8]}"


def _safe(text: str) -> str:
    """The text, made safe for a file's name."""
    return re.sub("[^A-Za-z0-9._]+", "-", text).strip("-")[:60]


def read(run: RunDirectory, name: str) -> dict[str, Any] | None:
    """Record of that name, or None if none can be read, so that a new one may take its place."""
    with suppress(DataError):
        return load(run, name)
    return None


def load(run: RunDirectory, name: str) -> dict[str, Any] | None:
    """Record of that name, or None if there is none.

    Raises:
        DataError: it is damaged or was edited.
    """
    if not os.path.lexists(run.path / "evaluations" / name):
        return None
    try:
        record = run.read_json(f"evaluations/{name}")
    except DataError as error:
        raise DataError(f"{error}; genlab evaluate {run.path} measures again") from None
    if not _is_record(record):
        raise DataError(
            f"{run.path / 'evaluations' / name}: not an evaluation; genlab evaluate {run.path} measures again"
        )
    return record


def _is_record(record: dict[str, Any]) -> bool:
    """Whether a document has the parts that readers of an evaluation rely on."""
    protocol, metrics, notes = (record.get(key) for key in ("protocol", "metrics", "notes"))
    needed = ("of", "samples", "dataset", "split", "real_images", "size", "judge", "floor", "intervals")
    return (
        isinstance(protocol, dict)
        and all(key in protocol for key in needed)
        and isinstance(metrics, dict)
        and all(name in metrics for name in NAMES)
        and all(isinstance(entry, dict) and entry.keys() >= _ENTRY.keys() for entry in metrics.values())
        and all(fits(entry[key]) for entry in metrics.values() for key, fits in _ENTRY.items())
        and isinstance(record.get("classes"), list)
        and isinstance(notes, list)
        and all(isinstance(note, str) for note in notes)
    )


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


_ENTRY: dict[str, Callable[[Any], bool]] = {
    "value": lambda value: value is None or _is_number(value),
    "interval": lambda value: (
        value is None or (isinstance(value, list) and len(value) == 2 and all(map(_is_number, value)))
    ),
    "floor": lambda value: value is None or _is_number(value),
    "n": _is_number,
}
"""What a metric's entry must hold."""


def names(run: RunDirectory) -> list[str]:
    """Names of the files of evaluations other than those of sample epochs."""
    found = (path.name for path in (run.path / "evaluations").glob("*.json"))
    return sorted(name for name in found if not re.fullmatch(r"step-\d+\.json", name))


def _past(earlier: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """Parts of the name of an earlier record: its judge and its step, if they are not those of the present one."""
    judge, step, parts = earlier["judge"], earlier.get("step"), []
    if judge != now["judge"]:
        parts.append(_of_judge(judge["name"], judge["sha256"]) if judge else "no-judge")
    if step != now.get("step"):
        parts.append(f"step-{step or 0:06d}")
    return parts
