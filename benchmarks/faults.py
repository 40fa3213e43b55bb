"""What genlab survives: `make faults` (a half an hour on two cores).

Runs the long form of tests/faults, adds up its counts, measures what saving costs in the quick recipes, prints all of
it and writes records/faults.json with date, machine, versions and minutes. A test checks the docs against that record.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import genlab
from genlab.runs import checkpoint
from genlab.runs.provenance import machine_of, versions
from genlab.training import fit

HERE = Path(__file__).parent
RECORD = HERE / "records" / "faults.json"
QUICK = ("quick-mnist", "quick-fashion")


def counted(folder: Path) -> Counter[str]:
    """Counts from the tests."""
    counts: Counter[str] = Counter()
    for file in folder.glob("*.jsonl"):
        for line in file.read_text("utf-8").splitlines():
            what, n = json.loads(line)
            counts[what] += n
    return counts


def saving(recipe: str, root: Path) -> dict[str, Any]:
    """Share of a training's seconds that its saves take: waiting for rows, writing, syncing, reading back."""
    spent = []
    save = fit._Bookkeeping._save

    def timed(self: fit._Bookkeeping, step: int) -> None:
        start = time.perf_counter()
        save(self, step)
        spent.append(time.perf_counter() - start)

    fit._Bookkeeping._save = timed  # type: ignore[method-assign]
    try:
        run = genlab.train(recipe, runs=root, report=False, overrides={"logging.evaluation": "none"})
    finally:
        fit._Bookkeeping._save = save  # type: ignore[method-assign]
    size = sum(file.stat().st_size for file in checkpoint.found(run.checkpoints)[-1].iterdir())
    return {
        "saves": len(spent),
        "seconds": round(sum(spent), 3),
        "training_seconds": round(run.seconds, 1),
        "share": round(sum(spent) / run.seconds, 5),
        "bytes": size,
    }


SHOWN = {
    "kills": "kills at random instants",
    "kills inside a save": "of them inside a save",
    "resume points": "resume points",
    "pieces of state left out and missed": "pieces of state left out, each noticed",
    "calls that failed": "calls to the disk that failed",
    "calls that were killed": "calls to the disk during which the process was killed",
    "power cuts played back": "states of a disk after a power cut",
    "bit flips tried": "single-bit flips",
    "bit flips noticed": "of them noticed",
    "truncations tried": "truncations",
    "truncations noticed": "of them noticed",
    "files refused": "files refused",
    "datasets refused": "datasets refused",
    "recipes refused": "recipes refused",
    "values refused": "values of recipes refused",
    "kills of a study's driver": "kills of a running study",
    "studies that ended with the same table": "studies that were killed and ended with the same table",
}
"""Name of a count -> its description."""


def table(record: dict[str, Any]) -> str:
    """The record as a table, as in docs/reliability.md."""
    rows = [f"| {words} | {record['counts'][what]:,} |" for what, words in SHOWN.items() if what in record["counts"]]
    rows += [
        f"| share of the time of `{recipe}` spent saving | {cost['share']:.2%} |"
        for recipe, cost in record["saving"].items()
    ]
    machine = f"{record['date']}, {record['machine']['cores']} cores of {record['machine']['processor']}"
    versions = f"torch {record['versions']['torch']}, {record['minutes']:.0f} minutes"
    return "\n".join(["| what | how many |", "|---|---|", *rows, "", f"{machine}, {versions}, all as promised."])


def main() -> int:
    """Run, add up, print, write."""
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        counts = Path(folder) / "counts"
        counts.mkdir()
        cost = {recipe: saving(recipe, Path(folder) / "runs") for recipe in QUICK}
        pytest = [sys.executable, "-m", "pytest", "-q", "-n", "2", "-m", "", "--timeout", "7200", "tests/faults"]
        environment = {**os.environ, "GENLAB_FAULTS": str(counts)}
        code = subprocess.run(pytest, cwd=HERE.parent, env=environment, check=False).returncode
        found = counted(counts)
    minutes = round((time.monotonic() - start) / 60, 1)
    if code == 0:
        recipe_of = genlab.load_recipe("quick-mnist", {"engine.plan": "reference"})
        record = {
            "date": time.strftime("%Y-%m-%d"),
            "machine": {
                key: value for key, value in machine_of(recipe_of).items() if key in ("processor", "cores", "system")
            },
            "versions": versions(),
            "minutes": minutes,
            "counts": dict(sorted(found.items())),
            "saving": cost,
        }
        RECORD.parent.mkdir(exist_ok=True)
        RECORD.write_text(json.dumps(record, indent=1) + "\n", "utf-8")
        print(f"{table(record)}\n{RECORD}")
    return code


if __name__ == "__main__":
    sys.exit(main())
