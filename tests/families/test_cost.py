"""A recipe's objective in words, and the cost of an epoch."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

import genlab
from genlab.engine import calibrate
from genlab.families.cost import cost, expected_seconds
from genlab.families.registry import FAMILIES
from genlab.recipe import REFERENCE
from genlab.recipe.schedule import Schedule


def lines(recipe: str, **changes: Any) -> str:
    overrides = {key.replace("__", "."): value for key, value in changes.items()}
    loaded = genlab.load_recipe(recipe, overrides)
    return "\n".join(FAMILIES[loaded.family].equations(loaded))


@pytest.mark.parametrize(
    ("recipe", "changes", "words"),
    [
        ("s0-dcgan", {}, "D minimises  (E[-log s(D(x))] + E[-log(1 - s(D(G(z))))]) / 2"),
        ("s2-dcgan", {}, "D minimises  E[-log s(D(x))] + E[-log(1 - s(D(G(z))))]\nG minimises  E[-log s(D(G(z)))]"),
        ("s2-dcgan", {"objective__loss": "saturating"}, "G minimises  E[log(1 - s(D(G(z))))]"),
        ("s2-dcgan", {"objective__label_smoothing": 0.1}, "E[-0.9 log s(D(x)) - 0.1 log(1 - s(D(x)))]"),
        ("s2-dcgan", {"objective__loss": "bce-on-probabilities", "objective__label_smoothing": 0.1},
         "E[-0.9 max(log p, -100) - 0.1 max(log(1 - p), -100)]"),
        ("s0-dcgan", {"objective__loss": "bce-on-probabilities", "objective__players": "generator"},
         "G minimises  E[-max(log q, -100)]\np = s(D(x)), q = s(D(G(z))); s is the logistic function"),
        ("s2-dcgan", {"objective__packing": 2}, "D judges 2 images at once"),
        ("s2-cdcgan", {}, "D and G are told the class"),
        ("s2-cdcgan", {"networks__discriminator__labels": False}, "G is told the class, D is not"),
        ("quick-mnist", {}, "+  0.2 * sum over u = x, G(z) of E[(D(u) - D(u + 0.05 e))^2] / (2 0.05^2)"),
        ("wgan-gp", {}, "10 * E[(|grad D(u)| - 1)^2]"),
        ("wgan-gp", {}, "5 steps of D per step of G"),
        ("s2-dcgan", {"augmentation": {"translation": 0.125, "cutout": 0.5}},
         "\nx and G(z) above stand for T(x) and T(G(z)), which is what D sees; each image has its own T\n"
         "T: a shift by up to 0.125 of the side, a square of 0.5 of the side set to gray"),
        ("quick-stacked", {"augmentation": {"brightness": 0.5, "saturation": 1, "contrast": 0.25}},
         "T: brightness +-0.5, saturation 1 +-1, contrast 1 +-0.25"),
        ("s4-vae", {}, "minimise  E[mean over pixels of (x - dec(z))^2]  +  1 * KL(q(z|x) || N(0, I)) / 2"),
        ("s4-vae", {"objective__reconstruction": "sum", "objective__kl": "sum"},
         "minimise  E[sum over pixels of (x - dec(z))^2 / 2]  +  1 * KL(q(z|x) || N(0, I))\n"),
        ("iwae", {}, "maximise  E[log mean of p(x|z) p(z) / q(z|x) over 5 z];  log p(x|z) = -sum over pix"),
        ("iwae", {}, "each pixel of x is 1 with probability equal to its gray value, else 0: drawn in each step"),
        ("quick-fashion", {"objective__classification": 0.5}, "+  0.5 * E[-log c(x)[y]]\nG minimises"),
        ("quick-fashion", {"objective__classification": 0.5}, "+  0.5 * E[-log c(G(z))[y]]"),
        ("s2-dcgan", {"networks__discriminator__minibatch_stddev": 4}, "D sees the spread within groups of 4 images"),
        ("beta-vae", {}, "the weight 4 is reached after 468 steps"),
        ("cvae", {}, "both networks told the class"),
        ("s4-classifier", {"objective__label_smoothing": 0.1}, "targets 0.9 + 0.1 / classes"),
    ],
)  # fmt: skip
def test_equations_have_the_recipe_s_own_numbers(recipe: str, changes: dict[str, Any], words: str) -> None:
    assert words in lines(recipe, **changes)


def test_a_player_that_does_not_learn_minimises_nothing() -> None:
    assert "G minimises" not in lines("s2-dcgan", objective__players="discriminator")
    assert "D minimises" not in lines("s2-dcgan", objective__players="generator")


def passes(recipe: str, images: int, **changes: Any) -> tuple[float, float]:
    """Cost per training image in forward passes of G and in those of D; it is linear in both."""
    shown = genlab.show(recipe, {k.replace("__", "."): v for k, v in changes.items()})
    found = []
    for name in ("generator", "discriminator"):
        alone = [type(n)(**{**vars(n), "multiply_adds": 1000 if n.name == name else 0}) for n in shown.networks]
        found.append(cost(shown.recipe, alone, images).multiply_adds / 1000 / images)
    return found[0], found[1]


@pytest.mark.parametrize(
    ("recipe", "changes", "g", "d"),
    [
        # G: forward, and twice that backward; D: two images forward and backward (6), then forward and through it (2).
        ("s2-dcgan", {}, 3, 8),
        # Fresh z: one more forward pass of G.
        ("s3-mlp", {}, 4, 8),
        # G's step uses twice as many images.
        ("s1-mlp", {}, 1 + 2 * 3, 6 + 2 * 2),
        ("s2-dcgan", {"objective.players": "discriminator"}, 1, 6),
        ("s2-dcgan", {"objective.players": "generator"}, 3, 2),
        # Two more images forward and backward, and the real ones again in G's step.
        ("quick-mnist", {"budget.batch": 60}, 3, 4 * 3 + 3),
        # G learns once in five steps, from fresh z; the exact penalty costs about six.
        ("wgan-gp", {"budget.batch": 60}, 1 + 3 / 5, 6 + 6 + 2 / 5),
    ],
)
def test_what_a_step_costs(recipe: str, changes: dict[str, Any], g: float, d: float) -> None:
    assert list(passes(recipe, 60_000, **changes)) == pytest.approx([g, d])


def test_an_epoch_drops_or_keeps_its_last_batch() -> None:
    kept, dropped = genlab.show("s2-dcgan").cost, genlab.show("s2-dcgan", {"data.last_batch": "drop"}).cost
    assert (kept.steps, kept.images) == (469, 60_000)
    assert (dropped.steps, dropped.images) == (468, 59_904)
    assert kept.words == "an epoch: 469 steps, 60,000 images, about 2,893 billion multiply-adds"


def test_the_time_that_a_training_takes_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """The time follows from that of the run's kind of layer, convolutional or linear; None if nothing was measured."""
    milliseconds = {"convolution float32 contiguous": 10.0, "linear float32": 5.0}
    monkeypatch.setattr(calibrate, "known", lambda device: calibrate.Measured(device, 1, milliseconds, "measured"))
    for name, work, millisecond in (("s2-dcgan", "convolution", 10.0), ("s4-classifier", "linear", 5.0)):
        shown = genlab.show(name, {"engine.plan": "reference"})
        recipe = shown.recipe.model_copy(update={"engine": shown.recipe.engine.model_copy(update=REFERENCE)})
        networks = [asdict(network) for network in shown.networks]
        steps = Schedule.of(recipe, 60_000).total_steps
        passes = shown.cost.multiply_adds * recipe.budget.epochs / (3 * calibrate.WORK[work])
        expected = (passes * millisecond + steps * calibrate.STEP_MILLISECONDS) / 1000
        assert expected_seconds(recipe, networks, 60_000) == pytest.approx(expected)
    monkeypatch.setattr(calibrate, "known", lambda device: None)
    assert expected_seconds(recipe, networks, 60_000) is None


def test_the_multiply_adds_of_what_the_plan_times() -> None:
    for work, form in (("convolution", "convolution float32 contiguous"), ("linear", "linear float32")):
        with FlopCounterMode(display=False) as counter:
            calibrate._work(torch.device("cpu"), form)()
        # The first layer's input needs no gradient; a multiply-add is two operations.
        assert counter.get_total_flops() / 2 == pytest.approx(3 * calibrate.WORK[work], rel=0.25)
