"""Penalties on the discriminator's gradient with respect to images, before their weight.

`Penalty` combines the functions below as the record of its name in `recipe.objectives` says.

R1 and R2 are |grad D|^2 / 2, so that their weight is the papers' gamma: lambda/2 |grad D|^2. The gradient penalties are
(|grad D| - 1)^2. Norms are over all pixels of an image; all penalties are means over the batch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from genlab.engine.randomness import Draws
from genlab.recipe import objectives

Scores = Callable[[Tensor], Tensor]
"""Images (N, C, H, W) -> logits (N,), each of which depends only on its own image (no batch normalisation)."""


D = Callable[..., tuple[Tensor, ...]]
"""Batches of images (N, C, H, W) -> logits (N,) of each batch."""


@dataclass(frozen=True)
class Penalty:
    """A penalty by name: it lists the further points at which it needs logits, and is computed from those."""

    record: objectives.Penalty
    sigma: float = 0.0

    @classmethod
    def of(cls, name: str, sigma: float | None) -> Penalty | None:
        return None if name == "none" else cls(objectives.PENALTIES[name], sigma or 0.0)

    def beside(self, x: Tensor, fake: Tensor, draws: Draws) -> list[Tensor]:
        """The neighbours x + sigma e at which a finite difference needs logits; none for exact gradients."""
        if self.record.by != "difference":
            return []
        noise = draws.normal(2, *x.shape)
        points = {"real": x + self.sigma * noise[0], "generated": fake + self.sigma * noise[1]}
        return [points[at] for at in self.record.at]

    def __call__(self, D: D, x: Tensor, fake: Tensor, logits: Sequence[Tensor], draws: Draws) -> Tensor:
        """The penalty, a scalar.

        Args:
            logits: logits of x, of fake, and of each batch from `beside`.
        """

        def scores(u: Tensor) -> Tensor:
            return D(u)[0]

        points, record = {"real": x, "generated": fake}, self.record
        if record.by == "difference":
            at = {"real": logits[0], "generated": logits[1]}
            pairs = zip(record.at, logits[2:], strict=True)
            return torch.stack([finite_difference_penalty(at[u], beside, self.sigma) for u, beside in pairs]).sum()
        if record.by == "squared":
            return torch.stack([squared_gradient_penalty(scores, points[u]) for u in record.at]).sum()
        if "around" in record.at:
            u = x + self.sigma * draws.normal(*x.shape)
        else:
            u = between(x, fake, draws.uniform(len(x)))
        return unit_gradient_penalty(scores, u, record.one_sided)


def finite_difference_penalty(logits: Tensor, shifted_logits: Tensor, sigma: float) -> Tensor:
    """E (D(x) - D(x + sigma e))^2 / (2 sigma^2), e standard normal: to leading order in sigma, E |grad D(x)|^2 / 2.

    With x real this is R1, with x fake R2 (Mescheder et al. 2018), up to their weight gamma. First derivatives only.

    Args:
        logits: D(x), shape (N,).
        shifted_logits: D(x + sigma e), shape (N,).
        sigma: step in units of pixel values, which lie in [-1, 1].
    """
    return (logits - shifted_logits).square().mean() / (2 * sigma**2)


def squared_gradient_penalty(scores: Scores, x: Tensor) -> Tensor:
    """E |grad D(x)|^2 / 2, exactly: R1 with x real, R2 with x fake (Mescheder et al. 2018)."""
    return _gradient(scores, x).square().sum(1).mean() / 2


def unit_gradient_penalty(scores: Scores, x: Tensor, one_sided: bool = False) -> Tensor:
    """E (|grad D(x)| - 1)^2, only for norms above 1 if `one_sided` (Gulrajani et al. 2017; Petzka et al. 2018)."""
    # The norm's own gradient is 0/0 where D is flat, as when it starts from zeros.
    excess = (_gradient(scores, x).square().sum(1) + 1e-16).sqrt() - 1
    return (excess.clamp(min=0) if one_sided else excess).square().mean()


def between(real: Tensor, fake: Tensor, share: Tensor) -> Tensor:
    """share * real + (1 - share) * fake, image by image; shares (N,) in [0, 1] (Gulrajani et al. 2017)."""
    weight = share.view(-1, *([1] * (real.dim() - 1)))
    return weight * real + (1 - weight) * fake


def _gradient(scores: Scores, x: Tensor) -> Tensor:
    """grad D at each image, (N, values per image), itself differentiable."""
    x = x.detach().requires_grad_()
    with torch.enable_grad():
        (gradient,) = torch.autograd.grad(scores(x).sum(), x, create_graph=True)
    return gradient.flatten(1).float()
