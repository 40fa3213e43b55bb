"""Rules about the game of D and G: D has won, D is too weak, D overfits, oscillation, balance."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from genlab.evaluation.diagnosis.evidence import Curve, Evidence, episodes
from genlab.evaluation.diagnosis.finding import CannotTell, Finding

SURE, GAP = 4.6, 10.0
"""Logits: the logistic function of 4.6 is 0.99; 10 apart, D is sure of every pair of a real and a generated image."""
POOR = 0.05
"""Coverage of a generator that has learned next to nothing."""
LEVEL = 0.05
APART = 3.0
TURNS = 0.25


def _gap(e: Evidence) -> Curve:
    """How far D's logits of real images lie above its logits of generated ones."""
    real, fake = e.curve("logit of real images"), e.curve("logit of generated images")
    shared, a, b = np.intersect1d(real.steps, fake.steps, return_indices=True)
    return Curve(shared, real.values[a] - fake.values[b])


def discriminator_won(e: Evidence) -> Iterator[Finding | CannotTell]:
    """D tells all images apart, and G's images stay poor. D is sure if its logits of both kinds are beyond `SURE` on
    their own sides, or `GAP` apart if only differences count, in at least 80 % of the last rows; a critic without a
    logistic function is never sure. Poor means coverage below `POOR` at the last evaluation, without recent
    improvement. Then s(D) is saturated, and with a saturating loss, or clamped probabilities, no gradient of D reaches
    G (Goodfellow et al. 2014, section 3; Arjovsky and Bottou 2017)."""
    name = "discriminator-won"
    if not e.known.adversarial or not (e.known.border or e.known.pairs):
        return
    real, fake, gap = e.curve("logit of real images"), e.curve("logit of generated images"), _gap(e)
    if len(gap) < 10:
        yield CannotTell(name, "ten rows with D's logits")
        return
    sure = (
        (real.values > SURE) & (fake.values < -SURE) if e.known.border and len(real) == len(fake) else gap.values > GAP
    )
    covered = e.metric("coverage")
    poor = bool(len(covered)) and covered.values[-1] < POOR and not e.improves()
    if not poor or float(np.mean(sure[-max(10, len(sure) // 10) :])) < 0.8:
        return
    smooth = Curve(gap.steps, sure.astype(float)).medians(5) > 0.5
    last = episodes(gap.steps.tolist(), smooth.tolist())
    since = last[-1][0] if last and last[-1][1] is None else (0, int(gap.steps[-1]))
    norm, a, b = e.curve("gradient of generator"), np.median(real.last()), np.median(fake.last())
    early, late = (float(np.mean(part)) if len(part) else 0.0 for part in (norm.values[:5], norm.last()))
    heard = f"the gradient that reaches G has norm {late:.2g}; at first it had {early:.2g}"
    yield Finding(
        name,
        "fault",
        "D has won: it is sure of all images, and G does not improve",
        since=since,
        seen=(
            f"logits of real images {a:.3g}, of generated ones {b:.3g}",
            *([heard] if len(norm) else []),
            f"coverage {covered.values[-1]:.3g} (real images: about 0.95)",
        ),
        cause="D learns faster than G, or G's loss saturates",
    )


def discriminator_weak(e: Evidence) -> Iterator[Finding | CannotTell]:
    """D cannot tell real from generated, although the images are poor: coverage is below `POOR`, and in more than 80 %
    of the last rows D's loss is within `LEVEL` of that of a D that cannot tell."""
    if not e.known.adversarial or e.known.rest_discriminator is None or not e.known.discriminator_learns:
        return
    loss, covered = e.curve("loss of discriminator"), e.metric("coverage")
    if len(loss) < 10 or not len(covered):
        yield CannotTell("discriminator-weak", "ten rows with D's loss, and an evaluation")
        return
    near = np.abs(loss.last() / e.known.rest_discriminator - 1) < LEVEL
    if covered.values[-1] < POOR and near.mean() > 0.8:
        yield Finding(
            "discriminator-weak",
            "fault",
            "D is too weak: it cannot recognise images that are plainly not real",
            since=(0, int(loss.steps[-1])),
            seen=(f"D's loss {np.median(loss.last()):.3g}; a D that cannot tell real from generated has "
                  f"{e.known.rest_discriminator:.3g}",
                  f"coverage {covered.values[-1]:.3g} (real images: about 0.95)"),
        )  # fmt: skip


def discriminator_overfitting(e: Evidence) -> Iterator[Finding | CannotTell]:
    """D's loss on held-out images exceeds `APART` times its training loss plus a tenth of the loss of a D that cannot
    tell, at the last two evaluations: D has memorised its training images (Karras et al. 2020)."""
    if not e.known.adversarial or e.known.rest_discriminator is None:
        return
    held, loss = e.curve("held-out loss of discriminator"), e.curve("loss of discriminator")
    if len(held) < 2 or not len(loss):
        yield CannotTell("discriminator-overfitting", "two evaluations with a test split")
        return
    training = np.interp(held.steps, loss.steps, loss.values)
    apart = held.values > APART * np.maximum(training, 0) + 0.1 * e.known.rest_discriminator
    found = episodes(held.steps.tolist(), apart.tolist(), stays=2)
    if found and found[-1][1] is None:
        yield Finding(
            "discriminator-overfitting",
            "fault",
            "D overfits: it has memorised its training images",
            since=found[-1][0],
            seen=(f"D's loss on held-out images {held.values[-1]:.3g}, in training {training[-1]:.3g}",),
            cause=e.known.few,
        )


def oscillation(e: Evidence) -> Iterator[Finding | CannotTell]:
    """From one evaluation to the next, more than `TURNS` of the samples change class (total variation distance of the
    shares), three times in a row, and the images do not get better: G runs from class to class, and D after it (Metz et
    al. 2017)."""
    there = [each for each in e.evaluations if each.classes and not e.known.conditional]
    if len(there) < 4:
        return
    shares = np.array([[float(row["share"] or 0) for row in each.classes] for each in there])
    turned = 0.5 * np.abs(np.diff(shares, axis=0)).sum(1)
    found = episodes([each.step for each in there[1:]], (turned > TURNS).tolist(), stays=3)
    if found and found[-1][1] is None and not e.improves():
        yield Finding(
            "oscillation",
            "warning",
            "Oscillation: G runs from class to class instead of drawing all of them",
            since=found[-1][0],
            seen=(f"{turned[-1]:.0%} of the samples changed class since the last evaluation; 5 % is usual",),
        )


def losses_at_equilibrium(e: Evidence) -> Iterator[Finding | CannotTell]:
    """Both losses are within `LEVEL` of where D cannot tell: this is balance, and says nothing about the images."""
    if e.known.rest_discriminator is None or e.known.rest_generator is None:
        return
    d, g = e.curve("loss of discriminator"), e.curve("loss of generator")
    if len(d) < 10 or len(g) < 10:
        return
    if all(
        abs(np.median(curve.last()) - rest) < LEVEL * abs(rest)
        for curve, rest in ((d, e.known.rest_discriminator), (g, e.known.rest_generator))
    ):
        yield Finding(
            "losses-at-equilibrium",
            "note",
            f"The losses are balanced: D {np.median(d.last()):.2f}, G {np.median(g.last()):.2f}",
            no="balance is not quality: a collapsed generator may have the same losses; look at the samples",
        )


RULES = (discriminator_won, discriminator_weak, discriminator_overfitting, oscillation, losses_at_equilibrium)
