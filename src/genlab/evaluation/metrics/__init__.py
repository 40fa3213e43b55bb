"""Metrics: pure functions of arrays, in float64, independent of models and files.

The two sets are called `real` (the reference) and `fake` (what is measured); rows are images. `intervals` says how
certain a number is. Each function states its formula, range and source; docs/metrics.md says what affects it and what
it does not see.
"""

from genlab.evaluation.metrics.classes import (
    calibration_error,
    class_divergence,
    class_shares,
    classifier_score,
    divergence,
    missing_classes,
    ranking,
    softmax,
    within_class_spread,
)
from genlab.evaluation.metrics.frechet import frechet_distance, frechet_of_moments
from genlab.evaluation.metrics.intervals import BLOCKS, Estimate, blocks_of, bootstrap, jackknife, of_share
from genlab.evaluation.metrics.kernel import kernel_distance, kernel_distances
from genlab.evaluation.metrics.neighbours import K, Manifold, memorised_fraction, nearest, prdc, prdc_estimates
from genlab.evaluation.metrics.paths import path_length, roughest_step
from genlab.evaluation.metrics.spectrum import DETAIL, GRAIN, band_power, frequencies, power_spectrum
from genlab.evaluation.metrics.spread import spread_ratio
from genlab.evaluation.metrics.style import share_of_columns, slant, stroke_width

__all__ = [
    "BLOCKS",
    "DETAIL",
    "GRAIN",
    "Estimate",
    "K",
    "Manifold",
    "band_power",
    "blocks_of",
    "bootstrap",
    "calibration_error",
    "class_divergence",
    "class_shares",
    "classifier_score",
    "divergence",
    "frechet_distance",
    "frechet_of_moments",
    "frequencies",
    "jackknife",
    "kernel_distance",
    "kernel_distances",
    "memorised_fraction",
    "missing_classes",
    "nearest",
    "of_share",
    "path_length",
    "power_spectrum",
    "prdc",
    "prdc_estimates",
    "ranking",
    "roughest_step",
    "share_of_columns",
    "slant",
    "softmax",
    "spread_ratio",
    "stroke_width",
    "within_class_spread",
]
