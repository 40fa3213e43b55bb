"""The commands that compare runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from genlab.cli.options import Json, RunName, Runs, whole
from genlab.engine.console import say
from genlab.errors import UsageError

Against = Annotated[str, Parameter(help="Horizontal axis of the curves: step, epoch, half-epoch, images or seconds.")]


def compare(
    first: RunName,
    second: RunName,
    /,
    *others: Annotated[str, Parameter(help="Further runs.")],
    output: Annotated[Path | None, Parameter(name=["-o", "--output"], help="Write a page to this .html file.")] = None,
    n: Annotated[
        int | None,
        Parameter(converter=whole, name=["-n", "--number"], help="Images to draw from each run (default: 10,000)."),
    ] = None,
    against: Against = "step",
    runs: Runs = None,
    json: Json = False,
) -> None:
    """Compare runs: quality and, on a page, curves, samples and recipes; runs not yet measured are measured first."""
    from genlab.api import compare as api
    from genlab.cli import terminal
    from genlab.engine import files
    from genlab.evaluation.measure import FULL

    if output is not None:
        files.destination(output, ".html (the page)")
    found = api.comparison([first, second, *others], n=FULL if n is None else n, against=against, runs=runs)
    if output is not None:
        found.save(output)
    if json:
        terminal.show_json(found.records)
    else:
        for table in filter(None, (found.page.quality, found.page.ends)):
            terminal.show_table(table)
            say()
        if found.page.quality:
            words = "Intervals reflect one run's images; they say nothing about other seeds."
            say(terminal.wrapped(words))
        if found.page.verdict:
            say(terminal.wrapped(found.page.verdict))
    if output is not None and not json:
        say(f"page  {output}")


def plot(
    first: RunName,
    /,
    *others: Annotated[str, Parameter(help="Further runs.")],
    of: Annotated[str | None, Parameter(help="Column of the metric rows, such as loss_g or frechet_distance.")] = None,
    against: Against = "step",
    block: Annotated[
        int | None,
        Parameter(converter=whole, help="Steps averaged per point (default: the fewest that leave a readable curve)."),
    ] = None,
    output: Annotated[
        Path | None,
        Parameter(
            name=["-o", "--output"], help="File: .png, .pdf, .svg, or .csv for the numbers (default: COLUMN.png)."
        ),
    ] = None,
    runs: Runs = None,
) -> None:
    """Draw a logged quantity of one or more runs in one figure."""
    from genlab.api import compare as api
    from genlab.engine import files
    from genlab.report.series import AXIS_WORDS

    if output is not None:
        files.destination(output, ".png", ".pdf", ".svg", ".csv (the numbers)")
    names = [first, *others]
    if of is None:
        known = ", ".join(column.name for column in api.compared(names, runs).columns)
        raise UsageError(f"plot needs --of COLUMN; these runs have: {known}")
    drawn = api.plot(names, of, against=against, block=block, runs=runs)
    place = output or Path(f"{of}.png")
    drawn.save(place)
    say(f"{place}: {drawn.title} over {AXIS_WORDS[drawn.against]}. {drawn.caption}")
