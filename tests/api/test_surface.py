"""The API for scripts and notebooks: names, observers, runs with custom networks, features, displays."""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import genlab
from genlab.api import progress as display
from genlab.api.run import Run
from genlab.engine.stages import stage
from genlab.errors import UsageError
from genlab.evaluation import judge_search
from genlab.recipe import GanRecipe
from genlab.runs.directory import RunDirectory

FOLDERS = {path.name for path in Path(genlab.__file__).parent.iterdir() if path.is_dir()} | {"study", "publish"}


def test_every_name_works_after_a_bare_import() -> None:
    """`import genlab` alone loads none of torch, numpy and pydantic, yet every public name works."""
    script = """
import sys, genlab
assert not {"torch", "numpy", "pydantic"} & set(sys.modules), "import genlab is slow"
print(genlab.errors.UsageError, genlab.metrics.frechet_distance, genlab.losses.LOSSES, genlab.nets.mlp)
for name in dir(genlab):
    getattr(genlab, name)
try:
    genlab.nonsense
except AttributeError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-W", "error", "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "has no attribute 'nonsense'" in done.stdout


def test_no_function_has_the_name_of_a_folder() -> None:
    """A function `runs` would make `genlab.runs` a function or a package, whichever was imported last."""
    assert not FOLDERS & set(genlab.__all__)
    assert {"runs", "report"} <= FOLDERS


def test_what_is_no_run_is_refused_at_once(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for place, said in (("nonsense", "unknown run"), (tmp_path / "empty", "is not a run; give a run's folder")):
        with pytest.raises(UsageError, match=said):
            genlab.Run(place)


def test_runs_are_listed_with_those_in_folders(finished: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("b", "anna/x", "anna/deep/y"):
        shutil.copytree(finished.path, tmp_path / name)
    assert [run.path.relative_to(tmp_path).as_posix() for run in genlab.list_runs(tmp_path)] == [
        "anna/deep/y",
        "anna/x",
        "b",
    ]
    monkeypatch.setenv("GENLAB_RUNS", str(tmp_path / "anna"))
    assert len(genlab.list_runs()) == 2
    assert genlab.open_run("deep/y").path == tmp_path / "anna" / "deep" / "y"


class OnlyLogged:
    def __init__(self) -> None:
        self.steps: list[int] = []

    def logged(self, row: dict[str, Any]) -> None:
        self.steps.append(row["step"])


class OnlyEnded(genlab.Observer):
    ends = 0

    def ended(self) -> None:
        self.ends += 1


class Deaf:
    def on_epoch_end(self) -> None: ...


def test_an_observer_needs_only_the_methods_it_wants(small: Callable[..., GanRecipe], tmp_path: Path) -> None:
    heard, end = OnlyLogged(), OnlyEnded()
    genlab.train(small({"budget.max_steps": 3}), runs=tmp_path, report=False, observers=[heard, end])
    assert heard.steps == [1, 2, 3]
    assert end.ends == 1


@pytest.mark.parametrize(
    ("observer", "words"),
    [
        (Deaf(), "observer Deaf would never be called; it needs at least one of the methods started, stepped, logged"),
        (OnlyLogged, r"observer OnlyLogged is a class; give an instance: OnlyLogged\(\)"),
    ],
)
def test_an_observer_that_would_hear_nothing_is_refused(
    observer: object, words: str, small: Callable[..., GanRecipe], tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=words):
        genlab.train(small(), runs=tmp_path / "runs", observers=[observer])
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("progress", [True, False])
def test_progress_may_be_turned_off(
    progress: bool, small: Callable[..., GanRecipe], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = genlab.train(small({"budget.max_steps": 2}), runs=tmp_path, progress=progress)
    assert ("step 2/2" in capsys.readouterr().err) == progress
    run.evaluate(n=20, progress=progress)
    assert capsys.readouterr().out == ""


def test_a_generator_of_ones_own_is_compared_or_refused_before_the_work(
    finished: Run, digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = nn.Sequential(nn.Linear(100, 28 * 28), nn.Tanh(), nn.Unflatten(1, (1, 28, 28)))
    changes = {"data.name": str(digits), "budget.max_steps": 2, "budget.batch": 20, "logging.evaluation": "none"}
    run = genlab.train("s1-mlp", generator=own, overrides=changes, runs=tmp_path, report=False, progress=False)
    other = genlab.train("s1-mlp", overrides=changes, runs=tmp_path, report=False, progress=False)
    opened = genlab.open_run(run.path, generator=own)
    table = genlab.compare([opened, other], n=20, progress=False)
    assert list(table) == [run.path.name, other.path.name]
    assert {record["protocol"]["samples"] for record in table.values()} == {20}

    def work(*_: object, **__: object) -> None:
        raise AssertionError("work was done")

    monkeypatch.setattr(Run, "evaluate", work)
    with pytest.raises(UsageError, match=r"generator"):
        genlab.compare([other.path, run.path], n=21)
    assert set(genlab.compare([run.path, other.path], n=20)) == set(table), "what was measured needs no network"


def test_runs_of_one_name_are_told_apart_by_path(finished: Run, tmp_path: Path) -> None:
    places = [shutil.copytree(finished.path, tmp_path / student / "gan") for student in ("anna", "ben")]
    table = genlab.compare(places, n=20, progress=False)
    assert list(table) == [place.as_posix() for place in places]


def test_features_of_images_in_every_usual_form() -> None:
    digits = genlab.load_dataset("mnist").images[:6]
    chosen = genlab.load_judge("mnist")
    assert chosen is not None
    expected = chosen(digits)[0]
    assert expected.shape == (6, 64)
    forms: list[Any] = [
        digits,
        digits[:, 0],
        digits.transpose(0, 2, 3, 1),
        digits / np.float32(255),
        digits / 255.0,
        torch.from_numpy(digits).float() / 255,
    ]
    for form in forms:
        np.testing.assert_allclose(genlab.features(form, "mnist"), expected, rtol=1e-4, atol=1e-4)
    assert judge_search.load("mnist") is genlab.load_judge("mnist")


IMAGES = np.zeros((8, 1, 28, 28), np.uint8)


@pytest.mark.parametrize(
    ("metric", "hint"),
    [
        (lambda m: m.frechet_distance(IMAGES, IMAGES), r"features: .*; genlab\.features\(images, 'mnist'\)"),
        (lambda m: m.kernel_distance(IMAGES, IMAGES), r"features: .*; genlab\.features\(images, 'mnist'\)"),
        (lambda m: m.Manifold.of(IMAGES), r"features: .*; genlab\.features\(images, 'mnist'\)"),
        (lambda m: m.prdc(IMAGES, IMAGES), r"features: .*; genlab\.features\(images, 'mnist'\)"),
        (lambda m: m.within_class_spread(IMAGES, np.zeros(8), 1), r"features: .*; genlab\.features\(images, 'mnist'\)"),
        (lambda m: m.classifier_score(IMAGES), r"probabilities: .*; genlab\.load_judge\('mnist'\)\(images\)"),
        (lambda m: m.softmax(IMAGES), r"logits: .*; genlab\.load_judge\('mnist'\)\(images\)"),
    ],
)
def test_metrics_of_images_say_what_they_take(metric: Callable[[Any], object], hint: str) -> None:
    with pytest.raises(ValueError, match=hint) as refused:
        metric(genlab.metrics)
    assert "expected N x d (one row per image), not 8 x 1 x 28 x 28" in str(refused.value)


def test_what_a_notebook_shows(finished: Run) -> None:
    page = finished._repr_html_()
    assert page.count("<img") == 1
    assert finished.path.name in page
    assert "finished, step 12 of 12" in page
    assert "<script" not in page
    dataset = genlab.load_dataset("mnist")
    for picture in (dataset._repr_png_(), finished.grid()._repr_png_()):
        assert picture[:4] == b"\x89PNG"
    assert genlab.show("s1-mlp")._repr_svg_().startswith("<svg")
    for thing in (finished, dataset, finished.grid(), genlab.show("s1-mlp"), finished.directory):
        assert len(repr(thing)) < 200, repr(thing)
    assert repr(dataset) == "Dataset('mnist', train: 60,000 images of 1 x 28 x 28, 10 classes)"


def test_a_damaged_run_shows_itself(finished: Run, tmp_path: Path) -> None:
    copy = Run(shutil.copytree(finished.path, tmp_path / "copy"))
    (copy.path / "provenance.json").write_text("{")
    next((copy.path / "samples").glob("step-000012.png")).write_bytes(b"")
    page = copy._repr_html_()
    assert "provenance.json" in page
    assert "<b>copy</b>" in page


class Cell:
    """Stand-in for IPython's display function and the handle it returns, whose output can be replaced."""

    def __init__(self) -> None:
        self.shown: list[str] = []

    def __call__(self, data: dict[str, str], raw: bool, display_id: bool) -> Cell:
        assert raw
        self.shown.append(data["text/plain"])
        return self

    def update(self, data: dict[str, str], raw: bool) -> None:
        self.shown.append(data["text/plain"])


def test_a_notebook_has_one_output_that_is_replaced(
    small: Callable[..., GanRecipe], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cell = Cell()
    monkeypatch.setattr(display.Notebook, "EVERY", 0.02)
    monkeypatch.setattr(display, "_notebook", lambda: display.Notebook(cell))
    genlab.train(small(), runs=tmp_path)
    assert cell.shown[-1].startswith("run ")
    assert "step 12 of 12" in cell.shown[-1]
    assert any("step 6 of 12" in text or "step 1 of 12" in text for text in cell.shown)
    assert len(cell.shown[-1].splitlines()) == 2, "no stage is left"
    with display.shown(), stage("measuring"):
        time.sleep(0.1)
    assert any(text.startswith("measuring") for text in cell.shown)


def test_a_dataset_is_shown_by_its_first_images() -> None:
    with Image.open(io.BytesIO(genlab.load_dataset("fashion-mnist")._repr_png_())) as picture:
        assert picture.width > picture.height > 200


def test_opening_does_not_load_the_recipe_of_a_directory_twice(finished: Run) -> None:
    run = RunDirectory(finished.path)
    assert run.trained_by() is run.trained_by()
