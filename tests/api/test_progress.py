from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

import genlab
from genlab.api.progress import Lines, Live, _losses, epoch_line, progress
from genlab.evaluation import live
from genlab.families.registry import FAMILIES
from genlab.recipe import GanRecipe
from genlab.training.fit import Observer


def test_a_pipe_gets_plain_lines(small: Callable[..., GanRecipe], tmp_path: Path) -> None:
    stream = io.StringIO()
    watcher = progress(stream)
    assert isinstance(watcher, Lines)
    genlab.train(small(), runs=tmp_path, observers=[watcher], report=False)
    lines = stream.getvalue().splitlines()
    assert lines[0].startswith(f"run {tmp_path}")
    assert lines[1].startswith("step 1/12")
    assert lines[-1].startswith("step 12/12")
    assert "images/s" in lines[-1]
    assert " D " in lines[-1]
    assert "\x1b" not in stream.getvalue()


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(None, None), (4.0, None), (43.0, "40 s"), (70.0, "70 s"), (209.0, "3 minutes"), (8000.0, "2 hours")],
)
def test_a_long_training_says_at_its_start_how_long_it_will_take(
    seconds: float | None,
    words: str | None,
    small: Callable[..., GanRecipe],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("genlab.api.progress.expected_seconds", lambda *_: seconds)
    stream = io.StringIO()
    genlab.train(small({"budget.max_steps": 1}), runs=tmp_path, observers=[progress(stream)], report=False)
    line = f"training quick-mnist takes about {words} on this machine, if nothing else runs"
    assert (line in stream.getvalue().splitlines()) == (words is not None)
    assert ("on this machine" in stream.getvalue()) == (words is not None)


def test_a_terminal_gets_a_bar_that_fits(small: Callable[..., GanRecipe], tmp_path: Path) -> None:
    for width in (40, 60, 100):
        stream = io.StringIO()
        live = Live(Console(file=stream, force_terminal=True, width=width, color_system=None))
        genlab.train(small(), runs=tmp_path, observers=[live], report=False)
        shown = stream.getvalue()
        assert "12/12" in shown
        assert "images/s" in shown


@pytest.mark.parametrize("terminal", [False, True])
def test_a_reader_that_is_gone_does_not_end_the_training(
    terminal: bool, small: Callable[..., GanRecipe], tmp_path: Path
) -> None:
    class Gone(io.StringIO):
        def isatty(self) -> bool:
            return terminal

        def write(self, text: str) -> int:
            raise BrokenPipeError

    run = genlab.train(small(), runs=tmp_path, observers=[progress(Gone())], report=False)
    assert run.status["state"] == "finished"


GAN, VAE, CLASSIFIER = (FAMILIES[name].columns for name in ("gan", "vae", "classifier"))


def test_a_line_an_epoch_as_report_s4_prints_it() -> None:
    row = {
        "epoch": 3.0, "train_loss": 0.31234, "test_loss": 0.4, "train_accuracy": 0.8861, "test_accuracy": 0.87,
    }  # fmt: skip
    assert epoch_line(row, 30, CLASSIFIER) == (
        "epoch 3/30  train loss 0.3123  test loss 0.4000  train accuracy 88.61%  test accuracy 87.00%"
    )
    assert epoch_line({"epoch": 3.0, "loss": 0.3}, 30, CLASSIFIER) is None
    of_a_vae = {"epoch": 1.0, "test_reconstruction_sum": 130.0, "test_kl_sum": 0.001, "test_active_units": 0}
    assert epoch_line(of_a_vae, 5, VAE) == (
        "epoch 1/5  test reconstruction 130.00 nats  test KL 0.00 nats  active units 0"
    )


def test_a_line_where_samples_were_measured() -> None:
    row = {
        "epoch": 1.0, "loss_d": 0.5, "frechet_distance": 0.7946, "frechet_floor": 0.4363, "coverage": 0.883,
        "requested_class_accuracy": 0.9945, "missing_classes": 0,
    }  # fmt: skip
    assert epoch_line(row, 2, live.COLUMNS) == (
        "epoch 1/2  Frechet distance 0.795  (real images 0.436)  coverage 0.88  missing classes 0  "
        "conditional accuracy 99.5%"
    )


@pytest.mark.parametrize("terminal", [False, True])
def test_a_classifier_prints_its_epochs(terminal: bool, digits: Path, tmp_path: Path) -> None:
    stream = io.StringIO()
    shown: Observer = Live(Console(file=stream, force_terminal=True, width=90)) if terminal else Lines(stream)
    changes = {"data.name": str(digits), "budget.batch": 20, "budget.epochs": 2, "engine.plan": "reference"}
    genlab.train("s4-classifier", overrides=changes, runs=tmp_path, report=False, observers=[shown])
    assert "epoch 1/2  train loss" in stream.getvalue()
    assert "epoch 2/2  train loss" in stream.getvalue()


def test_a_loss_that_runs_away_fits_its_line() -> None:
    assert _losses({"loss_d": -852712095744.0, "loss_g": 0.5}, GAN) == "D -8.53e+11  G 0.500"
