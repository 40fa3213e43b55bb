"""The command line: one command a verb, each a thin call of a public function. It decides nothing."""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, CycloptsError, Parameter

from genlab.cli import bench, doctor, draw, evaluate, terminal
from genlab.cli import runs as cli_runs
from genlab.cli.draw import Json, RunName, Runs, whole
from genlab.engine import console
from genlab.engine.console import say, visible
from genlab.engine.version import VERSION
from genlab.errors import GenlabError, UsageError, first_line, in_words
from genlab.report import tables

app = App(
    name="genlab",
    help="A laboratory for small generative image models: train, look, compare, on two CPU cores.",
    help_epilogue="Start with: genlab train quick-mnist. Every command takes --help, and --debug for a traceback.",
    help_format="plaintext",  # Markdown would cost a fifth of the time that --help takes.
    version=VERSION,
    version_flags=["--version"],
)
data = App(name="data", help="Datasets: what there is, and whether a file is one.")
app.command(data)
app.command(evaluate.judge)
app.command(cli_runs.app)
app.command(bench.app)


@app.command
def train(
    recipe: Annotated[str | None, Parameter(help="A built-in recipe (genlab recipes) or a .yaml file.")] = None,
    /,
    *,
    epochs: Annotated[int | None, Parameter(converter=whole, help="Short for --budget.epochs.")] = None,
    seed: Annotated[int | None, Parameter(converter=whole, help="Of everything random; 0 without it.")] = None,
    name: Annotated[str | None, Parameter(help="Of the run, instead of RECIPE-seedS-NNN.")] = None,
    resume: Annotated[str | None, Parameter(help="Go on with this run, instead of starting a recipe.")] = None,
    strict: Annotated[bool, Parameter(negative="", help="Resume from the newest checkpoint, or not at all.")] = False,
    runs: Runs = None,
    json: Json = False,
    overrides: Annotated[dict[str, Any] | None, Parameter(parse=False)] = None,
) -> None:
    """Train a recipe, live, and write a run with its report.

    Any field of the recipe is a flag by its path: --objective.lambda 0.1
    --data.name my.npz --ema null --init-encoder-from RUN (genlab show RECIPE
    --yaml prints them all). With --resume only --epochs and --engine.FIELD may
    be given.
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
        say(f"trained in {run.seconds:.0f} s, {run.images_per_second:,.0f} images/s")
        said = words.summary(run.evaluation) if run.evaluation else []
        width = max(8, *(len(name) + 2 for name, _ in said)) if said else 8
        for name, line in [*said, ("run", str(run.path)), ("report", str(report))]:
            say(f"{name:{width}}{line}")


@app.command
def recipes(*, json: Json = False) -> None:
    """List the built-in recipes."""
    from genlab.recipe import files

    found = [files.load(name) for name in files.names()]
    if json:
        terminal.show_json([{"name": r.name, "family": r.family, "description": r.description} for r in found])
    else:
        rows = [(r.name, r.family, r.description) for r in found]
        terminal.show_table(tables.Table("", ("recipe", "family", "what it is"), rows))


@app.command
def show(
    recipe: Annotated[str, Parameter(help="A built-in recipe or a .yaml file.")],
    /,
    *,
    yaml: Annotated[bool, Parameter(negative="", help="Print the complete recipe instead.")] = False,
    output: Annotated[
        Path | None, Parameter(name=["-o", "--output"], help="Write a drawing of system and networks (.svg).")
    ] = None,
    json: Json = False,
    overrides: Annotated[dict[str, Any] | None, Parameter(parse=False)] = None,
) -> None:
    """Show a recipe before it is trained: layers, parameters, multiply-adds, objective, cost of an epoch."""
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
        say(f"{shown.recipe.name}: {visible(shown.recipe.description, keep='')}\n")
        for description in shown.networks:
            terminal.show_table(tables.of_layers(description))
            say()
        say("\n".join([*shown.equations, "", shown.cost.words]))
        if output is not None:
            say(f"drawing  {output}")


@app.command
def report(run: RunName, /, *, runs: Runs = None) -> None:
    """Write a run's report.html anew."""
    from genlab.api import train as api

    say(api.open_run(run, runs=runs).report())


for command in (*evaluate.COMMANDS, *draw.COMMANDS, doctor.doctor):
    app.command(command)


@data.command(name="list")
def data_list(*, json: Json = False) -> None:
    """List the built-in datasets."""
    from genlab.data import BUILTIN

    if json:
        terminal.show_json(
            [
                {"name": k, "description": v.description, "classes": v.class_names, "source": v.source}
                for k, v in BUILTIN.items()
            ]
        )
    else:
        rows = [(name, builtin.description, builtin.source) for name, builtin in BUILTIN.items()]
        terminal.show_table(tables.Table("", ("dataset", "what it is", "source"), rows))


@data.command(name="check")
def data_check(
    path: Annotated[str, Parameter(help="An npz file, or a built-in name.")], /, *, json: Json = False
) -> None:
    """Read a dataset as a training would, and say what is in it."""
    from genlab import data as datasets

    facts = datasets.facts(datasets.load(path))
    if json:
        terminal.show_json(facts)
    else:
        terminal.show_table(
            tables.Table("", ("fact", "value"), [(key, datasets.fact_words(value)) for key, value in facts.items()])
        )


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit with the code that `errors` lists."""
    tokens = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in tokens
    console.prepare()
    warnings.showwarning = lambda message, *_: console.note(f"genlab: note: {message}")
    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # It tells how long it looks for fonts.
    try:
        tokens, overrides = _take_overrides([token for token in tokens if token != "--debug"])
        command, bound, _ = app.parse_args(tokens, exit_on_error=False, print_error=False)
        if overrides:
            bound.arguments["overrides"] = overrides
        command(*bound.args, **bound.kwargs)
        sys.stdout.flush()
    except (GenlabError, CycloptsError) as error:
        if debug:
            raise
        _fail(str(error), error.exit_code if isinstance(error, GenlabError) else UsageError.exit_code)
    except BrokenPipeError:
        console.hush(sys.stdout)  # Whoever read our output has seen enough.
    except KeyboardInterrupt:
        _fail("interrupted", 130)
    except OSError as error:
        if debug:
            raise
        _fail(f"{error.filename or 'output'}: {error.strerror or error}", 5)
    except Exception as error:
        if debug:
            raise
        known = in_words(error)
        if known:
            _fail(*known)
        _fail(
            f"a bug in genlab: {type(error).__name__}: {first_line(error)} (--debug shows where; please report it, "
            "with what genlab doctor prints)",
            1,
        )


TOP_LEVEL = ("augmentation", "ema", "init-encoder-from")
"""The fields of a recipe that are set as a whole and have no dot."""


def _take_overrides(tokens: list[str]) -> tuple[list[str], dict[str, Any]]:
    """Split off the recipe's fields: --section.field VALUE or --section.field=VALUE, values read as YAML."""
    if not tokens or tokens[0] not in ("train", "show"):
        return tokens, {}
    import yaml

    rest, overrides = tokens[:1], {}
    queue = iter(tokens[1:])
    for token in queue:
        flag, equals, value = token.removeprefix("--").partition("=")
        if not token.startswith("--") or ("." not in flag and flag not in TOP_LEVEL):
            rest.append(token)
            continue
        if not equals and (value := next(queue, "--")).startswith("--"):
            raise UsageError(f"--{flag} needs a value, as in --{flag} VALUE")
        try:
            read = yaml.safe_load(value)
        except (yaml.YAMLError, ValueError, RecursionError):
            read = value
        # Anything but a number, a list and the like is the text as it was typed (dates, `a #b`).
        plain = read is None or isinstance(read, bool | int | float | list | dict)
        overrides[flag.replace("-", "_")] = read if plain else value.strip("'\"")
    return rest, overrides


def _fail(message: str, code: int) -> None:
    console.note(f"genlab: {message}")
    sys.exit(code)
