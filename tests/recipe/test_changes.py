"""How a recipe differs from the built-in one of its name, in full and as part of a run's name."""

from __future__ import annotations

from typing import Any

import pytest

from genlab.recipe.changes import LONGEST, changes, short
from genlab.recipe.files import load

BOTH = ("generator", "discriminator")


def each(path: str, value: Any) -> dict[str, Any]:
    """The same change for both players."""
    return {path.format(player): value for player in BOTH}


@pytest.mark.parametrize(
    ("recipe", "given", "name"),
    [
        ("s2-dcgan", each("optimisers.{}.betas", [0.9, 0.999]), "beta1-0.9"),
        ("s2-dcgan", {"optimisers.generator.betas": [0.5, 0.9]}, "beta2_g-0.9"),
        ("s2-dcgan", each("optimisers.{}.lr", 1e-3), "lr-0.001"),
        ("s2-dcgan", {"optimisers.discriminator.lr": 1e-5}, "lr_d-1e-5"),
        ("s2-dcgan", {"networks.generator.ngf": 48, "networks.discriminator.ndf": 16}, "ngf-48-ndf-16"),
        ("s2-dcgan", {"budget.max_steps": 100, "budget.batch": 64}, "batch-64-steps-100"),
        ("s2-dcgan", {"data.name": "fashion-mnist"}, "fashion-mnist"),
        ("s2-dcgan", {"data.name": "/some/where/My Digits.npz"}, "my-digits"),
        ("s4-vae", {"objective.beta": 4}, "beta-4"),
        ("s2-dcgan", {"logging.metrics_every": 7, "engine.threads": 1}, ""),
        ("s2-dcgan", {}, ""),
        ("s2-dcgan", {"augmentation": {"translation": 0.125, "cutout": 0.5}}, "translation-0.125-cutout-0.5"),
        ("judge-mnist", {"augmentation.noise": 0}, "noise-0"),
    ],
)
def test_what_was_changed_as_a_part_of_a_name(recipe: str, given: dict[str, Any], name: str) -> None:
    assert short(changes(load(recipe, given))) == name


def test_values_are_given_with_what_they_were() -> None:
    found = changes(load("s2-dcgan", {"budget.batch": 64, "engine.threads": 1, "logging.metrics_every": 7}))
    assert found == {"budget.batch": (128, 64), "logging.metrics_every": (20, 7)}
    assert changes(load("s2-dcgan", {"budget.batch": 64}).model_copy(update={"name": "mine"})) == {}


def test_many_changes_are_counted() -> None:
    given = {
        **each("optimisers.{}.lr", 3e-4),
        **each("optimisers.{}.betas", [0.1, 0.2]),
        "budget.batch": 64,
        "budget.epochs": 7,
        "budget.max_steps": 500,
        "networks.latent": 20,
        "networks.generator.ngf": 24,
    }
    name = short(changes(load("s2-dcgan", given)))
    assert len(name) <= LONGEST + len("-and-9-more")
    said, _, left = name.removesuffix("-more").rpartition("-and-")
    words = ("lr-", "beta1-", "beta2-", "batch-", "epochs-", "steps-", "latent-", "ngf-")
    assert sum(word in said for word in words) + int(left) == len(words)
