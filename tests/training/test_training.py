"""The training loop: order, samples, logging, stop and resume; observing must not change a training."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

import genlab
from conftest import SMALL
from genlab.api.run import Run
from genlab.engine.randomness import Keyed
from genlab.errors import CheckpointError, NonFiniteError, Stopped, UsageError
from genlab.families.gan import model
from genlab.families.gan.losses import AdversarialLoss
from genlab.recipe import GanRecipe, files
from genlab.recipe.schedule import Schedule
from genlab.runs import checkpoint
from genlab.runs.directory import RunDirectory
from genlab.runs.rows import Row
from genlab.training.assemble import assemble, prepare
from genlab.training.fit import batches

TIMINGS = {"seconds"}


def rows(run: Run) -> list[Row]:
    return [{k: v for k, v in row.items() if k not in TIMINGS} for row in run.metrics()]


def digest(run: Run) -> str:
    """sha256 of every tensor of the last checkpoint and of the optimisers' state."""
    saved, _ = checkpoint.newest(run.checkpoints)
    state = saved.state["model"]
    moments = [
        (name, index, key, value.numpy().tobytes() if hasattr(value, "numpy") else value)
        for name in ("optimiser_g", "optimiser_d")
        for index, values in sorted(state[name]["state"].items())
        for key, value in sorted(values.items())
    ]
    weights = [(name, str(t.dtype), tuple(t.shape), t.numpy().tobytes()) for name, t in sorted(saved.tensors.items())]
    return hashlib.sha256(repr((saved.step, weights, moments, state["ema_updates"])).encode()).hexdigest()


class Watcher:
    """An observer that stops, kills or only records."""

    def __init__(self, at: int = -1, act: Callable[[], None] = lambda: None) -> None:
        self.at, self.act = at, act
        self.events: list[Any] = []

    def started(self, plan: Schedule, run: RunDirectory, done: int) -> None:
        self.events.append(("started", plan.total_steps, done))

    def stepped(self, step: int, seconds: float) -> None:
        if step == self.at:
            self.act()

    def logged(self, row: Row) -> None:
        self.events.append(("logged", row["step"]))

    def sampled(self, step: int, picture: NDArray[np.uint8]) -> None:
        self.events.append(("sampled", step))
        picture[:] = 0

    def ended(self) -> None:
        self.events.append("ended")


def test_every_image_is_seen_once_an_epoch_in_an_order_of_its_own() -> None:
    plan = Schedule(images=100, batch=16, steps_per_epoch=7, total_steps=14)
    order = [indices.tolist() for _, indices in batches(plan, Keyed(0), after=0)]
    first, second = ([i for batch in order[k : k + 7] for i in batch] for k in (0, 7))
    assert sorted(first) == sorted(second) == list(range(100))
    assert first != second


@pytest.mark.parametrize("after", [0, 1, 5, 6, 7, 13, 14])
def test_a_resumed_order_goes_on_where_it_was(after: int) -> None:
    plan = Schedule(images=100, batch=16, steps_per_epoch=6, total_steps=14)
    whole = [(step, indices.tolist()) for step, indices in batches(plan, Keyed(0), after=0)]
    assert [(step, indices.tolist()) for step, indices in batches(plan, Keyed(0), after=after)] == whole[after:]


@pytest.mark.parametrize(
    ("changes", "per_epoch", "total"),
    [({}, 6, 12), ({"data.last_batch": "keep"}, 7, 14), ({"budget.max_steps": 5}, 6, 5), ({"budget.batch": 20}, 5, 10)],
)
def test_plan(changes: dict[str, Any], per_epoch: int, total: int, small: Callable[..., GanRecipe]) -> None:
    plan = Schedule.of(small(changes), 100)
    assert (plan.steps_per_epoch, plan.total_steps) == (per_epoch, total)


def test_sample_grids_say_how_they_were_drawn(finished: Run) -> None:
    with Image.open(finished.file("samples", 12, ".png")) as image:
        words = image.text["genlab:sampling"]  # type: ignore[attr-defined]
    assert words == "EMA weights (decay 0.999), running BatchNorm statistics, float32"


def test_the_run_directory(small: Callable[..., GanRecipe], tmp_path: Path) -> None:
    run = genlab.train(small(), runs=tmp_path)
    expected = {
        "recipe.yaml",
        "provenance.json",
        "metrics.jsonl",
        "samples",
        "checkpoints",
        "snapshots",
        "evaluations",
        "figures",
        "status.json",
        "run.lock",
        "report.html",
        "diagnosis.json",
    }
    assert {path.name for path in run.path.iterdir()} == expected
    assert run.status["state"] == "finished"
    assert run.steps("samples", ".png") == [6, 12]
    assert run.steps("snapshots", ".safetensors") == [6, 12]
    assert (run.path / "samples" / "real.png").exists()
    curves = {f"{name}.{kind}" for name in ("losses", "scores", "penalty", "gradients") for kind in ("csv", "png")}
    looks = {f"{name}.{kind}" for name in ("interpolation", "timeline") for kind in ("npz", "png")}
    assert {path.name for path in (run.path / "figures").iterdir()} == curves | looks
    recipe = run.recipe
    assert "auto" not in recipe.engine.model_dump(exclude={"plan"}).values()


def test_rows(finished: Run) -> None:
    table = finished.metrics()
    assert [row["step"] for row in table] == list(range(1, 13))
    assert [row["images"] for row in table] == [16 * step for step in range(1, 13)]
    assert [row["epoch"] for row in table] == pytest.approx([step / 6 for step in range(1, 13)], abs=1e-6)
    assert all(a["seconds"] <= b["seconds"] for a, b in pairwise(table))
    columns = {"loss_d", "loss_g", "penalty", "d_real", "d_fake", "grad_norm_d", "grad_norm_g", "lr_d", "lr_g"}
    assert columns <= set(table[0])
    assert all(0 < row["d_real"] < 1 and 0 < row["d_fake"] < 1 and row["grad_norm_g"] > 0 for row in table)


def test_images_are_counted_with_the_partial_batch(small: Callable[..., GanRecipe], tmp_path: Path) -> None:
    run = genlab.train(small({"data.last_batch": "keep"}, "s2-dcgan"), runs=tmp_path, report=False)
    assert [row["images"] for row in run.metrics()][5:8] == [96, 100, 116]
    assert run.metrics()[-1]["images"] == 200


def test_the_grid_has_a_row_a_class_and_a_column_a_z(finished: Run) -> None:
    with Image.open(finished.file("samples", 12, ".png")) as picture:
        assert picture.size == (2 * (10 * 34 - 2), 2 * (10 * 34 - 2))
        assert "EMA weights" in picture.info["genlab:sampling"]


def test_twice_the_same_is_byte_identical_and_another_seed_is_not(
    finished: Run, small: Callable[..., GanRecipe], tmp_path: Path
) -> None:
    same = genlab.train(small(), runs=tmp_path, report=False)
    other = genlab.train(small(), seed=1, runs=tmp_path, report=False)
    assert rows(same) == rows(finished)
    assert digest(same) == digest(finished)
    pictures = [run.file("samples", 12, ".png").read_bytes() for run in (finished, same, other)]
    assert pictures[0] == pictures[1] != pictures[2]
    assert rows(other) != rows(finished)
    names = ("step-000006.safetensors", "step-000012.safetensors")
    assert [(same.path / "snapshots" / n).read_bytes() for n in names] == [
        (finished.path / "snapshots" / n).read_bytes() for n in names
    ]


@pytest.mark.parametrize(
    "changes",
    [
        {"logging.metrics_every": 5},
        {"logging.sample_every": 2},
        {"logging.sample_batches": [0, 3]},
        {"logging.sample_epochs": []},
        {"logging.tensorboard": True},
        {"logging.checkpoint_seconds": 1e-6},
    ],
)
def test_watching_does_not_change_a_training(
    changes: dict[str, Any], finished: Run, small: Callable[..., GanRecipe], tmp_path: Path
) -> None:
    watcher = Watcher()
    run = genlab.train(small(changes), runs=tmp_path, report=False, observers=[watcher])
    assert digest(run) == digest(finished)
    assert watcher.events[0] == ("started", 12, 0)
    assert watcher.events[-1] == "ended"


@pytest.mark.parametrize(
    ("changes", "steps"),
    [
        ({}, [6, 12]),
        ({"logging.sample_epochs": []}, [12]),
        ({"logging.sample_every": 5}, [5, 6, 10, 12]),
        ({"logging.sample_batches": [0, 3]}, [1, 4, 6, 7, 10, 12]),
        ({"logging.sample_epochs": "2", "budget.max_steps": 7}, [7]),
    ],
)
def test_samples_are_drawn_when_due(
    changes: dict[str, Any], steps: list[int], small: Callable[..., GanRecipe], tmp_path: Path
) -> None:
    run = genlab.train(small(changes), runs=tmp_path, report=False)
    assert run.steps("samples", ".png") == steps


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere denormal numbers may be kept")
def test_a_run_treats_denormal_numbers_as_it_began(small: Callable[..., GanRecipe], tmp_path: Path) -> None:
    """A training flushes them; one that began before genlab did so goes on to keep them, and stays exact."""
    products: list[float] = []

    def multiply() -> None:
        products.append(float(torch.tensor(1e-30) * torch.tensor(1e-10)))
        os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(Stopped):
        genlab.train(small(), runs=tmp_path, name="new", observers=[Watcher(2, multiply)])
    for kept in (False, True):
        cut = genlab.open_run(tmp_path / "new")
        if kept:
            machine = {key: value for key, value in cut.provenance["machine"].items() if key != "denormals"}
            cut.directory.set_provenance({**cut.provenance, "machine": machine})
        with pytest.raises(Stopped):
            genlab.train(resume=tmp_path / "new", observers=[Watcher(4 + kept, multiply)])
        assert genlab.open_run(tmp_path / "new").provenance["resumed"][-1]["exact"]
    assert [product > 0 for product in products] == [False, False, True]
    assert torch.tensor(1e-30) * torch.tensor(1e-10) > 0, "a training changes nothing beyond its end"


@pytest.mark.parametrize("name", ["quick-mnist", "s2-dcgan"])
@pytest.mark.parametrize("at", [1, 4, 6, 11])
def test_interrupted_and_resumed_is_as_if_never_interrupted(
    name: str, at: int, small: Callable[..., GanRecipe], tmp_path: Path
) -> None:
    whole = genlab.train(small(recipe=name), runs=tmp_path, report=False)
    stopper = Watcher(at, lambda: os.kill(os.getpid(), signal.SIGINT))
    with pytest.raises(Stopped, match=rf"stopped at step {at} of \d+; resume with: genlab train --resume") as caught:
        genlab.train(small(recipe=name), runs=tmp_path, name="cut", observers=[stopper], report=False)
    assert caught.value.exit_code == 130
    cut = genlab.open_run(tmp_path / "cut")
    assert cut.status["state"] == "interrupted"
    assert checkpoint.newest(cut.checkpoints)[0].step == at
    resumed = genlab.train(resume=tmp_path / "cut", report=False)
    assert resumed.status["state"] == "finished"
    assert digest(resumed) == digest(whole)
    assert rows(resumed) == rows(whole)
    entries = resumed.provenance["resumed"]
    assert [(entry["step"], entry["exact"], entry["changes"]) for entry in entries] == [(at, True, {})]


NARROW: dict[str, Any] = {"kind": "mlp", "widths": [8]}


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("sngan-hinge", {}),
        ("wgan-gp", {}),
        ("wgan-gp", {"logging.metrics_every": 9}),
        ("r3gan-small", {}),
        ("s2-dcgan", {"objective.packing": 2, "objective.label_smoothing": 0.1, "data.last_batch": "drop"}),
        ("s2-dcgan", {"networks.generator": NARROW, "networks.discriminator": {**NARROW, "dropout": 0.3}}),
        ("s2-dcgan", {"optimisers.generator.amsgrad": True, "optimisers.discriminator.name": "rmsprop"}),
        ("s2-dcgan", {"optimisers.generator.name": "adadelta", "optimisers.discriminator.name": "adagrad"}),
        ("s2-dcgan", {"optimisers.generator.name": "sgd", "optimisers.generator.momentum": 0.9}),
        ("s2-dcgan", {"optimisers.generator.schedule": "cosine", "optimisers.discriminator.warmup_steps": 10}),
        ("s2-dcgan", {"augmentation": {"translation": 0.125, "cutout": 0.5, "brightness": 0.5, "contrast": 0.5}}),
    ],
)
def test_every_kind_of_state_is_resumed(
    name: str, changes: dict[str, Any], small: Callable[..., GanRecipe], tmp_path: Path
) -> None:
    """Power iterations, critic steps, dropout, every optimiser's state, schedules and augmentation are resumed exactly
    after a stop in the second epoch."""
    recipe = small({"logging.sample_epochs": 100, **changes}, name)
    whole = genlab.train(recipe, runs=tmp_path, report=False)
    stopper = Watcher(8, lambda: os.kill(os.getpid(), signal.SIGINT))
    with pytest.raises(Stopped):
        genlab.train(recipe, runs=tmp_path, name="cut", observers=[stopper], report=False)
    resumed = genlab.train(resume=tmp_path / "cut", report=False)
    assert digest(resumed) == digest(whole)
    assert rows(resumed) == rows(whole)


@pytest.mark.slow
def test_killed_and_resumed_in_a_new_process(finished: Run, small: Callable[..., GanRecipe], tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text(files.dump(small({"logging.checkpoint_seconds": 1e-6})), "utf-8")
    script = f"""
import os, signal, genlab
class Killer:
    def started(self, *a): pass
    def stepped(self, step, seconds):
        if step == 9: os.kill(os.getpid(), signal.SIGKILL)
    logged = sampled = started
    def ended(self): pass
genlab.train({str(tmp_path / "r.yaml")!r}, runs={str(tmp_path)!r}, name="killed", observers=[Killer()])
"""
    child = subprocess.run([sys.executable, "-c", script], check=False)
    assert child.returncode == -signal.SIGKILL
    killed = genlab.open_run(tmp_path / "killed")
    assert killed.status["state"] == "killed"
    resume = [sys.executable, "-m", "genlab", "train", "--resume", str(killed.path)]
    subprocess.run(resume, check=True, capture_output=True)
    assert digest(killed) == digest(finished)
    assert rows(killed) == rows(finished)


def test_a_resume_from_the_start_needs_the_weights_of_the_start(digits: Path, tmp_path: Path) -> None:
    """Networks of one's own are trained in place: those of a stopped training have already learned something."""
    changes = {**SMALL, "data.name": str(digits), "objective.classification": None}
    recipe, dataset = prepare("quick-mnist", changes)
    generator = assemble(recipe, dataset, 0).networks["generator"]

    class Fails:
        def stepped(self, step: int, seconds: float) -> None:
            if step == 3:
                raise RuntimeError("enough")

    given: dict[str, Any] = {"generator": generator, "report": False, "progress": False}
    with pytest.raises(RuntimeError, match="enough"):
        genlab.train(recipe, runs=tmp_path, name="mine", observers=[Fails()], **given)
    with pytest.warns(UserWarning, match="not bit for bit equal to an uninterrupted run: initial weights"):
        run = genlab.train(resume=tmp_path / "mine", **given)
    assert [entry["exact"] for entry in run.provenance["resumed"]] == [False]


def test_after_a_failure_images_are_of_the_step_that_was_saved(small: Callable[..., GanRecipe], tmp_path: Path) -> None:
    class Fails:
        def stepped(self, step: int, seconds: float) -> None:
            if step == 8:
                raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        genlab.train(small(), runs=tmp_path, name="mine", observers=[Fails()], report=False, progress=False)
    run = genlab.open_run(tmp_path / "mine")
    assert (run.status["step"], run.directory.step_of_weights()) == (8, 6)
    found = run.evaluate(n=60, progress=False)
    assert found.record["protocol"]["step"] == 6
    assert run.measured(60) is not None
    (run.checkpoints / "step-000006" / "model.safetensors").write_bytes(b"damaged")
    with pytest.raises(CheckpointError):
        run.sample(2)


def test_killed_before_the_first_checkpoint_starts_again(
    finished: Run, small: Callable[..., GanRecipe], tmp_path: Path
) -> None:
    def boom() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        genlab.train(small(), runs=tmp_path, name="early", observers=[Watcher(2, boom)], report=False)
    assert checkpoint.found(tmp_path / "early" / "checkpoints") == []
    resumed = genlab.train(resume=tmp_path / "early", report=False)
    assert digest(resumed) == digest(finished)
    assert rows(resumed) == rows(finished)


def test_a_damaged_checkpoint_is_passed_over_loudly_and_exactly(
    small: Callable[..., GanRecipe], tmp_path: Path
) -> None:
    """The older checkpoint is used, a warning names both, and the result is the same."""
    whole = genlab.train(small(), runs=tmp_path, report=False)
    expected = digest(whole)
    (whole.path / "checkpoints" / "step-000012" / "model.safetensors").write_bytes(b"damaged")
    with pytest.warns(UserWarning, match=r"step-000012.*truncated.*using step-000006"):
        again = genlab.train(resume=whole.path, report=False)
    assert digest(again) == expected
    assert [row["step"] for row in again.metrics()] == list(range(1, 13))


def test_a_run_finds_its_data_from_anywhere(
    small: Callable[..., GanRecipe], digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(digits.parent)
    recipe = small({"data.name": digits.name, "budget.max_steps": 2})
    run = genlab.train(recipe, runs=tmp_path, report=False)
    monkeypatch.chdir(tmp_path)
    assert run.recipe.data.name == str(digits)


def test_a_finished_run_stays_as_it_is(finished: Run) -> None:
    before = digest(finished), finished.provenance
    with pytest.warns(
        UserWarning, match=r"nothing was trained \((--epochs above \d+ continues it|budget.max_steps is \d+)\)"
    ):
        genlab.train(resume=finished.path, report=False)
    assert (digest(finished), finished.provenance) == before


def test_a_nan_ends_the_run_and_keeps_the_last_checkpoint(small: Callable[..., GanRecipe], tmp_path: Path) -> None:
    calls: list[int] = []

    def d(real: Any, fake: Any) -> Any:
        calls.append(1)
        return (fake - real).mean() * (float("nan") if len(calls) == 10 else 1.0)  # The first call only checks it.

    objective = AdversarialLoss(d, lambda real, fake: (real - fake).mean(), True)
    with pytest.raises(NonFiniteError, match="step 9"):
        genlab.train(small(), runs=tmp_path, name="nan", objective=objective, report=False)
    run = genlab.open_run(tmp_path / "nan")
    assert run.status["state"] == "failed"
    assert "step 9" in run.status["reason"]
    assert checkpoint.newest(run.checkpoints)[0].step == 6


def test_a_checkpoint_of_another_model_is_refused_with_the_differences(
    small: Callable[..., GanRecipe], tmp_path: Path
) -> None:
    run = genlab.train(small({"budget.max_steps": 2}), runs=tmp_path, report=False)
    other = genlab.train(small({"budget.max_steps": 1, "networks.generator.ngf": 8}), runs=tmp_path, report=False)
    for step in checkpoint.found(run.checkpoints):
        shutil.rmtree(step)
    shutil.copytree(checkpoint.found(other.checkpoints)[-1], run.checkpoints / "step-000001")
    with pytest.raises(CheckpointError, match=r"belongs to another model \(\d+ differences\)"):
        genlab.train(resume=run.path)


def test_a_changed_recipe_is_refused_with_old_and_new(small: Callable[..., GanRecipe], tmp_path: Path) -> None:
    run = genlab.train(small({"budget.max_steps": 2}), runs=tmp_path, report=False)
    text = (run.path / "recipe.yaml").read_text("utf-8")
    (run.path / "recipe.yaml").write_text(text.replace("lambda: 0.2", "lambda: 0.5"), "utf-8")
    with pytest.raises(UsageError, match=r"objective\.lambda: 0\.2 -> 0\.5"):
        genlab.train(resume=run.path)


def test_a_run_that_ended_before_its_last_note_is_set_right(small: Callable[..., GanRecipe], tmp_path: Path) -> None:
    run = genlab.train(small({"budget.max_steps": 2}), runs=tmp_path, report=False)
    run.directory.set_status(**{**run.status, "state": "running", "step": 1})
    assert run.status["state"] == "killed"
    with pytest.warns(UserWarning, match="already finished"):
        genlab.train(resume=run.path, report=False)
    assert (run.status["state"], run.status["step"]) == ("finished", 2)


def test_a_nan_in_the_statistics_is_noticed_before_it_is_saved(small: Callable[..., GanRecipe], tmp_path: Path) -> None:
    generator = model.build_networks(small(), 10, Keyed(0))["generator"]
    next(b for b in generator.buffers() if b.is_floating_point()).fill_(float("nan"))
    with pytest.raises(NonFiniteError, match=r"the statistics .*running_mean are not finite"):
        genlab.train(small(), generator=generator, runs=tmp_path, name="nan", report=False)
    assert checkpoint.found(tmp_path / "nan" / "checkpoints") == []
