"""Facts about each adversarial loss and each penalty: its equations, needs, equilibrium and source.

The functions themselves, under the same names, are in `families/gan/losses.py` and `families/gan/penalties.py`. In the
equations s is the logistic function, p = s(D(x)) and q = s(D(G(z))).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

LN_2 = math.log(2)


@dataclass(frozen=True)
class Loss:
    """An adversarial loss, a pair: what the discriminator D minimises and what the generator G minimises.

    Attributes:
        discriminator, generator: the two losses as equations.
        source: authors and year.
        logistic: whether it reads logits through the logistic function, so that 0 means "cannot tell".
        nats: whether it is a sum of cross-entropies, whose unit is the nat.
        pairs: whether it compares each real image with a generated one, in a single term, for both players; the common
            level of all logits then means nothing.
        smoothed: D's term for real images as written in `discriminator`, and the same with label smoothing ({share} for
            the smoothing, {rest} for the remainder); None if it cannot be smoothed.
        rest_logit: the logit of every image at the equilibrium, where D cannot tell real from generated.
        rest_discriminator, rest_generator: the two losses there, for the sum of D's terms; None if that logit may
            drift, so that no level is worth drawing.
    """

    discriminator: str
    generator: str
    source: str
    logistic: bool = False
    nats: bool = False
    pairs: bool = False
    smoothed: tuple[str, str] | None = None
    rest_logit: float = 0.0
    rest_discriminator: float | None = None
    rest_generator: float | None = None

    @property
    def has_border(self) -> bool:
        """Whether a logit's sign says "real" or "generated"."""
        return self.logistic and not self.pairs


_SUM = "E[-log s(D(x))] + E[-log(1 - s(D(G(z))))]"
_SMOOTHED = ("-log s(D(x))", "-{rest} log s(D(x)) - {share} log(1 - s(D(x)))")

LOSSES: dict[str, Loss] = {
    "non-saturating": Loss(
        _SUM,
        "E[-log s(D(G(z)))]",
        "Goodfellow et al. 2014, section 3",
        logistic=True,
        nats=True,
        smoothed=_SMOOTHED,
        rest_discriminator=2 * LN_2,
        rest_generator=LN_2,
    ),
    "saturating": Loss(
        _SUM,
        "E[log(1 - s(D(G(z))))]",
        "Goodfellow et al. 2014, equation 1",
        logistic=True,
        nats=True,
        smoothed=_SMOOTHED,
        rest_discriminator=2 * LN_2,
        rest_generator=-LN_2,
    ),
    "bce-on-probabilities": Loss(
        "E[-max(log p, -100)] + E[-max(log(1 - q), -100)]",
        "E[-max(log q, -100)]",
        "the five reports",
        logistic=True,
        nats=True,
        smoothed=("-max(log p, -100)", "-{rest} max(log p, -100) - {share} max(log(1 - p), -100)"),
        rest_discriminator=2 * LN_2,
        rest_generator=LN_2,
    ),
    "least-squares": Loss(
        "E[(D(x) - 1)^2] / 2 + E[D(G(z))^2] / 2",
        "E[(D(G(z)) - 1)^2] / 2",
        "Mao et al. 2017",
        rest_logit=1 / 2,
        rest_discriminator=1 / 4,
        rest_generator=1 / 8,
    ),
    "wasserstein": Loss("E[D(G(z))] - E[D(x)]", "-E[D(G(z))]", "Arjovsky et al. 2017"),
    "hinge": Loss(
        "E[max(0, 1 - D(x))] + E[max(0, 1 + D(G(z)))]", "-E[D(G(z))]", "Lim and Ye 2017", rest_discriminator=2
    ),
    "relativistic": Loss(
        "E[-log s(D(x) - D(G(z)))]",
        "E[-log s(D(G(z)) - D(x))]",
        "Jolicoeur-Martineau 2019",
        logistic=True,
        nats=True,
        pairs=True,
        rest_discriminator=LN_2,
        rest_generator=LN_2,
    ),
}


@dataclass(frozen=True)
class Penalty:
    """A penalty on the discriminator's gradient with respect to images, before its weight lambda.

    Attributes:
        equation: the penalty as an equation, with {s} for sigma.
        words: the same in words, for a caption.
        source: authors and year.
        by: what it is computed from: the `squared` gradient norm, its distance |grad| - 1 (`unit`), or a finite
            `difference`, which needs no second derivatives but D at neighbouring points.
        at: where the gradient is taken: at `real` images, at `generated` ones, `between` the two or `around` real ones.
        one_sided: whether norms below 1 cost nothing.
        needs_sigma: whether it needs a distance to neighbouring points.
    """

    equation: str
    words: str
    source: str
    by: Literal["squared", "unit", "difference"]
    at: tuple[Literal["real", "generated", "between", "around"], ...]
    one_sided: bool = False

    @property
    def needs_sigma(self) -> bool:
        return self.by == "difference" or "around" in self.at


_R1, _BETWEEN = "Mescheder et al. 2018", "E[{},  u = a x + (1 - a) G(z), a uniform"
PENALTIES: dict[str, Penalty] = {
    "r1": Penalty("E|grad D(x)|^2 / 2", "R1: |grad D|^2 / 2 at real images", _R1, "squared", ("real",)),
    "r2": Penalty("E|grad D(G(z))|^2 / 2", "R2: |grad D|^2 / 2 at generated images", _R1, "squared", ("generated",)),
    "r1-r2": Penalty(
        "(E|grad D(x)|^2 + E|grad D(G(z))|^2) / 2",
        "R1 + R2: |grad D|^2 / 2 at real plus at generated images",
        _R1,
        "squared",
        ("real", "generated"),
    ),
    "r1-finite-difference": Penalty(
        "E[(D(x) - D(x + {s} e))^2] / (2 {s}^2)",
        "R1 by finite differences: about |grad D|^2 / 2 at real images",
        _R1,
        "difference",
        ("real",),
    ),
    "r2-finite-difference": Penalty(
        "E[(D(u) - D(u + {s} e))^2] / (2 {s}^2),  u = G(z)",
        "R2 by finite differences: about |grad D|^2 / 2 at generated images",
        _R1,
        "difference",
        ("generated",),
    ),
    "r1-r2-finite-difference": Penalty(
        "sum over u = x, G(z) of E[(D(u) - D(u + {s} e))^2] / (2 {s}^2)",
        "R1 + R2 by finite differences: about |grad D|^2 / 2 at real plus at generated images",
        _R1,
        "difference",
        ("real", "generated"),
    ),
    "gradient-penalty": Penalty(
        "E[(|grad D(u)| - 1)^2],  u = a x + (1 - a) G(z), a uniform",
        "(|grad D| - 1)^2 between real and generated images",
        "Gulrajani et al. 2017",
        "unit",
        ("between",),
    ),
    "gradient-penalty-one-sided": Penalty(
        "E[max(0, |grad D(u)| - 1)^2],  u = a x + (1 - a) G(z), a uniform",
        "max(0, |grad D| - 1)^2 between real and generated images",
        "Petzka et al. 2018",
        "unit",
        ("between",),
        one_sided=True,
    ),
    "dragan": Penalty(
        "E[(|grad D(u)| - 1)^2],  u = x + {s} e",
        "(|grad D| - 1)^2 around real images",
        "Kodali et al. 2017",
        "unit",
        ("around",),
    ),
}

if TYPE_CHECKING:
    LossName = str
    PenaltyName = str
else:
    LossName = Literal[tuple(LOSSES)]
    PenaltyName = Literal[("none", *PENALTIES)]
