"""Stacked MNIST: three digits as channels, and the counts of its thousand modes."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from genlab import data
from genlab.data.stacked import SAMPLES, names, shares, stack
from genlab.errors import DataError
from genlab.evaluation import judge_search, metrics
from genlab.evaluation.by_class import modes


def test_channels_are_digits_and_the_label_is_theirs() -> None:
    digits = data.load("mnist", "test")
    assert digits.labels is not None
    stacked = stack(data.first(digits, 500))
    assert stacked.images.shape == (500, 3, 28, 28)
    assert stacked.labels is not None
    known = {image.tobytes(): label for image, label in zip(digits.images[:500, 0], digits.labels, strict=False)}
    for image, label in zip(stacked.images[:100], stacked.labels, strict=False):
        a, b, c = (known[channel.tobytes()] for channel in image)
        assert label == 100 * a + 10 * b + c
        assert stacked.class_names[label] == f"{a}{b}{c}"


def test_built_in(monkeypatch: pytest.MonkeyPatch) -> None:
    stacked = data.load("stacked-mnist", "test")
    assert stacked.images.shape == (10_000, 3, 28, 28)
    assert len(stacked.class_names) == 1000
    assert names(tuple("0123456789"))[123] == "123"
    broken = {**data.BUILTIN["stacked-mnist"].sha256, "test": "0" * 64}
    monkeypatch.setitem(data.BUILTIN["stacked-mnist"].sha256, "test", broken["test"])
    with pytest.raises(DataError, match="draws different triples"):
        data.load("stacked-mnist", "test")


def test_shares_are_those_of_independent_digits() -> None:
    digits = data.load("mnist")
    joint = shares(digits)
    assert joint.sum() == pytest.approx(1)
    assert joint[777] == pytest.approx((np.asarray(digits.labels) == 7).mean() ** 3)


def test_the_mode_counter_on_real_triples() -> None:
    """All 1000 modes found; KL is 999 / 52,000 = .019 to the data's own distribution, about .0235 to a uniform one."""
    digits = data.load("mnist")
    own = shares(digits)
    drawn = []
    for seed in (1, 2, 3):
        rows = np.random.default_rng(seed).integers(60_000, size=(SAMPLES, 3))
        labels = np.asarray(digits.labels)[rows] @ [100, 10, 1]
        assert len(np.unique(labels)) == 1000
        drawn.append((metrics.class_divergence(labels, own), metrics.class_divergence(labels, np.full(1000, 1e-3))))
    found = np.mean(drawn, axis=0)
    assert found[0] == pytest.approx(0.0192, abs=0.001)
    assert found[1] == pytest.approx(0.0235, abs=0.001)


def test_the_judge_reads_each_channel() -> None:
    stacked = data.first(data.load("stacked-mnist", "test"), 300)
    reader, single = judge_search.load("stacked-mnist"), judge_search.load("mnist")
    assert reader is not None
    assert single is not None
    features, logits = reader(stacked.images)
    alone = [single(stacked.images[:, c : c + 1]) for c in range(3)]
    assert features == pytest.approx(np.concatenate([f for f, _ in alone], axis=1), abs=1e-4)
    classes = sum(10**power * found[1].argmax(1) for power, found in zip((2, 1, 0), alone, strict=True))
    assert (logits.argmax(1) == classes).all()
    assert (logits.argmax(1) == stacked.labels).mean() > 0.97
    joint = metrics.softmax(alone[0][1])[:, 4] * metrics.softmax(alone[1][1])[:, 0] * metrics.softmax(alone[2][1])[:, 7]
    assert metrics.softmax(logits)[:, 407] == pytest.approx(joint, rel=1e-3, abs=1e-9)


def test_modes_are_counted_over_26000_images_however_many_there_are() -> None:
    """More images would find more modes, so counts are comparable only at the field's usual N."""
    late = np.r_[np.arange(26_000) % 999, np.full(4_000, 999)]
    fake: Any = FakeSeen(late)
    against: Any = SimpleNamespace(dataset="stacked-mnist", shares=np.full(1000, 1e-3))
    found = modes(fake, against)
    assert found is not None
    assert (found["found"], found["of"], found["n"]) == (999, 1000, 26_000)


class FakeSeen:
    judge = SimpleNamespace(tells_classes=True)

    def __init__(self, classes: Any) -> None:
        self.classes = classes

    def __len__(self) -> int:
        return len(self.classes)
