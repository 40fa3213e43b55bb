"""The public functions: they compose the parts, and the command line only calls them."""

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
    """Train a recipe into a new run, or go on with one.

    Args:
        recipe: a built-in name (`genlab recipes`), a YAML file, a mapping or a recipe.
        data: the images: a dataset's name or path, or arrays, tensors, Pillow images, a torch dataset (see
            `data.memory.keep`); short for overrides={"data.name": ...}. A run that is resumed asks for those that
            were given from Python again.
        epochs: short for overrides={"budget.epochs": ...}.
        minutes: short for overrides={"budget.minutes": ...}: as many steps as this machine makes in that time, and
            the settings that suit them, found by timing a few steps.
        seed: random seed, 0 .. 2^63 - 1 (default 0).
        overrides: dotted schema path -> value.
        name: of the run (default: recipe, what was changed in it, seed and a number).
        runs: the folder of the runs (default: GENLAB_RUNS or ./runs).
        resume: a run to go on with, instead of `recipe`; it keeps its seed and recipe, but for more `epochs` and
            overrides of its `engine` section (which end exactness; see `training.resume`).
        strict: a resume refuses where the newest checkpoint is damaged, instead of going on from the one before.
        generator, discriminator: your own networks with their weights, called as `genlab.families.nets` says.
        objective: your own pair of losses.
        observers: watch the training; objects with one or more of the methods of `genlab.Observer`.
        stop_on: "collapse" ends a training whose images have become one and the same; it can be resumed.
        report: whether figures, the full evaluation (`logging.evaluation`) and report.html are made at the end.
        progress: whether a terminal, a notebook or standard error shows how far it is.

    Raises:
        RecipeError: every problem of the recipe at once.
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
    """Refuse what a resumed run keeps, and a dataset other than images in memory."""
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
    """Begin a new run at a step of another one, with its weights and optimisers, and go on with other settings.

    It starts from the newest checkpoint at or before that step that is still kept, or from the beginning; the steps in
    between are made again, exactly where a resume would be exact.

    Args:
        run: the run to begin at: its path or name, or the run itself.
        at: the step after which the settings change.
        overrides: dotted schema path -> value: of the objective, learning rates, betas, weight decay, ema,
            augmentation, length (budget.epochs, budget.max_steps), engine and logging.
        name, runs, observers, report, progress: see `train`.

    Raises:
        UsageError: no such step; nothing is changed, or something else than these.
        DataError: the dataset is not the one of the run.
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
    """A training that is stopped inside because it has collapsed gets its diagnosis, and its report where wanted."""
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
    """The overrides, with the fields that have an argument of their own.

    Raises:
        UsageError: a field is given twice, with two values.
    """
    changes = dict(overrides or {})
    for word, value in short.items():
        path = SHORT[word]
        if value is not None and changes.setdefault(path, value) != value:
            raise UsageError(f"{word} is {spelled(value)}, but {path} is {spelled(changes[path])}; give one of them")
    return changes


def finish(run: Run) -> None:
    """Figures, the full evaluation and the report of a run; figures and evaluation only once it is trained."""
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
    """Whether `finish` has come to its end since the last step was made."""
    try:
        measured = run.is_measured()
    except DataError:  # A damaged evaluation is measured again.
        return False
    return (run.path / "report.html").exists() and (measured or not _evaluates(run.recipe))


def _evaluates(recipe: Recipe) -> bool:
    return isinstance(recipe.logging, SampleLogging) and recipe.logging.evaluation == "full"


def evaluator_of(run: OpenRun) -> Evaluator | None:
    """The cheap evaluation during training, where the recipe asks for it."""
    recipe = run.recipe
    if not isinstance(recipe.logging, SampleLogging) or recipe.logging.evaluation == "none":
        return None
    return LiveEvaluation(run.directory, recipe, run.provenance["seed"], sampling.sampling_words(run))


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
    cost: Cost

    def __repr__(self) -> str:
        return f"Shown({self.recipe.name!r}: {self.cost.words})"

    def _repr_svg_(self) -> str:
        """What a notebook shows of it."""
        return self.drawing

    @property
    def images(self) -> str:
        """What its networks take and make, in a line; empty for a family that makes no images."""
        sampling, data = FAMILIES[self.recipe.family].sampling, self.recipe.data
        if sampling is None:
            return ""
        noise = " x ".join(map(str, sampling.noise(self.recipe)))
        told = " and a class" if self.recipe.conditional else ""
        return f"from z ({noise} numbers){told} to images of {data.channels} x {data.size} x {data.size} in [-1, 1]"

    @property
    def drawing(self) -> str:
        """The system with its passes, and the networks, as SVG."""
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
    """The overrides that make a recipe train for so many minutes on this machine, as plain numbers; see `train`."""
    changes = {**(overrides or {}), "budget.minutes": minutes}
    return resolved(recipe, changes, *settle(recipe, changes)).overrides


def place_of(run: str | Path | Run) -> str | Path:
    """Where a run lies, or its name as it was given."""
    return run.path if isinstance(run, Run) else run


def open_run(
    run: str | Path | Run,
    *,
    runs: str | Path | None = None,
    data: Images | None = None,
    generator: nn.Module | None = None,
    discriminator: nn.Module | None = None,
) -> Run:
    """A run by path or name; one that was trained with networks or images of your own needs those again.

    Args:
        data: the images that it was trained on, if they were given from Python; see `train`.

    Raises:
        UsageError: no such run; names the nearest.
    """
    if data is not None:
        name_of(data)
    return Run.at(place_of(run), Path(runs) if runs else None, _custom(generator, discriminator))


def _custom(generator: nn.Module | None, discriminator: nn.Module | None) -> dict[str, nn.Module]:
    given = {"generator": generator, "discriminator": discriminator}
    for name, network in given.items():
        if isinstance(network, type):
            raise UsageError(f"{name} is the class {network.__name__}; give a network of it: {network.__name__}(...)")
        if network is not None and not isinstance(network, nn.Module):
            raise UsageError(f"{name} is a {type(network).__name__}; expected a torch.nn.Module")
    return {name: network for name, network in given.items() if network is not None}


def list_runs(runs: str | Path | None = None) -> list[Run]:
    """The runs in a folder (default: GENLAB_RUNS or ./runs) and in folders below it, in order of their names.

    One that is damaged is listed too: it says so when what is damaged is asked for.
    """
    return [Run(found) for found in directory.list_runs(Path(runs) if runs else None, deep=True)]
