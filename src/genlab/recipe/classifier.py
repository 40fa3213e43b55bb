"""Recipes of the family `classifier`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from genlab.recipe.networks import CnnClassifier, MlpClassifier, VggClassifier, batch_normalised
from genlab.recipe.sections import (
    AnyOptimiser,
    BaseRecipe,
    Number,
    Optimiser,
    Problem,
    Rate,
    Section,
    merged_passes_of_a_gan,
    no_labels,
)


class ClassifierNetworks(Section):
    classifier: MlpClassifier | CnnClassifier | VggClassifier = Field(discriminator="kind")


class ClassifierObjective(Section):
    label_smoothing: Rate = 0
    """Share of each target that is spread evenly over all classes (Szegedy et al. 2016)."""


class Augmentation(Section):
    """Random distortions of the training images, in this order, each drawn anew for each image at each step.

    Each is applied to an image with chance `probability`, independently of the others; 0 switches it off. Images are
    in [0, 1] here and are clipped to it at the end.
    """

    probability: Annotated[float, Number, Field(gt=0, le=1)] = 0.5
    shift: Annotated[int, Number, Field(ge=0, le=512)] = 0
    """Whole pixels, uniform in -shift .. shift along each axis; vacated pixels are black."""
    blur: Annotated[float, Number, Field(ge=0, le=4)] = 0
    """Standard deviation of a Gaussian kernel, pixels, uniform in 0 .. blur."""
    contrast: Annotated[float, Number, Field(ge=0, le=1)] = 0
    """Distances from grey (0.5) are multiplied by a factor, uniform in 1 - contrast .. 1 + contrast."""
    brightness: Annotated[float, Number, Field(ge=0, le=1)] = 0
    """Number added to all pixels, uniform in -brightness .. brightness."""
    noise: Annotated[float, Number, Field(ge=0, le=1)] = 0
    """Standard deviation of normal noise, pixel by pixel, uniform in 0 .. noise."""

    def problems(self) -> Iterator[Problem]:
        if not (self.shift or self.blur or self.contrast or self.brightness or self.noise):
            yield (
                ("augmentation",),
                "augmentation has nothing to do: shift, blur, contrast, brightness, noise are 0; set it to null",
            )


class ClassifierRecipe(BaseRecipe):
    example: ClassVar[str] = "s4-classifier"
    validates: ClassVar[bool] = True
    family: Literal["classifier"]
    augmentation: Augmentation | None = None
    networks: ClassifierNetworks
    objective: ClassifierObjective = ClassifierObjective()
    optimiser: AnyOptimiser

    @property
    def needs_labels(self) -> bool:
        return True

    @property
    def batch_normalised(self) -> frozenset[str]:
        return batch_normalised(classifier=self.networks.classifier)

    def optimiser_sections(self) -> dict[str, Optimiser]:
        return {"optimiser": self.optimiser}

    def rules(self) -> Iterator[Problem]:
        yield from super().rules()
        yield from merged_passes_of_a_gan(self)
        yield from self.networks.classifier.problems("networks.classifier", self.data.size)
        if self.augmentation is not None:
            yield from self.augmentation.problems()

    def against(self, images: int, side: int, channels: int, classes: int) -> Iterator[Problem]:
        yield from super().against(images, side, channels, classes)
        if not classes:
            yield no_labels("family", "classifier", self.data)
