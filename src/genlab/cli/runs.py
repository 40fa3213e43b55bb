"""The commands about runs on disk: which there are, and whether they are whole."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter

from genlab.cli.options import Json, RunName, Runs
from genlab.engine.console import say, waiting
from genlab.errors import CheckpointError

app = App(name="runs", help="List runs; check that their files are intact.")


@app.default
def show(*, runs: Runs = None, json: Json = False) -> None:
    """List the runs and their state: created, running, finished, interrupted, failed, killed, damaged,
    unreadable."""
    from genlab.cli import terminal
    from genlab.report import tables
    from genlab.runs import verify as verification
    from genlab.runs.directory import default_root, list_runs

    found = [verification.state_of(run) for run in list_runs(runs)]
    if json:
        terminal.show_json(found)
    elif found:
        terminal.show_table(tables.of_runs(found))
    else:
        say(f"no runs in {runs or default_root()}; begin with: genlab train quick-mnist")


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

    chosen = [RunDirectory.open(run, runs)] if run is not None else list_runs(runs)
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
    """Add to the facts what drawing and measuring again finds; its damages."""
    from genlab.api.recompute import recompute
    from genlab.api.run import Run

    found = recompute(Run(path), waiting)
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
    dataset: Annotated[str, Parameter(help="Path of the npz file.")],
    /,
    *,
    runs: Runs = None,
) -> None:
    """Tell a run where its dataset is now; it is recognised by its fingerprint."""
    from genlab.api import train

    found = train.open_run(run, runs=runs)
    found.relocate(dataset)
    say(f"{found.path.name}: dataset {found.directory.trained_by().data.name}")
