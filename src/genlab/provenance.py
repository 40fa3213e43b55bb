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

from genlab import __version__, cores, recipe_files
from genlab.data import Dataset
from genlab.errors import UsageError, first_line
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
        "genlab": __version__,
        **{name: metadata.version(name) for name in ("torch", "numpy")},
    }


def machine_of(recipe: Recipe) -> dict[str, Any]:
    """This machine, and what of it the recipe uses."""
    settings = recipe.engine
    return {
        "processor": cores.processor(),
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "device": torch.cuda.get_device_name() if settings.device == "cuda" else settings.device,
        "threads": settings.threads,
        "precision": settings.precision,
    }


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
            raise UsageError(f"the {name} cannot be run on {shape}: {first_line(error)}") from error
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
