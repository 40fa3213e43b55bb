"""How a classifier learns: its network, its state, and `step`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from genlab.data.augmentation import augmented
from genlab.engine.device import Engine
from genlab.engine.optim import Descent, read
from genlab.engine.randomness import Keyed
from genlab.families.nets.classifier import CnnClassifier, MlpClassifier, VggClassifier
from genlab.recipe import ClassifierRecipe

CLASSIFIERS: dict[str, type[nn.Module]] = {"mlp": MlpClassifier, "cnn": CnnClassifier, "vgg": VggClassifier}


def build_networks(recipe: ClassifierRecipe, classes: int, keyed: Keyed) -> dict[str, nn.Module]:
    """The recipe's classifier with its initial weights, drawn from `keyed`."""
    section, data = recipe.networks.classifier, recipe.data
    with keyed.scope("init/classifier", 0):
        flat = section.model_dump(exclude={"kind"})
        made = CLASSIFIERS[section.kind](classes=classes, channels=data.channels, size=data.size, **flat)
    return {"classifier": made}


def example_inputs(recipe: ClassifierRecipe, classes: int) -> dict[str, tuple[tuple[Tensor, ...], tuple[int, ...]]]:
    """The network's inputs for a batch of two, and the shape of its output."""
    return {"classifier": ((torch.zeros(2, recipe.data.channels, recipe.data.size, recipe.data.size),), (2, classes))}


class Classifier:
    """A classifier in training.

    Args:
        recipe: all settings; its network section is read only by `build_networks`.
        networks: `classifier`, images in [-1, 1] -> logits (N, classes).
        engine: device and precision.
        keyed: random streams of the run's seed, for augmentation.
        total_steps: length of the schedule.
    """

    def __init__(
        self,
        recipe: ClassifierRecipe,
        networks: Mapping[str, nn.Module],
        engine: Engine,
        keyed: Keyed,
        total_steps: int,
    ) -> None:
        self.recipe, self.engine, self.keyed = recipe, engine, keyed
        self.network = engine.place(networks["classifier"]).train()
        self.descent = Descent("classifier", "optimiser", self.network, recipe.optimiser, engine, total_steps)
        self._epoch = {"loss": 0.0, "correct": 0, "images": 0}

    def step(self, images: Tensor, labels: Tensor | None, step: int) -> dict[str, float]:
        """Make one update on the mean cross-entropy -E log softmax(logits)[label], with augmented images if asked for.

        Args:
            images: uint8, (N, C, H, W).
            labels: int64, (N,).
            step: number of this step, from 1.

        Returns:
            Loss and accuracy of this minibatch before its update, the gradient's norm, the learning rate.

        Raises:
            NonFiniteError: loss or gradient is NaN or infinite; nothing was updated.
        """
        assert labels is not None, "the recipe's rules demand labels"
        y = labels.to(self.engine.device)
        if self.recipe.augmentation is not None:
            x = augmented(images, self.recipe.augmentation, self.keyed.stream("augmentation", step))
            x = self.engine.images(x) * 2 - 1
        else:
            x = self.engine.tanh_range(images)
        with self.engine.autocast():
            logits = self.network(x)
        logits = logits.float()
        loss = cross_entropy(logits, y, label_smoothing=self.recipe.objective.label_smoothing)
        norm = self.descent(loss, step)
        # The epoch reports the plain cross-entropy, as the test split does.
        plain = cross_entropy(logits.detach(), y) if self.recipe.objective.label_smoothing else loss
        correct = (logits.argmax(1) == y).sum().float()
        seen = read({"loss": loss, "plain": plain, "correct": correct, "grad_norm": norm})
        self._epoch["loss"] += seen["plain"] * len(y)
        self._epoch["correct"] += int(seen["correct"])
        self._epoch["images"] += len(y)
        accuracy = seen["correct"] / len(y)
        return {"loss": seen["loss"], "accuracy": accuracy, "grad_norm": seen["grad_norm"], "lr": self.descent.lr}

    def epoch_ended(self, images: Tensor | None, labels: Tensor | None, step: int) -> dict[str, float]:
        """Loss and accuracy, as means over the epoch's minibatches, each before its update, and on held-out images."""
        seen, self._epoch = self._epoch, {"loss": 0.0, "correct": 0, "images": 0}
        found = {"train_loss": seen["loss"] / seen["images"], "train_accuracy": seen["correct"] / seen["images"]}
        if images is not None and labels is not None:
            logits = self.classify(images)
            found["test_loss"] = cross_entropy(logits, labels).item()
            found["test_accuracy"] = float((logits.argmax(1) == labels).float().mean())
        return found

    def classify(self, images: Tensor) -> Tensor:
        """Logits (N, classes), float32, of uint8 images, with running batch statistics."""
        return classify(self.network, self.engine, images)

    @property
    def networks(self) -> dict[str, nn.Module]:
        """All modules with weights, by name."""
        return {"classifier": self.network}

    def training_state(self) -> dict[str, Any]:
        """State needed, besides the weights, to resume exactly, including the sums over the epoch so far."""
        return {"optimiser": self.descent.state(), "epoch": dict(self._epoch)}

    def load_training_state(self, state: dict[str, Any]) -> None:
        """Restore a state that `training_state` returned."""
        self.descent.load(state["optimiser"])
        self._epoch = dict(state["epoch"])


def classify(network: nn.Module, engine: Engine, images: Tensor) -> Tensor:
    """Logits (N, classes), float32 on the CPU, of uint8 images (N, C, H, W), with running batch statistics."""
    parts = [engine.apply(network, engine.tanh_range(images[k : k + 500])) for k in range(0, len(images), 500)]
    return torch.cat(parts)
