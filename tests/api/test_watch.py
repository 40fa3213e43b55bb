"""genlab.Watch turns custom training loops into runs that the rest of genlab reads, without changing the training."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.optim import optimizer

import genlab
from genlab.cli.main import main
from genlab.errors import DataError, UsageError
from genlab.runs.verify import verify
from loops import LOOPS, PLANTED

STEPS = 60
FULL = {"dcgan": 600, "wgan": 1500, "conditional": 3000, "vae": 3000, "shared": 3000}
"""Steps that each loop needs to draw digits."""


@pytest.fixture
def images(digits: Path) -> tuple[Tensor, Tensor]:
    loaded = genlab.load_dataset(str(digits))
    assert loaded.labels is not None
    return torch.from_numpy(loaded.images), torch.from_numpy(loaded.labels)


@pytest.fixture
def watching(digits: Path, tmp_path: Path) -> Callable[..., genlab.Watch]:
    def make(**given: Any) -> genlab.Watch:
        options: dict[str, Any] = {"steps": STEPS, "every": 30, "rows": 5, "runs": tmp_path / "runs", "progress": False}
        options |= {"evaluation": "cheap", **given}
        return genlab.Watch(str(digits), **options)

    return make


@pytest.mark.parametrize("name", LOOPS)
def test_every_loop_becomes_a_whole_run(name: str, images: tuple[Tensor, Tensor], watching: Any) -> None:
    torch.manual_seed(0)
    with watching(name=name, evaluation="full" if name == "vae" else "cheap") as watch:
        LOOPS[name](*images, STEPS, watch, False)
    run = watch.run
    assert verify(run.directory).damages == []
    assert run.status["state"] == "finished"
    assert "denormals" not in run.provenance["machine"]  # How the loop treats them is its own affair.
    assert [row["step"] for row in run.metrics()] == [1, *range(5, STEPS + 1, 5)]
    assert run.steps("evaluations", ".json") == [30, 60]
    last = run.metrics()[-1]
    assert "frechet_distance" in last
    assert all(0 < last[key] < 1 for key in last if key.startswith("update") and "_by_" not in key)
    assert (run.path / "report.html").exists()
    assert (run.evaluation is not None) is (name == "vae")
    assert not optimizer._global_optimizer_pre_hooks
    assert not optimizer._global_optimizer_post_hooks


def test_a_watched_loop_learns_the_same_weights(images: tuple[Tensor, Tensor], watching: Any) -> None:
    class Blind:
        def step(self, **given: Any) -> None:
            self.nets = given

    def trained(watch: Any) -> dict[str, Tensor]:
        torch.manual_seed(0)
        blind = Blind()
        both = Both(watch, blind) if watch else blind
        LOOPS["dcgan"](*images, 20, both, False)  # type: ignore[arg-type]
        return {f"{k}.{key}": v for k in "GD" for key, v in blind.nets[k].state_dict().items()}

    class Both:
        def __init__(self, *parts: Any) -> None:
            self.parts = parts

        def step(self, **given: Any) -> None:
            for part in self.parts:
                part.step(**{**given, "samples": lambda n: given["G"](torch.randn(n, 32))})

    with warnings.catch_warnings():
        watched = trained(watching(rows=1, every=5))
    alone = trained(None)
    assert all(torch.equal(watched[key], alone[key]) for key in alone)


def test_an_optimiser_that_moves_the_others_weights_is_named(images: tuple[Tensor, Tensor], watching: Any) -> None:
    for planted in (True, False):
        torch.manual_seed(0)
        with watching() as watch:
            LOOPS["shared"](*images, STEPS, watch, planted)
        rows = watch.run.metrics()[1:]
        assert all((row["update_g_by_d"] > 0) is planted for row in rows)
        assert all(row.get("update_d_by_g", 0) == 0 for row in rows)
        found = {each.name: each for each in watch.diagnosis.findings}
        assert (PLANTED["shared"] in found) is planted
    assert watch.run.diagnose().as_json()["findings"] is not None


@pytest.mark.slow
@pytest.mark.parametrize("planted", [True, False])
@pytest.mark.parametrize("name", LOOPS)
def test_of_a_whole_training_what_is_planted_is_the_only_fault(name: str, planted: bool, tmp_path: Path) -> None:
    digits = genlab.load_dataset("mnist")
    assert digits.labels is not None
    images, labels = torch.from_numpy(digits.images), torch.from_numpy(digits.labels)
    torch.manual_seed(0)
    with genlab.Watch("mnist", steps=FULL[name], runs=tmp_path, progress=False) as watch:
        LOOPS[name](images, labels, FULL[name], watch, planted)
    assert [each.name for each in watch.diagnosis.faults] == ([PLANTED[name]] if planted else [])


def test_probabilities_are_read_as_logits(watching: Any) -> None:
    p = torch.tensor([0.5, 0.9])
    with watching(steps=5) as watch:
        for _ in range(5):
            watch.step(loss_d=1.0, loss_g=1.0, d_real=p, d_fake=1 - p)
    row = watch.run.metrics()[-1]
    assert row["logit_real"] == pytest.approx(np.log(9) / 2, rel=1e-5)
    assert row["logit_fake"] == pytest.approx(-np.log(9) / 2, rel=1e-5)
    with watching(steps=5) as watch:
        for _ in range(5):
            watch.step(loss_d=1.0, loss_g=1.0, d_real=p + 1, d_fake=-p)
    assert watch.run.metrics()[-1]["logit_real"] == pytest.approx(1.7)


@pytest.mark.parametrize(
    ("low", "high", "shape"), [(0, 1, (28, 28)), (-1, 1, (1, 28, 28)), (0, 255, (784,)), (-1, 1, (28, 28, 1))]
)
def test_every_range_and_layout_is_the_same_image(
    low: float, high: float, shape: tuple[int, ...], images: tuple[Tensor, Tensor], watching: Any
) -> None:
    x = (images[0].float() / 255 * (high - low) + low).view(len(images[0]), *shape)
    with watching(steps=1, every=1) as watch:
        watch.step(loss=1.0, samples=torch.cat([x] * 6))
    record = json.loads((watch.run.path / "evaluations" / "step-000001.json").read_text())
    assert record["metrics"]["frechet_distance"]["value"] is not None
    assert record["metrics"]["sharpness_ratio"]["value"] == pytest.approx(1.0, abs=0.1)


def test_a_value_that_is_not_finite_is_a_finding_and_no_exception(watching: Any) -> None:
    with watching() as watch:
        for step in range(1, 11):
            watch.step(loss_d=1.0 if step < 7 else float("nan"), loss_g=0.5)
    assert watch.run.status["state"] == "failed"
    assert watch.run.status["reason"] == "step 7: loss_d is not finite"
    found = watch.run.diagnose().faults
    assert [each.name for each in found] == ["divergence"]
    assert "clip_grad_norm_" in found[0].advice


def test_a_loop_that_ends_early_keeps_what_was_seen(watching: Any) -> None:
    watch = watching(name="broken")

    def train() -> None:
        with watch:
            for step in range(20):
                if step == 12:
                    raise RuntimeError("out of patience")
                watch.step(loss=float(step))

    with pytest.raises(RuntimeError, match="patience"):
        train()
    assert watch.run.status == {**watch.run.status, "state": "failed", "reason": "RuntimeError: out of patience"}
    assert [row["step"] for row in watch.run.metrics()] == [1, 5, 10]
    with pytest.raises(UsageError, match="has ended"):
        watch.step(loss=1.0)


def test_samples_that_come_now_and_then_are_measured_as_soon_as_they_come(watching: Any) -> None:
    """A loop that gives samples in every tenth step, but never in the step of a measurement, is measured after it."""
    with watching(every=15, rows=60) as watch:
        for step in range(1, STEPS + 1):
            given = torch.rand(500, 28, 28) if step % 10 == 2 else None
            watch.step(loss=1.0, samples=given)
    assert watch.run.steps("samples", ".png") == watch.run.steps("evaluations", ".json") == [22, 32, 52]
    assert [row["step"] for row in watch.run.metrics() if "frechet_distance" in row] == [22, 32, 52]
    assert verify(watch.run.directory).damages == []


def test_the_last_measurement_takes_the_newest_samples(watching: Any) -> None:
    """The last step has no samples of its own: those of step 58 are measured, but none a second time."""
    for last, measured in ((58, [32, 60]), (32, [32])):
        with watching(every=30, rows=60, name=f"until-{last}") as watch:
            for step in range(1, STEPS + 1):
                given = torch.rand(500, 28, 28) if step % 13 == 6 and step <= last else None
                watch.step(loss=1.0, samples=given)
        assert watch.run.steps("evaluations", ".json") == measured


@pytest.mark.parametrize(
    ("first", "later", "message"),
    [
        ((9, 1, 28, 28), (9, 1, 32, 32), r"samples are 1 x 32 x 32; expected 1 x 28 x 28, as in step 1"),
        ((9, 28, 28), (9, 3, 28, 28), r"samples are 3 x 28 x 28; expected 28 x 28, as in step 1"),
        (None, (9, 1, 32, 32), r"samples are 1 x 32 x 32; expected 1 x 28 x 28, as the run began \(without"),
        (None, (9, 784), None),
    ],
)
def test_all_samples_have_one_size(first: Any, later: Any, message: str | None, watching: Any) -> None:
    watch = watching(every=1, evaluation="none")
    watch.step(loss=1.0, samples=None if first is None else torch.rand(first))
    with pytest.raises(UsageError, match=message) if message else nullcontext():
        watch.step(loss=1.0, samples=torch.rand(later))


@pytest.mark.parametrize(
    ("given", "told", "message"),
    [
        ({"steps": 0}, {}, "steps is 0; allowed: a whole number, 1 or more"),
        ({}, {"samples": torch.zeros(4, 100)}, "samples are 10 pixels wide, .* 28: say how"),
        ({}, {"samples": torch.full((4, 784), 300.0)}, r"expected images in \[0, 1\], in \[-1, 1\] or in 0 .. 255"),
        ({}, {"samples": torch.zeros(4, 2, 2, 28)}, "has shape"),
        ({"loss": "made-up"}, {}, "objective.loss"),
        ({}, {"samples": torch.zeros(4, 784), "labels": torch.zeros(3)}, "one for each sample"),
        ({}, {"samples": lambda n: torch.zeros(0, 784)}, "returned no images"),
    ],
)
def test_what_cannot_be_watched_is_refused_at_the_first_step(
    given: dict[str, Any], told: dict[str, Any], message: str, watching: Any
) -> None:
    with pytest.raises((UsageError, DataError, genlab.errors.RecipeError), match=message):
        watching(**given).step(loss=1.0, **told)


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("sample {}", "its networks are not stored with the run"),
        ("train --resume {}", "cannot be trained, resumed or sampled: run the loop again"),
        ("train {}/recipe.yaml", "cannot be trained, resumed or sampled: run the loop again"),
        ("evaluate {}", "its networks are not stored with the run"),
        ("likelihood {}", "only a VAE bounds the likelihood"),
    ],
)
def test_what_needs_networks_refuses_in_one_line(
    command: str, message: str, watching: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    with watching() as watch:
        watch.step(loss=1.0)
    with pytest.raises(SystemExit) as ended:
        main(command.format(watch.run.path).split())
    assert ended.value.code == 2
    said = capsys.readouterr().err.strip()
    assert message in said
    assert "\n" not in said


def test_two_optimisers_of_one_network_are_both_its_own() -> None:
    from genlab.training.loop.steps import OptimiserSteps

    net = nn.Linear(2, 2)
    weights, bias = (torch.optim.SGD([p], 0.1) for p in net.parameters())
    heard = OptimiserSteps({"model": net})
    heard.begin()
    net(torch.ones(1, 2)).sum().backward()
    weights.step()
    bias.step()
    found = heard.taken()
    heard.close()
    assert found.by_others == {"model": 0.0}
    assert found.norms["model"] > 0
