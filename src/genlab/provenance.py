"""What made a run: versions, machine, seed, data, and the networks' layers; known when it begins, kept with it."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from importlib import metadata
from typing import Any

import torch
from torch import Tensor, nn

from genlab import cores, recipe_files
from genlab.data import Dataset
from genlab.errors import UsageError
from genlab.family import Examples
from genlab.nets.describe import Description, describe
from genlab.recipe import Recipe


def provenance_of(
    recipe: Recipe, seed: int, dataset: Dataset, described: list[Description], own: dict[str, str]
) -> dict[str, Any]:
    """What made this run, as far as it can be known when it begins."""
    return {
        "seed": seed,
        "started": now(),
        "versions": versions(),
        "machine": machine_of(recipe),
        "data": {
            "name": recipe.data.name,
            "split": dataset.split,
            "images": len(dataset),
            "fingerprint": dataset.fingerprint,
            "class_names": list(dataset.class_names),
        },
        "networks": [asdict(description) for description in described],
        "own": own,
        "recipe": recipe_files.to_dict(recipe),
    }


def versions() -> dict[str, str]:
    """Of Python, genlab and what it computes with."""
    return {
        "python": platform.python_version(),
        **{name: metadata.version(name) for name in ("genlab", "torch", "numpy")},
    }


def machine_of(recipe: Recipe) -> dict[str, Any]:
    """This machine, and what of it the recipe uses."""
    settings = recipe.engine
    return {
        "processor": cores.processor(),
        **cores.instructions(),
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "device": torch.cuda.get_device_name() if settings.device == "cuda" else settings.device,
        "threads": settings.threads,
        "precision": settings.precision,
    }


MATTERS = (
    "genlab",
    "torch",
    "numpy",
    "processor",
    "capability",
    "onednn_bfloat16",
    "limits",
    "device",
    "threads",
    "precision",
)
"""Of versions and machine what can move a bit; Python itself and the number of cores cannot."""


def differences(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Which of the facts that can move a bit differ, each as "name old -> new".

    Args:
        then: a run's provenance, or its `versions` and `machine`. Runs of older versions lack some facts; these are
            not compared.
        now: the same of here: {"versions": versions(), "machine": machine_of(recipe)}.
    """
    before, after = ({**facts.get("versions", {}), **facts.get("machine", {})} for facts in (then, now))
    return [
        f"{name} {before[name] or 'none'} -> {after.get(name) or 'none'}"
        for name in MATTERS
        if name in before and before[name] != after.get(name)
    ]


def describe_networks(examples: Examples, made: Mapping[str, nn.Module]) -> list[Description]:
    """The layer tables, from running each network on an example.

    Raises:
        UsageError: a network of the caller's cannot be called as `genlab.nets` says.
    """
    described = []
    for name, (inputs, expected) in examples.items():
        shape = tuple(inputs[0].shape)
        try:
            described.append(describe(name, made[name], *inputs))
            given = tuple(_output(made[name], *inputs).shape)
        except (RuntimeError, TypeError, ValueError, AttributeError) as error:
            raise UsageError(f"the {name} cannot be run on {shape}: {str(error).splitlines()[0]}") from error
        if given != expected:
            raise UsageError(f"the {name} makes {given} of {shape}; expected {expected}")
    return described


@torch.no_grad()
def _output(network: nn.Module, *arguments: Tensor) -> Tensor:
    """What a network in evaluation mode makes of its arguments, the first of several; it stays as it was."""
    training = network.training
    try:
        output = network.eval()(*arguments)
    finally:
        network.train(training)
    first: Tensor = output[0] if isinstance(output, tuple) else output
    return first


def now() -> str:
    """The time as a label for people; nothing is computed from it."""
    return datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
