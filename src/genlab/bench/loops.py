"""Two ways to train a recipe step by step: as the reports' scripts do it, and as genlab does.

The report's way: each image becomes a tensor when it is fetched (PIL, resize, to [0, 1], to [-1, 1]), a DataLoader
batches them, everything is float32 in PyTorch's default layout, Adam is PyTorch's plain version, D computes unused
gradients in the generator's step, and losses are read at each step. Networks, initial weights, batch size and data are
the same in both.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from genlab import data
from genlab.data import Dataset
from genlab.engine import device
from genlab.engine.fast_layers import PointConvTranspose2d, WholeMapConv2d
from genlab.engine.randomness import Keyed
from genlab.families.gan.losses import AdversarialLoss
from genlab.families.registry import FAMILIES
from genlab.recipe import ClassifierRecipe, GanRecipe, Recipe, VaeRecipe
from genlab.recipe.source import RecipeSource
from genlab.training.assemble import assemble, prepare
from genlab.training.fit import batches


class Loop(Protocol):
    """A training that waits until it is asked for its next step."""

    recipe: Recipe

    def step(self) -> None:
        """Learn from the next batch."""

    def generate(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """Images for z (N, latent), float32 in [0, 1], with running batch statistics."""


class GenlabLoop:
    """What `genlab train` does in each step, without its files.

    Args:
        overrides: overrides of the recipe, by dotted path.
        seed: random seed.
        objective, custom: the caller's own parts, as `genlab.train` takes them.
    """

    def __init__(
        self,
        source: RecipeSource,
        overrides: Mapping[str, Any] | None = None,
        seed: int = 0,
        objective: AdversarialLoss | None = None,
        **custom: nn.Module,
    ) -> None:
        assembly = assemble(*prepare(source, overrides or {}), seed, custom)
        self.recipe, self.keyed, dataset = assembly.recipe, assembly.keyed, assembly.dataset
        self.model = assembly.model(objective)
        self._images = torch.from_numpy(dataset.images)
        self._labels = None if dataset.labels is None else torch.from_numpy(dataset.labels)
        self._batches = batches(assembly.schedule, self.keyed, after=0)

    def step(self) -> None:
        step, indices = next(self._batches)
        with self.keyed.scope("networks", step):
            self.model.step(self._images[indices], None if self._labels is None else self._labels[indices], step)

    def generate(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        images: Tensor = self.model.generate(z, labels)  # type: ignore[attr-defined]
        return images


class ReportLoop:
    """The report's way; see the top of this file.

    Raises:
        NotImplementedError: the recipe asks for more than the reports' systems have.
    """

    def __init__(self, source: RecipeSource, overrides: Mapping[str, Any] | None = None, seed: int = 0) -> None:
        self.recipe, dataset = prepare(source, overrides or {})
        device.start(device.resolve(self.recipe.engine.model_copy(update=_PLAIN), mergeable=False))
        made = FAMILIES[self.recipe.family].build(self.recipe, len(dataset.class_names), Keyed(seed))
        self.networks = {name: plain(network).train() for name, network in made.items()}
        torch.manual_seed(seed)
        self._loader = DataLoader(
            _OneByOne(data.load(self.recipe.data.name), self.recipe),
            batch_size=self.recipe.budget.batch,
            shuffle=True,
            drop_last=self.recipe.data.last_batch == "drop",
        )
        self._steps = _STEPS[self.recipe.family](self.recipe, self.networks, self._loader)
        self.losses: list[tuple[float, ...]] = []

    def step(self) -> None:
        self.losses.append(next(self._steps))

    @torch.no_grad()
    def generate(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        sampling = FAMILIES[self.recipe.family].sampling
        assert sampling is not None
        network = self.networks[sampling.network].eval()
        inputs = (z,) if labels is None else (z, labels)
        parts = [network(*(value[k : k + 500] for value in inputs)) for k in range(0, len(z), 500)]
        network.train()
        return sampling.to_images(self.recipe, torch.cat(parts))


_PLAIN = {"device": "cpu", "precision": "float32", "memory_format": "contiguous", "fused_optimiser": False}


def plain(network: nn.Module) -> nn.Module:
    """The network with PyTorch's own layers in place of genlab's matrix products; weights are kept."""
    network = copy.deepcopy(network)
    for module in network.modules():
        for name, child in module.named_children():
            stand_in: nn.Module
            if isinstance(child, WholeMapConv2d):
                stand_in = nn.Conv2d(
                    child.in_channels, child.out_channels, child.kernel_size[0], bias=child.bias is not None
                )
            elif isinstance(child, PointConvTranspose2d):
                stand_in = nn.ConvTranspose2d(child.in_channels, child.out_channels, child.kernel_size[0], bias=False)
            else:
                continue
            stand_in.load_state_dict(child.state_dict())
            setattr(module, name, stand_in)
    return network


class _OneByOne(TorchDataset[tuple[Tensor, int]]):
    """Images that are transformed when they are fetched."""

    def __init__(self, dataset: Dataset, recipe: Recipe) -> None:
        assert dataset.labels is not None
        self.images = torch.from_numpy(dataset.images[:, 0])
        self.labels = torch.from_numpy(dataset.labels)
        self.size, self.resize = recipe.data.size, recipe.data.resize

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        picture = Image.fromarray(self.images[index].numpy())
        if self.resize == "bilinear":
            picture = picture.resize((self.size, self.size), Image.Resampling.BILINEAR)
        x = torch.from_numpy(np.array(picture)).view(1, picture.height, picture.width).float().div(255)
        if self.resize == "pad":
            x = F.pad(x, [(self.size - picture.height) // 2] * 4)
        return x.sub(0.5).div(0.5), int(self.labels[index])


def _epochs(loader: DataLoader[tuple[Tensor, int]]) -> Iterator[tuple[Tensor, Tensor]]:
    while True:
        yield from loader


def _adam(network: nn.Module, settings: Any) -> torch.optim.Adam:
    if settings.name != "adam" or settings.schedule != "constant" or settings.warmup_steps:
        raise NotImplementedError("the reports train with Adam at a constant rate")
    return torch.optim.Adam(
        network.parameters(), settings.lr, settings.betas, settings.eps, settings.weight_decay, settings.amsgrad
    )


def _gan_steps(
    recipe: GanRecipe, networks: Mapping[str, nn.Module], loader: DataLoader[tuple[Tensor, int]]
) -> Iterator[tuple[float, ...]]:
    objective = recipe.objective
    cross_entropies = objective.loss in ("non-saturating", "bce-on-probabilities")
    more = objective.penalty != "none" or recipe.ema or objective.packing > 1 or recipe.augmentation
    if not cross_entropies or more:
        raise NotImplementedError("the reports' GANs use binary cross-entropy, no penalty, average or augmentation")
    G, D, loss = networks["generator"], networks["discriminator"], nn.BCELoss()
    optimiser_g, optimiser_d = (
        _adam(network, getattr(recipe.optimisers, name)) for name, network in (("generator", G), ("discriminator", D))
    )

    def generated(n: int, y: Tensor) -> Tensor:
        z = torch.randn(n, recipe.latent)
        images: Tensor = G(z, y) if recipe.conditional else G(z)
        return images

    def judged(x: Tensor, y: Tensor) -> Tensor:
        logits: Tensor = D(x, y) if recipe.discriminator_conditional else D(x)
        return logits.sigmoid()

    for x, y in _epochs(loader):
        fake = generated(len(x), y)
        of_real, of_fake = judged(x, y), judged(fake.detach(), y)
        loss_d = loss(of_real, torch.ones_like(of_real)) + loss(of_fake, torch.zeros_like(of_fake))
        if objective.discriminator_terms == "half-sum":
            loss_d = loss_d / 2
        optimiser_d.zero_grad()
        loss_d.backward()
        optimiser_d.step()

        if objective.generator_noise == "fresh":
            n = objective.generator_batch or len(x)
            y = y.repeat(-(-n // len(y)))[:n]
            fake = generated(n, y)
        again = judged(fake, y)
        loss_g = loss(again, torch.ones_like(again))
        optimiser_g.zero_grad()
        loss_g.backward()
        optimiser_g.step()
        yield loss_d.item(), loss_g.item()


def _vae_steps(
    recipe: VaeRecipe, networks: Mapping[str, nn.Module], loader: DataLoader[tuple[Tensor, int]]
) -> Iterator[tuple[float, ...]]:
    objective = recipe.objective
    if (objective.likelihood, objective.reconstruction) != ("gaussian", "mean") or recipe.conditional:
        raise NotImplementedError("the report's VAE uses the mean squared error and no classes")
    encoder, decoder = networks["encoder"], networks["decoder"]
    optimiser = _adam(nn.ModuleList([encoder, decoder]), recipe.optimiser)
    for x, _ in _epochs(loader):
        mean, log_variance = encoder(x)
        output = decoder(mean + torch.exp(log_variance / 2) * torch.randn_like(mean))
        error = F.mse_loss(output, x)
        kl = -0.5 * (1 + log_variance - mean.pow(2) - log_variance.exp())
        kl = kl.mean() if objective.kl == "mean" else kl.sum(1).mean()
        loss = error + objective.beta * kl
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        yield loss.item(), error.item(), kl.item()


def _classifier_steps(
    recipe: ClassifierRecipe, networks: Mapping[str, nn.Module], loader: DataLoader[tuple[Tensor, int]]
) -> Iterator[tuple[float, ...]]:
    if recipe.augmentation is not None:
        raise NotImplementedError("the report's classifier sees images as they are")
    network = networks["classifier"]
    optimiser = _adam(network, recipe.optimiser)
    for x, y in _epochs(loader):
        logits = network(x)
        loss = F.cross_entropy(logits, y)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        yield loss.item(), float((logits.argmax(1) == y).float().mean())


_STEPS: dict[
    str, Callable[[Any, Mapping[str, nn.Module], DataLoader[tuple[Tensor, int]]], Iterator[tuple[float, ...]]]
] = {
    "gan": _gan_steps,
    "vae": _vae_steps,
    "classifier": _classifier_steps,
}
