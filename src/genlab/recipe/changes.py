"""How a recipe differs from the built-in recipe of its name: in full, and short enough for the name of a run."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import PurePath
from typing import Any

from genlab.recipe import BaseRecipe
from genlab.recipe.files import diff, dump, load, names

UNTOLD = ("engine.", "description")
"""Paths that each machine resolves anew, or that say nothing about what is trained."""
UNNAMED = "init_encoder_from"
"""Path that a run's name does not mention, but that sets two runs apart."""
LONGEST = 48
"""Maximum characters of a short form; changes that do not fit are counted."""
ALONE = ("name", "kind", "loss")
"""Fields whose value needs no field name beside it."""
OFF = "augmentation."
"""Section whose fields are off at 0, so that a change from null to 0 is not mentioned."""
WORDS = {"max_steps": "steps", "lambda": "lambda", "name": "data", UNNAMED: "encoder from"}
NETWORKS = {"generator": "g", "discriminator": "d", "encoder": "enc", "decoder": "dec", "classifier": ""}

Changes = Mapping[str, tuple[Any, Any]]


@cache
def base_of(name: str) -> str | None:
    """sha256 of the built-in recipe of that name, which shows whether the recipe has changed since a run began; None if
    there is no such recipe."""
    return hashlib.sha256(dump(_built_in(name)).encode()).hexdigest() if name in names() else None


@cache
def _built_in(name: str) -> BaseRecipe:
    return load(name)


def changes(recipe: BaseRecipe, base: str | None = None) -> dict[str, tuple[Any, Any]]:
    """Dotted path -> (built-in value, value of this recipe); empty if no built-in recipe has its name.

    Args:
        base: `base_of` its name when it was made; if the built-in recipe has changed since, the result is empty.
    """
    if recipe.name not in names() or base not in (None, base_of(recipe.name)):
        return {}
    found = diff(_built_in(recipe.name), recipe)
    return {path: values for path, values in found.items() if is_told(path)}


def short(found: Changes, words: bool = False) -> str:
    """Changes in a few characters for a file name, or as words separated by commas.

    >>> short({"optimisers.generator.lr": (2e-4, 1e-3), "optimisers.discriminator.lr": (2e-4, 1e-3)})
    'lr-0.001'
    >>> short({"optimisers.generator.betas": ([0.5, 0.999], [0.9, 0.999]), "objective.loss": ("relativistic", "hinge")})
    'beta1_g-0.9-hinge'
    >>> short({"budget.batch": (128, 64), "budget.epochs": (5, 9)}, words=True)
    'batch 64, epochs 9'
    """
    gap, between = (" ", ", ") if words else ("-", "-")
    parts: dict[str, list[str]] = {}
    for path, (old, new) in found.items():
        untold = path == UNNAMED and not words
        if untold or path.startswith("logging.") or (path.startswith(OFF) and not (old or new)):
            continue
        for word, value in _words(path, old, new):
            parts.setdefault(f"{word}\0{value}", []).append(_owner(path))
    said = []
    for key, owners in parts.items():
        word, value = key.split("\0")
        both = {"g", "d"} <= set(owners) or len(owners) > 1
        owner = "" if both or not owners[0] else f"_{owners[0]}"
        said.append(f"{word}{owner}{gap}{value}" if word else f"{value}{owner}")
    while len(between.join(said)) > LONGEST and len(said) > 1:
        said.pop()
    left = len(parts) - len(said)
    text = between.join(said)[:LONGEST] + (f"{between}and{gap}{left}{gap}more" if left else "")
    return text.strip("-._, ")


def apart(recipes: Sequence[BaseRecipe]) -> list[str]:
    """How each of several recipes differs from the others, in a few words; empty if it does not.

    >>> from genlab.recipe.files import load
    >>> apart([load("s2-dcgan"), load("s2-dcgan", {"budget.batch": 64})])
    ['batch 128', 'batch 64']
    """
    plain = [
        recipe.model_copy(update={UNNAMED: "classifier"}) if getattr(recipe, UNNAMED, None) else recipe
        for recipe in recipes
    ]  # Each seed starts from a run of its own.
    if len({recipe.name for recipe in recipes}) > 1:
        return [" ".join(filter(None, (recipe.name, short(changes(recipe), words=True)))) for recipe in plain]
    return [
        short({path: pair for other in plain for path, pair in diff(other, recipe).items() if is_told(path)}, True)
        for recipe in plain
    ]


def is_told(path: str) -> bool:
    """Whether a field says something about what is trained."""
    return not path.startswith(UNTOLD)


def _words(path: str, old: Any, new: Any) -> list[tuple[str, str]]:
    """(word, value) pairs for a changed field."""
    *sections, field = path.split(".")
    if field == "betas" and isinstance(new, list) and len(new) == 2:
        before = old if isinstance(old, list) and len(old) == 2 else [None, None]
        return [(f"beta{k + 1}", _safe(new[k])) for k in range(2) if new[k] != before[k]]
    if field == "max_steps" and new is None:
        return [("", _safe("all steps"))]
    if field in ALONE and new is not None:
        return [("", _safe(PurePath(str(new)).stem if sections == ["data"] else new))]
    return [(_safe(WORDS.get(field, field)), _safe(new))]


def _owner(path: str) -> str:
    """Short name of the network that a field belongs to; empty if there is only one or none."""
    if path.endswith((".ngf", ".ndf")):  # Only one network has this field.
        return ""
    return next((NETWORKS[part] for part in path.split(".") if part in NETWORKS), "")


def _safe(value: Any) -> str:
    """A value as part of a file name."""
    if value is None:
        return "none"
    if isinstance(value, list):
        return "-".join(map(_safe, value))
    text = f"{value:g}".replace("e-0", "e-") if isinstance(value, float) else str(value)
    return re.sub("[^a-z0-9._]+", "-", text.lower()).strip("-.") or "changed"
