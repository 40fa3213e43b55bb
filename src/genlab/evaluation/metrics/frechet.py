"""Frechet distance between two normal distributions fitted to features."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from genlab.evaluation.metrics.rows import Floats, features_of


def frechet_distance(real: NDArray[Any], fake: NDArray[Any]) -> float:
    """|m_r - m_f|^2 + tr(S_r + S_f - 2 (S_r S_f)^(1/2)) of features (N, d), covariances with N - 1.

    Squared Wasserstein-2 distance between the two normal distributions (Dowson and Landau 1982; as a metric for
    generators, Heusel et al. 2017). 0 or more, in squared units of the features. Symmetric. Biased upwards, by about
    1/N; with N <= d the covariances are singular and the bias is as large as the number itself: only results at equal N
    are comparable.
    """
    (mean_r, covariance_r), (mean_f, covariance_f) = moments(real), moments(fake)
    if mean_r.shape != mean_f.shape:
        raise ValueError(f"features: {len(mean_r)} numbers per row in real, {len(mean_f)} in fake; use the same judge")
    return frechet_of_moments(mean_r, covariance_r, mean_f, covariance_f)


def moments(features: NDArray[Any]) -> tuple[Floats, Floats]:
    """Mean (d,) and covariance (d, d) of features (N, d), N >= 2.

    Raises:
        ValueError: the array is not valid features (`features_of`), or has a single row.
    """
    rows = features_of(features)
    if len(rows) < 2:
        raise ValueError("features: a covariance needs 2 or more rows, got 1")
    mean = rows.mean(0)
    centred = rows - mean
    return mean, centred.T @ centred / (len(rows) - 1)


def frechet_of_moments(mean_r: Floats, covariance_r: Floats, mean_f: Floats, covariance_f: Floats) -> float:
    """Frechet distance between N(mean_r, covariance_r) and N(mean_f, covariance_f).

    tr (S_r S_f)^(1/2) is the sum of the square roots of the eigenvalues of S_r^(1/2) S_f S_r^(1/2), which is symmetric:
    this needs no general matrix root, and a singular covariance does no harm.
    """
    values, vectors = np.linalg.eigh(covariance_r)
    root = (vectors * np.sqrt(values.clip(0))) @ vectors.T
    shared = np.sqrt(np.linalg.eigvalsh(root @ covariance_f @ root).clip(0)).sum()
    apart = np.square(mean_r - mean_f).sum()
    return float(max(0.0, apart + np.trace(covariance_r) + np.trace(covariance_f) - 2 * shared))
