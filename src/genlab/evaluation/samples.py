"""What is measured: images from anywhere, and the way from the dataset's form to theirs and back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from PIL import Image

from genlab.data import Dataset, fit
from genlab.data.images import Images, Labels
from genlab.errors import DataError

Resize = Literal["none", "pad", "bilinear"]


@dataclass(frozen=True)
class Way:
    """How images of a dataset become those that are measured: as a recipe's data section says it.

    Real images go this way and back (`there_and_back`), generated ones only back, so that both have lost the same.

    Attributes:
        size, channels: of the images that are measured.
        resize: `pad` is undone by cutting the border off, `bilinear` by interpolating back.
    """

    size: int
    channels: int
    resize: Resize

    @classmethod
    def guessed(cls, images: Images, side: int, resize: Resize | None = None) -> Way:
        """The way of images from elsewhere: larger ones than the dataset's are taken to have been padded, smaller ones
        interpolated, unless `resize` says it.

        Raises:
            DataError: padded images are not smaller than what was padded.
        """
        size = images.shape[2]
        if resize == "pad" and size < side:
            raise DataError(f"images of {size} pixels cannot be padded ones of {side}; use --resize bilinear")
        chosen = resize or ("pad" if size > side else "bilinear")
        return cls(size, images.shape[1], "none" if size == side else chosen)

    def back(self, images: Images, side: int, channels: int) -> Images:
        """Images of this form in the dataset's: `side` pixels, `channels` channels. Colour becomes gray by luma
        (ITU-R BT.601: .299 R + .587 G + .114 B), gray becomes colour by repetition."""
        if images.shape[2] != side:
            if self.resize == "pad":
                border = (images.shape[2] - side) // 2
                images = images[:, :, border : border + side, border : border + side]
            else:
                images = _interpolated(images, side)
        if images.shape[1] > channels:
            images = np.stack([np.asarray(Image.fromarray(x.transpose(1, 2, 0)).convert("L")) for x in images])[:, None]
        elif images.shape[1] < channels:
            images = images.repeat(channels, axis=1)
        return np.ascontiguousarray(images)

    def there_and_back(self, real: Dataset) -> Images:
        """Real images, made as those that are measured and brought back."""
        if self.resize != "bilinear" and self.channels >= real.channels:
            return real.images  # A border, or a repeated channel, is taken off without a trace.
        channels = max(self.channels, real.channels)
        there = fit(real, self.size, self.resize, channels).images
        if self.channels < channels:
            there = Way(self.size, 1, "none").back(there, self.size, 1)
        return self.back(there, real.side, real.channels)

    @property
    def words(self) -> str:
        """For the protocol."""
        changes = {
            "none": "as they are",
            "pad": f"{self.size} px, their border cut off",
            "bilinear": f"{self.size} px, interpolated back (bilinear)",
        }
        return changes[self.resize]


@dataclass(frozen=True, eq=False)
class Samples:
    """Images to be measured.

    Attributes:
        images: uint8, (N, C, H, W).
        requested: the class that each was asked for, int64 (N,); None where none was asked for.
        words: where they come from and how they were drawn.
        way: their form.
    """

    images: Images
    requested: Labels | None
    words: dict[str, object]
    way: Way


def _interpolated(images: Images, side: int) -> Images:
    like = Dataset("", "", images, None, (), "")
    return fit(like, side, "bilinear", images.shape[1]).images
