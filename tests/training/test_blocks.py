"""What rows say about the steps between them, whatever interrupts a training."""

from __future__ import annotations

import numpy as np
import pytest

from genlab.training.blocks import Block


def test_quantiles_are_those_of_the_values() -> None:
    block = Block(["a", "b", "c"])
    values = np.random.default_rng(0).normal(size=(50, 2))
    for a, b in values.tolist():
        block.add({"a": a, "b": b, "other": 1.0})
    found = block.close()
    assert list(found) == [f"{name}{end}" for name in "ab" for end in ("_mean", "_p10", "_p90")]
    for k, name in enumerate("ab"):
        assert found[f"{name}_mean"] == pytest.approx(values[:, k].mean())
        low, high = np.quantile(values[:, k], (0.1, 0.9))
        assert (found[f"{name}_p10"], found[f"{name}_p90"]) == pytest.approx((low, high))
    assert block.close() == {}


def test_a_block_goes_on_from_its_state_to_the_bit() -> None:
    values = np.random.default_rng(1).normal(size=31).tolist()
    whole, part = Block(["a"]), Block(["a"])
    for value in values:
        whole.add({"a": value})
    for value in values[:13]:
        part.add({"a": value})
    again = Block(["a"], part.state)
    part.add({"a": 1e9})  # The state is a copy.
    for value in values[13:]:
        again.add({"a": value})
    assert again.close() == whole.close()


def test_a_step_without_a_quantity_does_not_count() -> None:
    block = Block(["g"])
    for step in range(1, 10):
        block.add({"g": float(step)} if step % 3 == 0 else {})
    assert block.close()["g_mean"] == 6
