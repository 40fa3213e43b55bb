"""The first steps of every recipe: bit for bit where the trace is of this machine, to 1e-3 in other float32 plans."""

from __future__ import annotations

import json
from typing import Any

import pytest

import golden
from genlab import recipe_files

KNOWN = json.loads(golden.TRACES.read_text("utf-8"))
FLOAT32: dict[str, Any] = {"device": "cpu", "precision": "float32"}
PLANS = [
    {**FLOAT32, "threads": 1, "memory_format": "channels-last", "fused_optimiser": True, "compile": False},
    {**FLOAT32, "threads": 2, "memory_format": "contiguous", "fused_optimiser": False, "compile": False},
]


def compare(found: dict[str, Any], known: dict[str, Any], tolerance: float) -> None:
    for mine, theirs in zip(found["rows"], known["rows"], strict=True):
        assert mine == pytest.approx(theirs, rel=tolerance, abs=tolerance)


def test_every_recipe_has_a_trace() -> None:
    for traces in KNOWN.values():
        assert sorted(traces) == sorted(golden.names())
        assert all(len(trace["rows"]) == golden.STEPS for trace in traces.values())


@pytest.mark.parametrize("name", golden.names())
def test_the_reference_plan(name: str) -> None:
    found = golden.trace(name)
    here = KNOWN.get(golden.machine())
    if here is None:  # Another processor, or PyTorch: it rounds otherwise.
        compare(found, next(iter(KNOWN.values()))[name], 1e-3)
    else:
        assert found == here[name]


@pytest.mark.parametrize("settings", PLANS, ids=["channels-last, fused, merged", "two threads"])
@pytest.mark.parametrize("name", golden.names())
def test_other_float32_plans(name: str, settings: dict[str, Any]) -> None:
    """By gradient descent: Adam's first step is the gradient's sign, which makes a whole step of a rounding error.

    Gradient norms to 1e-2: a unit whose input is 0 but for rounding passes its gradient in one plan and not in another.
    """
    descent = {
        f"{path}.{field}": value
        for path in recipe_files.load(name).optimiser_sections()
        for field, value in {"name": "sgd", "lr": 1e-5, "momentum": 0.9, "weight_decay": 0}.items()
    }
    found, known = golden.trace(name, settings, **descent), golden.trace(name, None, **descent)
    compare(found, known, 1e-2)
    for trace in (found, known):
        trace["rows"] = [{key: row[key] for key in row if not key.startswith("grad_norm")} for row in trace["rows"]]
    compare(found, known, 1e-3)


def test_a_trace_would_notice() -> None:
    """One setting of one recipe, moved by a thousandth, is seen."""
    known = golden.trace("s2-dcgan")
    other = golden.trace("s2-dcgan", None, **{"optimisers.generator.lr": 0.0005005})
    assert other["weights"] != known["weights"]
    with pytest.raises(AssertionError):
        compare(other, known, 1e-9)
