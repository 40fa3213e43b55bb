"""The commands that measure: each a thin wrapper around a function of `api.evaluate`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from genlab.cli.options import AS_THE_RUN_DOES, Draw, Json, Judge, Runs, whole
from genlab.engine.console import say

Output = Annotated[
    Path | None,
    Parameter(name=["-o", "--output"], help="Write the record to this .json file (default: beside the images)."),
]


def evaluate(
    source: Annotated[str, Parameter(help="Run, folder or archive of pictures, or a file of images.")],
    /,
    *,
    against: Annotated[str | None, Parameter(help="Dataset to measure against (default: the run's own).")] = None,
    n: Annotated[
        int | None,
        Parameter(converter=whole, name=["-n", "--number"], help="Images to draw from a run (default: 10,000)."),
    ] = None,
    resize: Annotated[
        Literal["pad", "edge", "crop", "bilinear", "bicubic", "lanczos", "nearest", "box", "torch-bilinear"] | None,
        Parameter(help="How the images of a folder or file were resized (default: guessed)."),
    ] = None,
    judge: Judge = None,
    cas: Annotated[
        bool, Parameter(negative="", help="Also train a classifier on the images (accuracy score); takes minutes.")
    ] = False,
    output: Output = None,
    draw: Draw = AS_THE_RUN_DOES,
    runs: Runs = None,
    json: Json = False,
) -> None:
    """Measure images against real ones: quality, classes, diversity, copies."""
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
            **draw.chosen(),
        )
    except NotStored as error:
        _print(error.found.record, json)
        sys.stdout.flush()
        raise
    _print(found.record, json)
    if found.file is not None and not json:
        full = found.file.with_name(kept.FULL_FILE)
        beside = found.file.parent.name == "evaluations" and found.file != full and full.exists()
        say(f"kept  {found.file}" + ("; the report keeps the full evaluation, evaluation.json" if beside else ""))


def _print(found: dict[str, Any], json: bool) -> None:
    """Print a record as table, protocol and notes, or as JSON."""
    from genlab.cli import terminal
    from genlab.report import text

    if json:
        terminal.show_json(found)
        return
    terminal.show_table(text.table(found))
    say("\n" + terminal.wrapped(text.protocol(found)))
    for note in found["notes"]:
        say(terminal.wrapped(note, "note: "))


def metrics(*, json: Json = False) -> None:
    """Explain every metric: what it says, and what it cannot see."""
    from genlab.cli import terminal
    from genlab.evaluation.catalogue import IN_FEATURES, METRICS
    from genlab.report import text

    if json:
        said = [{"name": m.name, "title": m.title, "says": m.says, "blind": m.blind} for m in METRICS.values()]
        terminal.show_json(said)
        return
    for metric in METRICS.values():
        say(f"{text.title(metric.name)}  {metric.name}")
        say(terminal.wrapped(metric.says, "  says      "))
        say(terminal.wrapped(metric.blind, "  blind to  ") + "\n")
    say(terminal.wrapped(IN_FEATURES))
