"""Evaluation: numbers with protocol, floor and interval, for runs and for images from anywhere."""

from __future__ import annotations

import hashlib
import json
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from PIL import Image

import genlab
from genlab import data
from genlab.api import evaluate
from genlab.api import evaluate as api_evaluate
from genlab.api.run import Run
from genlab.data.dataset import Images, Labels
from genlab.data.preprocessing import Preprocessing
from genlab.errors import UsageError
from genlab.evaluation import judge, judge_search, kept, metrics, models, sizes
from genlab.evaluation.catalogue import NAMES
from genlab.evaluation.image_set import ImageSet, Reference, Samples, even_rows, few_of
from genlab.evaluation.live import COLUMNS
from genlab.evaluation.measure import Evaluation, measure
from genlab.evaluation.metrics import Estimate
from genlab.report import text
from genlab.report.figures.evaluation import figures

PROMISED = (
    "frechet_distance", "kernel_distance", "classifier_score", "precision", "recall", "density", "coverage", "class_kl",
    "missing_classes", "requested_class_accuracy", "memorised_fraction", "sharpness_ratio",
)  # fmt: skip


@pytest.fixture(scope="session")
def some_digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """2,000 training and 500 test digits as a user's file."""
    train, test = data.load("mnist"), data.load("mnist", "test")
    path = tmp_path_factory.mktemp("data") / "some.npz"
    assert train.labels is not None
    assert test.labels is not None
    np.savez(
        path,
        x_train=train.images[:2000],
        y_train=train.labels[:2000],
        x_test=test.images[5000:5500],
        y_test=test.labels[5000:5500],
        class_names=np.array(train.class_names),
    )
    return path


@pytest.fixture(scope="session")
def against(some_digits: Path) -> Reference:
    return Reference(str(some_digits), Preprocessing(28, 1, "none"), judge_search.load("mnist"))


def measured(images: Images, against: Reference, requested: Any = None, way: Preprocessing | None = None) -> Evaluation:
    return measure(Samples(images, requested, {"of": "test"}, way or sizes.way_of(images, against.train)), against)


def test_every_metric_has_value_interval_floor_and_n(against: Reference) -> None:
    real = against.training_images(400)
    record = measured(real.images, against, real.labels).record
    assert set(PROMISED) <= set(record["metrics"]) == set(NAMES)
    json.dumps(record, allow_nan=False)
    for name, found in record["metrics"].items():
        assert set(found) == {"value", "interval", "floor", "n"}, name
        assert found["n"] == 400
        assert found["value"] is not None, name
        assert found["floor"] is not None, name
        if name != "missing_classes":
            assert found["interval"][0] <= found["value"] <= found["interval"][1], name
    protocol = record["protocol"]
    assert protocol["samples"] == 400
    assert protocol["real_images"] == 500
    assert protocol["split"] == "test"
    assert protocol["judge"] == {"name": "mnist", "sha256": judge.PINNED["mnist"]}


def test_training_images_are_the_floor_and_all_memorised(against: Reference) -> None:
    real = against.training_images(400)
    shuffled = np.random.default_rng(0).permutation(400)
    record = measured(real.images[shuffled], against, np.asarray(real.labels)[shuffled]).record
    for name, found in record["metrics"].items():
        if name == "memorised_fraction":
            assert found["value"] == 1
            assert found["floor"] == pytest.approx(0.002)  # one of 500 is below the 0.1 % quantile
        else:
            assert found["value"] == pytest.approx(found["floor"], rel=1e-9), name


def test_test_images_are_the_reference(against: Reference) -> None:
    record = measured(against.real.images[:300], against).record
    assert "300 of 300 images are test images" in " ".join(record["notes"])
    assert "they are the reference itself" in " ".join(record["notes"])
    assert record["metrics"]["memorised_fraction"]["value"] < 0.01
    assert record["metrics"]["requested_class_accuracy"]["value"] is None


def test_what_is_wrong_shows(against: Reference) -> None:
    """A dropped class, wrong requests, few images repeated, grain, one image per class: each shows in its number."""
    train = against.training_images(1000)
    images, labels = train.images, np.asarray(train.labels)

    def of(x: Images, y: Any = labels) -> dict[str, float]:
        return {name: found["value"] for name, found in measured(x, against, y).record["metrics"].items()}

    plain = of(images)
    assert plain["missing_classes"] == 0
    no_eights = of(images[labels != 8], labels[labels != 8])
    assert no_eights["missing_classes"] == 1
    assert no_eights["class_kl"] > plain["class_kl"] + 0.05
    assert no_eights["frechet_distance"] > 3 * plain["frechet_distance"]
    wrong = of(images, (labels + (np.arange(1000) % 4 == 0)) % 10)
    assert wrong["requested_class_accuracy"] == pytest.approx(0.75, abs=0.01)
    few = of(images[:50].repeat(20, axis=0), labels[:50].repeat(20))
    assert few["precision"] > 0.5
    assert few["coverage"] < plain["coverage"] / 2
    noisy = np.clip(images + np.random.default_rng(0).normal(0, 25, images.shape), 0, 255).astype(np.uint8)
    assert of(noisy)["grain_ratio"] > 1.3
    one_each = np.stack([images[labels == k][0] for k in labels])
    assert of(one_each)["within_class_diversity"] == pytest.approx(0, abs=1e-9)


def test_form_does_not_matter(against: Reference) -> None:
    """Gray or colour, 28 pixels or padded to 32: the same images give the same numbers."""
    train = against.training_images(200)
    plain = measured(train.images, against).record["metrics"]
    for size, channels in ((32, 1), (28, 3), (32, 3)):
        there = data.fit(train, size, "pad" if size == 32 else "none", channels).images
        assert measured(there, against).record["metrics"] == plain


@pytest.mark.parametrize("kind", ["constant", "one image", "two", "one class", "noise"])
def test_degenerate_images_get_stated_results(kind: str, against: Reference) -> None:
    train = against.training_images(300)
    images = {
        "constant": np.zeros((100, 1, 28, 28), np.uint8),
        "one image": train.images[:1],
        "two": train.images[:2],
        "one class": train.images[train.labels == 3],
        "noise": np.random.default_rng(0).integers(0, 256, (100, 1, 28, 28), np.uint8),
    }[kind]
    record = measured(images, against).record
    json.dumps(record, allow_nan=False)
    notes = " ".join(record["notes"])
    found = record["metrics"]
    if kind == "constant":
        assert "all images are the same" in notes
        assert found["recall"]["value"] == 0
        assert found["classifier_score"]["value"] == pytest.approx(1)
        assert found["sharpness_ratio"]["value"] == pytest.approx(0, abs=1e-12)
    if kind == "one image":
        assert found["frechet_distance"]["value"] is None
        assert found["precision"]["value"] is None
        assert "fewer than 5 neighbours" in notes
    if kind == "two":
        assert found["frechet_distance"]["value"] > 0
        assert found["frechet_distance"]["interval"] is None
    if kind == "one class":
        assert found["missing_classes"]["value"] == 9
        assert found["class_kl"]["value"] > 2
    assert ("images are few for 64 features" in notes) == (kind != "one image")  # One image has no distance.
    assert "to compare with" not in notes  # 500 test images are enough.


def test_without_a_judge(some_digits: Path) -> None:
    against = Reference(str(some_digits), Preprocessing(28, 1, "none"), judge_search.load(str(some_digits)))
    train = against.training_images(100)
    record = measured(train.images, against, train.labels).record
    there = {name for name, found in record["metrics"].items() if found["value"] is not None}
    assert there == {
        "frechet_distance", "kernel_distance", "precision", "recall", "density", "coverage",
        "memorised_fraction", "sharpness_ratio", "grain_ratio", "spread_ratio",
    }  # fmt: skip
    assert "has no judge: distances are in the features of a fixed random network" in record["notes"][0]
    assert record["protocol"]["judge"]["name"] == "random network"
    assert record["classes"] == []


def test_without_a_test_split(digits: Path) -> None:
    """Half of the training images serve as real images to measure against, and none of them is in the floor."""
    against = Reference(str(digits), Preprocessing(28, 1, "none"), judge_search.load("mnist"))
    assert against.split == "train"
    kept = {image.tobytes() for image in against.real.images}
    floor = against.training_images(1000)
    assert len(kept) == len(floor) == 50
    assert not kept & {image.tobytes() for image in floor.images}
    notes = " ".join(measured(floor.images, against).record["notes"])
    assert "no test split" in notes
    assert "50 training images to compare with, few for 64 features" in notes


@pytest.fixture(scope="session")
def data_with(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """400 training digits: with a test split, a quarter of it training images; without one; with each digit twice."""
    train, test = data.load("mnist").images[:400], data.load("mnist", "test").images[:150]
    folder = tmp_path_factory.mktemp("data")
    np.savez(folder / "duplicates.npz", x_train=train, x_test=np.concatenate([test, train[:50]]))
    np.savez(folder / "no-split.npz", x_train=train)
    np.savez(folder / "twice.npz", x_train=np.concatenate([train, train]))
    return {path.stem: path for path in folder.glob("*.npz")}


@pytest.mark.parametrize("size", [28, 64])
@pytest.mark.parametrize("kind", ["duplicates", "no-split", "twice"])
def test_copies_are_found_in_any_dataset(kind: str, size: int, data_with: dict[str, Path]) -> None:
    """Copies and near copies score 100 %, fresh images about 0.1 %, whatever duplicates the data have, with or without
    a test split."""
    train = data.load(str(data_with[kind]))
    fresh = data.load("mnist", "test").images[4000:4400]
    resize: Literal["none", "bilinear"] = "none" if size == 28 else "bilinear"
    way = Preprocessing(size, 1, resize)
    against = Reference(train.name, way, None)
    rng = np.random.default_rng(0)

    def share(images: Images) -> dict[str, Any]:
        sent = data.fit(replace(train, images=images), size, resize, 1).images
        found: dict[str, Any] = measured(sent, against, way=way).record["metrics"]["memorised_fraction"]
        return found

    copies = share(train.images)
    assert copies["value"] == 1
    assert copies["interval"] == pytest.approx((0.025 ** (1 / len(train)), 1))
    assert (
        share(np.clip(train.images + rng.integers(-3, 4, train.images.shape), 0, 255).astype(np.uint8))["value"] > 0.9
    )
    assert share(fresh)["value"] < 0.03  # the threshold is about the smallest of a few hundred distances
    assert share(np.concatenate([train.images[:200], fresh[:200]]))["value"] == pytest.approx(0.5, abs=0.02)
    assert copies["floor"] == pytest.approx({"duplicates": 51 / 200, "no-split": 0, "twice": 1}[kind], abs=0.005)


def test_duplicates_are_said(data_with: dict[str, Path]) -> None:
    train = data.load(str(data_with["duplicates"])).images
    of_duplicates = Reference(str(data_with["duplicates"]), Preprocessing(28, 1, "none"), None)
    record = measured(train, of_duplicates).record
    assert "50 of 200 test images are duplicates of training images" in " ".join(record["notes"])
    assert dict(text.summary(record))["memorisation"].startswith(
        "100.00 % of samples lie closer to a training image than the 0.1 % quantile of real images, more than real "
        "images do (25.50 %"
    )
    fresh = measured(data.load("mnist", "test").images[4000:4400], of_duplicates).record
    assert "no more than real images do" in dict(text.summary(fresh))["memorisation"]
    twice = measured(train, Reference(str(data_with["twice"]), Preprocessing(28, 1, "none"), None)).record
    assert "800 of 800 training images are duplicates of other training images" in " ".join(twice["notes"])


def test_a_subset_without_a_test_split_is_what_was_learned(data_with: dict[str, Path]) -> None:
    """The subset is the first images of the whole file, not of one half of it."""
    train = data.load(str(data_with["no-split"])).images
    against = Reference(str(data_with["no-split"]), Preprocessing(28, 1, "none"), None, subset=60)
    assert (against.learned.images == train[:60]).all()
    assert measured(train[:60], against).record["metrics"]["memorised_fraction"]["value"] == 1
    assert measured(train[60:], against).record["metrics"]["memorised_fraction"]["value"] < 0.02


@pytest.mark.parametrize(
    ("train", "test", "why"),
    [
        (np.zeros((30, 4, 4)), np.zeros((20, 4, 4)), "all test images are duplicates of training images"),
        (np.zeros((30, 4, 4)), None, "all training images are duplicates of other training images"),
        (np.full((1, 4, 4), 200), None, "there is 1 training image"),
    ],
)
def test_where_copies_cannot_be_told_it_is_said(train: Any, test: Any, why: str, tmp_path: Path) -> None:
    splits = {"x_train": train.astype(np.uint8)} | ({} if test is None else {"x_test": test.astype(np.uint8)})
    np.savez(tmp_path / "x.npz", **splits)
    found = measured(splits["x_train"][:, None], Reference(str(tmp_path / "x.npz"), Preprocessing(4, 1, "none"), None))
    record = found.record
    assert record["metrics"]["memorised_fraction"] == {"value": None, "interval": None, "floor": None, "n": len(train)}
    assert f"{why}: copies cannot be detected" in " ".join(record["notes"])
    assert "memorisation" not in dict(text.summary(record))
    json.dumps(record, allow_nan=False)
    assert [look.name for look in figures(found)] == ["evaluation-spectrum", "evaluation-nearest"]


def test_classes_that_the_training_images_lack(some_digits: Path) -> None:
    """With only 3 images learned, the class divergence of most samples is infinite, which JSON cannot express."""
    against = Reference(str(some_digits), Preprocessing(28, 1, "none"), judge_search.load("mnist"), subset=3)
    record = measured(data.load("mnist").images[:60], against).record
    assert record["metrics"]["class_kl"]["value"] is None
    assert "belong to classes that do not occur in the training images" in " ".join(record["notes"])
    json.dumps(record, allow_nan=False)


def test_folder_and_file_and_the_floor(some_digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder of PNG files gives the values of one file with the same images, whatever the order of the names."""
    the_judge = judge_search.load("mnist")
    monkeypatch.setattr(
        api_evaluate, "load_judge", lambda name: the_judge
    )  # also for the few digits: all of MNIST takes long
    train = Reference(str(some_digits), Preprocessing(28, 1, "none"), the_judge).training_images(150)
    folder = tmp_path / "pictures"
    for k, (image, label) in enumerate(zip(train.images, np.asarray(train.labels), strict=True)):
        (folder / str(label)).mkdir(parents=True, exist_ok=True)
        Image.fromarray(image[0]).save(folder / str(label) / f"{(k * 37) % 150:03d}.png")
    arguments: dict[str, Any] = {"against": str(some_digits)}
    np.savez(tmp_path / "file.npz", images=train.images, labels=train.labels)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="name the dataset to measure against"):
        genlab.evaluate(folder)
    found = genlab.evaluate(tmp_path / "file.npz", **arguments).record
    same = genlab.evaluate(folder, **arguments).record
    assert json.loads((folder / "evaluation.json").read_text()) == json.loads(json.dumps(same))
    assert (tmp_path / "file.evaluation.json").exists()
    for name in NAMES:
        assert same["metrics"][name]["value"] == pytest.approx(found["metrics"][name]["value"], rel=1e-9), name
    assert same["metrics"]["requested_class_accuracy"]["value"] > 0.98


@pytest.fixture(scope="session")
def watched(some_digits: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Run]:
    """Three runs of 40 steps that differ only in how they were evaluated."""
    from conftest import SMALL

    changes = {
        **SMALL,
        "data.name": str(some_digits),
        "budget.epochs": 1,
        "budget.max_steps": 40,
        "logging.sample_every": 20,
    }
    root = tmp_path_factory.mktemp("runs")
    return {
        kind: genlab.train(
            "quick-mnist",
            overrides={**changes, "logging.evaluation": kind},
            runs=root,
            name=kind,
            report=kind == "full",
        )
        for kind in ("none", "cheap", "full")
    }


def test_evaluations_do_not_change_the_training(watched: dict[str, Run]) -> None:
    def weights(run: Run) -> str:
        return hashlib.sha256((run.path / "checkpoints" / "step-000040" / "model.safetensors").read_bytes()).hexdigest()

    assert len({weights(run) for run in watched.values()}) == 1
    plain, cheap = (
        [{k: v for k, v in row.items() if k != "seconds"} for row in watched[kind].metrics()]
        for kind in ("none", "cheap")
    )
    measured = {*(column.name for column in COLUMNS), "loss_d_held_out"}
    assert [{k: v for k, v in row.items() if k not in measured} for row in cheap] == plain
    assert any("loss_d_held_out" in row for row in cheap)


def test_the_cheap_evaluation_is_in_the_rows_and_on_disk(watched: dict[str, Run]) -> None:
    run = watched["cheap"]
    assert run.steps("evaluations", ".json") == [20, 40]
    record = json.loads(run.file("evaluations", 20, ".json").read_text())
    row = next(row for row in run.metrics() if row["step"] == 20)
    assert row["sharpness_ratio"] == record["metrics"]["sharpness_ratio"]["value"]
    assert record["protocol"]["step"] == 20
    # Copies are searched for, since the training images are few.
    assert record["metrics"]["memorised_fraction"]["value"] == row["memorised_fraction"]
    assert run.evaluation is None
    assert watched["none"].steps("evaluations", ".json") == []


def test_the_full_evaluation_ends_a_training(watched: dict[str, Run]) -> None:
    run = watched["full"]
    record = run.evaluation
    assert record is not None
    assert record["protocol"]["samples"] == 10_000
    assert record["protocol"]["step"] == 40
    assert (run.path / "figures" / "evaluation-spectrum.png").exists()
    assert (run.path / "figures" / "evaluation-nearest.npz").exists()
    page = (run.path / "report.html").read_text()
    assert "How good it is" in page
    assert "Nearest training images" in page


def test_a_run_with_a_judge(watched: dict[str, Run]) -> None:
    """Requested classes, discriminator and interpolation are measured, repeatably; `run.evaluation` stays None."""
    run = watched["none"]
    found = run.evaluate(n=300, judge=judge_search.load("mnist")).record
    assert found == run.evaluate(n=300, judge=judge_search.load("mnist")).record
    assert run.evaluation is None
    assert 0 <= found["metrics"]["requested_class_accuracy"]["value"] <= 1
    d = found["discriminator"]
    assert d["accuracy"] == pytest.approx((d["accuracy_on_held_out_real"] + d["accuracy_on_generated"]) / 2)
    assert d["gap"] == pytest.approx(d["accuracy_on_training_real"] - d["accuracy_on_held_out_real"])
    assert found["interpolation"]["path_length_ratio"] >= 0
    assert all("discriminator_score" in row for row in found["classes"])
    other = run.evaluate(n=300, judge=judge_search.load("mnist"), seed=1).record
    assert other["metrics"] != found["metrics"]
    assert "running BatchNorm" in found["protocol"]["drawn_with"]
    assert "batch BatchNorm" in run.evaluate(n=50, batch_statistics=True).record["protocol"]["drawn_with"]


def test_what_a_discriminator_can_tell() -> None:
    """For logits with known answers: accuracy counts both kinds equally, and ranking needs no threshold."""
    rng = np.random.default_rng(0)
    held_out, trained_on, fake = rng.normal(1, 1, 4000), rng.normal(2, 1, 4000), rng.normal(-1, 1, 2000)
    found = models.discriminator(held_out, trained_on, fake)
    assert found["accuracy"] == pytest.approx(0.841, abs=0.02)  # Phi(1)
    assert found["gap"] == pytest.approx(0.977 - 0.841, abs=0.02)
    assert found["ranking"] == pytest.approx(0.921, abs=0.02)  # Phi(2 / sqrt 2)
    level = models.discriminator(held_out + 9, trained_on + 9, fake + 9)  # a drifted level, as with a relativistic loss
    assert level["accuracy"] == pytest.approx(0.5, abs=0.01)
    assert level["ranking"] == pytest.approx(found["ranking"])
    # The log-odds of N(1, 1) against N(-1, 1) are 2x: logits with these values are calibrated.
    honest = models.discriminator(2 * held_out, 2 * trained_on, 2 * fake)
    assert honest["calibration_error"] < 0.03
    assert models.discriminator(20 * held_out, trained_on, 20 * fake)["calibration_error"] > 0.1


def test_compare(watched: dict[str, Run]) -> None:
    root = watched["full"].path.parent
    with pytest.raises(UsageError, match="named twice"):
        genlab.compare(["full", "full"], runs=root)
    with pytest.raises(UsageError, match="two runs or more"):
        genlab.compare(["full"], runs=root)
    found = genlab.compare(["full", "cheap"], runs=root)
    assert found["full"]["metrics"] == found["cheap"]["metrics"]  # the same weights
    assert (watched["cheap"].path / "evaluations" / "evaluation.json").exists()
    shown = text.comparison(found)
    assert shown.columns == ("metric", "full", "cheap")


def test_runs_are_measured_against_their_own_data(watched: dict[str, Run]) -> None:
    run = watched["none"]
    with pytest.raises(UsageError, match="is measured against it; for another dataset save its images"):
        genlab.evaluate(run.path, against="fashion-mnist")
    with pytest.raises(UsageError, match="n is 0"):
        genlab.evaluate(run.path, n=0)
    with pytest.raises(UsageError, match="leave --resize out"):
        genlab.evaluate(run.path, resize="pad")
    with pytest.raises(UsageError, match="unknown run"):
        genlab.evaluate("no-such-run")


def test_a_classifier_has_no_images(some_digits: Path, tmp_path: Path) -> None:
    changes = {"data.name": str(some_digits), "budget.max_steps": 2, "logging.tensorboard": False}
    run = genlab.train("s4-classifier", overrides=changes, runs=tmp_path, report=False)
    with pytest.raises(UsageError, match="makes no images"):
        run.evaluate()
    other = evaluate.judge_of(run.path)
    assert other.sha256 != judge.PINNED["mnist"]


def test_a_vae_states_its_bound(some_digits: Path, tmp_path: Path) -> None:
    changes = {
        "data.name": str(some_digits), "budget.max_steps": 30, "logging.tensorboard": False,
        "engine.plan": "reference", "logging.evaluation": "none",
    }  # fmt: skip
    run = genlab.train("s4-vae", overrides=changes, runs=tmp_path, report=False)
    found = run.evaluate(n=60).record["vae"]
    assert found["negative_elbo"] == pytest.approx(found["reconstruction"] + found["kl"])
    # The bound with 64 weighted z is the tighter one; its interval and the other's value are both over 500 images.
    assert found["negative_log_likelihood"] <= found["negative_elbo"] + 0.5
    low, high = found["negative_log_likelihood_interval"]
    assert low <= found["negative_log_likelihood"] <= high
    assert found["n"] == 500
    assert found["negative_elbo"] > 784 / 2 * np.log(2 * np.pi)  # it includes the Gaussian's constant


def test_summary_in_words(against: Reference) -> None:
    train = against.training_images(300)
    copies = measured(train.images, against, train.labels).record
    said = dict(text.summary(copies))
    assert "1.0 x that of real images" in said["quality"]
    assert said["classes"] == "10 of 10 found"
    assert said["memorisation"] == (
        "100.00 % of samples lie closer to a training image than the 0.1 % quantile of real images"
    )
    noise = np.random.default_rng(0).integers(0, 256, (100, 1, 28, 28), np.uint8)
    assert dict(text.summary(measured(noise, against).record))["memorisation"].startswith("none")


@pytest.mark.slow
def test_accuracy_score_learns_from_the_images(against: Reference) -> None:
    """A classifier trained on 1,280 real digits reads the test split well; with wrong labels it does not."""
    from genlab.evaluation.cas import accuracy_score

    test = data.first(data.load("mnist", "test"), 300)
    train = data.first(data.load("mnist"), 1280)
    assert train.labels is not None
    good = accuracy_score(train.images, train.labels, test, 10)
    bad = accuracy_score(train.images, (train.labels * 7 + 3) % 10, test, 10)
    assert good.value > 0.75
    assert bad.value < 0.1
    first, again = (accuracy_score(train.images[:128], train.labels[:128], test, 10) for _ in range(2))
    assert first == again


def test_real_images_of_the_accuracy_score_lack_what_resizing_took(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both classifiers are tested on equally resized images, and that of the floor learns from such, too."""
    way = Preprocessing(14, 1, "bilinear")
    against = Reference("letters", way, None, most=100)
    found = Evaluation({"metrics": {}}, ImageSet(against.training_images(80).images[40:], None, against.judge), against)
    given = []

    def score(images: Images, labels: Labels, test: data.Dataset, classes: int) -> Estimate:
        given.append((images, test.images, classes))
        return Estimate(0.5, None)

    monkeypatch.setattr("genlab.evaluation.cas.accuracy_score", score)
    api_evaluate._with_score(found, found.fake.images, np.zeros(40, np.int64))
    (mine, test, _), (floor, same, classes) = given
    assert mine is found.fake.images
    assert (floor == way.there_and_back(against.training_images(40))).all()
    assert not (floor == against.training_images(40).images).all()
    assert (test == same).all()
    assert (test == way.there_and_back(data.load("letters", "test"))).all()
    assert classes == 26


def test_metrics_of_one_batch_or_many(against: Reference) -> None:
    """The judge reads images in parts, and which part an image is in does not matter."""
    images = against.training_images(700).images
    reader = judge_search.load("mnist")
    assert reader is not None
    whole, parts = reader(images)[0], np.concatenate([reader(images[k : k + 90])[0] for k in range(0, 700, 90)])
    real = against.real.features
    assert metrics.frechet_distance(real, parts) == pytest.approx(metrics.frechet_distance(real, whole), rel=1e-4)


def test_a_model_is_asked_only_for_classes_that_it_learned(tmp_path: Path) -> None:
    """A subset of sorted data has a part of the classes; the others were never shown to the model."""
    sorted_by_class = np.argsort(data.load("mnist").labels[:600], kind="stable")  # type: ignore[index]
    images, labels = data.load("mnist").images[sorted_by_class], np.sort(data.load("mnist").labels[:600])  # type: ignore[index]
    np.savez(tmp_path / "sorted.npz", x_train=images, y_train=labels, x_test=images, y_test=labels)
    way = Preprocessing(28, 1, "none")
    asked = Reference(str(tmp_path / "sorted.npz"), way, None, subset=100).requests(50)
    assert asked is not None
    assert set(asked) <= {0, 1}
    whole = Reference(str(tmp_path / "sorted.npz"), way, None)
    assert (whole.requests(50) == whole.training_images(50).labels).all()  # type: ignore[union-attr]


def test_few_images_of_a_sorted_split_are_of_all_classes() -> None:
    labels = np.repeat(np.arange(10), 100)
    split = data.Dataset("x", "test", np.zeros((1000, 1, 4, 4), np.uint8), labels, tuple("0123456789"), "0" * 64)
    assert np.bincount(few_of(split, 50).labels).tolist() == [5] * 10  # type: ignore[arg-type]
    mixed = replace(split, labels=np.roll(labels, 1))
    assert (few_of(mixed, 50).labels == mixed.labels[:50]).all()  # type: ignore[index]
    assert even_rows(5, 9).tolist() == [0, 1, 2, 3, 4]
    assert even_rows(10, 4).tolist() == [0, 3, 6, 9]


def test_a_subset_is_what_could_be_copied(some_digits: Path) -> None:
    """A model that learned 50 images can have copied only those; the floor is drawn from all."""
    against = Reference(str(some_digits), Preprocessing(28, 1, "none"), judge_search.load("mnist"), subset=50)
    images = data.load(str(some_digits)).images
    assert len(against.learned) == 50
    assert len(against.training_images(400)) == 400
    assert measured(images[:50], against).record["metrics"]["memorised_fraction"]["value"] == 1
    assert measured(images[1000:1300], against).record["metrics"]["memorised_fraction"]["value"] < 0.02


def test_a_file_that_changed_is_read_again(tmp_path: Path) -> None:
    train = data.load("mnist").images
    for part in (train[:60], train[60:120]):
        np.savez(tmp_path / "own.npz", x_train=part[:30], x_test=part[30:])
        against = Reference(str(tmp_path / "own.npz"), Preprocessing(28, 1, "none"), None)
        assert (against.real.images == part[30:]).all()


SHORT: dict[str, Any] = {
    "engine.plan": "reference", "budget.batch": 16, "budget.epochs": 1, "budget.max_steps": 2,
    "logging.tensorboard": False,
}  # fmt: skip
NARROW: dict[str, Any] = {"networks.generator.ngf": 4, "networks.discriminator.ndf": 4}


@pytest.fixture(scope="session")
def odd_data(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Files with an unlabelled test split, images of a single pixel, black images, and a test split of one image."""
    train, test = data.load("mnist"), data.load("mnist", "test")
    x, y, held_out = train.images[:160, 0], np.asarray(train.labels)[:160], test.images[:50, 0]
    folder = tmp_path_factory.mktemp("odd")
    np.savez(folder / "unlabelled.npz", x_train=x, y_train=y, x_test=held_out)
    np.savez(folder / "pixel.npz", x_train=x[:, 14:15, 14:15], y_train=y, x_test=held_out[:, 14:15, 14:15])
    np.savez(folder / "black.npz", x_train=x * 0, y_train=y, x_test=held_out * 0, y_test=y[:50])
    np.savez(folder / "one.npz", x_train=x, y_train=y, x_test=held_out[:1], y_test=y[:1])
    return {path.stem: path for path in folder.glob("*.npz")}


@pytest.mark.parametrize("kind", ["unlabelled", "pixel", "black", "one"])
def test_a_conditional_training_ends_well_on_odd_data(
    kind: str, odd_data: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Training, evaluation and report succeed; one image read by a judge gives numbers, or null with a note."""
    changes = {**SHORT, **NARROW, "data.name": str(odd_data[kind]), "logging.evaluation": "none"}
    monkeypatch.setattr(kept, "FULL", 20)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "the test split of .* has no labels")
        warnings.filterwarnings("ignore", "all pixels of the training images have the same value")
        warnings.filterwarnings("ignore", "data.resize pad puts a black frame around images on a light background")
        run = genlab.train("quick-mnist", overrides=changes, runs=tmp_path)
        record = run.evaluate(n=20).record
        assert "How good it is" in run.report().read_text()
        reader = None if kind == "pixel" else judge_search.load("mnist")
        one = run.evaluate(n=1, judge=reader, keep=False).record
    json.dumps(one, allow_nan=False)
    notes = " ".join(record["notes"])
    if kind in ("unlabelled", "pixel"):
        assert "the test split has no labels, which the discriminator needs" in notes
        assert "discriminator" not in record
    else:
        assert 0 <= record["discriminator"]["ranking"] <= 1
    if kind in ("black", "one"):
        assert "latent interpolation cannot be measured" in " ".join(one["notes"])
        assert "interpolation" not in one


@pytest.mark.parametrize("recipe", ["cvae", "s4-classifier"])
def test_other_families_do_without_labels_of_the_test_split(
    recipe: str, odd_data: dict[str, Path], tmp_path: Path
) -> None:
    changes = {**SHORT, "data.name": str(odd_data["unlabelled"])}
    if recipe == "cvae":
        changes["logging.evaluation"] = "none"
    with pytest.warns(UserWarning, match=r"the test split of .* has no labels \(y_test\): it cannot be used"):
        run = genlab.train(recipe, overrides=changes, runs=tmp_path)
    assert (run.path / "report.html").exists()
    if recipe == "cvae":
        record = run.evaluate(n=20).record
        assert "no labels in the test split, which the encoder needs" in " ".join(record["notes"])
        assert "vae" not in record
    else:
        with pytest.warns(UserWarning, match="has no labels"):
            assert "train images" in run.confusion().caption


def test_a_discriminator_of_packs_needs_a_pack(odd_data: dict[str, Path], tmp_path: Path) -> None:
    changes = {**SHORT, **NARROW, "data.name": str(odd_data["one"]), "logging.evaluation": "none"}
    run = genlab.train("s2-dcgan", overrides={**changes, "objective.packing": 2}, runs=tmp_path, report=False)
    record = run.evaluate(n=1, keep=False).record
    assert "the discriminator needs 2 images of each kind" in " ".join(record["notes"])
    json.dumps(record, allow_nan=False)
