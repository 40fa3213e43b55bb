"""Recipes of the family `classifier`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from pydantic import Field

from genlab.recipe.fields import (
    AnyOptimiser,
    BaseRecipe,
    Optimiser,
    Problem,
    Rate,
    Section,
    merged_passes_of_a_gan,
    no_labels,
)
from genlab.recipe.networks import CnnClassifier, MlpClassifier, batch_normalised


class ClassifierNetworks(Section):
    classifier: MlpClassifier | CnnClassifier = Field(discriminator="kind")


class ClassifierObjective(Section):
    label_smoothing: Rate = 0
    """Share of each target that is spread evenly over all classes (Szegedy et al. 2016)."""


class ClassifierRecipe(BaseRecipe):
    family: Literal["classifier"]
    networks: ClassifierNetworks
    objective: ClassifierObjective = ClassifierObjective()
    optimiser: AnyOptimiser

    @property
    def batch_normalised(self) -> frozenset[str]:
        return batch_normalised(classifier=self.networks.classifier)

    def optimiser_sections(self) -> dict[str, Optimiser]:
        return {"optimiser": self.optimiser}

    def rules(self) -> Iterator[Problem]:
        yield from super().rules()
        yield from merged_passes_of_a_gan(self)
        yield from self.networks.classifier.problems("networks.classifier", self.data.size)

    def against(self, images: int, side: int, channels: int, classes: int) -> Iterator[Problem]:
        yield from super().against(images, side, channels, classes)
        if not classes:
            yield no_labels("family", "classifier", self.data)
