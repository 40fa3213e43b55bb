"""A network's description as a table or as JSON."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from genlab.api.train import Shown
from genlab.families.nets.describe import Description
from genlab.report.tables import Table


def as_table(description: Description) -> Table:
    """One row a layer, totals at the end; shapes and multiply-adds for one image."""
    rows = [
        (layer.type, " x ".join(map(str, layer.output_shape)), f"{layer.parameters:,}", f"{layer.multiply_adds:,}")
        for layer in description.layers
    ]
    columns = ("layer", "output shape", "parameters", "multiply-adds")
    total = ("total", "", f"{description.parameters:,}", f"{description.multiply_adds:,}")
    fixed = description.parameters - description.trainable
    title = (
        f"{description.name}: {description.parameters:,} parameters "
        f"({description.trainable:,} trainable, {fixed:,} not; {description.buffers:,} running statistics)"
    )
    return Table(title, columns, rows, numeric=columns[1:], total=total)


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
