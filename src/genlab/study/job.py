"""What the process of one run does: train or resume, measure, write a record, prune the run."""

from __future__ import annotations

import shutil
import time
import warnings
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import TypeAdapter

from genlab import data
from genlab.api.run import Run
from genlab.api.train import open_run, train
from genlab.bench.loops import GenlabLoop
from genlab.data.folder import from_array
from genlab.engine.files import make_folder, write
from genlab.engine.stages import stage
from genlab.engine.version import NUMERICS
from genlab.errors import CheckpointError, DataError, NonFiniteError, UsageError
from genlab.evaluation import sizes
from genlab.evaluation.image_set import Reference, Samples
from genlab.evaluation.judge_search import load as load_judge
from genlab.evaluation.measure import measure
from genlab.families.registry import FAMILIES
from genlab.recipe import Recipe, files
from genlab.runs import housekeeping
from genlab.runs.listing import weights_of
from genlab.runs.provenance import machine_of, versions
from genlab.study.code import function_of
from genlab.study.plan import identity
from genlab.study.quantities import Found, Quantity, Source, needs_images
from genlab.study.record import Record, flat, measured, thinned, write_record
from genlab.study.teller import Teller

ENDLESS = {"budget.epochs": 1_000_000, "budget.max_steps": None}
WARM = 3
"""Steps that are not timed."""
UNTRAINED = 1e-30
"""Learning rate that changes no weight: a step with it leaves the untrained model."""


def run(task: Mapping[str, Any], observer: Teller) -> str:
    """Do one run of a study, and return finished or diverged.

    Args:
        task: the task, from `tasks.task_of`.
        observer: object that is told of each step.
    """
    if "measure" in task:
        return _time_steps(task, observer)
    quantities = [TypeAdapter(Quantity).validate_python(each) for each in task["quantities"]]
    recipe, folder = files.load(task["recipe"]), Path(task["folder"])
    parts = _parts(task)
    if parts is not None and not isinstance(parts, Mapping):
        return _own_loop(task, parts, recipe, quantities)
    state, why, diverged = "finished", "", None
    try:
        made = _train(recipe, task["seed"], folder, dict(parts or {}), observer)
    except NonFiniteError as error:
        state, why, diverged = "diverged", str(error), open_run(folder)
        with stage("measuring the untrained model"):
            made = _train(_untrained(recipe), task["seed"], folder.with_name(f"{folder.name}-untrained"), {}, observer)
    return _record(task, made, quantities, state, why, diverged)


def _time_steps(task: Mapping[str, Any], teller: Teller) -> str:
    """Report how long a step takes; no file is written."""
    parts = _parts(task)
    if parts is not None and not isinstance(parts, Mapping):
        teller.say("at", seconds_per_step=0.0)
        return "finished"
    loop, spent = GenlabLoop(task["recipe"], ENDLESS, task["seed"], **(parts or {})), list[float]()
    while len(spent) <= WARM or sum(spent[WARM:]) < task["measure"]:
        began = time.monotonic()
        loop.step()
        spent.append(time.monotonic() - began)
    teller.say("at", seconds_per_step=float(np.mean(spent[WARM:])))
    return "finished"


def _train(recipe: Recipe, seed: int, folder: Path, parts: dict[str, Any], observer: object) -> Run:
    """Train a run, or resume it where it was stopped; a run that cannot be resumed starts over."""
    make_folder(folder.parent)
    keywords: dict[str, Any] = {"runs": folder.parent, "observers": [observer], "report": False, "progress": False}
    if folder.exists():
        try:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", message=".*already finished.*")
                return train(resume=folder, **keywords, **parts)
        except (CheckpointError, DataError, UsageError) as error:
            warnings.warn(f"{folder} cannot be resumed ({str(error).splitlines()[0]}); starting over", stacklevel=2)
            shutil.rmtree(folder)
    return train(recipe, seed=seed, name=folder.name, **keywords, **parts)


def _untrained(recipe: Recipe) -> Recipe:
    changes: dict[str, Any] = {f"{path}.lr": UNTRAINED for path in recipe.optimiser_sections()}
    return files.load(files.to_dict(recipe), {**changes, "budget.max_steps": 1})


def _record(
    task: Mapping[str, Any], run: Run, quantities: list[Quantity], state: str, why: str, diverged: Run | None
) -> str:
    """Write a run's record and its last sample grid, and delete what only training needs."""
    record = record_of(task, run, quantities, state, why, diverged=diverged)
    grids = run.steps("samples", ".png")
    if grids:
        write(Path(task["sample"]), run.file("samples", grids[-1], ".png").read_bytes())
    write_record(Path(task["record"]), record)
    if not task["keep"]:
        with suppress(UsageError, CheckpointError):  # It was pruned before.
            housekeeping.prune(run.directory)
    return state


def record_of(
    task: Mapping[str, Any],
    run: Run,
    quantities: list[Quantity],
    state: str,
    why: str,
    store: bool = True,
    diverged: Run | None = None,
) -> Record:
    """Record of a run; its images are measured if a quantity needs it, and `store` keeps that evaluation in the run.

    Args:
        diverged: run for which the untrained `run` stands in. Its diagnosis and its steps count; its time is no time of
            a training, and no quantity has it.
    """
    trained = diverged or run
    recipe = run.directory.trained_by()
    numbers, images, began = {}, 0, time.monotonic()
    if FAMILIES[recipe.family].sampling and any(map(needs_images, quantities)):
        images = task["images"]
        evaluation = run.measured(images) or run.evaluate(n=images, keep=store, progress=False).record
        numbers = flat(evaluation)
    rows, provenance = run.metrics(), run.provenance
    parameters = {network["name"]: network["parameters"] for network in provenance["networks"]}
    found = trained.diagnose(keep=False).lasting if any(isinstance(quantity, Found) for quantity in quantities) else ()
    source = Source(
        numbers,
        rows,
        parameters,
        weights_of(run.path) or "",
        {} if diverged else {"seconds": run.seconds},
        frozenset(each.name for each in found),
        diverged.status["total_steps"] if diverged else None,
    )
    return Record(
        **_told(task),
        state=state,
        reason=why,
        data=provenance["data"]["fingerprint"],
        weights=source.weights,
        run=str(provenance.get("id", "")),
        steps=trained.status["step"],
        seconds=round(trained.seconds, 1),
        measuring=round(time.monotonic() - began, 1),
        images=images,
        parameters=parameters,
        metrics=numbers,
        quantities=measured(source, quantities),
        curves=thinned(rows),
        exact=all(entry["exact"] for entry in provenance.get("resumed", [])),
        where={**provenance["machine"], **provenance["versions"]},
    )


def _told(task: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of a record that come from the plan."""
    code = task["code"]
    return {
        "study": task["study"],
        "arm": task["arm"],
        "seed": task["seed"],
        "identity": identity(files.load(task["recipe"])),
        "code": None if code is None else code["sha256"],
        "numerics": NUMERICS,
    }


def _parts(task: Mapping[str, Any]) -> Any:
    """What the user's function returns for this seed; None if the arm has no function."""
    code = task["code"]
    if code is None:
        return None
    function: Callable[[int], Any] = function_of(code["path"], code["sha256"], code["name"])
    with stage(f"running {code['name']} of {Path(code['path']).name}"):
        parts = function(task["seed"])
    if isinstance(parts, Mapping):
        allowed = ("generator", "discriminator", "objective")
        if unknown := sorted(set(parts) - set(allowed)):
            raise UsageError(f"arm {task['arm']}: its function returns {unknown[0]!r}; allowed: {', '.join(allowed)}")
    elif not _may_be_images(parts):
        what = "nothing" if parts is None else f"an object of type {type(parts).__name__}"
        raise UsageError(
            f"arm {task['arm']}: its function returns {what}; it must return a dictionary such as "
            "{'generator': network}, or images (N, C, H, W)"
        )
    return parts


def _may_be_images(given: Any) -> bool:
    """Whether something is an array of numbers with an axis of images, or can be made one."""
    try:
        x = np.asarray(given)
    except Exception:  # A network, a tensor on another device, lists of unequal lengths.
        return False
    return x.ndim > 1 and x.dtype.kind in "biuf"


def _own_loop(task: Mapping[str, Any], given: Any, recipe: Recipe, quantities: list[Quantity]) -> str:
    """Measure the images made by a loop of the user's own."""
    began = time.monotonic()
    images = from_array(np.asarray(given), f"arm {task['arm']}: images")
    train_set = data.load(recipe.data.name)
    way = sizes.way_of(images, train_set, None)
    reference = Reference(recipe.data.name, way, load_judge(recipe.data.name))
    with stage(f"measuring {len(images):,} images"):
        numbers = flat(measure(Samples(images, None, {"of": task["arm"]}, way), reference).record)
    record = Record(
        **_told(task),
        state="finished",
        reason="",
        data=train_set.fingerprint,
        weights="",
        run="",
        steps=0,
        seconds=0.0,
        measuring=round(time.monotonic() - began, 1),
        images=len(images),
        parameters={},
        metrics=numbers,
        quantities=measured(Source(numbers), quantities),
        curves={},
        exact=True,
        where={**machine_of(recipe), **versions()},
        notes=["images of a loop of the author's own: no curves, no weights"],
    )
    write_record(Path(task["record"]), record)
    return "finished"
