"""How a VAE learns: encoder, decoder, its state, and `step`, the evidence lower bound on one screen.

Training maximises E_q[log 1/K sum_k p(x|z_k) p(z_k) / q(z_k|x)] over z_1 .. z_K ~ q(z|x): with K = 1 the evidence
lower bound (Kingma and Welling 2014), whose KL term is computed in closed form and may be weighted; with larger K a
tighter bound (Burda, Grosse and Salakhutdinov 2016).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from genlab.engine.device import Engine
from genlab.engine.optim import Descent, read
from genlab.engine.randomness import Keyed
from genlab.engine.stages import advance
from genlab.families.nets.autoencoder import ConvDecoder, ConvEncoder, MlpDecoder, MlpEncoder
from genlab.families.vae import binarise, elbo
from genlab.recipe import VaeRecipe

ENCODERS: dict[str, type[nn.Module]] = {"mlp": MlpEncoder, "conv": ConvEncoder}
DECODERS: dict[str, type[nn.Module]] = {"mlp": MlpDecoder, "conv": ConvDecoder}


def build_networks(recipe: VaeRecipe, classes: int, keyed: Keyed) -> dict[str, nn.Module]:
    """The recipe's encoder and decoder with their initial weights, drawn from `keyed`."""
    made = {}
    for name, kinds in (("encoder", ENCODERS), ("decoder", DECODERS)):
        section = getattr(recipe.networks, name)
        with keyed.scope(f"init/{name}", 0):
            made[name] = kinds[section.kind](
                latent=recipe.latent,
                channels=recipe.data.channels,
                size=recipe.data.size,
                classes=classes if recipe.conditional else 0,
                **section.model_dump(exclude={"kind"}),
            )
    return made


def example_inputs(recipe: VaeRecipe, classes: int) -> dict[str, tuple[tuple[Tensor, ...], tuple[int, ...]]]:
    """For each network: its inputs for a batch of two, and the shape of its output (of the first, if there are two)."""
    image = (2, recipe.data.channels, recipe.data.size, recipe.data.size)
    y = (torch.zeros(2, dtype=torch.int64),) if recipe.conditional else ()
    return {
        "encoder": ((torch.zeros(image), *y), (2, recipe.latent)),
        "decoder": ((torch.zeros(2, recipe.latent), *y), image),
    }


def to_images(recipe: VaeRecipe, output: Tensor) -> Tensor:
    """Images in [0, 1] from a decoder's output: the mean of each pixel."""
    if recipe.objective.likelihood == "bernoulli":
        return output.sigmoid().contiguous()
    return ((output + 1) / 2).clamp(0, 1).contiguous()


class Vae:
    """An encoder q(z|x) and a decoder p(x|z) in training.

    Args:
        recipe: all settings; its network sections are read only by `build_networks`.
        networks: `encoder`, images in [-1, 1] -> (mean, log-variance) of z; `decoder`, z -> one number per pixel.
        engine: device and precision.
        keyed: the run's random streams.
        total_steps: length of the schedule.
    """

    def __init__(
        self, recipe: VaeRecipe, networks: Mapping[str, nn.Module], engine: Engine, keyed: Keyed, total_steps: int
    ) -> None:
        self.recipe, self.engine, self.keyed = recipe, engine, keyed
        self.encoder = engine.place(networks["encoder"]).train()
        self.decoder = engine.place(networks["decoder"]).train()
        self.descent = Descent("VAE", "optimiser", [self.encoder, self.decoder], recipe.optimiser, engine, total_steps)

    def step(self, images: Tensor, labels: Tensor | None, step: int) -> dict[str, float]:
        """Update encoder and decoder on the evidence lower bound: minimise E_q[-log p(x|z)] + beta KL(q || p).

        Args:
            images: uint8, (N, C, H, W).
            labels: int64, (N,); ignored by an unconditional VAE.
            step: number of this step, from 1; keys its random draws.

        Returns:
            The loss, its reconstruction and KL as the recipe reduces them, the KL's weight and the effective beta, both
            terms summed in nats per image, the active units of this batch, the gradient norm and the learning rate.

        Raises:
            NonFiniteError: loss or gradient is NaN or infinite; nothing was updated.
        """
        x = self.engine.tanh_range(self._shown(images, step))
        y = _told(self.recipe, labels, x.device)
        K = self.recipe.objective.importance_samples

        # Encode, draw z ~ q(z|x) = N(mean, exp(log_variance)) K times, decode.
        with self.engine.autocast():
            mean, log_variance = _encode(self.encoder, x, y)
            noise = self.keyed.normal("noise", step, K, *mean.shape).to(mean.device)
            z = elbo.reparameterise(mean, log_variance, noise)
            output = _decode(self.decoder, z.flatten(0, 1), y if y is None or K == 1 else y.repeat(K))
        errors = _errors(self.recipe, x if K == 1 else x.repeat(K, 1, 1, 1), output).view(K, len(x))

        # Minimise the reconstruction error plus the weighted KL divergence from the prior, or the negative bound of K
        # samples.
        by_unit = elbo.kl_to_prior(mean, log_variance).mean(0)
        terms = _reduced(self.recipe, errors.mean(), by_unit, x[0].numel())
        weight = self._kl_weight(step)
        if K == 1:
            loss = terms["reconstruction"] + weight * terms["kl_used"]
        else:
            loss = -elbo.importance_weighted(elbo.log_ratio(z, mean, log_variance) - errors).mean()
        norm = self.descent(loss, step)
        return read(
            {
                "loss": loss,
                "reconstruction": terms["reconstruction"],
                "kl": terms["kl"],
                "kl_weight": weight,
                "effective_beta": self._effective_beta(weight, x),
                "reconstruction_sum": terms["reconstruction_sum"],
                "kl_sum": terms["kl_sum"],
                "active_units": elbo.active_units(mean.detach()) if len(mean) > 1 else 0,
                "grad_norm": norm,
                "lr": self.descent.lr,
            }
        )

    def _shown(self, images: Tensor, step: int) -> Tensor:
        """Training images, binarised if the recipe asks for it: once and for all, or anew in this step."""
        if self.recipe.objective.binarise == "dynamic":
            return binarise.drawn(images, self.keyed.uniform("binarise", step, *images.shape))
        return _held_out(self.recipe, images)

    def _kl_weight(self, step: int) -> float:
        objective = self.recipe.objective
        return objective.beta * (min(1.0, step / objective.kl_warmup_steps) if objective.kl_warmup_steps else 1.0)

    def _effective_beta(self, weight: float, x: Tensor) -> float:
        objective = self.recipe.objective
        return elbo.effective_beta(
            objective.likelihood, objective.reconstruction, objective.kl, weight, x[0].numel(), self.recipe.latent
        )

    def epoch_ended(self, images: Tensor | None, labels: Tensor | None, step: int) -> dict[str, float]:
        """Bound on held-out images with one z each: both terms and the loss as the recipe reduces and weights them at
        this step, both terms summed in nats per image, and the active units."""
        if images is None:
            return {}
        networks = {"encoder": self.encoder, "decoder": self.decoder}
        purpose = f"held-out/{step}"
        error, by_unit, active = _bound(self.recipe, networks, self.engine, self.keyed, purpose, images, labels)
        self.encoder.train(), self.decoder.train()
        terms = _reduced(self.recipe, error, by_unit, images[0].numel())
        loss = terms["reconstruction"] + self._kl_weight(step) * terms.pop("kl_used")
        return {f"test_{name}": value.item() for name, value in {"loss": loss, **terms}.items()} | {
            "test_active_units": active
        }

    def generate(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """Images for z (N, latent) and, if conditional, labels (N,): float32, (N, C, H, W), in [0, 1]."""
        return to_images(self.recipe, self.engine.apply(self.decoder, z, labels if self.recipe.conditional else None))

    @property
    def sampler(self) -> nn.Module:
        """Network that makes samples."""
        return self.decoder

    @property
    def networks(self) -> dict[str, nn.Module]:
        """All modules with weights, by name."""
        return {"encoder": self.encoder, "decoder": self.decoder}

    def training_state(self) -> dict[str, Any]:
        """State needed, besides the weights, to resume exactly."""
        return {"optimiser": self.descent.state()}

    def load_training_state(self, state: dict[str, Any]) -> None:
        """Restore a state that `training_state` returned."""
        self.descent.load(state["optimiser"])


@torch.no_grad()
def bound(
    recipe: VaeRecipe,
    networks: Mapping[str, nn.Module],
    engine: Engine,
    keyed: Keyed,
    purpose: str,
    images: Tensor,
    labels: Tensor | None,
) -> dict[str, float]:
    """Both terms of the bound with one z per image, summed in nats per image and averaged over uint8 images (N, C, H,
    W), and the active units; with running batch statistics. A Gaussian's constant is not counted.

    Args:
        networks: `encoder` and `decoder`; left in evaluation mode.
        purpose: purpose that keys the draws of z.
    """
    error, by_unit, active = _bound(recipe, networks, engine, keyed, purpose, images, labels)
    return {"reconstruction_sum": error.item(), "kl_sum": by_unit.sum().item(), "active_units": active}


@torch.no_grad()
def _bound(
    recipe: VaeRecipe,
    networks: Mapping[str, nn.Module],
    engine: Engine,
    keyed: Keyed,
    purpose: str,
    images: Tensor,
    labels: Tensor | None,
) -> tuple[Tensor, Tensor, int]:
    """Means over the images of -log p(x|z) and of the KL divergence of each latent dimension, (latent,), in nats; then
    the active units."""
    encoder, decoder = (engine.place(networks[name]).eval() for name in ("encoder", "decoder"))
    errors, divergences, means = torch.zeros(()), torch.zeros(recipe.latent), []
    for k in range(0, len(images), 500):
        x = engine.tanh_range(_held_out(recipe, images[k : k + 500]))
        y = _told(recipe, None if labels is None else labels[k : k + 500], x.device)
        mean, log_variance = _encode(encoder, x, y)
        noise = keyed.normal(purpose, k, *mean.shape).to(mean.device)
        error = _errors(recipe, x, _decode(decoder, elbo.reparameterise(mean, log_variance, noise), y)).mean()
        errors += len(x) * error.cpu()
        divergences += len(x) * elbo.kl_to_prior(mean, log_variance).mean(0).cpu()
        means.append(mean.cpu())
    return errors / len(images), divergences / len(images), elbo.active_units(torch.cat(means))


@torch.no_grad()
def encode(recipe: VaeRecipe, encoder: nn.Module, engine: Engine, images: Tensor, labels: Tensor | None) -> Tensor:
    """E[z|x] of uint8 images (N, C, H, W), float32 (N, latent) on the CPU, with running batch statistics."""
    encoder = engine.place(encoder).eval()
    means = []
    for k in range(0, len(images), 500):
        x = engine.tanh_range(_held_out(recipe, images[k : k + 500]))
        y = _told(recipe, None if labels is None else labels[k : k + 500], x.device)
        means.append(_encode(encoder, x, y)[0].cpu())
    return torch.cat(means)


def facts(recipe: VaeRecipe) -> dict[str, Any]:
    """Facts that must accompany numbers of the bound: the size of z, and the likelihood that they refer to."""
    binarised = "" if recipe.objective.binarise == "none" else ", pixels binarised once"
    return {"latent": recipe.latent, "likelihood": f"{recipe.objective.likelihood}{binarised}"}


def constant(recipe: VaeRecipe, numbers: int) -> float:
    """Constant added to the reconstruction of this many values if p(x|z) is a Gaussian density; nats per image."""
    return elbo.gaussian_constant(numbers) if recipe.objective.likelihood == "gaussian" else 0.0


@torch.no_grad()
def log_likelihood(
    recipe: VaeRecipe,
    networks: Mapping[str, nn.Module],
    engine: Engine,
    keyed: Keyed,
    images: Tensor,
    labels: Tensor | None,
    samples: int,
) -> Tensor:
    """log p(x) of each image in nats, estimated from below with K = `samples` weighted z (Burda et al. 2016).

    A Gaussian p(x|z) includes its constant, as a density of pixels in [-1, 1]; a Bernoulli one is for pixels binarised
    once if the recipe binarises, and otherwise takes gray as the probability of white.

    Args:
        networks: `encoder` and `decoder`, evaluated with running batch statistics.
        images: uint8, (N, C, H, W); each advances the current stage by 1.

    Returns:
        float32, (N,).
    """
    encoder, decoder = (engine.place(networks[name]).eval() for name in ("encoder", "decoder"))
    of_density = constant(recipe, images[0].numel())
    found = []
    for k in range(0, len(images), 100):
        x = engine.tanh_range(_held_out(recipe, images[k : k + 100]))
        y = _told(recipe, None if labels is None else labels[k : k + 100], x.device)
        mean, log_variance = _encode(encoder, x, y)
        log_weights = []
        for start in range(0, samples, 20):
            some = range(start, min(start + 20, samples))
            noise = torch.stack([keyed.normal(f"importance/{k}", sample, *mean.shape) for sample in some])
            z = elbo.reparameterise(mean, log_variance, noise.to(mean.device))
            output = _decode(decoder, z.flatten(0, 1), None if y is None else y.repeat(len(z)))
            errors = _errors(recipe, x.repeat(len(z), 1, 1, 1), output).view(len(z), len(x))
            log_weights.append(elbo.log_ratio(z, mean, log_variance) - errors - of_density)
        found.append(elbo.importance_weighted(torch.cat(log_weights)).cpu())
        advance(len(x))
    return torch.cat(found)


def _held_out(recipe: VaeRecipe, images: Tensor) -> Tensor:
    """uint8 images as the recipe's VAE sees them outside of dynamic binarisation: binarised once, or as they are."""
    return images if recipe.objective.binarise == "none" else binarise.fixed(images)


def _errors(recipe: VaeRecipe, x: Tensor, output: Tensor) -> Tensor:
    """-log p(x|z) of each image in [-1, 1], summed over pixels, (N,)."""
    target = (x + 1) / 2 if recipe.objective.likelihood == "bernoulli" else x
    return elbo.NEGATIVE_LOG_LIKELIHOODS[recipe.objective.likelihood](output, target)


def _reduced(recipe: VaeRecipe, error: Tensor, by_unit: Tensor, pixels: int) -> dict[str, Tensor]:
    """The bound's terms, summed over pixels and latents, and as the recipe reduces them; `kl_used` is the KL in the
    loss: no dimension counts less than the free bits.

    Args:
        error: -log p(x|z), mean over images.
        by_unit: the KL divergence of each latent dimension, mean over images, (latent,).
    """
    objective = recipe.objective
    used = by_unit.clamp(min=objective.free_bits) if objective.free_bits else by_unit

    def reduced(kl: Tensor) -> Tensor:
        return kl.sum() if objective.kl == "sum" else kl.mean()

    return {
        "reconstruction": elbo.reduction(objective.likelihood, objective.reconstruction, pixels) * error,
        "reconstruction_sum": error,
        "kl": reduced(by_unit),
        "kl_used": reduced(used),
        "kl_sum": by_unit.sum(),
    }


def _told(recipe: VaeRecipe, labels: Tensor | None, device: torch.device) -> Tensor | None:
    """The labels for a conditional VAE, or None for an unconditional one."""
    return labels.to(device) if recipe.conditional and labels is not None else None


def _encode(encoder: nn.Module, x: Tensor, y: Tensor | None) -> tuple[Tensor, Tensor]:
    """Mean and log-variance, float32, whatever the precision of the pass."""
    mean, log_variance = encoder(x) if y is None else encoder(x, y)
    return mean.float(), log_variance.float()


def _decode(decoder: nn.Module, z: Tensor, y: Tensor | None) -> Tensor:
    output: Tensor = decoder(z) if y is None else decoder(z, y)
    return output.float()
