"""What is known of a loop, as a recipe, so that everything that reads runs finds its data and its length."""

from __future__ import annotations

import math

import torch

from genlab.data import Dataset
from genlab.data.preprocessing import Preprocessing
from genlab.recipe import REFERENCE, Recipe, files

KNOWN = ("none", "pad", "edge", "bilinear")
"""Resizing methods that a recipe can name."""


def recipe_of(
    way: Preprocessing,
    dataset: Dataset,
    conditional: bool,
    loss: str | None,
    steps: int | None,
    batch: int,
    *,
    rows: int,
    every: int,
    evaluation: str,
    device: str,
) -> Recipe:
    """Recipe of a loop.

    Args:
        way: how its samples got their size from the dataset's images.
        conditional: whether samples are requested by class.
        loss: its adversarial loss, if known.
        steps: number of steps that it is going to make, if known.
        batch: images per step.
        rows, every: steps from one row, and from one measurement, to the next.
        evaluation: see `recipe.sections.SampleLogging`.
        device: device of its networks.

    Raises:
        RecipeError: the loss is unknown, or a number is out of range.
    """
    batch = min(batch, len(dataset))
    return files.load(
        {
            "schema": 1,
            "name": "loop",
            "description": "a custom training loop",
            "family": "external",
            "data": {
                "name": dataset.name,
                "size": way.size,
                "channels": way.channels,
                "resize": way.resize if way.resize in KNOWN else "bilinear",
            },
            "networks": {"conditional": conditional},
            "objective": {"loss": loss},
            "budget": {
                "epochs": max(1, math.ceil((steps or 1) * batch / len(dataset))),
                "batch": batch,
                "max_steps": steps,
            },
            "engine": {**REFERENCE, "device": device, "threads": torch.get_num_threads()},
            "logging": {
                "metrics_every": rows,
                "sample_every": every,
                "sample_epochs": [],
                "evaluation": evaluation,
                "tensorboard": False,
            },
        }
    )
