"""Earlier results, which `genlab bench` shows beside those of a machine. The benchmarks write them."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from genlab.engine import calibrate
from genlab.recipe import files
from genlab.runs import provenance

FILE = Path(__file__).parent / "records.json"


def load() -> dict[str, Any]:
    """`machine`, `throughput` (system -> ratio of its better precision) and `speedrun` (the records, one row each)."""
    found: dict[str, Any] = json.loads(FILE.read_text("utf-8"))
    return found


def keep(**parts: Any) -> None:
    """Write parts of the records in place of what was there."""
    known = load() if FILE.exists() else {}
    FILE.write_text(json.dumps({**known, **parts}, indent=1) + "\n", "utf-8")


def here() -> dict[str, Any]:
    """What every result is shown with: `date`, `versions`, and the `machine` with the precision and the threads that it
    chooses for convolutions."""
    recipe = files.load("quick-mnist")
    chosen = recipe.engine.model_copy(update=calibrate.measured("cpu").choice(convolutional=True))
    return {
        "date": time.strftime("%Y-%m-%d"),
        "versions": provenance.versions(),
        "machine": provenance.machine_of(recipe.model_copy(update={"engine": chosen})),
    }


def machine_class(machine: Mapping[str, Any]) -> str:
    """Class of a machine in terms of speed: "AVX512, bfloat16", or "AVX2, float32, limited" if a machine computes with
    fewer instructions than it has."""
    return f"{machine['capability']}, {machine['precision']}" + (", limited" if machine["limits"] else "")
