"""The cheap evaluation of a model during training, after its sample epochs."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from genlab import data
from genlab.data import pictures
from genlab.data.preprocessing import Preprocessing, fitted
from genlab.engine import seals
from genlab.engine.files import write_json
from genlab.engine.randomness import Keyed
from genlab.engine.stages import stage
from genlab.evaluation import catalogue, judge_search
from genlab.evaluation.image_set import Reference, Samples, drawn
from genlab.evaluation.measure import CHEAP, measure
from genlab.families.base import Column, Generates, Scores
from genlab.families.registry import FAMILIES
from genlab.recipe import Recipe
from genlab.runs.directory import RunDirectory

FEW = 5000
"""Maximum number of training images for a search for copies during training."""
HELD_OUT = 1000
"""Test images that a discriminator scores."""
METRICS = [name for name, metric in catalogue.METRICS.items() if metric.live is not None]
FLOOR = Column("frechet_floor", "Quality/Frechet distance of real images", epoch="(real images {:.3g})")


def _columns() -> Iterator[Column]:
    for name in METRICS:
        metric = catalogue.METRICS[name]
        yield Column(name, f"Quality/{metric.title}", epoch=metric.live or "")
        if name == "frechet_distance":
            yield FLOOR


COLUMNS = tuple(_columns())
"""Columns added to a metric row after an evaluation during training."""


def recorded(run: RunDirectory, step: int, samples: Samples, against: Reference) -> dict[str, float]:
    """Measure the samples of a step, keep the record in the run, and return what is to be logged."""
    # With few images copies are likely, and the search is quick.
    record = measure(samples, against, memorisation=len(against.learned) <= FEW).record
    write_json(run.file("evaluations", step, ".json"), seals.seal(record))
    found = record["metrics"]
    row = {name: found[name]["value"] for name in METRICS if found[name]["value"] is not None}
    if found["frechet_distance"]["floor"] is not None:
        row[FLOOR.name] = found["frechet_distance"]["floor"]
    return row


class LiveEvaluation:
    """Measures a model; draws from its own random streams and leaves the model as it was.

    Args:
        run: run in which evaluations/step-NNNNNN.json are written.
        words: how the samples are drawn, for the protocol.
    """

    columns = COLUMNS

    def __init__(self, run: RunDirectory, recipe: Recipe, seed: int, words: str) -> None:
        self.run, self.recipe, self.words = run, recipe, words
        self._keyed = Keyed(seed)
        self._way = Preprocessing(recipe.data.size, recipe.data.channels, recipe.data.resize)
        self._against: Reference | None = None
        self._held_out: tuple[Tensor, Tensor | None] | None = None
        sampling = FAMILIES[recipe.family].sampling
        assert sampling is not None, "only families that make images are measured"
        self._noise = sampling.noise(recipe)

    def __call__(self, step: int, model: Generates) -> dict[str, float]:
        """Metrics of `CHEAP` images, with the same z and classes at each step: what is to be logged."""
        with stage(f"measuring {CHEAP:,} images", catalogue.SECONDS):
            return self._measure(step, model)

    def _measure(self, step: int, model: Generates) -> dict[str, float]:
        against = self._reference()
        asked = against.requests(CHEAP) if self.recipe.conditional else None
        labels = None if asked is None else torch.from_numpy(asked)
        z = self._keyed.normal("evaluation", 0, CHEAP if labels is None else len(labels), *self._noise)
        made = pictures.to_uint8(model.generate(z, labels))
        words: dict[str, object] = {"of": self.run.path.name, "step": step, "drawn_with": self.words}
        samples = Samples(made, None if labels is None else labels.numpy(), words, self._way)
        return recorded(self.run, step, samples, against) | self._scored(step, model, against)

    def _scored(self, step: int, model: Generates, against: Reference) -> dict[str, float]:
        """What a model with a discriminator says about test images; empty if there are none that it could read."""
        if not isinstance(model, Scores) or against.split != "test":
            return {}
        if self._held_out is None:
            test = data.load_test(self.recipe.data.name)
            assert test is not None, "the reference uses it"
            chosen = fitted(drawn(test, HELD_OUT), self.recipe)
            self._held_out = (
                torch.from_numpy(chosen.images),
                None if chosen.labels is None else torch.from_numpy(chosen.labels),
            )
        images, labels = self._held_out
        return {} if self.recipe.conditional and labels is None else model.held_out(images, labels, step)

    def _reference(self) -> Reference:
        if self._against is None:
            name = self.recipe.data.name
            self._against = Reference(name, self._way, judge_search.load(name), CHEAP, self.recipe.data.subset)
        return self._against
