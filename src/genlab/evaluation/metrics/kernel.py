"""Kernel distance: squared maximum mean discrepancy with a cubic kernel."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from genlab.evaluation.metrics.intervals import BLOCKS, Estimate, blocks_of, from_replicates
from genlab.evaluation.metrics.rows import Floats, features_of


def kernel_distance(real: NDArray[Any], fake: NDArray[Any]) -> Estimate:
    """MMD^2 with k(x, y) = (x.y / d + 1)^3 of features (N, d), unbiased, with its jackknife interval.

    Mean of k over pairs of two real + mean over pairs of two fake - 2 mean over pairs of one each (Binkowski et al.
    2018). Its expectation is 0 if both sets have the same distribution, at any N; the value may come out below 0. All
    pairs are used, which equals the mean over all subsets of a given size; `kernel_distances` uses single subsets.
    """
    real, fake = features_of(real), features_of(fake)
    own, other = (
        blocks_of(len(rows)) if len(rows) >= 2 * BLOCKS else np.zeros(len(rows), np.int64) for rows in (real, fake)
    )
    if own.max() != other.max():
        own, other = np.zeros_like(own), np.zeros_like(other)
    sums_rr, pairs_rr = _block_sums(real, own)
    sums_ff, pairs_ff = _block_sums(fake, other)
    sums_rf, pairs_rf = _cross_sums(real, own, fake, other)

    def mmd(without: int | None) -> float:
        rr, ff, rf = (
            _left(sums, without) / _left(pairs, without)
            for sums, pairs in ((sums_rr, pairs_rr), (sums_ff, pairs_ff), (sums_rf, pairs_rf))
        )
        return float(rr + ff - 2 * rf)

    value = mmd(None)
    if len(sums_rr) < BLOCKS:
        return Estimate(value)
    return from_replicates(value, np.array([mmd(b) for b in range(BLOCKS)]))


def kernel_distances(real: NDArray[Any], fake: NDArray[Any], subsets: int, size: int, seed: int = 0) -> Floats:
    """Distances between `subsets` pairs of random subsets of `size` rows, as in published tables; shape (subsets,).

    Raises:
        ValueError: a set has fewer than `size` rows.
    """
    if size > min(len(real), len(fake)):
        raise ValueError(f"subsets of {size} cannot be drawn from sets of {len(real)} and {len(fake)}")
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(subsets):
        x, y = (features_of(rows)[rng.choice(len(rows), size, replace=False)] for rows in (real, fake))
        rr, ff = _kernel(x, x), _kernel(y, y)
        own = (rr.sum() - np.trace(rr) + ff.sum() - np.trace(ff)) / (size * (size - 1))
        found.append(own - 2 * _kernel(x, y).mean())
    return np.array(found)


def _kernel(x: Floats, y: Floats) -> Floats:
    base = x @ y.T
    base /= x.shape[1]
    base += 1
    cube: Floats = base * base
    cube *= base
    return cube


def _left(sums: Floats, without: int | None) -> float:
    """Sum over all pairs of blocks, or over those without block `without`."""
    if without is None:
        return float(sums.sum())
    return float(sums.sum() - sums[without].sum() - sums[:, without].sum() + sums[without, without])


def _block_sums(rows: Floats, blocks: NDArray[np.int64]) -> tuple[Floats, Floats]:
    """Sums of the kernel over pairs of different rows, by their blocks, and the numbers of pairs."""
    groups = [rows[blocks == b] for b in range(blocks.max() + 1)]
    sums = np.zeros((len(groups), len(groups)))
    for b, x in enumerate(groups):
        for c in range(b + 1):
            k = _kernel(x, groups[c])
            sums[b, c] = sums[c, b] = k.sum() - (np.trace(k) if b == c else 0)
    sizes = np.array([len(group) for group in groups], np.float64)
    return sums, np.outer(sizes, sizes) - np.diag(sizes)


def _cross_sums(real: Floats, own: NDArray[np.int64], fake: Floats, other: NDArray[np.int64]) -> tuple[Floats, Floats]:
    left = [real[own == b] for b in range(own.max() + 1)]
    right = [fake[other == b] for b in range(other.max() + 1)]
    sums = np.array([[_kernel(x, y).sum() for y in right] for x in left])
    return sums, np.outer([float(len(x)) for x in left], [float(len(y)) for y in right])
