"""Every metric of one set of images against the reference, each with its interval and its floor."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genlab.data import BUILTIN
from genlab.data.stacked import SAMPLES as STACKED_SAMPLES
from genlab.evaluation import metrics
from genlab.evaluation.image_set import Reference, Seen
from genlab.evaluation.judge import Judge
from genlab.evaluation.metrics import Estimate

Estimates = dict[str, Estimate | None]
NAMES = (
    "frechet_distance",
    "kernel_distance",
    "classifier_score",
    "precision",
    "recall",
    "density",
    "coverage",
    "class_kl",
    "missing_classes",
    "requested_class_accuracy",
    "within_class_diversity",
    "legibility",
    "memorised_fraction",
    "sharpness_ratio",
    "grain_ratio",
)
JUDGED = NAMES[:12]
"""Those that need a judge."""
MANY = 100
"""Beyond so many classes no table of classes and no spread within them is made."""


def estimates(fake: Seen, against: Reference, memorisation: bool = True) -> Estimates:
    """All metrics of a set, by name; None where one cannot be had (see `notes`)."""
    found: Estimates = dict.fromkeys(NAMES)
    if fake.judge is not None:
        found |= _of_features(fake, against.real) | _of_classes(fake, against)
    if memorisation:
        found["memorised_fraction"] = memorised(fake, against)
    for name, band in (("sharpness_ratio", metrics.DETAIL), ("grain_ratio", metrics.GRAIN)):
        real, power = against.real.band(band), fake.band(band)
        if real.mean() > 0:
            found[name] = _sure(fake, lambda r, f: float(f.mean() / r.mean()), real, power, low=0.0)
    return found


def floor_of(seen: Seen, against: Reference, memorisation: bool = True) -> Estimates:
    """The same of real images. Training images are all memorised; there the floor is that of real images that are not
    copies of them, but for those that the dataset itself has twice."""
    found = estimates(seen, against, memorisation=False)
    if memorisation and len(against.real_distances[1]):
        found["memorised_fraction"] = Estimate(metrics.memorised_fraction(*against.real_distances))
    return found


def _of_features(fake: Seen, real: Seen) -> Estimates:
    found: Estimates = {}
    if min(len(fake), len(real)) > 1:
        found["frechet_distance"] = _sure(fake, metrics.frechet_distance, real.features, fake.features, low=0.0)
        found["kernel_distance"] = metrics.kernel_distance(real.features, fake.features)
    if min(len(fake), len(real)) > metrics.K:
        found |= metrics.prdc_estimates(real.manifold, fake.manifold)
    return found


def _of_classes(fake: Seen, against: Reference) -> Estimates:
    shares, kinds = against.shares, fake.logits.shape[1]
    probabilities = metrics.softmax(fake.logits)
    # With thousands of columns leaving blocks out takes seconds; there the score stands alone.
    sure = _sure if kinds <= MANY else _plain
    found: Estimates = {
        "classifier_score": sure(fake, metrics.classifier_score, probabilities, low=1.0, high=kinds),
        "legibility": metrics.bootstrap(probabilities.max(1)),
    }
    if shares is not None and len(shares) == kinds:
        divergence = _sure(fake, lambda y: metrics.class_divergence(y, shares), fake.classes, low=0.0)
        found["class_kl"] = divergence if np.isfinite(divergence.value) else None
        found["missing_classes"] = Estimate(len(metrics.missing_classes(fake.classes, shares)))
    if fake.requested is not None:
        found["requested_class_accuracy"] = metrics.bootstrap(fake.classes == fake.requested)
    if kinds <= MANY:
        found["within_class_diversity"] = _diversity(fake, against.real, kinds)
    return found


def _diversity(fake: Seen, real: Seen, kinds: int) -> Estimate | None:
    """Mean over classes of the spread within a class, over the same of real images; classes that both have."""

    def ratio(real_rows: NDArray[Any], real_kinds: NDArray[Any], rows: NDArray[Any], own: NDArray[Any]) -> float:
        there = metrics.within_class_spread(real_rows, real_kinds, kinds)
        here = metrics.within_class_spread(rows, own, kinds)
        both = ~np.isnan(there) & ~np.isnan(here) & (there > 0)
        return float((here[both] / there[both]).mean()) if both.any() else float("nan")

    own = fake.classes if fake.requested is None else fake.requested
    found = _sure(fake, ratio, real.features, real.classes, fake.features, own, low=0.0)
    return found if np.isfinite(found.value) else None


def memorised(fake: Seen, against: Reference) -> Estimate | None:
    """Share of samples nearer to a training image than all but a thousandth of real images are that are no copies;
    None where there is none of those."""
    real = against.real_distances[1]
    if not len(real):
        return None
    own = against.nearest(fake)[0]
    found = _sure(fake, lambda r, f: metrics.memorised_fraction(f, r), real, own, low=0.0, high=1.0)
    return metrics.of_share(found, len(fake))


def _sure(fake: Seen, statistic: Callable[..., float], *sets: NDArray[Any], **bounds: float) -> Estimate:
    return metrics.jackknife(statistic, *sets, **bounds) if fake.intervals else Estimate(float(statistic(*sets)))


def _plain(fake: Seen, statistic: Callable[..., float], *sets: NDArray[Any], **_: float) -> Estimate:
    return Estimate(float(statistic(*sets)))


def of_each_class(fake: Seen, against: Reference, names: tuple[str, ...]) -> list[dict[str, Any]]:
    """A row a class: share found, share in the data, the judge's certainty, how often the request was met, spread."""
    kinds = len(names)
    if fake.judge is None or fake.logits.shape[1] != kinds or kinds > MANY:
        return []
    own = fake.classes if fake.requested is None else fake.requested
    certain = metrics.softmax(fake.logits).max(1)
    found = metrics.class_shares(fake.classes, kinds)
    there = metrics.within_class_spread(against.real.features, against.real.classes, kinds)
    here = metrics.within_class_spread(fake.features, own, kinds)
    rows = []
    for k, name in enumerate(names):
        mine = own == k
        rows.append(
            {
                "class": name,
                "share": float(found[k]),
                "share_in_data": None if against.shares is None else float(against.shares[k]),
                "legibility": float(certain[mine].mean()) if mine.any() else None,
                "requested_class_accuracy": float((fake.classes[mine] == k).mean())
                if fake.requested is not None and mine.any()
                else None,
                "within_class_diversity": float(here[k] / there[k]) if np.isfinite(here[k]) and there[k] > 0 else None,
            }
        )
    return rows


def modes(fake: Seen, against: Reference) -> dict[str, Any] | None:
    """Of a stacked dataset: classes found at all, and KL from their shares to the data's own and to uniform shares.

    By convention over 26,000 samples; `n` says how many there were.
    """
    if against.dataset not in BUILTIN or not BUILTIN[against.dataset].stacks or fake.judge is None:
        return None
    assert against.shares is not None
    kinds = len(against.shares)
    n = min(len(fake), STACKED_SAMPLES)
    labels = fake.classes[:n]
    return {
        "found": int(np.count_nonzero(np.bincount(labels, minlength=kinds))),
        "of": kinds,
        "kl_to_data": metrics.class_divergence(labels, against.shares),
        "kl_to_uniform": metrics.class_divergence(labels, np.full(kinds, 1 / kinds)),
        "n": n,
    }


def notes(fake: Seen, against: Reference, memorisation: bool = True) -> list[str]:
    """What must be said beside the numbers: what is missing and why, where there are too few images, odd images."""
    said = []
    if fake.judge is None:
        said.append(
            f"{against.dataset} has no judge: only metrics of pixels (genlab judge train {against.dataset} makes one, "
            "--judge RUN uses it)"
        )
    else:
        said += _of_judge(fake.judge, against)
        width = fake.features.shape[1]
        if len(fake) < 5 * width:
            said.append(
                f"{len(fake)} images are few for {width} features: frechet_distance comes out too large, by about as "
                f"much as its floor; take {5 * width:,} or more"
            )
        if len(fake) <= metrics.K:
            said.append(
                f"{len(fake)} images have no {metrics.K} nearest others: no precision, recall, density, coverage"
            )
        if against.shares is not None and fake.logits.shape[1] == len(against.shares):
            strange = np.count_nonzero(against.shares[fake.classes] == 0)
            if strange:
                said.append(
                    f"{strange:,} of {len(fake):,} images are of classes of which the training images have none: "
                    "class_kl would be infinite"
                )
    if len(fake) < 2 * metrics.BLOCKS:
        are = "1 image is" if len(fake) == 1 else f"{len(fake)} images are"
        said.append(f"{are} too few for intervals; take {2 * metrics.BLOCKS} or more")
    if len(against.train) < len(fake):
        said.append(f"the floor is of {len(against.train):,} images only; there are no more training images")
    if against.split == "train":
        said.append(
            f"{against.dataset} has no test split: measured against half of its training images, which a model may "
            "have learned; copies are searched for among all of them"
        )
    if memorisation:
        said += _duplicates(against)
    distinct = len(np.unique(fake.images.reshape(len(fake), -1), axis=0))
    if distinct == 1 and len(fake) > 1:
        said.append("all images are the same")
    elif distinct < 0.9 * len(fake):
        said.append(f"only {distinct:,} of {len(fake):,} images are different")
    known = {row.tobytes() for row in against.real.images}
    same = sum(row.tobytes() in known for row in fake.images)
    if same > len(fake) / 2:
        said.append(
            f"{same:,} of {len(fake):,} images are {against.split} images of {against.dataset}: they are the reference "
            "itself"
        )
    return said


def _of_judge(judge: Judge, against: Reference) -> list[str]:
    """What a judge's own run says of it, and whether it learned other data than those that it judges."""
    said = list(judge.remarks)
    if judge.fingerprint not in (None, against.train.fingerprint):
        said.append(
            f"judge {judge.name} was trained on {judge.dataset}, other data than {against.dataset}: its features and "
            "classes are of those, and numbers compare only with others by this same judge"
        )
    return said


def _duplicates(against: Reference) -> list[str]:
    """Where the dataset itself has images twice: the threshold of memorised_fraction is that of the others."""
    distances, distinct = against.real_distances
    twice = int(np.count_nonzero(distances == 0))
    kind, others = ("test", "") if against.split == "test" else ("training", "other ")
    if not len(distinct):
        why = f"all {kind} images are duplicates of {others}training images" if twice else "there is 1 training image"
        return [f"{why}: whether images are copies cannot be told (no memorised_fraction)"]
    if twice:
        return [
            f"{twice:,} of {len(distances):,} {kind} images are duplicates of {others}training images: they are left "
            "out of the threshold of memorised_fraction, and count in its floor"
        ]
    return []
