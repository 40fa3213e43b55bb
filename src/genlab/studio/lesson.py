"""One training step of a GAN in slow motion, on real images: D moves or G moves, and each half-step can be undone.

The networks are small and learn MNIST, so a half-step takes a few milliseconds and a hundred of them fit in memory.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from genlab.data import pictures
from genlab.engine.randomness import Keyed
from genlab.errors import UsageError
from genlab.families.gan.model import Gan, Judgement, discriminator_loss, generator_loss
from genlab.studio.explore import compressed
from genlab.training.assemble import assemble, prepare

Player = Literal["D", "G"]
RECIPE = "s1-mlp"
SETTINGS: dict[str, Any] = {
    "data.name": "mnist",
    "data.subset": 10_000,
    "networks.latent": 16,
    "networks.generator.widths": [128],
    "networks.discriminator.widths": [128],
    "budget.batch": 64,
    "engine.plan": "reference",
    "engine.threads": 1,
    "optimisers.generator.lr": 0.001,
    "optimisers.discriminator.lr": 0.001,
}
KEPT = 60
"""Most half-steps that can be undone."""
MOST = 200
"""Most half-steps of a player in one go."""
SHOWN = 8
BINS = 21


@dataclass(frozen=True)
class Moved:
    """The outcome of some half-steps, seen on the batch of the last one.

    Attributes:
        player: who moved; "both" if they took turns.
        times: how often the player moved (if both did, each of them).
        number: number of the last half-step, from 1.
        real, fake: sigmoid of D's logits on this batch, each as (before all moves, after all moves), (N,).
        loss: what the player of the last half-step minimises, before that half-step.
        images: G's images of `SHOWN` of the batch's z, before and after.
        gradient: negative gradient of G's loss with respect to these images before the last half-step; None if D moved
            last.
    """

    player: Player | Literal["both"]
    times: int
    number: int
    real: tuple[Tensor, Tensor]
    fake: tuple[Tensor, Tensor]
    loss: float
    images: tuple[Tensor, Tensor]
    gradient: Tensor | None


@dataclass
class Lesson:
    """A game that is played by hand.

    Attributes:
        done: half-steps so far.
        last: outcome of the newest moves; None at the start and after an undo.
    """

    seed: int = 0
    done: int = 0
    last: Moved | None = None
    _undo: list[tuple[Player, dict[str, Any], dict[str, Any]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        recipe, dataset = prepare(RECIPE, SETTINGS)
        assembly = assemble(recipe, dataset, self.seed)
        model = assembly.model()
        assert isinstance(model, Gan), "the recipe is a GAN's"
        self._gan, self._keyed = model, Keyed(self.seed)
        self._images = torch.from_numpy(assembly.dataset.images)
        self._batch, self._latent = recipe.budget.batch, recipe.latent

    def move(self, player: Player, times: int = 1) -> Moved:
        """Let one player move, each time on a new batch."""
        return self._moves([player] * self._checked(times), player, times)

    def rounds(self, times: int) -> Moved:
        """Play rounds, in each of which D moves, then G."""
        return self._moves(["D", "G"] * self._checked(times), "both", times)

    def _checked(self, times: int) -> int:
        if not 1 <= times <= MOST:
            raise UsageError(f"times is {times}; allowed: 1 .. {MOST}")
        return times

    def _moves(self, players: list[Player], who: Player | Literal["both"], times: int) -> Moved:
        x, z = self._next(self.done + len(players))
        before = self._seen(x, z)
        for player in players:
            loss, gradient = self._move(player)
        real, fake, images = ((a, b) for a, b in zip(before, self._seen(x, z), strict=True))
        self.last = Moved(who, times, self.done, real, fake, loss, images, gradient)
        return self.last

    def undo(self) -> bool:
        """Go back one half-step, to exactly the same weights; returns whether there was one."""
        if not self._undo:
            return False
        player, weights, optimiser = self._undo.pop()
        network, descent = self._of(player)
        network.load_state_dict(weights)
        descent.load(optimiser)
        self.done -= 1
        self.last = None
        return True

    def upcoming(self) -> tuple[Tensor, Tensor, Tensor]:
        """D's probabilities for the next half-step's real images and for G's, (N,) each, and `SHOWN` of G's images."""
        return self._seen(*self._next(self.done + 1))

    def _move(self, player: Player) -> tuple[float, Tensor | None]:
        """Make a half-step; returns the player's loss before it, and the gradient as in `Moved`."""
        gan, number = self._gan, self.done + 1
        x, z = self._next(number)
        network, descent = self._of(player)
        now = (player, copy.deepcopy(network.state_dict()), copy.deepcopy(descent.state()))
        self._undo = [*self._undo, now][-KEPT:]
        D, gradient = Judgement(gan.D, None, gan.engine, classifies=False), None
        if player == "D":
            with torch.no_grad():
                fake = gan.G(z)
            loss, *_ = discriminator_loss(D, x, fake, gan.loss, None, None)  # type: ignore[arg-type]
        else:
            fake = gan.G(z)
            fake.retain_grad()
            loss, _ = generator_loss(D, x, fake, gan.loss)
        descent(loss, number)
        if player == "G" and fake.grad is not None:
            gradient = -fake.grad[:SHOWN].clone()
        for p in (*gan.G.parameters(), *gan.D.parameters()):
            p.grad = None
        self.done = number
        return float(loss.detach()), gradient

    def _of(self, player: Player) -> tuple[torch.nn.Module, Any]:
        gan = self._gan
        return (gan.D, gan.descent_d) if player == "D" else (gan.G, gan.descent_g)

    def _next(self, number: int) -> tuple[Tensor, Tensor]:
        """The real images and z of a half-step: the same whenever it is repeated."""
        rows = self._keyed.uniform("lesson/rows", number, self._batch).mul(len(self._images)).long()
        x = self._gan.engine.tanh_range(self._images[rows])
        return x, self._keyed.normal("lesson/z", number, self._batch, self._latent)

    @torch.no_grad()
    def _seen(self, x: Tensor, z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """D's probabilities for real and for generated images, and some of the generated ones."""
        fake = self._gan.G(z)
        return self._gan.D(x).sigmoid(), self._gan.D(fake).sigmoid(), fake[:SHOWN].clone()


def as_json(lesson: Lesson) -> tuple[dict[str, Any], list[bytes]]:
    """What a page shows: numbers, and rows of images. After a move, the state before and after it, and the negative
    gradient of G's loss; at the start and after an undo, the present state."""
    moved = lesson.last
    told: dict[str, Any] = {"done": lesson.done, "undo": len(lesson._undo)}
    if moved is None:
        real, fake, images = lesson.upcoming()
        return told | _scores(real=(real,), fake=(fake,)), [compressed(_gray(images))]
    told |= {"player": moved.player, "times": moved.times, "number": moved.number, "loss": moved.loss}
    told |= _scores(real=moved.real, fake=moved.fake)
    rows = [_gray(images) for images in moved.images]
    if moved.gradient is not None:
        rows.append(_signed(moved.gradient))
    return told, [compressed(row) for row in rows]


def _scores(**scores: tuple[Tensor, ...]) -> dict[str, Any]:
    """D's probabilities as histograms and means."""
    edges = np.linspace(0, 1, BINS + 1)
    return {
        "counts": {name: [np.histogram(s.numpy(), edges)[0].tolist() for s in each] for name, each in scores.items()},
        "means": {name: [float(s.mean()) for s in each] for name, each in scores.items()},
    }


def _gray(images: Tensor) -> NDArray[np.uint8]:
    return pictures.grid((images + 1) / 2, len(images))


def _signed(values: Tensor) -> NDArray[np.uint8]:
    """Blue where a pixel should get darker, orange where brighter, relative to the largest value; (H, W, 3)."""
    share = (values / values.abs().max().clamp(min=1e-30)).numpy()
    up, down = np.clip(share, 0, 1), np.clip(-share, 0, 1)
    orange, blue, white = ((213, 94, 0), (0, 114, 178), 255)
    channels = [white - up * (white - orange[k]) - down * (white - blue[k]) for k in range(3)]
    return pictures.grid(np.concatenate(channels, axis=1).round().astype(np.uint8), len(values))
