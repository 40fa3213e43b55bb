"""Quality of the recipes, by the frozen judges: `make quality` (an hour on two cores).

Trains the quick recipes and quick-stacked with five seeds each and report S2's DCGAN once, evaluates them in full, and
writes records/quality.json: every number with seeds, intervals over seeds, minutes, machine and versions. If parts are
named (`python benchmarks/quality.py quick-mnist`), only these are measured, and the others stay as they were, with
their own date. The tests run none of this; one test checks the documentation against the record.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import genlab
from genlab.api.run import Run
from genlab.bench.runs import taken
from genlab.bench.timing import mean_interval
from genlab.data.pictures import to_uint8
from genlab.data.preprocessing import Preprocessing
from genlab.evaluation.image_set import Reference, Samples
from genlab.evaluation.judge_search import load as load_judge
from genlab.evaluation.measure import CHEAP, measure
from genlab.evaluation.run import requests
from genlab.report.text import times_real

SEEDS = range(5)
FRESH = range(101, 106)
"""Seeds that were not used to choose a recipe."""
RECORD = Path(__file__).parent / "records" / "quality.json"
QUICK = ("quick-mnist", "quick-fashion", "quick-mnist-unconditional")
TOLD = ("requested_class_accuracy", "precision", "recall", "coverage", "memorised_fraction", "sharpness_ratio")


def over_seeds(values: list[float]) -> dict[str, Any]:
    """Mean and 95 % t-interval over the seeds."""
    mean, interval = mean_interval(values)
    return {"mean": mean, "interval": interval, "values": values}


def quick(recipe: str, root: Path) -> dict[str, Any]:
    """Five seeds of a recipe, all trained before the first is evaluated."""
    runs = [taken(f"{recipe}-{seed}", recipe, root, seed) for seed in SEEDS]
    for run in runs:
        run.evaluate()
    records = [run.evaluation for run in runs]
    assert all(record is not None for record in records)
    return {
        "frechet_distance": over_seeds([r["metrics"]["frechet_distance"]["value"] for r in records if r]),
        "frechet_floors": over_seeds([times_real(r) or float("nan") for r in records if r]),
        **{
            name: over_seeds([r["metrics"][name]["value"] for r in records if r])
            for name in TOLD
            if runs[0].recipe.conditional or name != "requested_class_accuracy"
        },
        "training_seconds": [round(run.seconds, 1) for run in runs],
    }


def score(recipe: str, root: Path) -> dict[str, Any]:
    """Accuracy score of the first of those runs."""
    scored = genlab.evaluate(root / f"{recipe}-0", accuracy_score=True).record
    return {**scored["metrics"]["classification_accuracy_score"], "seed": 0}


def sharpness(root: Path) -> dict[str, Any]:
    """Report S2's DCGAN after two and five epochs, which a judge must not take for good."""
    run = genlab.train("s2-dcgan", seed=0, runs=root)
    return {
        f"epoch {epoch}": {"seed": 0, "frechet_floors": times_real(run.evaluate(step=469 * epoch).record)}
        for epoch in (2, 5)
    }


def seconds(run: Run) -> dict[str, float]:
    """Seconds of a full evaluation with only the package in memory, and of a training's first and later cheap ones."""
    start = time.perf_counter()
    run.evaluate(seed=1)
    full = time.perf_counter() - start
    recipe = run.recipe
    against = Reference(recipe.data.name, Preprocessing.of(recipe), load_judge(recipe.data.name), CHEAP)

    def cheap() -> float:
        start = time.perf_counter()
        labels = requests(recipe, against, CHEAP)
        assert labels is not None
        images = to_uint8(run.sample(CHEAP))
        measure(Samples(images, labels.numpy(), {"of": "timing"}, against.way), against, memorisation=False)
        return time.perf_counter() - start

    return {
        "full": round(full, 1),
        "first_cheap": round(cheap(), 2),
        "cheap": round(statistics.median([cheap() for _ in range(5)]), 2),
    }


def stacked(root: Path) -> dict[str, Any]:
    """How many of Stacked MNIST's thousand modes quick-stacked finds, by the field's protocol of 26,000 images."""
    runs = [taken(f"quick-stacked-seed{seed}-001", "quick-stacked", root, seed) for seed in FRESH]
    records = [run.evaluate(n=26_000).record for run in runs]
    return {
        "seeds": list(FRESH),
        "training_seconds": [round(run.seconds, 1) for run in runs],
        "modes": [record["modes"]["found"] for record in records],
        "kl_to_data": over_seeds([record["modes"]["kl_to_data"] for record in records]),
        "frechet_floors": over_seeds([times_real(record) or float("nan") for record in records]),
    }


def table(record: dict[str, Any]) -> str:
    """The record as a table, as in README.md."""

    def row(recipe: str) -> str:
        found = record[recipe]

        def span(name: str, form: str) -> str:
            if name not in found:
                return "-"
            low, high = found[name]["interval"]
            return f"{format(found[name]['mean'], form)} [{format(low, form)}, {format(high, form)}]"

        cells = [f"`{recipe}`", span("frechet_floors", ".1f"), span("requested_class_accuracy", ".1%")]
        cells += [f"{found[name]['mean']:.2f}" for name in ("precision", "recall", "coverage")]
        score = record.get(f"score {recipe}")
        cells.append(f"{score['value']:.1%} (real images: {score['floor']:.1%})" if score else "-")
        low, high = min(found["training_seconds"]), max(found["training_seconds"])
        return " | ".join([*cells, f"{low:.0f} to {high:.0f} s"])

    lines = [
        "recipe | Frechet distance / that of real images | conditional accuracy | precision | recall | coverage | "
        "accuracy score "
        "| training",
        "|".join(["---"] * 8),
        *[row(name) for name in QUICK if name in record],
    ]
    return "\n".join(f"| {line} |" if "---" not in line else f"|{line}|" for line in lines)


def main(asked: list[str], root: Path) -> None:
    """Measure the parts asked for, or all, into one record, which is written after each part."""
    first = genlab.train("quick-mnist", seed=0, runs=root, overrides={"budget.max_steps": 20}, report=False)
    record: dict[str, Any] = json.loads(RECORD.read_text("utf-8")) if RECORD.exists() else {}
    record |= {
        "judges": {name: judge.sha256 for name in ("mnist", "fashion-mnist") if (judge := load_judge(name))},
        "seeds": list(SEEDS),
        "intervals": "95 %, Student's t over the seeds; of a single run's accuracy score a bootstrap over test images",
    }
    parts: dict[str, Callable[[], dict[str, Any]]] = {
        "seconds": lambda: seconds(first),
        "quick-mnist": lambda: quick("quick-mnist", root),
        "quick-fashion": lambda: quick("quick-fashion", root),
        "quick-mnist-unconditional": lambda: quick("quick-mnist-unconditional", root),
        "score quick-mnist": lambda: score("quick-mnist", root),
        "score quick-fashion": lambda: score("quick-fashion", root),
        "s2-dcgan": lambda: sharpness(root),
        "quick-stacked": lambda: stacked(root),
    }
    for name in asked or parts:
        start = time.monotonic()
        record[name] = {
            **parts[name](),
            "date": time.strftime("%Y-%m-%d"),
            "machine": first.provenance["machine"],
            "versions": first.provenance["versions"],
            "minutes": round((time.monotonic() - start) / 60, 1),
        }
        RECORD.parent.mkdir(exist_ok=True)
        RECORD.write_text(json.dumps(record, indent=1) + "\n", "utf-8")
        print(f"{RECORD} has {name} after {record[name]['minutes']} min", flush=True)
    print(table(record))


if __name__ == "__main__":
    main(sys.argv[1:], Path("runs/quality"))
