"""A recipe's fields on the command line: taking them off it, and finding what an incomplete one means."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from itertools import takewhile
from typing import Any

from genlab.errors import GenlabError, UsageError

WITH_FIELDS = ("train", "fork", "show", "search", "study new")
"""The commands that take a recipe's fields as flags."""
TOP_LEVEL = ("augmentation", "ema", "init-encoder-from")
"""The fields of a recipe that are set as a whole and have no dot."""
TEXTS = ("data.name", "data.classes", "init-encoder-from", "init_encoder_from")
"""The fields whose values are names."""
MEANT = {
    "learning_rate": "lr",
    "beta1": "betas",
    "beta2": "betas",
    "beta": "betas",
    "b1": "betas",
    "b2": "betas",
    "batch_size": "batch",
    "bs": "batch",
    "steps": "max_steps",
    "iterations": "max_steps",
    "iters": "max_steps",
    "n_iter": "max_steps",
    "latent_dim": "latent",
    "z_dim": "latent",
    "nz": "latent",
    "dataset": "data.name",
    "data": "data.name",
    "image_size": "data.size",
    "img_size": "data.size",
    "optimizer": "name",
    "optimiser": "name",
    "optim": "name",
    "wd": "weight_decay",
    "gp": "penalty",
    "gp_lambda": "lambda",
    "num_threads": "threads",
    "warmup": "warmup_steps",
    "amp": "precision",
}
"""Names of fields in other programs, and their names here."""


def take(tokens: list[str]) -> tuple[list[str], dict[str, Any]]:
    """Split off the recipe's fields: --section.field VALUE, --section.field=VALUE, or several numbers for a list;
    values are read as YAML."""
    words = next((n for n in (1, 2) if " ".join(tokens[:n]) in WITH_FIELDS), 0)
    if not words:
        return tokens, {}
    rest, overrides, queue = tokens[:words], {}, tokens[words:]
    while queue:
        token = queue.pop(0)
        flag, equals, value = token.removeprefix("--").partition("=")
        if not token.startswith("--") or ("." not in flag and flag not in TOP_LEVEL):
            rest.append(token)
            continue
        if not equals:
            if not queue or queue[0].startswith("--"):
                raise UsageError(f"--{flag} needs a value, as in --{flag} VALUE")
            value = queue.pop(0)
        more = list(takewhile(_is_number, queue)) if _is_number(value) else []
        del queue[: len(more)]
        read = _read_text if flag in TEXTS else _read
        overrides[flag.replace("-", "_")] = read(f"[{', '.join([value, *more])}]" if more else value)
    return rest, overrides


def _read_text(value: str) -> Any:
    """Text as typed, also where YAML reads it as something else (yes, 2024); [a, b] is a list of texts."""
    import yaml

    if value in ("null", "~"):
        return None
    if not (value.startswith("[") and value.endswith("]")):
        return value.strip("'\"")
    try:
        return yaml.load(value, Loader=yaml.BaseLoader)
    except yaml.YAMLError:
        return value


def _is_number(token: str) -> bool:
    try:
        float(token)
    except ValueError:
        return False
    return True


def _read(value: str) -> Any:
    """A value as YAML reads it, if that is a number, a list or the like; else the text as typed."""
    import yaml

    if "," in value and all(map(_is_number, value.split(","))):
        value = f"[{value}]"
    try:
        read = yaml.safe_load(value)
    except (yaml.YAMLError, ValueError, RecursionError):
        return value.strip("'\"")
    if isinstance(read, str) and _is_number(read):  # YAML 1.1 reads 2e-4 as text.
        return float(read)
    plain = read is None or isinstance(read, bool | int | float | list | dict)
    return read if plain else value.strip("'\"")


def meant(flag: str, tokens: Sequence[str]) -> str | None:
    """What a flag of `genlab train` without a path may stand for: fields of the recipe, or a section of it; None if it
    is neither.

    Args:
        tokens: the whole command; its recipe determines which fields there are.
    """
    word = flag.lstrip("-").partition("=")[0].replace("-", "_").lower()
    field = MEANT.get(word, word)
    known = list(_paths(tokens))
    found = [path for path in known if path == field or path.endswith(f".{field}")]
    if not found:
        last = mistyped(word, [path.rpartition(".")[2] for path in known])
        found = [path for path in known if last and path.endswith(f".{last}")]
    fields = [path for path in found if not _inside(path, known) and ("." in path or path in TOP_LEVEL)]
    if not fields:
        return _no_field(found, known)
    found = fields
    pairs = [path.replace(".generator.", ".both.") for path in found if ".generator." in path]
    both = [path for path in pairs if path.replace(".both.", ".discriminator.") in found]
    flags = [f"--{path}" for path in [*both, *found]]
    said = flags[0] if len(flags) == 1 else f"{', '.join(flags[:-1])} or {flags[-1]}"
    return f"the recipe's field is {said}" + (" (two numbers, as in 0.9 0.999)" if field == "betas" else "")


def _no_field(found: Sequence[str], known: Sequence[str]) -> str | None:
    """What sections, and the fields that no flag sets, are instead."""
    for path in found:
        if inside := _inside(path, known):
            return (
                f"{path} is a section; set its fields, as in --{inside[0]} VALUE (genlab show RECIPE --yaml lists them)"
            )
    return f"{found[0]} is set in a recipe's file (genlab show RECIPE --yaml prints one)" if found else None


def _inside(path: str, known: Sequence[str]) -> list[str]:
    """The fields of a section; empty if the path is that of a field."""
    inside = [each for each in known if each.startswith(f"{path}.")]
    return [each for each in inside if not any(other.startswith(f"{each}.") for other in inside)]


def mistyped(word: str, names: Sequence[str]) -> str | None:
    """The name that a word is a typo of; None if the word is merely similar to one."""
    return next(iter(difflib.get_close_matches(word, names, n=1, cutoff=0.8)), None)


def _paths(tokens: Sequence[str]) -> Iterator[str]:
    """Every path that may be set in the recipe that a command names, or in `quick-mnist` if it names none."""
    from genlab.recipe import FAMILIES
    from genlab.recipe.draft import paths
    from genlab.recipe.source import read

    given = tokens[2:] if tokens[:1] == ["study"] else tokens[1:]
    name = next((token for token in given if not token.startswith("-")), "quick-mnist")
    try:
        raw = read(name)[1]
        model = FAMILIES[str(raw.get("family"))]
    except (GenlabError, KeyError):
        raw = read("quick-mnist")[1]
        model = FAMILIES[str(raw["family"])]
    yield from paths(model, raw)
