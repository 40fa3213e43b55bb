"""Signs of health of networks in training that no loss shows: how far a step moves the weights, and dead units."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

MOST = 2**16
"""Numbers of each tensor that are looked at, the first ones: of the large ones a part says as much."""


class Vitals:
    """Looks at single steps of a training, and changes nothing.

    Of each player, w being its weights (the first `MOST` of each tensor) before the step and w' after it:

    - update: |w' - w| / |w|, Euclidean norms; about 0.001 where a training goes well, above 0.1 where steps overshoot,
      0 where nothing was updated;
    - dead units: the share of all units (channels, of maps) behind a ReLU that are 0 for every image of the step, so
      that no gradient reaches their weights (Lu et al. 2019); left out without a ReLU. A leaky one cannot die.

    Args:
        networks: by name.
        players: network -> what ends the names of its quantities; networks with the same ending are taken together.
        compiled: whether the networks are compiled, so that nobody may listen to their layers.
    """

    def __init__(self, networks: Mapping[str, nn.Module], players: Mapping[str, str], compiled: bool = False) -> None:
        self._weights: dict[str, list[nn.Parameter]] = {}
        self._rectified: dict[str, list[nn.ReLU]] = {}
        for name, ending in players.items():
            self._weights.setdefault(ending, []).extend(networks[name].parameters())
            layers = [] if compiled else [layer for layer in networks[name].modules() if isinstance(layer, nn.ReLU)]
            self._rectified.setdefault(ending, []).extend(layers)

    @contextmanager
    def of_a_step(self) -> Iterator[dict[str, float]]:
        """Inside, a step is made; what this gives is filled at its end."""
        found: dict[str, float] = {}
        before = {ending: _taken(weights) for ending, weights in self._weights.items()}
        alive: dict[nn.Module, Tensor] = {}
        hooks = [layer.register_forward_hook(_listener(alive)) for group in self._rectified.values() for layer in group]
        try:
            yield found
        finally:
            for hook in hooks:
                hook.remove()
        for ending, weights in self._weights.items():
            size = _norm(before[ending])
            moved = _norm([now - was for now, was in zip(_taken(weights), before[ending], strict=True)])
            found[f"update{ending}"] = moved / size if size else 0.0
            units = [alive[layer] for layer in self._rectified[ending] if layer in alive]
            if units:
                found[f"dead_units{ending}"] = 1 - torch.cat(units).float().mean().item()


def _taken(weights: list[nn.Parameter]) -> list[Tensor]:
    # In the order in which they lie in memory, where each is in one piece (`Engine.place`).
    return [weight.detach().as_strided((min(weight.numel(), MOST),), (1,)).clone() for weight in weights]


def _norm(tensors: list[Tensor]) -> float:
    return float(torch.stack([tensor.norm() for tensor in tensors]).norm()) if tensors else 0.0


def _listener(alive: dict[nn.Module, Tensor]) -> Any:
    def listen(layer: nn.Module, args: Any, output: Tensor) -> None:
        """Output (N, units, ...): a unit that is positive anywhere is alive, in any pass of the step."""
        here = (output.detach() > 0).transpose(0, 1).flatten(1).any(1)
        alive[layer] = here if layer not in alive else alive[layer] | here

    return listen
