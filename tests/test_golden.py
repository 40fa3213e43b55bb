"""The first steps of every recipe: with given gradients on every machine, to the last bit on those with a trace."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest

import golden
from genlab.engine.version import NUMERICS
from genlab.recipe import files

KNOWN = json.loads(golden.TRACES.read_text("utf-8"))
GIVEN = json.loads(golden.GIVEN.read_text("utf-8"))
FLOAT32: dict[str, Any] = {"device": "cpu", "precision": "float32"}
PLANS = [
    {**FLOAT32, "threads": 1, "memory_format": "channels-last", "fused_optimiser": True, "compile": False},
    {**FLOAT32, "threads": 2, "memory_format": "contiguous", "fused_optimiser": False, "compile": False},
]


def compare(found: list[dict[str, Any]], known: list[dict[str, Any]]) -> None:
    """Assert that two traces with given gradients differ only by rounding, over the length of the first.

    Tolerances: losses 1e-4, or 3e-5 near 0 (seen between instruction sets and plans: 5e-6). Gradient norms 1e-2 (seen:
    1e-3): a unit whose input is 0 except for rounding passes its gradient on one machine and not on another. What the
    optimisers made of equal gradients 2e-6 (seen: 2e-7), running statistics 1e-4.
    """
    assert found
    for mine, theirs in zip(found, known, strict=False):
        assert mine["row"].keys() == theirs["row"].keys()
        for key, value in theirs["row"].items():
            tolerance = 1e-2 if key.startswith("grad_norm") else 1e-4
            assert mine["row"][key] == pytest.approx(value, rel=tolerance, abs=3e-5), key
        assert mine["moved"].keys() == theirs["moved"].keys()
        for network, moved in theirs["moved"].items():
            assert mine["moved"][network].keys() == moved.keys()
            for key, value in moved.items():
                tolerance = 1e-4 if key == "statistics" else 2e-6
                assert mine["moved"][network][key] == pytest.approx(value, rel=tolerance), (network, key)


_QUICK = {"quick-mnist", "quick-fashion", "quick-mnist-unconditional", "quick-stacked"}
LATER = {
    "2.13.0+cpu AVX2 f76fe90037b5": _QUICK,
    "2.13.0+cpu DEFAULT f76fe90037b5 ONEDNN_MAX_CPU_ISA=SSE41": _QUICK,
}
"""Machine -> recipes that changed after its traces were written, and wait for a machine of its kind."""


def test_every_recipe_has_a_trace() -> None:
    for machine, traces in KNOWN.items():
        assert sorted(traces) == sorted(set(golden.names()) - LATER.get(machine, set()))
        assert all(len(trace["rows"]) == golden.STEPS for trace in traces.values())
    assert sorted(GIVEN) == sorted(golden.names())
    for steps in GIVEN.values():
        assert len(steps) == golden.STEPS
        assert all(moved["weights"] > 0 and moved["faint"] > 0 for moved in steps[-1]["moved"].values())


@pytest.mark.parametrize("name", golden.names())
def test_the_reference_plan(name: str) -> None:
    here = KNOWN.get(golden.machine())
    # Another processor or PyTorch rounds differently, so only the comparison below applies to it.
    if here is not None and name in here:
        assert golden.trace(name) == here[name]
    known = here is not None and name in here
    compare(golden.given(name, steps=2 if known else golden.STEPS), GIVEN[name])


@pytest.mark.parametrize("settings", PLANS, ids=["channels-last, fused, merged", "two threads"])
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] if k % 3 else []) for k, name in enumerate(golden.names())]
)
def test_other_float32_plans(name: str, settings: dict[str, Any]) -> None:
    compare(golden.given(name, settings, steps=2), GIVEN[name])


def by_a_thousandth(name: str) -> list[dict[str, Any]]:
    """Overrides that each change, by a thousandth, one optimiser setting that acts in the first steps."""
    plain = files.to_dict(files.load(name))
    changes: list[dict[str, Any]] = []
    for path in files.load(name).optimiser_sections():
        section = plain
        for part in path.split("."):
            section = section[part]
        moving = [field for field in ("lr", "eps", "weight_decay") if section[field]]
        changes += [{f"{path}.{field}": section[field] * 1.001} for field in moving]
        for k, beta in enumerate(section["betas"]):
            if beta:
                moved = list(section["betas"])
                moved[k] = beta * 0.999
                changes.append({f"{path}.betas": moved})
    return changes


@pytest.mark.parametrize("name", ["s2-dcgan", "s4-vae", "s4-classifier"])
def test_a_thousandth_is_noticed_on_every_machine(name: str) -> None:
    """A change of a learning rate, a moment's decay or an epsilon by a thousandth is noticed."""
    changes = by_a_thousandth(name)
    assert len(changes) >= 4
    for change in changes:
        with pytest.raises(AssertionError):
            compare(golden.given(name, steps=3, **change), GIVEN[name])


@pytest.mark.parametrize("change", [{"objective.beta": 4.008}, {"objective.kl_warmup_steps": 467}])
def test_another_loss_is_noticed_on_every_machine(change: dict[str, Any]) -> None:
    with pytest.raises(AssertionError):
        compare(golden.given("beta-vae", **change), GIVEN["beta-vae"])


def test_a_weight_by_a_bit_is_noticed_on_its_own_machine() -> None:
    known = golden.trace("s2-dcgan")
    other = golden.trace("s2-dcgan", None, **{"optimisers.generator.lr": 0.0005 * (1 + 1e-6)})
    assert other["weights"] != known["weights"]


def test_the_number_of_the_numerics_is_raised_with_the_traces() -> None:
    """Studies recognise stale records by it: whoever changes a golden trace raises it and updates numerics.txt."""
    number, sha256 = (golden.GIVEN.parent / "numerics.txt").read_text("utf-8").split()
    assert int(number) == NUMERICS
    assert sha256 == hashlib.sha256(golden.GIVEN.read_bytes()).hexdigest()
