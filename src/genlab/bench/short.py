"""Benchmarks that take a minute or two on any machine, beside the recorded results."""

from __future__ import annotations

import time
from typing import Any

from genlab.bench import quality, records
from genlab.bench.timing import REPORT, Stepper, paired, peak_gflops
from genlab.engine import calibrate
from genlab.engine.stages import stage

SYSTEMS = ("s2-dcgan", "s3-mlp", "s4-vae", "s4-classifier")
ROUNDS, BLOCK_SECONDS = 6, 0.3
SYSTEM_SECONDS = 8.0
"""Limit for the rounds of a system: a slow machine makes three instead of six."""
TRACK = {"track": "mnist conditional", "target": "s2"}
LIMIT_SECONDS = 105.0
"""The race is skipped if it would end later than this."""
SCORING_STEPS = 160
"""Steps that take about as long as drawing and judging the images of the race."""


def short() -> dict[str, Any]:
    """Speed of some systems beside the report's way, and the seconds to reach report S2's quality, seed 0.

    Returns:
        `plan`, `left_out` (precision -> why), `peak_gflops`, `systems` (one row each, with the recorded ratio),
        `speedrun` (one row, with the record; if the race would take too long here, it is not run: `floors` is None, and
        `seconds` are estimated from `milliseconds`, the time per step).
    """
    start, known = time.monotonic(), records.load()
    with stage("measuring what this machine is good at"):
        measured = calibrate.measured("cpu")
    found: dict[str, Any] = {"plan": measured.choice(convolutional=True), "left_out": measured.left_out()}
    with stage("measuring its peak"):
        found |= {"peak_gflops": peak_gflops(), "systems": []}
    for name in SYSTEMS:
        with stage(f"{name}: timing steps in turns"):
            pairs = paired(name, [REPORT, *measured.precisions()], ROUNDS, BLOCK_SECONDS, SYSTEM_SECONDS)
        way = min(measured.precisions(), key=pairs.median)
        ratio, interval = pairs.ratio(way)
        gflops = pairs.facts[way]["flops"] / pairs.median(way) / 1e6
        found["systems"].append(
            {
                "system": name,
                "report_milliseconds": pairs.median(REPORT),
                "milliseconds": pairs.median(way),
                "precision": way,
                "ratio": ratio,
                "interval": list(interval),
                "gflops": gflops,
                "peak_fraction": gflops / found["peak_gflops"][way],
                "recorded_ratio": known["throughput"][name],
            }
        )
    found["speedrun"] = _race(known, LIMIT_SECONDS - (time.monotonic() - start))
    return found


def _race(known: dict[str, Any], seconds_left: float) -> dict[str, Any]:
    """One training to a quality that was reached before, if there is time for it."""
    record = next(row for row in known["speedrun"] if all(row[key] == value for key, value in TRACK.items()))
    recipe, steps = record["recipe"], record["steps"]
    overrides = {**record["overrides"], "budget.max_steps": steps, "budget.epochs": 1000}
    with stage(f"{recipe}: timing a step"), Stepper(recipe, "auto", overrides) as stepper:
        a_step = stepper.seconds(5) / 5
    row = {
        **TRACK,
        "recipe": recipe,
        "steps": steps,
        "milliseconds": a_step * 1000,
        "floors_wanted": record["floors_wanted"],
        "recorded_seconds": record["seconds"],
        "recorded_on": known["machine"],
    }
    if a_step * (steps + SCORING_STEPS) > seconds_left:
        return {**row, "floors": None, "seconds": a_step * steps}
    with stage(f"{recipe}: {steps} steps to {record['floors_wanted']:.0f} x real images"):
        last = quality.curve(recipe, "auto", 0, [steps], overrides)[-1]
    return {**row, "floors": last["floors"], "seconds": last["seconds"]}
