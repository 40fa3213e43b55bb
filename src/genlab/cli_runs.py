"""The commands about runs on disk: which there are, and whether they are whole. `cli` puts them on the command line."""

from __future__ import annotations

from typing import Annotated

from cyclopts import App, Parameter

from genlab.cli_looks import Json, Runs
from genlab.console import say
from genlab.errors import CheckpointError

app = App(name="runs", help="List the runs and their state; see whether their files are whole.")


@app.default
def show(*, runs: Runs = None, json: Json = False) -> None:
    """List the runs and their state: created, running, finished, interrupted, failed, killed, damaged."""
    from genlab import tables, verification
    from genlab.runs import default_root, list_runs

    found = [verification.state_of(run) for run in list_runs(runs)]
    if json:
        tables.show_json(found)
    elif found:
        tables.show_table(verification.table(found))
    else:
        say(f"no runs in {runs or default_root()}; begin with: genlab train quick-mnist")


@app.command
def verify(
    run: Annotated[
        str | None, Parameter(help="A run: its path, or its name under --runs; all runs without it.")
    ] = None,
    /,
    *,
    runs: Runs = None,
    json: Json = False,
) -> None:
    """Read every file of a run again, against its hash; exit code 4 if one is damaged."""
    from genlab import tables, verification
    from genlab.runs import RunDirectory, list_runs

    chosen = [RunDirectory.open(run, runs)] if run is not None else list_runs(runs)
    found = [verification.verify(each) for each in chosen]
    if json:
        tables.show_json([each.facts for each in found])
    else:
        say("\n".join(each.words for each in found))
    damaged = [each.run.path.name for each in found if each.damages]
    if damaged:
        raise CheckpointError(f"damaged: {', '.join(damaged)}")
