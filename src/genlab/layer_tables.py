"""A network's description as a table or as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from genlab.nets.describe import Description
from genlab.tables import Table


def as_table(description: Description) -> Table:
    """One row a layer, totals at the end; shapes and multiply-adds for one image."""
    rows = [
        (layer.type, " x ".join(map(str, layer.output_shape)), f"{layer.parameters:,}", f"{layer.multiply_adds:,}")
        for layer in description.layers
    ]
    columns = ("layer", "output shape", "parameters", "multiply-adds")
    total = ("total", "", f"{description.parameters:,}", f"{description.multiply_adds:,}")
    title = f"{description.name}: {description.parameters:,} parameters ({description.trainable:,} trainable)"
    return Table(title, columns, rows, numeric=columns[1:], total=total)


def as_json(recipe: str, described: Sequence[Description]) -> dict[str, Any]:
    """{"recipe", "networks": [{"name", "parameters", "trainable", "multiply_adds", "layers": [...]}]}."""
    return {
        "recipe": recipe,
        "networks": [
            {
                "name": d.name,
                "parameters": d.parameters,
                "trainable": d.trainable,
                "multiply_adds": d.multiply_adds,
                "layers": [
                    {"type": layer.type, "output_shape": list(layer.output_shape), "parameters": layer.parameters}
                    for layer in d.layers
                ],
            }
            for d in described
        ],
    }
