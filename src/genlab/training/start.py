"""How a training begins: the recipe with its data, the new run, its first weights; and what is made once it is over."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from torch import nn

from genlab.api.run import Run, as_tested, fitted
from genlab.data import BUILTIN, Dataset, load_test
from genlab.data import first as first_images
from genlab.data import load as load_data
from genlab.engine import device, signals, threads
from genlab.engine.files import check_text
from genlab.engine.randomness import Keyed
from genlab.errors import DataError, GenlabError, UsageError, unknown
from genlab.evaluation.live import Watch
from genlab.families.base import FAMILIES, Own
from genlab.families.gan.losses import AdversarialLoss
from genlab.families.vae import model as vae
from genlab.recipe import GanRecipe, Recipe, SampleLogging, VaeRecipe, files
from genlab.recipe.files import RecipeSource
from genlab.recipe.gan import FINITE_DIFFERENCES
from genlab.runs import checkpoint, sampling
from genlab.runs.directory import RunDirectory, check_name, list_runs
from genlab.runs.provenance import describe_networks, provenance_of
from genlab.training.first_steps import FirstSteps, note_precision
from genlab.training.fit import Observer, Plan, fit


def prepare(source: RecipeSource, overrides: Mapping[str, Any]) -> tuple[Recipe, Dataset]:
    """The recipe and its dataset in the recipe's size, every problem of both named at once."""
    draft = files.Draft(source, overrides)
    dataset = None
    if draft.data is not None:
        try:
            dataset = load_data(draft.data.name)
        except DataError as error:
            if not draft.problems:
                raise
            draft.problems.append(str(error))
        else:
            draft.against(len(dataset), dataset.side, dataset.channels, len(dataset.class_names))
    settled = draft.settle()
    assert dataset is not None
    if settled.data.name not in BUILTIN:
        # The run must find its data again from anywhere.
        path = Path(settled.data.name).resolve()
        check_text(path, "dataset")
        data = settled.data.model_copy(update={"name": str(path)})
        settled = settled.model_copy(update={"data": data})
    return settled, fitted(first_images(dataset, settled.data.subset), settled)


def start(
    recipe: RecipeSource,
    overrides: Mapping[str, Any],
    seed: int,
    root: Path,
    name: str | None,
    own: Own,
    objective: AdversarialLoss | None,
    observers: Sequence[Observer],
) -> Run:
    """Make a run and train it to its end; nothing is written before all of it was found to be in order."""
    settled, dataset = prepare(recipe, overrides)
    if not isinstance(seed, int) or isinstance(seed, bool) or not 0 <= seed < 2**63:
        raise UsageError(f"seed is {seed!r}; allowed: a whole number, 0 .. 2^63 - 1")
    if objective is not None and not isinstance(objective, AdversarialLoss):
        raise UsageError(f"objective is a {type(objective).__name__}; expected genlab.AdversarialLoss")
    if objective is not None and settled.family != "gan":
        raise UsageError(f"an own objective is for GANs; {settled.name} is a {settled.family}, which would ignore it")
    family = FAMILIES[settled.family]
    classes = len(dataset.class_names)
    made = family.networks(settled, classes, Keyed(seed), own, ())
    convolutional = device.convolves(made.values())
    resolved = device.resolve(settled.engine, family.mergeable(made), convolutional)
    watch = FirstSteps(settled.engine, resolved, convolutional)
    settled = settled.model_copy(update={"engine": resolved})
    if isinstance(settled, GanRecipe):
        _note_rounding(settled)
        _note_unbounded(settled)
    check_name(name, root, settled)
    source = None
    if isinstance(settled, VaeRecipe) and settled.init_encoder_from:
        source = _classifier(settled.init_encoder_from, made["encoder"], seed, root, observers)
        check_text(source.path.resolve(), "init_encoder_from")
        settled = settled.model_copy(update={"init_encoder_from": str(source.path.resolve())})
        warm_start(made["encoder"], source, settled)
    parts = {**own, **({"objective": objective} if objective else {})}
    described = describe_networks(family.examples(settled, classes), made)
    told = {k: type(v).__name__ for k, v in parts.items()}
    test = load_test(settled.data.name)
    provenance = provenance_of(settled, seed, dataset, test, described, told)
    if source:
        provenance["encoder_from"] = {"run": str(source.path.resolve()), "step": source.status["step"]}
    run = Run(RunDirectory.create(root, settled, seed, provenance, name).path, own)
    with run.locked():
        train_in(run, dataset, test, made, objective, [*observers, watch])
    return run


def _note_rounding(recipe: GanRecipe) -> None:
    """Say where bfloat16's rounding would outweigh a finite difference (docs/recipes/gan.md has the measurement)."""
    sigma, rounds = recipe.objective.sigma, recipe.engine.precision == "bfloat16"
    if rounds and recipe.objective.penalty in FINITE_DIFFERENCES and sigma is not None and sigma < 0.05:
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
    run: Run,
    dataset: Dataset,
    test: Dataset | None,
    made: dict[str, nn.Module],
    objective: AdversarialLoss | None,
    observers: Sequence[Observer],
    saved: checkpoint.Checkpoint | None = None,
) -> None:
    """Train in `run`, whose recipe is resolved, from the start or from a checkpoint."""
    recipe = run.recipe
    note_precision(recipe.engine)
    (run.path / "report.html").unlink(missing_ok=True)  # It tells of an earlier end; `finish` writes it last.
    keyed = Keyed(run.provenance["seed"])
    plan = Plan.of(recipe, len(dataset))
    model = FAMILIES[recipe.family].model(recipe, made, device.start(recipe.engine), keyed, plan.total_steps, objective)
    if recipe.logging.tensorboard:
        from genlab.training.tensorboard import TensorBoard

        observers = [*observers, TensorBoard()]
    evaluates = FAMILIES[recipe.family].evaluates
    usable = as_tested(recipe, test) if evaluates else None
    if recipe.engine.device == "cpu" and torch.get_num_threads() > 1:
        threads.check_waiting()
    with threads.pinned():
        fit(model, dataset, run, recipe, keyed, observers, saved, usable, _watch(run, recipe))


def _watch(run: Run, recipe: Recipe) -> Watch | None:
    """The cheap evaluation, where the recipe asks for it."""
    if not isinstance(recipe.logging, SampleLogging) or recipe.logging.evaluation == "none":
        return None
    return Watch(run, recipe, run.provenance["seed"], sampling.sampling_words(run))


def finish(run: Run) -> None:
    """Figures, the full evaluation and the report of a run; figures and evaluation only once it is trained."""
    words = (
        f"stopped after the training, which is finished and saved; for figures, evaluation and report: "
        f"genlab train --resume {run.path}"
    )
    with signals.at_once(words):
        if run.status["state"] == "finished":
            run.look()
            if _evaluates(run.recipe):
                run.evaluate()
        run.report()


def is_complete(run: Run) -> bool:
    """Whether `finish` has come to its end since the last step was made."""
    try:
        measured = run.is_measured()
    except DataError:  # A damaged evaluation is measured again.
        return False
    return (run.path / "report.html").exists() and (measured or not _evaluates(run.trained_by()))


def _evaluates(recipe: Recipe) -> bool:
    return isinstance(recipe.logging, SampleLogging) and recipe.logging.evaluation == "full"


def _classifier(given: str, encoder: nn.Module, seed: int, root: Path, observers: Sequence[Observer]) -> Run:
    """The run that an encoder starts from: the one of that path or name, else the newest finished one of that built-in
    recipe, unchanged, with that seed; one is trained where there is none, after its layers were found to fit.

    Raises:
        UsageError: neither a run nor a recipe of a classifier, or one whose layers do not fit.
    """
    try:
        run = Run(RunDirectory.open(given, root).path)
    except UsageError:
        if given not in files.names():
            known = [run.path.name for run in _readable(root) if run.trained_by().family == "classifier"]
            raise UsageError(
                f"init_encoder_from: {unknown('run or recipe', given, [*known, 's4-classifier'])} (in {root})"
            ) from None
        run = _trained_before(given, seed, root) or _trained_now(given, encoder, seed, root, observers)
    if run.recipe.family != "classifier":
        raise UsageError(f"init_encoder_from: {run.path.name} is a {run.recipe.family}; a classifier is needed")
    return run


def _readable(root: Path) -> list[Run]:
    """The runs whose recipe and provenance can be read, oldest first."""
    found = []
    for run in list_runs(root):
        with suppress(GenlabError):
            _ = run.trained_by(), run.status
            found.append((run.provenance["started"], run.path.name, run.path))
    return [Run(path) for _, _, path in sorted(found)]


def _trained_before(name: str, seed: int, root: Path) -> Run | None:
    """The newest finished run of a built-in recipe with that seed, in which nothing was changed that matters."""

    def unchanged(run: Run) -> bool:
        changes = files.diff(files.load(name), run.recipe)
        return all(path.split(".")[0] in ("engine", "logging") for path in changes)

    fitting = [
        run
        for run in _readable(root)
        if run.recipe.name == name
        and run.provenance["seed"] == seed
        and run.status["state"] == "finished"
        and unchanged(run)
    ]
    return fitting[-1] if fitting else None


def _trained_now(name: str, encoder: nn.Module, seed: int, root: Path, observers: Sequence[Observer]) -> Run:
    settled, dataset = prepare(name, {})
    if settled.family != "classifier":
        raise UsageError(f"init_encoder_from: {name} is a {settled.family}; a classifier is needed")
    network = FAMILIES["classifier"].build(settled, len(dataset.class_names), Keyed(seed))["classifier"]
    vae.check_bodies(encoder, network.state_dict(), name)
    warnings.warn(
        f"no finished run of {name}, unchanged and with seed {seed}, in {root}; training it first", stacklevel=6
    )
    run = start(name, {}, seed, root, None, {}, None, observers)
    finish(run)
    return run


def warm_start(encoder: nn.Module, source: Run, recipe: Recipe) -> None:
    """Give an encoder the body of a classifier's run (report S4)."""
    network = sampling.load_network(source, source.own, "classifier")
    vae.start_encoder(encoder, network.state_dict(), source.path.name)
    if source.recipe.data.name != recipe.data.name:
        warnings.warn(
            f"the encoder starts from {source.path.name}, a classifier of {source.recipe.data.name}, not of "
            f"{recipe.data.name}",
            stacklevel=5,
        )
