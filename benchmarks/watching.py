"""Cost of watching a training: `make watching`, or `python benchmarks/watching.py`; three minutes on an idle machine.

Measured are steps that compute what a metric row needs (size of the updates, dead units), in turns with plain steps; a
diagnosis of a whole training, as made at each evaluation; and the time that `genlab.Watch` takes in each step of a
hand-written loop. Evaluations and sample grids are not counted, since every run has separate times for them. Writes
records/watching.json.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

import torch

import genlab
from genlab.bench.loops import GenlabLoop
from genlab.bench.timing import median_interval
from genlab.families.registry import FAMILIES
from genlab.runs import provenance
from genlab.training.vitals import Vitals

HERE = Path(__file__).parent
RECORD = HERE / "records" / "watching.json"
RECIPES = ("quick-mnist", "s2-dcgan", "s3-mlp", "s4-vae", "s4-classifier")
ROUNDS = 150
"""Pairs of steps."""
STEPS = 600
"""Steps of the hand-written loop."""


def cost_of(plain: Callable[[], None], watched: Callable[[], None], every: int) -> dict[str, Any]:
    """Extra time of a watched step, as a share of the time of `every` plain ones; single steps alternate, so that both
    kinds see the same machine."""
    more, times = [], []
    for round_ in range(ROUNDS + 5):
        spent = {}
        for which in (plain, watched) if round_ % 2 else (watched, plain):
            began = time.perf_counter()
            which()
            spent[which] = time.perf_counter() - began
        if round_ >= 5:
            more.append(spent[watched] - spent[plain])
            times.append(spent[plain])
    step = statistics.median(times)
    low, high = median_interval(more)
    return {
        "milliseconds": 1000 * step,
        "share": statistics.median(more) / step / every,
        "interval": [low / step / every, high / step / every],
        "pairs": ROUNDS,
    }


def of_recipe(name: str) -> dict[str, Any]:
    loop = GenlabLoop(name)
    every = loop.recipe.logging.metrics_every
    vitals = Vitals(loop.model.networks, FAMILIES[loop.recipe.family].players)

    def watched() -> None:
        with vitals.of_a_step():
            loop.step()

    return {"recipe": name, "looked_at": f"1 step of {every}", **cost_of(loop.step, watched, every)}


def of_loop() -> dict[str, Any]:
    """Time that `watch.step` takes in the hand-written loop, rows included, over the time of a step without it."""
    sys.path.insert(0, str(HERE.parent / "tests"))
    import loops

    data = genlab.load_dataset("mnist")
    images, labels = torch.from_numpy(data.images), torch.from_numpy(data.labels)
    spent: list[float] = []
    steps: list[float] = []

    class Timed:
        def __init__(self, watch: genlab.Watch) -> None:
            self._watch, self._since = watch, time.perf_counter()

        def step(self, **values: Any) -> None:
            began = time.perf_counter()
            self._watch.step(**values)
            now = time.perf_counter()
            spent.append(now - began)
            steps.append(began - self._since)
            self._since = now

    with tempfile.TemporaryDirectory() as folder:
        settings: Mapping[str, Any] = {
            "steps": 10 * STEPS,
            "every": 10 * STEPS,
            "progress": False,
        }
        with genlab.Watch("mnist", runs=folder, evaluation="none", **settings) as watch:
            loops.LOOPS["dcgan"](images, labels, STEPS, cast(genlab.Watch, Timed(watch)), False)
    del spent[:20], steps[:20]  # The beginning of the run.
    return {
        "milliseconds": 1000 * statistics.median(steps),
        "share": sum(spent) / sum(steps),
        "share_without_the_slowest": sum(sorted(spent)[: -len(spent) // 100]) / sum(steps),
        "steps": len(steps),
    }


def of_a_diagnosis() -> dict[str, Any]:
    """Milliseconds of a diagnosis, made at the end of a quick training."""
    with tempfile.TemporaryDirectory() as folder:
        run = genlab.train("quick-mnist", runs=folder, report=False, progress=False)
        times = []
        for _ in range(20):
            began = time.perf_counter()
            run.diagnose(keep=False)
            times.append(1000 * (time.perf_counter() - began))
        return {
            "milliseconds": statistics.median(times),
            "evaluations": len(run.steps("evaluations", ".json")),
            "seconds_of_training": run.seconds,
        }


def main() -> None:
    began = time.monotonic()
    record: dict[str, Any] = {"recipes": [of_recipe(name) for name in RECIPES]}
    record |= {"loop": of_loop(), "diagnosis": of_a_diagnosis()}
    record |= {
        "date": time.strftime("%Y-%m-%d"),
        "versions": provenance.versions(),
        "machine": provenance.machine_of(genlab.load_recipe("quick-mnist")),
        "minutes": round((time.monotonic() - began) / 60, 1),
    }
    RECORD.write_text(json.dumps(record, indent=1) + "\n", "utf-8")
    print(json.dumps(record, indent=1))


if __name__ == "__main__":
    main()
