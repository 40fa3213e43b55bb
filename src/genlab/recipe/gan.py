"""Recipes of the family `gan`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from genlab.recipe.networks import (
    ConditionalDcganDiscriminator,
    ConditionalDcganGenerator,
    DcganDiscriminator,
    DcganGenerator,
    MlpDiscriminator,
    MlpGenerator,
    ProjectionDcganDiscriminator,
    ResidualDiscriminator,
    ResidualGenerator,
    batch_normalised,
)
from genlab.recipe.objectives import LOSSES, PENALTIES, LossName, PenaltyName
from genlab.recipe.sections import (
    AnyOptimiser,
    BaseRecipe,
    Batch,
    Count,
    Ema,
    Number,
    Optimiser,
    Positive,
    Problem,
    Rate,
    SampleLogging,
    Section,
    Width,
    no_labels,
)
from genlab.recipe.sizes import pixels

SMOOTHABLE = [name for name, loss in LOSSES.items() if loss.smoothed]


class GanNetworks(Section):
    latent: Width = 100
    """Dimensions of z."""
    generator: DcganGenerator | ConditionalDcganGenerator | MlpGenerator | ResidualGenerator = Field(
        discriminator="kind"
    )
    discriminator: (
        DcganDiscriminator
        | ConditionalDcganDiscriminator
        | ProjectionDcganDiscriminator
        | MlpDiscriminator
        | ResidualDiscriminator
    ) = Field(discriminator="kind")


class GanObjective(Section):
    later: ClassVar[Mapping[str, Any]] = {"classification": None}
    loss: LossName
    """`bce-on-probabilities` is the reports' non-saturating loss on clamped probabilities; all others use logits."""
    discriminator_terms: Literal["sum", "half-sum"] = "sum"
    """The discriminator's real and fake terms: added (S2, S3) or averaged (S0, S1)."""
    label_smoothing: Rate = 0
    """One-sided: real images have the target 1 - label_smoothing in D's cross-entropy (Salimans et al. 2016)."""
    generator_noise: Literal["reuse", "fresh"] = "reuse"
    """Whether the generator's step reuses the fake images of the discriminator's step or makes fresh ones."""
    generator_batch: Batch | None = None
    """Batch size of the generator's step, if it differs from the discriminator's (S1: 64 for 32)."""
    players: Literal["both", "generator", "discriminator"] = "both"
    """Who learns: both, or one alone (S2's equations (6) and (7))."""
    critic_steps: Count = 1
    """Discriminator steps per generator step."""
    packing: Count = 1
    """Images that the discriminator judges together, stacked as channels (Lin et al. 2018)."""
    classification: Positive | None = None
    """Weight of a second loss of both players, the cross-entropy of the class: D learns to classify real images, G to
    make images that D assigns to the requested class (Odena et al. 2017); null for none."""
    clip: Positive | None = None
    """D's weights are clipped to [-clip, clip] after each of its steps (Arjovsky et al. 2017)."""
    penalty: PenaltyName = "none"
    lambda_: Positive | None = Field(default=None, alias="lambda")
    """Weight of the penalty. Unweighted, R1 and R2 are |grad D|^2 / 2, so the weight is their papers' gamma; the
    gradient penalties are (|grad D| - 1)^2."""
    sigma: Positive | None = None
    """Step of the finite difference, or spread of DRAGAN's noise, in units of pixel values in [-1, 1]."""


class GanOptimisers(Section):
    generator: AnyOptimiser
    discriminator: AnyOptimiser


class GanAugmentation(Section):
    """Random, differentiable changes T of all images that D is trained on: it sees T(x) and T(G(z)), one T per image.

    Images are in [-1, 1] here and are not clipped to it. 0 switches a change off (Zhao, Liu, Lin, Zhu and Han 2020).
    """

    translation: Annotated[float, Number, Field(ge=0, le=0.5)] = 0
    """Largest shift in each direction, as a fraction of the side (paper: 0.125); vacated pixels repeat the edge."""
    cutout: Annotated[float, Number, Field(ge=0, le=1)] = 0
    """Side of a square set to 0, which is grey, as a fraction of the side (paper: 0.5); its centre is anywhere."""
    brightness: Annotated[float, Number, Field(ge=0, le=1)] = 0
    """Number added to the whole image, uniform in -brightness .. brightness (paper: 0.5)."""
    saturation: Annotated[float, Number, Field(ge=0, le=1)] = 0
    """Distances from a pixel's mean over the channels are multiplied by a factor, uniform in 1 - saturation .. 1 +
    saturation (paper: 1)."""
    contrast: Annotated[float, Number, Field(ge=0, le=1)] = 0
    """Distances from the image's mean are multiplied by a factor, uniform in 1 - contrast .. 1 + contrast (paper:
    0.5)."""

    def problems(self, size: int, channels: int) -> Iterator[Problem]:
        """Problems with these settings for images of this side and number of channels."""
        fields = type(self).model_fields
        if not any(self.model_dump().values()):
            yield (
                tuple(f"augmentation.{field}" for field in fields),
                f"augmentation has nothing to do: {', '.join(fields)} are 0; set it to null",
            )
        if self.saturation and channels == 1:
            yield (
                ("augmentation.saturation", "data.channels"),
                f"augmentation.saturation is {self.saturation:g}, which has no effect with data.channels 1; set it to "
                "0",
            )
        for field in ("translation", "cutout"):
            share = getattr(self, field)
            if share and not pixels(share, size):
                yield (
                    (f"augmentation.{field}", "data.size"),
                    f"augmentation.{field} is {share:g}, which is less than half a pixel of data.size {size}; set it "
                    "to 0",
                )


class GanRecipe(BaseRecipe):
    example: ClassVar[str] = "quick-mnist"
    later: ClassVar[Mapping[str, Any]] = {"augmentation": None}
    family: Literal["gan"]
    augmentation: GanAugmentation | None = None
    networks: GanNetworks
    objective: GanObjective
    optimisers: GanOptimisers
    ema: Ema | None = None
    logging: SampleLogging = SampleLogging()

    @property
    def latent(self) -> int:
        return self.networks.latent

    @property
    def conditional(self) -> bool:
        return self.networks.generator.kind == "conditional-dcgan"

    @property
    def discriminator_conditional(self) -> bool:
        """Whether the discriminator is told the class of the images that it judges."""
        D = self.networks.discriminator
        return D.kind == "projection-dcgan" or (D.kind == "conditional-dcgan" and D.labels)

    @property
    def ema_decay(self) -> float | None:
        return self.ema.decay if self.ema else None

    @property
    def batch_normalised(self) -> frozenset[str]:
        return batch_normalised(generator=self.networks.generator, discriminator=self.networks.discriminator)

    def optimiser_sections(self) -> dict[str, Optimiser]:
        return {
            "optimisers.generator": self.optimisers.generator,
            "optimisers.discriminator": self.optimisers.discriminator,
        }

    def rules(self) -> Iterator[Problem]:
        yield from super().rules()
        networks = self.networks
        yield from networks.generator.problems("networks.generator", self.data.size)
        yield from networks.discriminator.problems("networks.discriminator", self.data.size)
        if self.discriminator_conditional and not self.conditional:
            yield (
                ("networks.generator.kind", "networks.discriminator.kind"),
                f"networks.discriminator.kind is {networks.discriminator.kind}, but the generator is not told the "
                "class; use dcgan, or a conditional generator",
            )
        yield from self._loss_rules()
        yield from self._penalty_rules()
        yield from self._step_rules()
        yield from self._group_rules()
        if self.augmentation is not None:
            yield from self.augmentation.problems(self.data.size, self.data.channels)

    def _loss_rules(self) -> Iterator[Problem]:
        objective = self.objective
        kind = self.networks.discriminator.kind
        if objective.classification and kind != "projection-dcgan":
            yield (
                ("objective.classification", "networks.discriminator.kind"),
                f"objective.classification is {objective.classification:g}, but networks.discriminator.kind {kind} has "
                "no outputs for classes; use projection-dcgan, or set it to null",
            )
        if LOSSES[objective.loss].pairs and objective.discriminator_terms != "sum":
            yield (
                ("objective.discriminator_terms", "objective.loss"),
                f"objective.discriminator_terms is half-sum, but objective.loss {objective.loss} has one term; use sum",
            )
        if objective.label_smoothing and not LOSSES[objective.loss].smoothed:
            yield (
                ("objective.label_smoothing", "objective.loss"),
                f"objective.label_smoothing is {objective.label_smoothing:g}, which has no effect with objective.loss "
                f"{objective.loss}; it is for {', '.join(SMOOTHABLE)}; set it to 0",
            )

    def _penalty_rules(self) -> Iterator[Problem]:
        objective, penalty = self.objective, PENALTIES.get(self.objective.penalty)
        for value, path, needed in (
            (objective.lambda_, "objective.lambda", objective.penalty != "none"),
            (objective.sigma, "objective.sigma", penalty is not None and penalty.needs_sigma),
        ):
            if value is not None and not needed:
                yield (
                    (path, "objective.penalty"),
                    f"{path} is {value}, which has no effect with objective.penalty {objective.penalty}; "
                    "set it to null",
                )
            if value is None and needed:
                yield (path, "objective.penalty"), f"{path} is missing; objective.penalty {objective.penalty} needs it"
        if objective.penalty != "none" and "discriminator" in self.batch_normalised:
            yield (
                ("objective.penalty", "networks.discriminator.normalisation"),
                f"objective.penalty {objective.penalty} acts on D at each single image, but batch normalisation "
                "mixes images; set networks.discriminator.normalisation to none or spectral",
            )
        D = self.networks.discriminator
        if penalty and penalty.by == "difference":
            if D.normalisation == "spectral":
                yield (
                    ("objective.penalty", "networks.discriminator.normalisation"),
                    f"objective.penalty {objective.penalty} compares D at two points, but spectral normalisation "
                    "changes D between two passes; use the exact penalty, or normalisation none",
                )
            if D.kind == "mlp" and D.dropout:
                yield (
                    ("objective.penalty", "networks.discriminator.dropout"),
                    f"objective.penalty {objective.penalty} compares D at two points, but dropout {D.dropout:g} "
                    "changes D from pass to pass; use the exact penalty, or dropout 0",
                )
        if objective.clip is not None and D.normalisation == "spectral":
            yield (
                ("objective.clip", "networks.discriminator.normalisation"),
                f"objective.clip is {objective.clip:g}, which has no effect with networks.discriminator.normalisation "
                "spectral, which rescales every weight; set it to null",
            )

    def _step_rules(self) -> Iterator[Problem]:
        objective = self.objective
        no_discriminator_step = objective.players == "generator"
        for path, value, idle, reason in (
            ("clip", objective.clip, no_discriminator_step, "D is not trained"),
            ("label_smoothing", objective.label_smoothing, no_discriminator_step, "D is not trained"),
            ("penalty", objective.penalty != "none", no_discriminator_step, "D is not trained"),
            ("classification", objective.classification, no_discriminator_step, "D is not trained"),
            ("critic_steps", objective.critic_steps > 1, objective.players != "both", "only one player is trained"),
            ("generator_batch", objective.generator_batch, objective.players == "discriminator", "G is not trained"),
        ):
            if value and idle:
                yield (
                    (f"objective.{path}", "objective.players"),
                    f"objective.{path} has no effect with objective.players {objective.players}: {reason}",
                )
        if objective.generator_batch is not None and objective.generator_noise == "reuse":
            yield (
                ("objective.generator_batch", "objective.generator_noise"),
                f"objective.generator_batch is {objective.generator_batch}, but objective.generator_noise reuse uses "
                "the discriminator's images; set generator_noise to fresh",
            )
        if objective.generator_batch is not None and LOSSES[objective.loss].pairs:
            yield (
                ("objective.generator_batch", "objective.loss"),
                f"objective.generator_batch is {objective.generator_batch}, but objective.loss {objective.loss} "
                "compares each generated image with a real one; set it to null",
            )
        for network, together in (("generator", 1), ("discriminator", objective.packing)):
            if objective.generator_batch == together and network in self.batch_normalised:
                pack = f", which makes it a single pack of {together}" if together > 1 else ""
                yield (
                    ("objective.generator_batch", f"networks.{network}.normalisation"),
                    f"objective.generator_batch is {together}{pack}, but batch normalisation needs 2 or more",
                )

    def _group_rules(self) -> Iterator[Problem]:
        objective, batch = self.objective, self.budget.batch
        if objective.packing > 1 and self.discriminator_conditional:
            yield (
                ("objective.packing", "networks.discriminator.kind"),
                f"objective.packing is {objective.packing}, but networks.discriminator.kind "
                f"{self.networks.discriminator.kind} judges one image of one class; use dcgan, mlp or residual",
            )
        if "discriminator" in self.batch_normalised and 1 < objective.packing == batch:
            yield (
                ("objective.packing", "budget.batch"),
                f"objective.packing is {objective.packing}, which makes budget.batch {batch} a single pack, but batch "
                "normalisation needs 2 or more",
            )
        for path, value in (("budget.batch", batch), ("objective.generator_batch", objective.generator_batch)):
            if value is not None and value % self.together:
                yield (path, *self._grouping), f"{path} is {value}, which is not a multiple of {self._groups}"

    @property
    def _grouping(self) -> tuple[str, ...]:
        """Fields that make D look at several images at once."""
        packing, group = self.objective.packing > 1, getattr(self.networks.discriminator, "minibatch_stddev", None)
        return ("objective.packing",) * packing + ("networks.discriminator.minibatch_stddev",) * bool(group)

    @property
    def together(self) -> int:
        """Number of images that D looks at together."""
        return self.objective.packing * (getattr(self.networks.discriminator, "minibatch_stddev", None) or 1)

    @property
    def _groups(self) -> str:
        return f"{' x '.join(self._grouping)} = {self.together}"

    def against(self, images: int, side: int, channels: int, classes: int) -> Iterator[Problem]:
        yield from super().against(images, side, channels, classes)
        if self.conditional and not classes:
            yield no_labels("networks.generator.kind", "conditional-dcgan", self.data)
        last = min(images, self.data.subset or images) % self.budget.batch
        packing = self.objective.packing
        if "discriminator" in self.batch_normalised and self.data.last_batch == "keep" and 1 < packing == last:
            yield (
                ("budget.batch", "data.last_batch"),
                f"budget.batch is {self.budget.batch}: with {images} images the last batch would be a single pack of "
                f"{packing}, which batch normalisation cannot handle; use data.last_batch drop",
            )
        if self.data.last_batch == "keep" and last % self.together:
            yield (
                (*self._grouping, "data.last_batch"),
                f"{self._groups} does not divide the last batch of {last} images; use data.last_batch drop",
            )
