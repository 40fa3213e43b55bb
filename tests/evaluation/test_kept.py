"""Records beside images: one of the same protocol is replaced, one of another protocol is kept beside it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from genlab.evaluation import kept
from genlab.evaluation.catalogue import NAMES


def record(
    value: float,
    dataset: str = "mnist",
    judge: str | None = "mnist",
    size: str = "as they are",
    train: str | None = None,
) -> dict[str, Any]:
    protocol: dict[str, Any] = {
        "of": "images",
        "samples": 10,
        "dataset": dataset,
        "split": "test",
        "real_images": 10,
        "size": size,
        "judge": None if judge is None else {"name": judge, "sha256": 64 * judge[0]},
        "floor": "",
        "intervals": "",
    }
    if train is not None:
        protocol["fingerprints"] = {"train": train, "test": None}
    entry = {"value": value, "interval": [0.0, value], "floor": 0.5, "n": 10}
    return {"protocol": protocol, "metrics": {name: dict(entry) for name in NAMES}, "classes": [], "notes": []}


def value(path: Path) -> float:
    return float(json.loads(path.read_text("utf-8"))["metrics"][NAMES[0]]["value"])


@pytest.mark.parametrize("folder", [True, False])
def test_another_protocol_stands_beside_the_first(folder: bool, tmp_path: Path) -> None:
    images = tmp_path / ("images" if folder else "images.npz")
    if folder:
        images.mkdir()
    first = kept.keep_beside(images, record(1.0))
    assert first == (images / "evaluation.json" if folder else tmp_path / "images.evaluation.json")
    others = [
        kept.keep_beside(images, record(2.0, judge="own")),
        kept.keep_beside(images, record(3.0, dataset="data/fashion-mnist")),
        kept.keep_beside(images, record(4.0, judge=None)),
        kept.keep_beside(images, record(5.0, size="64 px, interpolated back (bilinear)")),
    ]
    assert [value(path) for path in (first, *others)] == [1.0, 2.0, 3.0, 4.0, 5.0]
    assert len({first, *others}) == 5
    assert others[0].name.endswith("evaluation-mnist-own-oooooooo-as-they-are.json")
    assert kept.keep_beside(images, record(6.0)) == first
    assert kept.keep_beside(images, record(7.0, judge="own")) == others[0]
    assert (value(first), value(others[0])) == (6.0, 7.0)


def test_datasets_of_one_name_do_not_replace_each_other(tmp_path: Path) -> None:
    """They differ in their images alone: no judge tells them apart. A record of an older version, which did not write
    fingerprints, is replaced by one of a dataset of its name."""

    def keep(value: float, train: str | None) -> Path:
        return kept.keep_beside(tmp_path, record(value, "photos.npz", None, train=train))

    paths = [keep(k, train) for k, train in enumerate(("a" * 64, "b" * 64, "c" * 64))]
    assert [value(path) for path in paths] == [0, 1, 2]
    assert paths[2].name.endswith("-cccccccc.json")
    assert [keep(10 + k, train) for k, train in enumerate(("a" * 64, "b" * 64, "c" * 64))] == paths
    assert keep(20, None) == paths[0] == keep(21, "d" * 64)


def test_an_accuracy_score_stays_with_the_same_images(tmp_path: Path) -> None:
    scored = record(1.0)
    scored["metrics"][kept.ACCURACY_SCORE] = {"value": 0.9, "interval": None, "floor": 0.99, "n": 10}
    path = kept.keep_beside(tmp_path, scored)
    kept.keep_beside(tmp_path, record(1.0))
    assert json.loads(path.read_text("utf-8"))["metrics"][kept.ACCURACY_SCORE]["value"] == 0.9
    kept.keep_beside(tmp_path, record(2.0))
    assert kept.ACCURACY_SCORE not in json.loads(path.read_text("utf-8"))["metrics"]


def test_a_file_that_is_no_record_is_no_obstacle(tmp_path: Path) -> None:
    for content in ("", "[]", "{", '{"protocol": 1}'):
        (tmp_path / "evaluation.json").write_text(content)
        assert kept.keep_beside(tmp_path, record(1.0)) == tmp_path / "evaluation.json"
        assert value(tmp_path / "evaluation.json") == 1.0
