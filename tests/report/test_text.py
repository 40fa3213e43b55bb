"""Evaluations in words."""

from __future__ import annotations

from typing import Any

import pytest

from genlab.evaluation.alike import unlike
from genlab.evaluation.catalogue import NAMES
from genlab.evaluation.random_features import NAME as RANDOM
from genlab.report import text


def record(floor: float, missing: float = 0.0, classes: int = 0, **protocol: Any) -> dict[str, Any]:
    entry = {"value": 2.0, "interval": None, "floor": floor, "n": 10}
    metrics = {name: dict(entry) for name in NAMES}
    metrics["missing_classes"]["value"] = missing
    told = {
        "samples": 10, "real_images": 10, "split": "test", "dataset": "mnist", "judge": None, "size": "as they are",
        "intervals": "95 %", **protocol,
    }  # fmt: skip
    return {"protocol": told, "metrics": metrics, "classes": [{"class": str(k)} for k in range(classes)], "notes": []}


def test_runs_that_were_drawn_or_resized_differently_say_so() -> None:
    records = {
        "gan": record(0.4, drawn_with="EMA weights", size="padded"),
        "other": record(0.4, drawn_with="EMA weights", size="padded"),
        "vae": record(0.3, drawn_with="last weights", size="bilinear"),
    }
    said = text.measured(records)
    assert "; gan, other: EMA weights; vae: last weights; " in said
    assert "size: gan, other: padded; vae: bilinear." in said
    table = text.comparison(records, real=True)
    assert table.columns == ("metric", *records, "real images as for gan, other", "real images as for vae")
    assert [row[-2:] for row in table.rows if row[0] == text.title("frechet_distance")] == [("0.40", "0.30")]


def test_runs_that_were_measured_alike_have_one_column_of_real_images() -> None:
    records = {"a": record(0.4), "b": record(0.4)}
    assert text.comparison(records, real=True).columns == ("metric", "a", "b", "real images")
    assert "as they are; size: as they are." in text.measured(records)


@pytest.mark.parametrize(
    ("protocol", "said"),
    [
        ({"judge": {"name": RANDOM}, "real_images": 6}, "in features of a fixed random network, as the dataset has no "
         "judge; against only 6 test images"),
        ({"judge": {"name": RANDOM}, "real_images": 2000, "split": "train"}, "in features of a fixed random network, "
         "as the dataset has no judge; against 2,000 training images"),
        ({"judge": {"name": "mnist"}, "real_images": 1}, "against only 1 test image"),
        ({"judge": {"name": "mnist"}, "real_images": 10_000}, None),
    ],
)  # fmt: skip
def test_a_summary_says_how_a_rough_distance_was_measured(protocol: dict[str, Any], said: str | None) -> None:
    assert dict(text.summary(record(0.4, **protocol))).get("measured") == said


def test_what_cannot_be_compared() -> None:
    same = {"a": record(0.4), "b": record(0.4, size="padded", drawn_with="EMA weights")}
    assert unlike(same) == ""
    assert unlike({**same, "c": record(0.4, samples=20)}) == "they differ in samples: a: 10; b: 10; c: 20"


def test_classes_are_counted_even_if_there_are_too_many_for_a_table() -> None:
    assert dict(text.summary(record(0.4, missing=3, classes_in_data=120)))["classes"] == "117 of 120 found"
    assert dict(text.summary(record(0.4, missing=3, classes=10)))["classes"] == "7 of 10 found"
