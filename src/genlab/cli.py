"""The command line: one command a verb, each a thin call of a public function. It decides nothing."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, CycloptsError, Parameter

from genlab import __version__
from genlab.errors import GenlabError, UsageError

if TYPE_CHECKING:
    from genlab.api import Run
    from genlab.looks import Look
    from genlab.sampling import HowOptions

Runs = Annotated[Path | None, Parameter(name="--runs", help="Folder of the runs (GENLAB_RUNS, or ./runs).")]
Json = Annotated[bool, Parameter(name="--json", negative="", help="Print JSON for a program.")]

app = App(
    name="genlab",
    help="A laboratory for small generative image models: train, look, compare, on two CPU cores.",
    help_epilogue="Start with: genlab train quick-mnist. Every command takes --help, and --debug for a traceback.",
    help_format="plaintext",  # Markdown would cost a fifth of the time that --help takes.
    version=__version__,
    version_flags=["--version"],
)
data = App(name="data", help="Datasets: what there is, and whether a file is one.")
app.command(data)


@app.command
def train(
    recipe: Annotated[str | None, Parameter(help="A built-in recipe (genlab recipes) or a .yaml file.")] = None,
    /,
    *,
    epochs: Annotated[int | None, Parameter(help="Short for --budget.epochs.")] = None,
    seed: Annotated[int | None, Parameter(help="Of everything random; 0 without it.")] = None,
    name: Annotated[str | None, Parameter(help="Of the run, instead of RECIPE-seedS-NNN.")] = None,
    resume: Annotated[str | None, Parameter(help="Go on with this run, instead of starting a recipe.")] = None,
    runs: Runs = None,
    json: Json = False,
    overrides: Annotated[dict[str, Any] | None, Parameter(parse=False)] = None,
) -> None:
    """Train a recipe, live, and write a run with its report.

    Any field of the recipe is a flag by its path: --objective.lambda 0.1 --data.name my.npz --ema null
    (genlab show RECIPE --yaml prints them all).
    """
    from genlab import api, progress, tables

    run = api.train(
        recipe,
        epochs=epochs,
        seed=seed,
        overrides=overrides,
        name=name,
        runs=runs,
        resume=resume,
        observers=[progress.progress()],
    )
    report = run.path / "report.html"
    if json:
        facts = {"seconds": run.seconds, "images_per_second": round(run.images_per_second, 1), "report": str(report)}
        tables.show_json({"run": str(run.path), **facts})
    else:
        print(f"trained in {run.seconds:.0f} s, {run.images_per_second:,.0f} images/s")
        print(f"run     {run.path}\nreport  {report}")


@app.command
def recipes(*, json: Json = False) -> None:
    """List the built-in recipes."""
    from genlab import recipe_files, tables

    found = [recipe_files.load(name) for name in recipe_files.names()]
    if json:
        tables.show_json([{"name": r.name, "family": r.family, "description": r.description} for r in found])
    else:
        rows = [(r.name, r.family, r.description) for r in found]
        tables.show_table(tables.Table("", ("recipe", "family", "what it is"), rows))


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
    from genlab import api, layer_tables, recipe_files, storage, tables

    if yaml:
        print(recipe_files.dump(recipe_files.load(recipe, overrides)), end="")
        return
    shown = api.show(recipe, overrides)
    if output is not None:
        if output.suffix.lower() != ".svg":
            raise UsageError(f"{output}: the drawing is an .svg file")
        storage.write(output, shown.drawing.encode())
    if json:
        tables.show_json(layer_tables.as_json(shown))
    else:
        print(f"{shown.recipe.name}: {shown.recipe.description}\n")
        for description in shown.networks:
            tables.show_table(layer_tables.as_table(description))
            print()
        print("\n".join([*shown.equations, "", shown.cost.words]))
        if output is not None:
            print(f"drawing  {output}")


@dataclass(frozen=True)
class Drawing:
    """How images are drawn."""

    seed: Annotated[int, Parameter(help="Of the noise.")] = 0
    step: Annotated[int | None, Parameter(help="Of a snapshot; the newest checkpoint without it.")] = None
    raw_weights: Annotated[bool, Parameter(negative="", help="The weights as trained, not their average.")] = False
    batch_statistics: Annotated[
        bool, Parameter(negative="", help="BatchNorm by the images drawn, not by running statistics.")
    ] = False
    truncation: Annotated[float | None, Parameter(help="Cut z to plus or minus so much.")] = None

    def options(self) -> HowOptions:
        """As the library calls them."""
        return {
            "seed": self.seed,
            "step": self.step,
            "ema": not self.raw_weights,
            "batch_statistics": self.batch_statistics,
            "truncation": self.truncation,
        }


RunName = Annotated[str, Parameter(help="A run: its path, or its name under --runs.")]
Draw = Annotated[Drawing, Parameter(name="*")]
Label = Annotated[str | None, Parameter(name="--class", help="One class, by number or name.")]
Output = Annotated[
    Path | None,
    Parameter(name=["-o", "--output"], help="A .png, or an .npz of the numbers; the run's report without it."),
]


@app.command
def sample(
    run: RunName,
    /,
    *,
    n: Annotated[int, Parameter(name=["-n", "--number"], help="How many images.")] = 64,
    output: Annotated[Path, Parameter(name=["-o", "--output"], help="A .png grid or an .npz of the images.")] = Path(
        "samples.png"
    ),
    label: Annotated[
        str | None,
        Parameter(name="--class", help="One class, by number or name; without it all in turn, a column each."),
    ] = None,
    how: Draw = Drawing(),
    runs: Runs = None,
) -> None:
    """Draw new images from a run."""
    from genlab import api, sampling

    opened = api.open_run(run, runs=runs)
    images = opened.sample(n, label=label, **how.options())
    sampling.save_images(images, output, opened, label)
    print(f"{output}: {n} images, {sampling.sampling_words(opened, sampling.How(**how.options()))}")


@app.command
def interpolate(
    run: RunName,
    /,
    *,
    pairs: Annotated[int, Parameter(help="Rows, each from one z to another.")] = 8,
    steps: Annotated[int, Parameter(help="Images in a row.")] = 10,
    path: Annotated[str, Parameter(help="linear or spherical.")] = "linear",
    label: Label = None,
    how: Draw = Drawing(),
    output: Output = None,
    runs: Runs = None,
) -> None:
    """Draw the way from one z to another."""
    from genlab import api

    opened = api.open_run(run, runs=runs)
    _show(opened, opened.interpolate(pairs=pairs, steps=steps, path=path, label=label, **how.options()), output)


@app.command
def grid(
    run: RunName,
    /,
    *,
    columns: Annotated[int, Parameter(help="How many z.")] = 15,
    how: Draw = Drawing(),
    output: Output = None,
    runs: Runs = None,
) -> None:
    """Draw one z a column, one class a row."""
    from genlab import api

    opened = api.open_run(run, runs=runs)
    _show(opened, opened.grid(columns=columns, **how.options()), output)


@app.command
def traverse(
    run: RunName,
    /,
    *,
    units: Annotated[list[int] | None, Parameter(help="Which units of z; the first ten without it.")] = None,
    steps: Annotated[int, Parameter(help="Images in a row.")] = 9,
    span: Annotated[float, Parameter(help="How far each unit is moved, either way.")] = 3.0,
    label: Label = None,
    how: Draw = Drawing(),
    output: Output = None,
    runs: Runs = None,
) -> None:
    """Draw one z with one unit after the other moved, a row a unit."""
    from genlab import api

    opened = api.open_run(run, runs=runs)
    _show(opened, opened.traverse(units=units, steps=steps, span=span, label=label, **how.options()), output)


@app.command(name="latent-map")
def latent_map(
    run: RunName,
    /,
    *,
    steps: Annotated[int, Parameter(help="Images a side.")] = 20,
    label: Label = None,
    how: Draw = Drawing(),
    output: Output = None,
    runs: Runs = None,
) -> None:
    """Draw a two-dimensional latent space, and the test images in it."""
    from genlab import api

    opened = api.open_run(run, runs=runs)
    _show(opened, opened.latent_map(steps=steps, label=label, **how.options()), output)


@app.command
def reconstruct(
    run: RunName,
    /,
    *,
    n: Annotated[int, Parameter(name=["-n", "--number"], help="How many images.")] = 20,
    how: Draw = Drawing(),
    output: Output = None,
    runs: Runs = None,
) -> None:
    """Draw test images over what a VAE makes of them."""
    from genlab import api

    opened = api.open_run(run, runs=runs)
    _show(opened, opened.reconstruct(n=n, **how.options()), output)


@app.command
def timeline(
    run: RunName,
    /,
    *,
    epochs: Annotated[list[int] | None, Parameter(help="Which; 1 5 10 50 100 without it, as far as kept.")] = None,
    n: Annotated[int, Parameter(name=["-n", "--number"], help="How many z.")] = 12,
    how: Draw = Drawing(),
    output: Output = None,
    runs: Runs = None,
) -> None:
    """Draw the same z after several epochs, a row an epoch."""
    from genlab import api

    opened = api.open_run(run, runs=runs)
    _show(opened, opened.timeline(epochs=epochs, n=n, **how.options()), output)


@app.command
def confusion(run: RunName, /, *, output: Output = None, runs: Runs = None) -> None:
    """Draw how often a classifier takes each class for each other one."""
    from genlab import api

    opened = api.open_run(run, runs=runs)
    _show(opened, opened.confusion(), output)


@app.command
def likelihood(
    run: RunName,
    /,
    *,
    samples: Annotated[int, Parameter(help="z drawn for each image (K).")] = 64,
    images: Annotated[int, Parameter(help="Test images.")] = 1000,
    seed: Annotated[int, Parameter(help="Of the z.")] = 0,
    json: Json = False,
    runs: Runs = None,
) -> None:
    """Bound log p(x) of test images from below, by a VAE with importance-weighted samples."""
    from genlab import api, tables

    facts = api.likelihood_facts(api.open_run(run, runs=runs), samples, images, seed)
    if json:
        tables.show_json(facts)
    else:
        mean, error = facts["log_likelihood"], facts["standard_error"]
        print(f"log p(x) at least {mean:.2f} nats an image (standard error {error:.2f} over images)")
        print(f"{facts['images']:,} {facts['split']} images, K = {samples}, seed {seed}, {facts['likelihood']}")


def _show(run: Run, look: Look, output: Path | None) -> None:
    """Save a look where asked for; else keep it in the run and write the report anew."""
    if output is not None:
        look.save(output)
        print(f"{output}: {look.caption}")
    else:
        print(f"{look.keep(run)}: {look.caption}")
        print(f"report  {run.report()}")


@app.command
def report(run: RunName, /, *, runs: Runs = None) -> None:
    """Write a run's report.html anew."""
    from genlab import api

    print(api.open_run(run, runs=runs).report())


@data.command(name="list")
def data_list(*, json: Json = False) -> None:
    """List the built-in datasets."""
    from genlab import tables
    from genlab.data import BUILTIN

    if json:
        tables.show_json(
            [
                {"name": k, "description": v.description, "classes": v.class_names, "source": v.source}
                for k, v in BUILTIN.items()
            ]
        )
    else:
        rows = [(name, builtin.description, builtin.source) for name, builtin in BUILTIN.items()]
        tables.show_table(tables.Table("", ("dataset", "what it is", "source"), rows))


@data.command(name="check")
def data_check(
    path: Annotated[str, Parameter(help="An npz file, or a built-in name.")], /, *, json: Json = False
) -> None:
    """Read a dataset as a training would, and say what is in it."""
    from genlab import data as datasets
    from genlab import tables

    facts = datasets.facts(datasets.load(path))
    if json:
        tables.show_json(facts)
    else:
        tables.show_table(
            tables.Table("", ("fact", "value"), [(key, datasets.fact_words(value)) for key, value in facts.items()])
        )


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit with the code that `errors` lists."""
    tokens = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in tokens
    warnings.showwarning = lambda message, *_: print(f"genlab: note: {message}", file=sys.stderr)
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
        # The reader of our output is gone (`| head`); point stdout elsewhere so that the exit is quiet.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except KeyboardInterrupt:
        _fail("interrupted", 130)
    except OSError as error:
        if debug:
            raise
        _fail(f"{error.filename or 'output'}: {error.strerror or error}", 5)
    except Exception as error:
        if debug:
            raise
        _fail(f"a bug in genlab: {type(error).__name__}: {error} (--debug shows where; please report it)", 1)


TOP_LEVEL = ("ema", "init-encoder-from")
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
    print(f"genlab: {message}", file=sys.stderr, flush=True)
    sys.exit(code)
