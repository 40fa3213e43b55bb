"""A guarded optimiser step down a loss: nothing is updated from a value that is not finite."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from genlab.engine.device import Engine, lr_at, optimiser
from genlab.engine.fast_layers import Linear
from genlab.errors import NonFiniteError
from genlab.recipe import Optimiser


class Descent:
    """The optimiser of a player.

    Args:
        name: name of the player in messages.
        path: path of its section in the recipe.
        network: network that it updates, or several.
        settings: its section of the recipe.
        machine: engine, which says whether a fused form is used.
        total_steps: length of the schedule.

    Attributes:
        lr: learning rate of the last step.
    """

    def __init__(
        self,
        name: str,
        path: str,
        network: nn.Module | Sequence[nn.Module],
        settings: Optimiser,
        machine: Engine,
        total_steps: int,
    ) -> None:
        self.name, self.path, self.settings, self.total_steps = name, path, settings, total_steps
        self.network = network if isinstance(network, nn.Module) else nn.ModuleList(network)
        self._parameters = list(self.network.parameters())
        # Fused Adam copies weights that are not contiguous, such as channels-last ones: it is given flat views of them.
        self._memory = [nn.Parameter(_flat(p.detach())) for p in self._parameters]
        self.optimiser = optimiser(settings, self._memory, machine)
        self._buffers = [buffer for buffer in self.network.buffers() if buffer.is_floating_point()]
        for module in self.network.modules():
            if isinstance(module, Linear):
                module.updates_are_told = True
        self.lr = settings.lr

    def __call__(self, loss: Tensor, step: int) -> Tensor:
        """Take one step down the gradient of `loss`; return its Euclidean norm over all weights, still on the device.

        Raises:
            NonFiniteError: loss, gradient or batch statistics are not finite; the weights are unchanged.
        """
        self.lr = lr_at(self.settings, step, self.total_steps)
        for group in self.optimiser.param_groups:
            group["lr"] = self.lr
        for p in self._parameters:
            p.grad = None
        loss.backward()  # type: ignore[no-untyped-call]
        gradients = [p.grad for p in self._parameters if p.grad is not None]
        # Everything that must be finite goes into one tensor and is read once: a GPU would wait at each read.
        norms = torch.stack(torch._foreach_norm([*gradients, *self._buffers, loss.detach()]))
        norm: Tensor = torch.linalg.vector_norm(norms[: len(gradients)])
        if not torch.isfinite(torch.cat([norms, norm[None]])).all():
            raise NonFiniteError(self._blame(loss, step))
        for p, memory in zip(self._parameters, self._memory, strict=True):
            memory.grad = None if p.grad is None else _flat(p.grad, like=p)
        self.optimiser.step()
        torch.autograd.graph.increment_version(self._memory)
        return norm

    def state(self) -> dict[str, Any]:
        """The optimiser's state; moments have the shape of their weights."""
        state: dict[str, Any] = self.optimiser.state_dict()
        return {
            **state,
            "state": self._reshaped(state["state"], lambda value, p: value.as_strided(p.shape, p.stride())),
        }

    def load(self, state: dict[str, Any]) -> None:
        """Restore what `state` returned.

        Raises:
            KeyError, TypeError, ValueError: the state belongs to other weights.
        """
        shapes = [tuple(p.shape) for p in self._parameters]
        for k, moments in state["state"].items():
            for name, value in moments.items():
                if isinstance(value, Tensor) and name != "step" and tuple(value.shape) != shapes[k]:
                    raise ValueError(f"{self.name}: {name} of weight {k} is {tuple(value.shape)}, not {shapes[k]}")
        flat = self._reshaped(state["state"], lambda value, p: _flat(value, like=p))
        # A fork may have switched momentum on: SGD then begins it by itself, RMSprop does not.
        if getattr(self.settings, "momentum", 0):
            for moments in flat.values():
                if "square_avg" in moments:
                    moments.setdefault("momentum_buffer", torch.zeros_like(moments["square_avg"]))
        # The settings stay those of this recipe: a fork may have changed them.
        groups = self.optimiser.state_dict()["param_groups"]
        self.optimiser.load_state_dict({"state": flat, "param_groups": groups})

    def _reshaped(
        self, state: Mapping[int, Mapping[str, Any]], form: Callable[[Tensor, Tensor], Tensor]
    ) -> dict[int, dict[str, Any]]:
        """The optimiser's state with the tensors of each weight converted by `form`."""
        return {
            k: {
                name: form(value, self._parameters[k]) if isinstance(value, Tensor) and name != "step" else value
                for name, value in moments.items()
            }
            for k, moments in state.items()
        }

    def _blame(self, loss: Tensor, step: int) -> str:
        where, hint = f"step {step}, {self.name}", f"try a smaller {self.path}.lr"
        if not torch.isfinite(loss):
            first = "; at the first step it is the loss itself that is wrong" if step == 1 else f"; {hint}"
            return f"{where}: the loss is {loss.item()}{first}"
        for path, p in self.network.named_parameters():
            if p.grad is not None and not torch.isfinite(p.grad).all():
                return f"{where}: the gradient of {path} is not finite; {hint}"
        for path, buffer in self.network.named_buffers():
            if not torch.isfinite(buffer).all():
                return f"{where}: the statistics {path} are not finite; {hint}"
        return f"{where}: the gradient's norm is too large for float32; {hint}"


def _flat(tensor: Tensor, like: Tensor | None = None) -> Tensor:
    """The values of a dense tensor in its order in memory, or in that of `like`, as a vector; shared, not copied, if
    that is the tensor's own order."""
    like = tensor if like is None else like
    dense = 1 + sum((n - 1) * stride for n, stride in zip(like.shape, like.stride(), strict=True)) == like.numel()
    assert dense, "Engine.place has made it so"
    if tensor.stride() != like.stride():
        tensor = torch.empty_strided(like.shape, like.stride(), dtype=tensor.dtype, device=tensor.device).copy_(tensor)
    return tensor.as_strided((tensor.numel(),), (1,))


def read(values: Mapping[str, Tensor | float]) -> dict[str, float]:
    """Scalars, some of which may still be on the device, as numbers, read in one transfer."""
    unread = [value.detach() for value in values.values() if isinstance(value, Tensor)]
    numbers = iter(torch.stack(unread).tolist() if unread else ())
    return {name: next(numbers) if isinstance(value, Tensor) else value for name, value in values.items()}
