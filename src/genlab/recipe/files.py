"""Recipes by name and as files: load, write, compare."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from genlab.recipe import BaseRecipe, Recipe, text
from genlab.recipe.draft import Draft
from genlab.recipe.source import RecipeSource, names, to_dict

__all__ = ["RecipeSource", "diff", "dump", "in_words", "load", "names", "overrides_at", "to_dict"]


def load(source: RecipeSource, overrides: Mapping[str, Any] | None = None) -> Recipe:
    """Recipe from `source` with dotted `overrides` ({"objective.loss": "hinge"}).

    Raises:
        UsageError: no such recipe, or a file that is not YAML.
        RecipeError: the recipe is invalid; names all problems at once.
    """
    return Draft(source, overrides).settle()


def dump(recipe: BaseRecipe, ascii: bool = False) -> str:
    """The complete recipe as YAML; `load` gives the same recipe back.

    Args:
        ascii: whether to escape every non-ASCII character.
    """
    return text.dump(to_dict(recipe), ascii)


def diff(old: BaseRecipe, new: BaseRecipe) -> dict[str, tuple[Any, Any]]:
    """Differences of two recipes: dotted path -> (old, new), with None for a side that lacks the path."""
    a, b = leaves(old), leaves(new)
    return {
        path: (a.get(path), b.get(path)) for path in [*a, *(p for p in b if p not in a)] if a.get(path) != b.get(path)
    }


def overrides_at(recipe: BaseRecipe, paths: Iterable[str]) -> dict[str, Any]:
    """Values of a recipe at dotted paths, as overrides that give them: a section that is off replaces its fields, and
    fields that the recipe does not have are left out.

    >>> overrides_at(load("s2-dcgan"), ["ema.decay", "ema.start", "budget.batch"])
    {'ema': None, 'budget.batch': 128}
    """
    tree = to_dict(recipe)
    found: dict[str, Any] = {}
    for path in paths:
        value: Any = tree
        parts = path.split(".")
        for k, part in enumerate(parts):
            if value is None:  # This section is off.
                found[".".join(parts[:k])] = None
                break
            if not isinstance(value, dict) or part not in value:
                break
            value = value[part]
        else:
            found[path] = value
    return found


def leaves(recipe: BaseRecipe) -> dict[str, Any]:
    """Dotted path -> value of each field of a recipe."""
    return dict(_leaves(to_dict(recipe)))


def in_words(changes: Mapping[str, tuple[Any, Any]]) -> str:
    """The result of `diff`, on one line."""
    return "; ".join(f"{path}: {text.spelled(old)} -> {text.spelled(new)}" for path, (old, new) in changes.items())


def _leaves(value: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _leaves(inner, f"{prefix}.{key}" if prefix else str(key))
    else:
        yield prefix, value
