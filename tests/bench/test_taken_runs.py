"""Benchmarks that can be stopped and restarted."""

from __future__ import annotations

from pathlib import Path

import pytest

import genlab
from genlab.bench.runs import taken
from genlab.errors import UsageError

SMALL = {
    "data.subset": 128,
    "networks.encoder.widths": [8],
    "networks.decoder.widths": [8],
    "budget.epochs": 2,
    "budget.batch": 64,
    "logging.evaluation": "none",
}


def test_a_run_is_trained_once_and_gone_on_with(tmp_path: Path) -> None:
    made = taken("one", "s4-vae", tmp_path, 3, SMALL)
    assert (made.provenance["seed"], made.status["state"]) == (3, "finished")
    assert taken("one", "s4-vae", tmp_path, 3, SMALL).metrics() == made.metrics()
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == ["one"]

    class Stops:
        def stepped(self, step: int, seconds: float) -> None:
            if step == 2:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        genlab.train("s4-vae", seed=3, overrides=SMALL, runs=tmp_path, name="two", report=False, observers=[Stops()])
    again = taken("two", "s4-vae", tmp_path, 3, SMALL)
    assert [row["loss"] for row in again.metrics()] == [row["loss"] for row in made.metrics()]


@pytest.mark.parametrize(("seed", "epochs"), [(4, 2), (3, 1)])
def test_a_run_of_other_settings_is_not_taken(seed: int, epochs: int, tmp_path: Path) -> None:
    taken("one", "s4-vae", tmp_path, 3, SMALL)
    with pytest.raises(UsageError, match="differs from s4-vae here in settings or seed; move it away"):
        taken("one", "s4-vae", tmp_path, seed, {**SMALL, "budget.epochs": epochs})
