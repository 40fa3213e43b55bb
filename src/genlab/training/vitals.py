"""Signs of health of networks in training that no loss shows: how far a step moves the weights, and dead units."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

MOST = 2**16
"""Number of leading elements of each tensor that are looked at: a part of a large tensor says as much."""


class Vitals:
    """Observes single steps of a training without changing anything.

    For each player, with weights w (the first `MOST` of each tensor) before the step and w' after it:

    - update: |w' - w| / |w|, Euclidean norms; about 0.001 if a training goes well, above 0.1 if steps overshoot, 0 if
      nothing is updated; omitted if this step leaves the player out, as between two steps of a generator whose critic
      takes several;
    - dead units: share of all units (channels, for feature maps) after a ReLU that are 0 for every image of the step,
      so that no gradient reaches their weights (Lu et al. 2019); omitted without a ReLU. A leaky ReLU cannot die.

    Args:
        networks: networks by name.
        players: network -> suffix of the names of its quantities; networks with the same suffix are taken together.
        compiled: whether the networks are compiled, so that their layers cannot have hooks.
    """

    def __init__(self, networks: Mapping[str, nn.Module], players: Mapping[str, str], compiled: bool = False) -> None:
        self._weights: dict[str, list[nn.Parameter]] = {}
        self._rectified: dict[str, list[nn.ReLU]] = {}
        for name, ending in players.items():
            self._weights.setdefault(ending, []).extend(networks[name].parameters())
            layers = [] if compiled else [layer for layer in networks[name].modules() if isinstance(layer, nn.ReLU)]
            self._rectified.setdefault(ending, []).extend(layers)
        self._seen = {ending: _taken(weights) for ending, weights in self._weights.items()}

    @contextmanager
    def of_a_step(self, resting: Collection[str] | None = None) -> Iterator[dict[str, float]]:
        """Context for one step; yields a dict of the quantities, which is filled at the end.

        Args:
            resting: suffixes of the players that this step leaves out; None if that is not known. A player then rests
                if this step does not move it, but another did since the last look.
        """
        found: dict[str, float] = {}
        before = {ending: _taken(weights) for ending, weights in self._weights.items()}
        alive: dict[tuple[nn.Module, int], Tensor] = {}
        hooks = [layer.register_forward_hook(_listener(alive)) for group in self._rectified.values() for layer in group]
        try:
            yield found
        finally:
            for hook in hooks:
                hook.remove()
        for ending, weights in self._weights.items():
            size, now = _norm(before[ending]), _taken(weights)
            moved = _moved(before[ending], now)
            rests = ending in resting if resting is not None else _moved(self._seen[ending], before[ending]) > 0
            if moved or not rests:
                found[f"update{ending}"] = moved / size if size else 0.0
            self._seen[ending] = now
            units = [here for (layer, _), here in alive.items() if layer in self._rectified[ending]]
            if units:
                found[f"dead_units{ending}"] = 1 - torch.cat(units).float().mean().item()


def _taken(weights: list[nn.Parameter]) -> list[Tensor]:
    # In memory order; each weight lies in one piece (`Engine.place`).
    return [weight.detach().as_strided((min(weight.numel(), MOST),), (1,)).clone() for weight in weights]


def _norm(tensors: list[Tensor]) -> float:
    return float(torch.stack([tensor.norm() for tensor in tensors]).norm()) if tensors else 0.0


def _moved(was: list[Tensor], now: list[Tensor]) -> float:
    return _norm([after - before for after, before in zip(now, was, strict=True)])


def _listener(alive: dict[tuple[nn.Module, int], Tensor]) -> Any:
    def listen(layer: nn.Module, args: Any, output: Tensor) -> None:
        """Output (N, units, ...): a unit that is positive anywhere, in any pass of the step, is alive. A module that is
        called behind several layers counts once for each of their widths."""
        here = (output.detach() > 0).transpose(0, 1).flatten(1).any(1)
        key = layer, len(here)
        alive[key] = here if key not in alive else alive[key] | here

    return listen
