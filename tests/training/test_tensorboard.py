from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import genlab
from genlab.families.gan.columns import COLUMNS
from genlab.recipe import GanRecipe

TAGS = {column.name: column.tag for column in COLUMNS}


def test_the_same_scalars_and_grids(small: Callable[..., GanRecipe], tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run = genlab.train(small({"logging.tensorboard": True}), runs=tmp_path, report=False)
    events = EventAccumulator(str(run.path / "tensorboard"))
    events.Reload()
    assert set(events.Tags()["scalars"]) == {tag for column, tag in TAGS.items() if column in run.metrics()[0]}
    assert len(events.Tags()["scalars"]) == 11
    assert events.Tags()["images"] == ["samples"]
    for column in ("loss_d", "d_fake", "grad_norm_g"):
        written = [(event.step, event.value) for event in events.Scalars(TAGS[column])]
        assert written == [(row["step"], pytest.approx(row[column], rel=1e-6)) for row in run.metrics()]
    assert [event.step for event in events.Images("samples")] == [6, 12]
