"""The public functions: they compose the parts, and the command line only calls them."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from genlab import checkpoint, engine, gan, recipe_files, sampling
from genlab.data import BUILTIN, Dataset
from genlab.data import fit as fit_dataset
from genlab.data import load as load_data
from genlab.errors import DataError, UsageError
from genlab.family import FAMILIES, Own
from genlab.losses import AdversarialLoss
from genlab.nets.describe import Description
from genlab.provenance import describe_networks, now, provenance_of
from genlab.randomness import Keyed
from genlab.recipe import Recipe
from genlab.recipe_files import RecipeSource
from genlab.runs import RunDirectory, default_root
from genlab.storage import write_json
from genlab.training import Observer, Plan, fit


class Run(RunDirectory):
    """A run and what can be asked of it.

    Attributes:
        path: its directory; see `genlab.runs`.
        own: networks of the caller's own that it was trained with, by name.
    """

    def __init__(self, path: str | Path, own: Own | None = None) -> None:
        super().__init__(path)
        self.own = dict(own or {})

    @property
    def seconds(self) -> float:
        """Of training, samples and checkpoints included."""
        return float(self.status.get("seconds", 0.0))

    @property
    def images_per_second(self) -> float:
        """Training images by seconds of training; 0 before the first step."""
        rows = self.metrics()
        return float(rows[-1]["images"] / rows[-1]["seconds"]) if rows and rows[-1]["seconds"] else 0.0

    def sample(
        self,
        n: int = 64,
        *,
        label: int | str | None = None,
        seed: int = 0,
        step: int | None = None,
        ema: bool = True,
        batch_statistics: bool = False,
    ) -> Tensor:
        """n new images: float32, shape (n, C, H, W), in [0, 1].

        Drawn with the averaged (EMA) weights where the run keeps them and with running BatchNorm statistics, unless
        told otherwise. The same arguments give the same images.

        Args:
            label: a class, by number or name; without it a conditional run goes through its classes in turn.
            seed: of the z.
            step: of a snapshot (`run.steps("snapshots", ".safetensors")`); without it, the newest checkpoint.
            ema: False takes the weights as they were trained (only at a checkpoint).
            batch_statistics: True normalises by the statistics of this very batch.

        Raises:
            UsageError: an argument does not fit this run; says what would.
            CheckpointError: nothing was saved yet, or it is damaged.
        """
        if not 1 <= n <= 100_000:
            raise UsageError(f"n is {n}; allowed: 1 .. 100,000")
        recipe, labels = self.recipe, sampling.sample_labels(self, n, label)
        generator = sampling.load_generator(self, self.own, step, ema)
        if batch_statistics and n < 2:
            raise UsageError("batch statistics need n of 2 or more")
        machine = engine.start(engine.here(recipe.engine))
        z = Keyed(seed).normal("sample", 0, n, recipe.networks.latent)
        return gan.generate(machine.place(generator), machine, z, labels, batch_statistics)

    def report(self) -> Path:
        """Write report.html (and figures/) anew and return its path."""
        from genlab.reporting.render import write_report

        return write_report(self)


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
        report: whether report.html is written at the end.

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
        run.report()
    return run


def show(recipe: RecipeSource, overrides: Mapping[str, Any] | None = None) -> tuple[Recipe, list[Description]]:
    """A recipe and its networks, layer by layer."""
    settled, dataset = _prepare(recipe, overrides or {})
    made = FAMILIES[settled.family].build(settled, len(dataset.class_names), Keyed(0))
    return settled, describe_networks(settled, dataset, made)


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
    return settled, fit_dataset(dataset, settled.data.size, settled.data.resize, settled.data.channels)


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
    family = FAMILIES[settled.family]
    made = family.networks(settled, len(dataset.class_names), Keyed(seed), own, ())
    settled = settled.model_copy(update={"engine": engine.resolve(settled.engine, family.mergeable(made))})
    parts = {**own, **({"objective": objective} if objective else {})}
    described = describe_networks(settled, dataset, made)
    provenance = provenance_of(settled, seed, dataset, described, {k: type(v).__name__ for k, v in parts.items()})
    run = Run(RunDirectory.create(root, settled, seed, provenance, name).path, own)
    with run.locked():
        _train(run, dataset, made, objective, observers)
    return run


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
    fit(model, dataset, run, recipe, keyed, observers, saved)


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
        at = f"{now()} at step {saved.step if saved else 0}"
        write_json(run.path / "provenance.json", {**provenance, "resumed": [*provenance.get("resumed", []), at]})
        _train(run, dataset, made, objective, observers, saved)
