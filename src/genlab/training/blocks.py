"""Summary of a quantity between two metric rows: mean and quantiles over every step, not only the last step's value.

>>> block = Block(["loss_d"])
>>> for value in (3.0, 1.0, 2.0):
...     block.add({"loss_d": value, "lr_d": 0.1})
>>> block.close()
{'loss_d_mean': 2.0, 'loss_d_p10': 1.2, 'loss_d_p90': 2.8}
>>> block.close()
{}
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from genlab.families.base import BLOCK


class Block:
    """Values of the steps since the last metric row.

    Args:
        columns: names of the quantities to keep; a step may lack some of them.
        state: state of an open block, from a checkpoint.
    """

    def __init__(self, columns: Iterable[str], state: Mapping[str, list[float]] | None = None) -> None:
        self._values: dict[str, list[float]] = {column: list((state or {}).get(column, ())) for column in columns}

    def add(self, losses: Mapping[str, float]) -> None:
        """Add the quantities of one step."""
        for column, values in self._values.items():
            if column in losses:
                values.append(losses[column])

    def close(self) -> dict[str, float]:
        """Mean, 10 % and 90 % quantile (linearly interpolated) of each quantity that has values; empties the block."""
        found: dict[str, float] = {}
        for column, values in self._values.items():
            if values:
                numbers = (np.mean(values), *np.quantile(values, (0.1, 0.9)))
                found |= {f"{column}{end}": float(number) for end, number in zip(BLOCK, numbers, strict=True)}
                values.clear()
        return found

    @property
    def state(self) -> dict[str, list[float]]:
        """State of an open block, for a checkpoint."""
        return {column: list(values) for column, values in self._values.items() if values}
