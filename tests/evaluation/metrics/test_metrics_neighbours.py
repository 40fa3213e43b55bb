"""Precision, recall, density, coverage against brute force and published values; nearest images; memorisation."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from genlab.evaluation.metrics import BLOCKS, Manifold, blocks_of, memorised_fraction, nearest, prdc, prdc_estimates

RNG = np.random.default_rng(2)
Array = np.ndarray[Any, np.dtype[np.float64]]


def brute(real: Array, fake: Array, k: int) -> dict[str, float]:
    """The four metrics by their definitions, from full distance matrices."""

    def apart(a: Array, b: Array) -> Array:
        return np.asarray(np.linalg.norm(a[:, None] - b[None], axis=2))

    def radii(a: Array) -> Array:
        return np.asarray(np.sort(apart(a, a), axis=1)[:, k])  # column 0 is the row itself

    d, r, f = apart(real, fake), radii(real), radii(fake)
    return {
        "precision": (d <= r[:, None]).any(0).mean(),
        "recall": (d <= f[None]).any(1).mean(),
        "density": (d <= r[:, None]).sum() / (k * len(fake)),
        "coverage": (d.min(1) <= r).mean(),
    }


@pytest.mark.parametrize("k", [1, 3, 5])
@pytest.mark.parametrize(("n", "m"), [(60, 80), (700, 600)])
def test_equals_brute_force(k: int, n: int, m: int) -> None:
    real, fake = RNG.normal(size=(n, 5)), RNG.normal(0.5, 1.3, size=(m, 5))
    assert prdc(real, fake, k) == pytest.approx(brute(real, fake, k), abs=1e-9)


def test_precision_and_recall_swap_with_the_arguments() -> None:
    wide, narrow = RNG.normal(size=(500, 4)), RNG.normal(0, 0.2, size=(500, 4))
    collapsed, swapped = prdc(wide, narrow), prdc(narrow, wide)
    assert collapsed["precision"] > 0.95
    assert collapsed["recall"] < 0.3
    assert swapped["precision"] == collapsed["recall"]
    assert swapped["recall"] == collapsed["precision"]
    assert collapsed["coverage"] < 0.3


@pytest.mark.parametrize("k", [2, 5])
def test_equal_distributions(k: int) -> None:
    """In expectation, density is 1, coverage 1 - 2^-k (exact for n, m -> infinity), and precision equals recall."""
    draws = [prdc(RNG.normal(size=(400, 8)), RNG.normal(size=(400, 8)), k) for _ in range(30)]
    mean = {name: np.mean([d[name] for d in draws]) for name in draws[0]}
    assert mean["density"] == pytest.approx(1, abs=0.03)
    assert mean["coverage"] == pytest.approx(1 - 2.0**-k, abs=0.02)
    assert mean["precision"] == pytest.approx(mean["recall"], abs=0.02)


@pytest.mark.slow
def test_the_published_values() -> None:
    """Two standard normal sets, n = 10,000, d = 1000, k = 5, the example of Naeem et al. (2020); mean of two draws (the
    density of one scatters by .08: in a thousand dimensions some balls contain very many rows)."""
    draws = []
    for seed in (1, 2):
        rng = np.random.default_rng(seed)
        draws.append(prdc(rng.normal(size=(10_000, 1000)), rng.normal(size=(10_000, 1000))))
    found = {name: np.mean([draw[name] for draw in draws]) for name in draws[0]}
    assert found["precision"] == pytest.approx(0.477, abs=0.05)
    assert found["recall"] == pytest.approx(0.471, abs=0.05)
    assert found["density"] == pytest.approx(1.056, abs=0.1)
    assert found["coverage"] == pytest.approx(0.974, abs=0.05)


def test_intervals_are_those_of_leaving_blocks_out() -> None:
    """The shortcut through close pairs agrees with recomputing everything without each block."""
    real, fake = RNG.normal(size=(120, 3)), RNG.normal(0.3, 1, size=(90, 3))
    own, other = blocks_of(120), blocks_of(90)
    found = prdc_estimates(Manifold.of(real, 3), Manifold.of(fake, 3), 3)
    for name in ("precision", "recall", "density", "coverage"):
        left = np.array([brute(real[own != b], fake[other != b], 3)[name] for b in range(BLOCKS)])
        reach = 2.0930 * np.sqrt((BLOCKS - 1) / BLOCKS * ((left - left.mean()) ** 2).sum())
        value, interval = found[name].value, found[name].interval
        assert interval is not None
        top = np.inf if name == "density" else 1.0
        assert interval == pytest.approx((max(0.0, value - reach), min(top, value + reach)), abs=1e-9)


def test_a_block_that_holds_all_neighbours() -> None:
    """If the nearest neighbours of a row all lie in one block, its radius without that block is found further out."""
    own = blocks_of(200)
    rows = RNG.normal(size=(200, 2)) * 0.01 + 100.0 * own[:, None]  # blocks are far apart
    found = Manifold.of(rows, 2).radii
    for b in (0, 7):
        kept = own != b
        for i in np.flatnonzero(own == b)[:3]:
            others = np.sort(((rows[kept] - rows[i]) ** 2).sum(1))
            assert found[1 + b, i] == pytest.approx(others[1], rel=1e-9)


@pytest.mark.parametrize("what", ["constant", "duplicates", "copies"])
def test_degenerate_sets_have_stated_results(what: str) -> None:
    real = RNG.normal(size=(60, 4))
    if what == "constant":
        found = prdc(real, np.zeros((60, 4)))
        assert found == pytest.approx(brute(real, np.zeros((60, 4)), 5))
        assert found["recall"] == 0
        assert 0 < found["coverage"] < 1  # Only balls around the origin contain samples, each of them all sixty.
    elif what == "duplicates":
        twice = np.repeat(real[:6], 10, axis=0)
        found = prdc(twice, twice + 0)  # radii are 0: balls contain their copies and nothing else
        assert found == {"precision": 1, "recall": 1, "density": 2, "coverage": 1}
    else:
        found = prdc(real, real.copy())
        assert found["precision"] == found["recall"] == found["coverage"] == 1


def test_too_few_rows() -> None:
    with pytest.raises(ValueError, match="5 rows have fewer than 5 neighbours"):
        prdc(RNG.normal(size=(5, 2)), RNG.normal(size=(9, 2)))


def test_order_and_dtype_do_not_matter() -> None:
    real, fake = (RNG.normal(size=(300, 6)).astype(np.float32) for _ in range(2))
    found = prdc(real, fake)
    assert prdc(real[RNG.permutation(300)], fake[::-1]) == pytest.approx(found, abs=1e-12)
    assert prdc(real.astype(np.float64), fake.astype(np.float64)) == pytest.approx(found, abs=1e-12)


def test_nearest_is_brute_force() -> None:
    queries, references = RNG.random((70, 9)), RNG.random((4500, 9))
    distance, which = nearest(queries, references)
    full = np.linalg.norm(queries[:, None] - references[None], axis=2)
    assert (which == full.argmin(1)).all()
    assert distance == pytest.approx(full.min(1), rel=1e-12)


def test_nearest_others_leave_out_the_row_itself() -> None:
    """The search works across tiles and for a selection of rows, and a duplicate counts as another row."""
    rows = RNG.random((4500, 9))
    rows[4400] = rows[3]
    some = np.array([0, 3, 1999, 2000, 4400, 4499])
    distance, which = nearest(rows[some], rows, some)
    full = np.linalg.norm(rows[some][:, None] - rows[None], axis=2)
    full[np.arange(6), some] = np.inf
    assert (which == full.argmin(1)).all()
    assert distance == pytest.approx(full.min(1), rel=1e-12)
    assert (distance[1], distance[4]) == (0, 0)
    with pytest.raises(ValueError, match="a single reference has no nearest neighbour"):
        nearest(rows[:1], rows[:1], np.array([0]))


def test_a_share_of_0_or_1_has_an_interval_with_width() -> None:
    """Precision, recall and coverage for 100 rows each: 0 if the sets are far apart, 1 if they are the same."""
    rows = RNG.normal(size=(100, 3))
    sets = Manifold.of(rows), Manifold.of(rows + 100)
    apart, same = prdc_estimates(*sets), prdc_estimates(sets[0], sets[0])
    for name in ("precision", "recall", "coverage"):
        assert apart[name].interval == pytest.approx((0, 1 - 0.025**0.01))
        assert same[name].interval == pytest.approx((0.025**0.01, 1))
    assert apart["density"].interval == (0, 0)


def test_memorisation() -> None:
    """The fraction is about 0.001 for held-out rows, 1 for copies and 0 for rows from elsewhere."""
    train, test, fresh = (RNG.random((n, 6)) for n in (8000, 4000, 4000))
    held_out = nearest(test, train)[0]
    assert memorised_fraction(held_out, held_out) == pytest.approx(0.001, abs=2 / 4000)
    assert memorised_fraction(nearest(fresh, train)[0], held_out) == pytest.approx(0.001, abs=0.002)
    assert memorised_fraction(nearest(train[:500], train)[0], held_out) == 1
    assert memorised_fraction(nearest(fresh + 5, train)[0], held_out) == 0
    half = np.concatenate([train[:1000], fresh[:1000]])
    assert memorised_fraction(nearest(half, train)[0], held_out) == pytest.approx(0.5, abs=0.01)


def test_copies_of_one_another_are_at_distance_0() -> None:
    """With more copies than neighbours, every ball has radius 0 but still contains its copies, wherever they lie: far
    from the origin, |a|^2 + |b|^2 - 2 ab is not exactly 0 for equal rows."""
    rows = np.random.default_rng(3).normal(100, 1, (40, 7)).repeat(8, 0)
    assert (Manifold.of(rows, intervals=False).radii == 0).all()
    found = prdc(rows, rows[::8].repeat(8, 0)[::-1])
    assert (found["precision"], found["recall"], found["coverage"]) == (1, 1, 1)
