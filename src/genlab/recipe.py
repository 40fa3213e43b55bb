"""The schema of a recipe: one complete, frozen description of a training.

A recipe is made of sections; a section is a frozen pydantic model that forbids unknown keys. A field that has no
effect cannot be set: either its family or its network kind does not have it, or a rule below refuses it. Reading,
writing, overriding and comparing recipes is in `recipe_files`. Nothing here imports torch.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator

from genlab.geometry import doublings, halvings

Problem = tuple[tuple[str, ...], str]
"""The dotted paths that a problem is about, and what is wrong."""


def _no_truth_value(value: Any) -> Any:
    """YAML's `yes` is no number."""
    if isinstance(value, bool):
        raise ValueError("a number is needed, not true or false")
    return value


Number = BeforeValidator(_no_truth_value)
Count = Annotated[int, Number, Field(ge=1, le=1_000_000_000)]
Width = Annotated[int, Number, Field(ge=1, le=4096)]
Side = Annotated[int, Number, Field(ge=1, le=512)]
Positive = Annotated[float, Number, Field(gt=0, le=1e6, allow_inf_nan=False)]
Rate = Annotated[float, Number, Field(ge=0, lt=1, allow_inf_nan=False)]
LearningRate = Annotated[float, Number, Field(gt=0, le=1e4, allow_inf_nan=False)]


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True, validate_default=True)


class Data(Section):
    """Which images, and how they reach the networks."""

    name: str = Field(min_length=1)
    """A built-in dataset (`genlab data list`), or the path of an npz file in the same layout."""
    size: Side = 32
    """Side of the images that the networks see, pixels."""
    resize: Literal["none", "pad", "bilinear"] = "pad"
    """How the dataset's side becomes `size`: not at all, by a border of zeros (black), or by interpolation."""
    channels: Literal[1, 3] = 1
    last_batch: Literal["drop", "keep"] = "drop"
    """What happens to the last, partial batch of an epoch."""


Init = Literal["normal-0.02", "torch-default"]
Normalisation = Literal["batch", "none"]


class DcganGenerator(Section):
    kind: Literal["dcgan"]
    ngf: Width = 32
    """Channels before the last layer; doubled at each layer towards z."""
    base: Side = 4
    """Side of the first feature map, pixels; doubled by each block."""
    head: Literal["transposed", "convolution"] = "transposed"
    """Last layer: a transposed convolution that doubles the side (S0, S2) or a 3x3 convolution that keeps it (S4)."""
    activation: Literal["relu", "leaky-relu"] = "relu"
    normalisation: Normalisation = "batch"
    init: Init = "normal-0.02"


class ConditionalDcganGenerator(Section):
    kind: Literal["conditional-dcgan"]
    ngf: Width = 128
    base: Side = 4
    activation: Literal["relu", "leaky-relu"] = "relu"
    normalisation: Normalisation = "batch"
    init: Init = "normal-0.02"


class DcganDiscriminator(Section):
    kind: Literal["dcgan"]
    ndf: Width = 32
    """Channels after the first layer; doubled at each further one."""
    base: Side = 4
    """Side of the last feature map, pixels, which one convolution turns into the logit."""
    stem: Literal["strided", "convolution"] = "strided"
    """First layer: a stride-2 convolution (S0, S2) or a 3x3 convolution that keeps the side (S4)."""
    normalisation: Normalisation = "batch"
    normalise_first: bool = True
    """Whether the first layer is normalised too (S2, S4) or not (S0)."""
    init: Init = "normal-0.02"


class ConditionalDcganDiscriminator(Section):
    kind: Literal["conditional-dcgan"]
    ndf: Width = 128
    base: Side = 4
    normalisation: Normalisation = "batch"
    init: Init = "normal-0.02"


class ProjectionDcganDiscriminator(Section):
    kind: Literal["projection-dcgan"]
    ndf: Width = 32
    base: Side = 4
    normalisation: Normalisation = "none"
    init: Init = "torch-default"


class Networks(Section):
    latent: Width = 100
    """Dimensions of z."""
    generator: DcganGenerator | ConditionalDcganGenerator = Field(discriminator="kind")
    discriminator: DcganDiscriminator | ConditionalDcganDiscriminator | ProjectionDcganDiscriminator = Field(
        discriminator="kind"
    )


class Objective(Section):
    loss: Literal["non-saturating", "relativistic"]
    discriminator_terms: Literal["sum", "half-sum"] = "sum"
    """The discriminator's real and fake terms: added (S2, S3) or averaged (S0)."""
    generator_noise: Literal["reuse", "fresh"] = "reuse"
    """The generator's step: on the fake images of the discriminator's step, or on new ones."""
    penalty: Literal["none", "r1-r2-finite-difference"] = "none"
    lambda_: Positive | None = Field(default=None, alias="lambda")
    """Weight of the penalty: lambda/2 |grad D|^2, so it is R1's gamma."""
    sigma: Positive | None = None
    """Step of the finite difference, in units of pixels in [-1, 1]."""


class Optimiser(Section):
    name: Literal["adam"] = "adam"
    lr: LearningRate
    betas: tuple[Rate, Rate] = (0.9, 0.999)
    eps: Positive = 1e-8
    schedule: Literal["constant", "linear"] = "constant"
    """`linear`: from lr at the first step towards 0 after the last."""


class Optimisers(Section):
    generator: Optimiser
    discriminator: Optimiser


class Ema(Section):
    decay: Rate = 0.999
    """Exponential moving average of the generator: min(decay, (1 + t) / (10 + t)) at its t-th update."""


class Budget(Section):
    epochs: Count
    batch: Annotated[int, Field(ge=1, le=65_536)]
    max_steps: Count | None = None
    """Stop after so many steps, even inside an epoch."""


class Engine(Section):
    """All that changes rounding. `auto` is resolved once, on the machine, and written into the run."""

    plan: Literal["auto", "reference"] = "auto"
    """`reference`: float32, plain order, one thread, on the CPU; the same bits every time on one machine."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    memory_format: Literal["auto", "contiguous", "channels-last"] = "auto"
    threads: Literal["auto"] | Annotated[int, Field(ge=1, le=1024)] = "auto"
    fused_optimiser: Literal["auto"] | bool = "auto"
    merged_passes: Literal["auto"] | bool = "auto"
    """Real and fake images in one pass of the discriminator, where it has no batch statistics to mix."""


class Logging(Section):
    metrics_every: Count = 20
    """Steps between two rows of metrics.jsonl (the first and the last step are always there)."""
    sample_epochs: tuple[Count, ...] = (1, 2, 5, 10, 20, 50, 100)
    """Epochs after which the fixed z are drawn; the last epoch always is."""
    sample_every: Count | None = None
    """Draw them every so many steps too."""
    sample_batches: tuple[Annotated[int, Field(ge=0)], ...] = ()
    """Draw them after these batches of each epoch too, counted from 0 (S0: 0 and 625)."""
    checkpoint_seconds: Positive = 30
    tensorboard: bool = True

    @field_validator("sample_epochs", "sample_batches", mode="before")
    @classmethod
    def _one_or_comma_separated(cls, value: Any) -> Any:
        if isinstance(value, str):
            return value.replace(",", " ").split()
        return [value] if isinstance(value, int) else value


class BaseRecipe(Section):
    schema_: Literal[1] = Field(alias="schema")
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
    description: str = Field(default="", max_length=300)
    family: str
    data: Data
    budget: Budget
    engine: Engine = Engine()
    logging: Logging = Logging()

    def rules(self) -> Iterator[Problem]:
        """What is wrong between the fields, each of which is valid by itself."""
        if self.engine.plan == "reference":
            for field in REFERENCE:
                if getattr(self.engine, field) not in ("auto", REFERENCE[field]):
                    path = f"engine.{field}"
                    yield (
                        (path, "engine.plan"),
                        f"{path} is {getattr(self.engine, field)!r}; engine.plan reference means {REFERENCE[field]!r}",
                    )

    def against(self, images: int, side: int, channels: int, classes: int) -> Iterator[Problem]:
        """What is wrong between this recipe and a dataset of so many images of that side."""
        data, batch = self.data, self.budget.batch
        if batch > images:
            yield ("budget.batch",), f"budget.batch is {batch}, but dataset {data.name} has {images} training images"
        if data.resize == "none" and data.size != side:
            yield (
                ("data.size", "data.resize"),
                f"data.size is {data.size} and data.resize none, but dataset {data.name} has images of {side} pixels",
            )
        if data.resize == "pad" and data.size < side:
            yield (
                ("data.size", "data.resize"),
                f"data.size is {data.size}, but dataset {data.name} has {side} pixels; "
                "padding cannot shrink, use data.resize bilinear",
            )
        if data.channels < channels:
            yield ("data.channels",), f"data.channels is {data.channels}, but dataset {data.name} has {channels}"


class GanRecipe(BaseRecipe):
    family: Literal["gan"]
    networks: Networks
    objective: Objective
    optimisers: Optimisers
    ema: Ema | None = None

    @property
    def conditional(self) -> bool:
        """Whether the generator is told which class to draw."""
        return self.networks.generator.kind == "conditional-dcgan"

    @property
    def discriminator_conditional(self) -> bool:
        """Whether the discriminator is told the class of what it judges."""
        return self.networks.discriminator.kind != "dcgan"

    def rules(self) -> Iterator[Problem]:
        yield from super().rules()
        yield from self._network_rules()
        objective = self.objective
        for field, path in (("lambda_", "objective.lambda"), ("sigma", "objective.sigma")):
            value = getattr(objective, field)
            if objective.penalty == "none" and value is not None:
                yield (
                    (path, "objective.penalty"),
                    f"{path} is {value}, which has no effect with objective.penalty none; set it to null",
                )
            if objective.penalty != "none" and value is None:
                yield (path, "objective.penalty"), f"{path} is missing; objective.penalty {objective.penalty} needs it"
        if objective.loss == "relativistic" and objective.discriminator_terms != "sum":
            yield (
                ("objective.discriminator_terms", "objective.loss"),
                "objective.discriminator_terms is half-sum, but objective.loss relativistic has one term; use sum",
            )

    def _network_rules(self) -> Iterator[Problem]:
        size, G, D = self.data.size, self.networks.generator, self.networks.discriminator
        if doublings(G.base, size) is None:
            yield (
                ("data.size", "networks.generator.base"),
                f"data.size is {size}, which doubling networks.generator.base = {G.base} cannot make "
                f"(next: {_sizes(G.base, size)})",
            )
        if halvings(size, D.base) is None:
            yield (
                ("data.size", "networks.discriminator.base"),
                f"data.size is {size}, which halving cannot bring to networks.discriminator.base = {D.base}",
            )
        if D.kind != "dcgan" and not self.conditional:
            yield (
                ("networks.generator.kind", "networks.discriminator.kind"),
                f"networks.discriminator.kind is {D.kind}, but the generator is not told the class; "
                "use dcgan, or a conditional generator",
            )
        if isinstance(D, DcganDiscriminator) and D.normalisation == "none" and D.normalise_first:
            yield (
                ("networks.discriminator.normalise_first", "networks.discriminator.normalisation"),
                "networks.discriminator.normalise_first has no effect with normalisation none; set it to false",
            )
        if self.budget.batch == 1 and "batch" in (G.normalisation, D.normalisation):
            yield ("budget.batch",), "budget.batch is 1, but batch normalisation needs 2 or more"

    def against(self, images: int, side: int, channels: int, classes: int) -> Iterator[Problem]:
        yield from super().against(images, side, channels, classes)
        if self.conditional and not classes:
            yield (
                ("networks.generator.kind",),
                f"networks.generator.kind is conditional-dcgan, but dataset {self.data.name} has no labels; "
                "take an unconditional recipe (s2-dcgan, s4-dcgan)",
            )
        normalised = "batch" in (self.networks.generator.normalisation, self.networks.discriminator.normalisation)
        if self.data.last_batch == "keep" and images % self.budget.batch == 1 and normalised:
            yield (
                ("budget.batch", "data.last_batch"),
                f"budget.batch is {self.budget.batch}: the last batch of {images} images "
                "would be a single one, which batch normalisation cannot take; use data.last_batch drop",
            )


REFERENCE: dict[str, Any] = {
    "device": "cpu",
    "precision": "float32",
    "memory_format": "contiguous",
    "threads": 1,
    "fused_optimiser": False,
    "merged_passes": False,
}
"""The engine of `plan: reference`."""

Recipe = GanRecipe
"""A recipe of any family; later families make this a union."""

FAMILIES: dict[str, type[BaseRecipe]] = {"gan": GanRecipe}


def _sizes(base: int, near: int) -> str:
    sizes = [base * 2**n for n in range(1, 8)]
    return ", ".join(str(size) for size in sorted(sorted(sizes, key=lambda size: abs(size - near))[:2]))


__all__ = [
    "FAMILIES",
    "REFERENCE",
    "BaseRecipe",
    "Data",
    "Engine",
    "GanRecipe",
    "Logging",
    "Optimiser",
    "Problem",
    "Recipe",
    "Section",
]
