"""Golden traces: what the first five steps of every recipe are, bit for bit. `python tests/golden.py` writes them.

A trace is of the plan `reference`, on the first 256 images of the recipe's own data and with small batches. Other
machines round otherwise, so a trace names the processor and PyTorch that it is of.
"""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import torch

from genlab import cores, engine, launching, recipe_files
from genlab.family import FAMILIES
from genlab.randomness import Keyed
from genlab.training import Plan

TRACES = Path(__file__).parent / "golden" / "traces.json"
STEPS, BATCH = 5, 16


def machine() -> str:
    """What decides how a float32 sum is rounded: PyTorch, and the processor down to its stepping and instructions."""
    try:
        facts = Path("/proc/cpuinfo").read_text("utf-8").split("\n\n")[0]
    except OSError:
        facts = cores.processor()
    kept = re.findall(r"^(?:vendor_id|cpu family|model|stepping|flags)\s*:.*$", facts, re.MULTILINE)
    digest = hashlib.sha256("\n".join(kept).encode()).hexdigest()[:12]
    return f"{torch.__version__} {torch.backends.cpu.get_cpu_capability()} {digest}"


def trace(name: str, settings: dict[str, Any] | None = None, **overrides: Any) -> dict[str, Any]:
    """Rows of the first steps, and the sha256 of all weights after them.

    Args:
        settings: of the engine section, instead of the plan `reference`.
        overrides: of other fields of the recipe, by dotted path.
    """
    changes: dict[str, Any] = {"data.subset": 256, "budget.batch": BATCH, "engine.plan": "reference"}
    if settings is not None:
        changes |= {"engine.plan": "auto", **{f"engine.{key}": value for key, value in settings.items()}}
    changes |= overrides
    if name == "s4-vae-warm":
        changes["init_encoder_from"] = None  # Its start is a training of its own; the steps are the same.
    recipe, dataset = launching.prepare(name, changes)
    family, keyed, classes = FAMILIES[recipe.family], Keyed(0), len(dataset.class_names)
    made = family.build(recipe, classes, keyed)
    resolved = engine.resolve(recipe.engine, family.mergeable(made), engine.convolves(made.values()))
    recipe = recipe.model_copy(update={"engine": resolved})
    before = torch.get_num_threads()
    model = family.model(recipe, made, engine.start(resolved), keyed, 1000, None)
    images, labels = torch.from_numpy(dataset.images), torch.from_numpy(dataset.labels)
    rows = []
    for step, indices in Plan.of(recipe, len(dataset)).batches(keyed, after=0):
        with keyed.scope("networks", step):
            row = model.step(images[indices], labels[indices], step)
        rows.append({key: float(value) for key, value in row.items()})
        if step == STEPS:
            break
    weights = hashlib.sha256()
    for network in model.networks.values():
        for value in network.state_dict().values():
            weights.update(value.detach().contiguous().numpy().tobytes())
    torch.set_num_threads(before)
    return {"rows": rows, "weights": weights.hexdigest()}


def names() -> list[str]:
    return recipe_files.names()


def main() -> None:
    """Write the traces of this machine beside those of others."""
    known = json.loads(TRACES.read_text("utf-8")) if TRACES.exists() else {}
    known[machine()] = {name: trace(name) for name in names()}
    TRACES.parent.mkdir(exist_ok=True)
    TRACES.write_text(json.dumps(known, indent=1, sort_keys=True) + "\n", "utf-8")


if __name__ == "__main__":
    main()
