"""Adversarial losses on logits: each a pair, what the discriminator minimises and what the generator minimises.

Notation: a = D(x) is a logit, sigma the logistic function, so sigma(a) is what the papers call D(x). Everything is
written with softplus, -log sigma(a) = softplus(-a), whose gradient does not die at large |a|. All losses are means over
the batch; all are minimised.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor
from torch.nn.functional import softplus


class AdversarialLoss(NamedTuple):
    """(real logits (N,), fake logits (N,)) -> scalar, for each player."""

    discriminator: Callable[[Tensor, Tensor], Tensor]
    generator: Callable[[Tensor, Tensor], Tensor]
    generator_needs_real: bool
    """Whether the generator's loss looks at the real logits; if not, it is given the fake ones twice."""


def non_saturating_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """-E log sigma(real) - E log(1 - sigma(fake)): the sum of two cross-entropies; 2 ln 2 where D cannot tell."""
    return softplus(-real).mean() + softplus(fake).mean()


def non_saturating_generator(real: Tensor, fake: Tensor) -> Tensor:
    """-E log sigma(fake); ln 2 where D cannot tell (Goodfellow et al. 2014, section 3)."""
    return softplus(-fake).mean()


def relativistic_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """-E log sigma(real - fake) over pairs (Jolicoeur-Martineau 2019); ln 2 where D cannot tell."""
    return softplus(fake - real).mean()


def relativistic_generator(real: Tensor, fake: Tensor) -> Tensor:
    """-E log sigma(fake - real) over pairs: the discriminator's loss with the players exchanged."""
    return softplus(real - fake).mean()


ADVERSARIAL = {
    "non-saturating": AdversarialLoss(non_saturating_discriminator, non_saturating_generator, False),
    "relativistic": AdversarialLoss(relativistic_discriminator, relativistic_generator, True),
}
