"""The available metrics: one record per metric, with what it says and what it cannot see."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from genlab.engine.stages import advance
from genlab.evaluation import metrics
from genlab.evaluation.by_class import MANY
from genlab.evaluation.image_set import ImageSet, Reference
from genlab.evaluation.metrics import Estimate

IN_FEATURES = (
    "FID, KID and IS are computed with the features and classes of the dataset's own judge, not with Inception's, "
    "which were trained on photographs and separate digits or clothes poorly: compare only numbers from the same judge."
)
"""Caveat for the metrics that are usually computed with Inception-v3."""
Estimates = dict[str, Estimate | None]
Measure = Callable[[ImageSet, Reference], Estimate | None]
"""(measured set, reference) -> a value with its interval; None if it cannot be computed (`notes` says why)."""


@dataclass(frozen=True)
class Metric:
    """A metric.

    Attributes:
        name: its key in records.
        title: its usual name.
        says, blind: one sentence each: what it says, and what it cannot see.
        measure: what computes it; None for the accuracy score, which trains a classifier and is added separately.
        seconds: rough seconds for 10,000 images on two ordinary cores, to show the progress of an evaluation.
        floor: what computes it for real images, if that is not `measure`.
        acronym: acronym by which the formula is known.
        unit: a plain number, a share of 1 that is shown in per cent, or a count.
        best: its value for perfect images: 0, 1, or infinity if more is always better.
        judged: whether it needs features, from a judge or the random network.
        classes: whether it needs a judge that tells classes apart.
        live: format in which the line that ends an epoch shows it; it is then measured during training, too. Empty: it
            is in metrics.jsonl but not printed; None: only in full evaluations.
    """

    name: str
    title: str
    says: str
    blind: str
    measure: Measure | None
    floor: Measure | None = None
    seconds: float = 0.1
    acronym: str = ""
    unit: Literal["number", "share", "count"] = "number"
    best: float = 0.0
    judged: bool = True
    classes: bool = False
    live: str | None = None


def _sure(fake: ImageSet, statistic: Callable[..., float], *sets: NDArray[Any], **bounds: float) -> Estimate:
    return metrics.jackknife(statistic, *sets, **bounds) if fake.intervals else Estimate(float(statistic(*sets)))


def _frechet_distance(fake: ImageSet, against: Reference) -> Estimate | None:
    if min(len(fake), len(against.real)) < 2:
        return None
    return _sure(fake, metrics.frechet_distance, against.real.features, fake.features, low=0.0)


def _kernel_distance(fake: ImageSet, against: Reference) -> Estimate | None:
    if min(len(fake), len(against.real)) < 2:
        return None
    return metrics.kernel_distance(against.real.features, fake.features)


def _classifier_score(fake: ImageSet, against: Reference) -> Estimate:
    probabilities, kinds = metrics.softmax(fake.logits), fake.logits.shape[1]
    if kinds > MANY:  # With thousands of columns, leaving blocks out takes seconds: no interval.
        return Estimate(float(metrics.classifier_score(probabilities)))
    return _sure(fake, metrics.classifier_score, probabilities, low=1.0, high=kinds)


def _neighbours(name: str) -> Measure:
    def measure(fake: ImageSet, against: Reference) -> Estimate | None:
        return fake.neighbours(against.real)[name] if min(len(fake), len(against.real)) > metrics.K else None

    return measure


def _class_kl(fake: ImageSet, against: Reference) -> Estimate | None:
    shares = against.shares
    if shares is None or len(shares) != fake.logits.shape[1]:
        return None
    found = _sure(fake, lambda y: metrics.class_divergence(y, shares), fake.classes, low=0.0)
    return found if np.isfinite(found.value) else None


def _missing_classes(fake: ImageSet, against: Reference) -> Estimate | None:
    shares = against.shares
    if shares is None or len(shares) != fake.logits.shape[1]:
        return None
    return Estimate(len(metrics.missing_classes(fake.classes, shares)))


def _conditional_accuracy(fake: ImageSet, against: Reference) -> Estimate | None:
    return None if fake.requested is None else metrics.bootstrap(fake.classes == fake.requested)


def _diversity(fake: ImageSet, against: Reference) -> Estimate | None:
    """Mean over classes of the spread within a class, over that of real images; only classes that both sets have."""
    real, kinds = against.real, fake.logits.shape[1]
    if kinds > MANY:
        return None

    def ratio(real_rows: NDArray[Any], real_kinds: NDArray[Any], rows: NDArray[Any], own: NDArray[Any]) -> float:
        there = metrics.within_class_spread(real_rows, real_kinds, kinds)
        here = metrics.within_class_spread(rows, own, kinds)
        both = ~np.isnan(there) & ~np.isnan(here) & (there > 0)
        return float((here[both] / there[both]).mean()) if both.any() else float("nan")

    own = fake.classes if fake.requested is None else fake.requested
    found = _sure(fake, ratio, real.features, real.classes, fake.features, own, low=0.0)
    return found if np.isfinite(found.value) else None


def _spread(fake: ImageSet, against: Reference) -> Estimate | None:
    """Spread within the requested classes, if any were requested."""
    real = against.real
    labels = (None, None) if fake.requested is None else (real.requested, fake.requested)
    return metrics.spread_ratio(real.pixels, fake.pixels, *labels) if min(len(fake), len(real)) > 1 else None


def _confidence(fake: ImageSet, against: Reference) -> Estimate:
    return metrics.bootstrap(metrics.softmax(fake.logits).max(1))


def _memorised(fake: ImageSet, against: Reference) -> Estimate | None:
    """Share of samples nearer to a training image than all but a thousandth of the real images that are not copies;
    None if there are no such real images."""
    real = against.real_distances[1]
    if not len(real):
        return None
    own = against.nearest(fake)[0]
    found = _sure(fake, lambda r, f: metrics.memorised_fraction(f, r), real, own, low=0.0, high=1.0)
    return metrics.of_share(found, len(fake))


def _memorised_floor(real: ImageSet, against: Reference) -> Estimate | None:
    """Training images are all memorised, so the floor is the share for real images, which are copies only if the
    dataset itself has duplicates."""
    distances = against.real_distances
    return Estimate(metrics.memorised_fraction(*distances)) if len(distances[1]) else None


def _power_ratio(band: tuple[float, float]) -> Measure:
    def measure(fake: ImageSet, against: Reference) -> Estimate | None:
        real, power = against.real.band(band), fake.band(band)
        if real.mean() <= 0:
            return None
        return _sure(fake, lambda r, f: float(f.mean() / r.mean()), real, power, low=0.0)

    return measure


METRICS = {
    metric.name: metric
    for metric in (
        Metric(
            "frechet_distance",
            "Frechet distance",
            "How far the means and covariances of features lie from those of real images; missing classes, blur, wrong "
            "class proportions and malformed shapes all raise it.",
            "Copies of training images, and anything beyond second moments; bias of order 1/N: compare at equal N.",
            _frechet_distance,
            seconds=8,
            acronym="FID",
            live="Frechet distance {:.3g}",
        ),
        Metric(
            "kernel_distance",
            "kernel distance",
            "How far the moments of features, up to the third, lie from those of real images; without bias.",
            "Copies of training images; it is noisier than the Frechet distance.",
            _kernel_distance,
            seconds=4,
            acronym="KID",
        ),
        Metric(
            "classifier_score",
            "classifier score",
            "How clearly each image shows one class, and how evenly the classes are drawn.",
            "Everything within a class: one perfect image of each class gets the best score.",
            _classifier_score,
            acronym="IS",
            best=math.inf,
            classes=True,
        ),
        Metric(
            "precision",
            "precision",
            "What fraction of samples look like something in the data.",
            "Variety; a single real outlier has a very large neighbourhood.",
            _neighbours("precision"),
            seconds=5,
            live="",
            best=1.0,
        ),
        Metric(
            "recall",
            "recall",
            "What fraction of the data lies near something that the model draws; it depends on N.",
            "How often it is drawn; a single outlier among samples has a very large neighbourhood.",
            _neighbours("recall"),
            live="",
            best=1.0,
        ),
        Metric(
            "density",
            "density",
            "Like precision, but robust to single outliers; it may exceed 1.",
            "Variety.",
            _neighbours("density"),
            best=math.inf,
        ),
        Metric(
            "coverage",
            "coverage",
            "What fraction of real images have a sample in their neighbourhood; it depends on N.",
            "Quality beyond the nearest sample.",
            _neighbours("coverage"),
            live="coverage {:.2f}",
            best=1.0,
        ),
        Metric(
            "class_kl",
            "class KL",
            "How far the shares of the classes lie from those in the training set.",
            "Everything within a class.",
            _class_kl,
            classes=True,
        ),
        Metric(
            "missing_classes",
            "missing classes",
            "How many classes are drawn less than a tenth as often as in the training set.",
            "Everything within a class; a judge misreads a few images of every class, hence the threshold of a tenth.",
            _missing_classes,
            unit="count",
            live="missing classes {:d}",
            classes=True,
        ),
        Metric(
            "requested_class_accuracy",
            "conditional accuracy",
            "What fraction of samples the judge reads as the class that was asked for.",
            "Variety, and quality as long as the class is legible; the judge's own errors count, as for real images.",
            _conditional_accuracy,
            unit="share",
            live="conditional accuracy {:.1%}",
            best=1.0,
            classes=True,
        ),
        Metric(
            "within_class_diversity",
            "diversity in a class",
            "How varied the images of one class are: below 1 they collapse, above 1 classes are unclear.",
            "Whether it is the right variety.",
            _diversity,
            best=1.0,
            classes=True,
        ),
        Metric(
            "spread_ratio",
            "spread",
            "How far apart two images are (of one class, if it was asked for): near 0, every z gives the same image.",
            "Whether they differ in the right way; noise raises it, too. Pixels are averaged over 2 x 2.",
            _spread,
            judged=False,
            live="",
            best=1.0,
        ),
        Metric(
            "legibility",
            "judge confidence",
            "How sure the judge is of the class that it sees; images between classes lower it.",
            "Confident nonsense.",
            _confidence,
            unit="share",
            best=1.0,
            classes=True,
        ),
        Metric(
            "memorised_fraction",
            "memorisation",
            "What fraction of samples are near-copies of training images.",
            "Copies that were moved or recoloured: distances are between images averaged over 2 x 2 pixels.",
            _memorised,
            floor=_memorised_floor,
            seconds=10,
            unit="share",
            live="memorised {:.1%}",
            judged=False,
        ),
        Metric(
            "sharpness_ratio",
            "sharpness ratio",
            "How much detail there is: below 1 the images are blurred.",
            "Where the detail is.",
            _power_ratio(metrics.DETAIL),
            judged=False,
            live="",
            best=1.0,
        ),
        Metric(
            "grain_ratio",
            "grain ratio",
            "How much of the finest grain there is: above 1 noise and checkerboards, below 1 blur.",
            "Where the grain is.",
            _power_ratio(metrics.GRAIN),
            judged=False,
            best=1.0,
        ),
        Metric(
            "classification_accuracy_score",
            "accuracy score",
            "What a classifier learns from the samples: right classes, variety, realism.",
            "Whatever a classifier does not need; available for conditional models only.",
            None,
            acronym="CAS",
            unit="share",
            best=1.0,
        ),
    )
}
NAMES = [name for name, metric in METRICS.items() if metric.measure]
"""Metrics that every evaluation holds."""
SEARCHES = "memorised_fraction"
"""Metric that searches for the nearest training image of each sample, which takes longest."""


FLOOR_SECONDS = 0.4
"""Time for the metrics of real images, over that for samples: no intervals, and half of it is known by then."""
SECONDS = (1 + FLOOR_SECONDS) * sum(METRICS[name].seconds for name in NAMES)
"""Rough seconds for everything that `measure` computes for 10,000 images."""


def estimates(fake: ImageSet, against: Reference, memorisation: bool = True) -> Estimates:
    """All metrics of a set, by name; None for those that cannot be computed (see `notes`)."""
    return {name: _measured(METRICS[name].measure, name, fake, against, memorisation) for name in NAMES}


def floor_of(real: ImageSet, against: Reference, memorisation: bool = True) -> Estimates:
    """All metrics of real images, by name."""
    return {
        name: _measured(METRICS[name].floor or METRICS[name].measure, name, real, against, memorisation, FLOOR_SECONDS)
        for name in NAMES
    }


def _measured(
    measure: Measure | None, name: str, images: ImageSet, against: Reference, memorisation: bool, work: float = 1.0
) -> Estimate | None:
    judge, metric = images.judge, METRICS[name]
    asked = memorisation or name != SEARCHES
    asked &= judge is not None or not metric.judged
    asked &= (judge is not None and judge.tells_classes) or not metric.classes
    found = measure(images, against) if measure and asked else None
    advance(work * METRICS[name].seconds)
    return found
