"""Sections that describe a network: each `kind` has its own fields, which are its constructor's arguments.

Default widths, sides and dropout are those of the reports. `problems` says what cannot be built.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, field_validator

from genlab.recipe.sections import Number, Positive, Problem, Rate, Section, Side, Width, listed
from genlab.recipe.sizes import doublings, halvings

Init = Literal["normal-0.02", "torch-default"]
Normalisation = Literal["batch", "none", "spectral"]
Activation = Literal["relu", "leaky-relu", "leaky-relu-0.01"]
"""`leaky-relu` has the DCGAN paper's slope of 0.2, `leaky-relu-0.01` PyTorch's default."""
Order = Literal["normalise-activate", "activate-normalise"]
Group = Annotated[int, Number, Field(ge=2, le=64)]
Widths = Annotated[tuple[Width, ...], Field(min_length=1, max_length=16)]


class Network(Section):
    """Fields that all networks have."""

    kind: str
    activation: Activation = "relu"
    normalisation: Normalisation = "batch"
    """`batch`, `none`, or `spectral`: weights divided by their largest singular value (Miyato et al. 2018)."""
    order: Order = "normalise-activate"
    """Order of batch normalisation and activation."""
    init: Init = "normal-0.02"

    def problems(self, path: str, size: int) -> Iterator[Problem]:
        """Problems of this network, whose section is at `path`, with images of `size` pixels."""
        if self.normalisation != "batch" and self.order != "normalise-activate":
            yield (
                (f"{path}.order", f"{path}.normalisation"),
                f"{path}.order is {self.order}, which has no effect with normalisation {self.normalisation}; "
                "set it to normalise-activate",
            )


class Doubling(Network):
    """A network that doubles a small map until it has the image's size."""

    ngf: Width = 32
    """Channels before the last layer; doubled at each layer towards z."""
    base: Side = 4
    """Side of the first feature map, pixels; doubled by each block."""

    def problems(self, path: str, size: int) -> Iterator[Problem]:
        yield from super().problems(path, size)
        if doublings(self.base, size) is None:
            yield (
                ("data.size", f"{path}.base"),
                f"data.size is {size}, which cannot be reached by doubling {path}.base = {self.base} "
                f"(nearest: {_sizes(self.base, size)})",
            )


class Halving(Network):
    """A network that halves the image until a small map is left."""

    activation: Activation = "leaky-relu"
    ndf: Width = 32
    """Channels after the first layer; doubled at each further one."""
    base: Side = 4
    """Side of the last feature map, pixels."""

    def problems(self, path: str, size: int) -> Iterator[Problem]:
        yield from super().problems(path, size)
        if halvings(size, self.base) is None:
            yield (
                ("data.size", f"{path}.base"),
                f"data.size is {size}, which halving cannot reduce to {path}.base = {self.base}",
            )


class Dense(Network):
    """A network of linear layers."""

    activation: Activation = "leaky-relu"
    normalisation: Normalisation = "none"
    init: Init = "torch-default"
    widths: Widths
    """Units of each hidden layer, from input to output."""
    batchnorm_eps: Positive = 1e-5
    """Constant that batch normalisation adds to the variance (S1: 0.8, meant as a momentum)."""

    _listed = field_validator("widths", mode="before")(listed)

    def problems(self, path: str, size: int) -> Iterator[Problem]:
        yield from super().problems(path, size)
        if self.normalisation != "batch" and self.batchnorm_eps != 1e-5:
            yield (
                (f"{path}.batchnorm_eps", f"{path}.normalisation"),
                f"{path}.batchnorm_eps is {self.batchnorm_eps}, which has no effect with normalisation "
                f"{self.normalisation}; set it to 1e-5",
            )


class DcganGenerator(Doubling):
    kind: Literal["dcgan"]
    head: Literal["transposed", "convolution"] = "transposed"
    """Last layer: a transposed convolution that doubles the side (S0, S2) or a 3x3 convolution that keeps it (S4)."""


class ConditionalDcganGenerator(Doubling):
    later: ClassVar[Mapping[str, Any]] = {"conditioning": "branches"}
    kind: Literal["conditional-dcgan"]
    ngf: Width = 128
    conditioning: Literal["branches", "joint"] = "branches"
    """How z and the class enter: each by its own layer, with half the channels (S2), or by one layer, as one vector."""

    def problems(self, path: str, size: int) -> Iterator[Problem]:
        yield from super().problems(path, size)
        if self.conditioning == "branches":
            yield from _halves(f"{path}.ngf", self.ngf, "z and class")


class MlpGenerator(Dense):
    kind: Literal["mlp"]
    widths: Widths = (256, 512, 1024)
    normalise_first: bool = False
    """Whether the first layer is normalised too (S1: no)."""

    def problems(self, path: str, size: int) -> Iterator[Problem]:
        yield from super().problems(path, size)
        yield from _normalise_first(self.normalise_first, self.normalisation, path)


class ResidualGenerator(Doubling):
    """Residual blocks that double the side by repeating pixels."""

    kind: Literal["residual"]
    init: Init = "torch-default"


class DcganDiscriminator(Halving):
    later: ClassVar[Mapping[str, Any]] = {"minibatch_stddev": None}
    kind: Literal["dcgan"]
    stem: Literal["strided", "convolution", "patch"] = "strided"
    """First layer: a stride-2 convolution (S0, S2), a 3x3 convolution that keeps the side (S4), or `patch`, one
    with kernel 6 and stride 4 in place of the first two, which halves the arithmetic of D."""
    normalise_first: bool = True
    """Whether the first layer is normalised too (S2, S4) or not (S0)."""
    minibatch_stddev: Group | None = None
    """Images per group, whose spread D also sees as an extra channel of its last map; null for none."""

    def problems(self, path: str, size: int) -> Iterator[Problem]:
        yield from super().problems(path, size)
        yield from _patches(self, path, size)
        yield from _normalise_first(self.normalise_first, self.normalisation, path)


class ConditionalDcganDiscriminator(Halving):
    kind: Literal["conditional-dcgan"]
    ndf: Width = 128
    labels: bool = True
    """Whether D is told the class; false is S2's second form, cD(x), whose image branch takes all channels."""

    def problems(self, path: str, size: int) -> Iterator[Problem]:
        yield from super().problems(path, size)
        if self.labels:
            yield from _halves(f"{path}.ndf", self.ndf, "image and class")


class ProjectionDcganDiscriminator(Halving):
    later: ClassVar[Mapping[str, Any]] = {"stem": "strided", "minibatch_stddev": None}
    kind: Literal["projection-dcgan"]
    stem: Literal["strided", "patch"] = "strided"
    """First layer: a stride-2 convolution, or `patch`, one with kernel 6 and stride 4 in place of the first two."""
    normalisation: Normalisation = "none"
    init: Init = "torch-default"
    minibatch_stddev: Group | None = None
    """Images per group, whose spread D also sees as an extra channel of its last map; null for none."""

    def problems(self, path: str, size: int) -> Iterator[Problem]:
        yield from super().problems(path, size)
        yield from _patches(self, path, size)


class MlpDiscriminator(Dense):
    kind: Literal["mlp"]
    widths: Widths = (1024, 512, 256)
    dropout: Rate = 0
    """Share of hidden units set to 0 in training, after each activation (S3: 0.3); 0 for none."""


class ResidualDiscriminator(Halving):
    """Residual blocks that halve the side by averaging."""

    kind: Literal["residual"]
    normalisation: Normalisation = "none"
    init: Init = "torch-default"


class _Coder(Dense):
    activation: Activation = "leaky-relu-0.01"
    widths: Widths = (500,)


class MlpEncoder(_Coder):
    kind: Literal["mlp"]


class MlpDecoder(_Coder):
    kind: Literal["mlp"]


class ConvEncoder(Halving):
    kind: Literal["conv"]
    init: Init = "torch-default"


class ConvDecoder(Doubling):
    kind: Literal["conv"]
    init: Init = "torch-default"


class MlpClassifier(_Coder):
    kind: Literal["mlp"]


class CnnClassifier(Halving):
    kind: Literal["cnn"]
    init: Init = "torch-default"


class VggClassifier(Network):
    """Stages of two 3 x 3 convolutions, the second of which halves the side, and a layer of few features."""

    kind: Literal["vgg"]
    activation: Activation = "leaky-relu"
    init: Init = "torch-default"
    widths: Widths = (32, 64, 64)
    """Channels of each stage."""
    features: Width = 64
    """Units of the layer before the logits."""

    _listed = field_validator("widths", mode="before")(listed)


def batch_normalised(**networks: Network) -> frozenset[str]:
    """Names of the networks that normalise by batch statistics."""
    return frozenset(name for name, network in networks.items() if network.normalisation == "batch")


def _normalise_first(value: bool, normalisation: str, path: str) -> Iterator[Problem]:
    if value and normalisation != "batch":
        yield (
            (f"{path}.normalise_first", f"{path}.normalisation"),
            f"{path}.normalise_first has no effect with normalisation {normalisation}; set it to false",
        )


def _patches(D: DcganDiscriminator | ProjectionDcganDiscriminator, path: str, size: int) -> Iterator[Problem]:
    if (D.stem == "patch" and (halvings(size, D.base) or 0) < 2) or (D.stem == "patch" and size % 4):
        yield (
            (f"{path}.stem", f"{path}.base", "data.size"),
            f"{path}.stem is patch, which quarters the side at once, but data.size {size} is not 4 or more "
            f"times {path}.base = {D.base}; use strided",
        )


def _halves(path: str, width: int, of: str) -> Iterator[Problem]:
    if width % 2:
        yield (path,), f"{path} is {width}; it must be even: {of} get half of the channels each"


def _sizes(base: int, near: int) -> str:
    sizes = [base * 2**n for n in range(1, 8)]
    return ", ".join(str(size) for size in sorted(sorted(sizes, key=lambda size: abs(size - near))[:2]))
