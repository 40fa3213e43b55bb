"""Which optimiser of a loop moved which network, and by which gradient, found by torch's optimiser hooks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.optimizer import (
    Optimizer,
    register_optimizer_step_post_hook,
    register_optimizer_step_pre_hook,
)


@dataclass(frozen=True)
class Heard:
    """What was observed of each network that an optimiser moved.

    Attributes:
        norms: Euclidean norm of the gradient that moved it.
        by_others: how far optimisers that also hold other networks' weights moved it, over the norm of its weights;
            only for networks that have an optimiser of their own.
    """

    norms: dict[str, float]
    by_others: dict[str, float]


class OptimiserSteps:
    """Observes the steps, between `begin` and `taken`, of all optimisers of this process that hold weights of these
    networks; changes nothing.

    Args:
        networks: networks by name.
    """

    def __init__(self, networks: Mapping[str, nn.Module]) -> None:
        self._weights = {name: list(network.parameters()) for name, network in networks.items()}
        self._owner = {id(w): name for name, weights in self._weights.items() for w in weights}
        self._before: dict[int, dict[str, list[Tensor]]] = {}
        self._listening = False
        self._norms: dict[str, float] = {}
        self._moved: dict[str, dict[int, float]] = {}
        self._held: dict[int, frozenset[str]] = {}
        self._hooks = [
            register_optimizer_step_pre_hook(self._steps),
            register_optimizer_step_post_hook(self._stepped),
        ]

    def begin(self) -> None:
        """Start to observe."""
        self._listening, self._norms, self._moved = True, {}, {}

    def taken(self) -> Heard:
        """Stop, and return what was observed since `begin`."""
        self._listening = False
        by_others: dict[str, float] = {}
        for name, moved in self._moved.items():
            own = [of for of in moved if self._held[of] == {name}]
            if own:
                by_others[name] = sum(moved[of] for of in moved if of not in own)
        return Heard(self._norms, by_others)

    def close(self) -> None:
        """Remove the hooks."""
        for hook in self._hooks:
            hook.remove()
        self._hooks = []

    def _of(self, optimiser: Optimizer) -> dict[str, list[nn.Parameter]]:
        """Weights that an optimiser holds, by network."""
        found: dict[str, list[nn.Parameter]] = {}
        for group in optimiser.param_groups:
            for weight in group["params"]:
                if name := self._owner.get(id(weight)):
                    found.setdefault(name, []).append(weight)
        return found

    def _steps(self, optimiser: Optimizer, args: Any, kwargs: Any) -> None:
        if not self._listening or not (held := self._of(optimiser)):
            return
        self._held[id(optimiser)] = frozenset(held)
        self._before[id(optimiser)] = {name: [w.detach().clone() for w in weights] for name, weights in held.items()}
        for name, weights in held.items():
            gradients = [w.grad for w in weights if w.grad is not None]
            if gradients and (len(held) == 1 or name not in self._norms):
                self._norms[name] = float(torch.stack([g.norm() for g in gradients]).norm())

    def _stepped(self, optimiser: Optimizer, args: Any, kwargs: Any) -> None:
        before = self._before.pop(id(optimiser), None)
        if before is None:
            return
        for name, weights in self._of(optimiser).items():
            moved = torch.stack([(w.detach() - was).norm() for w, was in zip(weights, before[name], strict=True)])
            size = torch.stack([was.norm() for was in before[name]]).norm()
            share = float(moved.norm() / size) if size else 0.0
            of = self._moved.setdefault(name, {})
            of[id(optimiser)] = of.get(id(optimiser), 0.0) + share
