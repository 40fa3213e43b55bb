"""Facts about learning curves: levels, changes of level, spikes, plateaus, onsets, and how two curves are related.

A curve is `steps` (n,), increasing, and `values` (n,), in any unit. A row whose value is not finite counts as missing:
it is dropped first, which makes its neighbours adjacent. Medians, ranks and slopes between pairs of rows are used
wherever single rows must not decide, since losses have heavy tails. Noise is stated as a robust standard deviation,
1.4826 times the median distance from the median, which is the standard deviation if the noise is normal (Hampel 1974).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from itertools import takewhile
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Take = Literal["mean", "median", "sd", "min", "max"]
FEWEST = 5
"""Rows that a level needs: on each side of a change, and from the start of a plateau to the end."""
LIMIT, CUT, FITTED = 0.01, 4.0, 3
"""For a change of level: the largest p that is reported; the SDs of the noise from the median at which values are
clipped; the number of fitted quantities, two means and where they meet."""
DRAWS, CHUNK, CORRELATIONS = 999, 250, 20
"""Curves of noise alone for comparison; how many of them are drawn at a time; the correlation from row to row is
rounded up to a multiple of 1 / this."""
SHARE, NEAR = 0.2, 3.0
"""For a plateau: its least share of the training; the SDs of the noise by which a few rows may be off its level."""
ROUNDING = 1e-12
"""Differences up to this, relative to the largest value, count as none."""
TAKES: dict[Take, Callable[[Floats], Any]] = {
    "mean": np.mean, "median": np.median, "sd": lambda values: values.std(ddof=1), "min": np.min, "max": np.max,
}  # fmt: skip


@dataclass(frozen=True)
class Change:
    """A change of level.

    Attributes:
        step: step of the first row of the new level.
        before, after: median of the rows before it, and of that row and all later ones.
        size: (after - before) in SDs of the noise around the two medians; infinite without noise.
        p: how likely noise around one level has a change as clear as this.
    """

    step: float
    before: float
    after: float
    size: float
    p: float


def at(steps: ArrayLike, values: ArrayLike, step: float) -> float:
    """Value of the row with the nearest step; if two are equally near, of the earlier one.

    ValueError if no row has a value.
    """
    x, y = _rows(steps, values)
    if not len(x):
        raise ValueError("the curve has no value; at least one row is needed")
    return float(y[np.argmin(np.abs(x - step))])


def window(steps: ArrayLike, values: ArrayLike, first: float, last: float, take: Take = "mean") -> float | None:
    """Mean, median, SD (with n - 1), minimum or maximum over the rows with first <= step <= last.

    None if there is no such row; an SD needs two.
    """
    x, y = _rows(steps, values)
    inside = y[(x >= first) & (x <= last)]
    return float(TAKES[take](inside)) if len(inside) >= (2 if take == "sd" else 1) else None


def change_point(steps: ArrayLike, values: ArrayLike) -> Change | None:
    """The one step at which the level changes most, if it changes.

    Of all splits with at least `FEWEST` rows on each side, it is the one that leaves the smallest sum of squares around
    the mean of each side, which is the one with the largest

        T = |mean after - mean before| sqrt(k (n - k) / n) / SD(all),   k rows before of n,

    (Hawkins 1977). So that a few extreme rows decide nothing, the values are first clipped at `CUT` SDs of the noise
    from their median. p is the share of `DRAWS` curves of noise alone, drawn with seed 0, whose T is at least as large,
    with the curve itself added. That noise is normal and first-order autoregressive, with the correlation between
    neighbouring rows that is left around the two levels, plus its bias for so few rows, and never below 0.

    The assumption is that under the null hypothesis the curve has one level, and noise that remembers only the row
    before. A steady rise or fall, or a slow wander, is no such curve: it has a change too, where two levels fit it
    best. None if p > `LIMIT`, for fewer than 2 `FEWEST` rows, and for a constant curve.
    """
    x, y = _rows(steps, values)
    if len(y) < 2 * FEWEST or not _varies(y, y):
        return None
    middle, sd = float(np.median(y)), _noise(y, y)
    cut = np.clip(y, middle - CUT * sd, middle + CUT * sd)
    clear = _clarity(cut[None])[0]
    k = int(np.argmax(clear)) + FEWEST
    noise = _noise_of_levels(len(y), math.ceil(CORRELATIONS * _correlation(cut, k)) / CORRELATIONS)
    p = (1 + int(np.count_nonzero(noise >= clear.max() - ROUNDING))) / (1 + len(noise))
    if p > LIMIT:
        return None
    before, after = float(np.median(y[:k])), float(np.median(y[k:]))
    sd = _robust_sd(np.concatenate([y[:k] - before, y[k:] - after]), y)
    size = (after - before) / sd if sd else math.copysign(math.inf, after - before)
    return Change(float(x[k]), before, after, size, p)


def spikes(
    steps: ArrayLike, values: ArrayLike, height: float = 6.0, width: int = 11, downward: bool = False
) -> list[float]:
    """The steps at which single rows, or a few in a row, stand out from the curve around them.

    A row is part of a spike if it lies more than `height` SDs of the noise above the running median of `width` rows
    (Tukey 1977). That SD is the larger of two: that of the distances from the running median, and that of the changes
    from row to row over sqrt(2), because the first alone is 0 on smooth slopes. Neighbouring rows are one spike, at the
    farthest of them. At either end the curve is continued by its own point reflection, so that a slope is no spike; the
    first and the last row therefore never are one. More than half of `width` rows are a level, not a spike.

    Args:
        height: more than 0.
        width: odd, 3 or more (else ValueError); a curve of fewer rows has no spikes.
        downward: look for rows that lie below instead.
    """
    if width < 3 or width % 2 == 0:
        raise ValueError(f"width is {width}; allowed: odd numbers from 3")
    x, y = _rows(steps, values)
    if len(y) < width:
        return []
    away = (y - _running_median(y, width)) * (-1 if downward else 1)
    sd = max(_robust_sd(away, y), _robust_sd(np.diff(y), y) / math.sqrt(2), _rounding(y))
    rows = np.flatnonzero(away > height * sd)
    groups = np.split(rows, np.flatnonzero(np.diff(rows) > 1) + 1)
    return [float(x[group[np.argmax(away[group])]]) for group in groups if len(group)]


def plateau(steps: ArrayLike, values: ArrayLike) -> float | None:
    """The first step from which the curve stays level to its end.

    It does so from a row on if two conditions hold. Over the rest, the trend is at most one SD of the noise: the trend
    is the median slope of pairs of rows half the rest apart (Theil 1950, the incomplete method) times the length of the
    rest. And no later bend or hump follows: from this row and from each later one, the median of the next `FEWEST` rows
    is within `NEAR` SDs of the noise of the median of all rows up to the end. The noise is that around the trend, or
    that of changes over two rows if it is smaller. The rest lasts at least `SHARE` of the training, and has at least
    `FEWEST` rows.
    None if there is no such row. A trend too slow to be seen in the last part counts as level, as does a bend in fewer
    than about 30 rows.
    """
    x, y = _rows(steps, values)
    if len(x) < FEWEST:
        return None
    lasts = (x[-1] - x >= SHARE * (x[-1] - x[0])) & (np.arange(len(x)) <= len(x) - FEWEST)
    backwards = np.flatnonzero(lasts)[::-1].tolist()
    near = list(takewhile(lambda k: _starts_at_its_level(y[k:]), backwards))
    return next((float(x[k]) for k in near[::-1] if _has_no_trend(x[k:], y[k:])), None)


def onset(steps: ArrayLike, values: ArrayLike, threshold: float, above: bool = True, stays: int = 3) -> float | None:
    """The first step at which the values are beyond a threshold, and stay so for `stays` rows or to the end.

    Args:
        threshold: in the values' unit; a value that equals it is not beyond it.
        above: whether beyond means above; otherwise below.
        stays: number of rows, this one included; 1 or more (else ValueError).
    """
    if stays < 1:
        raise ValueError(f"stays is {stays}; allowed: 1 or more rows")
    x, y = _rows(steps, values)
    beyond = y > threshold if above else y < threshold
    return next((float(x[k]) for k in range(len(x)) if beyond[k : k + stays].all()), None)


def correlation_of_changes(a: ArrayLike, b: ArrayLike, width: int = 1) -> float | None:
    """Pearson's correlation of the changes of two curves over `width` rows, a[k + width] - a[k], from -1 to 1.

    Two losses that move against each other have a negative one, whatever their trends are; the correlation of the
    values themselves is mostly that of the trends (Yule 1926). a and b, (n,), have the same rows; a row that lacks
    either is dropped. None for fewer than 4 rows, or 3 changes, and if the changes of one are all the same.
    """
    x, y = _pairs(a, b)
    if len(x) < max(4, width + 3) or not (_varies(x[width:] - x[:-width], x) and _varies(y[width:] - y[:-width], y)):
        return None
    return _pearson(x[width:] - x[:-width], y[width:] - y[:-width])


def rank_correlation(a: ArrayLike, b: ArrayLike) -> float | None:
    """Spearman's rank correlation (1904), from -1 to 1; equal values have the mean of their ranks.

    a and b, (n,), have the same rows, such as a loss and a quality at each checkpoint; a row that lacks either is
    dropped. None for fewer than 4 rows, and if one is constant.
    """
    x, y = _pairs(a, b)
    return _pearson(_ranks(x), _ranks(y)) if len(x) >= 4 and _varies(x, x) and _varies(y, y) else None


def _rows(steps: ArrayLike, values: ArrayLike) -> tuple[Floats, Floats]:
    """The rows that have a value; ValueError if the steps do not increase, or are not as many as the values."""
    increases = np.diff(np.asarray(steps, np.float64).ravel()) > 0
    if not increases.all():
        raise ValueError(f"row {int(np.argmin(increases)) + 1}: its step is not larger than the one before")
    return _pairs(steps, values)


def _pairs(a: ArrayLike, b: ArrayLike) -> tuple[Floats, Floats]:
    """The rows that have both values."""
    x, y = np.asarray(a, np.float64).ravel(), np.asarray(b, np.float64).ravel()
    if len(x) != len(y):
        raise ValueError(f"{len(x)} and {len(y)} numbers; both must come from the same rows")
    there = np.isfinite(x) & np.isfinite(y)
    return x[there], y[there]


def _rounding(curve: Floats) -> float:
    return ROUNDING * float(np.abs(curve).max())


def _varies(values: Floats, curve: Floats) -> bool:
    """Whether values that come from a curve differ by more than rounding."""
    return bool(np.ptp(values) > _rounding(curve))


def _robust_sd(values: Floats, curve: Floats) -> float:
    """1.4826 times the median distance from the median; 0 if the curve's rounding explains it."""
    found = 1.4826 * float(np.median(np.abs(values - np.median(values))))
    return found if found > _rounding(curve) else 0.0


def _ranks(values: Floats) -> Floats:
    """Ranks from 1; equal values have the mean of their ranks."""
    _, kind, count = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(count)
    return np.asarray((last - (count - 1) / 2)[kind.ravel()], np.float64)


def _pearson(x: Floats, y: Floats) -> float:
    x, y = x - x.mean(), y - y.mean()
    return float(np.clip((x @ y) / math.sqrt((x @ x) * (y @ y)), -1, 1))


def _clarity(curves: Floats) -> Floats:
    """T of each split of each curve: (curves, n) -> (curves, n - 2 FEWEST + 1)."""
    n = curves.shape[1]
    k = np.arange(FEWEST, n - FEWEST + 1)
    sums = np.cumsum(curves - curves.mean(1, keepdims=True), 1)[:, k - 1]
    return np.asarray(np.abs(sums) * np.sqrt(n / (k * (n - k))) / curves.std(1, keepdims=True))


def _correlation(values: Floats, k: int) -> float:
    """Correlation of neighbouring rows around two levels, from 0 to 0.95. Fitting makes it too small: by about
    (1 + 4 rho) / n for one mean (Kendall 1954), here by three times that, for two means and the best split."""
    rest = np.concatenate([values[:k] - values[:k].mean(), values[k:] - values[k:].mean()])
    if not _varies(rest, values):
        return 0.0
    found = float(rest[1:] @ rest[:-1] / (rest @ rest))
    return float(np.clip(found + FITTED * (1 + 4 * max(found, 0.0)) / len(values), 0, 0.95))


@lru_cache(256)
def _noise_of_levels(n: int, correlation: float) -> Floats:
    """Largest T of each of `DRAWS` curves of n rows of noise alone, (DRAWS,)."""
    rng, found = np.random.default_rng(0), []
    for first in range(0, DRAWS, CHUNK):
        noise = rng.normal(size=(n, min(CHUNK, DRAWS - first)))
        noise[1:] *= math.sqrt(1 - correlation**2)
        for k in range(1, n):
            noise[k] += correlation * noise[k - 1]
        found.append(_clarity(noise.T).max(1))
    return np.concatenate(found)


def _running_median(values: Floats, width: int) -> Floats:
    """Median of `width` rows around each; beyond its ends the curve goes on as its point reflection."""
    continued = np.pad(values, width // 2, mode="reflect", reflect_type="odd")
    return np.asarray(np.median(np.lib.stride_tricks.sliding_window_view(continued, width), 1))


def _has_no_trend(steps: Floats, values: Floats) -> bool:
    half = len(steps) // 2
    slope = float(np.median((values[half:] - values[:-half]) / (steps[half:] - steps[:-half])))
    return abs(slope) * float(steps[-1] - steps[0]) <= _noise(values, values - slope * steps)


def _starts_at_its_level(values: Floats) -> bool:
    return abs(float(np.median(values[:FEWEST]) - np.median(values))) <= NEAR * _noise(values, values)


def _noise(values: Floats, around: Floats) -> float:
    """The smaller of two SDs, so that a bend of the curve is no noise: that of `around`, and that of the values'
    changes over two rows over sqrt(2). Noise whose neighbours correlate by 0.5 looks 0.87 times as large as it is over
    two rows, and 0.71 times over one."""
    found = _robust_sd(around, values)
    if len(values) >= 2 * FEWEST:
        found = min(found, _robust_sd(values[2:] - values[:-2], values) / math.sqrt(2))
    return max(found, _rounding(values))
