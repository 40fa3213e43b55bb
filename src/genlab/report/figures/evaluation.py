"""Figures of an evaluation: detail by size, nearest training images, classes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from genlab.data import pictures
from genlab.evaluation import metrics
from genlab.evaluation.judge_trial import Response
from genlab.evaluation.measure import Evaluation
from genlab.report import plots
from genlab.report.figures.look import Look

ROW = 10
"""Samples per row, each above its nearest training image."""
PER_CLASS = 2


def figures(evaluation: Evaluation) -> list[Look]:
    """The figures that the evaluation allows."""
    found = [nearest(evaluation)]
    if evaluation.against.real.images.shape[2] > 1:  # A single pixel has no detail.
        found.insert(0, spectrum(evaluation))
    return found + ([classes(evaluation)] if evaluation.record["classes"] else [])


def spectrum(evaluation: Evaluation) -> Look:
    """Mean power on each ring of frequencies, of generated and of real images."""
    fake, real = evaluation.fake, evaluation.against.real
    f = metrics.frequencies(real.images.shape[2])
    ours, theirs = fake.spectra.mean(0), real.spectra.mean(0)
    caption = (
        f"Power of details of each size, mean over {len(fake):,} generated and {len(real):,} real "
        f"{evaluation.against.split} images. Shaded: the bands of sharpness_ratio (edges and strokes; below the real "
        "curve: blur) and grain_ratio (the finest details; above it: noise)."
    )
    drawing = plots.spectrum(f[1:], ours[1:], theirs[1:], (metrics.DETAIL, metrics.GRAIN))
    text = {"genlab:title": "Detail", "genlab:caption": caption}
    arrays = {"frequencies": f, "generated": ours, "real": theirs}
    return Look("evaluation-spectrum", "Detail", caption, plots.png(drawing, text), arrays)


def nearest(evaluation: Evaluation) -> Look:
    """The samples nearest to a training image, at most two per class, each above that image."""
    fake, against = evaluation.fake, evaluation.against
    distances, which = against.nearest(fake)
    kinds = (
        fake.requested
        if fake.requested is not None
        else fake.classes
        if fake.judge is not None and fake.judge.tells_classes
        else None
    )
    closest = _closest(distances, kinds)
    below = against.learned_view(which[closest])
    found = evaluation.value("memorised_fraction")
    others = "test images" if against.split == "test" else "training images (to another one)"
    share = (
        ""
        if found is None
        else f" {100 * found:.2f} % of samples lie closer to a training image than the 0.1 % quantile of {others}."
    )
    chosen = "nearest to a training image" + ("" if kinds is None else ", at most two per class")
    caption = (
        f"Of {len(fake):,} samples, the {len(closest)} {chosen}, each above that image. Copies would look the same, "
        f"pixel for pixel.{share}"
    )
    rows = [
        part for k in range(0, len(closest), ROW) for part in (fake.images[closest][k : k + ROW], below[k : k + ROW])
    ]
    missing = min(ROW, len(closest)) - len(rows[-1])
    if missing:  # The last row ends early, so its blank places are white.
        white = np.full((missing, *below.shape[1:]), 255, np.uint8)
        rows[-2:] = [np.concatenate([row, white]) for row in rows[-2:]]
    names = ("sample", "training") * (len(rows) // 2)
    picture = pictures.labelled(pictures.grid(np.concatenate(rows), min(ROW, len(closest))), names)
    text = {"genlab:title": "Nearest training images", "genlab:caption": caption}
    arrays: dict[str, Any] = {"samples": fake.images[closest], "training": below, "distances": distances[closest]}
    return Look("evaluation-nearest", "Nearest training images", caption, pictures.png(picture, text, scale=1), arrays)


def _closest(distances: NDArray[np.float64], kinds: NDArray[np.int64] | None) -> NDArray[np.int64]:
    """Indices of the samples to show, the nearest of each class first: at most two per class, at most `ROW` classes."""
    order = distances.argsort(kind="stable")
    if kinds is None:
        return order[: 2 * ROW]
    rank = np.zeros(len(order), np.int64)  # How many samples of its class are nearer.
    for kind in np.unique(kinds):
        mine = order[kinds[order] == kind]
        rank[mine] = np.arange(len(mine))
    shown = [k for k in order if rank[k] < PER_CLASS]
    allowed = list(dict.fromkeys(kinds[shown].tolist()))[:ROW]
    return np.array(sorted((k for k in shown if kinds[k] in allowed), key=lambda k: (rank[k], kinds[k])), np.int64)


def classes(evaluation: Evaluation) -> Look:
    """How often each class was drawn, how confident the judge is, how varied the images are."""
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
    """How the distance responds to each disturbance of real images, one panel per disturbance, as PNG."""
    lines = {name: (list(found), list(found.values())) for name, found in response.ratios.items()}
    return plots.png(plots.curves(lines, "Frechet distance over that of real images"), {})
