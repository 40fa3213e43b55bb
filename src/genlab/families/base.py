"""What a family of models is: how it is built and trained, and what else its models can do, as declared capabilities.

A capability is a record, or None where the family has none: nothing asks which family it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
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
class Validates(Protocol):
    """A model that says after each epoch how it does on held-out data."""

    def epoch_ended(self, images: Tensor | None, labels: Tensor | None, step: int) -> dict[str, float]:
        """What is to be logged of the epoch, and of the test split (uint8 images, int64 labels), where there is one."""


@runtime_checkable
class Scores(Protocol):
    """A model that tells real images from its own, and says how well it does on images that it does not learn from."""

    def held_out(self, images: Tensor, labels: Tensor | None, step: int) -> dict[str, float]:
        """What is to be logged of these real images (uint8; int64 labels) beside as many fresh ones of its own."""


CustomNetworks = Mapping[str, nn.Module]
"""Networks of the caller's, by name, that stand in for a recipe's."""
Networks = Mapping[str, nn.Module]
Examples = dict[str, tuple[tuple[Tensor, ...], tuple[int, ...]]]
"""For each network two inputs, and the shape of what it makes of them."""


@dataclass(frozen=True)
class Sampling:
    """Images from noise.

    Attributes:
        network: the one that makes them.
        noise: (recipe) -> the shape of the noise that one image is made from.
        to_images: (recipe, the network's output) -> images in [0, 1].
        calls: how often the network is called for one image.
        axes: whether single dimensions of the noise mean something, so that it is worth moving one alone.
    """

    network: str
    noise: Callable[[Any], tuple[int, ...]]
    to_images: Callable[[Any, Tensor], Tensor]
    calls: int = 1
    axes: bool = False


@dataclass(frozen=True)
class Encoding:
    """The noise of given images.

    Attributes:
        network: the one that finds it.
        encode: (recipe, network, engine, uint8 images, labels or None) -> (N, latent), float32.
    """

    network: str
    encode: Callable[[Any, nn.Module, Engine, Tensor, Tensor | None], Tensor]


@dataclass(frozen=True)
class Scoring:
    """A discriminator: a logit that says real or generated.

    Attributes:
        network: the one that scores.
        is_trained: (recipe) -> whether it learned anything.
        is_conditional: (recipe) -> whether it is told the class.
        packing: (recipe) -> how many consecutive images get one logit together.
        together: (recipe) -> how many consecutive images it looks at together: the logit of each depends on the others.
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
    """A likelihood, bounded from below, in nats per image.

    Attributes:
        networks: those that it takes.
        section: what it is called in an evaluation's record.
        facts: (recipe) -> what must be said beside the numbers, as plain values.
        bound: (recipe, networks, engine, streams, purpose, uint8 images, labels or None) -> `reconstruction_sum`,
            `kl_sum`, `active_units`: the terms of the negative bound.
        constant: (recipe, numbers in an image) -> what a density adds to the reconstruction.
        discrete: (recipe) -> whether it is a probability of images, not a density or a bound of neither.
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
    """A classifier: the class of an image.

    Attributes:
        network: the one that names.
        classify: (network, engine, uint8 images) -> logits (N, classes), float32.
    """

    network: str
    classify: Callable[[nn.Module, Engine, Tensor], Tensor]


@dataclass(frozen=True)
class WarmStart:
    """Weights of a classifier's run that a network starts from.

    Attributes:
        field: of the recipe, where it is asked for.
        network: the one that starts so.
        check: (network, the classifier's tensors, what messages call it): raises a UsageError where they do not fit.
        start: the same, and takes them.
    """

    field: str
    network: str
    check: Callable[[nn.Module, Mapping[str, Tensor], str], None]
    start: Callable[[nn.Module, Mapping[str, Tensor], str], None]

    def asked(self, recipe: Recipe) -> str | None:
        """The run or recipe that the weights come from; None where none is asked for."""
        given: str | None = getattr(recipe, self.field)
        return given


BLOCK = ("_mean", "_p10", "_p90")
"""What is added to the name of a quantity for its mean and quantiles over the steps since the last metric row."""


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
        live: what the progress bar calls it; empty: it is not shown there.
        epoch: how it is written in the line that ends an epoch, as a format; empty: it is not.
        block: whether rows also have its mean and its 10 % and 90 % quantiles over the steps since the last row.
        role: what it means for whoever looks at runs of any family; empty: nothing that others need.
        called: what a sentence calls it; empty: its key as words.
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
        """What a sentence calls it."""
        return self.called or self.name.replace("_", " ")


@dataclass(frozen=True)
class Family:
    """How a family is made from a recipe, and all that others ask of it.

    Attributes:
        build: (recipe, number of classes, random streams) -> its networks, by name.
        examples: (recipe, number of classes) -> what its networks take and give.
        model: (recipe, networks, engine, random streams, total steps, custom objective or None) -> one in training.
        equations: (recipe) -> the objective, a line each: who minimises what.
        columns: of its metric rows, in order.
        plots: (recipe, whether the objective is a custom one) -> curves over these columns.
        diagram: (recipe) -> the system with its passes.
        multiply_adds: (recipe, those of each network for one sample) -> those of a step, for each training image.
        outcome: (recipe, last metric row) -> (what, how it stands) of a finished training.
        cautions: (recipe, with its engine resolved) -> what is worth saying before a training.
        players: network that learns -> what ends the names of its columns, nothing where all learn together; networks
            that are not here are not watched (`training.vitals`).
        mergeable: whether each output depends on its own image only, so that passes may be merged.
        objective: the type of a custom objective; None: it takes none.
        called: what a message calls one of its models, behind "a".
        own_loop: whether its runs come from loops outside of genlab, so that nothing of them can be made again here.
        check_objective: sees whether a custom objective can be trained with; raises a UsageError where it cannot.
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
    check_objective: Callable[[Any], None] | None = None
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
        """The recipe's networks, or the caller's own in their place.

        Raises:
            UsageError: a custom network is needed (the run was made with one) and not given, or the family has no such.
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
