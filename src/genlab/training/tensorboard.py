"""TensorBoard event files beside metrics.jsonl: the same scalars, and the sample grids."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

import numpy as np
from numpy.typing import NDArray

from genlab.engine.files import refusals
from genlab.families.base import Column
from genlab.families.registry import FAMILIES
from genlab.recipe.schedule import Schedule
from genlab.runs.directory import RunDirectory
from genlab.runs.rows import Row


class TensorBoard:
    """Writes runs/<name>/tensorboard; view it with ``tensorboard --logdir runs``.

    Args:
        columns: columns that a row may have besides those of the family.
    """

    def __init__(self, columns: Sequence[Column] = ()) -> None:
        self.columns = list(columns)

    def started(self, schedule: Schedule, run: RunDirectory, done: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        # TensorBoard itself hides events from `purge_step` on that were written before the resume.
        self.path = run.path / "tensorboard"
        self.columns = [*FAMILIES[run.recipe.family].columns, *self.columns]
        with refusals(self.path):
            self.writer = SummaryWriter(str(self.path), purge_step=done + 1 if done else None)

    def logged(self, row: Row) -> None:
        with refusals(self.path):
            for column in self.columns:
                if column.name in row:
                    self.writer.add_scalar(column.tag, row[column.name], row["step"])

    def sampled(self, step: int, picture: NDArray[np.uint8]) -> None:
        with refusals(self.path):
            self.writer.add_image("samples", picture, step, dataformats="HWC")

    def ended(self) -> None:
        if hasattr(self, "writer"):
            with suppress(OSError):  # The training is over; a full disk was reported, or will be at the next write.
                self.writer.close()
