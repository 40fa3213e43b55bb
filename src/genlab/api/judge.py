"""Public functions for judges: train one, try one."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from genlab import data
from genlab.api import train as api
from genlab.api.evaluate import judge_bytes, judge_of
from genlab.api.progress import shown
from genlab.api.run import Run
from genlab.data import Dataset, selection
from genlab.data.memory import Images, name_of
from genlab.engine.console import note
from genlab.engine.files import write
from genlab.errors import Stopped, UsageError
from genlab.evaluation import judge, judge_search, judge_trial
from genlab.evaluation.judge import Judge
from genlab.evaluation.judge_search import load as load_judge
from genlab.runs.directory import default_root
from genlab.runs.earlier import earlier
from genlab.training.assemble import settle

STEPS, BATCH, EPOCHS = 1500, 128, 5
"""A judge of few images is trained for `STEPS` steps and `EPOCHS` epochs or more, with batches of at most `BATCH`."""
FEW = 1000


def train_judge(
    dataset: Images,
    *,
    seed: int = 0,
    runs: str | Path | None = None,
    overrides: dict[str, Any] | None = None,
    observers: Sequence[object] = (),
    progress: bool = True,
) -> tuple[Run, Judge, Path | None]:
    """Train the judge of a dataset with its recipe; returns its run, the judge, and where it is kept.

    Your own dataset gets the recipe of MNIST's judge, with its own size and channels. The judge is written to
    judge.safetensors in the run and, if the package has no judge for the dataset, also beside the dataset (see
    `evaluation.judge_search`), where every later evaluation finds it.

    Args:
        dataset: a name or path, or images in memory (see `train`).

    Raises:
        UsageError: the dataset has no classes, or is judged by another dataset's judge.
    """
    place = name_of(dataset)
    if (inner := selection.parts(place)) is not None:
        raise UsageError(
            f"{place} is part of {inner[0]}, whose judge is used for it, limited to these classes: "
            f"{judge.training_command(place)}"
        )
    if place in judge.EACH_CHANNEL:
        raise UsageError(f"{place} is judged channel by channel by the judge of {judge.EACH_CHANNEL[place]}")
    name, changes, fingerprint = judge.RECIPES.get(place), dict(overrides or {}), None
    if name is None:
        train = data.load(place)
        _check_judgeable(place, train)
        name, changes, fingerprint = "judge-mnist", {**_fitting(place, train), **changes}, train.fingerprint
    root = Path(runs) if runs else default_root()
    trained = partial(api.train, runs=root, observers=observers, progress=progress)
    stopped = earlier(settle(name, changes)[0], seed, ("interrupted", "killed"), root)
    try:
        if stopped is None:
            run = trained(name, seed=seed, overrides=changes)
        else:
            note(f"resuming {stopped.path.name}, which was stopped at step {stopped.status['step']:,}")
            run = trained(resume=stopped.path)
    except Stopped as error:
        words = f"{str(error).partition(';')[0]}; the same command resumes it"
        raise Stopped(words, error.exit_code) from None
    content = judge_bytes(run)
    write(run.path / "judge.safetensors", content)
    kept = None if fingerprint is None else judge_search.keep(place, fingerprint, content)
    return run, judge.from_bytes(content, place), kept


def _fitting(place: str, train: Dataset) -> dict[str, Any]:
    """Overrides that fit the recipe of MNIST's judge to another dataset."""
    batch = min(BATCH, max(2, len(train) // 2))
    epochs = max(EPOCHS, -(-STEPS // (len(train) // batch)))
    form = {"data.name": place, "data.size": train.side, "data.channels": train.channels}
    return {**form, "budget.batch": batch, "budget.epochs": epochs}


def _check_judgeable(dataset: str, train: Dataset) -> None:
    """Check that a classifier can learn anything from a dataset, and warn if it will learn little."""
    if train.labels is None or len(train.class_names) < 2:
        what = "has no labels" if train.labels is None else "has one class"
        raise UsageError(
            f"{dataset} {what}, so no judge can be trained; it is measured by a random network's features and by pixels"
        )
    if len(train) < FEW:
        warnings.warn(
            f"{len(train):,} training images are few for a judge: check its accuracy on the test split before trusting "
            "it, and compare only numbers from this judge",
            stacklevel=3,
        )


def try_judge(
    dataset: str,
    *,
    run: str | Path | None = None,
    runs: str | Path | None = None,
    disturb: bool = True,
    progress: bool = True,
) -> judge_trial.Response:
    """Response of a dataset's judge (or of a classifier's run in its place) to the test split and to disturbed images.

    Args:
        disturb: whether to measure disturbed images, too, which takes minutes if the test split is large.

    Raises:
        UsageError: the dataset has no judge of its own, or no test split with labels.
    """
    chosen = load_judge(dataset) if run is None else judge_of(run, Path(runs) if runs else default_root())
    if chosen is None or chosen.each_channel > 1:
        raise UsageError(
            f"{dataset} has no judge of its own (in the package: {', '.join(judge.PINNED)}); "
            f"{judge.training_command(dataset)} makes one, or give --judge RUN"
        )
    test = data.load_test(dataset)
    if test is None or test.labels is None:
        raise UsageError(f"{dataset} has no test split with labels")
    if chosen.fingerprint not in (None, data.load(dataset).fingerprint):
        warnings.warn(f"judge {chosen.name} was trained on {chosen.dataset}, other data than {dataset}", stacklevel=2)
    with shown(progress):
        return judge_trial.respond(chosen, dataset, disturb)
