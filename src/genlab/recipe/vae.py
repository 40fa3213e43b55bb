"""Recipes of the family `vae`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from genlab.recipe.networks import ConvDecoder, ConvEncoder, MlpDecoder, MlpEncoder, batch_normalised
from genlab.recipe.sections import (
    AnyOptimiser,
    BaseRecipe,
    Count,
    NotNegative,
    Number,
    Optimiser,
    Problem,
    SampleLogging,
    Section,
    Width,
    merged_passes_of_a_gan,
    no_labels,
)
from genlab.recipe.text import spelled


class VaeNetworks(Section):
    latent: Width = 2
    """Dimensions of z."""
    conditional: bool = False
    """Whether encoder and decoder are told the class (Sohn, Lee and Yan 2015)."""
    encoder: MlpEncoder | ConvEncoder = Field(discriminator="kind")
    decoder: MlpDecoder | ConvDecoder = Field(discriminator="kind")


class VaeObjective(Section):
    later: ClassVar[Mapping[str, Any]] = {"binarise": "none", "importance_samples": 1}
    likelihood: Literal["gaussian", "bernoulli"]
    """Likelihood of a pixel: Gaussian of variance 1 around the decoder's output, pixels in [-1, 1]; or Bernoulli with
    that output as logit, pixels in [0, 1]."""
    binarise: Literal["none", "static", "dynamic"] = "none"
    """Pixels as 0 or 1, drawn with their gray as probability of white: once per image (`static`), or anew in each step
    for training images (`dynamic`). `none`: a Bernoulli pixel's gray stands for that probability."""
    importance_samples: Annotated[int, Number, Field(ge=1, le=1000)] = 1
    """Number of z per image in a step: more than one makes the bound tighter (IWAE; Burda et al. 2016)."""
    reconstruction: Literal["sum", "mean"] = "sum"
    """`sum`: the negative log-likelihood over all pixels (Gaussian: half the squared error, constant left out). `mean`:
    the mean over pixels of the squared error (not halved: MSE) or of the cross-entropy."""
    kl: Literal["sum", "mean"] = "sum"
    """KL divergence over the latent dimensions: `sum` is that of the ELBO, `mean` divides it by their number."""
    beta: NotNegative = 1
    """Weight of the KL divergence as reduced (Higgins et al. 2017)."""
    kl_warmup_steps: Count | None = None
    """Number of steps over which the weight grows linearly from 0 to beta."""
    free_bits: NotNegative = 0
    """Nats that each latent dimension's mean KL may use at no extra cost (Kingma et al. 2016)."""


class VaeRecipe(BaseRecipe):
    example: ClassVar[str] = "s4-vae"
    validates: ClassVar[bool] = True
    family: Literal["vae"]
    networks: VaeNetworks
    objective: VaeObjective
    optimiser: AnyOptimiser
    init_encoder_from: str | None = None
    """Classifier that the encoder's body starts from: a run, or a built-in recipe, whose finished run with the same
    seed is used, or trained first."""
    logging: SampleLogging = SampleLogging()

    @property
    def latent(self) -> int:
        return self.networks.latent

    @property
    def conditional(self) -> bool:
        return self.networks.conditional

    @property
    def batch_normalised(self) -> frozenset[str]:
        return batch_normalised(encoder=self.networks.encoder, decoder=self.networks.decoder)

    def optimiser_sections(self) -> dict[str, Optimiser]:
        return {"optimiser": self.optimiser}

    def rules(self) -> Iterator[Problem]:
        yield from super().rules()
        yield from merged_passes_of_a_gan(self)
        yield from self.networks.encoder.problems("networks.encoder", self.data.size)
        yield from self.networks.decoder.problems("networks.decoder", self.data.size)
        objective = self.objective
        if objective.beta == 0:
            for field, value in (("free_bits", objective.free_bits), ("kl_warmup_steps", objective.kl_warmup_steps)):
                if value:
                    yield (
                        (f"objective.{field}", "objective.beta"),
                        f"objective.{field} is {value:g}, which has no effect with objective.beta 0",
                    )
        if objective.binarise != "none" and objective.likelihood != "bernoulli":
            yield (
                ("objective.binarise", "objective.likelihood"),
                f"objective.binarise is {objective.binarise}, but objective.likelihood is {objective.likelihood}; "
                "binarised pixels need bernoulli",
            )
        yield from self._sample_rules()
        if self.init_encoder_from and self.networks.conditional:
            yield (
                ("init_encoder_from", "networks.conditional"),
                f"init_encoder_from is {self.init_encoder_from!r}, but a conditional encoder also reads the class, "
                "which a classifier does not; set it to null",
            )

    def _sample_rules(self) -> Iterator[Problem]:
        """The bound with several z takes its terms as they are: none of them can be weighted."""
        objective = self.objective
        if objective.importance_samples == 1:
            return
        for field, value, needed in (
            ("reconstruction", objective.reconstruction, "sum"),
            ("kl", objective.kl, "sum"),
            ("beta", objective.beta, 1),
            ("kl_warmup_steps", objective.kl_warmup_steps, None),
            ("free_bits", objective.free_bits, 0),
        ):
            if value != needed:
                yield (
                    (f"objective.{field}", "objective.importance_samples"),
                    f"objective.{field} is {spelled(value)}, but "
                    f"objective.importance_samples {objective.importance_samples} "
                    f"needs the bound itself; set it to {spelled(needed)}",
                )

    def against(self, images: int, side: int, channels: int, classes: int) -> Iterator[Problem]:
        yield from super().against(images, side, channels, classes)
        if self.conditional and not classes:
            yield no_labels("networks.conditional", "true", self.data)
