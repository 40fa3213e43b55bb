"""Notes beside the numbers of an evaluation: what is missing and why, too few images, odd images."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from genlab.evaluation import metrics
from genlab.evaluation.image_set import ImageSet, Reference
from genlab.evaluation.judge import training_command


def notes(fake: ImageSet, against: Reference, memorisation: bool = True) -> list[str]:
    """All notes, one line each."""
    return [
        *_of_judge(fake, against),
        *_of_numbers(fake, against),
        *(_of_duplicates(against) if memorisation else []),
        *_of_images(fake, against),
    ]


def _of_judge(fake: ImageSet, against: Reference) -> Iterator[str]:
    """What a judge's own run says about it, whether it was trained on other data, and which metrics it cannot give."""
    judge = fake.judge
    assert judge is not None
    if not judge.tells_classes:
        train = f"; {training_command(against.dataset)} makes one" if against.train.labels is not None else ""
        yield (
            f"{against.dataset} has no judge: distances are in the features of a fixed random network (Naeem et al. "
            "2020), which sees shapes, places and contrast, but knows neither classes nor which differences matter"
            f"{train}"
        )
    yield from judge.remarks
    if judge.fingerprint not in (None, against.train.fingerprint):
        yield (
            f"judge {judge.name} was trained on {judge.dataset}, other data than {against.dataset}: its features and "
            "classes are those of that data, so compare only numbers from this judge"
        )
    width = fake.features.shape[1]
    if 1 < len(fake) < 5 * width:
        yield (
            f"{len(fake)} images are few for {width} features: the Frechet distance is too large, by about as much as "
            f"that of real images; use {5 * width:,} or more"
        )
    if (real := len(against.real)) < 5 * width:
        kind = "test" if against.split == "test" else "training"
        yield (
            f"{real:,} {kind} image{'s' * (real > 1)} to compare with, few for {width} features: the Frechet distance "
            "is too large, and precision, recall, density and coverage are rough; compare them with the values for "
            "real images beside them"
        )
    if len(fake) <= metrics.K:
        has = "1 image has" if len(fake) == 1 else f"{len(fake)} images have"
        yield f"{has} fewer than {metrics.K} neighbours: no precision, recall, density, coverage"
    elif len(fake) < len(against.real):
        yield (
            f"recall and coverage depend on the number of images, here {len(fake):,} against {len(against.real):,}: "
            "compare them with the values for real images beside them"
        )
    if against.shares is not None and fake.logits.shape[1] == len(against.shares):
        strange = np.count_nonzero(against.shares[fake.classes] == 0)
        if strange:
            yield (
                f"{strange:,} of {len(fake):,} images belong to classes that do not occur in the training images: "
                "class KL would be infinite"
            )


def _of_numbers(fake: ImageSet, against: Reference) -> Iterator[str]:
    """Too few images of either kind, or no test split."""
    if len(fake) < 2 * metrics.BLOCKS:
        are = "1 image is" if len(fake) == 1 else f"{len(fake)} images are"
        yield f"{are} too few for most intervals; use {2 * metrics.BLOCKS} or more"
    if len(against.train) < len(fake):
        yield f"the real-image column uses only {len(against.train):,} images: there are no more training images"
    if against.split == "train":
        yield (
            f"{against.dataset} has no test split: measured against half of its training images, which a model may "
            "have learned; copies are searched for among all of them"
        )


def _of_duplicates(against: Reference) -> Iterator[str]:
    """Duplicates within the dataset itself, which the threshold of memorised_fraction leaves out."""
    distances, distinct = against.real_distances
    twice = int(np.count_nonzero(distances == 0))
    kind, others = ("test", "") if against.split == "test" else ("training", "other ")
    if not len(distinct):
        why = f"all {kind} images are duplicates of {others}training images" if twice else "there is 1 training image"
        yield f"{why}: copies cannot be detected (no memorisation value)"
    elif twice:
        yield (
            f"{twice:,} of {len(distances):,} {kind} images are duplicates of {others}training images: they are left "
            "out of the threshold of memorisation, but counted in its value for real images"
        )


def _of_images(fake: ImageSet, against: Reference) -> Iterator[str]:
    """Images without colour, and images that repeat each other or the reference."""
    if against.way.channels < against.train.channels:
        yield f"the images are gray, those of {against.dataset} are not: that difference counts"
    distinct = len(np.unique(fake.images.reshape(len(fake), -1), axis=0))
    if distinct == 1 and len(fake) > 1:
        yield "all images are the same"
    elif distinct < 0.9 * len(fake):
        yield f"only {distinct:,} of {len(fake):,} images are distinct"
    known = {row.tobytes() for row in against.real.images}
    same = sum(row.tobytes() in known for row in fake.images)
    if same > len(fake) / 2:
        yield (
            f"{same:,} of {len(fake):,} images are {against.split} images of {against.dataset}: they are the reference "
            "itself"
        )
