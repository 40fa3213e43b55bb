"""How a GAN learns: its networks, its state, and `step`, the algorithm on one screen."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import Any

import torch
import torch.nn.utils.parametrize
from torch import Tensor, nn

from genlab.engine.device import Engine, batch_normalisations
from genlab.engine.optim import Descent, read
from genlab.engine.randomness import Keyed
from genlab.families.ema import Ema
from genlab.families.gan import losses, penalties
from genlab.families.gan.losses import AdversarialLoss
from genlab.families.gan.penalties import finite_difference_penalty
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
TOLD = ("conditional-dcgan", "projection-dcgan")
"""The kinds that take the number of classes."""


def build_networks(recipe: GanRecipe, classes: int, keyed: Keyed) -> dict[str, nn.Module]:
    """The recipe's generator and discriminator with their initial weights, drawn from `keyed`."""
    G, D = recipe.networks.generator, recipe.networks.discriminator
    channels, size = recipe.data.channels, recipe.data.size
    with keyed.scope("init/generator", 0):
        told = {"classes": classes} if G.kind in TOLD else {}
        flat = G.model_dump(exclude={"kind"})
        generator = GENERATORS[G.kind](latent=recipe.latent, channels=channels, size=size, **told, **flat)
    with keyed.scope("init/discriminator", 0):
        told = {"classes": classes} if D.kind in TOLD else {}
        flat = D.model_dump(exclude={"kind"})
        discriminator = DISCRIMINATORS[D.kind](channels=channels * recipe.objective.packing, size=size, **told, **flat)
    return {"generator": generator, "discriminator": discriminator}


def example_inputs(recipe: GanRecipe, classes: int) -> dict[str, tuple[tuple[Tensor, ...], tuple[int, ...]]]:
    """For each network: two of its inputs, and the shape of what it makes of them."""
    channels, size, packing = recipe.data.channels, recipe.data.size, recipe.objective.packing
    y = torch.zeros(2, dtype=torch.int64)
    z, x = torch.zeros(2, recipe.latent), torch.zeros(2, channels * packing, size, size)
    return {
        "generator": ((z, y) if recipe.conditional else (z,), (2, channels, size, size)),
        "discriminator": ((x, y) if recipe.discriminator_conditional else (x,), (2,)),
    }


def mergeable(networks: Mapping[str, nn.Module]) -> bool:
    """Whether each image's logit is its own affair, so that passes over real and fake images may be merged.

    Of a discriminator that is not ours nobody knows. Dropout would draw other masks in another pass.
    """
    D = networks["discriminator"]
    ours = type(D) in DISCRIMINATORS.values()
    # Spectral normalisation makes a power iteration a pass: how many there are matters.
    spectral = any(isinstance(layer, nn.utils.parametrize.ParametrizationList) for layer in D.modules())
    dropout = any(isinstance(layer, nn.Dropout) for layer in D.modules())
    return ours and not spectral and not dropout and not batch_normalisations(D)


def to_images(recipe: GanRecipe, output: Tensor) -> Tensor:
    """What a generator makes, in [-1, 1], as images in [0, 1]."""
    return ((output + 1) / 2).clamp(0, 1).contiguous()


class Gan:
    """A generator G and a discriminator D in training.

    Args:
        recipe: all settings; its networks are only read by `build_networks`.
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
        self.loss = objective or losses.adversarial(recipe.objective.loss, recipe.objective.label_smoothing)

    def step(self, images: Tensor, labels: Tensor | None, step: int) -> dict[str, float]:
        """One update of D on real and fake images, then one update of G; or of one of them, where the recipe says so.

        Args:
            images: uint8, (N, C, H, W).
            labels: int64, (N,); ignored by unconditional networks.
            step: number of this step, from 1; keys its random draws.

        Returns:
            Of each player that was updated the loss that it minimised and its gradient's norm; the penalty (before its
            weight), mean sigma(D) and mean logits of the images that its update looked at.

        Raises:
            NonFiniteError: a loss or gradient is NaN or infinite; that network was not updated.
        """
        objective = self.recipe.objective
        x, y = self.engine.tanh_range(images), None if labels is None else labels.to(self.engine.device)
        d_learns = objective.players != "generator"
        g_learns = objective.players != "discriminator" and step % objective.critic_steps == 0
        reuse = d_learns and objective.generator_noise == "reuse"
        logged: dict[str, Tensor | float] = {}

        # Discriminator: minimise L_D(D(x), D(G(z))) + lambda * penalty.
        if d_learns:
            with nullcontext() if g_learns and reuse else torch.no_grad():
                fake = self._generate(self._z("z", step, len(x)), y)
            real_logits, fake_logits, penalty = self._scores(x, fake.detach(), y, step)
            loss_d = self.loss.discriminator(real_logits, fake_logits)
            if objective.discriminator_terms == "half-sum":
                loss_d = loss_d / 2
            total_d = loss_d if penalty is None else loss_d + (objective.lambda_ or 0) * penalty
            norm_d = self.descent_d(total_d, step)
            if objective.clip:
                self._clip(objective.clip)
            logged |= {"loss_d": loss_d, **({} if penalty is None else {"penalty": penalty})}
            logged |= _score_columns("real", real_logits) | _score_columns("fake", fake_logits)
            logged |= {"grad_norm_d": norm_d, "lr_d": self.descent_d.lr}

        # Generator: minimise L_G(D(x), D(G(z))) with D held fixed.
        if g_learns:
            with _frozen(self.D):
                if not reuse:
                    n = objective.generator_batch or len(x)
                    y_g = None if y is None else y.repeat(-(-n // len(y)))[:n]
                    fake = self._generate(self._z("z/generator", step, n), y_g)
                else:
                    y_g = y
                fake_again = self._discriminate(fake, y_g)
                real_again = self._discriminate(x, y) if self.loss.generator_needs_real else fake_again
                loss_g = self.loss.generator(real_again, fake_again)
            norm_g = self.descent_g(loss_g, step)
            if self.ema:
                self.ema.update()
            logged |= {"loss_g": loss_g, "grad_norm_g": norm_g, "lr_g": self.descent_g.lr}
            if not d_learns:
                logged |= _score_columns("fake", fake_again)
        return read(logged)

    def _scores(self, x: Tensor, fake: Tensor, y: Tensor | None, step: int) -> tuple[Tensor, Tensor, Tensor | None]:
        """D(x), D(fake), and the penalty on D around them, where asked for."""
        kind = self.recipe.objective.penalty
        if kind.endswith("finite-difference"):
            return self._scores_and_differences(x, fake, y, step)
        real_logits, fake_logits = self._passes([x, fake], y)
        if kind == "none":
            return real_logits, fake_logits, None
        return real_logits, fake_logits, self._penalty(x, fake, y, step)

    def _scores_and_differences(
        self, x: Tensor, fake: Tensor, y: Tensor | None, step: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        """D(x), D(fake), and the finite-difference R1, R2 or both between them and their neighbours."""
        kind, sigma = self.recipe.objective.penalty, self.recipe.objective.sigma
        assert sigma is not None, "the recipe's rules demand it"
        noise = self.keyed.normal("penalty", step, 2, *x.shape).to(x.device)
        on = [k for k, name in enumerate(("r1", "r2")) if name in kind]
        batches = [x, fake]
        logits = self._passes([*batches, *(batches[k] + sigma * noise[k] for k in on)], y)
        parts = [finite_difference_penalty(logits[k], beside, sigma) for k, beside in zip(on, logits[2:], strict=True)]
        return logits[0], logits[1], torch.stack(parts).sum()

    def _penalty(self, x: Tensor, fake: Tensor, y: Tensor | None, step: int) -> Tensor:
        """The exact penalties, each with passes of D of its own; of packed images the gradient is the whole pack's."""
        kind, sigma = self.recipe.objective.penalty, self.recipe.objective.sigma
        x, fake, scores = self._pack(x), self._pack(fake), partial(self._logits, y=y)
        if kind in ("r1", "r2", "r1-r2"):
            parts = [
                penalties.squared_gradient_penalty(scores, at) for name, at in (("r1", x), ("r2", fake)) if name in kind
            ]
            return torch.stack(parts).sum()
        if kind == "dragan":
            assert sigma is not None, "the recipe's rules demand it"
            at = x + sigma * self.keyed.normal("penalty", step, *x.shape).to(x.device)
        else:
            at = penalties.between(x, fake, self.keyed.uniform("penalty", step, len(x)).to(x.device))
        return penalties.unit_gradient_penalty(scores, at, one_sided=kind == "gradient-penalty-one-sided")

    def _passes(self, batches: list[Tensor], y: Tensor | None) -> tuple[Tensor, ...]:
        """D of each batch, in one pass where the engine allows it."""
        if not self.engine.settings.merged_passes:
            return tuple(self._discriminate(batch, y) for batch in batches)
        labels = None if y is None else y.repeat(len(batches))
        return self._discriminate(torch.cat(batches), labels).chunk(len(batches))

    def _generate(self, z: Tensor, y: Tensor | None) -> Tensor:
        with self.engine.autocast():
            images: Tensor = self.G(z, y) if self.recipe.conditional else self.G(z)
        return images

    def _discriminate(self, x: Tensor, y: Tensor | None) -> Tensor:
        """Logits of images, (N / packing,), float32."""
        return self._logits(self._pack(x), y)

    def _pack(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N / packing, packing * C, H, W): consecutive images as one of so many channels."""
        packing = self.recipe.objective.packing
        return x if packing == 1 else x.reshape(len(x) // packing, packing * x.shape[1], *x.shape[2:])

    def _logits(self, x: Tensor, y: Tensor | None) -> Tensor:
        with self.engine.autocast():
            logits: Tensor = self.D(x, y) if self.recipe.discriminator_conditional else self.D(x)
        return logits.float()

    @torch.no_grad()
    def _clip(self, limit: float) -> None:
        for p in self.D.parameters():
            p.clamp_(-limit, limit)

    def generate(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """Images for z (N, latent) and, if conditional, labels (N,): float32, (N, C, H, W), in [0, 1].

        The averaged weights are used where the recipe keeps them, and running batch statistics.
        """
        return to_images(self.recipe, self.engine.apply(self.sampler, z, labels if self.recipe.conditional else None))

    @property
    def sampler(self) -> nn.Module:
        """The network that samples: G, or its average."""
        return self.ema.network if self.ema else self.G

    @property
    def networks(self) -> dict[str, nn.Module]:
        """Everything that has weights, by name."""
        return {"generator": self.G, "discriminator": self.D, **({"ema": self.ema.network} if self.ema else {})}

    def training_state(self) -> dict[str, Any]:
        """What is needed beside the weights to go on exactly: the optimisers' state and the average's age."""
        return {
            "optimiser_g": self.descent_g.state(),
            "optimiser_d": self.descent_d.state(),
            "ema_updates": self.ema.updates if self.ema else 0,
        }

    def load_training_state(self, state: dict[str, Any]) -> None:
        """Go back to a state that `training_state` returned."""
        self.descent_g.load(state["optimiser_g"])
        self.descent_d.load(state["optimiser_d"])
        if self.ema:
            self.ema.updates = state["ema_updates"]

    def _z(self, purpose: str, step: int, n: int) -> Tensor:
        return self.keyed.normal(purpose, step, n, self.recipe.latent).to(self.engine.device)


def _score_columns(of: str, logits: Tensor) -> dict[str, Tensor]:
    logits = logits.detach()
    return {f"d_{of}": logits.sigmoid().mean(), f"logit_{of}": logits.mean()}


@contextmanager
def _frozen(network: nn.Module) -> Iterator[None]:
    """Inside: no gradient is computed for the network's parameters."""
    trainable = [p for p in network.parameters() if p.requires_grad]
    for p in trainable:
        p.requires_grad_(False)
    try:
        yield
    finally:
        for p in trainable:
            p.requires_grad_(True)
