"""What an evaluation says about each class, and about the modes of a stacked dataset."""

from __future__ import annotations

from typing import Any

import numpy as np

from genlab.data import stacks
from genlab.data.stacked import SAMPLES as STACKED_SAMPLES
from genlab.evaluation import metrics
from genlab.evaluation.image_set import ImageSet, Reference

MANY = 100
"""With more classes than this there is no table of classes and no spread within them."""


def of_each_class(fake: ImageSet, against: Reference, names: tuple[str, ...]) -> list[dict[str, Any]]:
    """One row per class: share in the images and in the data, judge confidence, conditional accuracy, diversity."""
    kinds = len(names)
    if not kinds or fake.logits.shape[1] != kinds or kinds > MANY:
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


def modes(fake: ImageSet, against: Reference) -> dict[str, Any] | None:
    """For a stacked dataset: number of classes found, and KL from their shares to the data's own and to uniform shares.

    By convention over 26,000 samples; `n` is the number used.
    """
    if stacks(against.dataset) is None or fake.judge is None or not fake.judge.tells_classes:
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
