"""What was reached before: the figures that `genlab bench` sets a machine beside. The benchmarks write them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

FILE = Path(__file__).parent / "records.json"


def load() -> dict[str, Any]:
    """`machine`, `throughput` (system -> ratio of its better precision) and `speedrun` (the records, a row each)."""
    found: dict[str, Any] = json.loads(FILE.read_text("utf-8"))
    return found


def keep(**parts: Any) -> None:
    """Put parts in the place of what was there."""
    known = load() if FILE.exists() else {}
    FILE.write_text(json.dumps({**known, **parts}, indent=1) + "\n", "utf-8")
