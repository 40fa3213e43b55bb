"""Public functions that measure: evaluate images, extract their features, use a run as a judge."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any, Unpack

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from genlab import data
from genlab.api.progress import shown
from genlab.api.run import Run
from genlab.data import Dataset
from genlab.data.folder import from_array, in_memory, read_images
from genlab.data.memory import Images, name_of
from genlab.data.preprocessing import Resize
from genlab.engine.files import destination, expanded, write_json
from genlab.engine.stages import stage
from genlab.errors import DataError, UsageError
from genlab.evaluation import cas, catalogue, judge, kept, sizes
from genlab.evaluation.image_set import Reference, Samples
from genlab.evaluation.judge import Judge, training_command
from genlab.evaluation.judge_search import load as load_judge
from genlab.evaluation.measure import FULL, Evaluation, NotStored, measure, storing
from genlab.families.registry import FAMILIES
from genlab.runs import sampling, search
from genlab.runs.directory import RunDirectory, default_root
from genlab.runs.options import SamplingKeywords

NEAR_CHANCE = 0.1
"""Share of the way from chance to a perfect accuracy below which a judge is said to guess."""
CAS_IMAGES = 60_000


def evaluate(
    source: Images | Run,
    *,
    against: Images | None = None,
    n: int = FULL,
    resize: Resize | None = None,
    judge: str | Path | None = None,
    accuracy_score: bool = False,
    output: str | Path | None = None,
    runs: str | Path | None = None,
    progress: bool = True,
    **how: Unpack[SamplingKeywords],
) -> Evaluation:
    """Measure images of a run, in a folder, in a file or in memory against a dataset's test split.

    The record is written into the run (see `Run.evaluate`), into the folder, beside the file as FILE.evaluation.json,
    or to `output`. Beside images, too, a record of another protocol is never replaced (`evaluation.kept`).

    Args:
        source: a run (as a `Run`, by path or by name); a folder or file, see `data.folder.read_images`; or images in
            memory, see `train`, whose record is kept only in `output`.
        against: the dataset, by name or path, or images in memory (default: the run's own).
        n: number of images to draw from a run; of a folder or file, all are measured.
        resize: how images from a folder or file got their size from the dataset's, if it differs.
        judge: run of a classifier that judges instead of the dataset's own judge.
        accuracy_score: whether to train a classifier on the images, which takes minutes.
        output: .json file for the record, instead of the place beside what was measured.
        progress: whether to show progress in a terminal, in a notebook or on standard error.
        how: how a run's images are drawn; see `SamplingOptions`.

    Raises:
        UsageError: there is no run of that name, or the source cannot be measured in this way.
        DataError: the images or the dataset do not exist or cannot be read.
        StorageError: `output` cannot be written; checked before anything is measured.
        NotStored: the images were measured, but the record could not be written; holds the evaluation.
    """
    root = Path(runs) if runs else default_root()
    place = None if output is None else Path(output)
    if place is not None:
        destination(place, ".json (the record)")
    chosen = None if judge is None else judge_of(judge, root)
    with shown(progress):
        if isinstance(source, Run) or (isinstance(source, str | Path) and is_a_run(source, root, against)):
            run = source if isinstance(source, Run) else Run.at(source, root)
            return _evaluate_run(run, against, n, resize, chosen, accuracy_score, place, how)
        given = f"{source}" if isinstance(source, str | Path) else "an array of images"
        if against is None:
            raise UsageError(f"{given} is not a run: name the dataset to measure against, as in --against mnist")
        if how:
            raise UsageError(f"{given} is not a run, so {', '.join(sorted(how))} cannot be set")
        return _evaluate_images(source, name_of(against), resize, chosen, accuracy_score, place)


def _evaluate_run(
    run: Run,
    against: Images | None,
    n: int,
    resize: Resize | None,
    chosen: Judge | None,
    accuracy_score: bool,
    place: Path | None,
    how: SamplingKeywords,
) -> Evaluation:
    own = run.recipe.data.name
    if against is not None and data.settled(name_of(against), None) != own:
        raise UsageError(
            f"{run.path.name} was trained on {own} and is measured against it; for another dataset save its images "
            f"(genlab sample {run.path.name} -n 10000 -o FILE.npz) and evaluate that file"
        )
    if resize is not None:
        raise UsageError("a run's resize rule comes from its recipe; leave --resize out")
    if accuracy_score:
        _check_accuracy_score(run)
    try:
        found, refused = run.evaluate(n=n, judge=chosen, keep=place is None, **how), None
    except NotStored as error:
        found, refused = error.found, error
    if accuracy_score:
        _add_accuracy_score(run, found, store=place is None and refused is None, **how)
    if refused is not None:
        raise refused
    if place is not None:
        with storing(found):
            write_json(place, found.record)
            found = replace(found, file=place)
    return found


def _evaluate_images(
    source: Images, dataset: str, resize: Resize | None, chosen: Judge | None, accuracy_score: bool, place: Path | None
) -> Evaluation:
    train = data.load(dataset)
    path = expanded(source) if isinstance(source, str | Path) else None
    read = in_memory if path is None else read_images
    images, requested, notes = read(source if path is None else path, train.class_names)
    of = "images in memory" if path is None else str(path)
    if accuracy_score:
        if requested is None:
            raise UsageError(f"{of}: the accuracy score needs the class that each image was meant to show")
        _check_score(dataset, train, len(images))
    way = sizes.way_of(images, train, resize)
    reference = Reference(dataset, way, chosen or load_judge(dataset))
    with stage(f"measuring {len(images):,} images", catalogue.SECONDS):
        found = measure(Samples(images, requested, {"of": of}, way), reference)
    found.record["notes"] += notes
    with storing(found):
        if accuracy_score:
            _with_score(found, found.fake.images, requested)
        if place is not None:
            write_json(place, found.record)
        elif path is not None:
            place = kept.keep_beside(path, found.record)
    return replace(found, file=place)


def is_a_run(source: str | Path, root: Path, against: Any = None) -> bool:
    """Whether `source` names a run, or at least nothing else that exists.

    Raises:
        DataError: nothing of that name exists, and with a dataset to measure against, images may be meant as well.
    """
    run, there = search.is_meant(source, root), expanded(source).exists()
    if run and there and not search.is_run(Path(source)):
        warnings.warn(
            f"{source} is both a run and a file or folder: the run is measured; for the other give ./{source}",
            stacklevel=4,
        )
    if not there and against is not None and not search.is_run(root / source):
        raise DataError(f"{source}: no such file or folder of images, and no run of that name in {root}")
    return run


def _check_accuracy_score(run: Run) -> None:
    """Check before any work that a classifier can learn from a run."""
    if not run.recipe.conditional:
        raise UsageError(
            f"{run.path.name} is unconditional: its images have no classes, so no classifier can learn from them"
        )
    name = run.recipe.data.name
    train = data.load(name)
    _check_score(name, train, min(CAS_IMAGES, len(train)))


def _check_score(dataset: str, train: Dataset, images: int) -> None:
    """Check before any work that a classifier can be trained on this many images, and tested."""
    test = data.load_test(dataset)
    if test is None or test.labels is None:
        raise UsageError(f"{dataset} has no test split with labels: no classifier can be tested")
    if min(images, len(train)) < cas.LEAST:
        raise UsageError(
            f"the accuracy score needs {cas.LEAST} images or more, generated and real: there are {images:,} "
            f"and {len(train):,}"
        )
    cas.recipe_of(train)


def _add_accuracy_score(run: Run, found: Evaluation, store: bool, **how: Unpack[SamplingKeywords]) -> None:
    labels = found.against.requests(CAS_IMAGES)
    assert labels is not None
    drawn = run.sample_classes(labels, **how)
    real = found.against.real.images
    _with_score(found, found.against.way.back(drawn, real.shape[2], real.shape[1]), labels)
    if store and found.file is not None:
        with storing(found):
            kept.keep(run.directory, found.file.name, found.record)


def _with_score(found: Evaluation, images: Any, labels: Any) -> None:
    """Add the classification accuracy score, and as its floor that of equally many real images."""
    test = data.load_test(found.against.dataset)
    assert test is not None, "was checked before"
    real = found.against.training_images(len(images))
    classes = len(real.class_names)
    # What resizing took from the generated images, the real ones must lack, too.
    real, test = (replace(each, images=found.against.way.there_and_back(each)) for each in (real, test))
    with stage("training classifiers on generated and on real images", 2):
        mine = cas.accuracy_score(images, labels, test, classes)
        floor = cas.accuracy_score(real.images, np.asarray(real.labels), test, classes)
    found.record["metrics"]["classification_accuracy_score"] = {
        "value": mine.value,
        "interval": None if mine.interval is None else list(mine.interval),
        "floor": floor.value,
        "n": len(images),
    }


def features(
    images: NDArray[Any] | Tensor, dataset: str, *, resize: Resize | None = None, judge: str | Path | None = None
) -> NDArray[np.float32]:
    """Features (N, d) that a judge extracts from images, for the functions of `genlab.metrics`; d is 64 for MNIST.

    Args:
        images: uint8, or float in [0, 1] as `Run.sample` gives them; N x H x W, N x C x H x W or N x H x W x C.
        dataset: dataset whose judge reads the images, such as "mnist"; images of another size are brought to its size.
        resize: how the images got their size from the dataset's (default: inferred from the images).
        judge: run of a classifier that reads the images instead of the dataset's own judge.

    Raises:
        UsageError: the dataset has no judge, or it is unclear how the images got their size.
        DataError: the images are not such an array.
    """
    x = images.detach().cpu().numpy() if isinstance(images, Tensor) else np.asarray(images)
    chosen = load_judge(dataset) if judge is None else judge_of(judge)
    train = data.load(dataset)
    if chosen is None:
        raise UsageError(f"{dataset} has no judge of its own; {training_command(dataset)} makes one (judge=RUN)")
    known = from_array(x, "images")
    way = sizes.way_of(known, train, resize)
    return chosen(way.back(known, train.side, train.channels))[0]


def judge_of(run: str | Path, root: Path | None = None) -> Judge:
    """Run of a classifier as a judge, with remarks on its quality.

    Raises:
        UsageError: the run is not a classifier.
        CheckpointError: the run never saved anything.
    """
    found = Run(RunDirectory.open(run, root).path)
    made = judge.from_bytes(judge_bytes(found), found.path.name)
    learned = found.provenance["data"]
    return replace(made, dataset=learned["name"], fingerprint=learned["fingerprint"], remarks=_remarks(found))


def _remarks(run: Run) -> tuple[str, ...]:
    """Remarks on how well a judge's run names classes, and on whether it is finished."""
    name, classes, status = run.path.name, run.provenance["data"]["class_names"], run.status
    said = []
    if status["state"] != "finished":
        total = status.get("total_steps")
        of = f" of {total:,}" if total else ""
        said.append(f"judge {name} was not trained to its end: {status['state']}, step {status['step']:,}{of}")
    accuracy = next((row["test_accuracy"] for row in reversed(run.metrics()) if row.get("test_accuracy")), None)
    if accuracy is None:
        said.append(f"judge {name} was never tested: no accuracy on a test split with labels is recorded")
    else:
        guessing = 1 / len(classes)
        near = accuracy < guessing + NEAR_CHANCE * (1 - guessing)
        chance = "; that is close to chance, so its results mean little" if near else ""
        said.append(
            f"judge {name} classifies {accuracy:.2%} of the test images of {run.recipe.data.name} correctly{chance}"
        )
    return tuple(said)


def judge_bytes(run: Run) -> bytes:
    """Content of a judge file, from a classifier's run; see `judge.to_bytes`. Only packaged judges lack a fingerprint.

    Raises:
        UsageError: the run is not a classifier.
    """
    recipe = run.recipe
    if FAMILIES[recipe.family].naming is None:
        raise UsageError(f"{run.path.name} is a {FAMILIES[recipe.family].called}; a judge is a classifier")
    network = sampling.load_network(run, "classifier")
    learned = run.provenance["data"]
    fingerprint = None if recipe.data.name in judge.RECIPES else learned["fingerprint"]
    return judge.to_bytes(network, recipe, tuple(learned["class_names"]), fingerprint)
