"""Trial of a judge: accuracy and calibration, and how far the distance moves when real images are disturbed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from genlab.data import Dataset, pictures
from genlab.data.augmentation import blurred, shifted
from genlab.data.dataset import Images
from genlab.data.preprocessing import Preprocessing
from genlab.engine.stages import advance, stage
from genlab.errors import UsageError
from genlab.evaluation import metrics
from genlab.evaluation.image_set import Reference
from genlab.evaluation.judge import Judge

Disturbance = Callable[[NDArray[np.float32], NDArray[np.int64], float], NDArray[Any]]


@dataclass(frozen=True)
class Response:
    """How a judge reads the test split, and disturbed training images measured against it.

    Attributes:
        accuracy: accuracy on the test split, with its interval.
        calibration_error: calibration error of its probabilities there.
        floor: Frechet distance of undisturbed training images.
        ratios: disturbance -> strength -> Frechet distance over that of undisturbed images; empty if not asked for.
    """

    accuracy: metrics.Estimate
    calibration_error: float
    floor: float
    ratios: dict[str, dict[str, float]]

    def words(self) -> list[tuple[str, str]]:
        """The results as pairs of a name and a text."""
        low, high = self.accuracy.interval or (self.accuracy.value, self.accuracy.value)
        return [
            ("test accuracy", f"{self.accuracy.value:.2%} [{low:.2%}, {high:.2%}]"),
            ("calibration error", f"{self.calibration_error:.2%}"),
            ("floor", f"{self.floor:.4f} (Frechet distance of training images to test images)"),
        ]


def background(images: NDArray[np.float32], labels: NDArray[np.int64], strength: float) -> NDArray[Any]:
    """Black raised to `strength`; white stays."""
    return images + strength * (1 - images)


def noise(images: NDArray[np.float32], labels: NDArray[np.int64], strength: float) -> NDArray[Any]:
    """Normal noise added, with standard deviation `strength`."""
    return images + strength * np.random.default_rng(1).normal(size=images.shape)


def blur(images: NDArray[np.float32], labels: NDArray[np.int64], strength: float) -> NDArray[Any]:
    """Gaussian blur with a standard deviation of `strength` pixels."""
    return blurred(torch.from_numpy(images), torch.full((len(images),), strength)).numpy()


def shift(images: NDArray[np.float32], labels: NDArray[np.int64], strength: float) -> NDArray[Any]:
    """Shift to the right by `strength` pixels."""
    none = torch.zeros(len(images), dtype=torch.int64)
    return shifted(torch.from_numpy(images), none, none + int(strength)).numpy()


def dropped(images: NDArray[np.float32], labels: NDArray[np.int64], strength: float) -> NDArray[Any]:
    """The images without the first `strength` classes."""
    return images[labels >= strength]


def repeated(images: NDArray[np.float32], labels: NDArray[np.int64], strength: float) -> NDArray[Any]:
    """Each of the first images `strength` times: a generator that knows only a few."""
    return images[: len(images) // int(strength)].repeat(int(strength), axis=0)


DISTURBANCES: dict[str, tuple[Disturbance, tuple[float, ...]]] = {
    "background": (background, (0.02, 0.05, 0.075, 0.15, 0.3)),
    "noise": (noise, (0.02, 0.05, 0.1, 0.2, 0.3)),
    "blur": (blur, (0.3, 0.5, 0.75, 1.0, 1.5)),
    "shift": (shift, (1, 2, 3, 4, 6)),
    "classes dropped": (dropped, (1, 2, 3, 5, 8)),
    "repeated": (repeated, (2, 10, 30, 100, 300)),
}
"""Name -> (what is done to images in [0, 1], strengths from weak to strong)."""


def respond(judge: Judge, dataset: str, disturb: bool = True) -> Response:
    """Test a judge on a dataset of its own form, with a test split and labels.

    A strength that leaves fewer than two images (if there are few images or few classes) is skipped.

    Args:
        disturb: whether to measure disturbed images, too: thirty sets as large as the test split.

    Raises:
        UsageError: test and training images do not differ, as the judge sees them.
    """
    against = Reference(dataset, Preprocessing(judge.size, judge.channels, "none"), judge)
    real = against.real
    assert real.requested is not None
    chosen = against.training_images(len(real))
    enough = min(len(real), len(chosen)) > 1
    floor = metrics.frechet_distance(real.features, judge(chosen.images)[0]) if enough else 0.0
    if floor == 0:
        raise UsageError(f"{dataset}: its test and training images do not differ, so distances have no scale")
    certain = metrics.softmax(real.logits)
    right = real.classes == real.requested
    ratios = _ratios(judge, real.features, chosen, floor) if disturb else {}
    return Response(metrics.bootstrap(right), metrics.calibration_error(certain.max(1), right), floor, ratios)


def _ratios(judge: Judge, features: NDArray[Any], chosen: Dataset, floor: float) -> dict[str, dict[str, float]]:
    """Frechet distance of disturbed images over `floor`, by disturbance and strength."""
    found: dict[str, dict[str, float]] = {}
    with stage("judging disturbed images", sum(len(strengths) for _, strengths in DISTURBANCES.values())):
        for name, (_, strengths) in DISTURBANCES.items():
            found[name] = {}
            for strength in strengths:
                images = disturbed(chosen, name, strength)
                if len(images) > 1:
                    distance = metrics.frechet_distance(features, judge(images)[0])
                    found[name][f"{strength:g}"] = distance / floor
                advance(1)
    return {name: by_strength for name, by_strength in found.items() if by_strength}


def disturbed(dataset: Dataset, name: str, strength: float) -> Images:
    """The dataset's images after a disturbance, uint8."""
    assert dataset.labels is not None
    made = DISTURBANCES[name][0]((dataset.images / 255).astype(np.float32), dataset.labels, strength)
    return pictures.to_uint8(made)


def facts(response: Response) -> dict[str, Any]:
    """The response as plain values."""
    return {
        "accuracy": response.accuracy.value,
        "accuracy_interval": response.accuracy.interval,
        "calibration_error": response.calibration_error,
        "floor": response.floor,
        "floors": response.ratios,
    }
