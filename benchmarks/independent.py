"""Whether a judge that was not used for tuning sees the same progress: `make independent`, half an hour.

The quick recipes were chosen with the judges in the package. Here they are trained with fresh seeds, as they were
before that choice and as they are now, and ranked by those judges and by others: convolutions of stride 2 instead of
VGG's pooling, 1,568 features instead of 64, no augmentation, another optimiser, another seed. Each recipe is written to
records/independent.json when it is measured; with --runs DIR, an interrupted benchmark keeps its trainings.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import genlab
from genlab.api.judge import train_judge
from genlab.api.run import Run
from genlab.bench.runs import taken
from genlab.bench.timing import mean_interval
from genlab.evaluation.statistics import difference
from genlab.runs import provenance

RECORD = Path(__file__).parent / "records" / "independent.json"
SEEDS = range(201, 204)
SEED_OF_JUDGE = 4242
DATA = {"quick-mnist": "mnist", "quick-fashion": "fashion-mnist", "quick-mnist-unconditional": "mnist"}
BEFORE: dict[str, Any] = {
    "networks.generator.ngf": 32,
    "networks.discriminator.ndf": 32,
    "networks.discriminator.minibatch_stddev": None,
    "budget.epochs": 2,
}
"""Settings of each recipe before; the conditional ones had separate branches for z and class, and no classification."""
WITH_CLASSES = {"networks.generator.conditioning": "branches", "objective.classification": None}
WITHOUT = {
    "networks.generator.init": "normal-0.02",
    "objective.sigma": 0.05,
    "optimisers.generator.lr": 0.003,
    "optimisers.discriminator.lr": 0.003,
}
JUDGE: dict[str, Any] = {
    "augmentation": None,
    "networks.classifier": {"kind": "cnn", "ndf": 16, "base": 7},
    "objective.label_smoothing": 0.1,
    "optimiser.name": "adam",
    "optimiser.lr": 0.002,
    "optimiser.weight_decay": 0.0,
    "budget.epochs": 6,
}
KEPT = ("frechet_distance", "recall", "precision", "requested_class_accuracy")


def judge_of(data: str, root: Path) -> Run:
    """Run of another judge of a dataset."""
    run, *_ = train_judge(data, seed=SEED_OF_JUDGE, runs=root / f"judge-{data}", overrides=JUDGE)
    return run


def trained(recipe: str, when: str, seed: int, root: Path) -> Run:
    name = f"{recipe}-{when}-seed{seed}"
    changes = {"logging.evaluation": "none", "logging.tensorboard": False}
    if when == "before":
        changes |= BEFORE | (WITHOUT if recipe.endswith("unconditional") else WITH_CLASSES)
    return taken(name, recipe, root, seed, changes)


def measured(run: Run, judge: Run | None) -> dict[str, Any]:
    """Metrics by the judge in the package, or by another one."""
    record = genlab.evaluate(run, judge=None if judge is None else judge.path, progress=False).record
    metrics = record["metrics"]
    distance = metrics["frechet_distance"]
    return {name: metrics[name]["value"] for name in KEPT} | {"distance": distance["value"] / distance["floor"]}


def of_recipe(recipe: str, root: Path) -> dict[str, Any]:
    """Both versions of a recipe, measured by both judges."""
    other = judge_of(DATA[recipe], root)
    rows: list[dict[str, Any]] = []
    for seed in SEEDS:
        for when in ("before", "now"):
            run = trained(recipe, when, seed, root)
            found = {"package": measured(run, None), "independent": measured(run, other)}
            rows.append({"when": when, "seed": seed, "seconds": run.seconds, **found})
            print(recipe, json.dumps(rows[-1]), flush=True)
    summary: dict[str, Any] = {}
    for judge in ("package", "independent"):
        ratios = {when: [row[judge]["distance"] for row in rows if row["when"] == when] for when in ("before", "now")}
        means = {when: mean_interval(values) for when, values in ratios.items()}
        summary[judge] = {
            **{when: {"mean": mean, "interval": interval} for when, (mean, interval) in means.items()},
            "now_is_better": max(ratios["now"]) < min(ratios["before"]),
            "p": round(difference(ratios["now"], ratios["before"]).p, 4),
        }
    return {
        "judge_accuracy": other.metrics()[-1]["test_accuracy"],
        "summary": summary,
        "runs": rows,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipes", nargs="*", choices=[[], *DATA], help="(default: all)")
    parser.add_argument("--runs", type=Path, help="folder of the runs; those already there are reused")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        for recipe in options.recipes or DATA:
            began = time.monotonic()
            found = of_recipe(recipe, options.runs or Path(place))
            known = json.loads(RECORD.read_text("utf-8")) if RECORD.exists() else {}
            known[recipe] = {
                **found,
                "date": time.strftime("%Y-%m-%d"),
                "minutes": round((time.monotonic() - began) / 60, 1),
                "machine": provenance.machine_of(genlab.load_recipe(recipe)),
                "versions": provenance.versions(),
            }
            RECORD.write_text(json.dumps(known, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
