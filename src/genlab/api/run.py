"""A run and what it can give: images, figures, likelihood, the report."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from math import log, prod
from pathlib import Path
from typing import Any, Unpack

import numpy as np
import torch
from torch import Tensor

from genlab import data
from genlab.api.progress import shown
from genlab.data import pictures, selection
from genlab.data.dataset import Images, Labels
from genlab.data.preprocessing import as_tested, fitted
from genlab.engine import device
from genlab.engine.files import write
from genlab.engine.randomness import Keyed
from genlab.engine.stages import stage
from genlab.errors import UsageError
from genlab.evaluation import kept
from genlab.evaluation.diagnosis import Diagnosis
from genlab.evaluation.diagnosis.run import diagnosis_of
from genlab.evaluation.judge import Judge
from genlab.evaluation.judge_search import load as load_judge
from genlab.evaluation.measure import FULL, Evaluation, storing
from genlab.evaluation.run import evaluate as evaluate_run
from genlab.families.registry import FAMILIES
from genlab.recipe import files
from genlab.report.figures import looks
from genlab.report.figures.evaluation import figures
from genlab.report.figures.look import Look
from genlab.runs import sampling
from genlab.runs.open import OpenRun
from genlab.runs.options import SamplingKeywords, SamplingOptions
from genlab.runs.provenance import check_split, now, split_of
from genlab.runs.sampling import Sampler


class Run(OpenRun):
    """A run and what it can give: images, figures, numbers, its report.

    Attributes:
        path: directory of the run; see `genlab.runs.directory`.
        custom: custom networks that the run was trained with, by name.
    """

    def _repr_html_(self) -> str:
        """Card that a notebook shows for the run."""
        from genlab.report.html import card
        from genlab.report.page import run_card

        return card(run_card(self.directory))

    @property
    def seconds(self) -> float:
        """Seconds of training, samples and checkpoints included."""
        return float(self.status.get("seconds", 0.0))

    @property
    def images_per_second(self) -> float:
        """Training images per second of training; 0 before the first step."""
        rows = self.metrics()
        return float(rows[-1]["images"] / rows[-1]["seconds"]) if rows and rows[-1]["seconds"] else 0.0

    def sample(
        self,
        n: int = 64,
        *,
        label: int | str | None = None,
        **how: Unpack[SamplingKeywords],
    ) -> Tensor:
        """n new images: float32, shape (n, C, H, W), in [0, 1].

        Drawn with the averaged (EMA) weights if the run keeps them, and with running BatchNorm statistics, unless
        specified otherwise. The same arguments give the same images.

        Args:
            label: class, by number or name; without it a conditional run goes through its classes in turn.
            how: see `SamplingOptions`: seed (0), step of a snapshot, ema (True), batch_statistics (False), truncation.

        Raises:
            UsageError: an argument does not fit this run; the message says what would.
            CheckpointError: no weights were saved yet, or they are damaged.
        """
        if not 1 <= n <= 100_000:
            raise UsageError(f"n is {n}; allowed: 1 .. 100,000")
        sampler = self._sampler(SamplingOptions(**how))
        return sampler(sampler.z("sample", n), sampling.sample_labels(self, n, label))

    def save(
        self,
        images: Tensor,
        path: str | Path,
        *,
        label: int | str | None = None,
        columns: int | None = None,
        scale: int | None = None,
        **how: Unpack[SamplingKeywords],
    ) -> None:
        """Save images of `sample` as a grid (.png), as arrays (.npz: images uint8 (N, C, H, W), labels int64), or,
        if `path` has no extension, as a folder of PNG files.

        Args:
            label, how: the values that were given to `sample`; a PNG says how it was drawn.
            columns: columns of a grid (default: one per class, or as many as rows).
            scale: PNG pixels per image pixel, 1 .. 32 (default: 2 in a grid, 1 in a folder of files).

        Raises:
            UsageError: an unknown extension, an argument out of range, or a folder that is not empty.
        """
        sampling.save_images(images, Path(path), self, label, SamplingOptions(**how), columns, scale)

    def sample_classes(self, labels: Labels, **how: Unpack[SamplingKeywords]) -> Images:
        """One image for each of these classes: labels (n,) -> uint8 (n, C, H, W); z differs from that of `sample`.

        Raises:
            UsageError: the run is unconditional.
        """
        if not self.recipe.conditional:
            raise UsageError(f"{self.path.name} is unconditional: it cannot be asked for classes")
        sampler = self._sampler(SamplingOptions(**how))
        z = sampler.z("sample/classes", len(labels))
        parts = [
            pictures.to_uint8(sampler(z[k : k + 5000], torch.from_numpy(labels[k : k + 5000])))
            for k in range(0, len(labels), 5000)
        ]
        return np.concatenate(parts)

    def interpolate(
        self,
        *,
        pairs: int = 8,
        steps: int = 10,
        path: str = "linear",
        label: int | str | None = None,
        **how: Unpack[SamplingKeywords],
    ) -> Look:
        """Images on the path from one z to another, one pair per row; see `looks.interpolate`."""
        return looks.interpolate(self, SamplingOptions(**how), pairs, steps, path, label)

    def grid(self, *, columns: int | None = None, **how: Unpack[SamplingKeywords]) -> Look:
        """One z per column, one class per row; see `looks.class_grid`."""
        return looks.class_grid(self, SamplingOptions(**how), columns)

    def traverse(
        self,
        *,
        units: Sequence[int] | None = None,
        steps: int = 9,
        span: float = 3.0,
        label: int | str | None = None,
        **how: Unpack[SamplingKeywords],
    ) -> Look:
        """One z with its units moved one after the other from -span to span; see `looks.traverse`."""
        return looks.traverse(self, SamplingOptions(**how), units, steps, span, label)

    def latent_map(self, *, steps: int = 20, label: int | str | None = None, **how: Unpack[SamplingKeywords]) -> Look:
        """Two-dimensional latent space, decoded all over, with the test images in it; see `looks.latent_map`."""
        return looks.latent_map(self, SamplingOptions(**how), self.held_out(), steps, label)

    def reconstruct(self, *, n: int = 20, **how: Unpack[SamplingKeywords]) -> Look:
        """Test images above what the decoder makes of their posterior mean; see `looks.reconstruct`."""
        return looks.reconstruct(self, SamplingOptions(**how), self.held_out(), n)

    def timeline(
        self,
        *,
        epochs: Sequence[int] | None = None,
        n: int = 12,
        columns: int | None = None,
        **how: Unpack[SamplingKeywords],
    ) -> Look:
        """The same z after several epochs, one epoch per row, or per block of `columns`; see `looks.timeline`."""
        return looks.timeline(self, SamplingOptions(**how), epochs, n, columns)

    def judged(
        self,
        *,
        n: int = 9,
        columns: int | None = None,
        label: int | str | None = None,
        judge: Judge | None = None,
        **how: Unpack[SamplingKeywords],
    ) -> Look:
        """New images with the class that the judge (default: the dataset's own) reads in each; see `looks.judged`."""
        reader = judge or load_judge(self.recipe.data.name)
        return looks.judged(self, SamplingOptions(**how), reader, n, columns, label)

    def confusion(self) -> Look:
        """How often each class was taken for each other class; see `looks.confusion`."""
        return looks.confusion(self, self.held_out())

    def log_likelihood(self, *, samples: int = 64, images: int = 1000, seed: int = 0, progress: bool = True) -> Tensor:
        """Lower bound on log p(x) of the first test images, in nats, shape (images,); see `families.vae.model`.

        For a conditional VAE: log p(x | class).

        Raises:
            UsageError: the run is not a VAE, or an argument is out of range.
        """
        recipe = self.recipe
        bounding = FAMILIES[recipe.family].bounding
        if bounding is None:
            raise UsageError(
                f"{self.path.name} is a {FAMILIES[recipe.family].called}: only a VAE bounds the likelihood of an image"
            )
        if not (1 <= samples <= 10_000 and images >= 1):
            raise UsageError(f"samples is {samples}, images {images}; allowed: 1 .. 10,000 samples, 1 image or more")
        held_out = data.first(self.held_out(), images)
        machine = device.start(device.here(recipe.engine))
        networks = {name: sampling.load_network(self, name) for name in bounding.networks}
        x, y = torch.from_numpy(held_out.images), None
        if recipe.conditional and held_out.labels is not None:
            y = torch.from_numpy(held_out.labels)
        with shown(progress), stage("bounding the likelihood", len(held_out)):
            return bounding.log_likelihood(recipe, networks, machine, Keyed(seed), x, y, samples)

    def likelihood(
        self, *, samples: int = 64, images: int = 1000, seed: int = 0, progress: bool = True
    ) -> dict[str, Any]:
        """Mean of `log_likelihood` with its standard error over images, and its protocol; for a discrete likelihood
        also the bits per number of an image, -log2 p(x) / numbers."""
        found = self.log_likelihood(samples=samples, images=images, seed=seed, progress=progress).double()
        bounding = FAMILIES[self.recipe.family].bounding
        assert bounding is not None
        return {
            "of": "log p(x | class)" if self.recipe.conditional else "log p(x)",
            "log_likelihood": found.mean().item(),
            "standard_error": found.std().item() / len(found) ** 0.5 if len(found) > 1 else None,
            "bits_per_dimension": -found.mean().item() / log(2) / prod(self.held_out().images.shape[1:])
            if bounding.discrete(self.recipe)
            else None,
            "images": len(found),
            "split": self.held_out().split,
            "samples": samples,
            "seed": seed,
            "likelihood": bounding.facts(self.recipe)["likelihood"],
        }

    def evaluate(
        self,
        *,
        n: int = FULL,
        judge: Judge | None = None,
        keep: bool = True,
        progress: bool = True,
        **how: Unpack[SamplingKeywords],
    ) -> Evaluation:
        """Every metric of n images, with interval and floor; see `genlab.evaluation`.

        The full evaluation (10,000 images, default sampling options, the dataset's own judge) is kept as
        evaluations/evaluation.json, with its figures, and appears in the report. Any other is kept beside it, named by
        its protocol (`evaluation.kept`).

        Args:
            judge: judge to use instead of the dataset's own.
            keep: whether to keep the evaluation in the run, or only return it.
            progress: whether to show progress in a terminal, in a notebook or on standard error.

        Raises:
            UsageError: the run makes no images, or none with these options.
            DataError: the dataset is not the one that the run began with.
            NotStored: the images were measured, but the run cannot be written; holds the evaluation.
        """
        if not 1 <= n <= 1_000_000:
            raise UsageError(f"n is {n}; allowed: 1 .. 1,000,000")
        drawn = SamplingOptions(**how)
        with shown(progress):
            found = evaluate_run(self, drawn, n, judge or load_judge(self.recipe.data.name))
            if not keep:
                return found
            name = kept.file_of(n, drawn, judge)
            with storing(found), stage("drawing figures"):
                found = replace(found, file=kept.keep(self.directory, name, found.record))
                for figure in figures(found) if name == kept.FULL_FILE else ():
                    figure.keep(self)
        return found

    @property
    def evaluation(self) -> dict[str, Any] | None:
        """Record of the full evaluation, or None if there is none.

        Raises:
            DataError: the record is damaged or was edited.
        """
        return kept.load(self.directory, kept.FULL_FILE)

    def is_measured(self) -> bool:
        """Whether there is a full evaluation of the run's current weights.

        Raises:
            DataError: the evaluation, or the run's status, is damaged or was edited.
        """
        return self.measured() is not None

    def measured(self, n: int = FULL) -> dict[str, Any] | None:
        """Record of the evaluation of n images, drawn with default options and the run's current weights, or None.

        Raises:
            DataError: the evaluation, or the run's status, is damaged or was edited.
        """
        record = kept.load(self.directory, kept.file_of(n, SamplingOptions(), None))
        step = self.directory.step_of_weights()
        return record if record is not None and record["protocol"].get("step") == step else None

    def check_samples(self) -> None:
        """Check that this run can make images here.

        Raises:
            UsageError: the run makes none, or needs a custom network that was not given.
            CheckpointError: no weights were saved yet, or they are damaged.
        """
        self._sampler(SamplingOptions())

    def relocate(self, dataset: str | Path) -> None:
        """Tell the run where its dataset is now; the dataset is recognised by its fingerprint.

        Raises:
            DataError: there is no dataset, or not the one that the run began with.
            BusyError: another process writes to the run.
        """
        place = data.settled(str(dataset), None)
        with self.directory.locked():
            recipe, told = self.directory.trained_by(), self.directory.provenance
            if data.is_packaged(recipe.data.name):
                raise UsageError(f"{self.path.name} was trained on {recipe.data.name}, which is in the package")
            if (inner := selection.parts(recipe.data.name)) and not selection.parts(place):
                place = selection.name_of(place, inner[1])
            check_split(self, data.load(place), "train")
            check_split(self, data.load_test(place), "test")
            moved = recipe.model_copy(update={"data": recipe.data.model_copy(update={"name": place})})
            entry = {"at": now(), "from": recipe.data.name, "to": place}
            told["data"] = {**told["data"], "name": place}
            told |= {"recipe": files.to_dict(moved), "moved": [*told.get("moved", []), entry]}
            self.directory.set_provenance(told)
            self.directory.set_recipe(moved)
            self.reread()

    def _sampler(self, how: SamplingOptions) -> Sampler:
        return Sampler(self, how)

    def held_out(self) -> data.Dataset:
        """Test images as the networks see them, or the training images if the dataset has none.

        Raises:
            DataError: the dataset is not the one that the run began with.
        """
        recipe = self.recipe
        test = as_tested(recipe, split_of(self, "test"))
        if test is not None:
            return test
        train = split_of(self, "train")
        assert train is not None
        return fitted(train, recipe)

    def diagnose(self, *, keep: bool = True) -> Diagnosis:
        """Diagnose this run: what is wrong, since when, by which evidence, what may help; see `evaluation.diagnosis`.

        Args:
            keep: whether to write diagnosis.json into the run.

        Raises:
            DataError: its status or provenance is damaged.
        """
        return diagnosis_of(self.directory, keep)

    def look(self) -> list[Path]:
        """Make the figures of a finished run of this family, in figures/, for the report; returns their paths."""
        held_out = self.held_out() if self.recipe.validates else None
        return [look.keep(self) for look in looks.standard(self, held_out)]

    def report(self) -> Path:
        """Write report.html (and figures/) again and return its path; warns of damaged files that it is made from."""
        from genlab.report.html import render
        from genlab.report.page import run_page

        page = run_page(self.directory)
        for said in page.notes:
            if not said.startswith("recipe.yaml"):  # Reading the recipe warns of this already.
                warnings.warn(f"{self.path.name}: {said}", stacklevel=2)
        for figure in page.figures:
            name = self.directory.folder("figures") / figure.plot.name
            write(name.with_suffix(".csv"), figure.csv)
            if figure.png:
                write(name.with_suffix(".png"), figure.png)
        path = self.path / "report.html"
        write(path, render(page).encode())
        return path
