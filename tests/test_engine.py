from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from genlab import engine
from genlab import recipe as schema
from genlab.errors import UsageError


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def test_the_reference_plan() -> None:
    resolved = engine.resolve(schema.Engine(plan="reference"), mergeable=True)
    assert resolved.model_dump() == {"plan": "reference", **schema.REFERENCE}


def test_auto_leaves_no_auto_and_keeps_what_was_set() -> None:
    given = schema.Engine(device="cpu", precision="float32", threads=1, merged_passes=False)
    resolved = engine.resolve(given, mergeable=True)
    assert (resolved.precision, resolved.threads, resolved.merged_passes) == ("float32", 1, False)
    assert resolved.memory_format == "channels-last"
    assert "auto" not in resolved.model_dump(exclude={"plan"}).values()


@pytest.mark.parametrize(("gain", "precision"), [(1.1, "float32"), (1.3, "bfloat16"), (0.01, "float32")])
def test_bfloat16_only_where_it_wins_clearly_and_measured_once(
    gain: float, precision: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    calls: list[int] = []

    def measured(*_: object) -> float:
        calls.append(1)
        return gain

    monkeypatch.setattr(engine, "_bfloat16_gain", measured)
    settings = schema.Engine(device="cpu", threads=1)
    assert [engine.resolve(settings, mergeable=False).precision for _ in range(3)] == [precision] * 3
    assert len(calls) == 1
    assert list(json.loads((tmp_path / "genlab" / "engine.json").read_text()).values()) == [gain]


def test_the_probe_measures() -> None:
    assert 0.001 < engine._bfloat16_gain(torch.device("cpu"), 1) < 1000


def test_an_unwritable_home_is_no_obstacle(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    monkeypatch.setattr(engine, "_bfloat16_gain", lambda *_: 2.0)
    assert engine.resolve(schema.Engine(device="cpu"), mergeable=False).precision == "bfloat16"


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has CUDA")
def test_a_device_that_is_not_there_is_refused_at_once() -> None:
    with pytest.raises(UsageError, match=r"engine\.device is 'cuda'.*here: cpu"):
        engine.resolve(schema.Engine(device="cuda"), mergeable=False)
    assert engine.here(schema.Engine(device="cuda")).device == "cpu"


def test_passes_that_may_not_be_merged_are_not() -> None:
    with pytest.raises(UsageError, match="would mix real and fake"):
        engine.resolve(schema.Engine(merged_passes=True), mergeable=False)


def test_learning_rate_schedules() -> None:
    linear = schema.Optimiser(lr=0.5, schedule="linear")
    assert [engine.lr_at(linear, step, 5) for step in (1, 3, 5)] == pytest.approx([0.5, 0.3, 0.1])
    assert {engine.lr_at(schema.Optimiser(lr=0.5), step, 5) for step in range(1, 6)} == {0.5}


def test_adam_is_the_one_of_the_paper() -> None:
    """One step on f(w) = w: m = (1 - b1) g, v = (1 - b2) g^2, both corrected, so w moves by lr / (1 + eps)."""
    w = torch.nn.Parameter(torch.tensor([1.0], dtype=torch.float64))
    optimiser = engine.adam(schema.Optimiser(lr=0.1, betas=(0.5, 0.9), eps=1e-3), [w], fused=False)
    w.sum().backward()  # type: ignore[no-untyped-call]
    optimiser.step()
    assert w.item() == pytest.approx(1 - 0.1 / (1 + 1e-3), rel=1e-12)
