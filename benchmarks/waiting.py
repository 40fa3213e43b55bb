"""What a user waits for: `make waiting`, or `python benchmarks/waiting.py`; five minutes on an idle machine.

Measured are the start of the command, the first training step, the memory of the quick recipes with everything that
follows their training, and the cost of other work on the machine: steps beside one spinning process, and beside another
training, in turns with steps alone. Writes records/waiting.json, against which docs/performance.md is checked.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from genlab.bench import records
from genlab.bench.timing import REPORT, Stepper, ways
from genlab.engine import calibrate

RECORD = Path(__file__).parent / "records" / "waiting.json"
GENLAB = [sys.executable, "-m", "genlab"]
QUICK = ("quick-mnist", "quick-mnist-unconditional", "quick-fashion")
SPIN = "while True: pass"
TRAIN = "from genlab.bench.loops import GenlabLoop\nloop = GenlabLoop('s2-dcgan')\nwhile True: loop.step()"
ROUNDS, SECONDS = 3, 1.0


def help_seconds() -> float:
    """Seconds from the command to the end of its help, median of seven."""
    times = []
    for _ in range(7):
        start = time.perf_counter()
        subprocess.run([*GENLAB, "--help"], check=True, capture_output=True)
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def first_step_seconds(folder: Path) -> float:
    """Seconds from the command to the row of the first training step, median of five; the plan is already known."""
    times = []
    for k in range(5):
        rows = folder / f"first-{k}" / "metrics.jsonl"
        start = time.perf_counter()
        command = [*GENLAB, "train", "quick-mnist", "--budget.max_steps", "2000", "--runs", str(folder)]
        process = subprocess.Popen([*command, "--name", f"first-{k}"], stderr=subprocess.DEVNULL)
        while not (rows.exists() and rows.read_bytes().endswith(b"\n")):
            assert process.poll() is None, "it ended before its first step"
            time.sleep(0.005)
        times.append(time.perf_counter() - start)
        process.kill()
        process.wait()
    return statistics.median(times)


def peak_memory_mb(recipe: str, folder: Path) -> float:
    """Peak memory of a training of 300 steps, with its samples, its evaluation of 10,000 images, figures and report."""
    command = [*GENLAB, "train", recipe, "--budget.max_steps", "300", "--runs", str(folder)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    assert status == 0
    return usage.ru_maxrss / (1024 if sys.platform == "linux" else 2**20)


@contextmanager
def beside(code: str) -> Iterator[None]:
    """Context in which a process runs this Python code."""
    process = subprocess.Popen([sys.executable, "-c", code])
    try:
        time.sleep(0.5 if code == SPIN else 6.0)  # Until it is at work.
        yield
    finally:
        process.kill()
        process.wait()


def busy(way: str, other: str) -> dict[str, float]:
    """Milliseconds per step of report S2's DCGAN, alone on the machine and beside other work, and their ratio."""
    alone, together = [], []
    with Stepper("s2-dcgan", way) as stepper:
        steps = max(2, round(SECONDS / (stepper.seconds(5) / 5)))
        for _ in range(ROUNDS):
            alone.append(stepper.seconds(steps) / steps * 1000)
            with beside(other):
                together.append(stepper.seconds(steps) / steps * 1000)
    ratios = [b / a for a, b in zip(alone, together, strict=True)]
    return {
        "alone": statistics.median(alone),
        "beside": statistics.median(together),
        "ratio": statistics.median(ratios),
        "lowest": min(ratios),
        "highest": max(ratios),
    }


def busy_table(record: dict[str, Any]) -> str:
    """The cost of other work as a table, as in docs/performance.md."""
    lines = ["| running at the same time | report's way | genlab, float32 | genlab, bfloat16 |", "|---|---|---|---|"]
    for name, words in (("spinning", "one spinning process"), ("training", "another training, two threads")):
        cells = [
            f"{found['alone']:.0f} -> {found['beside']:.0f} ms: {found['ratio']:.1f}x "
            f"[{found['lowest']:.1f}, {found['highest']:.1f}]"
            if found
            else "left out by the plan"
            for found in (record["busy"][name].get(way) for way in (REPORT, *calibrate.PRECISIONS))
        ]
        lines.append(f"| {words} | {' | '.join(cells)} |")
    return "\n".join(lines)


def table(record: dict[str, Any]) -> str:
    """The record as a table, as in docs/performance.md."""
    lines = ["| what | measured |", "|---|---|"]
    lines += [f"| `genlab --help` | {record['help_seconds']:.2f} s |"]
    lines += [f"| `genlab train quick-mnist`, to the end of its first step | {record['first_step_seconds']:.1f} s |"]
    lines += [f"| peak memory, `{name}` | {value:.0f} MB |" for name, value in record["peak_memory_mb"].items()]
    return "\n".join(lines)


def main() -> None:
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        record: dict[str, Any] = {
            **records.here(),
            "help_seconds": help_seconds(),
            "first_step_seconds": first_step_seconds(Path(folder)),
            "peak_memory_mb": {recipe: peak_memory_mb(recipe, Path(folder)) for recipe in QUICK},
        }
    record["busy"] = {
        name: {way: busy(way, other) for way in ways()} for name, other in (("spinning", SPIN), ("training", TRAIN))
    }
    record["minutes"] = round((time.monotonic() - start) / 60, 1)
    RECORD.write_text(json.dumps(record, indent=1) + "\n", "utf-8")
    print(f"{table(record)}\n\n{busy_table(record)}\n\n{record['minutes']} minutes")


if __name__ == "__main__":
    main()
