"""The public functions: they compose the parts, and the command line only calls them."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from genlab import anatomy, checkpoint, engine, recipe_files, sampling, vae
from genlab.data import BUILTIN, Dataset
from genlab.data import first as first_images
from genlab.data import load as load_data
from genlab.errors import DataError, GenlabError, UsageError, unknown
from genlab.evaluation.watch import Watch
from genlab.family import FAMILIES, Own
from genlab.losses import AdversarialLoss
from genlab.nets.describe import Description
from genlab.provenance import describe_networks, now, provenance_of
from genlab.randomness import Keyed
from genlab.recipe import GanRecipe, Recipe, SampleLogging, VaeRecipe
from genlab.recipe.gan import FINITE_DIFFERENCES
from genlab.recipe_files import RecipeSource
from genlab.runs import RunDirectory, default_root, exists, list_runs
from genlab.storage import write_json
from genlab.trained import Run, fitted, test_split
from genlab.training import Observer, Plan, fit


def train(
    recipe: RecipeSource | None = None,
    *,
    epochs: int | None = None,
    seed: int | None = None,
    overrides: Mapping[str, Any] | None = None,
    name: str | None = None,
    runs: str | Path | None = None,
    resume: str | Path | None = None,
    generator: nn.Module | None = None,
    discriminator: nn.Module | None = None,
    objective: AdversarialLoss | None = None,
    observers: Sequence[Observer] = (),
    report: bool = True,
) -> Run:
    """Train a recipe into a new run, or go on with one.

    Args:
        recipe: a built-in name (`recipe_files.names()`), a YAML file, a mapping or a recipe.
        epochs: short for overrides={"budget.epochs": ...}.
        seed: of everything random, 0 .. 2^63 - 1; 0 without it.
        overrides: dotted schema path -> value.
        name: of the run; recipe-seedS-NNN without it.
        runs: the folder of the runs; GENLAB_RUNS or ./runs without it.
        resume: a run to go on with, instead of `recipe`; it keeps its recipe and seed.
        generator, discriminator: your own networks (see `genlab.nets` for how they are called), with their weights.
        objective: your own pair of losses.
        observers: watch the training; see `training.Observer`.
        report: whether figures, the full evaluation (`logging.evaluation`) and report.html are made at the end.

    Raises:
        RecipeError: every problem of the recipe at once.
        Stopped: interrupted; the run was saved and can be resumed.
        GenlabError: see `genlab.errors`.
    """
    own = {k: v for k, v in (("generator", generator), ("discriminator", discriminator)) if v is not None}
    root = Path(runs) if runs else default_root()
    if resume is not None:
        if any(given is not None for given in (recipe, epochs, seed, name)) or overrides:
            raise UsageError("a resumed run keeps its recipe, seed and name; leave out what would change them")
        run = Run(RunDirectory.open(resume, root).path, own)
        _resume(run, objective, observers)
    elif recipe is not None:
        changes = dict(overrides or {})
        if epochs is not None and changes.setdefault("budget.epochs", epochs) != epochs:
            raise UsageError(f"epochs is {epochs}, but budget.epochs is {changes['budget.epochs']}; give one of them")
        run = _start(recipe, changes, 0 if seed is None else seed, root, name, own, objective, observers)
    else:
        raise UsageError(f"which recipe? Known: {', '.join(recipe_files.names())}")
    if report:
        if run.status["state"] == "finished":
            run.look()
            logging = run.recipe.logging
            if isinstance(logging, SampleLogging) and logging.evaluation == "full":
                run.evaluate()
        run.report()
    return run


@dataclass(frozen=True)
class Shown:
    """A recipe, looked at before it is trained.

    Attributes:
        networks: layer by layer.
        equations: the objective, a line each.
        cost: of an epoch.
    """

    recipe: Recipe
    networks: list[Description]
    equations: list[str]
    cost: anatomy.Cost

    @property
    def drawing(self) -> str:
        """The system with its passes, and the networks, as SVG."""
        from genlab.reporting.drawings import drawing

        return drawing(self.recipe, self.networks)


def show(recipe: RecipeSource, overrides: Mapping[str, Any] | None = None) -> Shown:
    """A recipe's networks, objective and cost; nothing is trained."""
    settled, dataset = _prepare(recipe, overrides or {})
    family, classes = FAMILIES[settled.family], len(dataset.class_names)
    made = family.build(settled, classes, Keyed(0))
    described = describe_networks(family.examples(settled, classes), made)
    return Shown(settled, described, anatomy.equations(settled), anatomy.cost(settled, described, len(dataset)))


def open_run(run: str | Path, *, runs: str | Path | None = None, generator: nn.Module | None = None) -> Run:
    """A run by path or name; one that was trained with your own generator needs a module of that kind again."""
    return Run(
        RunDirectory.open(run, Path(runs) if runs else None).path, {"generator": generator} if generator else None
    )


def _prepare(source: RecipeSource, overrides: Mapping[str, Any]) -> tuple[Recipe, Dataset]:
    """The recipe and its dataset in the recipe's size, every problem of both named at once."""
    draft = recipe_files.Draft(source, overrides)
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
        data = settled.data.model_copy(update={"name": str(Path(settled.data.name).resolve())})
        settled = settled.model_copy(update={"data": data})
    return settled, fitted(first_images(dataset, settled.data.subset), settled)


def _start(
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
    settled, dataset = _prepare(recipe, overrides)
    if not isinstance(seed, int) or isinstance(seed, bool) or not 0 <= seed < 2**63:
        raise UsageError(f"seed is {seed!r}; allowed: a whole number, 0 .. 2^63 - 1")
    if objective is not None and not isinstance(objective, AdversarialLoss):
        raise UsageError(f"objective is a {type(objective).__name__}; expected genlab.losses.AdversarialLoss")
    if objective is not None and settled.family != "gan":
        raise UsageError(f"an own objective is for GANs; {settled.name} is a {settled.family}, which would ignore it")
    family = FAMILIES[settled.family]
    classes = len(dataset.class_names)
    made = family.networks(settled, classes, Keyed(seed), own, ())
    resolved = engine.resolve(settled.engine, family.mergeable(made), engine.convolves(made.values()))
    settled = settled.model_copy(update={"engine": resolved})
    if isinstance(settled, GanRecipe):
        _note_rounding(settled)
        _note_unbounded(settled)
    if name is not None and (root / name).exists():
        raise exists(root, name)
    source = None
    if isinstance(settled, VaeRecipe) and settled.init_encoder_from:
        source = _classifier(settled.init_encoder_from, made["encoder"], seed, root, observers)
        settled = settled.model_copy(update={"init_encoder_from": str(source.path.resolve())})
        _warm_start(made["encoder"], source, settled)
    parts = {**own, **({"objective": objective} if objective else {})}
    described = describe_networks(family.examples(settled, classes), made)
    provenance = provenance_of(settled, seed, dataset, described, {k: type(v).__name__ for k, v in parts.items()})
    if source:
        provenance["encoder_from"] = {"run": str(source.path.resolve()), "step": source.status["step"]}
    run = Run(RunDirectory.create(root, settled, seed, provenance, name).path, own)
    with run.locked():
        _train(run, dataset, made, objective, observers)
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


def _train(
    run: Run,
    dataset: Dataset,
    made: dict[str, nn.Module],
    objective: AdversarialLoss | None,
    observers: Sequence[Observer],
    saved: checkpoint.Checkpoint | None = None,
) -> None:
    """Train in `run`, whose recipe is resolved, from the start or from a checkpoint."""
    recipe = run.recipe
    keyed = Keyed(run.provenance["seed"])
    plan = Plan.of(recipe, len(dataset))
    model = FAMILIES[recipe.family].model(recipe, made, engine.start(recipe.engine), keyed, plan.total_steps, objective)
    if recipe.logging.tensorboard:
        from genlab.events import TensorBoard

        observers = [*observers, TensorBoard()]
    evaluates = FAMILIES[recipe.family].evaluates
    test = test_split(recipe) if evaluates else None
    fit(model, dataset, run, recipe, keyed, observers, saved, test, _watch(run, recipe))


def _watch(run: Run, recipe: Recipe) -> Watch | None:
    """The cheap evaluation, where the recipe asks for it."""
    if not isinstance(recipe.logging, SampleLogging) or recipe.logging.evaluation == "none":
        return None
    return Watch(run, recipe, run.provenance["seed"], sampling.sampling_words(run))


def _classifier(given: str, encoder: nn.Module, seed: int, root: Path, observers: Sequence[Observer]) -> Run:
    """The run that an encoder starts from: the one of that path or name, else the newest finished one of that built-in
    recipe, unchanged, with that seed; one is trained where there is none, after its layers were found to fit.

    Raises:
        UsageError: neither a run nor a recipe of a classifier, or one whose layers do not fit.
    """
    try:
        run = Run(RunDirectory.open(given, root).path)
    except UsageError:
        if given not in recipe_files.names():
            known = [run.path.name for run in _readable(root) if run.recipe.family == "classifier"]
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
            found.append((run.provenance["started"], run.recipe.name, run.path))
    return [Run(path) for _, _, path in sorted(found)]


def _trained_before(name: str, seed: int, root: Path) -> Run | None:
    """The newest finished run of a built-in recipe with that seed, in which nothing was changed that matters."""

    def unchanged(run: Run) -> bool:
        changes = recipe_files.diff(recipe_files.load(name), run.recipe)
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
    settled, dataset = _prepare(name, {})
    if settled.family != "classifier":
        raise UsageError(f"init_encoder_from: {name} is a {settled.family}; a classifier is needed")
    network = FAMILIES["classifier"].build(settled, len(dataset.class_names), Keyed(seed))["classifier"]
    vae.check_bodies(encoder, network.state_dict(), name)
    warnings.warn(
        f"no finished run of {name}, unchanged and with seed {seed}, in {root}; training it first", stacklevel=6
    )
    return train(name, seed=seed, runs=root, observers=observers)


def _warm_start(encoder: nn.Module, source: Run, recipe: Recipe) -> None:
    """Give an encoder the body of a classifier's run (report S4)."""
    network = sampling.load_network(source, source.own, "classifier")
    vae.start_encoder(encoder, network.state_dict(), source.path.name)
    if source.recipe.data.name != recipe.data.name:
        warnings.warn(
            f"the encoder starts from {source.path.name}, a classifier of {source.recipe.data.name}, not of "
            f"{recipe.data.name}",
            stacklevel=5,
        )


def _resume(run: Run, objective: AdversarialLoss | None, observers: Sequence[Observer]) -> None:
    """Go on from the newest checkpoint that verifies; from the start, if none was written yet."""
    provenance = run.provenance
    own = provenance["own"]
    if "objective" in own and objective is None:
        raise UsageError("this run was trained with its own objective; pass it, from Python")
    extra = sorted({*run.own, *(["objective"] if objective else [])} - own.keys())
    if extra:
        raise UsageError(f"run {run.path.name} was trained with the recipe's {' and '.join(extra)}; pass none")
    recipe, dataset = _prepare(run.path / "recipe.yaml", {})
    changed = recipe_files.diff(recipe_files.load(provenance["recipe"]), recipe)
    if changed:
        words = "; ".join(f"{path}: {old} -> {new}" for path, (old, new) in changed.items())
        raise UsageError(f"{run.path / 'recipe.yaml'} was changed since the run began: {words}; put it back")
    if dataset.fingerprint != provenance["data"]["fingerprint"]:
        raise DataError(
            f"dataset {recipe.data.name} is not the one that run {run.path.name} was trained on; its sha256 differs"
        )
    with run.locked():
        saved = None
        if checkpoint.found(run.checkpoints):
            saved, damaged = checkpoint.newest(run.checkpoints)
            for line in damaged:
                warnings.warn(line, stacklevel=3)
        if saved and saved.step >= Plan.of(recipe, len(dataset)).total_steps:
            warnings.warn(f"run {run.path.name} is already finished; nothing was trained", stacklevel=3)
            run.set_status(**{**run.status, "state": "finished", "step": saved.step})
            return
        family, keyed = FAMILIES[recipe.family], Keyed(provenance["seed"])
        made = family.networks(recipe, len(dataset.class_names), keyed, run.own, provenance.get("own", {}))
        if saved is None and isinstance(recipe, VaeRecipe) and recipe.init_encoder_from:
            _warm_start(made["encoder"], Run(RunDirectory.open(recipe.init_encoder_from).path), recipe)
        at = f"{now()} at step {saved.step if saved else 0}"
        write_json(run.path / "provenance.json", {**provenance, "resumed": [*provenance.get("resumed", []), at]})
        _train(run, dataset, made, objective, observers, saved)
