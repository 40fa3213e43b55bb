"""Rules about the optimisation itself, for every family: learning rates, values that are not finite, dead units."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np

from genlab.evaluation.diagnosis.evidence import Curve, Evidence
from genlab.evaluation.diagnosis.finding import CannotTell, Finding

PLAYERS = {"": "the weights", " of discriminator": "D's weights", " of generator": "G's weights"}
TOO_LARGE, TOO_SMALL = 0.1, 2e-5
"""Size of an update over that of the weights. About 0.001 is usual (Goodfellow, Bengio and Courville 2016, section 8.4,
speak of 1 %); if each step moves the weights by a tenth, they forget within ten steps what they had learned; at 0.00002
it takes fifty thousand steps to replace them."""
SUDDEN = 20.0
ROWS = 5
DEAD = 0.5
EXPLODED = 100.0
FAILED_STEP = re.compile(r"step ([\d,]+)")
NOT_FINITE = re.compile(r"\b(nan|inf)\b|not finite|too large for float32", re.IGNORECASE)


def learning_rate_too_large(e: Evidence) -> Iterator[Finding | CannotTell]:
    """Each step moves the weights of a player by more than `TOO_LARGE` of their size, in the median of five consecutive
    rows, after the first 5 % of the training: at the start weights are small, and large steps are usual. Or a single
    step threw the weights away: it was larger than they were, or larger than both `TOO_LARGE` of them and `SUDDEN`
    times the median of the ten rows before; weights that have become huge move little from then on."""
    name = "learning-rate-too-large"
    if thrown := list(_thrown_away(e)):
        yield thrown[0]
        return
    there = False
    for player, words in PLAYERS.items():
        curve = e.curve(f"update{player}").since(0.05 * (e.total or e.step))
        there |= len(curve) > 0
        if len(curve) < ROWS:
            continue
        medians = curve.medians(ROWS)[ROWS - 1 :]
        if medians[-1] <= TOO_LARGE:
            continue
        first = len(medians) - int(np.argmin((medians > TOO_LARGE)[::-1])) if not (medians > TOO_LARGE).all() else 0
        began = curve.steps[first + ROWS // 2], curve.steps[max(0, first + ROWS // 2 - 1)]
        yield Finding(
            name,
            "fault",
            f"The learning rate is far too large: each step changes {words} by {medians[-1]:.0%} of their size",
            since=(int(began[1]) if first else 0, int(began[0])),
            seen=(f"update over weights {medians[-1]:.2g}; about 0.001 is usual; above 0.1, nothing learned is kept",),
            cause=f"the learning rate{player}",
        )
        return
    if not there:
        yield CannotTell(name, "rows with the size of updates")


def _thrown_away(e: Evidence) -> Iterator[Finding]:
    for player, words in PLAYERS.items():
        curve = e.curve(f"update{player}")
        values, before = curve.values, np.full(len(curve), np.inf)
        before[10:] = curve.medians(10)[9:-1]
        if not (thrown := (values > 1) | ((values > TOO_LARGE) & (values > SUDDEN * before))).any():
            continue
        k = int(np.argmax(thrown))
        yield Finding(
            "learning-rate-too-large",
            "fault",
            f"The learning rate is far too large: a step changed {words} by {values[k]:.0%} of their size",
            since=(int(curve.steps[k - 1]) if k else 0, int(curve.steps[k])),
            seen=(f"update over weights {values[k]:.2g}; about 0.001 is usual; what was learned is lost",),
            cause=f"the learning rate{player}",
        )


def learning_rate_too_small(e: Evidence) -> Iterator[Finding | CannotTell]:
    """No step so far has moved the weights of a player that learns by more than `TOO_SMALL` of their size."""
    name = "learning-rate-too-small"
    there = False
    learns = {" of discriminator": e.known.discriminator_learns, " of generator": e.known.generator_learns}
    for player, words in PLAYERS.items():
        curve = e.curve(f"update{player}")
        there |= len(curve) > 0
        if len(curve) < ROWS or not learns.get(player, True) or not 0 < curve.values.max() < TOO_SMALL:
            continue
        largest = float(curve.values.max())
        yield Finding(
            name,
            "fault",
            f"The learning rate is far too small: no step changes {words} by more than {largest:.1g} of their size",
            since=(0, int(curve.steps[ROWS - 1])),
            seen=(f"largest update over weights {largest:.1g}; about 0.001 is usual",),
            cause=f"the learning rate{player}",
        )
        return
    if not there:
        yield CannotTell(name, "rows with the size of updates")


def divergence(e: Evidence) -> Iterator[Finding | CannotTell]:
    """A value was not finite; or a loss or D's logits, in the median of the last five rows, are more than `EXPLODED`
    times as large as they ever were in the first fifth of the training."""
    if NOT_FINITE.search(e.known.failure):
        named = FAILED_STEP.match(e.known.failure)
        at = int(named[1].replace(",", "")) if named else e.step + 1
        before = (curve.steps[curve.steps < at] for curve in e.curves.values())
        yield Finding(
            "divergence",
            "fault",
            "Divergence: a value was not finite" + (", and the training ended" if e.step <= at else ""),
            since=(max((int(steps[-1]) for steps in before if len(steps)), default=0), at),
            seen=(e.known.failure.partition(";")[0],),
        )
        return
    roles = ("loss", "loss of discriminator", "loss of generator", "logit of real images", "logit of generated images")
    for role in roles:
        curve = e.curve(role)
        early = np.abs(curve.values[curve.steps <= 0.2 * (e.total or e.step)])
        if len(curve) < 2 * ROWS or len(early) < ROWS:
            continue
        bound = EXPLODED * max(1.0, float(early.max()))
        medians = Curve(curve.steps, np.abs(curve.values)).medians(ROWS)
        if medians[-1] > bound:
            first = len(medians) - int(np.argmin((medians > bound)[::-1]))
            yield Finding(
                "divergence",
                "fault",
                f"Divergence: the {role} grows without bound",
                since=(int(curve.steps[first - 1]), int(curve.steps[first])),
                seen=(f"{role} {medians[-1]:.3g}; at most {early.max():.3g} in the first fifth of the training",),
            )
            return


def not_learning(e: Evidence) -> Iterator[Finding | CannotTell]:
    """A player's weights do not move at all, row after row, while the other player's do."""
    moves = {who: e.curve(f"update of {who}") for who in ("discriminator", "generator")}
    if not any(map(len, moves.values())):
        return
    for who, other in (("discriminator", "generator"), ("generator", "discriminator")):
        mine, theirs = moves[who], moves[other]
        if len(mine) < ROWS or not len(theirs) or not (theirs.last() > 0).any() or (mine.last() > 0).any():
            continue
        moving = np.flatnonzero(mine.values > 0)
        first = int(moving[-1]) + 1 if len(moving) else 0
        before = int(mine.steps[first - 1]) if first else 0
        letter = who[0].upper()
        yield Finding(
            f"{who}-not-learning",
            "fault",
            f"{letter}'s weights do not change: the {who} does not learn",
            since=(before, int(mine.steps[first])),
            seen=(f"update of {letter} over its weights: 0 in every row since; that of {other[0].upper()} is "
                  f"{float(np.median(theirs.last())):.1g}",),
            cause="the recipe or the loop never updates it, or its optimiser holds other parameters",
        )  # fmt: skip


def dead_units(e: Evidence) -> Iterator[Finding | CannotTell]:
    """More than `DEAD` of a player's units after a ReLU are 0 for every image of the step, in all of the last rows."""
    for player, words in PLAYERS.items():
        curve = e.curve(f"dead units{player}")
        if len(curve) < ROWS or curve.last().min() <= DEAD:
            continue
        alive = np.flatnonzero(curve.values <= DEAD)
        first = int(alive[-1]) + 1 if len(alive) else 0
        yield Finding(
            "dead-units",
            "fault",
            f"Dead units: {curve.values[-1]:.0%} of the units are 0 for every image, so no gradient reaches {words}",
            since=(int(curve.steps[first - 1]) if first else 0, int(curve.steps[first])),
            seen=(f"dead units {curve.values[-1]:.0%}; below 10 % is usual",),
            cause="huge steps pushed their biases far below 0: the rate is too large, or inputs are out of range",
        )


def moved_by_the_others(e: Evidence) -> Iterator[Finding | CannotTell]:
    """An optimiser moves a network that has its own optimiser, in all of the last rows: D's optimiser also holds G's
    weights, say, and trains G to be found out."""
    for who, other in (("generator", "discriminator"), ("discriminator", "generator")):
        curve = e.curve(f"update of {who} by the other's")
        if len(curve) < ROWS or not (curve.last() > 0).all():
            continue
        letter, others = who[0].upper(), other[0].upper()
        still = np.flatnonzero(curve.values == 0)
        first = int(still[-1]) + 1 if len(still) else 0
        yield Finding(
            "wrong-optimiser",
            "fault",
            f"{others}'s optimiser moves {letter}'s weights, too",
            since=(int(curve.steps[first - 1]) if first else 0, int(curve.steps[first])),
            seen=(
                f"each of its steps moves {letter} by {float(np.median(curve.last())):.1g} of its size; it should be 0",
            ),
            cause=f"the optimiser made for {others} was given {letter}'s parameters as well",
        )


RULES = (
    moved_by_the_others,
    learning_rate_too_large,
    learning_rate_too_small,
    divergence,
    not_learning,
    dead_units,
)
