"""The commands for runs on disk: which ones exist, and whether they are intact."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter

from genlab.cli.options import Json, RunName, Runs
from genlab.engine.console import ask, say
from genlab.errors import CheckpointError, UsageError, counted

if TYPE_CHECKING:
    from genlab.runs.directory import RunDirectory

app = App(name="runs", help="List, check, prune and remove runs.")


Names = Annotated[list[str], Parameter(help="Runs: their paths, or their names under --runs.")]
Yes = Annotated[bool, Parameter(negative="", help="Do not ask.")]


@app.default
def show(
    *,
    sort: Annotated[str, Parameter(help="Order: name, date, quality, state or size.")] = "name",
    csv: Annotated[Path | None, Parameter(help="Write the list to this .csv file.")] = None,
    runs: Runs = None,
    json: Json = False,
) -> None:
    """List the runs in a folder and its subfolders: state, quality (Frechet distance over that of real images, or
    accuracy), size, what was changed; copies are marked."""
    from genlab.cli import terminal
    from genlab.engine import files
    from genlab.report import tables
    from genlab.runs.directory import default_root
    from genlab.runs.listing import overview

    if csv is not None:
        files.destination(csv, ".csv (the list)")
    found = overview(runs, sort)
    if csv is not None:
        files.write(csv, tables.csv(found).encode())
    if json:
        terminal.show_json(found)
    elif csv is not None:
        say(f"{csv}: {counted(len(found), 'run')}")
    elif found:
        terminal.show_table(tables.of_runs(found))
        if sys.stdout.isatty():
            words = (
                "quality: Frechet distance over that of real images (x; with the number of images, if fewer than "
                "10,000), or accuracy"
            )
            say(terminal.wrapped(words))
    else:
        say(f"no runs in {runs or default_root()}; begin with: genlab train quick-mnist")


@app.command
def rm(names: Names, /, *, yes: Yes = False, runs: Runs = None) -> None:
    """Remove runs for good."""
    from genlab.runs import housekeeping

    chosen = _chosen(names, runs)
    _confirm(f"remove {_counted(chosen)}?", yes)
    for run in chosen:
        say(f"{run.path}: removed, {housekeeping.remove(run) / 1e6:.1f} MB")


@app.command
def prune(names: Names, /, *, yes: Yes = False, runs: Runs = None) -> None:
    """Make finished runs smaller; they can be sampled, explored and reported as before, but not trained further."""
    from genlab.runs import housekeeping

    chosen = _chosen(names, runs)
    for run in chosen:
        housekeeping.check_finished(run)
    _confirm(f"remove from {_counted(chosen)} what only further training needs?", yes)
    for run in chosen:
        freed = housekeeping.prune(run)
        say(f"{run.path}: {freed / 1e6:.1f} MB removed")


def _chosen(names: list[str], root: Path | None) -> list[RunDirectory]:
    from genlab.runs.directory import RunDirectory

    return list({run.path.resolve(): run for run in (RunDirectory.open(name, root) for name in names)}.values())


def _counted(chosen: list[RunDirectory]) -> str:
    from genlab.runs.listing import size

    what = str(chosen[0].path) if len(chosen) == 1 else counted(len(chosen), "run")
    return f"{what} ({sum(size(run.path) for run in chosen) / 1e6:.1f} MB)"


def _confirm(question: str, yes: bool) -> None:
    if yes:
        return
    answer = ask(question)
    if answer is None:
        raise UsageError("cannot ask for confirmation here; add --yes")
    if not answer:
        raise UsageError("nothing was removed")


@app.command
def verify(
    run: Annotated[str | None, Parameter(help="Run: its path, or its name under --runs (default: all runs).")] = None,
    /,
    *,
    recompute: Annotated[
        bool, Parameter(negative="", help="Also draw and measure the samples again, and compare; takes minutes.")
    ] = False,
    runs: Runs = None,
    json: Json = False,
) -> None:
    """Check every file of a run against its hash; exit code 4 if one is damaged."""
    from genlab.cli import terminal
    from genlab.runs import verify as verification
    from genlab.runs.directory import RunDirectory, list_runs

    chosen = [RunDirectory.open(run, runs)] if run is not None else list_runs(runs, deep=True)
    facts, damaged = [], []
    for each in chosen:
        found = verification.verify(each)
        facts.append(found.facts)
        damages = list(found.damages)
        if not json:
            say(found.words)
        if recompute:
            damages += _recompute(each.path, facts[-1], json)
        if damages:
            damaged.append(each.path.name)
    if json:
        terminal.show_json(facts)
    if damaged:
        raise CheckpointError(f"damaged: {', '.join(damaged)}")


def _recompute(path: Path, facts: dict[str, Any], json: bool) -> list[str]:
    """Draw and measure again, and add the result to the facts; returns the damages."""
    from genlab.api.recompute import recompute
    from genlab.api.run import Run

    found = recompute(Run(path))
    facts["recomputed"] = {"said": [f"{name}: {line}" for name, line in found.said], "damages": found.damages}
    if not json:
        for name, line in found.said:
            say(f"  {name}: {line}")
        for line in found.damages:
            say(f"  {line}")
    return found.damages


@app.command
def relocate(
    run: RunName,
    dataset: Annotated[str, Parameter(help="Where the images are now: a folder or file.")],
    /,
    *,
    runs: Runs = None,
) -> None:
    """Tell a run where its dataset is now; it is recognised by its fingerprint."""
    from genlab.api import train

    found = train.open_run(run, runs=runs)
    found.relocate(dataset)
    say(f"{found.path.name}: dataset {found.directory.trained_by().data.name}")
