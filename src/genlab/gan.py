"""How a GAN learns: its networks, its state, and `step`, the algorithm on one screen."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from genlab.ema import Ema
from genlab.engine import Engine, adam, lr_at
from genlab.errors import NonFiniteError
from genlab.losses import ADVERSARIAL, AdversarialLoss
from genlab.nets.conditional import (
    ConditionalDcganDiscriminator,
    ConditionalDcganGenerator,
    ProjectionDcganDiscriminator,
)
from genlab.nets.dcgan import DcganDiscriminator, DcganGenerator, initialise
from genlab.penalties import finite_difference_penalty
from genlab.randomness import Keyed
from genlab.recipe import GanRecipe

GENERATORS: dict[str, type[nn.Module]] = {"dcgan": DcganGenerator, "conditional-dcgan": ConditionalDcganGenerator}
DISCRIMINATORS: dict[str, type[nn.Module]] = {
    "dcgan": DcganDiscriminator,
    "conditional-dcgan": ConditionalDcganDiscriminator,
    "projection-dcgan": ProjectionDcganDiscriminator,
}


def build_networks(recipe: GanRecipe, classes: int, keyed: Keyed) -> dict[str, nn.Module]:
    """The recipe's generator and discriminator with their initial weights, drawn from `keyed`."""
    made = {}
    for name, kinds in (("generator", GENERATORS), ("discriminator", DISCRIMINATORS)):
        flat = getattr(recipe.networks, name).model_dump(exclude={"kind", "init"})
        kind, init = getattr(recipe.networks, name).kind, getattr(recipe.networks, name).init
        sizes: dict[str, int] = {"channels": recipe.data.channels, "size": recipe.data.size}
        if kind != "dcgan":
            sizes["classes"] = classes
        if name == "generator":
            sizes["latent"] = recipe.networks.latent
        with keyed.scope(f"init/{name}", 0):
            made[name] = kinds[kind](**sizes, **flat)
            initialise(made[name], init)
    return made


def mergeable(networks: Mapping[str, nn.Module]) -> bool:
    """Whether each image's logit is its own affair, so that passes over real and fake images may be merged.

    Of a discriminator that is not ours nobody knows.
    """
    D = networks["discriminator"]
    ours = type(D) in DISCRIMINATORS.values()
    return ours and not any(isinstance(layer, nn.BatchNorm2d) for layer in D.modules())


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
        self.total_steps = total_steps
        self.G = engine.place(networks["generator"]).train()
        self.D = engine.place(networks["discriminator"]).train()
        fused = bool(engine.settings.fused_optimiser)
        self.optimiser_g = adam(recipe.optimisers.generator, self.G.parameters(), fused)
        self.optimiser_d = adam(recipe.optimisers.discriminator, self.D.parameters(), fused)
        self.ema = Ema(self.G, recipe.ema.decay) if recipe.ema else None
        self.loss = objective or ADVERSARIAL[recipe.objective.loss]

    def step(self, images: Tensor, labels: Tensor | None, step: int) -> dict[str, float]:
        """One update of D on real and fake images, then one update of G.

        Args:
            images: uint8, (N, C, H, W).
            labels: int64, (N,); ignored by unconditional networks.
            step: number of this step, from 1; keys its random draws.

        Returns:
            The losses that were minimised, penalty (before its weight), mean sigma(D) on real and fake images and mean
            logits before D's update, and the gradient norms.

        Raises:
            NonFiniteError: a loss or gradient is NaN or infinite; that network was not updated.
        """
        objective = self.recipe.objective
        x = self.engine.images(images).float() * (2 / 255) - 1
        y = None if labels is None else labels.to(self.engine.device)

        # Discriminator: minimise L_D(D(x), D(G(z))) + lambda (R1 + R2).
        with self.engine.autocast():
            fake = self._generate(self._z("z", step, len(x)), y)
            real_logits, fake_logits, penalty = self._scores(x, fake.detach(), y, step)
            loss_d = self.loss.discriminator(real_logits, fake_logits)
            if objective.discriminator_terms == "half-sum":
                loss_d = loss_d / 2
        total_d = loss_d if penalty is None else loss_d + (objective.lambda_ or 0) * penalty
        norm_d = self._descend("discriminator", self.D, self.optimiser_d, total_d, step)

        # Generator: minimise L_G(D(x), D(G(z))) with D held fixed.
        with self.engine.autocast(), _frozen(self.D):
            if objective.generator_noise == "fresh":
                fake = self._generate(self._z("z/generator", step, len(x)), y)
            fake_again = self._discriminate(fake, y)
            real_again = self._discriminate(x, y) if self.loss.generator_needs_real else fake_again
            loss_g = self.loss.generator(real_again, fake_again)
        norm_g = self._descend("generator", self.G, self.optimiser_g, loss_g, step)
        if self.ema:
            self.ema.update()

        return {
            "loss_d": loss_d.item(),
            "loss_g": loss_g.item(),
            **({} if penalty is None else {"penalty": penalty.item()}),
            "d_real": real_logits.sigmoid().mean().item(),
            "d_fake": fake_logits.sigmoid().mean().item(),
            "logit_real": real_logits.mean().item(),
            "logit_fake": fake_logits.mean().item(),
            "grad_norm_d": norm_d,
            "grad_norm_g": norm_g,
            "lr_d": self.optimiser_d.param_groups[0]["lr"],
            "lr_g": self.optimiser_g.param_groups[0]["lr"],
        }

    def _scores(self, x: Tensor, fake: Tensor, y: Tensor | None, step: int) -> tuple[Tensor, Tensor, Tensor | None]:
        """D(x), D(fake), and the finite-difference R1 + R2 between them and their neighbours, where asked for."""
        sigma = self.recipe.objective.sigma
        batches = [x, fake]
        if sigma:
            noise = self.keyed.normal("penalty", step, 2, *x.shape).to(x.device)
            batches += [x + sigma * noise[0], fake + sigma * noise[1]]
        if self.engine.settings.merged_passes:
            labels = None if y is None else y.repeat(len(batches))
            logits = self._discriminate(torch.cat(batches), labels).chunk(len(batches))
        else:
            logits = tuple(self._discriminate(batch, y) for batch in batches)
        if not sigma:
            return logits[0], logits[1], None
        pairs = ((logits[0], logits[2]), (logits[1], logits[3]))
        r1, r2 = (finite_difference_penalty(at, beside, sigma) for at, beside in pairs)
        return logits[0], logits[1], r1 + r2

    def _generate(self, z: Tensor, y: Tensor | None) -> Tensor:
        images: Tensor = self.G(z, y) if self.recipe.conditional else self.G(z)
        return images

    def _discriminate(self, x: Tensor, y: Tensor | None) -> Tensor:
        logits: Tensor = self.D(x, y) if self.recipe.discriminator_conditional else self.D(x)
        return logits.float()

    def _descend(
        self, name: str, network: nn.Module, optimiser: torch.optim.Optimizer, loss: Tensor, step: int
    ) -> float:
        """One optimiser step down the gradient of `loss`; returns the gradient's norm."""
        settings = getattr(self.recipe.optimisers, name)
        for group in optimiser.param_groups:
            group["lr"] = lr_at(settings, step, self.total_steps)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        gradients = [p.grad for p in network.parameters() if p.grad is not None]
        norm = torch.nn.utils.get_total_norm(gradients).item()
        buffers = torch.nn.utils.get_total_norm([b for b in network.buffers() if b.is_floating_point()])
        if not (torch.isfinite(loss) and math.isfinite(norm) and torch.isfinite(buffers)):
            raise NonFiniteError(_blame(name, network, loss, step))
        optimiser.step()
        return norm

    @torch.no_grad()
    def generate(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """Images for z (N, latent) and, if conditional, labels (N,): float32, (N, C, H, W), in [0, 1].

        The averaged weights are used where the recipe keeps them, and running batch statistics.
        """
        return generate(self.sampler, self.engine, z, labels if self.recipe.conditional else None)

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
            "optimiser_g": self.optimiser_g.state_dict(),
            "optimiser_d": self.optimiser_d.state_dict(),
            "ema_updates": self.ema.updates if self.ema else 0,
        }

    def load_training_state(self, state: dict[str, Any]) -> None:
        """Go back to a state that `training_state` returned."""
        self.optimiser_g.load_state_dict(state["optimiser_g"])
        self.optimiser_d.load_state_dict(state["optimiser_d"])
        if self.ema:
            self.ema.updates = state["ema_updates"]

    def _z(self, purpose: str, step: int, n: int) -> Tensor:
        return self.keyed.normal(purpose, step, n, self.recipe.networks.latent).to(self.engine.device)


@torch.no_grad()
def generate(
    generator: nn.Module, engine: Engine, z: Tensor, labels: Tensor | None, batch_statistics: bool = False
) -> Tensor:
    """Images of `generator`, float32 in [0, 1] on the CPU, computed in float32.

    With running BatchNorm statistics, 500 at a time; with the statistics of the batch itself, all at once.
    """
    was_training = generator.training
    generator.train(batch_statistics)
    try:
        parts = []
        batch = len(z) if batch_statistics else 500
        for k in range(0, len(z), batch):
            y = () if labels is None else (labels[k : k + batch].to(engine.device),)
            parts.append(generator(z[k : k + batch].to(engine.device), *y).float().cpu())
    finally:
        generator.train(was_training)
    return ((torch.cat(parts) + 1) / 2).clamp(0, 1).contiguous()


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


def _blame(name: str, network: nn.Module, loss: Tensor, step: int) -> str:
    where = f"step {step}, {name}"
    if not torch.isfinite(loss):
        return f"{where}: the loss is {loss.item()}; try a smaller optimisers.{name}.lr"
    for path, p in network.named_parameters():
        if p.grad is not None and not torch.isfinite(p.grad).all():
            return f"{where}: the gradient of {path} is not finite; try a smaller optimisers.{name}.lr"
    for path, buffer in network.named_buffers():
        if not torch.isfinite(buffer).all():
            return f"{where}: the statistics {path} are not finite; try a smaller optimisers.{name}.lr"
    return f"{where}: the gradient's norm is too large for float32; try a smaller optimisers.{name}.lr"
