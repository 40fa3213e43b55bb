"""The commands that measure: each a thin call of `api_metrics`. `cli` puts them on the command line."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import App, Parameter

from genlab.cli.draw import Draw, Drawing, Json, RunName, Runs, whole
from genlab.engine.console import say, waiting

judge = App(name="judge", help="Judges: the frozen classifiers that the metrics use.")
Judge = Annotated[str | None, Parameter(help="A run of a classifier, instead of the dataset's own judge.")]
AS_THE_RUN_DOES = Drawing()
Dataset = Annotated[str, Parameter(help="A built-in dataset, or the path of an npz file.")]


def evaluate(
    source: Annotated[str, Parameter(help="A run, a folder of pictures, or an npz file with `images`.")],
    /,
    *,
    against: Annotated[str | None, Parameter(help="The dataset; a run's own without it.")] = None,
    n: Annotated[
        int | None, Parameter(converter=whole, name=["-n", "--number"], help="Images to draw from a run; 10,000.")
    ] = None,
    resize: Annotated[
        Literal["pad", "crop", "bilinear", "bicubic", "lanczos", "nearest", "box", "torch-bilinear"] | None,
        Parameter(help="How images from a folder or file were resized from the dataset's size (default: guessed)."),
    ] = None,
    judge: Judge = None,
    cas: Annotated[
        bool, Parameter(negative="", help="Also train a classifier on the images (accuracy score); takes minutes.")
    ] = False,
    output: Annotated[
        Path | None,
        Parameter(name=["-o", "--output"], help="Write the record to this .json file; without it, beside the images."),
    ] = None,
    draw: Draw = AS_THE_RUN_DOES,
    runs: Runs = None,
    json: Json = False,
) -> None:
    """Measure images against real ones: quality, classes, diversity, copies; each number with interval and floor."""
    from genlab.api import evaluate as api_metrics
    from genlab.evaluation import kept
    from genlab.evaluation.measure import FULL, NotStored

    try:
        found = api_metrics.evaluate(
            source,
            against=against,
            n=FULL if n is None else n,
            resize=resize,
            judge=judge,
            accuracy_score=cas,
            output=output,
            runs=runs,
            progress=waiting,
            **draw.chosen(),
        )
    except NotStored as error:
        _print(error.found.record, json)
        sys.stdout.flush()
        raise
    _print(found.record, json)
    if found.file is not None and not json:
        beside = found.file.parent.name == "evaluations" and found.file.name != kept.FULL_FILE
        say(f"kept  {found.file}" + ("; the report keeps the full evaluation, evaluation.json" if beside else ""))


def _print(found: dict[str, Any], json: bool) -> None:
    """A record for a person: table, protocol, notes; or as JSON."""
    from genlab.cli import terminal
    from genlab.report import text

    if json:
        terminal.show_json(found)
        return
    terminal.show_table(text.table(found))
    say(f"\n{text.protocol(found)}")
    for note in found["notes"]:
        say(f"note: {note}")


def compare(
    first: RunName,
    second: RunName,
    /,
    *others: Annotated[str, Parameter(help="More runs.")],
    runs: Runs = None,
    json: Json = False,
) -> None:
    """Set the evaluations of runs beside each other; a run that has none is evaluated first."""
    from genlab.api import evaluate as api_metrics
    from genlab.cli import terminal
    from genlab.report import text

    found = api_metrics.compare([first, second, *others], runs=runs)
    if json:
        terminal.show_json(found)
    else:
        terminal.show_table(text.comparison(found))
        say("\nIntervals are of one run's images; they do not say what another seed would give.")


@judge.command(name="train")
def judge_train(
    dataset: Dataset,
    /,
    *,
    seed: Annotated[int, Parameter(converter=whole, help="Of everything random.")] = 0,
    runs: Runs = None,
    json: Json = False,
) -> None:
    """Train the judge of a dataset by its recipe: a run, with judge.safetensors in it."""
    from genlab.api import evaluate as api_metrics
    from genlab.api import progress
    from genlab.cli import terminal
    from genlab.evaluation.judge import PINNED

    run, made = api_metrics.train_judge(dataset, seed=seed, runs=runs, observers=[progress.progress()])
    last, pinned = run.metrics()[-1], PINNED.get(dataset)
    facts = {
        "run": str(run.path),
        "test_accuracy": last.get("test_accuracy"),
        "seconds": run.seconds,
        "sha256": made.sha256,
        "pinned": pinned,
    }
    if json:
        terminal.show_json(facts)
        return
    if facts["test_accuracy"] is not None:
        say(f"test accuracy {facts['test_accuracy']:.2%}, trained in {run.seconds:.0f} s")
    say(f"judge   {run.path / 'judge.safetensors'}\nsha256  {made.sha256}")
    if pinned:
        same = "the same, bit for bit" if pinned == made.sha256 else "other bits: another machine rounds otherwise"
        say(f"pinned  {pinned}\n        {same}; the metrics go on with the pinned one")
    else:
        say(f"use it  genlab evaluate RUN --judge {run.path.name}")


@judge.command(name="test")
def judge_test(
    dataset: Dataset,
    /,
    *,
    judge: Judge = None,
    output: Annotated[
        Path | None, Parameter(name=["-o", "--output"], help="Draw the responses into this .png file.")
    ] = None,
    runs: Runs = None,
    json: Json = False,
) -> None:
    """Try a judge: accuracy, calibration, and how the distance answers to disturbed real images."""
    from genlab.api import evaluate as api_metrics
    from genlab.cli import terminal
    from genlab.engine import files
    from genlab.evaluation.judge_trial import facts
    from genlab.report import tables
    from genlab.report.figures import evaluation as figures

    if output is not None:
        files.destination(output, ".png (the responses)")
    found = api_metrics.try_judge(dataset, run=judge, runs=runs, progress=waiting)
    if output is not None:
        files.write(output, figures.judge_trial(found))
    if json:
        terminal.show_json(facts(found))
        return
    say("\n".join(f"{name}: {value}" for name, value in found.words()))
    say()
    terminal.show_table(tables.of_judge_trial(found))


COMMANDS = (evaluate, compare)
