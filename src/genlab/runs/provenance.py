"""What made a run: versions, machine, seed, data and the networks' layers, recorded with the run when it begins.

`split_of` loads a run's data again and refuses data other than what the run began with.
"""

from __future__ import annotations

import os
import platform
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from importlib import metadata
from typing import Any

import torch
from torch import Tensor, nn

from genlab import data
from genlab.data import Dataset, Split
from genlab.engine import threads
from genlab.engine.version import VERSION
from genlab.errors import DataError, UsageError, first_line
from genlab.families.base import Examples
from genlab.families.nets.describe import Description, describe
from genlab.families.registry import FAMILIES
from genlab.recipe import Recipe, files
from genlab.recipe.changes import base_of
from genlab.runs.open import OpenRun
from genlab.runs.record import DataFacts, Provenance, SplitFacts

SPLITS: tuple[Split, ...] = ("train", "test")


def provenance_of(
    recipe: Recipe,
    seed: int,
    dataset: Dataset,
    test: Dataset | None,
    described: list[Description],
    own: dict[str, str],
) -> Provenance:
    """What made a run, as far as it is known when the run begins."""
    facts: DataFacts = {
        "name": recipe.data.name,
        "split": dataset.split,
        "images": len(dataset),
        "fingerprint": dataset.fingerprint,
        "class_names": list(dataset.class_names),
        "test": split_facts(test),
    }
    if unseen := unseen_classes(dataset):
        facts["unseen"] = unseen
    found: Provenance = {
        "seed": seed,
        "started": now(),
        "versions": versions(),
        "machine": machine_of(recipe) if FAMILIES[recipe.family].own_loop else training_machine(recipe),
        "data": facts,
        "networks": [asdict(description) for description in described],
        "own": own,
        "recipe": files.to_dict(recipe),
        "seals": True,
        "id": secrets.token_hex(8),
    }
    if base := base_of(recipe.name):
        found["base"] = base
    return found


def unseen_classes(dataset: Dataset) -> list[str]:
    """Names of the classes without an image, as when a recipe takes a subset."""
    if dataset.labels is None:
        return []
    seen = set(dataset.labels.tolist())
    return [name for k, name in enumerate(dataset.class_names) if k not in seen]


def split_facts(test: Dataset | None) -> SplitFacts | None:
    """Facts to record about a test split, or None if the dataset has none."""
    return None if test is None else {"images": len(test), "fingerprint": test.fingerprint}


def split_of(run: OpenRun, split: Split) -> Dataset | None:
    """Split of the run's dataset, as it was when the run began; None if it has no test split.

    A test split that was not recorded (`test_is_recorded`) is taken as it is now.

    Raises:
        DataError: the dataset is not where it was, or was changed.
    """
    name = run.directory.trained_by().data.name
    try:
        found = data.load(name) if split == "train" else data.load_test(name)
    except DataError as error:
        if data_is_there(run):
            raise
        raise DataError(
            f"{str(error).partition(';')[0]}; if it was moved: genlab runs relocate {run.path} FILE"
        ) from None
    check_split(run, found, split)
    return found


def data_is_there(run: OpenRun) -> bool:
    """Whether anything exists where the run's dataset was; it may be another dataset."""
    name = run.directory.trained_by().data.name
    place = data.place_of(name)
    return place is None or place.exists()


def check_split(run: OpenRun, found: Dataset | None, split: Split) -> None:
    """Check that a split is the one that the run began with.

    Raises:
        DataError: it is a different one.
    """
    told = run.provenance["data"]
    if split == "test" and "test" not in told:
        return
    then = told if split == "train" else told["test"]
    before = None if then is None else then["fingerprint"]
    now = None if found is None else found.fingerprint
    if before != now:
        what = f"the {split} split of {told['name']}"
        hashes = f"sha256 {before[:12] if before else 'none'} -> {now[:12] if now else 'none'}"
        raise DataError(f"{what} is not the one that run {run.path.name} began with: {hashes}; put it back")


def test_is_recorded(run: OpenRun) -> bool:
    """Whether the run recorded the test split that it began with; older versions did not."""
    return "test" in run.provenance["data"]


def versions() -> dict[str, str]:
    """Versions of Python, genlab and the libraries that it computes with."""
    return {
        "python": platform.python_version(),
        "genlab": VERSION,
        **{name: metadata.version(name) for name in ("torch", "numpy")},
    }


def machine_of(recipe: Recipe) -> dict[str, Any]:
    """Facts about this machine, and what the recipe uses of it."""
    settings = recipe.engine
    return {
        "processor": threads.processor(),
        **threads.instructions(),
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "device": torch.cuda.get_device_name() if settings.device == "cuda" else settings.device,
        "threads": settings.threads,
        "precision": settings.precision,
    }


def training_machine(recipe: Recipe) -> dict[str, Any]:
    """Facts about this machine as a training of genlab uses it: it takes denormal numbers for 0 where it can."""
    return {**machine_of(recipe), "denormals": "flushed" if threads.can_flush() else "kept"}


def flushes_denormals(provenance: Mapping[str, Any]) -> bool:
    """Whether a run takes denormal numbers for 0; runs of older versions do not, so that they resume exactly."""
    return bool(provenance["machine"].get("denormals") == "flushed")


MATTERS = (
    "genlab",
    "torch",
    "numpy",
    "processor",
    "capability",
    "onednn_bfloat16",
    "limits",
    "denormals",
    "device",
    "threads",
    "precision",
)
"""Versions and machine facts that can change a bit of a result; Python itself and the number of cores cannot."""


def differences(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Differences in the facts that can change a bit of a result, each as "name old -> new".

    Args:
        then: a run's provenance, or its `versions` and `machine`. Runs of older versions lack some facts; these are
            not compared.
        now: the same facts for this machine: {"versions": versions(), "machine": training_machine(recipe)}.
    """
    before, after = ({**facts.get("versions", {}), **facts.get("machine", {})} for facts in (then, now))
    return [
        f"{name} {before[name] or 'none'} -> {after.get(name) or 'none'}"
        for name in MATTERS
        if name in before and before[name] != after.get(name)
    ]


def describe_networks(examples: Examples, made: Mapping[str, nn.Module]) -> list[Description]:
    """Layer tables of the networks, from running each on an example.

    Raises:
        UsageError: a custom network cannot be called as `genlab.families.nets` says.
    """
    described = []
    for name, (inputs, expected) in examples.items():
        shape = tuple(inputs[0].shape)
        call = f"{name}({'x' if len(shape) > 2 else 'z'}{', labels' if len(inputs) > 1 else ''})"
        told = f"a recipe like this calls {call} with {_shapes(inputs)}"
        try:
            described.append(describe(name, made[name], *inputs))
            given = tuple(_output(made[name], *inputs).shape)
        except (RuntimeError, TypeError, ValueError, AttributeError) as error:
            raise UsageError(f"the {name} cannot be run on {shape}: {first_line(error)}; {told}") from error
        if given != expected:
            hint = "; data.size sets the size of the images" if len(expected) > 2 else ""
            raise UsageError(f"the {name} turns {shape} into {given}; expected {expected}{hint}")
    return described


def _shapes(inputs: Sequence[Tensor]) -> str:
    """Arguments of a network, in words."""
    first = f"{'x' if inputs[0].dim() > 2 else 'z'} (N, {', '.join(map(str, inputs[0].shape[1:]))})"
    latent = "" if inputs[0].dim() > 2 else " (networks.latent sets its length)"
    return f"{first}{latent}" + (" and labels (N,), int64: it is conditional" if len(inputs) > 1 else "")


@torch.no_grad()
def _output(network: nn.Module, *arguments: Tensor) -> Tensor:
    """Output of a network in evaluation mode, or the first of several; the network's mode is restored."""
    training = network.training
    try:
        output = network.eval()(*arguments)
    finally:
        network.train(training)
    first: Tensor = output[0] if isinstance(output, tuple) else output
    return first


def now() -> str:
    """Current time as a label for people; nothing is computed from it."""
    return datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
