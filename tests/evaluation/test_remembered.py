"""What is remembered of real images changes no number, and is not used where it could be wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from genlab import data
from genlab.data.preprocessing import Preprocessing
from genlab.engine import threads
from genlab.evaluation import remembered
from genlab.evaluation.image_set import Reference, Samples
from genlab.evaluation.judge import Judge
from genlab.evaluation.judge_search import load as load_judge
from genlab.evaluation.measure import measure

WAY = Preprocessing(28, 1, "none")


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "genlab" / "real"


@pytest.fixture
def images(tmp_path: Path) -> str:
    """300 training and 200 test digits as a user's file."""
    train, test = data.load("mnist"), data.load("mnist", "test")
    path = tmp_path / "some.npz"
    assert train.labels is not None
    assert test.labels is not None
    np.savez(
        path,
        x_train=train.images[:300],
        y_train=train.labels[:300],
        x_test=test.images[:200],
        y_test=test.labels[:200],
    )
    return str(path)


def found(dataset: str, n: int = 100, judge: str | None = "mnist") -> dict[str, Any]:
    """Record of the last n test digits, measured against a dataset."""
    test = data.load("mnist", "test")
    assert test.labels is not None
    samples = Samples(test.images[-n:], test.labels[-n:].astype(np.int64), {"of": "digits"}, WAY)
    return measure(samples, Reference(dataset, WAY, load_judge(judge) if judge else None)).record


def judged(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Number of images that the judge is shown in each call from now on."""
    shown, call = list[int](), Judge.__call__

    def counting(self: Judge, of: Any) -> Any:
        shown.append(len(of))
        return call(self, of)

    monkeypatch.setattr(Judge, "__call__", counting)
    return shown


def test_the_same_numbers_and_real_images_are_judged_once(images: str, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = judged(monkeypatch)
    first = found(images)
    assert sorted(shown) == [100, 100, 200]
    shown.clear()
    assert found(images) == first
    assert shown == [100], "the samples alone"
    with remembered.anew():
        assert found(images) == first
    assert sorted(shown) == [100, 100, 100, 200]


def test_other_images_ways_and_numbers_are_others(images: str, place: Path) -> None:
    found(images)
    before = len(list(place.iterdir()))
    found(images, 90)
    assert len(list(place.iterdir())) == before + 1, "the floor of another number of images"
    key = Reference(images, WAY, load_judge("mnist")).key
    assert key == Reference(images, WAY, load_judge("mnist")).key
    others = [
        Reference(images, Preprocessing(28, 1, "bilinear"), load_judge("mnist")),
        Reference(images, WAY, None),
        Reference(images, WAY, load_judge("mnist"), most=50),
        Reference(images, WAY, load_judge("mnist"), subset=200),
        Reference("mnist", WAY, load_judge("mnist")),
    ]
    assert len({key, *(other.key for other in others)}) == 6


def test_other_code_and_another_machine_are_others(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = {remembered.key("x"), remembered.key("y")}
    with monkeypatch.context() as patch:
        patch.setattr(remembered, "_code", lambda: "changed")
        keys.add(remembered.key("x"))
    with monkeypatch.context() as patch:
        patch.setattr(threads, "instructions", lambda: {"capability": "other"})
        keys.add(remembered.key("x"))
    assert len(keys) == 4


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 not a zip", None])
def test_a_damaged_file_is_written_again(content: bytes | None, images: str, place: Path) -> None:
    first = found(images)
    whole = {file: file.read_bytes() for file in place.iterdir()}
    for file, was in whole.items():
        file.write_bytes(was[: len(was) // 2] if content is None else content)
    assert found(images) == first
    assert {file: file.read_bytes() for file in place.iterdir()} == whole


def test_without_a_place_nothing_is_kept(images: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    first = found(images)
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(remembered, "cache_folder", lambda: tmp_path / "file" / "genlab")
    assert found(images) == first


def test_what_was_written_longest_ago_goes(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remembered, "MOST_BYTES", 3000)
    for k in range(5):
        remembered.recalled(f"k{k}", lambda: {"x": np.zeros(1000, np.uint8)})
        (place / f"k{k}.npz").touch()
    assert sorted(file.stem for file in place.iterdir()) == ["k3", "k4"]


def test_what_could_not_be_had_is_not_had_later(images: str) -> None:
    first, again = found(images, judge=None), found(images, judge=None)
    floors = {name: entry["floor"] for name, entry in first["metrics"].items()}
    assert floors == {name: entry["floor"] for name, entry in again["metrics"].items()}
    assert floors["frechet_distance"] is not None
    assert floors["class_kl"] is None, "the random network tells no classes"
