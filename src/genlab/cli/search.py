"""The command that searches over a recipe's fields."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from genlab.cli.options import Json, Runs, whole
from genlab.engine.console import note, say

if TYPE_CHECKING:
    from genlab.study.search import Trial


def search(
    recipe: Annotated[str, Parameter(help="Built-in recipe or .yaml file.")],
    /,
    *,
    vary: Annotated[
        list[str], Parameter(negative="", help="FIELD=LOW..HIGH or FIELD=VALUE,VALUE,...; may be repeated.")
    ],
    teraops: Annotated[float, Parameter(help="10^12 multiply-adds that each run may spend (genlab show counts them).")],
    trials: Annotated[int, Parameter(converter=whole, help="Settings to try, besides the recipe itself.")] = 20,
    seeds: Annotated[int, Parameter(converter=whole, help="Seeds per setting.")] = 1,
    workers: Annotated[int, Parameter(converter=whole, help="Number of concurrent runs.")] = 1,
    output: Annotated[
        Path | None, Parameter(name=["-o", "--output"], help="Folder of the results (default: searches/RECIPE).")
    ] = None,
    runs: Runs = None,
    json: Json = False,
    overrides: Annotated[dict[str, Any] | None, Parameter(parse=False)] = None,
) -> None:
    """Search over a recipe's fields with Optuna, with the same number of operations for every run.

    A run that diverged, lost classes, or paid for its distance
    with variety or accuracy never wins. Stop it at any time:
    the same command continues it. Further fields of the recipe
    may be given as flags; they apply to every trial.
    """
    from genlab.cli import terminal
    from genlab.study.search import Search

    place = output or Path("searches") / Path(recipe).stem
    found = Search(
        recipe,
        vary,
        teraops=teraops,
        trials=trials,
        seeds=seeds,
        overrides=overrides,
        results=place,
        runs=runs,
    )
    best = found.run(workers, show=lambda trial: note(in_words(trial)))
    if json:
        facts = {"best": as_json(best), "trials": [as_json(trial) for trial in found.done]}
        terminal.show_json({**facts, "recipe": str(place / "best.yaml"), "study": str(place / "confirm.yaml")})
        return
    say(terminal.wrapped(in_words(best), "best      "))
    say(f"recipe    {place / 'best.yaml'}")
    say(f"confirm   genlab study run {place / 'confirm.yaml'}")


def in_words(trial: Trial) -> str:
    """A trial in one line."""
    from genlab.recipe.text import settings

    said = settings(trial.overrides) or "the recipe itself"
    distance = "" if trial.distance is None else f"{trial.distance:.2f} x the distance of real images"
    values = [f"{name.replace('_', ' ')} {trial.values[name]:.3f}" for name in SHOWN if name in trial.values]
    why = f"cannot win: {trial.why}" if trial.why else ""
    return f"{trial.name}: {said}: " + "; ".join(filter(None, (distance, *values, f"{trial.steps:,} steps", why)))


SHOWN = ("recall", "requested_class_accuracy")


def as_json(trial: Trial) -> dict[str, Any]:
    """A trial as plain values."""
    return {
        "name": trial.name,
        "overrides": trial.overrides,
        "steps": trial.steps,
        "distance": trial.distance,
        "values": trial.values,
        "cannot_win": trial.why or None,
    }
