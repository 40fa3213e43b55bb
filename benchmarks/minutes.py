"""Time and quality of `--minutes M` on this machine; into records/minutes.json, one record per class of machine.

Each recipe is trained for one minute with five fresh seeds; then one training of half a minute and one of two minutes
are timed (and one of twenty with --long): some 20 minutes on an otherwise idle machine. The quality of the runs is
measured afterwards, when other work may run: 10,000 images of each against the test split. Training seconds are those
of the run, without its evaluations; the speed of a large matrix product is measured before the first training.

`--teraops T` trains for that many operations instead of a minute, to see what a machine known only by that number would
reach. Time does not count then, so the machine need not be idle, and may imitate the other one (docs/performance.md).
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from statistics import mean
from typing import Any

import genlab
from genlab.api.run import Run
from genlab.bench import records
from genlab.bench.timing import mean_interval, peak_gflops
from genlab.recipe import files
from genlab.recipe.schedule import Schedule
from genlab.training.assemble import settle, used_by
from genlab.training.minutes import WIDTHS, multiply_adds, rate, rung, widest, width

RECORD = Path(__file__).parent / "records" / "minutes.json"
RECIPES = ("quick-mnist", "quick-fashion", "quick-mnist-unconditional")
TIMED = "quick-mnist"
SEEDS = range(101, 106)
"""Seeds that were not used to choose a recipe."""
TIMES = (0.5, 2.0)
KEPT = ("frechet_distance", "recall", "precision", "requested_class_accuracy")


QUIET: dict[str, Any] = {"logging.evaluation": "none", "logging.tensorboard": False}


def trained(recipe: str, minutes: float, seed: int, folder: Path) -> Run:
    return genlab.train(recipe, minutes=minutes, seed=seed, overrides=QUIET, runs=folder, report=False, progress=False)


def of_operations(recipe: str, teraops: float) -> dict[str, Any]:
    """Overrides that `--minutes` would choose if the time of a step were proportional to its operations."""
    steps = {}
    for n in WIDTHS[recipe]:
        settled, whole = settle(recipe, width(n))
        steps[n] = rung(teraops * 1e12 / multiply_adds(settled, used_by(settled, whole)))
    best = widest({n: 1 / steps[n] for n in steps}, 1)
    epochs = -(-steps[best] // Schedule.of(settled, len(whole)).steps_per_epoch)
    length = {"budget.epochs": epochs, "budget.max_steps": steps[best]}
    return {**QUIET, **width(best), **rate(recipe, best, steps[best]), **length}


def timed(run: Run) -> dict[str, Any]:
    facts = run.provenance["minutes"]
    return {
        "minutes": facts["minutes"],
        "seconds": run.status["seconds"],
        "share": run.status["seconds"] / 60 / facts["minutes"],
        "steps": run.status["step"],
        "teraops": facts["teraops"],
        "milliseconds_a_step": facts["milliseconds_a_step"],
    }


def measured(run: Run, accuracy_score: bool) -> dict[str, Any]:
    metrics = genlab.evaluate(run, accuracy_score=accuracy_score, progress=False).record["metrics"]
    found = {name: metrics[name]["value"] for name in KEPT}
    if accuracy_score:
        found["accuracy_score"] = metrics["classification_accuracy_score"]["value"]
    return {**found, "distance": metrics["frechet_distance"]["value"] / metrics["frechet_distance"]["floor"]}


def trainings(recipe: str, teraops: float | None, folder: Path) -> list[tuple[Run, dict[str, Any]]]:
    """Train for one minute or `teraops` operations with each seed: each run, and what its training took."""
    found = []
    changes = {} if teraops is None else of_operations(recipe, teraops)
    for seed in SEEDS:
        if teraops is None:
            run = trained(recipe, 1.0, seed, folder)
            found.append((run, {"seed": seed, **timed(run)}))
        else:
            run = genlab.train(recipe, seed=seed, overrides=changes, runs=folder, report=False)
            found.append((run, {"seed": seed, "steps": run.status["step"], "teraops": teraops}))
        print(recipe, json.dumps(found[-1][1]), flush=True)
    return found


def over_seeds(recipe: str, found: list[tuple[Run, dict[str, Any]]], scored: bool) -> dict[str, Any]:
    """Quality of the runs, with the accuracy score if it is asked for."""
    rows = []
    for run, told in found:
        rows.append({**told, **measured(run, scored and run.recipe.conditional)})
        print(recipe, json.dumps(rows[-1]), flush=True)
    plain = files.to_dict(found[-1][0].recipe)
    distance, interval = mean_interval([row["distance"] for row in rows])
    return {
        "recipe": recipe,
        "distance": distance,
        "interval": interval,
        "recall": mean(row["recall"] for row in rows),
        "requested_class_accuracy": asked_for(rows),
        **({"accuracy_score": mean(row["accuracy_score"] for row in rows)} if "accuracy_score" in rows[0] else {}),
        "runs": rows,
        "settings": {key: plain[key] for key in ("data", "networks", "objective", "budget")},
    }


def asked_for(rows: list[dict[str, Any]]) -> float | None:
    """Mean conditional accuracy; None without labels."""
    shares = [row["requested_class_accuracy"] for row in rows]
    return None if None in shares else mean(shares)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", metavar="RECIPE|times", choices=(*RECIPES, "times"))
    parser.add_argument(
        "--accuracy-score", action="store_true", help="also measure each training's accuracy score; some minutes each"
    )
    parser.add_argument(
        "--teraops", type=float, metavar="T", help="train for T times 10^12 operations instead of a minute"
    )
    parser.add_argument("--long", action="store_true", help="also time a training of 20 minutes")
    options = parser.parse_args()
    asked = options.only or (*RECIPES, "times")
    recipes = [each for each in RECIPES if each in asked]
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        begun = {**records.here(), "gflops": {name: round(value) for name, value in peak_gflops().items()}}
        found = {recipe: trainings(recipe, options.teraops, folder) for recipe in recipes}
        for minutes in (*TIMES, *((20.0,) if options.long else ())) if "times" in asked and not options.teraops else ():
            took = timed(trained(TIMED, minutes, 0, folder))
            print(json.dumps(took), flush=True)
            keep(f"{TIMED}, {minutes:g} min", took, begun)
        print("all training is done: nothing is timed from here on, so other work may run at the same time", flush=True)
        for recipe in recipes:
            name = recipe if options.teraops is None else f"{recipe}, {options.teraops:g} teraops"
            keep(name, over_seeds(recipe, found[recipe], options.accuracy_score), begun)


def keep(what: str, found: Any, begun: dict[str, Any]) -> None:
    """Write a result to the record of this class of machine, as soon as it is there."""
    known = json.loads(RECORD.read_text("utf-8")) if RECORD.exists() else {}
    known.setdefault(records.machine_class(begun["machine"]), {})[what] = {"found": found, **begun}
    RECORD.write_text(json.dumps(known, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
