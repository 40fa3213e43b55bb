"""Training runs that a page asks for: which fields there are, what is wrong with what was typed, how long they take."""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

import yaml

from genlab.data import Dataset, first, load
from genlab.engine.stages import about
from genlab.errors import GenlabError, RecipeError, UsageError
from genlab.recipe import Recipe, files
from genlab.recipe.draft import Draft
from genlab.recipe.schedule import Schedule
from genlab.runs.directory import RunDirectory
from genlab.runs.names import check_name
from genlab.training.assemble import expected_seconds, settle
from genlab.training.minutes import REACHED, is_foretold

SHORT = ("data.name", "budget.minutes", "budget.epochs")
"""The fields that every page shows; learning rates follow, and the rest of the schema is folded away."""
LONGEST = 200
"""Most characters of a value."""
FAILURES: Mapping[str, tuple[str, str, Mapping[str, Any]]] = {
    "learning rate too large": (
        "A learning rate a hundred times too large: the first steps throw the weights away.",
        "quick-mnist-unconditional",
        {"optimisers.both.lr": 0.4},
    ),
    "a discriminator that has won": (
        "D learns ten times as fast, and G's loss is flat where D is sure: no gradient reaches G.",
        "s2-dcgan",
        {"objective.loss": "saturating", "optimisers.discriminator.lr": 0.002, "budget.max_steps": 400},
    ),
    "a class that D is never told": (
        "G is given a class, D is not: nothing makes G draw the class that it is given.",
        "quick-mnist",
        {"networks.discriminator.kind": "dcgan", "networks.discriminator.normalise_first": False,
         "objective.classification": None},
    ),
    "a KL term that weighs too much": (
        "The KL term of a VAE weighs 500 times too much: the code carries no information, so all images are the same.",
        "s4-vae",
        {"objective.beta": 500.0, "objective.reconstruction": "sum", "objective.kl": "sum", "networks.latent": 8},
    ),
}  # fmt: skip
"""Known failures: what is wrong, the recipe, its changes."""
BRIEF: Mapping[str, Any] = {"budget.max_steps": 1200, "logging.evaluation": "cheap", "logging.sample_every": 100}
"""Further changes for a failure that is started to be watched: a minute or two."""


def recipes() -> list[dict[str, str]]:
    """Every recipe that comes with the package."""
    return [
        {"name": recipe.name, "description": recipe.description, "family": recipe.family}
        for recipe in map(files.load, files.names())
    ]


def failures() -> list[dict[str, Any]]:
    """The failures that can be started from a page."""
    return [
        {"name": name, "words": words, "recipe": recipe, "overrides": {**BRIEF, **changes}}
        for name, (words, recipe, changes) in FAILURES.items()
    ]


def fields(source: str | Path) -> list[dict[str, Any]]:
    """Every field of a recipe: path, value as typed, whether it is shown at the top, and the choices if only some words
    are allowed.

    Raises:
        UsageError: no such recipe.
    """
    recipe = files.load(source)
    leaves = files.leaves(recipe)
    rates = [path for path in leaves if path.endswith(".lr")]
    return [
        {
            "path": path,
            "value": typed(value),
            "short": path in SHORT or path in rates,
            "choices": _choices(recipe, path),
        }
        for path, value in leaves.items()
        if path not in ("schema", "name", "family", "description")
    ]


def _choices(recipe: Recipe, path: str) -> list[str] | None:
    """Allowed values of a field, as typed; None if it takes more than a few words. (The kind of a section has only its
    own word in each kind's fields, so it is typed.)"""
    *sections, name = path.split(".")
    section = reduce(getattr, sections, recipe)
    found: list[Any] = []
    kinds = [field.annotation for key, field in type(section).model_fields.items() if name in (key, field.alias)]
    while kinds:
        kind = kinds.pop(0)
        if get_origin(kind) is Literal:
            found += get_args(kind)
        elif get_origin(kind) in (Union, UnionType):
            kinds = [*get_args(kind), *kinds]
        elif kind is bool:
            found += [True, False]
        elif kind is NoneType:
            found.append(None)
        else:
            return None
    return [typed(value) for value in found] if len(found) > 1 else None


def typed(value: Any) -> str:
    """A value as it is written in a recipe."""
    if isinstance(value, str):
        return value
    return str(yaml.safe_dump(value, default_flow_style=True).removesuffix("\n...\n").strip())


def read(told: object) -> dict[str, Any]:
    """The overrides that a page sends, each value read as in a recipe.

    Raises:
        UsageError: anything other than paths and short texts.
    """
    if not isinstance(told, Mapping) or len(told) > 200:
        raise UsageError("changes: a field's path -> its value")
    found: dict[str, Any] = {}
    for path, value in told.items():
        if not isinstance(path, str) or len(path) > LONGEST:
            raise UsageError("changes: a field's path is short text")
        if isinstance(value, str):
            if len(value) > LONGEST:
                raise UsageError(f"{path}: at most {LONGEST} characters")
            try:
                value = yaml.safe_load(value)
            except (yaml.YAMLError, ValueError):  # An impossible date, say.
                raise UsageError(f"{path}: {value[:60]!r} cannot be read") from None
        if isinstance(value, Mapping):
            raise UsageError(f"{path}: a section is changed field by field")
        found[path] = value
    return found


def examined(source: str | Path, overrides: Mapping[str, Any], name: str | None, root: Path) -> dict[str, Any]:
    """What is wrong with a training run that is being set up, and how long it would take; nothing is trained.

    The dataset is read only if the rest is in order.

    Returns:
        `problems`: each with the field that it is about ("" if none). `expected`: its time here, in words; None if
        something is wrong.
    """
    found: list[str] = []
    expected = None
    try:
        draft = Draft(source, overrides)
        found += draft.problems
    except RecipeError as error:
        found += error.problems
    except GenlabError as error:
        return {"problems": [_placed(str(error).splitlines()[0])], "expected": None}
    if not found:
        try:
            expected = _expected(*settle(source, overrides, given=load))
        except RecipeError as error:
            found += error.problems
        except GenlabError as error:
            found.append(f"data.name: {str(error).splitlines()[0]}")
    told = [_placed(line) for line in found]
    try:
        check_name(name or None, root)
    except GenlabError as error:
        told.append({"path": "name", "words": str(error).splitlines()[0]})
    return {"problems": told, "expected": expected}


def _expected(recipe: Recipe, dataset: Dataset) -> str:
    """How many steps a run has, how long they take here and, if known, how good the images become."""
    if recipe.budget.minutes is not None:
        return f"{about(60 * recipe.budget.minutes).capitalize()}: as many steps as this machine can do in that time."
    steps = Schedule.of(recipe, len(first(dataset, recipe.data.subset))).total_steps
    seconds = expected_seconds(recipe, dataset)
    words = f"{steps:,} steps"
    if seconds is not None:
        words += f", {about(seconds)} on this machine if nothing else runs"
        if getattr(recipe.logging, "evaluation", None) == "full":
            words += ", plus the time to measure 10,000 images"
    if is_foretold(recipe):
        words += f"; expect a Frechet distance of {REACHED[recipe.name].itself:.2g} x that of real images"
    return f"{words}."


def _placed(line: str) -> dict[str, str]:
    """A problem with its field: messages begin with the path."""
    word = line.split(" ")[0].rstrip(":,;")
    return {"path": word if "." in word or word in ("ema", "augmentation") else "", "words": line}


def source_of(told: Mapping[str, Any], find: Any) -> str | Path:
    """The recipe that a page names: a built-in one, or a run's.

    Raises:
        UsageError: no such recipe, no such run.
    """
    recipe, run = told.get("recipe"), told.get("run")
    if isinstance(run, str):
        found: RunDirectory | None = find(run)
        if found is None:
            raise UsageError("no such run")
        return found.path / "recipe.yaml"
    if not isinstance(recipe, str) or recipe not in files.names():
        raise UsageError("no such recipe")
    return recipe
