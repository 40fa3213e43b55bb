"""How a GAN learns: the game of a generator G and a discriminator D, and `step`, one round of it.

    D minimises  L_D(D(x), D(G(z))) + lambda * penalty      over real images x and z ~ N(0, I)
    G minimises  L_G(D(x), D(G(z)))                         with D held fixed

D's output is a logit. The pairs (L_D, L_G) are in `losses`, the penalties in `penalties` (Goodfellow et al. 2014). With
augmentation T (`augment`), x and G(z) stand for T(x) and T(G(z)) throughout, including the penalty. With class y and
D's class logits c, D also minimises the cross-entropy of c(x) with y, and G that of c(G(z, y)) with y, times a weight
(Odena, Olah and Shlens 2017).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.utils.parametrize
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from genlab.engine.device import Engine, batch_normalisations
from genlab.engine.optim import Descent, read
from genlab.engine.randomness import Draws, Keyed
from genlab.families.ema import Ema
from genlab.families.gan import losses
from genlab.families.gan.augment import DRAWS, augmented
from genlab.families.gan.losses import AdversarialLoss
from genlab.families.gan.penalties import Penalty
from genlab.families.nets.conditional import (
    ConditionalDcganDiscriminator,
    ConditionalDcganGenerator,
    ProjectionDcganDiscriminator,
)
from genlab.families.nets.dcgan import DcganDiscriminator, DcganGenerator
from genlab.families.nets.mlp import MlpDiscriminator, MlpGenerator
from genlab.families.nets.residual import ResidualDiscriminator, ResidualGenerator
from genlab.recipe import GanRecipe

GENERATORS: dict[str, type[nn.Module]] = {
    "dcgan": DcganGenerator,
    "conditional-dcgan": ConditionalDcganGenerator,
    "mlp": MlpGenerator,
    "residual": ResidualGenerator,
}
DISCRIMINATORS: dict[str, type[nn.Module]] = {
    "dcgan": DcganDiscriminator,
    "conditional-dcgan": ConditionalDcganDiscriminator,
    "projection-dcgan": ProjectionDcganDiscriminator,
    "mlp": MlpDiscriminator,
    "residual": ResidualDiscriminator,
}
CONDITIONAL_KINDS = ("conditional-dcgan", "projection-dcgan")
"""Network kinds that take the number of classes."""


def build_networks(recipe: GanRecipe, classes: int, keyed: Keyed) -> dict[str, nn.Module]:
    """The recipe's generator and discriminator with their initial weights, drawn from `keyed`."""
    G, D = recipe.networks.generator, recipe.networks.discriminator
    channels, size = recipe.data.channels, recipe.data.size
    with keyed.scope("init/generator", 0):
        told = {"classes": classes} if G.kind in CONDITIONAL_KINDS else {}
        flat = G.model_dump(exclude={"kind"})
        generator = GENERATORS[G.kind](latent=recipe.latent, channels=channels, size=size, **told, **flat)
    with keyed.scope("init/discriminator", 0):
        told = {"classes": classes} if D.kind in CONDITIONAL_KINDS else {}
        told |= {"class_logits": True} if recipe.objective.classification else {}
        flat = D.model_dump(exclude={"kind"})
        discriminator = DISCRIMINATORS[D.kind](channels=channels * recipe.objective.packing, size=size, **told, **flat)
    return {"generator": generator, "discriminator": discriminator}


def example_inputs(recipe: GanRecipe, classes: int) -> dict[str, tuple[tuple[Tensor, ...], tuple[int, ...]]]:
    """For each network: its inputs for a batch of two, and the shape of its output."""
    channels, size, packing = recipe.data.channels, recipe.data.size, recipe.objective.packing
    y = torch.zeros(2, dtype=torch.int64)
    z, x = torch.zeros(2, recipe.latent), torch.zeros(2, channels * packing, size, size)
    return {
        "generator": ((z, y) if recipe.conditional else (z,), (2, channels, size, size)),
        "discriminator": ((x, y) if recipe.discriminator_conditional else (x,), (2,)),
    }


def mergeable(networks: Mapping[str, nn.Module]) -> bool:
    """Whether each logit depends only on its own image, or on the images of its group, so that passes over real and
    generated images may be merged: a recipe's batch consists of whole groups.

    Custom discriminators are assumed not to be mergeable. Dropout would draw different masks in a merged pass.
    """
    D = networks["discriminator"]
    ours = type(D) in DISCRIMINATORS.values()
    # Spectral normalisation runs one power iteration per pass, so the number of passes matters.
    spectral = any(isinstance(layer, nn.utils.parametrize.ParametrizationList) for layer in D.modules())
    dropout = any(isinstance(layer, nn.Dropout) for layer in D.modules())
    return ours and not spectral and not dropout and not batch_normalisations(D)


def to_images(recipe: GanRecipe, output: Tensor) -> Tensor:
    """Images in [0, 1] from a generator's output in [-1, 1]."""
    return ((output + 1) / 2).clamp(0, 1).contiguous()


def scores(recipe: GanRecipe, network: nn.Module, engine: Engine, images: Tensor, labels: Tensor | None) -> Tensor:
    """D's logit for each uint8 image, or for each pack of consecutive images, with running batch statistics and no
    dropout: (N // packing,)."""
    packing = recipe.objective.packing
    x = pack(engine.tanh_range(images[: len(images) // packing * packing]), packing)
    return engine.apply(network, x, labels if recipe.discriminator_conditional else None).ravel()


def pack(x: Tensor, packing: int) -> Tensor:
    """(N, C, H, W) -> (N / packing, packing * C, H, W): consecutive images stacked as channels of one (Lin et
    al. 2018)."""
    return x if packing == 1 else x.reshape(len(x) // packing, packing * x.shape[1], *x.shape[2:])


Discriminator = Callable[..., tuple[Tensor, ...]]
"""Batches of images (N, C, H, W) -> logits (N,) of each batch."""


class Judgement:
    """D with the labels of the images that it judges: batches of packed images -> their logits (N,), float32.

    All batches of a call go through D in one pass if the engine merges passes.

    Attributes:
        named: class logits (N, classes) of each batch so far, if D has them.
    """

    def __init__(self, D: nn.Module, y: Tensor | None, engine: Engine, classifies: bool) -> None:
        self._D, self._y, self._engine, self._classifies = D, y, engine, classifies
        self.named: list[Tensor] = []

    def __call__(self, *batches: Tensor) -> tuple[Tensor, ...]:
        if len(batches) == 1 or not self._engine.settings.merged_passes:
            return tuple(self._one(batch, self._y) for batch in batches)
        n = len(batches)
        logits = self._one(torch.cat(batches), None if self._y is None else self._y.repeat(n)).chunk(n)
        if self._classifies:
            self.named[-1:] = self.named[-1].chunk(n)
        return logits

    def _one(self, x: Tensor, y: Tensor | None) -> Tensor:
        with self._engine.autocast():
            if self._classifies:
                logits, named = self._D.with_classes(x, y)  # type: ignore[operator]
                self.named.append(named.float())
            else:
                logits = self._D(x) if y is None else self._D(x, y)
        judged: Tensor = logits.float()
        return judged


def discriminator_loss(
    D: Discriminator, x: Tensor, fake: Tensor, loss: AdversarialLoss, penalty: Penalty | None, draws: Draws
) -> tuple[Tensor, Tensor | None, Tensor, Tensor]:
    """D's loss L_D(a, b); the penalty before its weight; the logits a of real and b of generated images."""
    logits = D(x, fake, *(penalty.beside(x, fake, draws) if penalty else []))
    a, b = logits[:2]
    return loss.discriminator(a, b), penalty(D, x, fake, logits, draws) if penalty else None, a, b


def generator_loss(D: Discriminator, x: Tensor, fake: Tensor, loss: AdversarialLoss) -> tuple[Tensor, Tensor]:
    """G's loss L_G(a, b), and the logits b of its images; the caller holds D fixed."""
    (b,) = D(fake)
    (a,) = D(x) if loss.generator_needs_real else (b,)
    return loss.generator(a, b), b


class Gan:
    """A generator G and a discriminator D in training.

    Args:
        recipe: all settings; its network sections are read only by `build_networks`.
        networks: `generator`, called as G(z) or G(z, labels), returns images in [-1, 1]; `discriminator`, called as
            D(x) or D(x, labels), returns logits (N,).
        engine: device and precision.
        keyed: the run's random streams.
        total_steps: length of the schedules.
        objective: the caller's own losses instead of the recipe's.
    """

    def __init__(
        self,
        recipe: GanRecipe,
        networks: Mapping[str, nn.Module],
        engine: Engine,
        keyed: Keyed,
        total_steps: int,
        objective: AdversarialLoss | None = None,
    ) -> None:
        self.recipe, self.engine, self.keyed = recipe, engine, keyed
        self.G = engine.place(networks["generator"]).train()
        self.D = engine.place(networks["discriminator"]).train()
        optimisers = recipe.optimisers
        self.descent_g = Descent("generator", "optimisers.generator", self.G, optimisers.generator, engine, total_steps)
        self.descent_d = Descent(
            "discriminator", "optimisers.discriminator", self.D, optimisers.discriminator, engine, total_steps
        )
        self.ema = Ema(self.G, recipe.ema.decay) if recipe.ema else None
        own = losses.adversarial(recipe.objective.loss, recipe.objective.label_smoothing)
        own = losses.halved(own) if recipe.objective.discriminator_terms == "half-sum" else own
        self.loss = objective or own
        self.penalty = Penalty.of(recipe.objective.penalty, recipe.objective.sigma)

    def step(self, images: Tensor, labels: Tensor | None, step: int) -> dict[str, float]:
        """Update D on real and generated images, then G; or only one of them, as the recipe says.

        Args:
            images: uint8, (N, C, H, W).
            labels: int64, (N,); ignored by unconditional networks.
            step: number of this step, from 1; keys its random draws.

        Returns:
            Adversarial loss, gradient norm and learning rate of each player that was updated; penalty and class losses
            (before their weights); mean sigma(D) and mean logits of the images that the update used.

        Raises:
            NonFiniteError: a loss or gradient is NaN or infinite; that network was not updated.
        """
        x = self._shown(self.engine.tanh_range(images), "x", step)
        y = None if labels is None else labels.to(self.engine.device)
        d_learns, g_learns = self._who_learns(step)
        reuse = d_learns and self.recipe.objective.generator_noise == "reuse"
        row: dict[str, Tensor | float] = {}

        if d_learns:
            with torch.set_grad_enabled(g_learns and reuse):
                fake = self._fake("z", step, len(images), y)
            draws = Draws(self.keyed, "penalty", step, self.engine.device)
            D = self._judging(y)
            loss, penalty, a, b = discriminator_loss(D, x, fake.detach(), self.loss, self.penalty, draws)
            classes = self._class_loss(D, y)
            norm = self.descent_d(self._weighed(loss, penalty, classes), step)
            self._clip()
            row |= _present(loss_d=loss, class_loss_d=classes, penalty=penalty)
            row |= _scores("real", a) | _scores("fake", b) | {"grad_norm_d": norm, "lr_d": self.descent_d.lr}

        if g_learns:
            with _frozen(self.D):
                if not reuse:
                    n = self.recipe.objective.generator_batch or len(images)
                    y = None if y is None else y.repeat(-(-n // len(y)))[:n]
                    fake = self._fake("z/generator", step, n, y)
                D = self._judging(y)
                loss, b = generator_loss(D, x, fake, self.loss)
                classes = self._class_loss(D, y)
            norm = self.descent_g(self._weighed(loss, None, classes), step)
            if self.ema:
                self.ema.update()
            row |= _present(loss_g=loss, class_loss_g=classes) | {"grad_norm_g": norm, "lr_g": self.descent_g.lr}
            row |= {} if d_learns else _scores("fake", b)
        return read(row)

    def resting(self, step: int) -> tuple[str, ...]:
        """The generator, between two of its steps, if the discriminator takes several."""
        rests = self.recipe.objective.players == "both" and step % self.recipe.objective.critic_steps
        return ("generator",) if rests else ()

    def _who_learns(self, step: int) -> tuple[bool, bool]:
        """Whether D, and whether G, is updated in this step."""
        objective = self.recipe.objective
        return objective.players != "generator", (
            objective.players != "discriminator" and step % objective.critic_steps == 0
        )

    def _fake(self, purpose: str, step: int, n: int, y: Tensor | None) -> Tensor:
        """G(z) for n fresh z, in the form that D sees."""
        z = self.keyed.normal(purpose, step, n, self.recipe.latent).to(self.engine.device)
        with self.engine.autocast():
            images: Tensor = self.G(z, y) if self.recipe.conditional else self.G(z)
        return self._shown(images, purpose, step)

    def _shown(self, images: Tensor, of: str, step: int) -> Tensor:
        """Images as D sees them in training: augmented, if the recipe says so, and in packs.

        Args:
            of: purpose that keys the draws, so that real and generated images have their own.
        """
        if T := self.recipe.augmentation:
            draws = Draws(self.keyed, f"augmentation/{of}", step, self.engine.device)
            images = self.engine.images(augmented(images, T, draws.uniform(DRAWS, len(images))))
        return self._pack(images)

    def _judging(self, y: Tensor | None) -> Judgement:
        told = y if self.recipe.discriminator_conditional else None
        return Judgement(self.D, told, self.engine, classifies=self.recipe.objective.classification is not None)

    def _class_loss(self, D: Judgement, y: Tensor | None) -> Tensor | None:
        """Class cross-entropy on the first batch judged: real images when D learns, generated ones when G does.

        None if the recipe has no class loss.
        """
        if self.recipe.objective.classification is None:
            return None
        assert y is not None, "a discriminator that classifies is given the labels"
        return cross_entropy(D.named[0], y)

    def _weighed(self, loss: Tensor, penalty: Tensor | None, classes: Tensor | None) -> Tensor:
        """A player's total loss, from its weighted parts."""
        objective = self.recipe.objective
        for weight, part in ((objective.lambda_, penalty), (objective.classification, classes)):
            loss = loss if part is None else loss + (weight or 0) * part
        return loss

    def _pack(self, x: Tensor) -> Tensor:
        return pack(x, self.recipe.objective.packing)

    @torch.no_grad()
    def _clip(self) -> None:
        if limit := self.recipe.objective.clip:
            for p in self.D.parameters():
                p.clamp_(-limit, limit)

    def generate(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """Images for z (N, latent) and, if conditional, labels (N,): float32, (N, C, H, W), in [0, 1].

        Uses the averaged weights, if the recipe keeps them, and running batch statistics.
        """
        return to_images(self.recipe, self.engine.apply(self.sampler, z, labels if self.recipe.conditional else None))

    @torch.no_grad()
    def held_out(self, images: Tensor, labels: Tensor | None, step: int) -> dict[str, float]:
        """D's loss, without its penalty, on real images that it does not learn from and as many fresh ones from G, for
        the same classes; both networks use the statistics of these batches, as in training, and no dropout."""
        n = len(images) // self.recipe.objective.packing * self.recipe.objective.packing
        if not n or self.recipe.objective.players == "generator":
            return {}
        x, y = images[:n], None if labels is None else labels[:n]
        z = self.keyed.normal("held-out", step, n, self.recipe.latent)
        fake = self.engine.apply(self.G, z, y if self.recipe.conditional else None, batch_statistics=True)
        told = y if self.recipe.discriminator_conditional else None
        a, b = (
            self.engine.apply(self.D, self._pack(batch), told, batch_statistics=True).ravel()
            for batch in (self.engine.tanh_range(x).cpu(), fake)
        )
        return {"loss_d_held_out": self.loss.discriminator(a, b).item()}

    @property
    def sampler(self) -> nn.Module:
        """Network that makes samples: G or its average."""
        return self.ema.network if self.ema else self.G

    @property
    def networks(self) -> dict[str, nn.Module]:
        """All modules with weights, by name."""
        return {"generator": self.G, "discriminator": self.D, **({"ema": self.ema.network} if self.ema else {})}

    def training_state(self) -> dict[str, Any]:
        """State needed, besides the weights, to resume exactly: optimiser states and the average's update count."""
        return {
            "optimiser_g": self.descent_g.state(),
            "optimiser_d": self.descent_d.state(),
            "ema_updates": self.ema.updates if self.ema else 0,
        }

    def load_training_state(self, state: dict[str, Any]) -> None:
        """Restore a state that `training_state` returned."""
        self.descent_g.load(state["optimiser_g"])
        self.descent_d.load(state["optimiser_d"])
        if self.ema:
            self.ema.updates = state["ema_updates"]


def _present(**parts: Tensor | None) -> dict[str, Tensor]:
    return {name: part for name, part in parts.items() if part is not None}


def _scores(of: str, logits: Tensor) -> dict[str, Tensor]:
    logits = logits.detach()
    return {f"d_{of}": logits.sigmoid().mean(), f"logit_{of}": logits.mean()}


@contextmanager
def _frozen(network: nn.Module) -> Iterator[None]:
    """Context in which no gradient is computed for the network's parameters."""
    trainable = [p for p in network.parameters() if p.requires_grad]
    for p in trainable:
        p.requires_grad_(False)
    try:
        yield
    finally:
        for p in trainable:
            p.requires_grad_(True)
