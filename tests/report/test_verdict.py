"""What a page says first is true, whatever the numbers are."""

from __future__ import annotations

from typing import Any

import pytest

import genlab
from genlab.evaluation.catalogue import NAMES
from genlab.report.verdict import Class, classes_of, classes_table, named_rightly, verdict

GAN = genlab.load_recipe("quick-mnist")


def record(**values: float | None) -> dict[str, Any]:
    """An evaluation in which every metric is 1 for real images, and has these values for samples."""
    found = {name: {"value": values.get(name), "interval": None, "floor": 1.0, "n": 100} for name in NAMES}
    return {"metrics": found, "classes": [], "protocol": {"judge": None, "samples": 100}}


def row(step: int, **values: float) -> dict[str, Any]:
    return {"step": step, "epoch": step / 10, "images": step, "seconds": 1.0 * step, **values}


def test_distance_classes_and_copies() -> None:
    found = record(frechet_distance=3.9, missing_classes=0, memorised_fraction=0.001)
    found["classes"] = [
        {"class": "cat", "requested_class_accuracy": 0.99},
        {"class": "dog", "requested_class_accuracy": 0.5},
    ]
    said = verdict(GAN, [row(20)], found, classes_of(found)).sentence
    assert said == (
        "The Frechet distance of its images to real ones is 3.9 times that of other real images (100 of each); all 2 "
        "classes are present; the weakest is dog (50.0 % of those requested are read as such); no copies of training "
        "images were found."
    )


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"frechet_distance": 1.0}, "is no larger than that of other real images"),
        ({"frechet_distance": 362.7}, "is 363 times that"),
        ({"frechet_distance": 2.0, "sharpness_ratio": 0.2}, "they are blurred (sharpness 0.20 of that of real images)"),
        ({"frechet_distance": 2.0, "grain_ratio": 2.0}, "they are noisy (grain 2.00 times that of real images)"),
        ({"frechet_distance": None}, "unknown, since this dataset has no judge"),
        ({"frechet_distance": 2.0, "missing_classes": 3}, "3 classes are missing"),
    ],
)
def test_what_else_it_may_say(values: dict[str, float | None], words: str) -> None:
    assert words in verdict(GAN, [row(20)], record(**values), []).sentence


def test_an_evaluation_of_earlier_weights_is_said_to_be_one() -> None:
    found = record(frechet_distance=2.0)
    found["protocol"]["step"] = 20
    assert "measured at step" not in verdict(GAN, [row(20)], found, []).sentence
    later = verdict(GAN, [row(20), row(1030)], found, []).sentence
    assert "; this was measured at step 20, and the run has gone on to step 1,030" in later


def test_copies_are_said() -> None:
    found = record(frechet_distance=2.0, memorised_fraction=0.3)
    found["metrics"]["memorised_fraction"]["floor"] = 0.001
    assert "30.00 % of them are near copies of training images" in verdict(GAN, [row(1)], found, []).sentence


@pytest.mark.parametrize(
    ("distances", "words"),
    [
        ([9, 5, 3, 1], "the images were still improving at the end"),
        ([9, 7, 5, 3, 2, 2.01], "the images were still improving at the end"),
        ([9, 2, 2.05, 2.02], "there was no improvement after epoch 2 of 4"),
        ([9, 2, 4, 8], "there was no improvement after epoch 2 of 4, and the end was worse"),
        ([9, 2], None),  # Too few to tell.
    ],
)
def test_when_it_stopped_getting_better(distances: list[float], words: str | None) -> None:
    rows = [row(10 * (k + 1), frechet_distance=value) for k, value in enumerate(distances)]
    said = verdict(GAN, rows, record(frechet_distance=2.0), []).sentence
    assert (f"; {words}." in said) if words else ("improving" not in said)


def test_a_run_that_was_not_measured_says_so_and_one_without_rows_nothing() -> None:
    assert "have not been measured" in verdict(GAN, [row(1)], None, []).sentence
    assert verdict(GAN, [], None, []).sentence == ""


def test_a_vae_that_ignores_its_latent_says_that_first() -> None:
    found = record(frechet_distance=90.0, recall=0.0)
    found["vae"] = {"active_units": 0, "latent": 2, "negative_log_likelihood": 123.4}
    said = verdict(genlab.load_recipe("s4-vae"), [row(1)], found, [])
    assert said.sentence.startswith("The latent code is ignored: every z gives the same image")
    assert ("latent units", "0 of 2") in [(number.label, number.value) for number in said.numbers]


def test_a_classifier() -> None:
    rows = [row(10 * k, test_accuracy=a, train_accuracy=0.99) for k, a in ((1, 0.7), (2, 0.9), (3, 0.8))]
    classes = named_rightly([[8, 2], [5, 5]], ["shoe", "shirt"])
    assert classes == [Class("shirt", 0.5, 0.5, "50.0 % correct"), Class("shoe", 0.8, 0.8, "80.0 % correct")]
    said = verdict(genlab.load_recipe("s4-classifier"), rows, None, classes)
    assert said.sentence == (
        "It classifies 80.0 % of the test images correctly (in training, over the last epoch, 99.0 %); the weakest "
        "class is shirt (50.0 % correct); there was no improvement after epoch 2 of 3, and the end was worse."
    )
    assert [number.label for number in said.numbers][:2] == ["test accuracy", "training accuracy"]


def test_without_requests_classes_are_ranked_by_their_number() -> None:
    found = record()
    found["classes"] = [
        {"class": "a", "share": 0.15, "share_in_data": 0.1},
        {"class": "b", "share": 0.05, "share_in_data": 0.1},
    ]
    order = classes_of(found)
    assert [each.name for each in order] == ["b", "a"]
    assert order[0].told == "0.50 times its share in the data, within chance", "5 of 100 images"
    found["protocol"]["samples"] = 1000
    assert classes_of(found)[0].told == "0.50 times its share in the data"
    found["protocol"]["samples"] = 100
    found["classes"].append({"class": "c", "share": 0.5, "share_in_data": 0.1})
    assert [each.name for each in classes_of(found)] == ["c", "b", "a"], "five times too many is worse than half"
    found["classes"].pop()
    table = classes_table(found, order)
    assert table is not None
    assert table.rows == [("b", "5.0 % [2.2, 11.2]", "10.0 %"), ("a", "15.0 % [9.3, 23.3]", "10.0 %")]


def test_an_accuracy_has_the_interval_of_as_many_images_as_were_asked_for() -> None:
    found = record()
    found["protocol"]["samples"] = 1000
    found["classes"] = [
        {"class": "a", "requested_class_accuracy": 0.5, "share": 0.1, "share_in_data": 0.1},
        {"class": "b", "requested_class_accuracy": 1.0, "share": 0.9, "share_in_data": 0.9},
    ]
    table = classes_table(found, classes_of(found))
    assert table is not None
    assert table.rows == [
        ("a", "50.0 % [40.4, 59.6]", "10.0 %", "10.0 %"),
        ("b", "100.0 % [99.6, 100.0]", "90.0 %", "90.0 %"),
    ]


def test_five_numbers_at_most() -> None:
    found = record(frechet_distance=3.0, recall=0.5, requested_class_accuracy=0.9, memorised_fraction=0.0)
    assert len(verdict(GAN, [row(1)], found, []).numbers) == 5
