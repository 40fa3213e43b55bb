"""Import 100,000 pictures of 64 x 64 pixels: memory, time, and a kill in the middle; into records/importing.json.

The pictures are drawn first (three minutes, 1 GB in a temporary folder). Then the same import is made twice: once
undisturbed, and once killed when 40 % of the pixels are written, then continued. Both files must be equal, byte by
byte. Memory is the largest resident set of the process.
"""

from __future__ import annotations

import filecmp
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from genlab.engine import threads

RECORD = Path(__file__).parent / "records" / "importing.json"
IMAGES, SIDE, CLASSES = 100_000, 64, 10
MOST_MEGABYTES = 1000
KILLED_AT = 0.4
"""Share of the pixels that is written when the process is killed."""


def draw(folder: Path) -> None:
    """Draw waves of random direction, colour and phase, in one folder per class."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:SIDE, :SIDE] / SIDE
    for k in range(CLASSES):
        (folder / f"class_{k}").mkdir(parents=True)
    for k in range(IMAGES):
        a, b, phase = rng.uniform(1, 9, 3)
        waves = np.stack([np.sin(a * x + b * y + phase + channel) for channel in range(3)], -1)
        picture = Image.fromarray(((waves + 1) * 127).astype(np.uint8))
        picture.save(folder / f"class_{k % CLASSES}" / f"{k:06d}.png", compress_level=1)


def command(folder: Path, output: Path) -> list[str]:
    return [sys.executable, "-m", "genlab", "data", "import", str(folder), "-o", str(output)]


def imported(folder: Path, output: Path) -> dict[str, float]:
    """Seconds and the largest resident set, in MB, of one import."""
    began = time.monotonic()
    process = subprocess.Popen(command(folder, output), stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return {"seconds": round(time.monotonic() - began, 1), "megabytes": round(usage.ru_maxrss / 1024)}


def killed(folder: Path, output: Path) -> int:
    """Start an import and kill it; return the number of bytes of pixels written by then."""
    pixels = output.with_name(f"{output.name}.importing") / "pixels"
    process = subprocess.Popen(command(folder, output), stdout=subprocess.DEVNULL)
    wanted = KILLED_AT * IMAGES * 3 * SIDE * SIDE
    while process.poll() is None and not (pixels.exists() and pixels.stat().st_size > wanted):
        time.sleep(0.1)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not output.exists()
    return pixels.stat().st_size


def main() -> None:
    with tempfile.TemporaryDirectory() as place:
        folder, whole, parts = Path(place, "pictures"), Path(place, "whole.npz"), Path(place, "parts.npz")
        print(f"drawing {IMAGES:,} pictures")
        draw(folder)
        found: dict[str, Any] = {"undisturbed": imported(folder, whole)}
        print("undisturbed", found["undisturbed"])
        found["bytes_when_killed"] = killed(folder, parts)
        found["continued"] = imported(folder, parts)
        print("continued", found["continued"])
        found["same_bytes"] = filecmp.cmp(whole, parts, shallow=False)
        found["file_bytes"] = whole.stat().st_size
    facts = {"processor": threads.processor(), **threads.instructions(), "cores": os.cpu_count()}
    record = {"images": IMAGES, "side": SIDE, **found, "machine": facts, "python": platform.python_version()}
    RECORD.write_text(json.dumps(record, indent=2) + "\n", "utf-8")
    print(f"wrote {RECORD}")
    assert found["same_bytes"]
    assert max(found[run]["megabytes"] for run in ("undisturbed", "continued")) < MOST_MEGABYTES


if __name__ == "__main__":
    main()
