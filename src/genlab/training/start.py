"""How a training begins: the recipe with its data, the new run, its first weights."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from genlab.data import Dataset, load_test
from genlab.data.preprocessing import as_tested
from genlab.engine import threads, waiting
from genlab.engine.console import note
from genlab.engine.files import check_text
from genlab.errors import UsageError, check_seed
from genlab.families.base import CustomNetworks, WarmStart
from genlab.families.gan.losses import AdversarialLoss
from genlab.families.registry import FAMILIES
from genlab.recipe import Recipe
from genlab.recipe.source import RecipeSource
from genlab.runs import checkpoint, sampling
from genlab.runs.directory import RunDirectory
from genlab.runs.names import check_name
from genlab.runs.open import OpenRun
from genlab.runs.provenance import describe_networks, flushes_denormals, provenance_of
from genlab.runs.record import Provenance
from genlab.training.assemble import Assembly, assemble, settle, used_by
from genlab.training.first_steps import FirstSteps, note_precision
from genlab.training.fit import Evaluator, fit
from genlab.training.minutes import Pace, Resolved, foretold, is_foretold, resolved
from genlab.training.remarks import remarks

MakeEvaluator = Callable[[OpenRun], Evaluator | None]
"""(run) -> evaluator of its images during training, or None if its recipe asks for none."""
Check = Callable[[Mapping[str, Tensor], str], None]
"""(a classifier's tensors, its name): raises a UsageError if a network cannot start from them."""
FindClassifier = Callable[[str, Check], OpenRun]
"""(requested run or recipe, check) -> the run of the classifier that a network starts from."""


def start(
    recipe: RecipeSource,
    overrides: Mapping[str, Any],
    seed: int,
    root: Path,
    name: str | None,
    custom: CustomNetworks,
    objective: AdversarialLoss | None,
    observers: Sequence[object],
    evaluator: MakeEvaluator,
    classifier: FindClassifier,
    foretell: bool,
) -> OpenRun:
    """Create a run and train it to its end; nothing is written before everything has been checked.

    Args:
        evaluator: function that makes the evaluator of the run's images during training.
        classifier: function that finds, or trains, the classifier that an encoder starts from.
        foretell: whether to time a few steps of a recipe with known results and announce what it will reach.
    """
    check_seed(seed)
    settled, whole, budget = _settled(recipe, overrides, custom, objective)
    dataset = used_by(settled, whole)
    said = list(remarks(settled, whole, dataset))
    _check_objective(objective, settled)
    assembly = assemble(settled, dataset, seed, custom)
    watch = FirstSteps(settled.engine, assembly.recipe.engine, assembly.convolutional)
    settled = assembly.recipe
    for caution in (*said, *assembly.family.cautions(settled)):
        warnings.warn(caution, stacklevel=3)
    check_name(name, root, settled)
    source = None
    warm = assembly.family.warm_start
    if warm and (asked := warm.asked(settled)):
        source = classifier(asked, partial(warm.check, assembly.networks[warm.network]))
        check_text(source.path.resolve(), warm.field)
        settled = settled.model_copy(update={warm.field: str(source.path.resolve())})
        start_warm(warm, assembly, source)
        assembly = replace(assembly, recipe=settled)
    described = describe_networks(assembly.family.examples(settled, len(dataset.class_names)), assembly.networks)
    parts = {**custom, **({"objective": objective} if objective else {})}
    test = load_test(settled.data.name)
    _check_range(assembly, custom, len(dataset.class_names))
    if foretell and not parts and is_foretold(settled):
        note(foretold(settled, whole))
    provenance = provenance_of(settled, seed, dataset, test, described, {k: type(v).__name__ for k, v in parts.items()})
    if budget:
        provenance["minutes"] = budget.facts
    _note_beginning(provenance, source, assembly.networks if custom or source else {})
    run = OpenRun(RunDirectory.create(root, settled, seed, provenance, name).path, custom)
    with run.directory.locked():
        pace = [Pace(budget.facts)] if budget else []
        train_in(run, assembly, test, objective, [*observers, watch, *pace], evaluator)
    return run


def _note_beginning(provenance: Provenance, source: OpenRun | None, networks: Mapping[str, nn.Module]) -> None:
    """Record the classifier that an encoder starts from, and which initial weights a seed alone does not give."""
    if source:
        provenance["encoder_from"] = {"run": str(source.path.resolve()), "step": source.directory.step_of_weights()}
    if networks:
        provenance["initial_weights"] = digest_of(networks)


def _settled(
    source: RecipeSource, overrides: Mapping[str, Any], custom: CustomNetworks, objective: AdversarialLoss | None
) -> tuple[Recipe, Dataset, Resolved | None]:
    """Recipe, its dataset, and what its minutes were resolved to, or None if it sets none."""
    recipe, whole = settle(source, overrides)
    if recipe.budget.minutes is None:
        return recipe, whole, None
    budget = resolved(source, overrides, recipe, whole, custom, objective)
    note(budget.words)
    return *settle(source, budget.overrides), budget


def train_in(
    run: OpenRun,
    assembly: Assembly,
    test: Dataset | None,
    objective: AdversarialLoss | None,
    observers: Sequence[object],
    evaluator: MakeEvaluator,
    saved: checkpoint.Checkpoint | None = None,
) -> None:
    """Train in `run`, from the start or from a checkpoint."""
    recipe = assembly.recipe
    note_precision(recipe.engine)
    (run.path / "report.html").unlink(missing_ok=True)  # It describes an earlier end, and is written last.
    model = assembly.model(objective)
    measured = evaluator(run)
    if recipe.logging.tensorboard:
        from genlab.training.tensorboard import TensorBoard

        observers = [*observers, TensorBoard(measured.columns if measured else ())]
    usable = as_tested(recipe, test) if recipe.validates else None
    if recipe.engine.device == "cpu" and torch.get_num_threads() > 1:
        waiting.check()
    with threads.of_training(flushes_denormals(run.provenance)):
        fit(model, assembly.dataset, run.directory, recipe, assembly.keyed, observers, saved, usable, measured)


def digest_of(networks: Mapping[str, nn.Module]) -> str:
    """sha256 of all weights of some networks."""
    digest = hashlib.sha256()
    for name, network in sorted(networks.items()):
        for key, value in network.state_dict().items():
            digest.update(f"{name}.{key}".encode())
            content: Any = value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy()
            digest.update(content.data)
    return digest.hexdigest()


def moved_from(networks: Mapping[str, nn.Module], provenance: Provenance) -> list[str]:
    """Whether weights that only the beginning of a run had are no longer the same: own networks are trained in place,
    and the classifier that an encoder began with may have been trained further."""
    then = provenance.get("initial_weights")
    return ["initial weights"] if then is not None and then != digest_of(networks) else []


def start_warm(warm: WarmStart, assembly: Assembly, source: OpenRun) -> None:
    """Load the weights of a classifier's run into a network."""
    network = sampling.load_network(source, "classifier")
    warm.start(assembly.networks[warm.network], network.state_dict(), source.path.name)
    theirs, ours = source.recipe.data.name, assembly.recipe.data.name
    if theirs != ours:
        warnings.warn(
            f"the {warm.network} starts from {source.path.name}, a classifier of {theirs}, not of {ours}",
            stacklevel=5,
        )


@torch.no_grad()
def _check_range(assembly: Assembly, custom: CustomNetworks, classes: int) -> None:
    """Warn if a custom network makes images that are out of range from the start."""
    sampling = assembly.family.sampling
    if sampling is None or sampling.network not in custom:
        return
    (z, *told), _ = assembly.family.examples(assembly.recipe, classes)[sampling.network]
    network = custom[sampling.network]
    noise = torch.randn(z.shape, generator=torch.Generator().manual_seed(0)).to(
        next(iter(network.parameters()), z).device
    )
    training = network.training
    made = network.eval()(noise, *(value.to(noise.device) for value in told))
    network.train(training)
    low, high = made.min().item(), made.max().item()
    if low < -1.01 or high > 1.01:
        warnings.warn(
            f"the {sampling.network} makes values from {low:.3g} to {high:.3g}; images lie in [-1, 1], and values "
            "outside are clipped when it is sampled (end with torch.nn.Tanh)",
            stacklevel=5,
        )


def _check_objective(objective: object, recipe: Recipe) -> None:
    kind = FAMILIES[recipe.family].objective
    if objective is not None and kind is None:
        raise UsageError(
            f"a custom objective is only for GANs; {recipe.name} is a {FAMILIES[recipe.family].called}, which would "
            "ignore it"
        )
    if objective is not None and kind is not None and not isinstance(objective, kind):
        raise UsageError(f"objective is a {type(objective).__name__}; expected genlab.{kind.__name__}")
    check = FAMILIES[recipe.family].check_objective
    if objective is not None and check is not None:
        check(objective, recipe)
