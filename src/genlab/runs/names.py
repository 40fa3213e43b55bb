"""Names of runs: which are valid on every system, and the next free one."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from genlab.engine.files import check_text
from genlab.errors import StorageError, UsageError
from genlab.recipe import Recipe
from genlab.recipe.changes import changes, short

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


RESERVED = {"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(10))}
"""Names of Windows devices, which no file may have, whatever its extension."""


LONGEST = 90
"""Characters of the longest path in a run: a TensorBoard event file, whose name includes the machine's."""


def stem_of(recipe: Recipe, seed: int, own: Iterable[str] = ()) -> str:
    """Name of a run without its number: the recipe, what was changed in it, the custom parts and the seed."""
    parts = (recipe.name, short(changes(recipe)), *(f"own-{part}" for part in own), f"seed{seed}")
    return "-".join(filter(None, parts))


def check_name(name: str | None, root: Path, recipe: Recipe | None = None) -> None:
    """Check that a run under `root` may have this name on every system; None names it after its recipe.

    Raises:
        UsageError: the name is not valid on every system or is taken (whatever its case), or `root` is unusable.
    """
    check_text(root, "runs folder")
    if name is None and recipe is not None and _is_reserved(f"{recipe.name}-seed0-001"):
        raise UsageError(
            f"recipe name {recipe.name!r}: its runs would be called {recipe.name}-seed0-001, and Windows "
            "reserves such names for devices; change `name` in the recipe, or give --name"
        )
    if name is None:
        return
    if not NAME.fullmatch(name) or name.endswith("."):
        raise UsageError(
            f"run name {name[:100]!r}: use at most 100 letters, digits, '.', '_', '-'; start with a letter or digit, "
            "do not end with '.'"
        )
    if _is_reserved(name):
        raise UsageError(f"run name {name!r}: Windows reserves such names for devices; choose another")
    with suppress(OSError):
        for there in os.listdir(root):
            if there.lower() == name.lower():
                raise _exists(root, there)


def _is_reserved(name: str) -> bool:
    return name.split(".")[0].lower() in RESERVED


def _exists(root: Path, name: str) -> UsageError:
    return UsageError(
        f"run {name!r} already exists in {root}; choose another name, or: genlab train --resume {root / name}"
    )


def _claim(root: Path, name: str | None, stem: str) -> Path:
    """Create the run's directory; two processes that do so at the same time get different ones."""
    if name is not None:
        try:
            (root / name).mkdir()
        except FileExistsError:
            raise _exists(root, name) from None
        return root / name
    for number in range(1, 1_000_000):
        path = root / f"{stem}-{number:03d}"
        try:
            path.mkdir()
        except FileExistsError:
            continue
        return path
    raise StorageError(f"{root}: no free number for {stem}")


def _check_depth(path: Path) -> None:
    """Check that the longest path in a new run is possible; Windows may refuse one of more than 259 characters."""
    probe = path / ("x" * LONGEST)
    try:
        probe.touch()
        probe.unlink()
    except OSError as error:
        path.rmdir()
        if error.errno in (errno.ENAMETOOLONG, errno.ENOENT):
            raise UsageError(
                f"{path.parent}: nested too deeply for the paths of a run's files; choose another folder with --runs"
            ) from None
        raise
