"""Each kind of quantity has the known value on a source made by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pydantic import TypeAdapter

from genlab.errors import StudyError
from genlab.evaluation.diagnosis.advice import ADVICE
from genlab.study import design
from genlab.study.quantities import Quantity, Source, columns_of, key, needs_images
from plans import raw

STEPS = range(10, 410, 10)
RNG = np.random.default_rng(0)
NOISE = RNG.normal(scale=0.01, size=len(STEPS))
ROWS: list[dict[str, Any]] = [
    {
        "step": step,
        "half": float(k),
        "level": float(NOISE[k] + (step > 200)),
        "spiky": float(NOISE[k] + 5 * (step in (100, 300))),
        "flat": 1.0,
        "against": -float(k % 2),
        "with": float(k % 2),
        "squared": float(k**2),
        "rare": float(step) if step in (200, 400) else None,
        "broken": float("nan"),
    }
    for k, step in enumerate(STEPS)
]
SOURCE = Source(
    metrics={"frechet_distance": 12.5, "discriminator.ranking": 0.75, "recall": None},
    rows=ROWS,
    parameters={"generator": 10, "discriminator": 5},
    weights="00000000000f" + "a" * 52,
    times={"seconds": 2.5},
)


def quantity(of: Any) -> Any:
    return TypeAdapter(Quantity).validate_python(of)


def value(of: Any, source: Source = SOURCE) -> float | None:
    found: float | None = quantity(of).value(source)
    return found


def column(name: str = "half", **more: Any) -> dict[str, Any]:
    return {"kind": "column", "name": name, **more}


@pytest.mark.parametrize(
    ("of", "expected"),
    [
        ("frechet_distance", 12.5),
        ({"name": "discriminator.ranking"}, 0.75),
        (column(), 39.0),
        (column(at=1), 39.0),
        (column(at=50), 4.0),
        (column(at=0.5), 19.0),
        (column(at=0), 0.0),
        (column(at=5000), None),
        (column("rare"), 400.0),
        (column(window=[0.5, 1]), 29.0),
        (column(window=[0.5, 1], take="median"), 29.0),
        (column(window=[0, 0.1], take="sd"), np.std([0, 1, 2, 3], ddof=1)),
        (column(window=[0.25, 0.5], take="min"), 9.0),
        (column(window=[0.25, 0.5], take="max"), 19.0),
        ({"kind": "change-point", "column": "level"}, 210.0),
        ({"kind": "spikes", "column": "spiky"}, 2.0),
        ({"kind": "spikes", "column": "flat"}, 0.0),
        ({"kind": "plateau", "column": "flat"}, 10.0),
        ({"kind": "onset", "column": "half", "threshold": 19.5}, 210.0),
        ({"kind": "onset", "column": "against", "threshold": 0.5, "below": True}, 10.0),
        ({"kind": "correlation-of-changes", "columns": ["with", "against"]}, -1.0),
        ({"kind": "rank-correlation", "columns": ["half", "squared"]}, 1.0),
        ({"kind": "parameters"}, 15.0),
        ({"kind": "parameters", "of": "discriminator"}, 5.0),
        ({"kind": "seconds"}, 2.5),
        ({"kind": "weights"}, 15.0),
    ],
    ids=str,
)
def test_a_quantity_has_the_value_that_is_known(of: Any, expected: float) -> None:
    assert value(of) == pytest.approx(expected, abs=1e-12)


CLASSES = Source(
    metrics={
        "classes.shirt.share": 0.3,
        "classes.dress.share": 0.2,
        "classes.bag.share": 0.4,
        "classes.coat.share": 0.1,
        "classes.shirt.legibility": 0.9,
        "classes.dress.legibility": None,
        "classes.bag.legibility": 0.5,
    }
)


def test_quantities_of_classes_need_measured_images_as_metrics_do() -> None:
    classes = {"kind": "classes", "number": "share", "of": ["shirt"]}
    assert [needs_images(quantity(of)) for of in ("recall", classes, column(), {"kind": "seconds"})] == [
        True,
        True,
        False,
        False,
    ]


def test_classes_are_held_against_all_the_others() -> None:
    of = {"kind": "classes", "of": ["shirt", "dress"]}
    assert value({**of, "number": "share"}, CLASSES) == pytest.approx(0.25 - 0.25)
    assert value({"kind": "classes", "number": "share", "of": ["bag"]}, CLASSES) == pytest.approx(0.4 - 0.2)
    # A class that was never drawn has a share of 0 and no legibility.
    assert value({**of, "number": "legibility"}, CLASSES) == pytest.approx(0.9 - 0.5)
    assert value({"kind": "classes", "number": "share", "of": ["hat"]}, CLASSES) is None


def test_a_column_minus_another_one_is_taken_row_by_row() -> None:
    assert value(column("half", minus="level", at=10)) == pytest.approx(0.0 - ROWS[0]["level"])
    both = [row["rare"] - row["half"] for row in ROWS if row["rare"] is not None]
    assert value(column("rare", minus="half", window=[0, 1])) == pytest.approx(np.mean(both))
    assert value(column("half", minus="broken")) is None
    assert columns_of(quantity(column("half", minus="level"))) == ("half", "level")


def test_the_key_of_a_column_is_as_before_there_was_a_minus() -> None:
    assert "minus" not in key(quantity(column()))
    assert key(quantity(column(minus="level"))) != key(quantity(column()))


def test_a_finding_is_there_or_not_or_unknown() -> None:
    found = {"kind": "finding", "name": "mode-collapse"}
    assert value(found, Source(findings=frozenset({"mode-collapse", "blur"}))) == 1
    assert value(found, Source(findings=frozenset({"blur"}))) == 0
    assert value(found, Source()) is None
    assert list(quantity({"kind": "finding", "name": "mode-colapse"}).problems()) == [
        f"unknown finding 'mode-colapse'; did you mean 'mode-collapse'? Known: {', '.join(ADVICE)}"
    ]


@pytest.mark.parametrize(
    "of",
    [
        {"kind": "change-point", "column": "flat"},
        {"kind": "plateau", "column": "half"},
        {"kind": "onset", "column": "half", "threshold": 100},
        {"kind": "onset", "column": "half", "threshold": -1, "below": True},
    ],
    ids=str,
)
def test_a_step_that_there_is_not_is_the_number_of_steps(of: Any) -> None:
    assert value(of) == 400.0


@pytest.mark.parametrize(
    "of",
    [
        "recall",
        "coverage",
        column("nowhere"),
        column("broken"),
        column("rare", window=[0, 0.4]),
        column(window=[0.99, 1], take="sd"),
        {"kind": "spikes", "column": "nowhere"},
        {"kind": "onset", "column": "broken", "threshold": 1},
        {"kind": "rank-correlation", "columns": ["half", "rare"]},
        {"kind": "rank-correlation", "columns": ["half", "flat"]},
        {"kind": "correlation-of-changes", "columns": ["half", "nowhere"]},
        {"kind": "parameters", "of": "encoder"},
    ],
    ids=str,
)
def test_what_is_missing_has_no_value(of: Any) -> None:
    assert value(of) is None


@pytest.mark.parametrize("kind", ["metric", "column", "spikes", "rank-correlation", "parameters", "seconds", "weights"])
def test_an_empty_source_has_no_value(kind: str) -> None:
    fields: dict[str, Any] = {"metric": {"name": "recall"}, "column": {"name": "half"}, "spikes": {"column": "half"}}
    fields["rank-correlation"] = {"columns": ["half", "flat"]}
    assert value({"kind": kind, **fields.get(kind, {})}, Source()) is None


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("recall", {"kind": "metric", "name": "recall"}),
        ("recall", {"name": "recall"}),
        (column(window=[0, 1]), {"window": [0.0, 1.0], "take": "mean", "name": "half", "kind": "column"}),
        (column(at=5), column(at=5.0, window=None)),
        ({"kind": "parameters"}, {"kind": "parameters", "of": ""}),
    ],
)
def test_the_key_is_equal_however_a_definition_is_written(one: Any, other: Any) -> None:
    assert key(quantity(one)) == key(quantity(other))


def test_other_definitions_have_other_keys() -> None:
    others = ["recall", "coverage", column(), column(at=5), column(window=[0, 1]), column("flat"), {"kind": "seconds"}]
    assert len({key(quantity(of)) for of in others}) == len(others)


def test_the_columns_that_a_quantity_needs() -> None:
    pair = {"kind": "rank-correlation", "columns": ["half", "flat"]}
    found = [columns_of(quantity(of)) for of in (column(), {"kind": "spikes", "column": "flat"}, pair, "recall")]
    assert found == [("half",), ("flat",), ("half", "flat"), ()]


@pytest.mark.parametrize(
    ("of", "said"),
    [
        ({"kind": "onset", "column": "loss_g"}, "threshold is missing; an onset needs one"),
        ({"kind": "spikes", "column": "loss_g", "threshold": 1}, "spikes takes neither"),
        (column("loss_g", take="min"), "take is min; it needs a window"),
        (column("loss_g", window=[1, 0.5]), "its start must be before its end"),
        (column("loss_g", window=[0, 1], at=3), "at and window are both given"),
        (column("loss_g", window=[0, 2]), "window is 2; allowed: 1"),
        (column("loss_g", at=float("inf")), "a finite number is needed"),
    ],
)
def test_fields_that_contradict_each_other_are_refused_before_any_run(of: Any, said: str) -> None:
    with pytest.raises(StudyError, match=said):
        design.check(raw(quantities={"loss": of}), "s")


@pytest.mark.parametrize(
    ("quantity", "value"),
    [
        ({"kind": "column", "name": "loss"}, 2.0),
        ({"kind": "column", "name": "loss", "at": 300}, 2.0),
        ({"kind": "column", "name": "loss", "window": [0, 0.1], "take": "median"}, 2.0),
        ({"kind": "column", "name": "loss", "window": [0.5, 1], "take": "sd"}, 0.0),
        ({"kind": "onset", "column": "loss", "threshold": 1.0}, 400.0),
        ({"kind": "plateau", "column": "loss"}, 400.0),
        ({"kind": "change-point", "column": "loss"}, 400.0),
        ({"kind": "spikes", "column": "loss"}, 0.0),
        ({"kind": "seconds"}, None),
    ],
)
def test_an_untrained_model_has_one_number_at_all_times_and_no_events(quantity: Any, value: float | None) -> None:
    """A diverged run must not drop out of its arm because a window does not contain the only row of its stand-in."""
    source = Source(rows=[{"step": 1, "loss": 2.0}], stands_for=400)
    assert TypeAdapter(Quantity).validate_python(quantity).value(source) == value
