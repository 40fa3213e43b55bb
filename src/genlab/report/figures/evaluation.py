"""Figures of an evaluation: detail by size, nearest training images, classes."""

from __future__ import annotations

from typing import Any

import numpy as np

from genlab.data import pictures
from genlab.evaluation import metrics
from genlab.evaluation.judge_trial import Response
from genlab.evaluation.measure import Evaluation
from genlab.report import plots
from genlab.report.figures.look import Look

PAIRS = 16


def figures(evaluation: Evaluation) -> list[Look]:
    """The figures that the evaluation allows."""
    found = [nearest(evaluation)]
    if evaluation.against.real.images.shape[2] > 1:  # A single pixel has no detail.
        found.insert(0, spectrum(evaluation))
    return found + ([classes(evaluation)] if evaluation.record["classes"] else [])


def spectrum(evaluation: Evaluation) -> Look:
    """Mean power on each ring of frequencies, generated and real."""
    fake, real = evaluation.fake, evaluation.against.real
    f = metrics.frequencies(real.images.shape[2])
    ours, theirs = fake.spectra.mean(0), real.spectra.mean(0)
    caption = (
        f"Power of details of each size, mean over {len(fake):,} generated and {len(real):,} real "
        f"{evaluation.against.split} images. Shaded: the bands of sharpness_ratio (edges and strokes; below the real "
        "curve is blur) and grain_ratio (the finest; above it is noise)."
    )
    drawing = plots.spectrum(f[1:], ours[1:], theirs[1:], (metrics.DETAIL, metrics.GRAIN))
    text = {"genlab:title": "Detail", "genlab:caption": caption}
    arrays = {"frequencies": f, "generated": ours, "real": theirs}
    return Look("evaluation-spectrum", "Detail", caption, plots.png(drawing, text), arrays)


def nearest(evaluation: Evaluation) -> Look:
    """The samples that are nearest to a training image, over that image."""
    fake, against = evaluation.fake, evaluation.against
    distances, which = against.nearest(fake)
    closest = distances.argsort(kind="stable")[:PAIRS]
    below = against.learned_view(which[closest])
    both = np.concatenate([fake.images[closest], below])
    found = evaluation.value("memorised_fraction")
    others = "test images" if against.split == "test" else "training images (to another one)"
    share = (
        ""
        if found is None
        else f" {found:.2%} of samples lie closer to a training image than the 0.1 % quantile of {others}."
    )
    caption = (
        f"The {len(closest)} of {len(fake):,} samples that are nearest to a training image (top), over that image "
        f"(bottom). Copies would look the same, pixel for pixel.{share}"
    )
    picture = pictures.labelled(pictures.grid(both, len(closest)), ("sample", "training"))
    text = {"genlab:title": "Nearest training images", "genlab:caption": caption}
    arrays: dict[str, Any] = {"samples": fake.images[closest], "training": below, "distances": distances[closest]}
    return Look("evaluation-nearest", "Nearest training images", caption, pictures.png(picture, text, scale=1), arrays)


def classes(evaluation: Evaluation) -> Look:
    """How often each class was drawn, how certain the judge is, how varied each is."""
    rows = evaluation.record["classes"]
    asked = "conditional accuracy, " if any(row.get("requested_class_accuracy") is not None for row in rows) else ""
    caption = (
        "By class: share of the samples that the judge reads as it (line: share in the training set), the judge's mean "
        f"confidence, {asked}and diversity over that of real images."
    )
    text = {"genlab:title": "Classes", "genlab:caption": caption}
    columns = [key for key in rows[0] if key not in ("class", "share_in_data")]
    arrays = {key: np.array([row.get(key) for row in rows], np.float64) for key in columns}
    return Look("evaluation-classes", "Classes", caption, plots.png(plots.classes(rows), text), arrays)


def judge_trial(response: Response) -> bytes:
    """How far the distance moves with each disturbance of real images, a panel for each, as PNG."""
    lines = {name: (list(found), list(found.values())) for name, found in response.ratios.items()}
    return plots.png(plots.curves(lines, "Frechet distance over that of real images"), {})
