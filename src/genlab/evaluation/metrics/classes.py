"""Metrics of a judge's logits and of labels: which classes appear, how clearly, and how varied each is."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from genlab.evaluation.metrics.rows import Floats, features_of

Ints = NDArray[np.int64]
MISSING = 0.1
"""A class is missing below this fraction of its share in the data. Not 0: a judge misreads some images of any class."""


def softmax(logits: NDArray[Any]) -> Floats:
    """Probabilities (N, K) of logits (N, K)."""
    z = features_of(logits, "logits")
    powers = np.exp(z - z.max(1, keepdims=True))
    shares: Floats = powers / powers.sum(1, keepdims=True)
    return shares


def classifier_score(probabilities: NDArray[Any]) -> float:
    """exp of the mean over images of KL(p(class | image) || p(class)), p(class) being the mean: (N, K) -> 1 .. K.

    The inception score (Salimans et al. 2016) in one split, with a judge of the data in place of Inception. 1: every
    image gives the same probabilities; K: all are certain, and all classes are equally frequent.
    """
    p = features_of(probabilities, "probabilities")
    return float(np.exp(divergence(p, p.mean(0, keepdims=True)).mean()))


def divergence(p: NDArray[Any], q: NDArray[Any]) -> Floats:
    """KL(p || q) = sum p log(p / q) over the last axis, in nats; 0 log 0 = 0; infinite where q is 0 and p is not."""
    p, q = np.broadcast_arrays(np.asarray(p, np.float64), np.asarray(q, np.float64))
    with np.errstate(divide="ignore"):
        ratio = np.log(p, out=np.zeros_like(p), where=p > 0) - np.log(q, out=np.zeros_like(q), where=p > 0)
    summed: Floats = (p * ratio).sum(-1)
    return summed


def class_shares(labels: NDArray[Any], classes: int) -> Floats:
    """Share of each class among labels (N,): (classes,), summing to 1."""
    return np.bincount(np.asarray(labels, np.int64), minlength=classes) / len(labels)


def class_divergence(labels: NDArray[Any], shares: NDArray[Any]) -> float:
    """KL(classes of the images || shares of the data), in nats; 0 or more.

    For N images drawn from the data itself its expectation is (K - 1) / 2N, not 0.
    """
    return float(divergence(class_shares(labels, len(shares)), shares))


def missing_classes(labels: NDArray[Any], shares: NDArray[Any]) -> list[int]:
    """Classes whose share among labels (N,) is less than a tenth of their share in the data."""
    shares = np.asarray(shares, np.float64)
    return np.flatnonzero(class_shares(labels, len(shares)) < MISSING * shares).tolist()


def within_class_spread(features: NDArray[Any], labels: NDArray[Any], classes: int) -> Floats:
    """Mean squared distance between two images of a class, in features (N, d): (classes,); NaN for fewer than two.

    Twice the sum of the class's variances (with n - 1), so no pair has to be visited.
    """
    values, found = features_of(features), np.full(classes, np.nan)
    for k in range(classes):
        rows = values[np.asarray(labels) == k]
        if len(rows) >= 2:
            found[k] = 2 * rows.var(0, ddof=1).sum()
    return found


def calibration_error(confidence: NDArray[Any], correct: NDArray[Any], bins: int = 15) -> float:
    """Mean over images of |share of right answers - mean confidence| of the image's bin (Naeini et al. 2015): 0 .. 1.

    Args:
        confidence: probability given to the answer, (N,), in [0, 1].
        correct: whether the answer was right, (N,).
        bins: number of bins of equal width.
    """
    confidence, correct = np.asarray(confidence, np.float64), np.asarray(correct, np.float64)
    which = np.minimum((confidence * bins).astype(np.int64), bins - 1)
    gaps = np.bincount(which, correct - confidence, bins)
    return float(np.abs(gaps).sum() / len(confidence))


def ranking(high: NDArray[Any], low: NDArray[Any]) -> float:
    """Chance that a score of `high` (N,) exceeds one of `low` (M,), ties counted half: the area under the ROC curve.

    0.5 if the scores tell nothing (Mann and Whitney 1947).
    """
    high, low = np.asarray(high, np.float64), np.sort(np.asarray(low, np.float64))
    below, upto = np.searchsorted(low, high, "left"), np.searchsorted(low, high, "right")
    return float((below + upto).mean() / (2 * len(low)))
