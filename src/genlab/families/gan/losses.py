"""Adversarial losses, each a pair: what the discriminator minimises and what the generator minimises.

Notation: a = D(x) is a logit, sigma the logistic function, so sigma(a) is what the papers call D(x). Cross-entropies
are written with softplus, -log sigma(a) = softplus(-a), whose gradient does not die at large |a|; the one exception is
the reports' own form on probabilities, which is included to show what it does. All losses are means over the batch; all
are minimised.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy, relu, softplus

from genlab.errors import UsageError, first_line
from genlab.recipe.gan import GanRecipe
from genlab.recipe.objectives import LOSSES

Pair = Callable[[Tensor, Tensor], Tensor]
"""(logits of real images (N,), logits of generated images (N,)) -> scalar."""


class AdversarialLoss(NamedTuple):
    """What each player minimises, from the logits of real and of generated images, (N,) each."""

    discriminator: Pair
    generator: Pair
    generator_needs_real: bool
    """Whether the generator's loss uses the real logits; if not, it receives the generated ones twice."""


def check(loss: AdversarialLoss, recipe: GanRecipe) -> None:
    """Check on the logits of eight images that a pair of losses can be trained with, and warn of settings of the
    recipe's own loss, which then have no effect.

    Raises:
        UsageError: a loss cannot be called with logits of real and generated images or is not a finite scalar, or the
            generator's loss depends on real images without declaring it, or on more of them than the recipe gives it.
    """
    own = recipe.objective
    idle = {"label_smoothing": own.label_smoothing, "discriminator_terms": own.discriminator_terms}
    usual = {"label_smoothing": 0, "discriminator_terms": "sum"}
    for name, value in idle.items():
        if value != usual[name]:
            warnings.warn(f"objective.{name} {value} has no effect with a custom objective", stacklevel=5)
    if loss.generator_needs_real and own.generator_batch is not None:
        raise UsageError(
            f"objective: its generator's loss compares each generated image with a real one, so "
            f"objective.generator_batch, which is {own.generator_batch}, must be null"
        )
    a, b = torch.linspace(-1, 1, 8, requires_grad=True), torch.linspace(-0.5, 0.7, 8, requires_grad=True)
    for player in ("discriminator", "generator"):
        try:
            value = getattr(loss, player)(a, b)
        except Exception as error:
            raise UsageError(
                f"objective: the {player}'s loss cannot be called with the logits of real and of generated images, "
                f"(N,) each: {first_line(error)}"
            ) from error
        if not isinstance(value, Tensor) or value.dim() != 0:
            shape = f"a tensor of shape {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
            raise UsageError(f"objective: the {player}'s loss is {shape}; expected a scalar: take its mean()")
        if not torch.isfinite(value):
            raise UsageError(f"objective: the {player}'s loss for ordinary logits is {value.item()}")
    if not loss.generator_needs_real and not torch.equal(loss.generator(a, b), loss.generator(a + 1, b)):
        raise UsageError(
            "objective: the generator's loss depends on the logits of real images; set generator_needs_real=True"
        )


def adversarial(name: str, label_smoothing: float = 0.0) -> AdversarialLoss:
    """The pair of losses of that name.

    Args:
        label_smoothing: s in D's cross-entropy on real images, (1 - s) * -log sigma(a) + s * -log(1 - sigma(a)); for
            cross-entropies only (Salimans et al. 2016).
    """
    discriminator, generator = ADVERSARIAL[name]
    if label_smoothing:
        assert LOSSES[name].smoothed, "the recipe's rules refuse it"
        discriminator = partial(discriminator, smoothing=label_smoothing)
    return AdversarialLoss(discriminator, generator, LOSSES[name].pairs)


def halved(loss: AdversarialLoss) -> AdversarialLoss:
    """The same pair with the mean of D's two terms instead of their sum (reports S0, S1)."""
    return loss._replace(discriminator=lambda a, b: loss.discriminator(a, b) / 2)


def cross_entropy_discriminator(real: Tensor, fake: Tensor, smoothing: float = 0.0) -> Tensor:
    """-E log sigma(real) - E log(1 - sigma(fake)): the sum of two cross-entropies; 2 ln 2 if D cannot tell.

    With smoothing s the first term is -E [(1 - s) log sigma(real) + s log(1 - sigma(real))].
    """
    # softplus(a) = softplus(-a) + a
    return softplus(-real).mean() + smoothing * real.mean() + softplus(fake).mean()


def non_saturating_generator(real: Tensor, fake: Tensor) -> Tensor:
    """-E log sigma(fake), gradient -(1 - sigma(fake)); ln 2 if D cannot tell (Goodfellow et al. 2014, section 3)."""
    return softplus(-fake).mean()


def saturating_generator(real: Tensor, fake: Tensor) -> Tensor:
    """E log(1 - sigma(fake)), gradient -sigma(fake): the minimax game's own term, -ln 2 if D cannot tell.

    The gradient vanishes exactly when D rejects the fake (Goodfellow et al. 2014, equation 1).
    """
    return -softplus(fake).mean()


def probability_discriminator(real: Tensor, fake: Tensor, smoothing: float = 0.0) -> Tensor:
    """The cross-entropies of sigma(real) with 1 - smoothing and of sigma(fake) with 0, as the reports compute them.

    PyTorch's binary cross-entropy clamps each log at -100. In float32 sigma is exactly 1 from a logit of about 17, and
    exactly 0 below about -104: there the loss is 100 and its gradient 0.
    """
    target = torch.full_like(real, 1 - smoothing)
    return binary_cross_entropy(real.sigmoid(), target) + binary_cross_entropy(fake.sigmoid(), torch.zeros_like(fake))


def probability_generator(real: Tensor, fake: Tensor) -> Tensor:
    """The cross-entropy of sigma(fake) with 1, on probabilities; see `probability_discriminator`."""
    return binary_cross_entropy(fake.sigmoid(), torch.ones_like(fake))


def least_squares_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """E (real - 1)^2 / 2 + E fake^2 / 2 (Mao et al. 2017, targets 1 and 0); 1/4 if D cannot tell."""
    return ((real - 1).square().mean() + fake.square().mean()) / 2


def least_squares_generator(real: Tensor, fake: Tensor) -> Tensor:
    """E (fake - 1)^2 / 2; 1/8 if D cannot tell."""
    return (fake - 1).square().mean() / 2


def wasserstein_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """E fake - E real (Arjovsky et al. 2017): minus the estimated distance, up to D's Lipschitz constant."""
    return fake.mean() - real.mean()


def wasserstein_generator(real: Tensor, fake: Tensor) -> Tensor:
    """-E fake."""
    return -fake.mean()


def hinge_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """E max(0, 1 - real) + E max(0, 1 + fake) (Lim and Ye 2017); 2 if D cannot tell."""
    return relu(1 - real).mean() + relu(1 + fake).mean()


def relativistic_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """-E log sigma(real - fake) over pairs (Jolicoeur-Martineau 2019); ln 2 if D cannot tell."""
    return softplus(fake - real).mean()


def relativistic_generator(real: Tensor, fake: Tensor) -> Tensor:
    """-E log sigma(fake - real) over pairs: the discriminator's loss with the players exchanged."""
    return softplus(real - fake).mean()


ADVERSARIAL: dict[str, tuple[Callable[..., Tensor], Pair]] = {
    "non-saturating": (cross_entropy_discriminator, non_saturating_generator),
    "saturating": (cross_entropy_discriminator, saturating_generator),
    "bce-on-probabilities": (probability_discriminator, probability_generator),
    "least-squares": (least_squares_discriminator, least_squares_generator),
    "wasserstein": (wasserstein_discriminator, wasserstein_generator),
    "hinge": (hinge_discriminator, wasserstein_generator),
    "relativistic": (relativistic_discriminator, relativistic_generator),
}
"""Losses of D and G. A discriminator's loss that can be smoothed takes the smoothing as its third argument;
`recipe.objectives.LOSSES` records which ones can, and all other facts about each loss."""
