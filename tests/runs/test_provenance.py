"""Facts about a machine that can change a bit, and whether they differ."""

from __future__ import annotations

import pytest
import torch

import genlab
import instructions
from genlab.engine import calibrate, threads
from genlab.runs import provenance
from genlab.runs.provenance import MATTERS, differences


def here() -> dict[str, dict[str, object]]:
    recipe = genlab.load_recipe("quick-mnist", {"engine.plan": "reference"})
    return {"versions": dict(provenance.versions()), "machine": provenance.training_machine(recipe)}


def test_the_same_place_does_not_differ() -> None:
    assert differences(here(), here()) == []
    known = {**here()["versions"], **here()["machine"]}
    assert set(MATTERS) <= known.keys()


@pytest.mark.parametrize("name", MATTERS)
def test_each_fact_that_matters_is_named_if_it_differs(name: str) -> None:
    now = here()
    section = "versions" if name in now["versions"] else "machine"
    then = {**now, section: {**now[section], name: "other"}}
    (said,) = differences(then, now)
    assert said == f"{name} other -> {now[section][name] or 'none'}"
    # A run of an older version, which did not record this fact, is compared by those that it has.
    del then[section][name]
    assert differences(then, now) == []


def test_what_moves_no_bit_is_not_compared() -> None:
    now = here()
    then = {"versions": {**now["versions"], "python": "3.0"}, "machine": {**now["machine"], "cores": 77, "system": "x"}}
    assert differences(then, now) == []
    assert differences({}, now) == []


def test_limits_are_written_down(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in threads.LIMITS:
        monkeypatch.delenv(name, raising=False)
    assert threads.instructions()["limits"] == ""
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "avx2")
    monkeypatch.setenv("MKL_ENABLE_INSTRUCTIONS", "AVX2")
    assert threads.instructions()["limits"] == "ONEDNN_MAX_CPU_ISA=AVX2 MKL_ENABLE_INSTRUCTIONS=AVX2"
    assert threads.instructions()["capability"] in (
        "DEFAULT",
        "AVX2",
        "AVX512",
        "SVE128",
        "SVE256",
        "SVE",
        "ZVECTOR",
        "VSX",
    )


def test_a_pytorch_that_does_not_tell_of_bfloat16(monkeypatch: pytest.MonkeyPatch) -> None:
    """bfloat16 is then measured, since nothing says that it is impossible."""
    monkeypatch.setattr(torch, "ops", object())
    assert threads.instructions()["onednn_bfloat16"] == "unknown"
    assert calibrate.impossible("cpu") == {}


@pytest.mark.parametrize(
    ("capability", "processor", "variables"),
    [
        ("AVX512", "AMD EPYC", ["ATEN_CPU_CAPABILITY=avx2", "ONEDNN_MAX_CPU_ISA=AVX2"]),
        (
            "AVX512",
            "Intel(R) Xeon(R)",
            ["ATEN_CPU_CAPABILITY=avx2", "ONEDNN_MAX_CPU_ISA=AVX2", "MKL_ENABLE_INSTRUCTIONS=AVX2"],
        ),
        ("AVX2", "Intel(R) Core(TM)", ["ATEN_CPU_CAPABILITY=default", "ONEDNN_MAX_CPU_ISA=SSE41"]),
    ],
)
def test_the_imitation_is_of_a_smaller_processor(capability: str, processor: str, variables: list[str]) -> None:
    chosen = instructions.imitation(capability, processor)
    assert [f"{name}={value}" for name, value in chosen.items()] == variables
