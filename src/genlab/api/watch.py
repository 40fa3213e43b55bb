"""Watch your own PyTorch training loop: rows, grids, evaluations and a diagnosis, as for a run of genlab's."""

from __future__ import annotations

import os
import sys
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, Literal

from torch import Tensor, nn

from genlab import data
from genlab.api.progress import shown
from genlab.api.run import Run
from genlab.data import pictures
from genlab.data.given import Range
from genlab.data.memory import Images, name_of
from genlab.data.preprocessing import Preprocessing, Resize, fitted
from genlab.engine.console import note
from genlab.engine.files import write
from genlab.engine.stages import stage
from genlab.errors import StorageError, UsageError
from genlab.evaluation import catalogue, judge_search, kept
from genlab.evaluation.diagnosis import Diagnosis
from genlab.evaluation.diagnosis.run import Attentive
from genlab.evaluation.image_set import Reference, Samples
from genlab.evaluation.live import recorded
from genlab.evaluation.measure import CHEAP, FULL, measure
from genlab.families.external import FAMILY
from genlab.report import findings
from genlab.report.figures.evaluation import figures
from genlab.runs.directory import RunDirectory, default_root
from genlab.runs.provenance import provenance_of
from genlab.training.fit import CONDITIONAL_COLUMNS, UNCONDITIONAL_COLUMNS, UNCONDITIONAL_SAMPLES, real_picture
from genlab.training.loop.look import Look
from genlab.training.loop.numbers import Numbers, Scalar
from genlab.training.loop.recipe import recipe_of
from genlab.training.loop.samples import LoopSamples, Made, Maker, by_class

LEAST = 500
"""Number of samples below which nothing is measured."""
STATUS_SECONDS = 10.0


class Watch:
    """Watches a training loop without changing it.

    ::

        with genlab.Watch("mnist", steps=20_000) as watch:
            for x, _ in batches:
                ...  # a step of D and a step of G
                watch.step(loss_d=loss_d, loss_g=loss_g, samples=fake, G=G, D=D)

    It writes a run like any other: `genlab runs`, `report`, `compare` and `diagnose` show it. A row is written every
    `rows` steps, and every `every` steps 2,000 samples are measured against the dataset's test split, or as soon after
    as a step gives samples. Faults are reported when they begin.

    Args:
        dataset: dataset that the loop learns, by name or path, or images in memory (see `genlab.train`).
        steps: number of steps that the loop is going to make, if known.
        every: steps from one measurement to the next (default: a twelfth of `steps`, or 500).
        rows: steps from one row to the next.
        batch: images per step, by which epochs are counted (default: the length of the first `samples`, or 64).
        loss: adversarial loss: non-saturating (binary cross-entropy), saturating, least-squares, hinge or wasserstein;
            it sets the level of the losses at which D cannot tell real from generated images.
        values_in: values of black and white in `samples` (default: inferred from the first samples).
        resize: how images of another size were made from the dataset's: "pad", "bilinear", ...; see
            `genlab.evaluate`. The first step must then report samples.
        seed: seed that your script set for the loop; kept for comparisons.
        evaluation: "cheap" measures 2,000 samples every `every` steps; "full" also measures 10,000 at the end, if a
            function makes them; "none" only draws samples.
        name, runs: name of the run, and folder of the runs.
        progress: whether findings are printed.

    Raises:
        DataError: the dataset does not exist or cannot be read.
        UsageError: an argument is out of range.
    """

    def __init__(
        self,
        dataset: Images,
        *,
        steps: int | None = None,
        every: int | None = None,
        rows: int = 20,
        batch: int | None = None,
        loss: str | None = None,
        values_in: Range | None = None,
        resize: Resize | None = None,
        seed: int = 0,
        evaluation: Literal["full", "cheap", "none"] = "full",
        name: str | None = None,
        runs: str | Path | None = None,
        progress: bool = True,
    ) -> None:
        for word, value in {"steps": steps, "every": every, "rows": rows, "batch": batch}.items():
            if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
                raise UsageError(f"{word} is {value!r}; allowed: a whole number, 1 or more")
        self._name = data.settled(name_of(dataset), None)
        self._train = data.load(self._name)
        self._steps, self._every, self._rows, self._batch = steps, every or max(1, (steps or 6000) // 12), rows, batch
        self._loss, self._resize, self._seed, self._evaluation = loss, resize, seed, evaluation
        self._called, self._root, self._progress = name, Path(runs) if runs else default_root(), progress
        self._stack = ExitStack()
        self._began = time.monotonic()
        self._step = 0
        self._samples = LoopSamples(CHEAP, self._every, values_in)
        self._numbers = Numbers(FAMILY.columns)
        self._said_at = 0.0
        self._run: Run | None = None
        self._look: Look | None = None
        self._reference: Reference | None = None
        self._ended = self._owed = False
        self._measured = 0

    def step(
        self,
        *,
        loss: Scalar | None = None,
        loss_d: Scalar | None = None,
        loss_g: Scalar | None = None,
        d_real: Tensor | None = None,
        d_fake: Tensor | None = None,
        reconstruction: Scalar | None = None,
        kl: Scalar | None = None,
        accuracy: Scalar | None = None,
        test_loss: Scalar | None = None,
        test_accuracy: Scalar | None = None,
        samples: Tensor | Maker | None = None,
        labels: Tensor | None = None,
        G: nn.Module | None = None,
        D: nn.Module | None = None,
        model: nn.Module | None = None,
    ) -> None:
        """Report a step after it was made. Quantities left out are unknown, and nothing is said about them.

        Args:
            loss, loss_d, loss_g: loss that was minimised by the only network, by D and by G.
            d_real, d_fake: outputs of D for the real and the generated images: logits or probabilities.
            reconstruction, kl: terms of a VAE's loss in nats per image, summed over pixels and units, mean over images.
            accuracy: share of the training images that were classified correctly.
            test_loss, test_accuracy: results on the test split, whenever you measure them.
            samples: generated images, N x pixels, N x H x W or N x C x H x W, in [0, 1], [-1, 1] or 0 .. 255: those of
                this step, of which the last 2,000 are measured; or a function that makes them, called with their
                number without gradients and with the same random numbers each time: lambda n: G(torch.randn(n, 100)).
            labels: classes requested for `samples`, int64 (N,); a function returns (images, labels) instead.
            G, D, model: networks that learn, the same in each step.

        Raises:
            UsageError: the first samples have another size than the dataset's images, and `resize` does not say how
                they were resized; or later ones have another size than the first.
            DataError: the samples are not images.
        """
        if self._ended:
            raise UsageError("this watch has ended; a new training needs a new genlab.Watch")
        self._step += 1
        if samples is not None and not callable(samples):
            self._samples.keep(self._step, samples, labels)
        self._maker = samples if callable(samples) else None
        networks = {name: each for name, each in (("G", G), ("D", D), ("model", model)) if each is not None}
        self._networks = networks
        if self._run is None:
            with self._counted_out():
                self._run = self._begin(samples, labels, networks)
        self._numbers.tell(
            self._step, loss=loss, loss_d=loss_d, loss_g=loss_g, reconstruction_sum=reconstruction, kl_sum=kl,
            train_accuracy=accuracy, test_loss=test_loss, test_accuracy=test_accuracy,
            logit_real=d_real, logit_fake=d_fake,
        )  # fmt: skip
        found = self._look.found() if self._look else {}
        last = self._step == self._steps
        due = last or self._step % self._every == 0
        self._owed = self._owed or due
        # A loop may give samples only now and then; in its last step, those of the steps before have to do.
        if self._owed and (samples is not None or (last and self._samples.came_after(self._measured))):
            with self._counted_out():
                found |= self._measure(samples, networks)
            due, self._owed, self._measured = True, False, self._step
        if due or self._step == 1 or self._step % self._rows == 0:
            with self._spared():
                self._write_row(found)
        if self._look and self._is_due(self._step + 1):
            self._look.begin()

    def end(self) -> Run:
        """End the watch with the last row, the diagnosis and the report. A `with` block does so by itself.

        Returns:
            The run.

        Raises:
            UsageError: no step was reported.
        """
        if self._run is None:
            raise UsageError("no step has been reported: call watch.step(...) in the loop")
        if not self._ended:
            self._ended = True
            if self._numbers:
                self._write_row({})
            failure = self._numbers.failure
            if self._maker is not None and not failure and self._evaluation == "full":
                self._measure_fully(self._maker)
            self._close(**({"state": "failed", "reason": failure} if failure else {"state": "finished"}))
            found = self._run.diagnose()
            with shown(self._progress):
                self._run.report()
            for line in _said(found, self._run) if self._progress else ():
                note(line)
        return self._run

    def __enter__(self) -> Watch:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if kind is None:
            self.end()
        elif self._run is not None and not self._ended:
            self._ended = True
            stopped = issubclass(kind, KeyboardInterrupt)
            reason = {} if stopped else {"reason": f"{kind.__name__}: {error}"[:300]}
            self._close(state="interrupted" if stopped else "failed", **reason)

    @property
    def run(self) -> Run:
        """The run that is being written.

        Raises:
            UsageError: no step was reported yet.
        """
        if self._run is None:
            raise UsageError("the run begins with the first watch.step(...)")
        return self._run

    @property
    def diagnosis(self) -> Diagnosis:
        """Diagnosis so far; see `Run.diagnose`."""
        return self.run.diagnose(keep=False)

    def _begin(self, samples: Any, labels: Tensor | None, networks: Mapping[str, nn.Module]) -> Run:
        """Create the run from what the first step reports."""
        side, channels, conditional = self._train.side, self._train.channels, labels is not None
        if samples is not None:
            made = self._made(samples, networks, 2)
            side, channels, conditional = made.images.shape[2], made.images.shape[1], made.labels is not None
            if self._batch is None and not callable(samples):
                self._batch = len(made.images)
            low, high = self._samples.values_in or (0, 255)
            self._say(f"samples read as images from {low:g} (black) to {high:g} (white)")
        if side != self._train.side and self._resize is None:
            raise UsageError(
                f"samples are {side} pixels wide, the images of {self._name} {self._train.side}: say how they were "
                "resized, as in resize='pad' or resize='bilinear'"
            )
        self._samples.shape = (channels, side, side)
        self._way = Preprocessing(side, channels, "none" if side == self._train.side else self._resize or "none")
        recipe = recipe_of(
            self._way, self._train, conditional, self._loss, self._steps, self._batch or 64,
            rows=self._rows, every=self._every, evaluation=self._evaluation, device=_device(networks),
        )  # fmt: skip
        test = data.load_test(self._name)
        provenance = provenance_of(recipe, self._seed, self._train, test, [], {})
        provenance["loop"] = Path(sys.argv[0]).name or "python"
        run = Run(RunDirectory.create(self._root, recipe, self._seed, provenance, self._called))
        self._stack.enter_context(run.directory.locked())
        self._log = self._stack.enter_context(run.directory.appending(after=0))
        real_picture(fitted(self._train, recipe), recipe, run.directory)
        self._attentive = Attentive()
        self._attentive.begin(run.directory, self._steps, [])
        self._status(run)
        if networks:
            self._look = Look(networks)
            self._stack.callback(self._look.close)
        self._say(f"watching into {run.path}")
        return run

    def _is_due(self, step: int) -> bool:
        return step % self._rows == 0 or step % self._every == 0 or step == self._steps

    def _write_row(self, found: Mapping[str, float]) -> None:
        """Write the row of this step, with the pending quantities."""
        before = self._numbers.failure
        values = self._numbers.row()
        if self._numbers.failure and not before:
            self._say(f"{self._numbers.failure}; later values are meaningless")
        per_epoch = max(1, len(self._train) // self.run.recipe.budget.batch)
        seconds = round(time.monotonic() - self._began, 3)
        row = {"step": self._step, "epoch": round(self._step / per_epoch, 6), "seconds": seconds}
        row |= {"images": self._step * self.run.recipe.budget.batch, **values, **found}
        self._log.append(row)
        if self._progress:
            self._attentive.logged(row)
        if seconds - self._said_at > STATUS_SECONDS:
            self._said_at = seconds
            self._log.sync()
            self._status(self.run)

    def _measure(self, samples: Tensor | Maker | None, networks: Mapping[str, nn.Module]) -> dict[str, float]:
        """Measure the available samples and draw some; returns the values to log."""
        made = self._made(samples, networks, CHEAP)
        directory = self.run.directory
        picture, columns = made.images[:UNCONDITIONAL_SAMPLES], UNCONDITIONAL_COLUMNS
        if made.labels is not None and self._train.class_names:
            columns = CONDITIONAL_COLUMNS
            picture = by_class(made, len(self._train.class_names), columns)
        text = {"genlab:step": str(self._step), "genlab:sampling": made.words}
        with self._spared():
            file = directory.file("samples", self._step, ".png")
            write(file, pictures.png(pictures.grid(picture, columns), text))
        if self._evaluation == "none":
            return {}
        if len(made.images) < LEAST:
            warnings.warn(
                f"{len(made.images)} samples in {self._every} steps are too few to measure; give {LEAST} or more, or a "
                "function that makes them",
                stacklevel=4,
            )
            return {}
        if self._reference is None:
            self._reference = Reference(self._name, self._way, judge_search.load(self._name), CHEAP)
        words: dict[str, object] = {"of": directory.path.name, "step": self._step, "drawn_with": made.words}
        labels = None if made.labels is None else made.labels[-CHEAP:]
        found: dict[str, float] = {}
        with self._spared(), shown(self._progress), stage(f"measuring {CHEAP:,} images", catalogue.SECONDS):
            taken = Samples(made.images[-CHEAP:], labels, words, self._way)
            found |= recorded(directory, self._step, taken, self._reference)
        return found

    def _measure_fully(self, maker: Maker) -> None:
        """Make the full evaluation, with its figures."""
        made, directory = self._made(maker, self._networks, FULL), self.run.directory
        against = Reference(self._name, self._way, judge_search.load(self._name))
        words: dict[str, object] = {"of": directory.path.name, "step": self._step, "drawn_with": made.words}
        with self._spared(), shown(self._progress), stage(f"measuring {FULL:,} images", catalogue.SECONDS):
            found = measure(Samples(made.images, made.labels, words, self._way), against)
            kept.keep(directory, kept.FULL_FILE, found.record)
            for figure in figures(found):
                figure.keep(self.run)

    def _made(self, samples: Tensor | Maker | None, networks: Mapping[str, nn.Module], n: int) -> Made:
        if not callable(samples):
            return self._samples.gathered()
        return self._samples.made(samples, n, [b for network in networks.values() for b in network.buffers()])

    @contextmanager
    def _counted_out(self) -> Iterator[None]:
        """Context whose time does not count as training time."""
        before = time.monotonic()
        yield
        self._began += time.monotonic() - before

    @contextmanager
    def _spared(self) -> Iterator[None]:
        """Context in which a failed write gives a warning instead of ending the loop."""
        try:
            yield
        except StorageError as error:
            warnings.warn(f"{error}; training continues, but not everything is saved", stacklevel=4)

    def _say(self, line: str) -> None:
        if self._progress:
            note(f"genlab: {line}")

    def _status(self, run: Run) -> None:
        seconds = round(time.monotonic() - self._began, 3)
        run.directory.set_status(
            state="running", step=self._step, total_steps=self._steps, seconds=seconds, pid=os.getpid()
        )

    def _close(self, **state: Any) -> None:
        """Write the final status and release the run."""
        with suppress(StorageError):
            self._log.sync()
            total = self._step if state["state"] == "finished" else self._steps
            seconds = round(time.monotonic() - self._began, 3)
            self.run.directory.set_status(step=self._step, total_steps=total, seconds=seconds, **state)
        self._stack.close()


def _device(networks: Mapping[str, nn.Module]) -> str:
    """Device of the networks."""
    weights = (w for network in networks.values() for w in network.parameters())
    return next((w.device.type for w in weights), "cpu")


def _said(found: Diagnosis, run: Run) -> Iterator[str]:
    """Lines about the end of a training."""
    for finding in found.lasting:
        for label, words in findings.lines(finding, run.path.name):
            yield f"{label}  {words}" if label == finding.level.upper() else f"  {label:6} {words}"
    if not found.lasting:
        yield findings.HEALTHY
    yield f"run     {run.path}"
