"""When things happen in training: how many steps there are, and after which ones to draw, measure or log."""

from __future__ import annotations

from dataclasses import dataclass

from genlab.recipe import Recipe, SampleLogging


@dataclass(frozen=True)
class Schedule:
    """Steps and epochs of a training run. Steps count from 1; epoch e ends with step e * steps_per_epoch."""

    images: int
    batch: int
    steps_per_epoch: int
    total_steps: int

    @property
    def epochs(self) -> int:
        """Number of epochs begun."""
        return -(-self.total_steps // self.steps_per_epoch)

    @classmethod
    def of(cls, recipe: Recipe, images: int) -> Schedule:
        """The schedule of a recipe over this many training images."""
        batch = recipe.budget.batch
        per_epoch = -(-images // batch) if recipe.data.last_batch == "keep" else images // batch
        total = per_epoch * recipe.budget.epochs
        return cls(images, batch, per_epoch, min(total, recipe.budget.max_steps or total))

    def samples_at(self, step: int, recipe: Recipe) -> bool:
        """Whether the fixed z are drawn after this step."""
        logging, (epochs, rest) = recipe.logging, divmod(step, self.steps_per_epoch)
        assert isinstance(logging, SampleLogging), "only families that make images are asked"
        return (
            step == self.total_steps
            or (rest == 0 and epochs in logging.sample_epochs)
            or (logging.sample_every is not None and step % logging.sample_every == 0)
            or (step - 1) % self.steps_per_epoch in logging.sample_batches
        )

    def evaluates_at(self, step: int, recipe: Recipe) -> bool:
        """Whether a family that evaluates itself does so after this step."""
        over = step == self.total_steps or step % self.steps_per_epoch == 0
        return over and recipe.validates

    def row_at(self, step: int, recipe: Recipe) -> bool:
        """Whether a metric row is due after this step."""
        logging = recipe.logging
        measures = isinstance(logging, SampleLogging) and logging.evaluation != "none"
        return (
            step in (1, self.total_steps)
            or step % logging.metrics_every == 0
            or self.evaluates_at(step, recipe)
            or (measures and self.samples_at(step, recipe))
        )
