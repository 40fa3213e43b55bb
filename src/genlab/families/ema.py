"""An exponential moving average of a network, for sampling."""

from __future__ import annotations

import copy

import torch
from torch import nn


class Ema:
    """An average of a network's parameters and floating-point buffers.

    Integer buffers are copied instead, and so are the singular vectors of spectral normalisation, whose average would
    not have length 1.

    At update t (from 0) the average moves by the fraction 1 - min(decay, (1 + t) / (10 + t)) towards the network, so
    that a young average forgets its random start.

    Attributes:
        network: the averaged network, in evaluation mode.
        updates: number of updates made.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.network = copy.deepcopy(network).eval().requires_grad_(False)
        self.decay = decay
        self.updates = 0
        pairs = zip(network.state_dict(), _tensors(self.network), _tensors(network), strict=True)
        self._means: list[torch.Tensor] = []
        self._values: list[torch.Tensor] = []
        self._copied: list[tuple[torch.Tensor, torch.Tensor]] = []
        for name, mean, value in pairs:
            if mean.is_floating_point() and not name.endswith(("._u", "._v")):
                self._means.append(mean)
                self._values.append(value)
            else:
                self._copied.append((mean, value))

    @torch.no_grad()
    def update(self) -> None:
        """Move the average towards the network's current state."""
        weight = 1 - min(self.decay, (1 + self.updates) / (10 + self.updates))
        torch._foreach_lerp_(self._means, self._values, weight)
        for mean, value in self._copied:
            mean.copy_(value)
        self.updates += 1


def _tensors(network: nn.Module) -> list[torch.Tensor]:
    return [value.detach() for value in network.state_dict(keep_vars=True).values()]
