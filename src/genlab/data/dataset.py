"""What a dataset is: images, labels, class names and a fingerprint."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from genlab.data import pictures
from genlab.errors import counted

SHOWN = 64
"""Number of images in the preview of a dataset."""
Images = NDArray[np.uint8]
Labels = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Dataset:
    """One split of a set of images, all of one square size.

    Attributes:
        name: built-in name or path.
        split: "train" or "test".
        images: uint8, shape (N, C, H, W), C 1 or 3, H = W.
        labels: int64, shape (N,), values 0 .. K-1; None if the dataset has no classes.
        class_names: K names, empty without labels.
        fingerprint: hash of the images and labels as they were stored (see `fingerprint`).
        notes: what was inferred or rearranged while reading.
    """

    name: str
    split: str
    images: Images
    labels: Labels | None
    class_names: tuple[str, ...]
    fingerprint: str
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.images)

    def __repr__(self) -> str:
        kinds = f", {counted(len(self.class_names), 'class')}" if self.labels is not None else ""
        form = " x ".join(map(str, self.images.shape[1:]))
        return f"Dataset({self.name!r}, {self.split}: {counted(len(self), 'image')} of {form}{kinds})"

    def _repr_png_(self) -> bytes:
        """Picture of the first images, which a notebook shows."""
        return pictures.png(pictures.grid(self.images[:SHOWN], SHOWN // 4))

    @property
    def channels(self) -> int:
        return int(self.images.shape[1])

    @property
    def side(self) -> int:
        return int(self.images.shape[2])


def fingerprint(images: Images, labels: Labels | None) -> str:
    """sha256 of shape, pixels and labels in their order; one changed pixel changes it."""
    digest = hashlib.sha256(repr(images.shape).encode())
    digest.update(np.ascontiguousarray(images).data)
    if labels is not None:
        digest.update(np.ascontiguousarray(labels).data)
    return digest.hexdigest()


Split = Literal["train", "test"]


@dataclass(frozen=True)
class Source:
    """A kind of place that datasets come from.

    Attributes:
        claims: (name or path) -> whether it belongs to this source.
        load: (name or path, split) -> that split.
        has_test: (name or path) -> whether there is a test split.
        packaged: (name or path) -> whether it ships with genlab, and so has no path of its own and cannot change.
    """

    claims: Callable[[str], bool]
    load: Callable[[str, Split], Dataset]
    has_test: Callable[[str], bool]
    packaged: Callable[[str], bool] = lambda name: False


def first(dataset: Dataset, n: int | None) -> Dataset:
    """The first n images and labels, or all if n is None. The fingerprint stays that of the whole dataset."""
    labels = dataset.labels
    return replace(dataset, images=dataset.images[:n], labels=None if labels is None else labels[:n])


def fit(dataset: Dataset, size: int, resize: Literal["none", "pad", "edge", "bilinear"], channels: int) -> Dataset:
    """The dataset with images of `size` pixels and `channels` channels.

    `pad` adds a black border (an odd pixel goes below and right), `edge` one that repeats the edge; `bilinear`
    interpolates with Pillow, which averages when it shrinks; one channel becomes three by repetition. A recipe's rules
    have already refused all other combinations.
    """
    images = dataset.images
    if size != dataset.side:
        border = resize in ("pad", "edge")
        images = padded(images, size, resize == "edge") if border else resampled_by_pillow(images, size)
    if channels != images.shape[1]:
        images = np.repeat(images, channels, axis=1)
    return replace(dataset, images=images)


def padded(images: Images, size: int, edge: bool) -> Images:
    """Images centred in `size` pixels per side, with a border that is black or, if `edge`, repeats their edge."""
    before = (size - images.shape[2]) // 2
    after = size - images.shape[2] - before
    border = ((0, 0), (0, 0), (before, after), (before, after))
    return np.pad(images, border, mode="edge") if edge else np.pad(images, border)


def resampled_by_pillow(images: Images, size: int, kernel: Image.Resampling = Image.Resampling.BILINEAR) -> Images:
    """Images interpolated to `size` pixels per side, channel by channel; Pillow averages when it shrinks.

    Pillow interpolates rows, rounds, then interpolates columns. So all images are resized at once, as one picture of
    all their rows and then one of all their columns: the same bits as one by one, more than twice as fast.
    """
    n, channels, side = images.shape[:3]

    def across(rows: Images) -> Images:
        return np.asarray(Image.fromarray(rows.reshape(-1, side)).resize((size, rows.size // side), kernel))

    wide = across(images).reshape(n * channels, side, size)
    columns = across(np.ascontiguousarray(wide.transpose(0, 2, 1))).reshape(n, channels, size, size)
    return np.ascontiguousarray(columns.transpose(0, 1, 3, 2))
