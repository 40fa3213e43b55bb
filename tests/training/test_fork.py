"""A fork is the old run up to a step, bit for bit, and another run after it."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from test_training import Watcher, digest, rows

import genlab
from genlab.api.run import Run
from genlab.errors import CheckpointError, Stopped, UsageError
from genlab.recipe import GanRecipe
from genlab.report.origin import again, provenance_lines
from genlab.runs import checkpoint
from genlab.runs.verify import verify

SAME = {"logging.checkpoint_seconds": 31}
"""A change that does not affect the training."""


@pytest.fixture(scope="module")
def made(digits: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Run]:
    """made(**changes) -> a new run of 12 steps with checkpoints after steps 6 and 12."""
    from conftest import SMALL

    def make(**changes: Any) -> Run:
        recipe = genlab.load_recipe("quick-mnist", {**SMALL, "data.name": str(digits), **changes})
        return genlab.train(recipe, runs=tmp_path_factory.mktemp("forked"), report=False, progress=False)

    return make


def fork(run: Run, at: int, changes: dict[str, Any], **more: Any) -> Run:
    return genlab.fork(run, at, overrides=changes, runs=run.path.parent, report=False, progress=False, **more)


def last(run: Run) -> dict[str, torch.Tensor]:
    return checkpoint.newest(run.checkpoints)[0].tensors


@pytest.mark.parametrize("at", [1, 6, 8])
def test_a_change_that_changes_nothing_gives_the_same_run(made: Callable[..., Run], at: int) -> None:
    run = made()
    forked = fork(run, at, SAME)
    assert digest(forked) == digest(run)
    assert rows(forked) == rows(run)
    assert forked.steps("samples", ".png") == run.steps("samples", ".png")
    for step in (6, 12):
        assert forked.file("samples", step, ".png").read_bytes() == run.file("samples", step, ".png").read_bytes()
    told = forked.provenance["forked_from"]
    assert (told["step"], told["exact"], told["replayed"]) == (at, True, {1: 1, 6: 0, 8: 2}[at])
    assert told["changes"] == {"logging.checkpoint_seconds": [30.0, 31.0]}


def test_without_checkpoints_all_steps_are_made_again(made: Callable[..., Run]) -> None:
    run = made()
    before = digest(run)
    for path in checkpoint.found(run.checkpoints):
        shutil.rmtree(path)
    assert digest(fork(run, 7, SAME)) == before


def test_an_epoch_that_is_half_repeated_counts_its_own_images_only(digits: Path, tmp_path: Path) -> None:
    """The means over an epoch of a classifier do not contain the repeated epoch before it."""
    changes = {"data.name": str(digits), "budget.batch": 50, "budget.epochs": 2, "logging.tensorboard": False}
    run = genlab.train("s4-classifier", overrides=changes, runs=tmp_path, report=False, progress=False)
    for path in checkpoint.found(run.checkpoints):
        shutil.rmtree(path)
    steps = run.metrics()[-1]["step"]
    forked = fork(run, steps // 2 + 1, {"budget.epochs": 3})
    last, again = (next(row for row in each.metrics() if row["step"] == steps) for each in (run, forked))
    assert [again[name] for name in ("train_loss", "train_accuracy")] == [
        last[name] for name in ("train_loss", "train_accuracy")
    ]


def test_changed_settings_of_an_optimiser_take_effect(made: Callable[..., Run]) -> None:
    run = made()
    assert digest(fork(run, 6, {"optimisers.both.betas": [0.1, 0.5]})) != digest(fork(run, 6, SAME))


def test_momentum_that_is_switched_on_begins_at_zero(made: Callable[..., Run]) -> None:
    optimiser = {"name": "rmsprop", "lr": 0.001}
    run = made(**{"optimisers.generator": optimiser, "optimisers.discriminator": optimiser})
    forked = fork(run, 6, {"optimisers.generator.momentum": 0.5})
    assert forked.status["state"] == "finished"
    assert (last(forked)["generator.layers.0.weight"] != last(run)["generator.layers.0.weight"]).any()


def test_the_row_after_a_fork_is_of_all_steps_since_the_last_one(made: Callable[..., Run]) -> None:
    """Rows every four steps, a checkpoint after six: the row of step 8 is also of steps 5 and 6."""
    run = made(**{"logging.metrics_every": 4})
    for at in (5, 6, 7):
        forked = fork(run, at, SAME)
        assert rows(forked) == rows(run)


def test_snapshots_of_other_weights_are_not_copied(made: Callable[..., Run]) -> None:
    """Without an average, they hold the weights of that step; with one, the average."""
    run = made(ema=None)
    assert fork(run, 6, SAME).steps("snapshots", ".safetensors") == [6, 12]
    forked = fork(run, 6, {"ema": {"decay": 0.9}})
    assert forked.steps("snapshots", ".safetensors") == [12]
    assert forked.steps("samples", ".png") == run.steps("samples", ".png")


def test_a_fork_of_a_fork_is_not_repeated_from_a_start_that_it_never_had(made: Callable[..., Run]) -> None:
    forked = fork(made(), 6, {"optimisers.both.lr": 0.01})
    for path in checkpoint.found(forked.checkpoints)[:-1]:
        shutil.rmtree(path)
    with pytest.raises(CheckpointError, match="keeps no checkpoint at or before it, and is a fork itself"):
        fork(forked, 9, SAME)


def test_rows_from_before_a_fork_follow_the_run_that_it_was_made_from(made: Callable[..., Run]) -> None:
    forked = fork(made(**{"logging.metrics_every": 3}), 6, {"logging.metrics_every": 1})
    assert verify(forked.directory).damages == []


def test_who_does_not_learn_stays_as_it_was_at_that_step(made: Callable[..., Run]) -> None:
    run = made()
    forked = fork(run, 6, {"objective.players": "discriminator"})
    then, now = checkpoint.load(run.checkpoints / "step-000006").tensors, last(forked)
    generator = [key for key in then if key.startswith("generator.") and "running" not in key and "num_b" not in key]
    assert all(torch.equal(then[key], now[key]) for key in generator)
    assert any(not torch.equal(then[key], now[key]) for key in then if key.startswith("discriminator."))
    assert [row["update_g"] > 0 for row in forked.metrics()] == [True] * 6 + [False] * 6


def test_an_average_of_the_weights_begins_or_ends_there(made: Callable[..., Run]) -> None:
    run = made(ema=None)
    begun = fork(run, 6, {"ema": {"decay": 0.5}})
    assert any(key.startswith("ema.") for key in last(begun))
    ended = fork(begun, 12 - 1, {"ema": None})
    assert not any(key.startswith("ema.") for key in last(ended))
    assert ended.provenance["forked_from"]["run"] == str(begun.path)


def test_a_stopped_fork_goes_on_as_if_it_had_never_been_stopped(made: Callable[..., Run]) -> None:
    run, changes = made(), {"objective.loss": "hinge", "objective.sigma": 0.1, "optimisers.generator.lr": 1e-3}
    whole = fork(run, 6, changes)
    stop = Watcher(at=9, act=lambda: signal.raise_signal(signal.SIGINT))
    with pytest.raises(Stopped):
        fork(run, 6, changes, observers=[stop], name="stopped")
    resumed = genlab.train(resume=run.path.parent / "stopped", report=False, progress=False)
    assert digest(resumed) == digest(whole) != digest(run)
    for path in checkpoint.found(resumed.checkpoints):
        shutil.rmtree(path)
    with pytest.raises(CheckpointError, match="no checkpoint is left, and a fork cannot begin at its first step"):
        genlab.train(resume=resumed.path, report=False, progress=False)


@pytest.mark.parametrize(
    ("at", "changes", "message"),
    [
        (6, {"networks.generator.ngf": 8}, r"networks\.generator\.ngf: a fork cannot change this; allowed: objective"),
        (6, {"budget.batch": 8}, "budget.batch"),
        (6, {"data.size": 64}, "data.size"),
        (6, {"optimisers.generator.name": "sgd"}, "optimisers.generator.name"),
        (6, {"objective.classification": 0.3}, "objective.classification: it changes the discriminator"),
        (6, {}, "a fork without a change would be the same run"),
        (0, SAME, "step 0: .* has steps 1 .. 12"),
        (13, SAME, "step 13: .* has steps 1 .. 12"),
        (12, SAME, "step 12: the new recipe ends at step 12"),
    ],
)
def test_what_a_fork_refuses(finished: Run, tmp_path: Path, at: int, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        genlab.fork(finished.path, at, overrides=changes, runs=tmp_path, report=False, progress=False)
    assert not list(tmp_path.iterdir())


def test_a_longer_training_may_begin_at_the_end(made: Callable[..., Run]) -> None:
    run = made()
    forked = fork(run, 12, {"budget.epochs": 3})
    assert forked.status["step"] == 18
    assert rows(forked)[:12] == rows(run)


def test_it_says_where_it_comes_from(made: Callable[..., Run], small: Callable[..., GanRecipe]) -> None:
    run = made()
    forked = fork(run, 6, {"optimisers.generator.lr": 1e-3})
    command = again(forked.recipe, forked.provenance).command
    assert command == f"genlab fork {run.path} --at 6 --optimisers.generator.lr 0.001"
    lines = dict(provenance_lines(forked.recipe, forked.provenance, None))
    assert lines["forked from"] == f"{run.path}, step 6: optimisers.generator.lr 0.003 -> 0.001"
