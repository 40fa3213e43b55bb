"""The commands for studies: write one, run it, see its state, gather runs made elsewhere, write tables and the page."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import App, Parameter

from genlab.cli.options import Json, Runs, whole
from genlab.engine import console
from genlab.engine.console import note, say
from genlab.errors import DataError, counted

if TYPE_CHECKING:
    from genlab.study.execute import Backend, State
    from genlab.study.outcome import Outcome
    from genlab.study.study import Study

app = App(
    name="study",
    help="Settle a question over seeds: arms, runs, exact tests, verdicts, a page.",
    help_format="plaintext",
)
File = Annotated[Path, Parameter(help="Study file (.yaml).")]
Profile = Annotated[str | None, Parameter(help="One of the file's budgets (default: the whole study).")]
Code = Annotated[Path | None, Parameter(help="Python file with arms of your own (see docs/studies.md).")]
Results = Annotated[Path | None, Parameter(help="Folder of the results (default: results/NAME beside the file).")]
Workers = Annotated[int, Parameter(converter=whole, help="Number of concurrent runs.")]


@app.command
def new(
    recipe: Annotated[str, Parameter(help="Built-in recipe or .yaml file.")],
    /,
    *,
    vary: Annotated[
        list[str],
        Parameter(negative="", help="FIELD=VALUE,VALUE,...: one arm per value or, if repeated, per combination."),
    ],
    seeds: Annotated[int, Parameter(converter=whole, help="Seeds of each arm.")] = 8,
    epochs: Annotated[
        int | None, Parameter(converter=whole, help="Epochs of every run; short for --budget.epochs.")
    ] = None,
    minutes: Annotated[
        float | None, Parameter(help="Minutes per run, converted to steps on this machine, the same for all.")
    ] = None,
    of: Annotated[
        str | None, Parameter(help="What is compared: a metric or a logged column (default: the recipe's quality).")
    ] = None,
    name: Annotated[str | None, Parameter(help="Name of the study (default: RECIPE-FIELD).")] = None,
    output: Annotated[
        Path | None, Parameter(name=["-o", "--output"], help="File to write (default: NAME.yaml).")
    ] = None,
    run: Annotated[bool, Parameter(negative="", help="Run it immediately.")] = False,
    workers: Workers = 1,
    runs: Runs = None,
    overrides: Annotated[dict[str, Any] | None, Parameter(parse=False)] = None,
) -> None:
    """Write a study file that varies a field of a recipe.

    Further fields of the recipe may be given as flags, such as
    --objective.loss hinge; they apply to every arm.
    """
    from genlab.study.study import Study
    from genlab.study.template import template, write_new

    changes = {**(overrides or {}), **({} if epochs is None else {"budget.epochs": epochs})}
    if minutes is not None:
        from genlab.api.train import in_minutes

        changes = in_minutes(recipe, minutes, changes)
    text, title = template(recipe, vary, seeds, of, name, changes)
    place = output or Path(f"{title}.yaml")
    write_new(place, text)
    study = Study.at(place, runs=runs)
    arms = ", ".join(study.plan.names)
    say(f"{place}: {counted(len(study.plan.arms), 'arm')} ({arms}) x {counted(len(study.plan.seeds), 'seed')}")
    if run:
        _run(study, workers=workers)
    else:
        say(f"what it can show, and how long it takes: genlab study run {place} --dry-run")
        say(f"run it: genlab study run {place}")


@app.command
def run(
    file: File,
    /,
    *,
    profile: Profile = None,
    seed: Annotated[int | None, Parameter(converter=whole, help="Only this seed, with all arms.")] = None,
    workers: Workers = 1,
    on: Annotated[str | None, Parameter(help="Run on a Ray cluster: HOST:PORT, or ray to start one here.")] = None,
    dry_run: Annotated[
        bool, Parameter(negative="", help="Only say what the study can show, and how long it takes.")
    ] = False,
    patience: Annotated[float, Parameter(help="Minutes without progress after which a run is given up.")] = 10.0,
    keep_checkpoints: Annotated[bool, Parameter(negative="", help="Keep what only further training needs.")] = False,
    anew: Annotated[bool, Parameter(negative="", help="Redo stale records.")] = False,
    amend: Annotated[
        bool, Parameter(negative="", help="Accept that the file was changed since the first run; the page says so.")
    ] = False,
    code: Code = None,
    results: Results = None,
    runs: Runs = None,
    json: Json = False,
) -> None:
    """Run what is missing from a study. It can be stopped at any time; the same command continues it."""
    from genlab.study.study import Study

    study = Study.at(file, profile=profile, code=code, results=results, runs=runs)
    study.plan.check_seed(seed)
    if dry_run:
        _dry_run(study, workers, seed, json)
        return
    backend = _backend(on, workers, patience * 60)
    _run(
        study,
        workers=workers,
        seed=seed,
        patience=patience * 60,
        keep=keep_checkpoints,
        anew=anew,
        amend=amend,
        backend=backend,
        json=json,
    )


@app.command
def status(
    file: File, /, *, profile: Profile = None, code: Code = None, results: Results = None, json: Json = False
) -> None:
    """Show the state of a study: arms by seeds."""
    from genlab.cli import terminal
    from genlab.study import status as standing
    from genlab.study.study import Study

    study = Study.at(file, profile=profile, code=code, results=results)
    found = study.outcome
    if json:
        terminal.show_json(standing.as_json(found))
        return
    terminal.show_table(standing.table(found))
    for line in [*standing.remarks(found), study.elsewhere]:
        if line:
            say(terminal.wrapped(line))


@app.command
def collect(
    file: File,
    sources: Annotated[list[str], Parameter(help="Runs, record files, or folders of them.")],
    /,
    *,
    profile: Profile = None,
    code: Code = None,
    results: Results = None,
    json: Json = False,
) -> None:
    """Gather runs made elsewhere, such as one seed per student; copies and damaged runs are refused by name."""
    from genlab.study.collect import collect as gather
    from genlab.study.study import Study

    study = Study.at(file, profile=profile, code=code, results=results)
    fits = []
    for looked in gather(study, sources):
        note(looked.line)
        fits.append(looked.fits)
    _tell(study, study.report(), json)
    if not any(fits):
        raise DataError(f"none of these fits {file}: nothing was collected; the lines above say why")


@app.command
def report(
    file: File,
    /,
    *,
    profile: Profile = None,
    against: Annotated[
        Literal["step", "epoch", "half-epoch"], Parameter(help="Horizontal axis of the curves.")
    ] = "step",
    code: Code = None,
    results: Results = None,
    json: Json = False,
) -> None:
    """Rebuild a study's tables and page."""
    from genlab.study.study import Study

    study = Study.at(file, profile=profile, code=code, results=results)
    _tell(study, study.report(against), json)


@app.command
def table(
    file: Annotated[Path, Parameter(help="CSV file with a header.")],
    /,
    *,
    arm: Annotated[str, Parameter(help="Column that names the arm.")],
    value: Annotated[str, Parameter(help="Column with the number.")],
    seed: Annotated[str | None, Parameter(help="Column with the seed.")] = None,
    paired: Annotated[
        bool, Parameter(negative="", help="Runs with the same seed are related: test them in pairs.")
    ] = False,
    margin: Annotated[float | None, Parameter(help="A difference smaller than this does not matter.")] = None,
    output: Annotated[Path | None, Parameter(name=["-o", "--output"], help="Write a page to this .html file.")] = None,
    json: Json = False,
) -> None:
    """Apply the same statistics to numbers from anywhere: every pair of arms in a CSV file."""
    from genlab.cli import terminal
    from genlab.study.table import of_csv

    found = of_csv(file, arm=arm, value=value, seed=seed, paired=paired, margin=margin)
    if output is not None:
        found.save(output)
    if json:
        terminal.show_json(found.as_json)
        return
    terminal.show_table(found.table)
    say()
    for line in found.sentences:
        say(terminal.wrapped(line))
    if output is not None:
        say(f"page  {output}")


def _run(study: Study, *, json: bool = False, **options: Any) -> None:
    """Run with a live table, then print the outcome."""
    from genlab.errors import RunsFailed

    try:
        with _shown() as show:
            found = study.run(show=show, **options)
    except RunsFailed:
        if (study.folder.path / "report.html").exists() and not json:
            _tell(study, study.outcome, json)
        raise
    _tell(study, found, json)


def _tell(study: Study, found: Outcome, json: bool) -> None:
    """Print the verdicts, and where the page and the tables are."""
    from genlab.cli import terminal
    from genlab.study import sentences

    if json:
        terminal.show_json(found.as_json)
        return
    for name, verdict in found.verdicts.items():
        claim = study.plan.study.claims[name]
        what = sentences.title(verdict.of, study.plan.study.quantities[verdict.of])
        say()
        say(terminal.wrapped(claim.says))
        say(terminal.wrapped(sentences.verdict_line(verdict), "  "))
        say(terminal.wrapped(sentences.sentence(claim, verdict, what), "  "))
    say()
    done = f"{len(found.records)} of {len(found.plan.cells)} runs"
    say(f"{'runs':10}{done}" + (f", {len(found.diverged)} diverged" if found.diverged else ""))
    say(f"{'table':10}{study.folder.path / 'table.csv'}")
    say(f"{'report':10}{study.folder.path / 'report.html'}")


def _dry_run(study: Study, workers: int, seed: int | None, json: bool) -> None:
    from genlab.cli import terminal
    from genlab.study.forecast import forecast

    with console.showing():
        found = forecast(study.plan, study.outcome, workers, seed)
    if json:
        terminal.show_json(found.as_json)
        return
    for table in found.tables:
        terminal.show_table(table)
        say()
    for line in found.lines:
        say(terminal.wrapped(line))


def _backend(on: str | None, workers: int, patience: float) -> Backend | None:
    if on is None:
        return None
    from genlab.study.cluster import connected

    return connected(on, workers, patience)


@contextmanager
def _shown() -> Iterator[Callable[[State, str], None]]:
    """Show progress while a study runs: on a terminal a live table, in a pipe one line per event."""
    from genlab.study.status import lines

    if not sys.stderr.isatty():
        yield lines()
        return
    from rich.console import Console
    from rich.live import Live

    with console.held(), Live(console=Console(stderr=True), refresh_per_second=2, transient=True) as display:

        def show(state: State, line: str) -> None:
            display.update(_live(state))
            if line:
                display.console.print(console.visible(line), highlight=False, markup=False)

        yield show


def _live(state: State) -> Any:
    """The live table of a running study."""
    from rich.table import Table

    from genlab.study import status as standing
    from genlab.study.plan import Cell

    title = f"{state.plan.title}: {standing.summary(state)}"
    drawn = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for column in ("seed", *state.plan.names):
        drawn.add_column(column, overflow="fold")
    for seed in standing.worth_showing(state):
        cells = [standing.in_a_word(state, Cell(arm, seed)) for arm in state.plan.names]
        drawn.add_row(str(seed), *cells)
    return drawn
