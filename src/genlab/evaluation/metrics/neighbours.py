"""Nearest neighbours: precision, recall, density, coverage, and memorisation."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from genlab.evaluation.metrics.intervals import BLOCKS, Estimate, blocks_of, from_replicates, of_share
from genlab.evaluation.metrics.rows import Floats, features_of, rows_of

Ints = NDArray[np.int64]
K = 5
"""Number of neighbours, as in Naeem et al. (2020)."""
CHUNK, TILE = 500, 2000
NAMES = ("precision", "recall", "density", "coverage")


@dataclass(frozen=True)
class Manifold:
    """A set of features as balls: the ball of each row reaches to its k-th nearest other row.

    Attributes:
        rows: features, (N, d).
        blocks: block of each row, for intervals; (N,).
        radii: squared, (1 + B, N): for the whole set, then with block b left out (balls of rows in b are ignored).
    """

    rows: Floats
    blocks: Ints
    radii: Floats

    @classmethod
    def of(cls, features: NDArray[Any], k: int = K, intervals: bool = True) -> Manifold:
        """Balls of features (N, d); raises ValueError if there are k rows or fewer."""
        rows = np.ascontiguousarray(features_of(features))
        n = len(rows)
        if n <= k:
            raise ValueError(f"{n} rows have fewer than {k} neighbours; use more images or a smaller k")
        blocks = blocks_of(n)
        found = np.empty((1 + BLOCKS if intervals else 1, n))
        near = min(n - 1, 4 * k)
        for here, squared in _chunks(rows, rows, itself=True):
            values, which = (t.numpy() for t in torch.from_numpy(squared).topk(near, dim=1, largest=False))
            found[0, here] = values[:, k - 1]
            for b in range(len(found) - 1):
                found[1 + b, here] = _kth_without(values, blocks[which] != b, squared, blocks != b, k)
        return cls(rows, blocks, found)


def _kth_without(values: Floats, kept: NDArray[np.bool_], squared: Floats, others: NDArray[np.bool_], k: int) -> Floats:
    """k-th smallest of the kept values per row, given in ascending order; from the whole row if too few are kept."""
    counts = kept.cumsum(1)
    enough = counts[:, -1] >= k
    place = (counts >= k).argmax(1)
    kth: Floats = values[np.arange(len(values)), place]
    for row in np.flatnonzero(~enough):
        rest = squared[row, others]
        kth[row] = np.partition(rest, k - 1)[k - 1] if len(rest) >= k else np.inf
    return kth


def prdc(real: NDArray[Any], fake: NDArray[Any], k: int = K) -> dict[str, float]:
    """Precision, recall, density and coverage of features (N, d) and (M, d); see `prdc_estimates`."""
    found = _replicates(Manifold.of(real, k, intervals=False), Manifold.of(fake, k, intervals=False), k)
    return {name: float(found[name][0]) for name in NAMES}


def prdc_estimates(real: Manifold, fake: Manifold, k: int = K) -> dict[str, Estimate]:
    """Precision, recall, density and coverage, each with its jackknife interval.

    B(x) is the closed ball around x that reaches to its k-th nearest other row in its own set.

    - precision: share of fake in some B(real); recall: share of real in some B(fake); 0 .. 1 (Kynkaanniemi et al.
      2019).
    - density: mean over fake of the number of B(real) that contain it, over k; 0 or more, 1 for equal distributions.
    - coverage: share of real whose ball contains a fake; 0 .. 1, about 1 - 2^-k for equal distributions of equal size
      (both Naeem et al. 2020).
    """
    found = _replicates(real, fake, k)
    few = min(len(real.rows), len(fake.rows)) < 2 * BLOCKS or len(found["precision"]) == 1
    if few:
        return {name: Estimate(float(found[name][0])) for name in NAMES}
    counts = {"precision": len(fake.rows), "recall": len(real.rows), "coverage": len(real.rows)}
    return {
        name: of_share(from_replicates(*replicates, low=0.0, high=1.0), counts[name])
        if name in counts
        else from_replicates(*replicates, low=0.0)
        for name in NAMES
        for replicates in [(found[name][0], found[name][1:])]
    }


def _replicates(real: Manifold, fake: Manifold, k: int) -> dict[str, Floats]:
    """Each metric of the whole sets, then with block b left out of both: (1 + B,) each.

    Only pairs closer than the largest radius of either row can matter, and they are few: only these are examined for
    each block.
    """
    levels = min(len(real.radii), len(fake.radii))
    n, m = len(real.rows), len(fake.rows)
    reach_r, reach_f = real.radii[:levels].max(0), fake.radii[:levels].max(0)
    hits = np.zeros((levels, m))
    recalled, covered = np.zeros(levels), np.zeros(levels)
    for here, squared in _chunks(real.rows, fake.rows):
        i, j = np.nonzero(squared <= np.maximum(reach_r[here, None], reach_f[None, :]))
        close, size = squared[i, j], len(squared)
        own, other = real.blocks[here][i], fake.blocks[j]
        for level in range(levels):
            left = (own != level - 1) & (other != level - 1) if level else np.ones(len(i), bool)
            in_real = left & (close <= real.radii[level, here][i])
            in_fake = left & (close <= fake.radii[level][j])
            hits[level] += np.bincount(j[in_real], minlength=m)
            covered[level] += np.count_nonzero(np.bincount(i[in_real], minlength=size))
            recalled[level] += np.count_nonzero(np.bincount(i[in_fake], minlength=size))
    left_r = np.array([n, *(np.count_nonzero(real.blocks != b) for b in range(levels - 1))])
    left_f = np.array([m, *(np.count_nonzero(fake.blocks != b) for b in range(levels - 1))])
    return {
        "precision": np.count_nonzero(hits, axis=1) / left_f,
        "recall": recalled / left_r,
        "density": hits.sum(1) / (k * left_f),
        "coverage": covered / left_r,
    }


def nearest(queries: NDArray[Any], references: NDArray[Any], own: Ints | None = None) -> tuple[Floats, Ints]:
    """Distance from each query (N, d) to its nearest reference (M, d), and that reference's index: (N,) and (N,).

    Searched in float32, then measured in float64.

    Args:
        own: if the queries are references themselves, the row of each, (N,), which its search leaves out.

    Raises:
        ValueError: the only reference is left out.
    """
    if own is not None and len(references) < 2:
        raise ValueError("a single reference has no nearest neighbour")
    left, right = (torch.from_numpy(np.ascontiguousarray(rows_of(rows), np.float32)) for rows in (queries, references))
    # |q|^2 is the same for every reference and does not change which is nearest; tiles fit in the processor's cache.
    half_norms = right.square().sum(1) / 2
    found = np.empty(len(left), np.int64)
    for start in range(0, len(left), CHUNK):
        part = left[start : start + CHUNK]
        best, at = torch.full((len(part),), -torch.inf), torch.zeros(len(part), dtype=torch.int64)
        for first in range(0, len(right), TILE):
            tile = slice(first, first + TILE)
            scores = torch.addmm(half_norms[tile], part, right[tile].T, beta=-1)
            if own is not None:
                column = own[start : start + CHUNK] - first
                here = np.flatnonzero((column >= 0) & (column < scores.shape[1]))
                scores[here, column[here]] = -torch.inf
            closest, where = scores.max(1)
            better = closest > best
            best, at = torch.where(better, closest, best), torch.where(better, where + first, at)
        found[start : start + len(part)] = at.numpy()
    apart = np.asarray(queries, np.float64) - np.asarray(references[found], np.float64)
    return np.linalg.norm(apart, axis=1), found


def memorised_fraction(fake: NDArray[Any], held_out: NDArray[Any], quantile: float = 0.001) -> float:
    """Share of samples that are nearer to a training image than all but 0.1 % of held-out images are.

    Args:
        fake: distance from each sample to its nearest training image, (N,).
        held_out: the same distance for real images that were not trained on, (M,), without duplicates of training
            images: their distance of 0 would be the threshold, and no copy is nearer than that.

    About `quantile` for images that were not copied, 1 for copies (a threshold on real distances: Meehan et al. 2020
    compare the same two sets of distances).
    """
    return float(np.mean(np.asarray(fake) < np.quantile(held_out, quantile)))


def _chunks(left: Floats, right: Floats, itself: bool = False) -> Iterator[tuple[slice, Floats]]:
    """Squared distances from rows of `left` to all of `right`, in chunks; `itself`: infinite from a row to itself."""
    a, b = np.square(left).sum(1), np.square(right).sum(1)
    for start in range(0, len(left), CHUNK):
        here = slice(start, min(start + CHUNK, len(left)))
        squared = left[here] @ right.T
        scale = a[here, None] + b[None, :]
        squared *= -2
        squared += scale
        # Equal rows differ by rounding here; balls of radius 0 (duplicates) must contain them nevertheless.
        squared[squared < 1e-12 * scale] = 0
        if itself:
            np.fill_diagonal(squared[:, here], np.inf)
        yield here, squared
