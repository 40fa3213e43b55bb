"""The commands that train, and that show what would be trained."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from genlab.cli import terminal
from genlab.cli.options import Json, RunName, Runs, whole
from genlab.engine import console
from genlab.engine.console import say, visible
from genlab.report import tables


def train(
    recipe: Annotated[str | None, Parameter(help="Built-in recipe (see genlab recipes) or .yaml file.")] = None,
    /,
    *,
    epochs: Annotated[
        int | None, Parameter(converter=whole, help="Epochs to train; short for --budget.epochs.")
    ] = None,
    seed: Annotated[int | None, Parameter(converter=whole, help="Random seed (default 0).")] = None,
    name: Annotated[str | None, Parameter(help="Name of the run (default: RECIPE-seedS-NNN).")] = None,
    resume: Annotated[str | None, Parameter(help="Run to resume, instead of starting a recipe.")] = None,
    strict: Annotated[
        bool, Parameter(negative="", help="Refuse to resume from any but the newest checkpoint.")
    ] = False,
    runs: Runs = None,
    json: Json = False,
    overrides: Annotated[dict[str, Any] | None, Parameter(parse=False)] = None,
) -> None:
    """Train a recipe with live progress, and write a run with its report.

    Every field of the recipe is a flag by its path, such as
    --objective.lambda 0.1, --data.name my.npz, --ema null;
    genlab show RECIPE --yaml prints them all. With --resume
    only --epochs and --engine.FIELD may be given.
    """
    from genlab.api import progress
    from genlab.api import train as api
    from genlab.report import text as words

    run = api.train(
        recipe,
        epochs=epochs,
        seed=seed,
        overrides=overrides,
        name=name,
        runs=runs,
        resume=resume,
        strict=strict,
        observers=[progress.progress()],
    )
    report = run.path / "report.html"
    if json:
        facts: dict[str, Any] = {
            "seconds": run.seconds,
            "images_per_second": round(run.images_per_second, 1),
            "report": str(report),
        }
        if run.evaluation:
            facts["metrics"] = run.evaluation["metrics"]
        terminal.show_json({"run": str(run.path), **facts})
    else:
        say(f"training took {run.seconds:.0f} s, {run.images_per_second:,.0f} images/s")
        said = words.summary(run.evaluation) if run.evaluation else []
        width = max(8, *(len(name) + 2 for name, _ in said)) if said else 8
        for name, line in [*said, ("run", str(run.path)), ("report", str(report))]:
            say(f"{name:{width}}{line}")


def recipes(*, json: Json = False) -> None:
    """List the built-in recipes."""
    from genlab.recipe import files

    found = [files.load(name) for name in files.names()]
    if json:
        terminal.show_json([{"name": r.name, "family": r.family, "description": r.description} for r in found])
    else:
        rows = [(r.name, r.family, r.description) for r in found]
        terminal.show_table(tables.Table("", ("recipe", "family", "what it is"), rows))


def show(
    recipe: Annotated[str, Parameter(help="Built-in recipe or .yaml file.")],
    /,
    *,
    yaml: Annotated[bool, Parameter(negative="", help="Print the complete recipe as YAML instead.")] = False,
    output: Annotated[
        Path | None, Parameter(name=["-o", "--output"], help="Draw the system and its networks into this .svg file.")
    ] = None,
    json: Json = False,
    overrides: Annotated[dict[str, Any] | None, Parameter(parse=False)] = None,
) -> None:
    """Show what a recipe would train: layers, parameters, multiply-adds, objective, cost of an epoch."""
    from genlab.api import layers
    from genlab.api import train as api
    from genlab.engine.files import destination, write
    from genlab.recipe import files

    if output is not None:
        destination(output, ".svg (the drawing)")
    if yaml:
        loaded = files.load(recipe, overrides)
        text = files.dump(loaded)
        say(text if console.shows(text) else files.dump(loaded, ascii=True), end="")
        return
    shown = api.show(recipe, overrides)
    if output is not None:
        write(output, shown.drawing.encode())
    if json:
        terminal.show_json(layers.as_json(shown))
    else:
        say(f"{shown.recipe.name}: {visible(shown.recipe.description, keep='')}")
        if overrides:
            say("changed: " + ", ".join(f"{path} {value}" for path, value in overrides.items()))
        say()
        for description in shown.networks:
            terminal.show_table(tables.of_layers(description))
            say()
        say("\n".join([*shown.equations, "", shown.cost.words]))
        if output is not None:
            say(f"drawing  {output}")


def report(run: RunName, /, *, runs: Runs = None) -> None:
    """Rebuild a run's report.html."""
    from genlab.api import train as api

    say(api.open_run(run, runs=runs).report())
