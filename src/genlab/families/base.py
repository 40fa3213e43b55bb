"""What a family of models can do, as declared capabilities, and the families there are."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from torch import Tensor, nn

from genlab.engine.device import Engine
from genlab.engine.randomness import Keyed
from genlab.errors import UsageError
from genlab.families.classifier import model as classifier
from genlab.families.gan import model as gan
from genlab.families.gan.losses import AdversarialLoss
from genlab.families.vae import model as vae
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


@runtime_checkable
class Evaluates(Protocol):
    """A model that says after each epoch how it does on held-out data."""

    def epoch_ended(self, images: Tensor | None, labels: Tensor | None, step: int) -> dict[str, float]:
        """What is to be logged of the epoch, and of the test split (uint8 images, int64 labels), where there is one."""


CustomNetworks = Mapping[str, nn.Module]
"""Networks of the caller's, by name, that stand in for a recipe's."""
Examples = dict[str, tuple[tuple[Tensor, ...], tuple[int, ...]]]
"""For each network two inputs, and the shape of what it makes of them."""


@dataclass(frozen=True)
class Family:
    """How a family is made from a recipe.

    Attributes:
        build: (recipe, number of classes, random streams) -> its networks, by name.
        examples: (recipe, number of classes) -> what its networks take and give.
        model: (recipe, networks, engine, random streams, total steps, own objective or None) -> a model in training.
        sampler: the network that makes images from z, and `encoder` the one that makes z from images; None: it cannot.
        to_images: (recipe, the sampler's output) -> images in [0, 1].
        mergeable: whether networks treat each image by itself, so that passes may be merged.
    """

    build: Callable[[Any, int, Keyed], dict[str, nn.Module]]
    examples: Callable[[Any, int], Examples]
    model: Callable[[Any, Mapping[str, nn.Module], Engine, Keyed, int, AdversarialLoss | None], Trains]
    sampler: str | None = None
    encoder: str | None = None
    to_images: Callable[[Any, Tensor], Tensor] | None = None
    mergeable: Callable[[Mapping[str, nn.Module]], bool] = lambda networks: False

    def networks(
        self, recipe: Recipe, classes: int, keyed: Keyed, own: CustomNetworks, needed: Iterable[str]
    ) -> dict[str, nn.Module]:
        """The recipe's networks, or the caller's own in their place.

        Raises:
            UsageError: an own network is needed (the run was made with one) and not given, or the family has no such.
        """
        made = self.build(recipe, classes, keyed)
        missing = sorted(set(needed) & made.keys() - set(own))
        if missing:
            raise UsageError(
                f"this run was trained with its own {' and '.join(missing)}; give it as an argument in Python"
            )
        strange = sorted(set(own) - made.keys())
        if strange:
            raise UsageError(f"family {recipe.family} has no {' or '.join(strange)}; it has {' and '.join(made)}")
        return {**made, **own}


FAMILIES = {
    "gan": Family(
        build=gan.build_networks,
        examples=gan.example_inputs,
        model=gan.Gan,
        sampler="generator",
        to_images=gan.to_images,
        mergeable=gan.mergeable,
    ),
    "vae": Family(
        build=vae.build_networks,
        examples=vae.example_inputs,
        model=lambda recipe, networks, engine, keyed, steps, _: vae.Vae(recipe, networks, engine, keyed, steps),
        sampler="decoder",
        encoder="encoder",
        to_images=vae.to_images,
    ),
    "classifier": Family(
        build=classifier.build_networks,
        examples=classifier.example_inputs,
        model=lambda recipe, networks, engine, keyed, steps, _: classifier.Classifier(
            recipe, networks, engine, keyed, steps
        ),
    ),
}
