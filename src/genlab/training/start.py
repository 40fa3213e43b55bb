"""How a training begins: the recipe with its data, the new run, its first weights."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from genlab.data import Dataset, load_test
from genlab.data.preprocessing import as_tested
from genlab.engine import threads, waiting
from genlab.engine.files import check_text
from genlab.errors import UsageError
from genlab.families.base import CustomNetworks
from genlab.families.gan.losses import AdversarialLoss
from genlab.families.vae import model as vae
from genlab.recipe import GanRecipe, Recipe, VaeRecipe
from genlab.recipe.files import RecipeSource
from genlab.recipe.objectives import PENALTIES
from genlab.runs import checkpoint, sampling
from genlab.runs.directory import RunDirectory, check_name
from genlab.runs.open import OpenRun
from genlab.runs.provenance import describe_networks, provenance_of
from genlab.training.assemble import Assembly, assemble, prepare
from genlab.training.first_steps import FirstSteps, note_precision
from genlab.training.fit import Evaluator, Observer, fit

MakeEvaluator = Callable[[OpenRun], Evaluator | None]
"""What measures a run's images during training; None where its recipe asks for nothing."""
FindClassifier = Callable[[str, nn.Module], OpenRun]
"""(init_encoder_from, the encoder) -> the run of a classifier that it starts from."""


def start(
    recipe: RecipeSource,
    overrides: Mapping[str, Any],
    seed: int,
    root: Path,
    name: str | None,
    custom: CustomNetworks,
    objective: AdversarialLoss | None,
    observers: Sequence[Observer],
    evaluator: MakeEvaluator,
    classifier: FindClassifier,
) -> OpenRun:
    """Make a run and train it to its end; nothing is written before all of it was found to be in order.

    Args:
        evaluator: makes what measures the run's images during training.
        classifier: finds, or trains, the classifier that an encoder starts from.
    """
    settled, dataset = prepare(recipe, overrides)
    if not isinstance(seed, int) or isinstance(seed, bool) or not 0 <= seed < 2**63:
        raise UsageError(f"seed is {seed!r}; allowed: a whole number, 0 .. 2^63 - 1")
    if objective is not None and not isinstance(objective, AdversarialLoss):
        raise UsageError(f"objective is a {type(objective).__name__}; expected genlab.AdversarialLoss")
    if objective is not None and settled.family != "gan":
        raise UsageError(f"an own objective is for GANs; {settled.name} is a {settled.family}, which would ignore it")
    assembly = assemble(settled, dataset, seed, custom)
    watch = FirstSteps(settled.engine, assembly.recipe.engine, assembly.convolutional)
    settled = assembly.recipe
    if isinstance(settled, GanRecipe):
        _note_rounding(settled)
        _note_unbounded(settled)
    check_name(name, root, settled)
    source = None
    if isinstance(settled, VaeRecipe) and settled.init_encoder_from:
        source = classifier(settled.init_encoder_from, assembly.networks["encoder"])
        check_text(source.path.resolve(), "init_encoder_from")
        settled = settled.model_copy(update={"init_encoder_from": str(source.path.resolve())})
        warm_start(assembly.networks["encoder"], source, settled)
        assembly = replace(assembly, recipe=settled)
    parts = {**custom, **({"objective": objective} if objective else {})}
    described = describe_networks(assembly.family.examples(settled, len(dataset.class_names)), assembly.networks)
    told = {k: type(v).__name__ for k, v in parts.items()}
    test = load_test(settled.data.name)
    provenance = provenance_of(settled, seed, dataset, test, described, told)
    if source:
        provenance["encoder_from"] = {"run": str(source.path.resolve()), "step": source.status["step"]}
    run = OpenRun(RunDirectory.create(root, settled, seed, provenance, name).path, custom)
    with run.locked():
        train_in(run, assembly, test, objective, [*observers, watch], evaluator)
    return run


def _note_rounding(recipe: GanRecipe) -> None:
    """Say where bfloat16's rounding would outweigh a finite difference (docs/recipes/gan.md has the measurement)."""
    sigma, rounds = recipe.objective.sigma, recipe.engine.precision == "bfloat16"
    penalty = PENALTIES.get(recipe.objective.penalty)
    if rounds and penalty and penalty.by == "difference" and sigma is not None and sigma < 0.05:
        warnings.warn(
            f"objective.sigma {sigma:g} is small for bfloat16, whose rounding adds to the penalty; take "
            "--engine.precision float32 with it",
            stacklevel=4,
        )


def _note_unbounded(recipe: GanRecipe) -> None:
    """Say that nothing bounds the slope of a Wasserstein critic."""
    objective, D = recipe.objective, recipe.networks.discriminator
    bounded = objective.penalty != "none" or objective.clip or D.normalisation == "spectral"
    if objective.loss == "wasserstein" and objective.players != "generator" and not bounded:
        warnings.warn(
            "objective.loss wasserstein needs a bound on D's slope, and has none: the losses will run away; add "
            "--objective.clip 0.01, or --objective.penalty gradient-penalty --objective.lambda 10",
            stacklevel=4,
        )


def train_in(
    run: OpenRun,
    assembly: Assembly,
    test: Dataset | None,
    objective: AdversarialLoss | None,
    observers: Sequence[Observer],
    evaluator: MakeEvaluator,
    saved: checkpoint.Checkpoint | None = None,
) -> None:
    """Train in `run`, from the start or from a checkpoint."""
    recipe = assembly.recipe
    note_precision(recipe.engine)
    (run.path / "report.html").unlink(missing_ok=True)  # It tells of an earlier end, and is written last.
    model = assembly.model(objective)
    if recipe.logging.tensorboard:
        from genlab.training.tensorboard import TensorBoard

        observers = [*observers, TensorBoard()]
    usable = as_tested(recipe, test) if recipe.validates else None
    if recipe.engine.device == "cpu" and torch.get_num_threads() > 1:
        waiting.check()
    with threads.pinned():
        fit(model, assembly.dataset, run, recipe, assembly.keyed, observers, saved, usable, evaluator(run))


def warm_start(encoder: nn.Module, source: OpenRun, recipe: Recipe) -> None:
    """Give an encoder the body of a classifier's run (report S4)."""
    network = sampling.load_network(source, "classifier")
    vae.start_encoder(encoder, network.state_dict(), source.path.name)
    if source.recipe.data.name != recipe.data.name:
        warnings.warn(
            f"the encoder starts from {source.path.name}, a classifier of {source.recipe.data.name}, not of "
            f"{recipe.data.name}",
            stacklevel=5,
        )
