"""Judges are pinned, small, accurate and calibrated; their distance responds to content, not to printing."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from genlab import data
from genlab.api.evaluate import _remarks
from genlab.api.judge import train_judge
from genlab.errors import DataError, UsageError
from genlab.evaluation import judge, judge_search, metrics
from genlab.evaluation.judge import Judge, training_command
from genlab.evaluation.judge_trial import DISTURBANCES, disturbed

ACCURACY = {"mnist": 0.994, "fashion-mnist": 0.92, "letters": 0.999}


def the_judge(name: str) -> Judge:
    found = judge_search.load(name)
    assert found is not None
    return found


@pytest.mark.parametrize("name", judge.PINNED)
def test_in_the_package_under_a_megabyte(name: str) -> None:
    assert judge.file_of(name).stat().st_size < 1_000_000
    found = the_judge(name)
    assert found.sha256 == judge.PINNED[name]
    assert found.class_names == data.BUILTIN[name].class_names


@pytest.mark.parametrize("name", judge.PINNED)
def test_accurate_and_calibrated(name: str) -> None:
    test = data.load(name, "test")
    features, logits = the_judge(name)(test.images)
    assert features.shape == (len(test), 64)
    assert features.dtype == logits.dtype == np.float32
    right = logits.argmax(1) == test.labels
    assert right.mean() >= ACCURACY[name]
    assert metrics.calibration_error(metrics.softmax(logits).max(1), right) < 0.02


def test_batches_do_not_matter() -> None:
    images = data.load("mnist", "test").images[:700]
    found = the_judge("mnist")
    whole, _ = found(images)
    parts = np.concatenate([found(images[:333])[0], found(images[333:])[0]])
    assert parts == pytest.approx(whole, abs=1e-4)


@pytest.mark.parametrize("name", ["mnist", pytest.param("fashion-mnist", marks=pytest.mark.slow)])
def test_the_distance_answers_to_content(name: str) -> None:
    """1,000 training images against 1,667 test images: the distance grows with a disturbance, and a hardly visible
    background of 0.075 (-0.85 in [-1, 1]) adds less than a quarter of the distance for one missing class."""
    found, train = the_judge(name), data.load(name)
    assert train.labels is not None
    train = replace(train, images=train.images[::60], labels=train.labels[::60])
    reference = found(data.load(name, "test").images[::6])[0]  # MNIST's first half is the easier one

    def distance(kind: str, strength: float) -> float:
        return metrics.frechet_distance(reference, found(disturbed(train, kind, strength))[0])

    plain = metrics.frechet_distance(reference, found(train.images)[0])
    for kind, (_, strengths) in DISTURBANCES.items():
        answers = [distance(kind, strength) for strength in (strengths[2], strengths[3], strengths[-1])]
        assert plain < answers[0] < answers[1], kind
        assert answers[1] < answers[2], kind
    assert distance("background", 0.075) - plain < distance("classes dropped", 1) / 4


def test_a_changed_file_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = bytearray(judge.file_of("mnist").read_bytes())
    content[-1000] ^= 1
    (tmp_path / "mnist.safetensors").write_bytes(content)
    monkeypatch.setattr(judge, "file_of", lambda name: tmp_path / f"{name}.safetensors")
    judge.packaged.cache_clear()
    try:
        with pytest.raises(DataError, match=r"was changed: sha256 .* install genlab again"):
            judge_search.load("mnist")
    finally:
        judge.packaged.cache_clear()


@pytest.mark.parametrize("content", [b"", b"abc", b"\xff" * 100, b"\x02\0\0\0\0\0\0\0{}"])
def test_what_is_no_judge(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "no.safetensors").write_bytes(content)
    with pytest.raises(DataError, match="damaged, or not a judge"):
        judge.read(tmp_path / "no.safetensors", "no")
    with pytest.raises(DataError, match="No such file"):
        judge.read(tmp_path / "missing", "no")


def test_every_truncation_is_noticed() -> None:
    content = judge.file_of("mnist").read_bytes()
    for end in range(0, len(content), 40_009):
        with pytest.raises(DataError):
            judge.from_bytes(content[:end], "cut")


def test_images_of_another_form_are_refused() -> None:
    with pytest.raises(UsageError, match=r"judge mnist takes images of shape \(1, 28, 28\), not \(3, 32, 32\)"):
        the_judge("mnist")(np.zeros((2, 3, 32, 32), np.uint8))


def test_no_judge_of_own_data(digits: Path) -> None:
    assert judge_search.load(str(digits)) is None


def kept(path: Path, images: int) -> Path:
    """Path of the letters judge, kept as the judge of the first `images` letters, which are saved at `path`."""
    letters = data.load("letters")
    np.savez(path, x_train=letters.images[:images], y_train=letters.labels[:images])  # type: ignore[index]
    fingerprint = data.load(str(path)).fingerprint
    package = the_judge("letters")
    recipe = judge.recipe_in(judge.file_of("letters").read_bytes())
    content = judge.to_bytes(package.network, recipe, package.class_names, fingerprint)
    return judge_search.keep(str(path), fingerprint, content)


def test_a_judge_beside_the_data_is_found_and_another_one_is_not_used(tmp_path: Path) -> None:
    path = tmp_path / "mine.npz"
    assert kept(path, 800) == tmp_path / "mine.judge.safetensors"
    found = judge_search.load(str(path))
    assert found is not None
    assert found.name == "mine"
    assert (found(data.load(str(path)).images[:5])[0] == the_judge("letters")(data.load(str(path)).images[:5])[0]).all()
    np.savez(path, x_train=data.load("letters").images[:700], y_train=data.load("letters").labels[:700])  # type: ignore[index]
    with pytest.warns(UserWarning, match=r"mine.judge.safetensors: this judge was trained on other .* it is ignored"):
        assert judge_search.load(str(path)) is None
    (tmp_path / "mine.judge.safetensors").write_bytes(b"x")
    with pytest.warns(UserWarning, match="damaged, or not a judge.*it is ignored"):
        assert judge_search.load(str(path)) is None


def test_where_nothing_may_be_written_it_goes_to_the_users_folder_and_the_newest_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "share"))
    monkeypatch.setattr(judge_search, "is_writable", lambda folder: folder != tmp_path)
    path = tmp_path / "mine.npz"
    place = kept(path, 800)
    assert place.parent == tmp_path / "share" / "genlab" / "judges"
    assert judge_search.load(str(path)) is not None
    monkeypatch.setattr(judge_search, "is_writable", lambda folder: True)
    os.utime(place, (1, 1))
    beside = kept(path, 800)
    with pytest.warns(UserWarning, match=f"has 2 judges; the newest is used: {beside}"):
        assert judge_search.load(str(path)) is not None


def test_some_classes_are_judged_between_themselves() -> None:
    """Some classes of MNIST have MNIST's judge, restricted to these classes."""
    some = judge_search.load("mnist[3,8]")
    assert some is not None
    images = data.load("mnist", "test").images[:300]
    logits, whole = some(images)[1], the_judge("mnist")(images)[1]
    assert logits.shape == (300, 2)
    assert np.exp(logits).sum(1) == pytest.approx(1, abs=1e-5)
    assert (logits[:, 0] - logits[:, 1]) == pytest.approx(whole[:, 3] - whole[:, 8], abs=1e-4)


def test_a_selection_of_classes_gets_no_judge_of_its_own(tmp_path: Path) -> None:
    """It would replace that of the whole dataset, and nothing would look for it."""
    path = tmp_path / "mine.npz"
    kept(path, 800)
    before = (tmp_path / "mine.judge.safetensors").read_bytes()
    with pytest.raises(UsageError, match=r"is part of .*mine\.npz, whose judge is used for it"):
        train_judge(f"{path}[0,1]")
    assert (tmp_path / "mine.judge.safetensors").read_bytes() == before
    assert judge_search.load(f"{path}[0,1]") is not None
    assert training_command("mine.npz[0,1]") == training_command("mine.npz") == "genlab judge train mine.npz"


@pytest.mark.parametrize(("classes", "accuracy", "guesses"), [(2, 0.999, False), (2, 0.52, True), (10, 0.15, True)])
def test_a_judge_that_guesses_is_named(classes: int, accuracy: float, guesses: bool) -> None:
    made = {"class_names": [str(k) for k in range(classes)]}
    run: Any = SimpleNamespace(
        path=Path("j"),
        provenance={"data": made},
        status={"state": "finished"},
        recipe=SimpleNamespace(data=SimpleNamespace(name="x")),
        metrics=lambda: [{"test_accuracy": accuracy}],
    )
    assert ("close to chance" in _remarks(run)[0]) is guesses


def test_the_same_weights_give_the_same_file() -> None:
    content = judge.file_of("mnist").read_bytes()
    found = judge.from_bytes(content, "mnist")
    recipe = judge.recipe_in(content)
    assert judge.to_bytes(found.network, recipe, found.class_names) == content
