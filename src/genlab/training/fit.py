"""The one training loop: data order, logging, samples, checkpoints, resume, stop."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from genlab.data import Dataset, pictures
from genlab.data.memory import PREFIX
from genlab.engine import signals
from genlab.engine.device import batch_normalisations
from genlab.engine.files import write
from genlab.engine.randomness import Keyed
from genlab.errors import CheckpointError, NonFiniteError, Stopped, StorageError, UsageError, reason
from genlab.families.base import Column, Generates, TakesTurns, Trains, Validates
from genlab.families.registry import FAMILIES
from genlab.recipe import Recipe
from genlab.recipe.schedule import Schedule
from genlab.runs import checkpoint, tensors
from genlab.runs.directory import RunDirectory
from genlab.runs.rows import MetricLog, Row
from genlab.runs.sampling import drawn_with
from genlab.training.blocks import Block
from genlab.training.vitals import Vitals

CONDITIONAL_COLUMNS = 10
UNCONDITIONAL_SAMPLES, UNCONDITIONAL_COLUMNS = 64, 8


class Observer:
    """Watches a training, and cannot change it, since it gets copies. Override the methods that you need.

    Subclassing is optional: any object with at least one of these methods will do.
    """

    def started(self, schedule: Schedule, run: RunDirectory, done: int) -> None:
        """Called before the first step; in a resumed run, `done` steps were made before."""

    def stepped(self, step: int, seconds: float) -> None:
        """Called after each step, with the seconds of training so far."""

    def logged(self, row: Row) -> None:
        """Called after each metric row."""

    def sampled(self, step: int, picture: NDArray[np.uint8]) -> None:
        """Called after each sample grid (height, width, C)."""

    def ended(self) -> None:
        """Called after the last step, or after an error."""


EVENTS = ("started", "stepped", "logged", "sampled", "ended")


def check_observers(observers: Sequence[object]) -> None:
    """Check that each observer has a method to call.

    Raises:
        UsageError: an observer has none of the methods of `Observer`, or is a class instead of an object.
    """
    if not isinstance(observers, Sequence):
        raise UsageError(f"observers is a {type(observers).__name__}; give a list, as in observers=[watch]")
    for observer in observers:
        if isinstance(observer, type):
            raise UsageError(f"observer {observer.__name__} is a class; give an instance: {observer.__name__}()")
        if not any(callable(getattr(observer, event, None)) for event in EVENTS):
            raise UsageError(
                f"observer {type(observer).__name__} would never be called; it needs at least one of the methods "
                f"{', '.join(EVENTS)} (see genlab.Observer)"
            )


def _tell(observers: Sequence[object], event: str, *facts: Any) -> None:
    """Call the method `event` of each observer that has it."""
    for observer in observers:
        hear = getattr(observer, event, None)
        if hear is not None:
            hear(*facts)


class Evaluator(Protocol):
    """Measures a model in training."""

    @property
    def columns(self) -> Sequence[Column]:
        """Columns that it adds to a metric row."""

    def __call__(self, step: int, model: Generates) -> dict[str, float]:
        """Values to log about the model after a step; the model is left unchanged."""


def batches(schedule: Schedule, keyed: Keyed, after: int) -> Iterator[tuple[int, Tensor]]:
    """(step, indices of its images) for every step after `after`; each epoch has its own order."""
    for epoch in range(after // schedule.steps_per_epoch, schedule.epochs):
        order = keyed.permutation("order", epoch, schedule.images)
        for k in range(schedule.steps_per_epoch):
            step = epoch * schedule.steps_per_epoch + k + 1
            if after < step <= schedule.total_steps:
                yield step, order[k * schedule.batch : (k + 1) * schedule.batch]


def fit(
    model: Trains,
    dataset: Dataset,
    run: RunDirectory,
    recipe: Recipe,
    keyed: Keyed,
    observers: Sequence[object] = (),
    from_checkpoint: checkpoint.Checkpoint | None = None,
    test: Dataset | None = None,
    evaluator: Evaluator | None = None,
) -> None:
    """Train `model` on `dataset` (already in the recipe's size) as `recipe` says, writing everything into `run`.

    A family that evaluates is tested on `test`, if there is one, after each epoch. For a family that samples,
    `evaluator` measures images whenever samples are drawn; the time that this takes does not count as training.

    A first Ctrl-C or SIGTERM finishes the step, saves and raises `Stopped`; a second one stops at once.

    Raises:
        Stopped: training was asked to stop; the run can be resumed.
        NonFiniteError: a loss, gradient or weight was not finite; the last checkpoint is from before.
        StorageError: the disk refused.
    """
    schedule = Schedule.of(recipe, len(dataset))
    images = torch.from_numpy(dataset.images)
    labels = _tensor(dataset.labels)
    if from_checkpoint:
        restore(model, from_checkpoint, run)
    else:
        real_picture(dataset, recipe, run)
    classes, done = len(dataset.class_names), from_checkpoint.step if from_checkpoint else 0
    before = from_checkpoint.state if from_checkpoint else {}
    books = _Bookkeeping(model, run, recipe, schedule, keyed, observers, classes, test, evaluator, done, before)
    with books.status(), run.appending(after=done) as log, signals.requests() as stop:
        _tell(observers, "started", schedule, run, done)
        for step, indices in batches(schedule, keyed, after=done):
            with keyed.scope("networks", step), books.watching(step) as signs:
                losses = model.step(images[indices], None if labels is None else labels[indices], step)
            books.after_step(step, {**losses, **signs}, log, stop)
            if stop.heard and step < schedule.total_steps:
                again = f"genlab train --resume {run.path}"
                if recipe.data.name.startswith(PREFIX):
                    again = f"genlab.train(resume={str(run.path)!r}, data=...), from Python with the same images"
                raise Stopped(
                    f"stopped at step {step} of {schedule.total_steps}; resume with: {again}", 128 + stop.signal
                )


class _Bookkeeping:
    """What happens around the steps of one call of `fit`."""

    def __init__(
        self,
        model: Trains,
        run: RunDirectory,
        recipe: Recipe,
        schedule: Schedule,
        keyed: Keyed,
        observers: Sequence[object],
        classes: int,
        test: Dataset | None,
        evaluator: Evaluator | None,
        done: int,
        before: Mapping[str, Any],
    ) -> None:
        self.model, self.run, self.recipe, self.schedule, self.observers = model, run, recipe, schedule, observers
        self.test, self.evaluator, self.family = test, evaluator, FAMILIES[recipe.family]
        if self.family.sampling:
            self.previews = previews(recipe, keyed, classes)
        # Checkpoints of older versions hold no open block.
        self.block = Block([c.name for c in self.family.columns if c.block], before.get("block"))
        self.vitals = Vitals(model.networks, self.family.players, compiled=recipe.engine.compile is True)
        self.start: float = time.monotonic() - before.get("seconds", 0.0)
        self.saved_at = time.monotonic()
        self.step = done

    @property
    def seconds(self) -> float:
        """Seconds of training, including samples, checkpoints and the time before a resume."""
        return time.monotonic() - self.start

    @contextmanager
    def status(self) -> Iterator[None]:
        """Keep status.json and the observers up to date, however the training ends."""
        self._note("running", pid=os.getpid())
        try:
            yield
            self._note("finished")
        except Stopped:
            self._note("interrupted")
            raise
        except Exception as error:
            with suppress(StorageError):  # A full disk was reported already.
                self._note("failed", reason=reason(error))
            raise
        finally:
            _tell(self.observers, "ended")

    @contextmanager
    def watching(self, step: int) -> Iterator[Mapping[str, float]]:
        """Context for one step; yields what its row adds to the losses, if a row is due, filled at the end."""
        if not self.schedule.row_at(step, self.recipe):
            yield {}
            return
        resting = self.model.resting(step) if isinstance(self.model, TakesTurns) else ()
        with self.vitals.of_a_step({self.family.players[name] for name in resting}) as found:
            yield found

    def after_step(self, step: int, losses: dict[str, float], log: MetricLog, stop: signals.Stop) -> None:
        """Log, sample, save: whatever is due after this step."""
        self.step = step
        last = step == self.schedule.total_steps
        self.block.add(losses)
        _tell(self.observers, "stepped", step, self.seconds)
        if self.schedule.evaluates_at(step, self.recipe):
            losses = {**losses, **self._evaluate(step)}
        sampling = self.family.sampling is not None and self.schedule.samples_at(step, self.recipe)
        if sampling:
            self._check(step)
            self._sample(step)
        if sampling and self.evaluator:
            losses = {**losses, **self._measure(step, self.evaluator)}
        if self.schedule.row_at(step, self.recipe):
            self._log(step, losses, log)
        overdue = time.monotonic() - self.saved_at >= self.recipe.logging.checkpoint_seconds
        # Read the request once, and last: a step after which training stops must have been saved.
        stop.heard = bool(stop.signal)
        if last or sampling or overdue or stop.heard:
            self._check(step)
            log.sync()
            self._save(step)

    def _log(self, step: int, losses: dict[str, float], log: MetricLog) -> None:
        per_epoch, partial = self.schedule.steps_per_epoch, self.schedule.images % self.schedule.batch
        kept = self.recipe.data.last_batch == "keep" and partial
        images = step * self.schedule.batch - (step // per_epoch * (self.schedule.batch - partial) if kept else 0)
        row = {"step": step, "epoch": round(step / per_epoch, 6), "images": images, "seconds": round(self.seconds, 3)}
        row |= losses | self.block.close()
        log.append(row)
        _tell(self.observers, "logged", dict(row))

    def _evaluate(self, step: int) -> dict[str, float]:
        assert isinstance(self.model, Validates)
        if self.test is None:
            return self.model.epoch_ended(None, None, step)
        return self.model.epoch_ended(torch.from_numpy(self.test.images), _tensor(self.test.labels), step)

    def _measure(self, step: int, evaluator: Evaluator) -> dict[str, float]:
        assert isinstance(self.model, Generates)
        before = time.monotonic()
        found = evaluator(step, self.model)
        self.start += time.monotonic() - before
        return found

    def _sample(self, step: int) -> None:
        assert isinstance(self.model, Generates)
        sampler = self.model.sampler
        write(self.run.file("snapshots", step, ".safetensors"), tensors.pack(_tensors("", sampler)))
        z, labels, columns = self.previews
        picture = pictures.grid(self.model.generate(z, labels), columns)
        # Nothing here may differ between two runs of the same recipe and seed: equal samples are equal files.
        words = drawn_with(self.recipe, batchnorm=bool(batch_normalisations(sampler)))
        text = {"genlab:step": str(step), "genlab:sampling": words}
        write(self.run.file("samples", step, ".png"), pictures.png(picture, text))
        _tell(self.observers, "sampled", step, picture)

    def _check(self, step: int) -> None:
        """Refuse to write weights that are not finite."""
        name = checkpoint.not_finite(_all_tensors(self.model))
        if name:
            raise NonFiniteError(
                f"step {step}: {name} is not finite and was not saved; a smaller learning rate may help"
            )

    def _save(self, step: int) -> None:
        checkpoint.save(self.run.checkpoints, saved_state(self.model, step, self.seconds, self.block.state))
        self.saved_at = time.monotonic()
        self._note("running", pid=os.getpid())

    def _note(self, state: str, **more: Any) -> None:
        self.run.set_status(
            state=state, step=self.step, total_steps=self.schedule.total_steps, seconds=round(self.seconds, 3), **more
        )


def saved_state(model: Trains, step: int, seconds: float, block: dict[str, Any] | None = None) -> checkpoint.Checkpoint:
    """Checkpoint of everything that is needed to continue a training after a step.

    Args:
        seconds: seconds of training so far.
        block: quantities since the last metric row; see `blocks`.
    """
    state: dict[str, Any] = {"model": model.training_state(), "seconds": seconds, "block": block}
    return checkpoint.Checkpoint(step, _all_tensors(model), state)


@torch.no_grad()
def restore(model: Trains, saved: checkpoint.Checkpoint, run: RunDirectory) -> None:
    """Put a checkpoint's tensors and state into `model`.

    Raises:
        CheckpointError: tensors are missing, superfluous, or of another shape or type (the message names the first
            five); or the training state is of another model.
    """
    mine = _all_tensors(model)
    differences = [
        f"{key}: {_shape(mine.get(key))} here, {_shape(saved.tensors.get(key))} saved"
        for key in sorted(mine.keys() | saved.tensors.keys())
        if _shape(mine.get(key)) != _shape(saved.tensors.get(key))
    ]
    if differences:
        raise CheckpointError(
            "\n  ".join(
                [
                    f"{run.path}: the checkpoint belongs to another model ({len(differences)} differences):",
                    *differences[:5],
                ]
            )
        )
    for key, value in mine.items():
        value.copy_(saved.tensors[key])
    try:
        model.load_training_state(saved.state["model"])
    except (KeyError, TypeError, ValueError, RuntimeError, AttributeError) as error:
        raise CheckpointError(
            f"{run.path}: the checkpoint's training state belongs to another model ({error})"
        ) from None


def _all_tensors(model: Trains) -> dict[str, Tensor]:
    """Tensors of every network, under "network.path"."""
    return {k: v for name, network in model.networks.items() for k, v in _tensors(f"{name}.", network).items()}


def _tensors(prefix: str, network: nn.Module) -> dict[str, Tensor]:
    return {prefix + key: value.detach() for key, value in network.state_dict().items()}


def _shape(tensor: Tensor | None) -> str:
    return "none" if tensor is None else f"{tuple(tensor.shape)} {str(tensor.dtype).removeprefix('torch.')}"


def _tensor(array: NDArray[np.int64] | None) -> Tensor | None:
    return None if array is None else torch.from_numpy(array)


def previews(recipe: Recipe, keyed: Keyed, classes: int) -> tuple[Tensor, Tensor | None, int]:
    """Fixed z of a run, their labels, and the number of columns of the grid.

    Conditional: one class per row, one z per column. Unconditional: 64 different z.
    """
    sampling = FAMILIES[recipe.family].sampling
    assert sampling is not None, "only families that make images are asked"
    noise = sampling.noise(recipe)
    if not recipe.conditional:
        return keyed.normal("preview", 0, UNCONDITIONAL_SAMPLES, *noise), None, UNCONDITIONAL_COLUMNS
    z = keyed.normal("preview", 0, CONDITIONAL_COLUMNS, *noise).repeat(classes, *[1] * len(noise))
    return z, torch.arange(classes).repeat_interleave(CONDITIONAL_COLUMNS), CONDITIONAL_COLUMNS


def real_picture(dataset: Dataset, recipe: Recipe, run: RunDirectory) -> None:
    """Write real images in the layout of the sample grids: the first of each class, or of the whole training set."""
    if recipe.conditional and dataset.labels is not None:
        rows = np.zeros((len(dataset.class_names), CONDITIONAL_COLUMNS, *dataset.images.shape[1:]), np.uint8)
        for k, row in enumerate(rows):
            found = dataset.images[np.flatnonzero(dataset.labels == k)[:CONDITIONAL_COLUMNS]]
            row[: len(found)] = found
        picture = pictures.grid(rows.reshape(-1, *rows.shape[2:]), CONDITIONAL_COLUMNS)
    else:
        picture = pictures.grid(dataset.images[:UNCONDITIONAL_SAMPLES], UNCONDITIONAL_COLUMNS)
    write(run.path / "samples" / "real.png", pictures.png(picture, {"genlab:dataset": dataset.name}))
