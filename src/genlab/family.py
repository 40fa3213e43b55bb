"""What a family of models can do, as declared capabilities, and the families there are."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from torch import Tensor, nn

from genlab import gan
from genlab.engine import Engine
from genlab.errors import UsageError
from genlab.losses import AdversarialLoss
from genlab.randomness import Keyed
from genlab.recipe import Recipe


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


Own = Mapping[str, nn.Module]
"""Networks of the caller's, by name, that stand in for a recipe's."""


@dataclass(frozen=True)
class Family:
    """How a family is made from a recipe.

    Attributes:
        build: (recipe, number of classes, random streams) -> its networks, by name.
        model: (recipe, networks, engine, random streams, total steps, own objective or None) -> a model in training.
        mergeable: whether networks treat each image by itself, so that passes may be merged.
    """

    build: Callable[[Recipe, int, Keyed], dict[str, nn.Module]]
    model: Callable[[Recipe, Mapping[str, nn.Module], Engine, Keyed, int, AdversarialLoss | None], Trains]
    mergeable: Callable[[Mapping[str, nn.Module]], bool]

    def networks(
        self, recipe: Recipe, classes: int, keyed: Keyed, own: Own, needed: Iterable[str]
    ) -> dict[str, nn.Module]:
        """The recipe's networks, or the caller's own in their place.

        Raises:
            UsageError: an own network is needed (the run was made with one) and not given.
        """
        made = self.build(recipe, classes, keyed)
        missing = sorted(set(needed) & made.keys() - set(own))
        if missing:
            raise UsageError(
                f"this run was trained with its own {' and '.join(missing)}; give it as an argument in Python"
            )
        return {**made, **own}


FAMILIES = {"gan": Family(gan.build_networks, gan.Gan, gan.mergeable)}
