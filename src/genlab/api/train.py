"""Public functions that compose the parts; the command line only calls them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

from torch import nn

from genlab.api import warm_start
from genlab.api.progress import shown
from genlab.api.run import Run
from genlab.data.memory import PREFIX, Images, name_of
from genlab.engine import signals
from genlab.engine.randomness import Keyed
from genlab.engine.stages import stage
from genlab.errors import Collapsed, DataError, UsageError
from genlab.evaluation.diagnosis.run import Attentive
from genlab.evaluation.live import LiveEvaluation
from genlab.families.cost import Cost, cost
from genlab.families.gan.losses import AdversarialLoss
from genlab.families.nets.describe import Description
from genlab.families.registry import FAMILIES
from genlab.recipe import Recipe, SampleLogging, files
from genlab.recipe.source import RecipeSource
from genlab.recipe.text import spelled
from genlab.runs import directory, sampling
from genlab.runs.directory import default_root
from genlab.runs.open import OpenRun
from genlab.runs.provenance import describe_networks
from genlab.training import fork as forking
from genlab.training import resume as resuming
from genlab.training.assemble import prepare, settle
from genlab.training.fit import Evaluator, check_observers
from genlab.training.minutes import resolved
from genlab.training.start import start


def train(
    recipe: RecipeSource | None = None,
    *,
    data: Images | None = None,
    epochs: int | None = None,
    minutes: float | None = None,
    seed: int | None = None,
    overrides: Mapping[str, Any] | None = None,
    name: str | None = None,
    runs: str | Path | None = None,
    resume: str | Path | Run | None = None,
    strict: bool = False,
    generator: nn.Module | None = None,
    discriminator: nn.Module | None = None,
    objective: AdversarialLoss | None = None,
    observers: Sequence[object] = (),
    stop_on: Literal["collapse"] | None = None,
    report: bool = True,
    progress: bool = True,
) -> Run:
    """Train a recipe in a new run, or resume a run.

    Args:
        recipe: a built-in name (`genlab recipes`), a YAML file, a mapping or a recipe.
        data: training images: a dataset's name or path, or arrays, tensors, Pillow images, a torch dataset (see
            `data.memory.keep`); short for overrides={"data.name": ...}. To resume a run whose images were given from
            Python, give them again.
        epochs: short for overrides={"budget.epochs": ...}.
        minutes: short for overrides={"budget.minutes": ...}: as many steps as this machine makes in that time, and
            the settings that suit them, found by timing a few steps.
        seed: random seed, 0 .. 2^63 - 1 (default 0).
        overrides: dotted schema path -> value.
        name: name of the run (default: recipe, what was changed in it, seed and a number).
        runs: folder of the runs (default: GENLAB_RUNS or ./runs).
        resume: run to continue, instead of `recipe`; it keeps its seed and recipe, except for more `epochs` and
            overrides of its `engine` section (which end exactness; see `training.resume`).
        strict: whether a resume refuses a damaged newest checkpoint, instead of continuing from the one before.
        generator, discriminator: your own networks with their weights, called as `genlab.families.nets` says.
        objective: your own pair of losses.
        observers: objects that watch the training, with one or more of the methods of `genlab.Observer`.
        stop_on: "collapse" stops a training once every z gives nearly the same image (of a class); it can be resumed.
        report: whether to make figures, the full evaluation (`logging.evaluation`) and report.html at the end.
        progress: whether to show progress in a terminal, in a notebook or on standard error.

    Raises:
        RecipeError: the recipe is invalid; the message names every problem at once.
        Stopped: interrupted; the run was saved and can be resumed.
        Collapsed: stopped by `stop_on`.
        BusyError: another process writes to the run.
        CheckpointError: no checkpoint of the run can be used.
        GenlabError: see `genlab.errors`.
    """
    check_observers(observers)
    if stop_on not in (None, "collapse"):
        raise UsageError(f"stop_on is {stop_on!r}; allowed: collapse")
    custom = _custom(generator, discriminator)
    root = Path(runs) if runs else default_root()
    with shown(progress) as mine, _told_of_collapse(report):
        watching = [Attentive(bool(mine), stop_on)] if mine or stop_on else []
        observers = [*observers, *mine, *watching]
        place = None if data is None else name_of(data)
        if resume is not None:
            _check_resumed((recipe, seed, name, minutes), place)
            run = Run.at(place_of(resume), root, custom)
            trained = resuming.resume(run, objective, observers, evaluator_of, epochs, overrides or {}, strict)
            report = report and (trained or not is_complete(run))
        elif recipe is not None:
            changes = _changes(overrides, epochs=epochs, minutes=minutes, data=place)
            seed = 0 if seed is None else seed
            cold = partial(train, runs=root, observers=observers, progress=False)
            classifier = partial(warm_start.classifier_of, seed=seed, root=root, train=cold)
            started = start(
                recipe, changes, seed, root, name, custom, objective, observers, evaluator_of, classifier, progress
            )
            run = Run(started.directory, custom)
        else:
            raise UsageError(f"which recipe? Known: {', '.join(files.names())}")
        if report:
            finish(run)
    return run


def _check_resumed(given: Sequence[object], place: str | None) -> None:
    """Refuse arguments for what a resumed run keeps, and a dataset other than images in memory."""
    if any(each is not None for each in given) or (place and not place.startswith(PREFIX)):
        raise UsageError("a resumed run keeps its recipe, seed, name and minutes; leave out what would change them")


def fork(
    run: str | Path | Run,
    at: int,
    *,
    overrides: Mapping[str, Any] | None = None,
    name: str | None = None,
    runs: str | Path | None = None,
    observers: Sequence[object] = (),
    report: bool = True,
    progress: bool = True,
) -> Run:
    """Begin a new run at a step of another run, with its weights and optimisers, and continue with other settings.

    It starts from the newest remaining checkpoint at or before that step, or from the beginning; the steps in between
    are repeated, exactly if a resume would be exact.

    Args:
        run: run to fork, by path or name or as a `Run`.
        at: step after which the settings change.
        overrides: dotted schema path -> value, for the objective, learning rates, betas, weight decay, ema,
            augmentation, length (budget.epochs, budget.max_steps), engine and logging.
        name, runs, observers, report, progress: see `train`.

    Raises:
        UsageError: the step does not exist, nothing is changed, or something other than these is.
        DataError: the dataset is not the one that the run was trained on.
        GenlabError: see `genlab.errors`.
    """
    check_observers(observers)
    root = Path(runs) if runs else default_root()
    with shown(progress) as mine:
        source, watching = Run.at(place_of(run), root), [Attentive()] if mine else []
        begun = forking.fork(
            source, at, dict(overrides or {}), root, name, [*observers, *mine, *watching], evaluator_of
        )
        made = Run(begun.directory)
        if report:
            finish(made)
    return made


@contextmanager
def _told_of_collapse(report: bool) -> Iterator[None]:
    """Context in which a training that is stopped as collapsed gets its diagnosis and, if wanted, its report."""
    try:
        yield
    except Collapsed as error:
        run = Run.at(error.run)
        run.diagnose()
        if report:
            run.report()
        raise


SHORT = {"epochs": "budget.epochs", "minutes": "budget.minutes", "data": "data.name"}
"""Arguments that stand for a field of the recipe."""


def _changes(overrides: Mapping[str, Any] | None, **short: Any) -> dict[str, Any]:
    """Overrides, including those of the fields that have their own argument.

    Raises:
        UsageError: a field is given twice, with different values.
    """
    changes = dict(overrides or {})
    for word, value in short.items():
        path = SHORT[word]
        given = changes.setdefault(path, value) if value is not None else None
        if given is not value and given != value:  # NaN is itself, although it does not equal itself.
            raise UsageError(f"{word} is {spelled(value)}, but {path} is {spelled(changes[path])}; give one of them")
    return changes


def finish(run: Run) -> None:
    """Make figures, full evaluation, diagnosis and report of a run; the first two only if it is finished."""
    words = (
        f"stopped after the training, which is finished and saved; for figures, evaluation and report: "
        f"genlab train --resume {run.path}"
    )
    with signals.at_once(words):
        if run.status["state"] == "finished":
            with stage("drawing figures"):
                run.look()
            if _evaluates(run.recipe):
                run.evaluate()
        run.diagnose()
        with stage("writing the report"):
            run.report()


def is_complete(run: Run) -> bool:
    """Whether `finish` has completed since the last step was made."""
    try:
        measured = run.is_measured()
    except DataError:  # A damaged evaluation is measured again.
        return False
    return (run.path / "report.html").exists() and (measured or not _evaluates(run.recipe))


def _evaluates(recipe: Recipe) -> bool:
    return isinstance(recipe.logging, SampleLogging) and recipe.logging.evaluation == "full"


def evaluator_of(run: OpenRun) -> Evaluator | None:
    """Cheap evaluation during training, or None if the recipe does not ask for one."""
    recipe = run.recipe
    if not isinstance(recipe.logging, SampleLogging) or recipe.logging.evaluation == "none":
        return None
    return LiveEvaluation(run.directory, recipe, run.provenance["seed"], sampling.sampling_words(run))


@dataclass(frozen=True)
class Shown:
    """A recipe as shown before it is trained.

    Attributes:
        networks: networks, layer by layer.
        equations: equations of the objective, one line each.
        cost: cost of an epoch.
    """

    recipe: Recipe
    networks: list[Description]
    equations: list[str]
    cost: Cost

    def __repr__(self) -> str:
        return f"Shown({self.recipe.name!r}: {self.cost.words})"

    def _repr_svg_(self) -> str:
        """Drawing that a notebook shows for the recipe."""
        return self.drawing

    @property
    def images(self) -> str:
        """One line on what the networks take and make; empty for a family that makes no images."""
        sampling, data = FAMILIES[self.recipe.family].sampling, self.recipe.data
        if sampling is None:
            return ""
        noise = " x ".join(map(str, sampling.noise(self.recipe)))
        told = " and a class" if self.recipe.conditional else ""
        return f"from z ({noise} numbers){told} to images of {data.channels} x {data.size} x {data.size} in [-1, 1]"

    @property
    def drawing(self) -> str:
        """SVG of the system with its passes, and of the networks."""
        from genlab.report.diagram import drawing

        return drawing(self.recipe, self.networks)


def show(recipe: RecipeSource, overrides: Mapping[str, Any] | None = None) -> Shown:
    """A recipe's networks, objective and cost; nothing is trained."""
    settled, dataset = prepare(recipe, overrides or {})
    family, classes = FAMILIES[settled.family], len(dataset.class_names)
    made = family.build(settled, classes, Keyed(0))
    described = describe_networks(family.examples(settled, classes), made)
    return Shown(settled, described, family.equations(settled), cost(settled, described, len(dataset)))


def in_minutes(recipe: RecipeSource, minutes: float, overrides: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Overrides, as plain numbers, that make a recipe train for this many minutes on this machine; see `train`."""
    changes = {**(overrides or {}), "budget.minutes": minutes}
    return resolved(recipe, changes, *settle(recipe, changes)).overrides


def place_of(run: str | Path | Run) -> str | Path:
    """Path of a `Run`, or the path or name as given."""
    return run.path if isinstance(run, Run) else run


def open_run(
    run: str | Path | Run,
    *,
    runs: str | Path | None = None,
    data: Images | None = None,
    generator: nn.Module | None = None,
    discriminator: nn.Module | None = None,
) -> Run:
    """Open a run by path or name; if it was trained with your own networks or images, give those again.

    Args:
        data: images that it was trained on, if they were given from Python; see `train`.

    Raises:
        UsageError: the run does not exist; the message names the nearest.
    """
    if data is not None:
        name_of(data)
    return Run.at(place_of(run), Path(runs) if runs else None, _custom(generator, discriminator))


def _custom(generator: nn.Module | None, discriminator: nn.Module | None) -> dict[str, nn.Module]:
    given = {"generator": generator, "discriminator": discriminator}
    for name, network in given.items():
        if isinstance(network, type):
            raise UsageError(f"{name} is the class {network.__name__}; give an instance: {network.__name__}(...)")
        if network is not None and not isinstance(network, nn.Module):
            raise UsageError(f"{name} is a {type(network).__name__}; expected a torch.nn.Module")
    return {name: network for name, network in given.items() if network is not None}


def list_runs(runs: str | Path | None = None) -> list[Run]:
    """Runs in a folder (default: GENLAB_RUNS or ./runs) and its subfolders, sorted by name.

    Damaged runs are listed too: reading what is damaged raises an error.
    """
    return [Run(found) for found in directory.list_runs(Path(runs) if runs else None, deep=True)]
