"""How fast genlab trains: `make throughput`, or `python benchmarks/throughput.py [--quick] [--json FILE]`.

Each system of the five reports is trained as in the report and as in genlab, on the same networks, batch and data, in
turns within one run (`genlab.bench`). Then the cost of a step is measured against batch, width, image size and number
of images. A full run writes records/throughput.json, against which docs/performance.md is checked; with --quick or
--json, that record stays as it is.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path
from typing import Any

import genlab
from genlab.bench import records
from genlab.bench.timing import REPORT, Stepper, paired, peak_gflops, ways
from genlab.engine import calibrate
from genlab.runs import provenance

RECORD = Path(__file__).parent / "records" / "throughput.json"
SYSTEMS = (
    "s0-dcgan",
    "s1-mlp",
    "s2-dcgan",
    "s2-cdcgan",
    "s3-mlp",
    "s4-dcgan",
    "s4-vae",
    "s4-classifier",
)
CURVES: dict[str, list[dict[str, Any]]] = {
    "batch": [{"budget.batch": batch} for batch in (8, 16, 32, 64, 128, 256)],
    "width": [
        {"networks.generator.ngf": width, "networks.discriminator.ndf": width} for width in (8, 16, 24, 32, 48, 64)
    ],
    "size": [{"data.size": size} for size in (32, 64, 128)],
    "images": [{"data.subset": images} for images in (1_000, 10_000, 60_000)],
}
"""Changes to quick-mnist, one at a time."""


def system(name: str, peak: dict[str, float], rounds: int, seconds: float) -> dict[str, Any]:
    """One row: the faster of genlab's precisions, and each of them beside it."""
    found = paired(name, ways(), rounds, seconds)
    both: dict[str, dict[str, Any]] = {}
    for way in ways()[1:]:
        ratio, interval = found.ratio(way)
        gflops = found.facts[way]["flops"] / found.median(way) / 1e6
        both[way] = {
            "ratio": ratio,
            "interval": list(interval),
            "milliseconds": found.median(way),
            "gflops": gflops,
            "peak_fraction": gflops / peak[way],
            "peak_memory_mb": found.facts[way]["peak_memory_mb"],
        }
    better = max(both, key=lambda way: float(both[way]["ratio"]))
    report = {"milliseconds": found.median(REPORT), "peak_memory_mb": found.facts[REPORT]["peak_memory_mb"]}
    return {"system": name, **both[better], "precision": better, "rounds": rounds, "report": report, **both}


def curve(points: list[dict[str, Any]], rounds: int, seconds: float) -> list[dict[str, Any]]:
    """Milliseconds per step at each point, the median of several blocks."""
    rows = []
    for changes in points:
        with Stepper("quick-mnist", "auto", {"budget.epochs": 1000, **changes}) as stepper:
            steps = max(1, round(seconds / (stepper.seconds(2) / 2)))
            times = [stepper.seconds(steps) / steps * 1000 for _ in range(rounds)]
            rows.append({"changes": changes, "milliseconds": statistics.median(times), **stepper.facts()})
    return rows


def table(record: dict[str, Any]) -> str:
    """The record as a table, as in docs/performance.md."""
    lines = [
        "| system | report's way | genlab, float32 | genlab, bfloat16 | GFLOP/s | of the peak | memory |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in record["systems"]:
        cells = [f"`{row['system']}`", f"{row['report']['milliseconds']:.1f} ms"]
        for way in calibrate.PRECISIONS:
            if way not in row:
                cells.append("left out by the plan")
                continue
            low, high = row[way]["interval"]
            cells.append(f"{row[way]['milliseconds']:.1f} ms: **{row[way]['ratio']:.2f}x** [{low:.2f}, {high:.2f}]")
        cells += [f"{row['gflops']:.0f}", f"{row['peak_fraction']:.0%}", f"{row['peak_memory_mb']:.0f} MB"]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def curves_table(record: dict[str, Any]) -> str:
    """The cost curves as a table, as in docs/performance.md."""
    lines = ["| changed | milliseconds per step |", "|---|---|"]
    for name, rows in record["curves"].items():
        cells = [f"{next(iter(row['changes'].values())):,}: {row['milliseconds']:.1f}" for row in rows]
        lines.append(f"| {name} | {', '.join(cells)} |")
    return "\n".join(lines)


def measure(quick: bool) -> dict[str, Any]:
    """Measure everything; `quick` takes three minutes, with wider intervals and no curves or largest system."""
    start = time.monotonic()
    rounds, seconds = (6, 0.25) if quick else (9, 0.5)
    peak = peak_gflops()
    settled = genlab.load_recipe("quick-mnist", {"engine.threads": calibrate.measured("cpu").threads})
    settled = settled.model_copy(update={"engine": settled.engine.model_copy(update={"device": "cpu"})})
    machine = {key: value for key, value in provenance.machine_of(settled).items() if key != "precision"}
    record: dict[str, Any] = {
        "date": time.strftime("%Y-%m-%d"),
        "machine": machine,
        "versions": provenance.versions(),
        "protocol": "in turns, one process a way; ratio: median over rounds of report's over genlab's time a step; "
        "interval: of the median, order statistics, 95 % or more",
        "peak_gflops": peak,
        "systems": [],
    }
    for name in SYSTEMS:
        if not (quick and name == "s2-cdcgan"):
            record["systems"].append(system(name, peak, rounds, seconds))
            print(table({"systems": record["systems"][-1:]}).splitlines()[-1], flush=True)
    if not quick:
        record["curves"] = {name: curve(points, 5, 0.3) for name, points in CURVES.items()}
    return {**record, "minutes": round((time.monotonic() - start) / 60, 1)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="three minutes instead of ten")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write one row per system there, not in the record")
    options = parser.parse_args()
    record = measure(options.quick)
    print(f"\n{table(record)}\n")
    if options.json:
        options.json.write_text(json.dumps(record["systems"], indent=1) + "\n", "utf-8")
    elif not options.quick:
        print(curves_table(record))
        RECORD.write_text(json.dumps(record, indent=1) + "\n", "utf-8")
        records.keep(throughput={row["system"]: row["ratio"] for row in record["systems"]})
    print(f"\n{record['minutes']} minutes")


if __name__ == "__main__":
    main()
