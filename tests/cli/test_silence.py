"""Commands as a person at a terminal sees them: never silent for long, and never wider than the terminal."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import genlab
from genlab import data
from genlab.api.run import Run
from terminal import Watched, watch

LONGEST = 2.0
"""Longest time in seconds without output."""
WIDTHS = (60, 80, 200)


@pytest.fixture(scope="module")
def place(finished: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with runs/ (a GAN, twice), few.npz (300 digits and a test split) and fewer.npz (40 of them)."""
    folder = tmp_path_factory.mktemp("place")
    train, test = data.load("mnist"), data.load("mnist", "test")
    assert train.labels is not None
    assert test.labels is not None
    np.savez(
        folder / "few.npz",
        x_train=train.images[:300],
        y_train=train.labels[:300],
        x_test=test.images[:300],
        y_test=test.labels[:300],
    )
    np.savez(folder / "fewer.npz", x_train=train.images[:40], y_train=train.labels[:40])
    for name in ("gan", "other"):
        shutil.copytree(finished.path, folder / "runs" / name)
    return folder


@pytest.fixture(scope="module")
def families(place: Path) -> Path:
    """The same folder with runs of a VAE, a GAN and a classifier trained on few.npz."""
    few: dict[str, Any] = {"data.name": str(place / "few.npz")}
    none = {**few, "logging.evaluation": "none"}
    genlab.train("s4-vae", overrides=none, epochs=1, runs=place / "runs", name="vae", progress=False)
    two = {**none, "budget.max_steps": 2, "networks.generator.ngf": 4, "networks.discriminator.ndf": 4}
    genlab.train("quick-mnist", overrides=two, runs=place / "runs", name="few", progress=False)
    genlab.train("s4-classifier", overrides=few, epochs=1, runs=place / "runs", name="classifier", progress=False)
    return place


def seen(watched: Watched) -> list[str]:
    """All lines that stay on the screen or were there for a while, without escape sequences."""
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", watched.text)
    return [part for line in text.split("\n") for part in line.rstrip("\r").split("\r")]


def is_command(line: str) -> bool:
    """Whether a line is only a command, which stays in one line, however long, so that it can be copied."""
    return line.strip().startswith("genlab ")


SLOW = [
    ["train", "quick-mnist", "--budget.max_steps", "30", "--name", "{new}"],
    ["train", "s4-vae", "--data.name", "few.npz", "--budget.max_steps", "30", "--name", "{new}"],
    ["train", "s4-classifier", "--data.name", "few.npz", "--epochs", "1", "--name", "{new}"],
    ["evaluate", "gan", "-n", "2000"],
    ["evaluate", "few", "-n", "200", "--cas"],
    ["compare", "gan", "other", "-n", "1000"],
    ["likelihood", "vae"],
    ["timeline", "gan"],
    ["reconstruct", "vae"],
    ["judge", "train", "fewer.npz"],
    ["judge", "test", "few.npz", "--judge", "runs/classifier"],
    ["runs", "verify", "--recompute"],
    ["report", "gan"],
    ["show", "s2-dcgan"],
    ["data", "check", "mnist"],
    ["doctor"],
]


@pytest.mark.slow
@pytest.mark.parametrize("arguments", SLOW, ids=lambda arguments: " ".join(arguments[:2]))
def test_no_command_is_silent_for_long(arguments: list[str], families: Path) -> None:
    new = f"new-{len(list((families / 'runs').iterdir()))}"
    done = watch([argument.format(new=new) for argument in arguments], cwd=families)
    assert done.code == 0, done.text
    assert done.silence < LONGEST, done.text


def test_an_evaluation_says_what_it_does(place: Path) -> None:
    """One command's silence and width are checked even without the slow tests."""
    done = watch(["evaluate", "gan", "-n", "500"], columns=60, cwd=place)
    assert done.code == 0, done.text
    assert done.silence < LONGEST
    assert re.search(r"\r\x1b\[K(working|measuring 500 images)", done.text)
    assert not [line for line in seen(done) if len(line) > 60 and not is_command(line)]
    assert "n500.json" in done.text


@pytest.mark.slow
@pytest.mark.parametrize("columns", WIDTHS)
@pytest.mark.parametrize(
    "arguments",
    [
        ["runs"],
        ["recipes"],
        ["metrics"],
        ["compare", "gan", "other", "-n", "200"],
        ["evaluate", "gan", "-n", "200"],
        ["show", "s2-dcgan"],
        ["data"],
        ["doctor"],
        ["train", "quick-mnist", "--budget.max_steps", "30", "--name", "{new}"],
    ],
    ids=lambda arguments: arguments[0],
)
def test_no_line_is_wider_than_the_terminal(arguments: list[str], columns: int, place: Path) -> None:
    """Lines fit, except for paths of runs and commands, which must be copied whole."""
    new = f"w-{len(list((place / 'runs').iterdir()))}"
    done = watch([argument.format(new=new) for argument in arguments], columns=columns, cwd=place)
    assert done.code == 0, done.text
    wide = [line for line in seen(done) if len(line) > columns and not line.startswith(("run ", "report "))]
    wide = [line for line in wide if not is_command(line)]
    assert not wide, "\n".join(wide)


def test_a_pipe_gets_whole_rows_and_no_escapes(place: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "genlab", "runs"], capture_output=True, text=True, check=True, cwd=place
    )
    assert "\x1b" not in done.stdout + done.stderr
    assert "\r" not in done.stdout + done.stderr
    names = [line.split()[0] for line in done.stdout.splitlines()]
    assert names[:1] == ["run"]
    assert {"gan", "other"} <= set(names)


@pytest.mark.slow
def test_the_end_of_a_training_at_a_terminal(place: Path) -> None:
    """A training ends with five samples in half blocks, its results with units, and the path of its report."""
    new = f"end-{len(list((place / 'runs').iterdir()))}"
    changes = ["--data.name", "few.npz", "--budget.max_steps", "30", "--logging.evaluation", "none"]
    done = watch(["train", "s4-vae", *changes, "--name", new], columns=60, cwd=place)
    assert done.code == 0, done.text
    assert done.text.count("\u2580") >= 5 * 11 * 5
    lines = seen(done)
    assert any(re.fullmatch(r"training took \d+ s, [\d,]+ images/s", line) for line in lines)
    assert any(re.search(r"test reconstruction [\d.]+ nats  test KL [\d.]+ nats", line) for line in lines)
    assert any(re.search(r"latent units +\d of 2 active", line) for line in lines), "\n".join(lines[-8:])
    assert lines[-2].startswith("report ") or lines[-1].startswith("report ")
