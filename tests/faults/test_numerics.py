"""E: a value that is not finite never reaches a weight, an average or the disk; the same seed gives the same bits."""

from __future__ import annotations

import json
import math
import multiprocessing
from functools import partial
from pathlib import Path
from typing import Any

import lab
import pytest
import torch
from lab import Whole

import genlab
from genlab.errors import NonFiniteError
from genlab.families.gan import losses, penalties
from genlab.families.vae import elbo
from genlab.runs import checkpoint

AT = 9


def spoil(where: str, value: float, patch: pytest.MonkeyPatch) -> None:
    """Put a value that is not finite somewhere into step AT."""
    from genlab.engine.device import Engine
    from genlab.engine.optim import Descent

    steps = {"now": 0}
    descend, pixels = Descent.__call__, Engine.images

    def at_descent(self: Descent, loss: Any, step: int) -> Any:
        steps["now"] = step
        if step == AT and where == "loss":
            loss = loss + value  # Its gradient stays finite: the loss itself must be checked.
        if step == AT and where == "gradient":
            weight = next(self.network.parameters())
            weight.register_hook(lambda g: torch.full_like(g, value))  # type: ignore[no-untyped-call]
        if step == AT and where == "buffer":
            for buffer in [b for b in self.network.buffers() if b.is_floating_point()][:1]:
                buffer.data.fill_(value)  # Bypasses autograd, which would object.
        return descend(self, loss, step)

    def at_data(self: Engine, images: Any) -> Any:
        found = pixels(self, images)
        return found * value if where == "data" and steps["now"] == AT - 1 else found

    patch.setattr(Descent, "__call__", at_descent)
    patch.setattr(Engine, "images", at_data)


WORDS = {"data": "", "loss": "the loss is", "gradient": "the gradient of ", "buffer": "the statistics "}


@pytest.mark.parametrize("value", [math.nan, pytest.param(math.inf, marks=pytest.mark.slow)])
@pytest.mark.parametrize("where", ["data", "loss", "gradient", "buffer"])
@pytest.mark.parametrize("kind", ["gan", "vae", "classifier"])
def test_a_step_that_is_not_finite(
    kind: str, where: str, value: float, whole: Whole, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """E1, P6: training stops before that step's update and says what and where; the last checkpoint is finite."""
    recipe, expected, rows = whole(kind)
    with monkeypatch.context() as patch:
        spoil(where, value, patch)
        with pytest.raises(NonFiniteError, match=rf"step {AT}, (generator|discriminator|VAE|classifier): ") as caught:
            genlab.train(str(recipe), runs=tmp_path, name="run", report=False)
    assert caught.value.exit_code == 6
    assert WORDS[where] in str(caught.value)
    run = genlab.open_run(tmp_path / "run")
    saved, warnings = checkpoint.newest(run.checkpoints)
    assert (saved.step, warnings) == (AT - 1, [])
    assert checkpoint.not_finite(saved.tensors) is None
    assert run.status["state"] == "failed"
    for line in (run.path / "metrics.jsonl").read_text("utf-8").splitlines():
        json.loads(line, parse_constant=pytest.fail)
    genlab.train(resume=run.path, report=False)  # The cause is gone: the run ends as if nothing had happened.
    assert (lab.digest(run.directory), lab.rows(run.directory)) == (expected, rows)


@pytest.mark.parametrize("name", ["ema", "generator"])
def test_weights_that_are_not_finite_are_not_saved(
    name: str, whole: Whole, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """E1: averages and just updated weights that are not finite are not saved, even if no loss has used them yet."""
    from genlab.families.gan.model import Gan

    step = Gan.step

    def spoiled(self: Gan, images: Any, labels: Any, at: int) -> dict[str, float]:
        found = step(self, images, labels, at)
        if at == AT:
            with torch.no_grad():
                next(iter(self.networks[name].parameters())).view(-1)[0] = math.nan
        return found

    monkeypatch.setattr(Gan, "step", spoiled)
    with pytest.raises(NonFiniteError, match=rf"step {AT}: {name}\..* is not finite and was not saved"):
        genlab.train(str(whole("gan")[0]), runs=tmp_path, name="run", report=False)
    assert checkpoint.newest(tmp_path / "run" / "checkpoints")[0].step == AT - 1


def test_a_rate_that_diverges(whole: Whole, tmp_path: Path) -> None:
    """E4: a diverging training ends with exit code 6 and does not affect the next one."""
    recipe, expected, _ = whole("classifier")
    changes = {"optimiser.name": "sgd", "optimiser.lr": 10.0, "optimiser.momentum": 0.999, "budget.epochs": 50}
    with pytest.raises(NonFiniteError, match=r"try a smaller optimiser\.lr"):
        genlab.train(str(recipe), overrides=changes, runs=tmp_path)
    run = genlab.train(str(recipe), runs=tmp_path, report=False)
    assert lab.digest(run.directory) == expected


def test_what_could_be_infinite_is_guarded_or_seen(whole: Whole) -> None:
    """E2: an infinite log-variance gives infinite KL; the penalty at slope 0 has a gradient; log 0 is never taken."""
    infinite = elbo.kl_to_prior(torch.zeros(1, 2), torch.full((1, 2), math.inf))
    assert not torch.isfinite(infinite).any()
    flat = penalties.unit_gradient_penalty(lambda x: (x * 0).sum((1, 2, 3)), torch.zeros(3, 1, 4, 4), one_sided=False)
    assert flat.item() == pytest.approx(1)
    weight = torch.zeros(1, requires_grad=True)
    penalty = penalties.unit_gradient_penalty(
        lambda x: (x * weight).sum((1, 2, 3)), torch.zeros(3, 1, 4, 4), one_sided=False
    )
    penalty.backward()  # type: ignore[no-untyped-call]
    assert weight.grad is not None
    assert torch.isfinite(weight.grad).all()
    for name in losses.ADVERSARIAL:
        loss = losses.adversarial(name)
        far = torch.tensor([-1e4, 1e4])
        assert torch.isfinite(loss.discriminator(far, -far))
        assert torch.isfinite(loss.generator(far, -far))


def test_a_metric_that_is_not_finite_is_null(tmp_path: Path, whole: Whole) -> None:
    """E3: a metric that is not finite is null in its row, and the row is JSON."""
    recipe = genlab.load_recipe(str(whole("gan")[0]))
    nothing: Any = {}
    made = genlab.runs.directory.RunDirectory.create(tmp_path, recipe, 0, nothing, "run")
    with made.appending(after=0) as log:
        log.append({"step": 1, "loss_d": math.nan, "loss_g": -math.inf, "d_real": 0.5})
    (row,) = made.metrics()
    assert (row["loss_d"], row["loss_g"], row["d_real"]) == (None, None, 0.5)


@pytest.mark.slow
def test_a_step_whose_evaluation_is_not_finite(whole: Whole, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """E3: if an evaluation is not finite, training continues, and its value is null."""
    from genlab.families.vae.model import Vae

    monkeypatch.setattr(Vae, "epoch_ended", lambda *_: {"test_reconstruction_sum": math.nan})
    run = genlab.train(str(whole("vae")[0]), runs=tmp_path, report=False)
    values = [row["test_reconstruction_sum"] for row in run.metrics() if "test_reconstruction_sum" in row]
    assert values == [None] * 4
    run.report()


def test_the_same_seed(whole: Whole, tmp_path: Path) -> None:
    """E6: the same seed gives the same bits and rows, another seed does not."""
    recipe, expected, rows = whole("gan")
    same = genlab.train(str(recipe), runs=tmp_path, report=False)
    other = genlab.train(str(recipe), seed=1, runs=tmp_path, report=False)
    assert (lab.digest(same.directory), lab.rows(same.directory)) == (expected, rows)
    assert lab.digest(other.directory) != expected


def spin() -> None:
    from itertools import count

    for _ in count():
        torch.randn(100, 100) @ torch.randn(100, 100)


def test_beside_another_process(whole: Whole, tmp_path: Path) -> None:
    """E7: a busy machine changes the time taken, but no bit."""
    recipe, expected, _ = whole("gan")
    others: list[Any] = [multiprocessing.get_context("forkserver").Process(target=spin, daemon=True) for _ in range(3)]
    for other in others:
        other.start()
    try:
        ended = lab.call(partial(lab.train, recipe, tmp_path, "run"), folder=tmp_path / "p")
        assert ended.code == 0
        assert all(other.is_alive() for other in others)
    finally:
        for other in others:
            other.kill()
            other.join()
    assert lab.digest(tmp_path / "run") == expected
