"""Description of a recipe's networks as JSON."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from genlab.api.train import Shown


def as_json(shown: Shown) -> dict[str, Any]:
    """{"recipe", "objective", "epoch": {...}, "networks": [{"name", "parameters", "layers": [...], ...}]}."""
    return {
        "recipe": shown.recipe.name,
        "objective": shown.equations,
        "epoch": asdict(shown.cost),
        "networks": [
            {
                "name": d.name,
                "parameters": d.parameters,
                "trainable": d.trainable,
                "not_trainable": d.parameters - d.trainable,
                "running_statistics": d.buffers,
                "multiply_adds": d.multiply_adds,
                "layers": [
                    {"type": layer.type, "output_shape": list(layer.output_shape), "parameters": layer.parameters}
                    for layer in d.layers
                ],
            }
            for d in shown.networks
        ],
    }
