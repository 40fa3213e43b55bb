"""How the images of a dataset are converted for networks and metrics, and back."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from PIL import Image

from genlab.data.dataset import Dataset, Images, fit, padded, resampled_by_pillow
from genlab.recipe import Recipe


@dataclass(frozen=True)
class Preprocessing:
    """How a dataset's images become those that are measured, as a recipe's data section says or `sizes` infers.

    Real images go there and back (`there_and_back`), generated ones only back, so that both lose the same detail.

    Attributes:
        size, channels: side in pixels and number of channels of the measured images.
        resize: `pad` and `edge` are undone by cropping, `crop` by a black border, the others by Pillow's bilinear.
        guessed: whether `resize` was guessed from the images.
    """

    size: int
    channels: int
    resize: Resize
    guessed: bool = False

    @classmethod
    def of(cls, recipe: Recipe) -> Preprocessing:
        """Preprocessing of the dataset's images for a recipe's networks."""
        return cls(recipe.data.size, recipe.data.channels, recipe.data.resize)

    def back(self, images: Images, side: int, channels: int) -> Images:
        """Measured images in the dataset's format: `side` pixels, `channels` channels. Colour becomes gray by luma
        (ITU-R BT.601: .299 R + .587 G + .114 B), gray becomes colour by repetition."""
        if images.shape[2] != side:
            opposite: dict[Resize, Resize] = {"pad": "crop", "edge": "crop", "crop": "pad"}
            images = resampled(images, side, opposite.get(self.resize, "bilinear"))
        if images.shape[1] > channels:
            images = np.stack([np.asarray(Image.fromarray(x.transpose(1, 2, 0)).convert("L")) for x in images])[:, None]
        elif images.shape[1] < channels:
            images = images.repeat(channels, axis=1)
        return np.ascontiguousarray(images)

    def there_and_back(self, real: Dataset) -> Images:
        """Real images, resized like those that are measured, and back.

        They keep their colour even if the measured images have none: a lost colour is a difference between the two.
        """
        if self.resize in ("none", "pad", "edge"):
            return real.images  # A border or a repeated channel is removed without a trace.
        return self.back(resampled(real.images, self.size, self.resize), real.side, real.channels)

    @property
    def words(self) -> str:
        """The preprocessing in words, for the protocol."""
        if self.resize == "none":
            return "as they are"
        changes = {
            "pad": "border cropped",
            "edge": "border cropped",
            "crop": "cut out of the middle, a black border added",
        }
        interpolated = f"interpolated ({self.resize}), and back (bilinear)"
        told = "; guessed from the images (--resize overrides it)" if self.guessed else ""
        return f"{self.size} px, {changes.get(self.resize, interpolated)}{told}"


def fitted(dataset: Dataset, recipe: Recipe) -> Dataset:
    """The dataset as the recipe's networks see it."""
    return fit(dataset, recipe.data.size, recipe.data.resize, recipe.data.channels)


def as_tested(recipe: Recipe, test: Dataset | None) -> Dataset | None:
    """The test split as the recipe's networks see it; None if there is none, or if labels are needed and missing."""
    if test is None:
        return None
    if recipe.needs_labels and test.labels is None:
        warnings.warn(f"the test split of {recipe.data.name} has no labels (y_test): it cannot be used", stacklevel=1)
        return None
    return fitted(test, recipe)


Resize = Literal["none", "pad", "edge", "crop", "bilinear", "bicubic", "lanczos", "nearest", "box", "torch-bilinear"]
"""`box` is the mean of the pixels underneath; `torch-bilinear` (torch, OpenCV) does not average when it shrinks; the
others are Pillow's. A recipe accepts `none`, `pad`, `edge` and `bilinear`."""


SHRINKING: tuple[Resize, ...] = ("bilinear", "bicubic", "lanczos", "nearest", "box", "torch-bilinear")
"""Kernels that give different images when they shrink."""


def resampled(images: Images, size: int, way: Resize) -> Images:
    """Images with `size` pixels per side; `pad` and `crop` keep the middle (an odd pixel goes below and right)."""
    side = images.shape[2]
    if size == side:
        return images
    if way in ("pad", "edge"):
        return padded(images, size, way == "edge")
    if way == "crop":
        before = (side - size) // 2
        return images[:, :, before : before + size, before : before + size]
    if way == "torch-bilinear":
        x = torch.from_numpy(images).float()
        found = torch.nn.functional.interpolate(x, size=(size, size), mode="bilinear", align_corners=False)
        return found.round().to(torch.uint8).numpy()
    return resampled_by_pillow(images, size, Image.Resampling[way.upper()])
