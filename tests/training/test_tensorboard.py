from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import genlab
from genlab.evaluation import live
from genlab.families.gan.columns import COLUMNS
from genlab.recipe import GanRecipe

TAGS = {column.name: column.tag for column in COLUMNS}


def test_the_same_scalars_and_grids(small: Callable[..., GanRecipe], tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run = genlab.train(small({"logging.tensorboard": True}), runs=tmp_path, report=False)
    events = EventAccumulator(str(run.path / "tensorboard"))
    events.Reload()
    assert set(events.Tags()["scalars"]) == {tag for column, tag in TAGS.items() if column in run.metrics()[0]}
    assert len(events.Tags()["scalars"]) == 13
    assert events.Tags()["images"] == ["samples"]
    for column in ("loss_d", "d_fake", "grad_norm_g"):
        written = [(event.step, event.value) for event in events.Scalars(TAGS[column])]
        assert written == [(row["step"], pytest.approx(row[column], rel=1e-6)) for row in run.metrics()]
    assert [event.step for event in events.Images("samples")] == [6, 12]


def test_quality_stands_beside_the_losses(
    small: Callable[..., GanRecipe], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every quantity measured in training is written; the values here are made up and all different."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = {column.name: 1 + k for k, column in enumerate(live.COLUMNS)}
    monkeypatch.setattr(
        live.LiveEvaluation, "__call__", lambda self, step, model: {k: v + step for k, v in found.items()}
    )
    changes = {"logging.tensorboard": True, "logging.evaluation": "cheap"}
    run = genlab.train(small(changes), runs=tmp_path, report=False)
    events = EventAccumulator(str(run.path / "tensorboard"))
    events.Reload()
    tags = {column.name: column.tag for column in live.COLUMNS}
    assert {"Quality/Frechet distance", "Quality/recall", "Quality/coverage"} <= set(tags.values())
    for name, value in found.items():
        written = [(event.step, event.value) for event in events.Scalars(tags[name])]
        assert written == [(6, pytest.approx(value + 6)), (12, pytest.approx(value + 12))], name
