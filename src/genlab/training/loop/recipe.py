"""What is known of a loop as a recipe, so that all that reads runs finds its data and its length."""

from __future__ import annotations

import math

import torch

from genlab.data import Dataset
from genlab.data.preprocessing import Preprocessing
from genlab.recipe import REFERENCE, Recipe, files

KNOWN = ("none", "pad", "edge", "bilinear")
"""Ways of resizing that recipes have a word for."""


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
    """The recipe of a loop.

    Args:
        way: how its samples got their size from the dataset's images.
        conditional: whether they are asked for by class.
        loss: its adversarial loss, where that is known.
        steps: how many it is going to make, where that is known.
        batch: images of a step.
        rows, every: steps from one row, and from one measurement, to the next.
        evaluation: see `recipe.sections.SampleLogging`.
        device: where its networks are.

    Raises:
        RecipeError: no such loss, or a number that is out of range.
    """
    batch = min(batch, len(dataset))
    return files.load(
        {
            "schema": 1,
            "name": "loop",
            "description": "a training loop of one's own",
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
