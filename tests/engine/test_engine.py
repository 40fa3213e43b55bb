from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from genlab import recipe as schema
from genlab.engine import calibrate
from genlab.engine import device as engine
from genlab.errors import UsageError
from genlab.recipe.sections import Adadelta, Adagrad, Adam, AdamW, GradientDescent, Optimiser, RmsProp, Sgd


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
    assert resolved.memory_format in ("channels-last", "contiguous")  # Whichever was measured to be faster.
    assert "auto" not in resolved.model_dump(exclude={"plan"}).values()


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has CUDA")
def test_a_device_that_is_not_there_is_refused_at_once() -> None:
    with pytest.raises(UsageError, match=r"engine\.device is 'cuda'.*available: cpu"):
        engine.resolve(schema.Engine(device="cuda"), mergeable=False)
    assert engine.here(schema.Engine(device="cuda")).device == "cpu"


def test_passes_that_may_not_be_merged_are_not() -> None:
    with pytest.raises(UsageError, match="would mix real and fake"):
        engine.resolve(schema.Engine(merged_passes=True), mergeable=False)


CPU = engine.start(engine.resolve(schema.Engine(plan="reference"), mergeable=False))


def test_learning_rate_schedules() -> None:
    def rates(**settings: Any) -> list[float]:
        return [engine.lr_at(Adam(name="adam", lr=0.5, **settings), step, 5) for step in range(1, 6)]

    assert rates() == [0.5] * 5
    assert rates(schedule="linear") == pytest.approx([0.5, 0.4, 0.3, 0.2, 0.1])
    assert rates(schedule="cosine") == pytest.approx([0.25 * (1 + math.cos(math.pi * k / 5)) for k in range(5)])
    assert rates(warmup_steps=4) == pytest.approx([0.125, 0.25, 0.375, 0.5, 0.5])
    assert rates(schedule="linear", warmup_steps=2) == pytest.approx([0.25, 0.4, 0.3, 0.2, 0.1])


GRADIENT = 1.0
"""Gradient of f(w) = w, at every step."""
STEPS: list[tuple[Optimiser, list[float]]] = [
    (GradientDescent(name="gradient-descent", lr=0.1), [0.1, 0.1]),
    (Sgd(name="sgd", lr=0.1), [0.1, 0.1]),
    # v = .5 v + g: 1, 1.5
    (Sgd(name="sgd", lr=0.1, momentum=0.5), [0.1, 0.15]),
    # g + .5 v: 1.5, 1.75
    (Sgd(name="sgd", lr=0.1, momentum=0.5, nesterov=True), [0.15, 0.175]),
    # g + decay * w, w = 1 and then .88
    (Sgd(name="sgd", lr=0.1, weight_decay=0.2), [0.12, 0.1176]),
    # g / sqrt(sum g^2)
    (Adagrad(name="adagrad", lr=0.1), [0.1, 0.1 / 2**0.5]),
    # E[g^2] = .19 after two steps; the second step divides by its root, times the root of the mean squared update
    (Adadelta(name="adadelta", lr=1.0, eps=1e-2), [
        first := (0.01 / (0.1 + 0.01)) ** 0.5,
        ((0.1 * first**2 + 0.01) / (0.19 + 0.01)) ** 0.5,
    ]),
    # E[g^2] = .1, then .19
    (RmsProp(name="rmsprop", lr=0.1, alpha=0.9), [0.1 / 0.1**0.5, 0.1 / 0.19**0.5]),
    # both bias-corrected moments are 1 at each step
    (Adam(name="adam", lr=0.1, betas=(0.5, 0.9), eps=1e-3), [0.1 / 1.001, 0.1 / 1.001]),
    # decoupled decay: lr * (1 + .2 w)
    (AdamW(name="adamw", lr=0.1, weight_decay=0.2), [0.12, 0.1176]),
]  # fmt: skip


@pytest.mark.parametrize(("settings", "moves"), STEPS, ids=lambda value: getattr(value, "name", ""))
def test_two_steps_of_each_optimiser_in_closed_form(settings: Optimiser, moves: list[float]) -> None:
    w = torch.nn.Parameter(torch.tensor([1.0], dtype=torch.float64))
    optimiser = engine.optimiser(settings, [w], CPU)
    for move in moves:
        before = w.item()
        optimiser.zero_grad()
        (GRADIENT * w).sum().backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        assert before - w.item() == pytest.approx(move, rel=1e-6)


def test_amsgrad_remembers_the_largest_gradient() -> None:
    def moved(amsgrad: bool) -> float:
        w = torch.nn.Parameter(torch.tensor([0.0], dtype=torch.float64))
        optimiser = engine.optimiser(Adam(name="adam", lr=0.1, betas=(0.0, 0.5), amsgrad=amsgrad), [w], CPU)
        for gradient in (10.0, 1.0, 1.0):
            w.grad = torch.tensor([gradient], dtype=torch.float64)
            optimiser.step()
        return -w.item()

    assert moved(True) < moved(False)


def test_what_is_set_is_kept_and_the_rest_is_the_plans(monkeypatch: pytest.MonkeyPatch) -> None:
    choice = {"device": "cpu", "precision": "bfloat16", "memory_format": "channels-last", "threads": 4}
    choice |= {"fused_optimiser": True, "compile": False}
    asked: list[bool] = []

    class Plan:
        def choice(self, convolutional: bool) -> dict[str, Any]:
            asked.append(convolutional)
            return choice

    monkeypatch.setattr(calibrate, "measured", lambda device: Plan())
    dense, mixed = [nn.Linear(2, 2)], [nn.Sequential(nn.Linear(2, 2)), nn.Sequential(nn.Conv2d(1, 1, 1))]
    for networks in (dense, mixed):
        resolved = engine.resolve(schema.Engine(threads=3, fused_optimiser=False), True, engine.convolves(networks))
        assert resolved.model_dump() == {**choice, "plan": "auto", "threads": 3, "fused_optimiser": False} | {
            "merged_passes": True
        }
    assert asked == [False, True]


def test_nothing_is_measured_where_all_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calibrate, "measured", None)
    settings = schema.Engine(**{**schema.REFERENCE, "merged_passes": "auto"})
    assert engine.resolve(settings, mergeable=True) == settings.model_copy(update={"merged_passes": True})


def test_compiling_needs_a_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = schema.Engine(**{**schema.REFERENCE, "compile": True})
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CXX", raising=False)
    with pytest.raises(UsageError, match=r"engine\.compile is true, which on a CPU needs a C"):
        engine.start(settings)


def test_a_weight_that_is_a_view_is_put_in_one_piece() -> None:
    network = nn.Linear(2, 3)
    network.weight = nn.Parameter(torch.arange(12.0).view(3, 4)[:, ::2])
    placed = CPU.place(network)
    assert placed.get_parameter("weight").is_contiguous()
    assert placed.get_parameter("weight").tolist() == [[0, 2], [4, 6], [8, 10]]
