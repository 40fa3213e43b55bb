"""Diagnose a run, or images that were made elsewhere."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from genlab.api.evaluate import evaluate, is_a_run
from genlab.api.run import Run
from genlab.data.memory import Images
from genlab.data.preprocessing import Resize
from genlab.errors import DataError, UsageError
from genlab.evaluation.diagnosis import FEWEST, Diagnosis, Evidence
from genlab.evaluation.diagnosis import diagnose as judged
from genlab.evaluation.diagnosis.advice import ADVICE
from genlab.evaluation.diagnosis.evidence import Known, Measured, curves_of
from genlab.families.external import FAMILY
from genlab.runs.directory import default_root
from genlab.runs.rows import Row

STEPS = ("step", "iteration", "iter", "epoch")
OTHER_NAMES = {
    "loss_d": ("d_loss", "lossd", "errd", "discriminator_loss", "loss_discriminator", "critic_loss"),
    "loss_g": ("g_loss", "lossg", "errg", "generator_loss", "loss_generator"),
    "kl_sum": ("kl", "kld", "kl_loss"),
    "reconstruction_sum": ("reconstruction", "recon", "recon_loss", "reconstruction_loss"),
    "test_loss": ("val_loss", "valid_loss", "validation_loss"),
    "loss": ("train_loss", "training_loss"),
    "train_accuracy": ("accuracy", "acc", "train_acc"),
    "test_accuracy": ("val_accuracy", "val_acc", "validation_accuracy", "test_acc"),
}
"""Names that other programs use for these columns."""


def diagnose(
    source: Images | Run,
    *,
    against: Images | None = None,
    losses: str | Path | None = None,
    resize: Resize | None = None,
    runs: str | Path | None = None,
    progress: bool = True,
) -> Diagnosis:
    """Diagnose a run, or images from elsewhere: what is wrong, since when and by which evidence.

    Args:
        source: a run; or a folder, file or array of images, see `genlab.evaluate`.
        against: the dataset that the images should look like.
        losses: a CSV file with the losses of the training that made the images: a column `step`, and loss_d and loss_g,
            or loss, or the names that are usual elsewhere.
        resize, runs, progress: see `genlab.evaluate`.

    Raises:
        UsageError, DataError: see `genlab.evaluate`; or the CSV file has no losses.
    """
    root = Path(runs) if runs else default_root()
    if isinstance(source, Run) or (isinstance(source, str | Path) and is_a_run(source, root, against)):
        run = source if isinstance(source, Run) else Run.at(source, root)
        if against is not None or losses is not None:
            raise UsageError(f"{run.path.name} is a run and already has a dataset and losses; leave those out")
        return run.diagnose()
    rows = [] if losses is None else read_losses(Path(losses))
    found = evaluate(source, against=against, resize=resize, runs=runs, progress=progress)
    return _of_images(found.record, rows, len(found.against.learned))


def _of_images(record: dict[str, Any], rows: Sequence[Row], images: int) -> Diagnosis:
    curves, step = curves_of(rows, FAMILY.columns), max([FEWEST, *(row["step"] for row in rows)])
    measured = Measured.of(step, record)
    known = Known(
        adversarial="loss of discriminator" in curves,
        latent="kl" in curves,
        naming="training accuracy" in curves,
        conditional="requested_class_accuracy" in measured.values,
        images=images,
        classes=len(measured.classes),
        failure=_failure(rows),
    )
    found = judged(Evidence(step, None, curves, (measured,), known))
    # Images that were evaluated once do not tell when a finding began.
    told = [
        replace(
            each,
            since=None if each.since == (0, step) else each.since,
            advice="" if each.follows else ADVICE.get(each.name, ""),
        )
        for each in found.findings
    ]
    return replace(found, findings=tuple(told))


def read_losses(path: Path) -> list[Row]:
    """Losses of a CSV file, as metric rows. Unknown columns are left out; without a step column, rows are counted.

    Raises:
        DataError: the file cannot be read, has no losses, or has a value that is not a number.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            table = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: {getattr(error, 'strerror', None) or error}") from None
    names = {key: name for key in (table[0] if table else ()) if key and (name := _column(key))}
    if not names:
        there = ", ".join(filter(None, table[0])) if table else "none"
        raise DataError(f"{path}: no loss column; expected step, loss_d and loss_g, or loss (found: {there})")
    at = next((key for key in table[0] if key and key.strip().lower() in STEPS), None)
    rows: list[Row] = []
    for number, line in enumerate(table, start=1):
        try:
            values = {name: float(line[key]) for key, name in names.items() if line[key]}
            rows.append({"step": number if at is None else int(float(line[at])), **values})
        except (ValueError, TypeError):
            raise DataError(
                f"{path} line {number + 1}: expected numbers, got {', '.join(map(str, line.values()))}"
            ) from None
    return rows


def _failure(rows: Sequence[Row]) -> str:
    """Message about the first value that is not finite; empty if there is none."""
    bad = ((row["step"], name) for row in rows for name, value in row.items() if not np.isfinite(value))
    return next((f"step {step}: {name} is not finite" for step, name in bad), "")


def _column(key: str) -> str | None:
    """Column that a name from elsewhere means, or None."""
    plain = key.strip().lower().replace(" ", "_").replace("-", "_").replace("/", "_")
    known = {column.name for column in FAMILY.columns}
    return plain if plain in known else next((name for name, also in OTHER_NAMES.items() if plain in also), None)
