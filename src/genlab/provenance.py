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

from genlab import engine, recipe_files
from genlab.data import Dataset
from genlab.errors import UsageError
from genlab.nets.describe import Description, describe
from genlab.recipe import Recipe


def provenance_of(
    recipe: Recipe, seed: int, dataset: Dataset, described: list[Description], own: dict[str, str]
) -> dict[str, Any]:
    """What made this run, as far as it can be known when it begins."""
    settings = recipe.engine
    return {
        "seed": seed,
        "started": now(),
        "versions": {
            "python": platform.python_version(),
            **{name: metadata.version(name) for name in ("genlab", "torch", "numpy")},
        },
        "machine": {
            "processor": engine.processor(),
            "cores": os.cpu_count(),
            "system": f"{platform.system()} {platform.machine()}",
            "device": torch.cuda.get_device_name() if settings.device == "cuda" else settings.device,
            "threads": settings.threads,
            "precision": settings.precision,
        },
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


def describe_networks(recipe: Recipe, dataset: Dataset, made: Mapping[str, nn.Module]) -> list[Description]:
    """The layer tables, from running each network on one z and one image.

    Raises:
        UsageError: a network of the caller's cannot be called as `genlab.nets` says.
    """
    z, x = torch.zeros(2, recipe.networks.latent), torch.zeros(2, *dataset.images.shape[1:])
    y = (torch.zeros(2, dtype=torch.int64),)
    told = {"generator": recipe.conditional, "discriminator": recipe.discriminator_conditional}
    described = []
    for name, inputs in (("generator", z), ("discriminator", x)):
        expected = x.shape if name == "generator" else (2,)
        arguments = (inputs, *(y if told[name] else ()))
        try:
            described.append(describe(name, made[name], *arguments))
            given = tuple(_output(made[name], *arguments).shape)
        except (RuntimeError, TypeError, ValueError, AttributeError) as error:
            raise UsageError(
                f"the {name} cannot be run on {tuple(inputs.shape)}: {str(error).splitlines()[0]}"
            ) from error
        if given != tuple(expected):
            raise UsageError(f"the {name} makes {given} of {tuple(inputs.shape)}; expected {tuple(expected)}")
    return described


@torch.no_grad()
def _output(network: nn.Module, *arguments: Tensor) -> Tensor:
    """What a network in evaluation mode makes of its arguments; it stays as it was."""
    training = network.training
    try:
        output: Tensor = network.eval()(*arguments)
    finally:
        network.train(training)
    return output


def now() -> str:
    """The time as a label for people; nothing is computed from it."""
    return datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
