"""The public functions: they compose the parts, and the command line only calls them."""

from __future__ import annotations

import io
import math
import os
import platform
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from genlab import checkpoint, engine, gan, pictures, recipe_files, training
from genlab.data import Dataset
from genlab.data import fit as fit_dataset
from genlab.data import load as load_data
from genlab.errors import CheckpointError, DataError, UsageError
from genlab.losses import AdversarialLoss
from genlab.nets.describe import Description, describe
from genlab.randomness import Keyed
from genlab.recipe import Recipe
from genlab.recipe_files import RecipeSource
from genlab.runs import RunDirectory, default_root
from genlab.storage import write, write_json
from genlab.training import Observer, Plan, fit

Own = Mapping[str, nn.Module]


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
        return float(self.status["seconds"])

    @property
    def images_per_second(self) -> float:
        """Training images by seconds of training."""
        last = self.metrics()[-1]
        return float(last["images"] / last["seconds"])

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
        recipe, labels = self.recipe, sample_labels(self, n, label)
        generator = self._generator(recipe, step, ema)
        if batch_statistics and n < 2:
            raise UsageError("batch statistics need n of 2 or more")
        machine = engine.start(engine.here(recipe.engine))
        z = Keyed(seed).normal("sample", 0, n, recipe.networks.latent)
        return gan.generate(machine.place(generator), machine, z, labels, batch_statistics)

    def report(self) -> Path:
        """Write report.html (and figures/) anew and return its path."""
        from genlab.reporting.render import write_report

        return write_report(self)

    def _generator(self, recipe: Recipe, step: int | None, ema: bool) -> nn.Module:
        """The generator with its weights."""
        provenance = self.provenance
        if step is None:
            saved, _ = checkpoint.newest(self.checkpoints)
            prefix = "ema." if ema and recipe.ema else "generator."
            tensors = {k.removeprefix(prefix): v for k, v in saved.tensors.items() if k.startswith(prefix)}
        else:
            if not ema and recipe.ema:
                raise UsageError("snapshots hold the averaged weights only; leave out `step`, or take the average")
            kept = self.steps("snapshots", ".safetensors")
            if step not in kept:
                raise UsageError(f"no snapshot of step {step}; there are: {', '.join(map(str, kept)) or 'none'}")
            tensors = checkpoint.from_file(self.file("snapshots", step, ".safetensors"))
        classes, needed = len(provenance["data"]["class_names"]), provenance.get("own", {}).keys() & {"generator"}
        generator = networks(recipe, classes, Keyed(0), self.own, needed)["generator"]
        try:
            generator.load_state_dict(tensors)
        except RuntimeError as error:
            raise CheckpointError(
                f"{self.path}: weights of another generator: {str(error).splitlines()[-1].strip()}"
            ) from None
        return generator


def train(
    recipe: RecipeSource | None = None,
    *,
    epochs: int | None = None,
    seed: int = 0,
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
        seed: of everything random, 0 .. 2^63 - 1.
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
    own_networks = {k: v for k, v in (("generator", generator), ("discriminator", discriminator)) if v is not None}
    if resume is not None:
        if recipe is not None or epochs is not None or overrides or name is not None:
            raise UsageError("a resumed run keeps its recipe and name; leave out recipe, epochs, overrides and name")
        run = Run(RunDirectory.open(resume, Path(runs) if runs else None).path, own_networks)
        _resume(run, objective, observers)
    elif recipe is None:
        raise UsageError(f"which recipe? Known: {', '.join(recipe_files.names())}")
    else:
        settled, dataset = _prepare(
            recipe, {**({"budget.epochs": epochs} if epochs is not None else {}), **(overrides or {})}
        )
        if not isinstance(seed, int) or not 0 <= seed < 2**63:
            raise UsageError(f"seed is {seed!r}; allowed: 0 .. 2^63 - 1")
        made = networks(settled, len(dataset.class_names), Keyed(seed), own_networks, {})
        settled = settled.model_copy(
            update={"engine": engine.resolve(settled.engine, gan.mergeable(made["discriminator"]))}
        )
        own = {
            k: type(v).__name__ for k, v in {**own_networks, **({"objective": objective} if objective else {})}.items()
        }
        facts = _provenance(settled, seed, dataset, _describe(settled, dataset, made), own)
        run = Run(
            RunDirectory.create(Path(runs) if runs else default_root(), settled, seed, facts, name).path, own_networks
        )
        with run.locked():
            _train(run, dataset, made, objective, observers)
    if report:
        run.report()
    return run


def show(recipe: RecipeSource, overrides: Mapping[str, Any] | None = None) -> tuple[Recipe, list[Description]]:
    """A recipe and its networks, layer by layer."""
    settled, dataset = _prepare(recipe, overrides or {})
    return settled, _describe(settled, dataset, networks(settled, len(dataset.class_names), Keyed(0), {}, {}))


def open_run(run: str | Path, *, runs: str | Path | None = None, generator: nn.Module | None = None) -> Run:
    """A run by path or name; one that was trained with your own generator needs a module of that kind again."""
    return Run(
        RunDirectory.open(run, Path(runs) if runs else None).path, {"generator": generator} if generator else None
    )


def save_images(images: Tensor, path: Path, run: RunDirectory, label: int | str | None = None) -> None:
    """Save images of `Run.sample` as a grid (.png), or as arrays (.npz: images uint8 (N, C, H, W), labels int64).

    Raises:
        UsageError: another ending.
    """
    array, labels = pictures.to_uint8(images), sample_labels(run, len(images), label)
    if path.suffix == ".png":
        columns = math.ceil(math.sqrt(len(array))) if labels is None or label is not None else int(labels.max()) + 1
        content = pictures.png(pictures.grid(array, columns))
    elif path.suffix == ".npz":
        arrays = {"images": array} if labels is None else {"images": array, "labels": labels.numpy()}
        buffer = io.BytesIO()
        np.savez_compressed(buffer, allow_pickle=False, **arrays)
        content = buffer.getvalue()
    else:
        raise UsageError(f"{path}: the ending says the form; allowed: .png (a grid), .npz (arrays)")
    write(path, content)


def sample_labels(run: RunDirectory, n: int, label: int | str | None) -> Tensor | None:
    """The classes of n samples, int64 (n,): the one asked for, or all in turn; None for an unconditional run.

    Raises:
        UsageError: no such class, or a class asked of an unconditional run.
    """
    if not run.recipe.conditional:
        if label is not None:
            raise UsageError(f"{run.path.name} is unconditional: it cannot be asked for class {label!r}")
        return None
    classes = run.provenance["data"]["class_names"]
    return torch.arange(n) % len(classes) if label is None else torch.full((n,), class_index(label, classes))


def networks(recipe: Recipe, classes: int, keyed: Keyed, own: Own, needed: Iterable[str]) -> dict[str, nn.Module]:
    """The recipe's networks, or the caller's own in their place.

    Raises:
        UsageError: the run was made with an own network that is not given now.
    """
    missing = sorted(set(needed) & {"generator", "discriminator"} - set(own))
    if missing:
        raise UsageError(f"this run was trained with its own {' and '.join(missing)}; give them as arguments in Python")
    return {**gan.build_networks(recipe, classes, keyed), **own}


def sampling_words(run: RunDirectory, raw_weights: bool = False, batch_statistics: bool = False) -> str:
    """How images of a run are drawn, for captions and messages."""
    recipe = run.recipe
    return training.sampling_words(
        recipe, averaged=recipe.ema is not None and not raw_weights, batch_statistics=batch_statistics
    )


def class_index(label: int | str, class_names: Sequence[str]) -> int:
    """The number of a class given by number or name.

    Raises:
        UsageError: no such class; names them all.
    """
    text = str(label)
    if text in class_names:
        return list(class_names).index(text)
    if text.isdigit() and int(text) < len(class_names):
        return int(text)
    raise UsageError(
        f"unknown class {text!r}; allowed: "
        + ", ".join(f"{k} ({name})" if str(k) != name else name for k, name in enumerate(class_names))
    )


def _prepare(source: RecipeSource, overrides: Mapping[str, Any]) -> tuple[Recipe, Dataset]:
    """The recipe and its dataset in the recipe's size, every problem of both named at once."""
    draft = recipe_files.Draft(source, overrides)
    dataset = None
    if draft.data is not None:
        try:
            dataset = load_data(draft.data.name)
        except DataError:
            if not draft.problems:
                raise
        else:
            draft.against(len(dataset), dataset.side, dataset.channels, len(dataset.class_names))
    settled = draft.settle()
    assert dataset is not None
    return settled, fit_dataset(dataset, settled.data.size, settled.data.resize, settled.data.channels)


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
    model = gan.Gan(
        recipe, made["generator"], made["discriminator"], engine.start(recipe.engine), keyed, plan.total_steps
    )
    if objective is not None:
        model.loss = objective
    if recipe.logging.tensorboard:
        from genlab.events import TensorBoard

        observers = [*observers, TensorBoard()]
    fit(model, dataset, run, recipe, keyed, observers, saved)


def _resume(run: Run, objective: AdversarialLoss | None, observers: Sequence[Observer]) -> None:
    """Go on from the newest checkpoint that verifies; from the start, if none was written yet."""
    provenance = run.provenance
    if "objective" in provenance.get("own", {}) and objective is None:
        raise UsageError("this run was trained with its own objective; give it as an argument in Python")
    recipe, dataset = _prepare(run.path / "recipe.yaml", {})
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
            return
        made = networks(recipe, len(dataset.class_names), Keyed(provenance["seed"]), run.own, provenance.get("own", {}))
        at = f"{_now()} at step {saved.step if saved else 0}"
        write_json(run.path / "provenance.json", {**provenance, "resumed": [*provenance.get("resumed", []), at]})
        _train(run, dataset, made, objective, observers, saved)


def _describe(recipe: Recipe, dataset: Dataset, made: Mapping[str, nn.Module]) -> list[Description]:
    """The layer tables, from running each network on one z and one image.

    Raises:
        UsageError: a network of the caller's cannot be called as `genlab.nets` says.
    """
    z, x = torch.zeros(2, recipe.networks.latent), torch.zeros(2, *dataset.images.shape[1:])
    y = (torch.zeros(2, dtype=torch.int64),)
    told = {"generator": recipe.conditional, "discriminator": recipe.discriminator_conditional}
    described = []
    for name, inputs in (("generator", z), ("discriminator", x)):
        try:
            described.append(describe(name, made[name], inputs, *(y if told[name] else ())))
        except (RuntimeError, TypeError, ValueError) as error:
            raise UsageError(
                f"the {name} cannot be run on {tuple(inputs.shape)}: {str(error).splitlines()[0]}"
            ) from error
    return described


def _provenance(
    recipe: Recipe, seed: int, dataset: Dataset, described: list[Description], own: dict[str, str]
) -> dict[str, Any]:
    """What made this run, as far as it can be known when it begins."""
    settings = recipe.engine
    return {
        "seed": seed,
        "started": _now(),
        "versions": {
            "python": platform.python_version(),
            **{name: metadata.version(name) for name in ("genlab", "torch", "numpy")},
        },
        "machine": {
            "processor": engine.processor(),
            "cores": os.cpu_count(),
            "system": f"{platform.system()} {platform.machine()}",
            "device": torch.cuda.get_device_name() if settings.device == "cuda" else settings.device,
            "threads": settings.threads,
            "precision": settings.precision,
        },
        "data": {
            "name": recipe.data.name,
            "split": dataset.split,
            "images": len(dataset),
            "fingerprint": dataset.fingerprint,
            "class_names": list(dataset.class_names),
        },
        "networks": [asdict(description) for description in described],
        "own": own,
    }


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
