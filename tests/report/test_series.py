"""Points of curves: means over the steps that they represent, in bands that hold 80 % of those values."""

from __future__ import annotations

import numpy as np
import pytest

from genlab.report.series import series
from genlab.runs.rows import Row
from genlab.training.blocks import Block


def logged(values: list[float], every: int) -> list[Row]:
    """Rows that a training run with these losses, one per step, would log."""
    block, rows = Block(["a"]), []
    for step, value in enumerate(values, start=1):
        block.add({"a": value})
        if step % every == 0 or step == len(values):
            rows.append({"step": step, "epoch": step / 50, "images": 10 * step, "a": value, **block.close()})
    return rows


def test_a_row_holds_mean_and_quantiles_of_its_steps() -> None:
    values = np.random.default_rng(0).normal(size=100).tolist()
    found = series(logged(values, every=20), "a")
    parts = np.array(values).reshape(5, 20)
    assert found.x.tolist() == [20, 40, 60, 80, 100]
    np.testing.assert_allclose(found.y, parts.mean(1))
    np.testing.assert_allclose(found.low, np.quantile(parts, 0.1, 1))
    np.testing.assert_allclose(found.high, np.quantile(parts, 0.9, 1))
    assert found.has_band


@pytest.mark.parametrize(("against", "x"), [("step", 20), ("epoch", 0.4), ("images", 200)])
def test_against_each_axis(against: str, x: float) -> None:
    assert series(logged([1.0] * 40, 20), "a", against).x[0] == pytest.approx(x)  # type: ignore[arg-type]


def test_a_block_of_steps_is_the_mean_of_them_all() -> None:
    values = np.arange(100.0).tolist()
    found = series(logged(values, every=10), "a", block=50)
    np.testing.assert_allclose(found.y, [24.5, 74.5])
    assert found.block == 5


def test_rows_count_as_often_as_they_stand_for_steps() -> None:
    """With a first row of one step and a last row of a few, the mean is still that of all steps."""
    values = (np.random.default_rng(1).normal(size=60) + np.arange(60)).tolist()
    block, rows = Block(["a"]), []
    for step, value in enumerate(values, start=1):
        block.add({"a": value})
        if step in (1, 50, 60):
            rows.append({"step": step, "a": value, **block.close()})
    assert series(rows, "a", block=60).y.tolist() == pytest.approx([np.mean(values)])
    assert series(rows, "a", block=60).x.tolist() == [60]


def test_long_runs_are_thinned() -> None:
    rows: list[Row] = [{"step": k, "a": float(k)} for k in range(1, 901)]
    found = series(rows, "a")
    assert found.block == 3
    assert found.y[:2].tolist() == [2, 5]
    assert found.x[:2].tolist() == [3, 6]
    assert not found.has_band, "three rows have no quantiles"
    assert series(rows, "a", points=90).has_band


def test_a_curve_has_the_rows_that_have_its_column() -> None:
    """A generator that learns every third step has every third row; a non-finite value leaves a gap."""
    rows: list[Row] = [
        {"step": k, "a": None if k == 4 else 1.0, **({"b": float(k)} if k % 3 == 0 else {})} for k in range(1, 10)
    ]
    assert series(rows, "b").x.tolist() == [3, 6, 9]
    assert np.isnan(series(rows, "a").y).tolist() == [k == 3 for k in range(9)]
    assert len(series(rows, "c").x) == 0
