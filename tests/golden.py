"""Golden traces: the first five steps of every recipe. `python tests/golden.py` writes those of this machine.

All use the plan `reference`, the first 256 images of the recipe's own data, and small batches. There are two kinds.

`traces.json` has the steps as they are, to the last bit. They hold for one machine (its key names PyTorch and what
decides how a sum is rounded) and say nothing about another: Adam's first step is the sign of the gradient, so if a
gradient is nothing but rounding error, its weight moves by a whole step in an arbitrary direction.

`given.json` has the same steps with given gradients: losses and gradients are computed as always, but the optimisers
then receive numbers that are the same on every machine. So all machines pass through the same weights; at these,
losses and gradients are continuous in rounding errors, and what the optimisers make of given gradients, weight by
weight, is the same except for the last bits. These traces hold on every machine.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import torch

from genlab.data import Dataset
from genlab.engine import device, threads
from genlab.engine.optim import Descent, _flat
from genlab.families.base import Trains
from genlab.recipe import files
from genlab.recipe.schedule import Schedule
from genlab.training.assemble import assemble, prepare
from genlab.training.fit import batches

TRACES = Path(__file__).parent / "golden" / "traces.json"
GIVEN = Path(__file__).parent / "golden" / "given.json"
STEPS, BATCH, IMAGES = 5, 16, 256


def machine() -> str:
    """What decides how a float32 sum is rounded: PyTorch, the processor down to its stepping and instructions, and the
    limits set on those instructions."""
    try:
        facts = Path("/proc/cpuinfo").read_text("utf-8").split("\n\n")[0]
    except OSError:
        facts = threads.processor()
    kept = re.findall(r"^(?:vendor_id|cpu family|model|stepping|flags)\s*:.*$", facts, re.MULTILINE)
    digest = hashlib.sha256("\n".join(kept).encode()).hexdigest()[:12]
    effective = threads.instructions()
    return " ".join(filter(None, (torch.__version__, effective["capability"], digest, effective["limits"])))


def trace(name: str, settings: dict[str, Any] | None = None, **overrides: Any) -> dict[str, Any]:
    """Rows of the first steps, and the sha256 of all weights after them.

    Args:
        settings: values for the engine section, instead of the plan `reference`.
        overrides: values for other fields of the recipe, by dotted path.
    """
    model, rows = begun(name, settings, overrides)
    found = list(itertools.islice(rows, STEPS))
    weights = hashlib.sha256()
    for network in model.networks.values():
        for value in network.state_dict().values():
            weights.update(value.detach().contiguous().numpy().tobytes())
    return {"rows": found, "weights": weights.hexdigest()}


def given(
    name: str, settings: dict[str, Any] | None = None, steps: int = STEPS, **overrides: Any
) -> list[dict[str, Any]]:
    """Row of each of the first steps with the gradients of `gradient`, and how far weights have `moved` by then.

    Args:
        settings, overrides: see `trace`.
    """
    model, rows = begun(name, settings, overrides)
    for player in vars(model).values():
        if isinstance(player, Descent):
            give(player)
    first = {key: {k: v.clone() for k, v in network.state_dict().items()} for key, network in model.networks.items()}
    return [
        {"row": row, "moved": {key: moved(network, first[key]) for key, network in model.networks.items()}}
        for row in itertools.islice(rows, steps)
    ]


def begun(
    name: str, settings: dict[str, Any] | None, overrides: dict[str, Any]
) -> tuple[Trains, Iterator[dict[str, float]]]:
    """A model before its first step, and a lazy iterator over the rows of its steps."""
    changes: dict[str, Any] = {"data.subset": IMAGES, "budget.batch": BATCH, "engine.plan": "reference"}
    if settings is not None:
        changes |= {"engine.plan": "auto", **{f"engine.{key}": value for key, value in settings.items()}}
    changes |= overrides
    if name == "s4-vae-warm":
        changes["init_encoder_from"] = None  # Its start needs a training run of its own; the steps are the same.
    recipe, dataset = files.load(name, changes), images_of(name)
    assembly = assemble(recipe, dataset, 0)
    recipe, keyed, family = assembly.recipe, assembly.keyed, assembly.family
    resolved = recipe.engine
    before = torch.get_num_threads()
    model = family.model(recipe, assembly.networks, device.start(resolved), keyed, 1000, None)
    torch.set_num_threads(before)
    images, labels = torch.from_numpy(dataset.images), torch.from_numpy(dataset.labels)

    def rows() -> Iterator[dict[str, float]]:
        for step, indices in batches(Schedule.of(recipe, len(dataset)), keyed, after=0):
            before = torch.get_num_threads()
            torch.set_num_threads(int(resolved.threads))
            with keyed.scope("networks", step):
                row = model.step(images[indices], labels[indices], step)
            torch.set_num_threads(before)
            yield {key: float(value) for key, value in row.items()}

    return model, rows()


@cache
def images_of(name: str) -> Dataset:
    """First images of a recipe's data, at the recipe's size."""
    return prepare(name, {"data.subset": IMAGES, "budget.batch": BATCH})[1]


SCALES = (1.0, 0.125, 2.0, 0.25, 0.5)
"""Factors of the given gradients, step by step: all different, so that every moment and its decay show."""


def gradient(p: torch.Tensor, which: int, step: int) -> torch.Tensor:
    """Gradient of p, the same on every machine: -1 .. 1 times the step's factor; `faint` ones near Adam's epsilon."""
    index = torch.arange(p.numel(), dtype=torch.int64)
    values = ((index * 40503 + which * 9176 + step * 30011) % 65521 - 32760).float() / 32768
    values *= SCALES[step % len(SCALES)]
    values[faint(p)] *= 2.0**-27
    return values.view(p.shape)


def faint(p: torch.Tensor) -> torch.Tensor:
    """Mask of a tensor's numbers, in their logical order, that have faint gradients: one in eight."""
    return torch.arange(p.numel()) % 8 == 0


def give(player: Descent) -> None:
    """Give a player's optimiser `gradient` instead of the computed gradients, after those were measured."""
    steps = iter(range(1000))

    def hook(*_: Any) -> None:
        step = next(steps)
        for k, (p, memory) in enumerate(zip(player._parameters, player._memory, strict=True)):
            if memory.grad is not None:
                memory.grad = _flat(gradient(p, k, step), like=p)

    player.optimiser.register_step_pre_hook(hook)


def moved(network: torch.nn.Module, at_first: dict[str, torch.Tensor]) -> dict[str, float]:
    """Euclidean distances moved by weights, by weights with faint gradients, and by running statistics."""
    parts: dict[str, list[torch.Tensor]] = {"weights": [], "faint": [], "statistics": []}
    weights = dict(network.named_parameters())
    for key, value in network.state_dict().items():
        way = (value.double() - at_first[key].double()).flatten()
        if key in weights:
            parts["weights"].append(way[~faint(value)])
            parts["faint"].append(way[faint(value)])
        else:
            parts["statistics"].append(way)
    return {key: float(torch.cat(found).norm()) for key, found in parts.items() if found}


def names() -> list[str]:
    return files.names()


def main() -> None:
    """Write this machine's traces beside those of others, and traces with given gradients for recipes without any."""
    known = json.loads(TRACES.read_text("utf-8")) if TRACES.exists() else {}
    known[machine()] = {name: trace(name) for name in names()}
    write(TRACES, known)
    there = json.loads(GIVEN.read_text("utf-8")) if GIVEN.exists() else {}
    write(GIVEN, {name: there.get(name) or given(name) for name in names()})


def write(file: Path, traces: dict[str, Any]) -> None:
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps(traces, indent=1, sort_keys=True) + "\n", "utf-8")


if __name__ == "__main__":
    main()
