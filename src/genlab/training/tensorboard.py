"""TensorBoard event files beside metrics.jsonl: the same scalars, and the sample grids."""

from __future__ import annotations

from contextlib import suppress

import numpy as np
from numpy.typing import NDArray

from genlab.engine.files import refusals
from genlab.recipe.schedule import Schedule
from genlab.runs.directory import Row, RunDirectory

TAGS = {
    "loss_d": "Loss/Discriminator",
    "loss_g": "Loss/Generator",
    "penalty": "Loss/Penalty",
    "d_real": "D/real",
    "d_fake": "D/fake",
    "logit_real": "Logit/real",
    "logit_fake": "Logit/fake",
    "grad_norm_d": "GradientNorm/Discriminator",
    "grad_norm_g": "GradientNorm/Generator",
    "lr_d": "LearningRate/Discriminator",
    "lr_g": "LearningRate/Generator",
    "loss": "Loss/Training minibatch",
    "reconstruction": "Loss/Reconstruction",
    "kl": "Loss/KL",
    "kl_weight": "KL/weight",
    "effective_beta": "KL/effective beta",
    "reconstruction_sum": "Reconstruction/training minibatch, nats",
    "kl_sum": "KL/training minibatch, nats",
    "active_units": "ActiveUnits/training minibatch",
    "test_reconstruction_sum": "Reconstruction/test, nats",
    "test_kl_sum": "KL/test, nats",
    "test_active_units": "ActiveUnits/test",
    "accuracy": "Accuracy/training minibatch",
    "train_loss": "Loss/Training epoch",
    "test_loss": "Loss/Test",
    "train_accuracy": "Accuracy/training epoch",
    "test_accuracy": "Accuracy/test",
    "grad_norm": "GradientNorm",
    "lr": "LearningRate",
}


class TensorBoard:
    """Writes runs/<name>/tensorboard; look with ``tensorboard --logdir runs``."""

    def started(self, schedule: Schedule, run: RunDirectory, done: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        # Events behind a resumed step are hidden by TensorBoard's own rule.
        self.path = run.path / "tensorboard"
        with refusals(self.path):
            self.writer = SummaryWriter(str(self.path), purge_step=done + 1 if done else None)

    def stepped(self, step: int, seconds: float) -> None:
        pass

    def logged(self, row: Row) -> None:
        with refusals(self.path):
            for key, tag in TAGS.items():
                if key in row:
                    self.writer.add_scalar(tag, row[key], row["step"])

    def sampled(self, step: int, picture: NDArray[np.uint8]) -> None:
        with refusals(self.path):
            self.writer.add_image("samples", picture, step, dataformats="HWC")

    def ended(self) -> None:
        if hasattr(self, "writer"):
            with suppress(OSError):  # The training is over; a full disk has been said, or is said at the next write.
                self.writer.close()
