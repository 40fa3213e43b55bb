"""Sources of a recipe, read as plain values: a built-in name, a YAML file, a mapping, or a recipe."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from genlab.errors import UsageError, unknown
from genlab.recipe import BaseRecipe
from genlab.recipe.text import parse

RecipeSource = str | Path | Mapping[str, Any] | BaseRecipe
"""A built-in recipe's name, a YAML file, a mapping in the same form, or a recipe."""


MAX_BYTES = 1_000_000


def names() -> list[str]:
    """Names of the built-in recipes, those called `quick-...` first."""
    found = [Path(entry.name).stem for entry in _folder().iterdir() if entry.name.endswith(".yaml")]
    return sorted(found, key=lambda name: (not name.startswith("quick-"), name))


def to_dict(recipe: BaseRecipe) -> dict[str, Any]:
    """The complete recipe as plain values, with the order and the names of the file."""
    plain: dict[str, Any] = recipe.model_dump(mode="json", by_alias=True)
    first = (
        "schema",
        "name",
        "description",
        "family",
        "data",
        "augmentation",
        "networks",
        "init_encoder_from",
        "objective",
    )
    then = ("optimisers", "optimiser", "ema", "budget")
    return {key: plain[key] for key in (*first, *then, *plain) if key in plain}


def read(source: RecipeSource) -> tuple[str, dict[str, Any]]:
    """Name of the recipe in messages, and its plain values.

    Raises:
        UsageError: no such recipe, or a file that is not YAML.
    """
    if isinstance(source, BaseRecipe):
        return source.name, to_dict(source)
    if isinstance(source, Mapping):
        return str(source.get("name", "(mapping)")), copy.deepcopy(dict(source))
    text = str(source)
    if text in names():
        return text, copy.deepcopy(_builtin(text))
    path = Path(text)
    if instead := _instead(path):
        raise UsageError(f"{text} is not a recipe; {instead}")
    if path.suffix not in (".yaml", ".yml") and len(path.parts) < 2:
        raise UsageError(f"{unknown('recipe', text, names())}. For your own recipe, give the path of its .yaml file.")
    found = read_text(path, "recipe", f"Built-in recipes: {', '.join(names())}")
    return text, parse(found, text)


def _instead(path: Path) -> str:
    """What to do with a folder or file that is there but is not a recipe; empty if there is none."""
    try:
        if path.suffix in (".yaml", ".yml") or not path.exists():
            return ""
        if (path / "recipe.yaml").exists():
            return f"it is a run: genlab train --resume {path} continues it, {path / 'recipe.yaml'} is its recipe"
        return f"to train on its images: genlab train quick --data {path}" if path.is_dir() or path.is_file() else ""
    except (OSError, ValueError):  # Too long for the disk, or with a NUL.
        return ""


def read_text(path: Path, kind: str, instead: str) -> str:
    """The text of a recipe's or a study's file.

    Args:
        kind, instead: what it is, and what to suggest if it cannot be read.

    Raises:
        UsageError: no such file, not a regular file, too large, or not UTF-8 text.
    """
    try:
        if path.exists() and not path.is_file():  # A device or pipe may never end.
            raise UsageError(f"{kind} {path}: not a file")
        if path.stat().st_size > MAX_BYTES:
            raise UsageError(f"{kind} {path}: larger than {MAX_BYTES:,} bytes, the limit for a {kind}")
        return path.read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(f"{kind} {path}: not UTF-8 text (byte {error.start})") from None
    except OSError as error:
        raise UsageError(f"{kind} {path}: {error.strerror}. {instead}") from None


@cache
def _builtin(name: str) -> dict[str, Any]:
    """A built-in recipe's plain values, parsed once per process: a check of many overrides reads it for each."""
    return parse((_folder() / f"{name}.yaml").read_text("utf-8"), name)


def _folder() -> Any:
    return resources.files("genlab.recipe") / "builtin"
