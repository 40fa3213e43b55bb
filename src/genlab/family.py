"""What a family of models can do, as declared capabilities, and the families there are."""

from __future__ import annotations

from collections.abc import Mapping
from types import ModuleType
from typing import Any, Protocol, runtime_checkable

from torch import Tensor, nn

from genlab import gan


@runtime_checkable
class Trains(Protocol):
    """A model in training: networks, and a step that updates them."""

    @property
    def networks(self) -> Mapping[str, nn.Module]:
        """Everything that has weights, by name."""

    def step(self, images: Tensor, labels: Tensor | None, step: int) -> dict[str, float]:
        """Learn from one batch (uint8 images, int64 labels); returns what is to be logged."""

    def training_state(self) -> dict[str, Any]:
        """What is needed beside the weights to go on exactly."""

    def load_training_state(self, state: dict[str, Any]) -> None:
        """Go back to such a state."""


@runtime_checkable
class Generates(Protocol):
    """A model that makes images from z."""

    @property
    def sampler(self) -> nn.Module:
        """The network that makes them."""

    def generate(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """Images for z (N, latent): float32, (N, C, H, W), in [0, 1]."""


FAMILIES: dict[str, ModuleType] = {"gan": gan}
"""Each family's module has `build_networks` and `make`."""
