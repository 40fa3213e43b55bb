"""The classifier that a VAE's encoder starts from (report S4): an existing run, or one that is trained first."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

from genlab.errors import UsageError, unknown
from genlab.families.registry import FAMILIES
from genlab.recipe import Recipe, files
from genlab.runs.directory import RunDirectory
from genlab.runs.earlier import earlier, readable
from genlab.runs.open import OpenRun
from genlab.training.assemble import assemble, prepare
from genlab.training.start import Check

Train = Callable[..., OpenRun]
"""(recipe, seed=...) -> its finished run."""


def classifier_of(given: str, check: Check, seed: int, root: Path, train: Train) -> OpenRun:
    """Run that an encoder starts from: the one with this path or name, else the newest finished run of the built-in
    recipe of this name, unchanged and with this seed. If there is none, one is trained, provided that its layers fit.

    Args:
        check: function that compares a classifier's layers with the encoder's.

    Raises:
        UsageError: `given` is neither a run nor a recipe of a classifier, or its layers do not fit.
    """
    try:
        run = OpenRun(RunDirectory.open(given, root).path)
    except UsageError:
        if given not in files.names():
            known = [run.path.name for run in readable(root) if _names(run.trained_by())]
            raise UsageError(
                f"init_encoder_from: {unknown('run or recipe', given, [*known, 's4-classifier'])} (in {root})"
            ) from None
        run = _trained_before(given, seed, root) or _trained_now(given, check, seed, root, train)
    if not _names(run.recipe):
        raise UsageError(
            f"init_encoder_from: {run.path.name} is a {FAMILIES[run.recipe.family].called}; a classifier is needed"
        )
    return run


def _names(recipe: Recipe) -> bool:
    """Whether a recipe is of a classifier."""
    return FAMILIES[recipe.family].naming is not None


def _trained_before(name: str, seed: int, root: Path) -> OpenRun | None:
    found = earlier(files.load(name), seed, ("finished",), root)
    return None if found is None else OpenRun(found)


def _trained_now(name: str, check: Check, seed: int, root: Path, train: Train) -> OpenRun:
    settled, dataset = prepare(name, {})
    if not _names(settled):
        raise UsageError(f"init_encoder_from: {name} is a {FAMILIES[settled.family].called}; a classifier is needed")
    check(assemble(settled, dataset, seed).networks["classifier"].state_dict(), name)
    warnings.warn(
        f"no finished run of {name}, unchanged and with seed {seed}, in {root}; training it first", stacklevel=6
    )
    return train(name, seed=seed)
