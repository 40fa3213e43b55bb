"""Rules about latent codes and about generalisation: posterior collapse, overfitting, underfitting."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from genlab.evaluation.diagnosis.evidence import Curve, Evidence, episodes
from genlab.evaluation.diagnosis.finding import CannotTell, Finding

SILENT = 0.1
"""KL in nats per image below which z says next to nothing."""
RISES, WORSE, GAP, APART, LEARNED = 0.5, 0.1, 0.1, 1.3, 0.85
GUESSED = 0.1
"""Share of the way from chance to certainty below which a classifier is said to guess."""


def posterior_collapse(e: Evidence) -> Iterator[Finding | CannotTell]:
    """The summed KL is below `SILENT` nats per image, or no latent unit is active (Burda et al. 2016): the encoder says
    nothing about the image, and the decoder draws the mean image (Bowman et al. 2016)."""
    if not e.known.latent:
        return
    kl = e.curve("test kl") if len(e.curve("test kl")) else e.curve("kl")
    units = e.curve("test active units") if len(e.curve("test active units")) else e.curve("active units")
    if not len(kl):
        yield CannotTell("posterior-collapse", "rows with the KL term in nats")
        return
    silent = kl.values < SILENT
    if len(units):
        silent |= np.interp(kl.steps, units.steps, units.values) < 0.5
    found = episodes(kl.steps.tolist(), silent.tolist())
    if not found or found[-1][1] is not None:
        return
    active = f", active units {units.values[-1]:.0f}" if len(units) else ""
    yield Finding(
        "posterior-collapse",
        "fault",
        "Posterior collapse: z says nothing about the image, and every z gives the same image",
        since=found[-1][0],
        seen=(f"KL {kl.values[-1]:.2g} nats per image{active}; a code in use carries several nats",),
        cause="the KL term weighs too much compared with the reconstruction",
    )


def kl_rises(e: Evidence) -> Iterator[Finding | CannotTell]:
    """The KL rises while the reconstruction falls: information flows into z, which is learning."""
    kl, rebuilt = e.curve("kl"), e.curve("reconstruction")
    if not e.known.latent or len(kl) < 10 or len(rebuilt) < 10:
        return
    half = len(kl) // 2
    rising = np.median(kl.values[half:]) > 1.1 * np.median(kl.values[:half])
    if rising and np.median(rebuilt.values[half:]) < np.median(rebuilt.values[:half]):
        yield Finding(
            "kl-rises",
            "note",
            f"The KL rises to {np.median(kl.last()):.3g} nats while the reconstruction gets better: z learns",
            no="a rising KL is no cause for alarm",
        )


def overfitting(e: Evidence) -> Iterator[Finding | CannotTell]:
    """The test loss exceeds its minimum by more than `RISES` of it for three epochs in a row, while the training loss
    is below that minimum; or training accuracy is more than `GAP` above test accuracy; or, for a model with a
    likelihood, the test loss is more than `APART` times the training loss."""
    test, train = e.curve("test loss"), e.curve("training loss") if len(e.curve("training loss")) else e.curve("loss")
    if not len(test):
        if e.known.latent or e.known.naming:
            yield CannotTell("overfitting", "a test split")
        return
    a, b = e.curve("training accuracy"), e.curve("test accuracy")
    if len(a) and len(b):
        apart = np.interp(b.steps, a.steps, a.values) - b.values > GAP
        found = episodes(b.steps.tolist(), apart.tolist(), stays=2)
        if found and found[-1][1] is None:
            seen = f"accuracy {a.values[-1]:.1%} in training, {b.values[-1]:.1%} on the test split"
            yield _overfits(e, found[-1][0], seen, test)
            return
    if len(test) < 4:
        return
    training = np.interp(test.steps, train.steps, train.values)
    if e.known.latent:
        found = episodes(test.steps.tolist(), ((training > 0) & (test.values > APART * training)).tolist(), stays=2)
        if found and found[-1][1] is None:
            seen = f"loss {training[-1]:.3g} in training, {test.values[-1]:.3g} on the test split"
            yield _overfits(e, found[-1][0], seen, test)
            return
    least = np.minimum.accumulate(test.values)
    risen = (test.values > least + RISES * np.abs(least)) & (training < least)
    found = episodes(test.steps.tolist(), risen.tolist(), stays=3)
    if found and found[-1][1] is None:
        yield _overfits(e, found[-1][0], f"test loss {test.values[-1]:.3g}, at its best {least[-1]:.3g}", test)


def _overfits(e: Evidence, since: tuple[int, int], seen: str, test: Curve) -> Finding:
    """The finding; if the test loss has been better by more than `WORSE` of it, with the step at which it was best."""
    best = int(np.argmin(test.values))
    worse = test.values[-1] > test.values[best] + WORSE * abs(test.values[best])
    how = "gets better on its training images and worse" if worse else "is much better on its training images than"
    return Finding(
        "overfitting",
        "fault",
        f"Overfitting: the model {how} on others",
        since=since,
        seen=(seen,),
        cause=e.known.few,
        keep=int(test.steps[best]) if worse else None,
    )


def nothing_named(e: Evidence) -> Iterator[Finding | CannotTell]:
    """Training accuracy has never come further than `GUESSED` of the way from chance to 1, after two epochs or more."""
    train = e.curve("training accuracy")
    if not e.known.naming or e.known.classes < 2 or len(train) < 2:
        return
    if train.values.max() < _guessing(e.known.classes):
        yield Finding(
            "nothing-learned",
            "fault",
            "Nothing was learned: the classes are guessed",
            since=(0, int(train.steps[-1])),
            seen=(f"training accuracy {train.values[-1]:.1%}; chance: {1 / e.known.classes:.1%}",),
        )


def _guessing(classes: int) -> float:
    """Accuracy below which a classifier of that many classes guesses."""
    chance = 1 / max(2, classes)
    return chance + GUESSED * (1 - chance)


def underfitting(e: Evidence) -> Iterator[Finding | CannotTell]:
    """At the end of its training, a classifier is right for fewer than `LEARNED` of its own training images, and for
    about as many of the test split: it has not learned what there is to learn."""
    a, b = e.curve("training accuracy"), e.curve("test accuracy")
    if not e.known.naming or len(a) < 3 or not len(b) or e.step < 0.9 * (e.total or 0):
        return
    if _guessing(e.known.classes) <= a.values[-1] < LEARNED and abs(a.values[-1] - b.values[-1]) < GAP / 2:
        yield Finding(
            "underfitting",
            "warning",
            f"Underfitting: it classifies only {a.values[-1]:.0%} of its training images correctly",
            since=(0, int(a.steps[-1])),
            seen=(f"accuracy {a.values[-1]:.1%} in training, {b.values[-1]:.1%} on the test split",),
            cause="too few steps, too small steps, or too small a network",
        )


RULES = (posterior_collapse, kl_rises, overfitting, nothing_named, underfitting)
