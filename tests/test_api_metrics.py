"""The public functions that measure, and their commands."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import genlab
from genlab import api_metrics, cli, data, judge
from genlab.errors import DataError, UsageError
from genlab.evaluation import response
from genlab.trained import Run


@pytest.fixture(scope="session")
def few(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """300 training and 200 test digits."""
    train, test = data.load("mnist"), data.load("mnist", "test")
    assert train.labels is not None
    assert test.labels is not None
    path = tmp_path_factory.mktemp("data") / "few.npz"
    np.savez(
        path,
        x_train=train.images[:300],
        y_train=train.labels[:300],
        x_test=test.images[-200:],
        y_test=test.labels[-200:],
    )
    return path


@pytest.fixture(scope="session")
def own_judge(few: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A judge of those digits, two steps an epoch."""
    run, made = api_metrics.train_judge(str(few), runs=tmp_path_factory.mktemp("runs"))
    assert made.sha256 == judge.read(run.path / "judge.safetensors", "x").sha256
    return run


def test_a_judge_of_own_data(own_judge: Run, few: Path) -> None:
    recipe = own_judge.recipe
    assert recipe.data.name == str(few)
    assert recipe.family == "classifier"
    assert recipe.augmentation is not None
    assert own_judge.metrics()[-1]["test_accuracy"] > 0.3  # of ten classes
    made = api_metrics.judge_of(own_judge.path)
    assert made.name == own_judge.path.name
    assert made.sha256 == judge.read(own_judge.path / "judge.safetensors", "x").sha256
    with pytest.raises(UsageError, match="judged channel by channel by the judge of mnist"):
        api_metrics.train_judge("stacked-mnist")


def test_own_judge_measures(own_judge: Run, few: Path, tmp_path: Path) -> None:
    images = data.load(str(few)).images[:100]
    np.savez(tmp_path / "x.npz", images=images)
    found = genlab.evaluate(tmp_path / "x.npz", against=str(few), judge=own_judge.path).record
    assert found["protocol"]["judge"]["name"] == own_judge.path.name
    assert found["metrics"]["frechet_distance"]["value"] >= 0
    plain = genlab.evaluate(tmp_path / "x.npz", against=str(few)).record
    assert plain["metrics"]["frechet_distance"]["value"] is None
    assert plain["metrics"]["memorised_fraction"]["value"] == 1


def test_a_gan_is_no_judge(finished: Run, few: Path) -> None:
    with pytest.raises(UsageError, match="is a gan; a judge is a classifier"):
        api_metrics.judge_of(finished.path)


def test_trying_a_judge(own_judge: Run, few: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    some = {name: response.DISTURBANCES[name] for name in ("noise", "classes dropped")}
    monkeypatch.setattr(response, "DISTURBANCES", some)
    heard: list[str] = []
    found = api_metrics.try_judge(str(few), run=own_judge.path, progress=heard.append)
    assert heard == list(found.floors) == ["noise", "classes dropped"]
    assert list(found.floors["noise"]) == ["0.02", "0.05", "0.1", "0.2", "0.3"]
    assert found.floors["noise"]["0.3"] > found.floors["noise"]["0.02"] >= 0
    assert found.accuracy.value == pytest.approx(own_judge.metrics()[-1]["test_accuracy"], abs=1e-6)
    assert found.plot()[:4] == b"\x89PNG"
    with pytest.raises(UsageError, match="has no judge of its own; there are: mnist, fashion-mnist, or --judge RUN"):
        api_metrics.try_judge(str(few))
    with pytest.raises(UsageError, match="stacked-mnist has no judge of its own"):
        api_metrics.try_judge("stacked-mnist")


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    cli.main(list(arguments))
    return capsys.readouterr().out


def fails(capsys: pytest.CaptureFixture[str], code: int, *arguments: str) -> str:
    with pytest.raises(SystemExit) as caught:
        cli.main(list(arguments))
    assert caught.value.code == code
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    return told


def test_evaluate_prints_a_table_or_json(
    few: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], own_judge: Run
) -> None:
    np.savez(tmp_path / "x.npz", images=data.load(str(few)).images[:60])
    arguments = ("evaluate", str(tmp_path / "x.npz"), "--against", str(few), "--judge", str(own_judge.path))
    table = run(capsys, *arguments)
    assert "95 % interval" in table
    assert "Frechet distance" in table
    assert "Floor: as many training images" in table
    assert "note: 60 images are few for 64 features" in table
    found = json.loads(run(capsys, *arguments, "--json"))
    assert set(found["metrics"]["frechet_distance"]) == {"value", "interval", "floor", "n"}
    assert found["protocol"]["samples"] == 60


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["evaluate", "nothing"], 2, "unknown run 'nothing'"),
        (["evaluate", "nothing.npz", "--against", "mnist"], 3, "nothing.npz: no such run, folder or file"),
        (["evaluate", "{folder}"], 2, "say against which dataset, as in --against mnist"),
        (["evaluate", "{folder}", "--against", "mnits"], 3, "did you mean 'mnist'?"),
        (["evaluate", "{folder}", "--against", "mnist"], 3, "no pictures in it"),
        (["evaluate", "{folder}", "--against", "mnist", "--step", "3"], 2, "step cannot be chosen"),
        (["evaluate", "{run}", "-n", "0"], 2, "n is 0; allowed: 1 .. 1,000,000"),
        (["evaluate", "{run}", "--step", "5"], 2, "no snapshot of step 5"),
        (["evaluate", "{run}", "--resize", "pad"], 2, "leave resize out"),
        (["compare", "{run}", "{run}"], 2, "named twice"),
        (["judge", "train", "stacked-mnist"], 2, "channel by channel"),
        (["judge", "test", "nothing"], 2, "nothing has no judge of its own"),
    ],
)
def test_refusals(
    arguments: list[str], code: int, words: str, finished: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    places = {"folder": str(tmp_path / "empty"), "run": str(finished.path)}
    assert words in fails(capsys, code, *(a.format(**places) for a in arguments))


def test_runs_that_were_measured_differently_are_not_compared(tmp_path: Path) -> None:
    protocol = {"dataset": "mnist", "split": "test", "real_images": 10_000, "judge": None, "samples": 10_000}
    root = tmp_path / "runs"
    for name, n in (("a", 10_000), ("b", 2_000)):
        (root / name / "evaluations").mkdir(parents=True)
        (root / name / "recipe.yaml").write_text("x")
        record: dict[str, Any] = {"protocol": {**protocol, "samples": n}, "metrics": {}}
        (root / name / "evaluations" / "evaluation.json").write_text(json.dumps(record))
    with pytest.raises(UsageError, match="cannot be compared, their samples differs: a: 10000; b: 2000"):
        api_metrics.compare(["a", "b"], runs=root)
    (root / "b" / "evaluations" / "evaluation.json").write_text("{")
    with pytest.raises(DataError, match=r"evaluation.json: damaged"):
        api_metrics.compare(["a", "b"], runs=root)


def test_the_accuracy_score_of_a_run(few: Path, tmp_path: Path) -> None:
    """It needs labels: an unconditional run has none."""
    changes = {
        "data.name": str(few), "budget.max_steps": 2, "logging.tensorboard": False, "logging.evaluation": "none",
    }  # fmt: skip
    plain = genlab.train("s2-dcgan", overrides=changes, runs=tmp_path, report=False)
    with pytest.raises(UsageError, match="is unconditional: no class was asked for"):
        genlab.evaluate(plain.path, n=20, accuracy_score=True)
    conditional = genlab.train("quick-mnist", overrides=changes, runs=tmp_path, report=False)
    found = genlab.evaluate(conditional.path, n=20, accuracy_score=True).record["metrics"]
    score = found["classification_accuracy_score"]
    assert score["n"] == 300
    assert score["value"] < score["floor"]
    assert score["interval"][0] <= score["value"] <= score["interval"][1]
    assert conditional.evaluation is not None
    assert conditional.evaluation["metrics"]["classification_accuracy_score"]["value"] == score["value"]
