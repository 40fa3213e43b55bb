"""The commands that train, and that show what would be trained."""

from __future__ import annotations

import os
import sys
import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from genlab.cli import terminal
from genlab.cli.options import Data, Json, Minutes, RunName, Runs, whole
from genlab.engine import console
from genlab.engine.console import say, visible
from genlab.errors import UsageError
from genlab.report import tables

if TYPE_CHECKING:
    from genlab.api.run import Run


StopOn = Annotated[
    Literal["collapse"] | None,
    Parameter(help="End training once every z gives nearly the same image (exit code 9)."),
]
SHOWN = 5
"""Samples that are drawn on the terminal after training."""


def train(
    recipe: Annotated[str | None, Parameter(help="Built-in recipe (see genlab recipes) or .yaml file.")] = None,
    /,
    *,
    data: Data = None,
    epochs: Annotated[
        int | None, Parameter(converter=whole, help="Epochs to train; short for --budget.epochs.")
    ] = None,
    minutes: Minutes = None,
    seed: Annotated[int | None, Parameter(converter=whole, help="Random seed (default 0).")] = None,
    name: Annotated[str | None, Parameter(help="Name of the run (default: RECIPE-CHANGES-seedS-NNN).")] = None,
    resume: Annotated[str | None, Parameter(help="Run to resume, instead of starting a recipe.")] = None,
    strict: Annotated[
        bool, Parameter(negative="", help="Refuse to resume from any but the newest checkpoint.")
    ] = False,
    stop_on: StopOn = None,
    runs: Runs = None,
    json: Json = False,
    overrides: Annotated[dict[str, Any] | None, Parameter(parse=False)] = None,
) -> None:
    """Train a recipe with live progress, and write a run with its report.

    Every field of the recipe is a flag named after its path,
    such as --objective.lambda 0.1, --data.subset 500, --ema
    null; genlab show RECIPE --yaml prints them all. With
    --resume, only --epochs and --engine.FIELD may be given.
    """
    from genlab.api import train as api

    run = api.train(
        recipe,
        data=data,
        epochs=epochs,
        minutes=minutes,
        seed=seed,
        overrides=overrides,
        name=name,
        runs=runs,
        resume=resume,
        strict=strict,
        stop_on=stop_on,
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
        _draw_some(run)
        _tell(run, report)


def fork(
    run: RunName,
    /,
    *,
    at: Annotated[int, Parameter(converter=whole, help="Step of the run after which the settings change.")],
    name: Annotated[str | None, Parameter(help="Name of the new run (default: RECIPE-CHANGES-seedS-NNN).")] = None,
    runs: Runs = None,
    json: Json = False,
    overrides: Annotated[dict[str, Any] | None, Parameter(parse=False)] = None,
) -> None:
    """Start a new run from a step of another one, with other settings.

    The fields that may change are flags named after their path,
    such as --objective.loss hinge: those of the objective,
    learning rates, betas, weight decay, ema, augmentation, the
    length. Steps since the preceding checkpoint are repeated.
    """
    from genlab.api import train as api

    made = api.fork(run, at, overrides=overrides, name=name, runs=runs)
    report = made.path / "report.html"
    if json:
        terminal.show_json({"run": str(made.path), "seconds": made.seconds, "report": str(report)})
    else:
        _draw_some(made)
        _tell(made, report)


def _tell(run: Run, report: Path) -> None:
    """Print how long training took, its outcome, and where the run is."""
    from genlab.families.registry import FAMILIES
    from genlab.report import text as words
    from genlab.report.findings import headline

    for finding in run.diagnose(keep=False).lasting:
        say(terminal.wrapped(f"{headline(finding)}.", f"{finding.level.upper()}  "))
    say(f"training took {run.seconds:.0f} s, {run.images_per_second:,.0f} images/s")
    said = dict(FAMILIES[run.recipe.family].outcome(run.recipe, run.directory.last_row() or {}))
    said |= words.summary(run.evaluation) if run.evaluation else []
    width = max(8, *(len(name) + 2 for name in said)) if said else 8
    for name, line in said.items():
        say(terminal.wrapped(line, f"{name:{width}}"))
    for name, path in (("run", run.path), ("report", report)):  # To be copied: on one line, whatever the width.
        say(f"{name:{width}}{path}")


def _draw_some(run: Run) -> None:
    """Draw a few samples of a run, on a terminal that can show them."""
    from genlab.cli import half_blocks
    from genlab.data.pictures import to_uint8
    from genlab.families.registry import FAMILIES

    if FAMILIES[run.recipe.family].sampling and half_blocks.can_draw():
        half_blocks.draw(to_uint8(run.sample(SHOWN)))


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
    data: Data = None,
    minutes: Minutes = None,
    output: Annotated[
        Path | None, Parameter(name=["-o", "--output"], help="Draw the system and its networks to this .svg file.")
    ] = None,
    json: Json = False,
    overrides: Annotated[dict[str, Any] | None, Parameter(parse=False)] = None,
) -> None:
    """Show what a recipe would train: layers, parameters, multiply-adds, objective, cost of an epoch."""
    from genlab.api import layers
    from genlab.api import train as api
    from genlab.engine.files import destination, write
    from genlab.recipe import files
    from genlab.recipe.text import settings

    if output is not None:
        destination(output, ".svg (the drawing)")
    overrides = (overrides or {}) | ({} if data is None else {"data.name": data})
    if minutes is not None:
        overrides = api.in_minutes(recipe, minutes, overrides)
    if yaml:
        loaded = files.load(recipe, overrides)
        text = files.dump(loaded)
        say(text if console.shows(text) else files.dump(loaded, ascii=True), end="", fold=False)
        return
    shown = api.show(recipe, overrides)
    if output is not None:
        write(output, shown.drawing.encode())
    if json:
        terminal.show_json(layers.as_json(shown))
    else:
        say(f"{shown.recipe.name}: {visible(shown.recipe.description, keep='')}")
        if overrides:
            say(f"changed: {settings(overrides)}")
        say()
        for description in shown.networks:
            terminal.show_table(tables.of_layers(description))
            say()
        if shown.images:
            say(f"{shown.images}\n")
        say("\n".join([*shown.equations, ""]))
        for line in shown.cost.words.splitlines():
            say(terminal.wrapped(line))
        if output is not None:
            say(f"drawing  {output}")


def open(
    run: Annotated[str | None, Parameter(help="Run: its path, or its name under --runs (default: the newest).")] = None,
    /,
    *,
    runs: Runs = None,
) -> None:
    """Open a run's report in the browser; if there is no browser, print the report's path."""
    from genlab.runs.directory import RunDirectory, default_root, newest

    chosen = RunDirectory.open(run, runs) if run is not None else newest(runs)
    if chosen is None:
        raise UsageError(f"no runs in {runs or default_root()}; begin with: genlab train quick-mnist")
    page = chosen.path / "report.html"
    if not page.exists():
        from genlab.api import train as api

        api.open_run(chosen.path).report()
    shown = has_browser() and webbrowser.open(page.resolve().as_uri())
    say(f"{page}: {'opened in the browser' if shown else 'open this file in a browser'}")


def has_browser() -> bool:
    """Whether a graphical browser can be expected here; a text browser would take over this terminal."""
    return sys.platform in ("win32", "darwin") or any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY"))


def report(run: RunName, /, *, runs: Runs = None) -> None:
    """Rebuild a run's report.html."""
    from genlab.api import train as api

    say(api.open_run(run, runs=runs).report())
