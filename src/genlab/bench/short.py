"""The benchmarks in about a minute, on any machine, beside what was recorded."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from genlab import plan
from genlab.bench import quality, records
from genlab.bench.timing import REPORT, WAYS, paired, peak_gflops

SYSTEMS = ("s2-dcgan", "s3-mlp", "s4-vae", "s4-classifier")
ROUNDS, BLOCK_SECONDS = 6, 0.3
TRACK = {"track": "mnist conditional", "target": "s2"}


def short(progress: Callable[[str], None] = lambda words: None) -> dict[str, Any]:
    """Speed of some systems beside the report's way, and the seconds to report S2's quality, seed 0.

    Returns:
        `plan`, `peak_gflops`, `systems` (a row each, with the recorded ratio), `speedrun` (one row, with the record).
    """
    known = records.load()
    better = plan.measured("cpu").choice(convolutional=True)
    found: dict[str, Any] = {"plan": better, "peak_gflops": peak_gflops(), "systems": []}
    for name in SYSTEMS:
        progress(f"{name}: steps in turns")
        pairs = paired(name, WAYS, ROUNDS, BLOCK_SECONDS)
        way = min(WAYS[1:], key=pairs.median)
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
    record = next(row for row in known["speedrun"] if all(row[key] == value for key, value in TRACK.items()))
    progress(f"{record['recipe']}: {record['steps']} steps to {record['floors_wanted']:.0f} floors")
    length = {"budget.max_steps": record["steps"], "budget.epochs": 1000}
    last = quality.curve(record["recipe"], "auto", 0, [record["steps"]], {**record["overrides"], **length})[-1]
    found["speedrun"] = {
        **TRACK,
        "floors_wanted": record["floors_wanted"],
        "floors": last["floors"],
        "seconds": last["seconds"],
        "recorded_seconds": record["seconds"],
        "recorded_on": known["machine"],
    }
    return found
