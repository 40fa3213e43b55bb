"""What defines a family of models: how it is built and trained, and, as declared capabilities, what else it can do.

A capability is a record, or None if the family lacks it, so no other code asks which family it deals with.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

from torch import Tensor, nn

from genlab.engine.device import Engine
from genlab.engine.randomness import Keyed
from genlab.errors import UsageError
from genlab.families.drawing import Diagram, Plot
from genlab.recipe import Recipe


@runtime_checkable
class Trains(Protocol):
    """A model in training: networks, and a step that updates them."""

    @property
    def networks(self) -> Mapping[str, nn.Module]:
        """All modules with weights, by name."""

    def step(self, images: Tensor, labels: Tensor | None, step: int) -> dict[str, float]:
        """Learn from one batch (uint8 images, int64 labels) and return the quantities to log."""

    def training_state(self) -> dict[str, Any]:
        """State needed, besides the weights, to resume exactly."""

    def load_training_state(self, state: dict[str, Any]) -> None:
        """Restore a state that `training_state` returned."""


@runtime_checkable
class TakesTurns(Protocol):
    """A model that does not update every network in every step."""

    def resting(self, step: int) -> Collection[str]:
        """Networks that this step leaves as they are, while other steps update them."""


@runtime_checkable
class Generates(Protocol):
    """A model that makes images from z."""

    @property
    def sampler(self) -> nn.Module:
        """Network that makes the images."""

    def generate(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """Images for z (N, latent): float32, (N, C, H, W), in [0, 1]."""


@runtime_checkable
class Validates(Protocol):
    """A model that reports after each epoch how it does on held-out data."""

    def epoch_ended(self, images: Tensor | None, labels: Tensor | None, step: int) -> dict[str, float]:
        """Quantities to log for the epoch, and for the test split (uint8 images, int64 labels) if there is one."""


@runtime_checkable
class Scores(Protocol):
    """A model that tells real images from its own and reports how well, on images that it does not learn from."""

    def held_out(self, images: Tensor, labels: Tensor | None, step: int) -> dict[str, float]:
        """Quantities to log for these real images (uint8; int64 labels) and as many newly generated ones."""


CustomNetworks = Mapping[str, nn.Module]
"""The caller's own networks, by name, which replace the recipe's."""
Networks = Mapping[str, nn.Module]
Examples = dict[str, tuple[tuple[Tensor, ...], tuple[int, ...]]]
"""For each network: its inputs for a batch of two, and the shape of its output."""


@dataclass(frozen=True)
class Sampling:
    """How to make images from noise.

    Attributes:
        network: network that makes the images.
        noise: (recipe) -> shape of the noise for one image.
        to_images: (recipe, the network's output) -> images in [0, 1].
        calls: network calls per image.
        axes: whether single dimensions of the noise have a meaning, so that varying one alone is worthwhile.
    """

    network: str
    noise: Callable[[Any], tuple[int, ...]]
    to_images: Callable[[Any, Tensor], Tensor]
    calls: int = 1
    axes: bool = False


@dataclass(frozen=True)
class Encoding:
    """How to find the noise of given images.

    Attributes:
        network: network that finds the noise.
        encode: (recipe, network, engine, uint8 images, labels or None) -> (N, latent), float32.
    """

    network: str
    encode: Callable[[Any, nn.Module, Engine, Tensor, Tensor | None], Tensor]


@dataclass(frozen=True)
class Scoring:
    """How a discriminator scores images: with a logit that says real or generated.

    Attributes:
        network: network that scores.
        is_trained: (recipe) -> whether the discriminator learned anything.
        is_conditional: (recipe) -> whether it is told the class.
        packing: (recipe) -> number of consecutive images that share one logit.
        together: (recipe) -> number of consecutive images seen together, so that each logit depends on all of them.
        has_border: (recipe) -> whether the logit's sign says "real" or "generated".
        scores: (recipe, network, engine, uint8 images, labels or None) -> logits, (N // packing,).
    """

    network: str
    is_trained: Callable[[Any], bool]
    is_conditional: Callable[[Any], bool]
    packing: Callable[[Any], int]
    together: Callable[[Any], int]
    has_border: Callable[[Any], bool]
    scores: Callable[[Any, nn.Module, Engine, Tensor, Tensor | None], Tensor]


@dataclass(frozen=True)
class Bounding:
    """How to compute a lower bound on the log-likelihood, in nats per image.

    Attributes:
        networks: networks that the bound needs.
        section: name of its section in an evaluation's record.
        facts: (recipe) -> facts that must accompany the numbers, as plain values.
        bound: (recipe, networks, engine, streams, purpose, uint8 images, labels or None) -> `reconstruction_sum` and
            `kl_sum`, the terms of the negative bound, and `active_units`.
        constant: (recipe, values per image) -> constant that a density adds to the reconstruction term.
        discrete: (recipe) -> whether the bound is on a probability of images, rather than on a density or on neither.
        log_likelihood: (recipe, networks, engine, streams, uint8 images, labels or None, samples) -> log p(x), (N,).
    """

    networks: tuple[str, ...]
    section: str
    facts: Callable[[Any], dict[str, Any]]
    bound: Callable[[Any, Networks, Engine, Keyed, str, Tensor, Tensor | None], dict[str, float]]
    constant: Callable[[Any, int], float]
    discrete: Callable[[Any], bool]
    log_likelihood: Callable[[Any, Networks, Engine, Keyed, Tensor, Tensor | None, int], Tensor]


@dataclass(frozen=True)
class Naming:
    """How a classifier names the class of an image.

    Attributes:
        network: network that classifies.
        classify: (network, engine, uint8 images) -> logits (N, classes), float32.
    """

    network: str
    classify: Callable[[nn.Module, Engine, Tensor], Tensor]


@dataclass(frozen=True)
class WarmStart:
    """How a network starts from the weights of a classifier's run.

    Attributes:
        field: recipe field that asks for it.
        network: network that starts from these weights.
        check: (network, the classifier's tensors, their name in messages): raises a UsageError if they do not fit.
        start: (the same arguments): checks the tensors, then copies them into the network.
    """

    field: str
    network: str
    check: Callable[[nn.Module, Mapping[str, Tensor], str], None]
    start: Callable[[nn.Module, Mapping[str, Tensor], str], None]

    def asked(self, recipe: Recipe) -> str | None:
        """Run or recipe that the weights come from, or None if none is asked for."""
        given: str | None = getattr(recipe, self.field)
        return given


BLOCK = ("_mean", "_p10", "_p90")
"""Suffixes of a quantity's name for its mean and quantiles over the steps since the last metric row."""


Role = Literal[
    "loss",
    "training loss",
    "test loss",
    "training accuracy",
    "test accuracy",
    "reconstruction",
    "kl",
    "test reconstruction",
    "test kl",
    "active units",
    "test active units",
    "update",
    "gradient",
    "dead units",
    "learning rate",
    "loss of discriminator",
    "loss of generator",
    "held-out loss of discriminator",
    "logit of real images",
    "logit of generated images",
    "update of discriminator",
    "update of generator",
    "gradient of discriminator",
    "gradient of generator",
    "dead units of discriminator",
    "dead units of generator",
    "update of discriminator by the other's",
    "update of generator by the other's",
    "learning rate of discriminator",
    "learning rate of generator",
]
"""What a column is. Losses of both splits are means per image in the same unit; reconstruction and KL are in nats."""


@dataclass(frozen=True)
class Column:
    """A column of the metric rows.

    Attributes:
        name: its key.
        tag: its name in TensorBoard.
        live: its label in the progress bar; empty if it is not shown there.
        epoch: its format in the line that ends an epoch; empty if it is not shown there.
        block: whether rows also hold its mean and its 10 % and 90 % quantiles over the steps since the last row.
        role: what it means to code that reads runs of any family; empty if no other code needs it.
        called: its name in sentences; if empty, its key as words.
    """

    name: str
    tag: str
    live: str = ""
    epoch: str = ""
    block: bool = False
    role: Role | Literal[""] = ""
    called: str = ""

    @property
    def words(self) -> str:
        """The column's name in sentences."""
        return self.called or self.name.replace("_", " ")


@dataclass(frozen=True)
class Family:
    """How a family's models are made from a recipe, and everything that other code asks of the family.

    Attributes:
        build: (recipe, number of classes, random streams) -> its networks, by name.
        examples: (recipe, number of classes) -> example inputs and output shapes of its networks.
        model: (recipe, networks, engine, random streams, total steps, custom objective or None) -> a model in training.
        equations: (recipe) -> lines that state the objective: who minimises what.
        columns: columns of its metric rows, in order.
        plots: (recipe, whether the objective is custom) -> plots of these columns.
        diagram: (recipe) -> diagram of the system and its passes.
        multiply_adds: (recipe, multiply-adds of each network for one sample) -> those of a step, per training image.
        outcome: (recipe, last metric row) -> (quantity, its final state) pairs of a finished training.
        cautions: (recipe, with its engine resolved) -> warnings worth giving before training.
        players: network that learns -> suffix of its columns' names, empty if all networks learn together; networks
            that are not listed are not watched (`training.vitals`).
        mergeable: whether each output depends only on its own image, so that passes may be merged.
        objective: type of a custom objective, or None if the family takes none.
        called: what a message calls one of its models, after "a".
        own_loop: whether its runs come from loops outside genlab, so that nothing in them can be remade here.
        check_objective: (custom objective, recipe): checks that it can be trained with; raises a UsageError if not.
    """

    build: Callable[[Any, int, Keyed], dict[str, nn.Module]]
    examples: Callable[[Any, int], Examples]
    model: Callable[[Any, Networks, Engine, Keyed, int, Any], Trains]
    equations: Callable[[Any], list[str]]
    columns: tuple[Column, ...]
    plots: Callable[[Any, bool], list[Plot]]
    diagram: Callable[[Any], Diagram]
    multiply_adds: Callable[[Any, Mapping[str, float]], float]
    outcome: Callable[[Any, Mapping[str, Any]], list[tuple[str, str]]] = lambda recipe, row: []
    cautions: Callable[[Any], Iterator[str]] = lambda recipe: iter(())
    players: Mapping[str, str] = field(default_factory=dict)
    mergeable: Callable[[Networks], bool] = lambda networks: False
    objective: type | None = None
    check_objective: Callable[[Any, Any], None] | None = None
    called: str = ""
    own_loop: bool = False
    sampling: Sampling | None = None
    encoding: Encoding | None = None
    scoring: Scoring | None = None
    bounding: Bounding | None = None
    naming: Naming | None = None
    warm_start: WarmStart | None = None

    def networks(
        self, recipe: Recipe, classes: int, keyed: Keyed, custom: CustomNetworks, needed: Iterable[str]
    ) -> dict[str, nn.Module]:
        """The recipe's networks, with the caller's own in place of those of the same name.

        Raises:
            UsageError: a custom network is needed (the run was made with one) but not given, or the family has no
                network of that name.
        """
        made = self.build(recipe, classes, keyed)
        missing = sorted(set(needed) & made.keys() - set(custom))
        if missing:
            raise UsageError(
                f"this run was trained with a custom {' and '.join(missing)}; from Python: "
                f"genlab.open_run(..., {missing[0]}=...), or genlab.train(resume=..., {missing[0]}=...)"
            )
        strange = sorted(set(custom) - made.keys())
        if strange:
            raise UsageError(f"family {recipe.family} has no {' or '.join(strange)}; it has {' and '.join(made)}")
        return {**made, **custom}
