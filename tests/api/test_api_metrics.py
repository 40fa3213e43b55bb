"""The public functions that measure, and their commands."""

from __future__ import annotations

import json
import shutil
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import genlab
from conftest import undraw
from genlab import data
from genlab.api import evaluate
from genlab.api import judge as judges
from genlab.api import train as api
from genlab.api.run import Run
from genlab.cli import main
from genlab.engine import seals
from genlab.errors import CheckpointError, DataError, Stopped, UsageError
from genlab.evaluation import judge, judge_trial, kept
from genlab.evaluation.catalogue import NAMES
from genlab.evaluation.measure import NotStored
from genlab.evaluation.metrics import frechet_distance
from genlab.recipe import files
from genlab.report.figures import evaluation as figures


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
    """A judge trained on those digits, two steps per epoch."""
    with pytest.MonkeyPatch.context() as patch:
        undraw(patch)
        changes = {"budget.epochs": 15, "budget.batch": 128}
        with pytest.warns(UserWarning, match="300 training images are few for a judge"):
            run, made, kept_at = judges.train_judge(str(few), runs=tmp_path_factory.mktemp("runs"), overrides=changes)
    assert kept_at == few.with_name("few.judge.safetensors")
    found = genlab.load_judge(str(few))
    assert found is not None
    assert found.sha256 == made.sha256
    kept_at.unlink()  # The other tests are about a dataset without a judge.
    assert made.sha256 == judge.read(run.path / "judge.safetensors", "x").sha256
    return run


class Interrupts:
    """An observer that presses Ctrl-C at step 3."""

    def stepped(self, step: int, seconds: float) -> None:
        if step == 3:
            signal.raise_signal(signal.SIGINT)


@pytest.mark.filterwarnings("ignore:300 training images are few")
def test_a_judge_that_was_stopped_goes_on(
    few: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same command resumes its own run, not that of another seed, and stores the judge beside the data as usual."""
    undraw(monkeypatch)
    changes = {"budget.epochs": 2, "budget.batch": 64}
    with pytest.raises(Stopped, match="stopped at step 3 of 8; the same command resumes it"):
        judges.train_judge(str(few), runs=tmp_path, overrides=changes, observers=[Interrupts()])
    assert not few.with_name("few.judge.safetensors").exists()
    other, *_ = judges.train_judge(str(few), seed=1, runs=tmp_path, overrides=changes)
    few.with_name("few.judge.safetensors").unlink()
    capsys.readouterr()
    run, _, kept_at = judges.train_judge(str(few), runs=tmp_path, overrides=changes)
    assert "resuming judge-mnist" in capsys.readouterr().err
    assert run.path != other.path
    assert len(list(tmp_path.iterdir())) == 2
    assert run.status["step"] == 8
    assert kept_at is not None
    kept_at.unlink()


def test_a_path_is_a_path_and_a_name_a_run(
    finished: Run, few: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If a run and a folder share a name, NAME is the run and ./NAME the folder."""
    undraw(monkeypatch)
    monkeypatch.chdir(tmp_path)
    shutil.copytree(finished.path, tmp_path / "runs" / "photos")
    (tmp_path / "photos").mkdir()
    for k, image in enumerate(data.load("mnist", "test").images[:12, 0]):
        Image.fromarray(image).save(tmp_path / "photos" / f"{k}.png")
    with pytest.warns(
        UserWarning, match=r"photos is both a run and a file or folder: the run is measured; for the other give"
    ):
        assert evaluate.is_a_run("photos", tmp_path / "runs")
    assert not evaluate.is_a_run("./photos", tmp_path / "runs")
    found = evaluate.evaluate("./photos", against=str(few), runs=tmp_path / "runs")
    assert len(found.fake) == 12
    assert genlab.open_run(finished).path == finished.path


def test_a_judge_of_own_data(own_judge: Run, few: Path) -> None:
    recipe = own_judge.recipe
    assert recipe.data.name == str(few)
    assert recipe.family == "classifier"
    assert recipe.augmentation is not None
    assert own_judge.metrics()[-1]["test_accuracy"] > 0.3  # by chance: 0.1
    made = evaluate.judge_of(own_judge.path)
    assert made.name == own_judge.path.name
    assert made.sha256 == judge.read(own_judge.path / "judge.safetensors", "x").sha256
    with pytest.raises(UsageError, match="judged channel by channel by the judge of mnist"):
        judges.train_judge("stacked-mnist")


def test_own_judge_measures(own_judge: Run, few: Path, tmp_path: Path) -> None:
    images = data.load(str(few)).images[:100]
    np.savez(tmp_path / "x.npz", images=images)
    found = genlab.evaluate(tmp_path / "x.npz", against=str(few), judge=own_judge.path).record
    assert found["protocol"]["judge"]["name"] == own_judge.path.name
    own, test = evaluate.judge_of(own_judge.path), data.load_test(str(few)) or data.load(str(few))
    by_hand = frechet_distance(own(test.images)[0], own(images)[0])
    assert found["metrics"]["frechet_distance"]["value"] == pytest.approx(by_hand, rel=1e-6)
    assert by_hand > 0
    plain = genlab.evaluate(tmp_path / "x.npz", against=str(few)).record
    assert plain["protocol"]["judge"]["name"] == "random network"
    assert plain["metrics"]["legibility"]["value"] is None
    assert plain["metrics"]["memorised_fraction"]["value"] == 1


def test_a_gan_is_no_judge(finished: Run, few: Path) -> None:
    with pytest.raises(UsageError, match="is a GAN; a judge is a classifier"):
        evaluate.judge_of(finished.path)


def test_trying_a_judge(own_judge: Run, few: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    some = {name: judge_trial.DISTURBANCES[name] for name in ("noise", "classes dropped")}
    monkeypatch.setattr(judge_trial, "DISTURBANCES", some)
    found = judges.try_judge(str(few), run=own_judge.path)
    assert list(found.ratios) == ["noise", "classes dropped"]
    assert list(found.ratios["noise"]) == ["0.02", "0.05", "0.1", "0.2", "0.3"]
    assert found.ratios["noise"]["0.3"] > found.ratios["noise"]["0.02"] >= 0
    assert found.accuracy.value == pytest.approx(own_judge.metrics()[-1]["test_accuracy"], abs=1e-6)
    assert figures.judge_trial(found)[:4] == b"\x89PNG"
    with pytest.raises(
        UsageError,
        match=r"has no judge of its own \(in the package: mnist, fashion-mnist, letters\).*genlab judge train",
    ):
        judges.try_judge(str(few))
    with pytest.raises(UsageError, match="stacked-mnist has no judge of its own"):
        judges.try_judge("stacked-mnist")


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    main.main(list(arguments))
    return capsys.readouterr().out


def fails(capsys: pytest.CaptureFixture[str], code: int, *arguments: str) -> str:
    with pytest.raises(SystemExit) as caught:
        main.main(list(arguments))
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
    assert "Real images: the same number of training images" in table
    assert "note: 60 images are few for 64 features" in table
    found = json.loads(run(capsys, *arguments, "--json"))
    assert set(found["metrics"]["frechet_distance"]) == {"value", "interval", "floor", "n"}
    assert found["protocol"]["samples"] == 60


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["evaluate", "nothing"], 2, "unknown run 'nothing'"),
        (["evaluate", "nothing.npz", "--against", "mnist"], 3, "nothing.npz: no such file or folder of images"),
        (["evaluate", "{folder}"], 2, "name the dataset to measure against, as in --against mnist"),
        (["evaluate", "{folder}", "--against", "mnits"], 3, "did you mean 'mnist'?"),
        (["evaluate", "{folder}", "--against", "mnist"], 3, "no pictures in it"),
        (["evaluate", "{folder}", "--against", "mnist", "--step", "3"], 2, "step cannot be set"),
        (["evaluate", "{run}", "-n", "0"], 2, "n is 0; allowed: 1 .. 1,000,000"),
        (["evaluate", "{run}", "--step", "5"], 2, "no snapshot of step 5"),
        (["evaluate", "{run}", "--resize", "pad"], 2, "leave --resize out"),
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
    needed = {"of": "x", "size": "x", "floor": "x", "intervals": "x", "judge": None}
    protocol = {**needed, "dataset": "mnist", "split": "test", "real_images": 10_000}
    entry = {"value": 1.0, "interval": None, "floor": 1.0, "n": 1}
    rest = {"metrics": dict.fromkeys(NAMES, entry), "classes": [], "notes": []}
    root = tmp_path / "runs"
    for name, n in (("a", 10_000), ("b", 2_000)):
        (root / name / "evaluations").mkdir(parents=True)
        (root / name / "status.json").write_text('{"state": "finished", "step": 3}')
        provenance = seals.seal({"recipe": files.to_dict(files.load("quick-mnist"))})
        (root / name / "provenance.json").write_text(json.dumps(provenance))
        record: dict[str, Any] = {"protocol": {**protocol, "samples": n, "step": 3}, **rest}
        (root / name / "evaluations" / "evaluation.json").write_text(json.dumps(record))
    with pytest.raises(UsageError, match="cannot be compared, since they differ in samples: a: 10000; b: 2000"):
        genlab.compare(["a", "b"], runs=root)
    (root / "b" / "evaluations" / "evaluation.json").write_text("{")
    with pytest.raises(DataError, match=r"evaluation.json: damaged"):
        genlab.compare(["a", "b"], runs=root)


def test_the_accuracy_score_of_a_run(few: Path, tmp_path: Path) -> None:
    """The classification accuracy score needs labels, so an unconditional run is refused."""
    changes = {
        "data.name": str(few), "budget.max_steps": 2, "logging.tensorboard": False, "logging.evaluation": "none",
    }  # fmt: skip
    plain = genlab.train("s2-dcgan", overrides=changes, runs=tmp_path, report=False)
    with pytest.raises(UsageError, match="is unconditional: its images have no classes"):
        genlab.evaluate(plain.path, n=20, accuracy_score=True)
    conditional = genlab.train("quick-mnist", overrides=changes, runs=tmp_path, report=False)
    found = genlab.evaluate(conditional.path, n=20, accuracy_score=True).record["metrics"]
    score = found["classification_accuracy_score"]
    assert score["n"] == 300
    assert score["value"] < score["floor"]
    assert score["interval"][0] <= score["value"] <= score["interval"][1]
    stored = kept.load(conditional.directory, "n20.json")
    assert stored is not None
    assert stored["metrics"]["classification_accuracy_score"]["value"] == score["value"]
    assert conditional.evaluation is None


def test_the_numbers_are_printed_before_they_are_stored(
    few: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """If the file cannot be written (here its name is taken by a folder), the numbers are printed before the error."""
    np.savez(tmp_path / "x.npz", images=data.load(str(few)).images[:60])
    (tmp_path / "x.evaluation.json").mkdir()
    arguments = ["evaluate", str(tmp_path / "x.npz"), "--against", str(few)]
    for extra, start in (([], "FID and KID: "), (["--json"], '{"protocol')):
        with pytest.raises(SystemExit) as caught:
            main.main([*arguments, *extra])
        assert caught.value.code == 5
        told = capsys.readouterr()
        assert told.out.startswith(start)
        assert "x.evaluation.json" in told.err
        assert "-o FILE.json" in told.err
        assert told.err.count("\n") == 1
    with pytest.raises(NotStored) as refused:
        genlab.evaluate(tmp_path / "x.npz", against=str(few))
    assert refused.value.found.record["metrics"]["memorised_fraction"]["value"] == 1
    table = run(capsys, *arguments, "-o", str(tmp_path / "there.json"))
    assert "memorisation" in table
    assert json.loads((tmp_path / "there.json").read_text())["protocol"]["samples"] == 60


def test_a_run_is_printed_before_it_is_stored(
    finished: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(finished.path, copy)
    shutil.rmtree(copy / "evaluations")
    (copy / "evaluations").write_text("in the way")
    shutil.rmtree(copy / "figures")
    with pytest.raises(SystemExit) as caught:
        main.main(["evaluate", str(copy), "-n", "10"])
    told = capsys.readouterr()
    assert caught.value.code == 5
    assert "sharpness ratio" in told.out
    assert "could not be stored" in told.err
    assert "sharpness ratio" in run(capsys, "evaluate", str(copy), "-n", "10", "-o", str(tmp_path / "elsewhere.json"))
    assert (tmp_path / "elsewhere.json").exists()


@pytest.mark.parametrize(
    "command",
    [
        ["evaluate", "{run}", "-o", "{nowhere}/x.json"],
        ["evaluate", "{few}", "--against", "{few}", "-o", "{nowhere}/x.json"],
        ["sample", "{run}", "-o", "{nowhere}/x.png"],
        ["sample", "{run}", "-o", "{folder}"],
        ["interpolate", "{run}", "-o", "{nowhere}/x.png"],
        ["grid", "{run}", "-o", "{nowhere}/x.npz"],
        ["judge", "test", "{few}", "--judge", "{run}", "-o", "{nowhere}/x.png"],
        ["show", "quick-mnist", "-o", "{nowhere}/x.svg"],
    ],
    ids=lambda command: f"{command[0]} {command[-1]}",
)
def test_where_it_goes_is_looked_at_before_the_work(
    command: list[str],
    finished: Run,
    few: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def work(*_: object, **__: object) -> None:
        raise AssertionError("work was done")

    (tmp_path / "folder.png").mkdir()
    for owner, name in ((Run, "sample"), (Run, "interpolate"), (Run, "grid"), (Run, "evaluate"), (api, "show")):
        monkeypatch.setattr(owner, name, work)
    monkeypatch.setattr(evaluate, "judge_of", work)
    monkeypatch.setattr(evaluate, "measure", work)
    places = {"run": finished.path, "few": few, "nowhere": tmp_path / "nowhere", "folder": tmp_path / "folder.png"}
    told = fails(capsys, 5, *(part.format(**places) for part in command))
    assert "there is no folder" in told or "is a folder; a file is needed" in told
    wrong = [part.format(**places) for part in command[:-1]] + [str(tmp_path / "x.txt")]
    assert "the extension sets the format; allowed: ." in fails(capsys, 2, *wrong)


def test_a_judge_of_other_data_is_said(own_judge: Run, few: Path, tmp_path: Path) -> None:
    """One note says if a judge was trained on other data (a moved copy is not), and one always gives its accuracy."""
    arrays = dict(np.load(few))
    np.savez(tmp_path / "moved.npz", **arrays)
    np.savez(tmp_path / "other.npz", **{**arrays, "x_train": arrays["x_train"][::-1]})
    np.savez(tmp_path / "x.npz", images=arrays["x_train"][:60])
    for name, other in (("moved", False), ("other", True)):
        against = str(tmp_path / f"{name}.npz")
        record = genlab.evaluate(tmp_path / "x.npz", against=against, judge=own_judge.path).record
        notes = " ".join(record["notes"])
        assert ("was trained on" in notes) == other
        assert f"classifies {own_judge.metrics()[-1]['test_accuracy']:.2%} of the test images" in notes


@pytest.mark.filterwarnings("ignore:judge .* was trained on")
@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"x": np.s_[:, 2:, 2:]}, "takes images of 28 x 28 pixels and 1 channels"),
        ({"classes": 4}, "tells 10 classes apart; .* has 4"),
    ],
)
def test_a_judge_of_another_form_is_refused_before_the_work(
    change: dict[str, Any],
    words: str,
    own_judge: Run,
    few: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    arrays = dict(np.load(few))
    for split in ("train", "test"):
        arrays[f"x_{split}"] = arrays[f"x_{split}"][:, 0][change.get("x", np.s_[:])]
        arrays[f"y_{split}"] = arrays[f"y_{split}"] % change.get("classes", 10)
    np.savez(tmp_path / "y.npz", **arrays)
    np.savez(tmp_path / "x.npz", images=arrays["x_train"][:60])

    def work(*_: object) -> None:
        raise AssertionError("work was done")

    monkeypatch.setattr(evaluate, "measure", work)
    with pytest.raises(UsageError, match=words):
        genlab.evaluate(tmp_path / "x.npz", against=str(tmp_path / "y.npz"), judge=own_judge.path)
    with pytest.raises(UsageError, match=words):
        judges.try_judge(str(tmp_path / "y.npz"), run=own_judge.path)


def test_an_unfinished_judge_says_so(own_judge: Run, tmp_path: Path) -> None:
    copy = Run(shutil.copytree(own_judge.path, tmp_path / "copy"))
    copy.directory.set_status(state="interrupted", step=7, total_steps=30)
    (copy.path / "metrics.jsonl").unlink()
    said = evaluate.judge_of(copy.path).remarks
    assert said[0] == "judge copy was not trained to its end: interrupted, step 7 of 30"
    assert "was never tested" in said[1]
    shutil.rmtree(copy.path / "checkpoints")
    with pytest.raises(CheckpointError):
        evaluate.judge_of(copy.path)


def test_disturbed_images_are_judged_only_if_they_are_asked_for(
    own_judge: Run, few: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[str] = []

    def shift(images: Any, labels: Any, strength: float) -> Any:
        asked.append("shift")
        return judge_trial.shift(images, labels, strength)

    monkeypatch.setattr(judge_trial, "DISTURBANCES", {"shift": (shift, (1,))})
    test = ["judge", "test", str(few), "--judge", str(own_judge.path)]
    main.main(test)
    said = capsys.readouterr().out
    assert asked == []
    assert "test accuracy" in said
    assert "-o FILE.png (some minutes)" in said
    main.main([*test, "-o", str(tmp_path / "response.png")])
    assert asked == ["shift"]
    assert "x real images" in capsys.readouterr().out


def test_trying_a_judge_on_few_images(own_judge: Run, few: Path, tmp_path: Path) -> None:
    """Disturbances that leave no images are skipped; identical test and training images are refused."""
    arrays = dict(np.load(few))
    np.savez(tmp_path / "ten.npz", **{**arrays, "x_test": arrays["x_test"][:20], "y_test": arrays["y_test"][:20]})
    found = judges.try_judge(str(tmp_path / "ten.npz"), run=own_judge.path)
    assert list(found.ratios["repeated"]) == ["2", "10"]
    black = {k: v * 0 if k.startswith("x") else v for k, v in arrays.items()}
    np.savez(tmp_path / "black.npz", **black)
    other = pytest.warns(UserWarning, match=r"was trained on .*few\.npz, other data than .*black\.npz")
    with other, pytest.raises(UsageError, match="test and training images do not differ"):
        judges.try_judge(str(tmp_path / "black.npz"), run=own_judge.path)


@pytest.mark.parametrize(
    ("source", "against", "words"),
    [
        ({"labels": 100}, {}, "needs 128 images or more, generated and real: there are 100 and 300"),
        ({"labels": 0}, {}, "needs the class that each image was meant to show"),
        ({"labels": 200}, {"y_test": None}, "has no test split with labels"),
    ],
)
def test_the_accuracy_score_is_refused_before_the_work(
    source: dict[str, int],
    against: dict[str, None],
    words: str,
    few: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    arrays = dict(np.load(few))
    n = source["labels"]
    labels = {"labels": arrays["y_train"][:n]} if n else {}
    np.savez(tmp_path / "x.npz", images=arrays["x_train"][: n or 200], **labels)
    np.savez(tmp_path / "d.npz", **{k: v for k, v in arrays.items() if k not in against})

    def work(*_: object) -> None:
        raise AssertionError("work was done")

    monkeypatch.setattr(evaluate, "measure", work)
    with pytest.raises(UsageError, match=words):
        genlab.evaluate(tmp_path / "x.npz", against=str(tmp_path / "d.npz"), accuracy_score=True)


def test_the_accuracy_score_where_the_test_split_lacks_classes(few: Path, tmp_path: Path) -> None:
    arrays = dict(np.load(few))
    low = arrays["y_test"] < 5
    np.savez(tmp_path / "d.npz", **{**arrays, "x_test": arrays["x_test"][low], "y_test": arrays["y_test"][low]})
    np.savez(tmp_path / "x.npz", images=arrays["x_train"], labels=arrays["y_train"])
    found = genlab.evaluate(tmp_path / "x.npz", against=str(tmp_path / "d.npz"), accuracy_score=True).record
    score = found["metrics"]["classification_accuracy_score"]
    assert score["value"] == score["floor"]
