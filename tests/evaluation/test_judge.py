"""Judges: pinned, small, accurate, calibrated; their distance answers to content and not to printing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from genlab import data
from genlab.errors import DataError, UsageError
from genlab.evaluation import judge, judge_search, metrics
from genlab.evaluation.judge import Judge
from genlab.evaluation.judge_trial import DISTURBANCES, disturbed

ACCURACY = {"mnist": 0.994, "fashion-mnist": 0.92}


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
    assert features.shape == (10_000, 64)
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
    """1,000 training images against 1,667 test images: stronger disturbances are further away, and a background of
    0.075 (-0.85 in [-1, 1]), hardly visible, weighs less than one missing class, several times over."""
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


def test_no_judge_of_own_data() -> None:
    assert judge_search.load("mine.npz") is None


def test_the_same_weights_give_the_same_file() -> None:
    content = judge.file_of("mnist").read_bytes()
    found = judge.from_bytes(content, "mnist")
    recipe = judge.recipe_in(content)
    assert judge.to_bytes(found.network, recipe, found.class_names) == content
