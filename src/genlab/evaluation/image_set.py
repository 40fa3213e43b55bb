"""A set of images as the metrics see it, and the real sets that all others are measured against."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from genlab import data
from genlab.data import Dataset
from genlab.data.dataset import Images, Labels
from genlab.data.preprocessing import Preprocessing
from genlab.data.stacked import shares as stacked_shares
from genlab.errors import UsageError
from genlab.evaluation import metrics
from genlab.evaluation.judge import Judge, training_command
from genlab.evaluation.random_features import random_features
from genlab.evaluation.remembered import key as remembered_key
from genlab.evaluation.remembered import recalled

Floats = NDArray[np.float64]
MOST = 10_000
"""Maximum number of real images that samples are measured against."""
SEARCHED = 16
"""Nearest training images are searched for among images averaged down to at most this many pixels per side."""


class ImageSet:
    """A set of images; each view of it is computed on first access.

    Attributes:
        images: uint8, (N, C, H, W), in the dataset's form.
        requested: class that each image was asked for, or None if none was.
        intervals: whether to keep what is needed for intervals.
        nearest: distance from each image to its nearest training image, and that one's index; see `Reference.nearest`.
        key: key under which its features are remembered; None if they are not.
    """

    def __init__(
        self,
        images: Images,
        requested: Labels | None,
        judge: Judge | None,
        intervals: bool = True,
        key: str | None = None,
    ) -> None:
        self.images, self.requested, self.judge, self.intervals, self.key = images, requested, judge, intervals, key
        self.nearest: tuple[Floats, NDArray[np.int64]] | None = None
        self._neighbours: tuple[ImageSet, dict[str, metrics.Estimate]] | None = None

    def __len__(self) -> int:
        return len(self.images)

    @cached_property
    def _judged(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        assert self.judge is not None
        if self.key is None:
            return self.judge(self.images)
        judge = self.judge
        found = recalled(f"{self.key}-judged", lambda: dict(zip(("x", "y"), judge(self.images), strict=True)))
        return found["x"], found["y"]

    @property
    def features(self) -> NDArray[np.float32]:
        """Features from the judge, (N, d)."""
        return self._judged[0]

    @property
    def logits(self) -> NDArray[np.float32]:
        """Logits from the judge, (N, K)."""
        return self._judged[1]

    @cached_property
    def classes(self) -> NDArray[np.int64]:
        """Class that the judge sees in each image, (N,)."""
        return np.asarray(self.logits.argmax(1), np.int64)

    @cached_property
    def manifold(self) -> metrics.Manifold:
        """Its features as balls, one per row."""
        return metrics.Manifold.of(self.features, intervals=self.intervals and len(self) >= 2 * metrics.BLOCKS)

    def neighbours(self, real: ImageSet) -> dict[str, metrics.Estimate]:
        """Precision, recall, density and coverage against real images, computed together; the latest result is kept."""
        if self._neighbours is None or self._neighbours[0] is not real:
            self._neighbours = real, metrics.prdc_estimates(real.manifold, self.manifold)
        return self._neighbours[1]

    @cached_property
    def spectra(self) -> Floats:
        """Power of each image on each ring of frequencies, (N, rings)."""
        return metrics.power_spectrum(self.images / np.float32(255))

    @cached_property
    def pixels(self) -> NDArray[np.float32]:
        """Each image averaged over squares of pixels, flat, in [0, 1]: (N, d); see `SEARCHED`."""
        return averaged(self.images)

    def band(self, band: tuple[float, float]) -> Floats:
        """Power of each image in a band of frequencies, (N,)."""
        return metrics.band_power(self.spectra, self.images.shape[2], band)


def averaged(images: Images, most: int = SEARCHED) -> NDArray[np.float32]:
    """Images averaged over the smallest squares that leave at most `most` pixels per side: float32 in [0, 1], flat.

    Pixels beyond the last full square are left out.
    """
    side = images.shape[2]
    square = -(-side // most)
    kept = side // square
    cut = images[:, :, : kept * square, : kept * square]
    blocks = cut.reshape(*images.shape[:2], kept, square, kept, square).mean((3, 5), dtype=np.float32)
    return np.asarray(blocks.reshape(len(images), -1) / np.float32(255), np.float32)


class Reference:
    """The real images of a dataset, preprocessed like the samples that are measured against them.

    Args:
        dataset: built-in name or path.
        way: preprocessing of the samples.
        judge: judge of the dataset; without one, features are those of a random network (`random_features`).
        most: maximum number of real images to measure against; if there are more, this many are drawn with seed 0.
        subset: number of training images, the first ones, that a model learned from; None for all.

    Attributes:
        real: test images or, if the dataset has no test split, half of the training images.
        split: split of `real`.
        train: the training set, without `real` (a single image is in both).
        learned: what a model may have copied: the whole training set, or the subset of it.
        shares: share of each class in `learned`; None without labels.
        fingerprints: fingerprint of `train`, and of the test split if there is one, else None.
        key: key of what is remembered about these images (`remembered`).
        known: metrics of real images computed before, by number of images and whether memorisation was included.

    Raises:
        UsageError: the judge is for other images or classes.
    """

    def __init__(
        self, dataset: str, way: Preprocessing, judge: Judge | None, most: int = MOST, subset: int | None = None
    ) -> None:
        self.dataset, self.way, self.most, self._subset = dataset, way, most, subset
        self.train, test = _load(dataset)
        if judge is not None:
            check_judge(judge, self.train)
        judge = self.judge = judge or random_features(self.train.channels, self.train.side)
        self.learned = data.first(self.train, subset)
        self.fingerprints = {"train": self.train.fingerprint, "test": None if test is None else test.fingerprint}
        if test is None:
            order = np.random.default_rng(0).permutation(len(self.train))
            half = max(1, len(order) // 2)
            rest = np.sort(order[half:]) if len(order) > 1 else order
            test, self.train = taken(self.train, order[:half]), taken(self.train, rest)
        self.split, chosen = test.split, drawn(test, most)
        self.key = remembered_key(
            (self.learned.fingerprint, len(self.learned), test.fingerprint, test.split, most, way),
            (judge.sha256, judge.each_channel, judge.chosen),
        )
        self.real = ImageSet(way.there_and_back(chosen), chosen.labels, judge, key=self.key)
        self.shares = _shares(dataset, self.learned)
        self.known: dict[tuple[int, bool], dict[str, metrics.Estimate | None]] = {}

    def training_images(self, n: int) -> Dataset:
        """n training images drawn with seed 0, in the order of the draw; all if there are fewer."""
        return taken(self.train, np.random.default_rng(0).permutation(len(self.train))[:n])

    def requests(self, n: int) -> Labels | None:
        """Classes to ask a conditional model for: those of n of the images that it learned from, drawn with seed 0, so
        as frequent as there; all if there are fewer. None without labels."""
        asked = self.train if self._subset is None else self.learned
        return taken(asked, np.random.default_rng(0).permutation(len(asked))[:n]).labels

    def floor(self, n: int) -> ImageSet:
        """`training_images(n)`, preprocessed like the samples, for the metrics of real images."""
        chosen = self.training_images(n)
        return ImageSet(self.way.there_and_back(chosen), chosen.labels, self.judge, intervals=False)

    @cached_property
    def _learned_pixels(self) -> NDArray[np.float32]:
        return averaged(self.way.there_and_back(self.learned))

    def nearest(self, seen: ImageSet) -> tuple[Floats, NDArray[np.int64]]:
        """Distance from each image of a set to its nearest learned image, and that image's index."""
        if seen.nearest is None:
            seen.nearest = metrics.nearest(seen.pixels, self._learned_pixels)
        return seen.nearest

    @cached_property
    def real_distances(self) -> tuple[Floats, Floats]:
        """How near real images are to learned ones: (distances with 0 for duplicates, distances without duplicates).

        For test images, the distance to the nearest learned image. Without a test split all images may have been
        learned: then, for learned images (at most `most`), the distance to the nearest other image, 0 for a duplicate,
        and the distance to the nearest different image.
        """
        found = recalled(
            f"{self.key}-distances", lambda: dict(zip(("all", "apart"), self._real_distances(), strict=True))
        )
        return found["all"], found["apart"]

    def _real_distances(self) -> tuple[Floats, Floats]:
        if self.split == "test":
            found = self.nearest(self.real)[0]
            return found, found[found > 0]
        rows = drawn_rows(len(self.learned), self.most)
        pixels = self._learned_pixels
        as_bytes = pixels.view(np.dtype((np.void, pixels.shape[1] * pixels.itemsize))).ravel()
        _, first, kind, times = np.unique(as_bytes, return_index=True, return_inverse=True, return_counts=True)
        twice = times[kind[rows]] > 1
        if len(first) < 2:
            return np.zeros(np.count_nonzero(twice)), np.empty(0)
        apart = metrics.nearest(pixels[rows], pixels[first], kind[rows])[0]
        return np.where(twice, 0.0, apart), apart

    def learned_view(self, rows: NDArray[np.int64]) -> Images:
        """Some of the learned images, preprocessed like the samples."""
        return self.way.there_and_back(taken(self.learned, rows))


def check_judge(judge: Judge, train: Dataset) -> None:
    """Check that a judge can read a dataset.

    Raises:
        UsageError: the size, the number of channels, or the number of classes differs.
    """
    wanted = (judge.channels * judge.each_channel, judge.size, judge.size)
    if train.images.shape[1:] != wanted:
        c, h, w = train.images.shape[1:]
        raise UsageError(
            f"judge {judge.name} takes images of {wanted[1]} x {wanted[2]} pixels and {wanted[0]} channels; those of "
            f"{train.name} have {h} x {w} and {c}"
        )
    if train.labels is not None and judge.tells_classes and judge.classes != len(train.class_names):
        raise UsageError(
            f"judge {judge.name} tells {judge.classes} classes apart; {train.name} has {len(train.class_names)}: it "
            f"needs a judge of its own ({training_command(train.name)})"
        )


def taken(dataset: Dataset, rows: NDArray[np.int64]) -> Dataset:
    """The images of a dataset at these rows, with their labels."""
    labels = None if dataset.labels is None else dataset.labels[rows]
    return replace(dataset, images=dataset.images[rows], labels=labels)


def drawn(dataset: Dataset, most: int) -> Dataset:
    """The dataset with at most `most` images: if it has more, this many drawn with seed 0, in their order."""
    return dataset if len(dataset) <= most else taken(dataset, drawn_rows(len(dataset), most))


def drawn_rows(n: int, most: int) -> NDArray[np.int64]:
    """At most `most` of n rows, drawn with seed 0, in their order."""
    return np.sort(np.random.default_rng(0).permutation(n)[:most])


def even_rows(n: int, most: int) -> NDArray[np.int64]:
    """At most `most` of n rows, evenly spaced from the first to the last."""
    return np.unique(np.linspace(0, n - 1, min(most, n)).round().astype(np.int64))


def in_class_order(labels: Labels | None) -> bool:
    """Whether neighbouring images may be of one class, as in a folder: sorted by class, or without labels."""
    return labels is None or bool((np.diff(labels) >= 0).all())


def few_of(dataset: Dataset, most: int) -> Dataset:
    """At most `most` images of all kinds: the first ones, or evenly spaced ones if they are in the order of classes."""
    rows = even_rows(len(dataset), most) if in_class_order(dataset.labels) else np.arange(min(most, len(dataset)))
    return taken(dataset, rows)


def _load(name: str) -> tuple[Dataset, Dataset | None]:
    """Both splits. Packaged ones cannot change while the process runs, and are kept."""
    return _kept(name) if data.is_packaged(name) else (data.load(name), data.load_test(name))


@lru_cache(maxsize=1)
def _kept(name: str) -> tuple[Dataset, Dataset | None]:
    return data.load(name), data.load_test(name)


def _shares(name: str, learned: Dataset) -> Floats | None:
    if of := data.stacks(name):
        return stacked_shares(data.load(of))
    return None if learned.labels is None else metrics.class_shares(learned.labels, len(learned.class_names))


@dataclass(frozen=True, eq=False)
class Samples:
    """Images to be measured.

    Attributes:
        images: uint8, (N, C, H, W).
        requested: class that each image was asked for, int64 (N,), or None if none was.
        words: where they come from and how they were drawn.
        way: their preprocessing.
    """

    images: Images
    requested: Labels | None
    words: dict[str, object]
    way: Preprocessing
