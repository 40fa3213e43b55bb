"""Names of runs: what may be one on every system, and the next free one."""

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
"""Names of devices on Windows, with any extension: no file may be called so."""


LONGEST = 90
"""Characters of the longest path in a run: an event file of TensorBoard with the name of its machine."""


def stem_of(recipe: Recipe, seed: int, own: Iterable[str] = ()) -> str:
    """What a run is called, but for its number: the recipe, what was changed in it, which parts are the caller's own,
    the seed."""
    parts = (recipe.name, short(changes(recipe)), *(f"own-{part}" for part in own), f"seed{seed}")
    return "-".join(filter(None, parts))


def check_name(name: str | None, root: Path, recipe: Recipe | None = None) -> None:
    """See whether a run under `root` may be called so on every system; None: it is called after its recipe.

    Raises:
        UsageError: not the name of a directory everywhere, taken (in capitals or not), or under an unusable root.
    """
    check_text(root, "runs folder")
    if name is None and recipe is not None and _is_reserved(f"{recipe.name}-seed0-001"):
        raise UsageError(
            f"recipe name {recipe.name!r}: its runs would be called {recipe.name}-seed0-001, and Windows keeps such "
            "names for devices; change `name` in the recipe, or give --name"
        )
    if name is None:
        return
    if not NAME.fullmatch(name) or name.endswith("."):
        raise UsageError(
            f"run name {name[:100]!r}: use at most 100 letters, digits, '.', '_', '-', a letter or digit first, no "
            "'.' last"
        )
    if _is_reserved(name):
        raise UsageError(f"run name {name!r}: Windows keeps such names for devices; take another")
    with suppress(OSError):
        for there in os.listdir(root):
            if there.lower() == name.lower():
                raise _exists(root, there)


def _is_reserved(name: str) -> bool:
    return name.split(".")[0].lower() in RESERVED


def _exists(root: Path, name: str) -> UsageError:
    return UsageError(f"run {name!r} exists in {root}; choose another name, or: genlab train --resume {root / name}")


def _claim(root: Path, name: str | None, stem: str) -> Path:
    """Make the directory; two processes that ask at once get different ones."""
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
    """See whether the longest path in a new run is possible, as on Windows beyond 259 characters it may not be."""
    probe = path / ("x" * LONGEST)
    try:
        probe.touch()
        probe.unlink()
    except OSError as error:
        path.rmdir()
        if error.errno in (errno.ENAMETOOLONG, errno.ENOENT):
            raise UsageError(
                f"{path.parent}: too deep for the paths of a run's files; take another with --runs"
            ) from None
        raise
