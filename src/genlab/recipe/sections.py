"""What every recipe is made of: numbers with their ranges, and the sections that all families share."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator
from pydantic_core import PydanticCustomError

from genlab.recipe.text import spelled

Problem = tuple[tuple[str, ...], str]
"""The dotted paths that a problem is about, and what is wrong."""


def _no_truth_value(value: Any) -> Any:
    """Refuse truth values: YAML's `yes` is not a number."""
    if isinstance(value, bool):
        raise PydanticCustomError("number_type", "a number is needed, not true or false")
    return value


Number = BeforeValidator(_no_truth_value)
Count = Annotated[int, Number, Field(ge=1, le=1_000_000_000)]
Width = Annotated[int, Number, Field(ge=1, le=4096)]
Side = Annotated[int, Number, Field(ge=1, le=512)]
Batch = Annotated[int, Number, Field(ge=1, le=65_536)]
Positive = Annotated[float, Number, Field(gt=0, le=1e6, allow_inf_nan=False)]
NotNegative = Annotated[float, Number, Field(ge=0, le=1e6, allow_inf_nan=False)]
Rate = Annotated[float, Number, Field(ge=0, lt=1, allow_inf_nan=False)]
LearningRate = Annotated[float, Number, Field(gt=0, le=1e4, allow_inf_nan=False)]


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True, validate_default=True)
    later: ClassVar[Mapping[str, Any]] = {}
    """Fields added since studies began to keep records, each with the value that changes nothing."""


def listed(value: Any) -> Any:
    """One number, or several in one string, as a list."""
    if isinstance(value, str):
        return value.replace(",", " ").split()
    return [value] if isinstance(value, int | float) else value


def _names(value: Any) -> Any:
    """Classes as a list.

    Raises:
        ValueError: a class is not a name or a whole number, as YAML reads yes, no, on and off.
    """
    found = listed(value)
    if isinstance(found, list) and any(isinstance(each, bool | float) for each in found):
        raise ValueError("names of classes are needed; put yes, no, on, off and numbers with a point in quotes")
    return found


class Data(Section):
    """Which images, and how they reach the networks."""

    later: ClassVar[Mapping[str, Any]] = {"classes": None}

    name: str = Field(min_length=1)
    """A built-in dataset (`genlab data list`), or the path of a folder or file of images (docs/data.md)."""
    classes: Annotated[list[str | int], BeforeValidator(_names), Field(min_length=1, max_length=1000)] | None = None
    """Only these classes, by name or number; null for all. A run keeps them in the dataset's name: mnist[0,1]."""
    subset: Count | None = None
    """Train only on this many images, the first ones of the training set; null for all."""
    size: Side = 32
    """Side of the images that the networks see, pixels."""
    resize: Literal["none", "pad", "edge", "bilinear"] = "pad"
    """How the dataset's side becomes `size`: not at all, by a border of zeros (black), by a border that repeats the
    image's edge (for light backgrounds), or by interpolation."""
    channels: Literal[1, 3] = 1
    last_batch: Literal["drop", "keep"] = "drop"
    """What happens to the last, partial batch of an epoch."""


class Optimiser(Section):
    """Fields that all optimisers share. `lr` is the rate at the schedule's highest point."""

    name: str
    lr: LearningRate
    weight_decay: NotNegative = 0
    schedule: Literal["constant", "linear", "cosine"] = "constant"
    """From lr at the first step: kept constant, or lowered in a line or half a cosine to 0 after the last step."""
    warmup_steps: Annotated[int, Number, Field(ge=0, le=1_000_000_000)] = 0
    """Number of steps over which the rate grows linearly to the schedule's."""
    full_batch: ClassVar[bool] = False

    def problems(self, path: str) -> Iterator[Problem]:
        """Conflicts between the fields of this section, which is at `path`."""
        yield from ()


class GradientDescent(Optimiser):
    """Full-batch gradient descent: every step uses all images (of `data.subset`)."""

    name: Literal["gradient-descent"]
    full_batch: ClassVar[bool] = True


class Sgd(Optimiser):
    name: Literal["sgd"]
    momentum: Rate = 0
    nesterov: bool = False

    def problems(self, path: str) -> Iterator[Problem]:
        if self.nesterov and not self.momentum:
            yield (
                (f"{path}.nesterov", f"{path}.momentum"),
                f"{path}.nesterov has no effect with {path}.momentum 0; change one of them",
            )


class Adagrad(Optimiser):
    """Duchi, Hazan and Singer 2011."""

    name: Literal["adagrad"]
    eps: Positive = 1e-10


class Adadelta(Optimiser):
    """Zeiler 2012."""

    name: Literal["adadelta"]
    rho: Rate = 0.9
    eps: Positive = 1e-6


class RmsProp(Optimiser):
    """Tieleman and Hinton 2012, whose lecture uses alpha 0.9."""

    name: Literal["rmsprop"]
    alpha: Rate = 0.99
    eps: Positive = 1e-8
    momentum: Rate = 0


class Adam(Optimiser):
    """Kingma and Ba 2015; weight decay as a term of the gradient."""

    name: Literal["adam"]
    betas: tuple[Rate, Rate] = (0.9, 0.999)
    eps: Positive = 1e-8
    amsgrad: bool = False


class AdamW(Optimiser):
    """Loshchilov and Hutter 2019; weight decay separate from the gradient."""

    name: Literal["adamw"]
    weight_decay: NotNegative = 0.01
    betas: tuple[Rate, Rate] = (0.9, 0.999)
    eps: Positive = 1e-8
    amsgrad: bool = False


AnyOptimiser = Annotated[
    GradientDescent | Sgd | Adagrad | Adadelta | RmsProp | Adam | AdamW, Field(discriminator="name")
]


class Ema(Section):
    decay: Rate = 0.999
    """Decay of the generator's exponential moving average: min(decay, (1 + t) / (10 + t)) at its t-th update."""


class Budget(Section):
    later: ClassVar[Mapping[str, Any]] = {"minutes": None}
    epochs: Count
    batch: Batch
    max_steps: Count | None = None
    """Stop after this many steps, even within an epoch."""
    minutes: Annotated[float, Number, Field(gt=0, le=10_000)] | None = None
    """Instead of epochs: as many steps as this machine makes in this many minutes, and the settings that suit them. A
    run keeps the result as plain numbers."""


class Engine(Section):
    """Everything that changes rounding. `auto` is resolved once, on the machine, and written into the run."""

    plan: Literal["auto", "reference"] = "auto"
    """`reference`: float32, plain order, one thread, on the CPU; the same bits every time on one machine."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    memory_format: Literal["auto", "contiguous", "channels-last"] = "auto"
    threads: Literal["auto"] | Annotated[int, Number, Field(ge=1, le=1024)] = "auto"
    fused_optimiser: Literal["auto"] | bool = "auto"
    """PyTorch's one-pass form of Adam, AdamW and SGD; the other optimisers have none."""
    merged_passes: Literal["auto"] | bool = "auto"
    """Real and fake images in one pass of the discriminator, if it has no batch statistics to mix."""
    compile: Literal["auto"] | bool = "auto"
    """`torch.compile` of the networks: takes a minute before the first step and gained nothing on the CPUs measured."""


class Logging(Section):
    metrics_every: Count = 20
    """Steps between two rows of metrics.jsonl (the first and the last step always have one)."""
    checkpoint_seconds: Positive = 30
    tensorboard: bool = True


class SampleLogging(Logging):
    """Logging for a family that makes images."""

    sample_epochs: tuple[Count, ...] = (1, 2, 5, 10, 20, 50, 100)
    """Epochs after which the fixed z are drawn; the last epoch always is."""
    sample_every: Count | None = None
    """Also draw them at every multiple of this many steps."""
    sample_batches: tuple[Annotated[int, Number, Field(ge=0)], ...] = ()
    """Also draw them after these batches of each epoch, counted from 0 (S0: 0 and 625)."""
    evaluation: Literal["full", "cheap", "none"] = "full"
    """`cheap`: 2,000 new images are measured after each sample epoch; `full`: also 10,000 after the last one."""

    _listed = field_validator("sample_epochs", "sample_batches", mode="before")(listed)


class BaseRecipe(Section):
    schema_: Literal[1] = Field(alias="schema")
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
    description: str = Field(default="", max_length=300)
    family: str
    data: Data
    budget: Budget
    engine: Engine = Engine()
    logging: Logging = Logging()
    example: ClassVar[str]
    """A built-in recipe of the family whose values stand in for invalid ones, so that the rest can be examined."""
    validates: ClassVar[bool] = False
    """Whether models of this family report after each epoch how they do on held-out images."""

    @property
    def latent(self) -> int:
        """Dimensions of z; 0 in a family that makes no images."""
        return 0

    @property
    def conditional(self) -> bool:
        """Whether the network that makes the images is told which class to draw."""
        return False

    @property
    def needs_labels(self) -> bool:
        """Whether training or testing needs the images' classes."""
        return self.conditional

    @property
    def ema_decay(self) -> float | None:
        """Decay of the averaged weights used for sampling, or None if there are none."""
        return None

    @property
    def batch_normalised(self) -> frozenset[str]:
        """Names of the networks that normalise by batch statistics."""
        return frozenset()

    def rules(self) -> Iterator[Problem]:
        """Conflicts between fields that are each valid by themselves."""
        if self.engine.plan == "reference":
            for field in REFERENCE:
                if getattr(self.engine, field) not in ("auto", REFERENCE[field]):
                    path = f"engine.{field}"
                    yield (
                        (path, "engine.plan"),
                        f"{path} is {spelled(getattr(self.engine, field))}; "
                        f"engine.plan reference means {spelled(REFERENCE[field])}",
                    )
        for path, optimiser in self.optimiser_sections().items():
            yield from optimiser.problems(path)
        if self.budget.batch == 1 and self.batch_normalised:
            yield ("budget.batch",), "budget.batch is 1, but batch normalisation needs 2 or more"

    def optimiser_sections(self) -> dict[str, Optimiser]:
        """The recipe's optimisers by their dotted paths."""
        raise NotImplementedError

    def against(self, images: int, side: int, channels: int, classes: int) -> Iterator[Problem]:
        """Conflicts between this recipe and a dataset of this many images of this side."""
        data, batch = self.data, self.budget.batch
        if data.subset is not None and data.subset > images:
            yield ("data.subset",), f"data.subset is {data.subset}, but dataset {data.name} has {images} images"
        images = min(images, data.subset or images)
        if batch > images:
            yield (
                ("budget.batch", "data.subset"),
                f"budget.batch is {batch}, but "
                + (
                    f"data.subset leaves {images} training images"
                    if data.subset
                    else f"dataset {data.name} has {images} training images"
                ),
            )
        for path, optimiser in self.optimiser_sections().items():
            if optimiser.full_batch and batch != images:
                yield (
                    ("budget.batch", "data.subset", f"{path}.name"),
                    f"{path}.name is gradient-descent, which uses all {images:,} images in each step, but budget.batch "
                    f"is {batch}; set budget.batch and data.subset to the same number, or use sgd",
                )
        if self.batch_normalised and data.last_batch == "keep" and images % batch == 1:
            yield (
                ("budget.batch", "data.last_batch"),
                f"budget.batch is {batch}: with {images} images the last batch would be a single image, "
                "which batch normalisation cannot handle; use data.last_batch drop",
            )
        if data.resize == "none" and data.size != side:
            yield (
                ("data.size", "data.resize"),
                f"data.size is {data.size} and data.resize none, but dataset {data.name} has images of {side} pixels",
            )
        if data.resize in ("pad", "edge") and data.size < side:
            yield (
                ("data.size", "data.resize"),
                f"data.size is {data.size}, but dataset {data.name} has images of {side} pixels; "
                "padding cannot shrink, use data.resize bilinear",
            )
        if data.channels < channels:
            yield ("data.channels",), f"data.channels is {data.channels}, but dataset {data.name} has {channels}"


REFERENCE: dict[str, Any] = {
    "device": "cpu",
    "precision": "float32",
    "memory_format": "contiguous",
    "threads": 1,
    "fused_optimiser": False,
    "merged_passes": False,
    "compile": False,
}
"""The engine of `plan: reference`."""


def merged_passes_of_a_gan(recipe: BaseRecipe) -> Iterator[Problem]:
    """Refuse merged passes in other families, which have no real and fake images to merge."""
    if recipe.engine.merged_passes is True:
        yield ("engine.merged_passes",), f"engine.merged_passes has no effect in family {recipe.family}; set it to auto"


def no_labels(path: str, value: object, data: Data) -> Problem:
    """Problem for a recipe that needs classes when the dataset has none."""
    return (path,), f"{path} is {spelled(value)}, but dataset {data.name} has no labels; use an unconditional recipe"
