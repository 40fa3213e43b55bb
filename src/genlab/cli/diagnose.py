"""The command that says what is wrong with a run, or with images that were made elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from genlab.cli import terminal
from genlab.cli.options import Json, Runs
from genlab.engine.console import say


def diagnose(
    source: Annotated[str, Parameter(help="Run, folder or archive of pictures, or a file of images.")],
    /,
    *,
    against: Annotated[str | None, Parameter(help="Dataset that images from elsewhere should look like.")] = None,
    losses: Annotated[Path | None, Parameter(help="CSV file with their training losses.")] = None,
    attempt: Annotated[
        bool, Parameter(name="--try", negative="", help="Train the run again with the proposed changes.")
    ] = False,
    runs: Runs = None,
    json: Json = False,
) -> None:
    """Say what is wrong with a run, since when, and what to try.

    Every finding shows its evidence beside the healthy value;
    what could not be diagnosed is listed, too. The run keeps
    the diagnosis as diagnosis.json. --try trains the run again
    with the changes proposed for the worst finding, and sets
    both side by side.

    For images that were made elsewhere, in a folder or an .npz
    file, --against names the dataset that they should look
    like, and --losses a CSV file with the columns step, loss_d
    and loss_g. docs/diagnosis.md explains the findings, and
    docs/watch.md how to watch a loop of your own.
    """
    from genlab.api.diagnose import diagnose as judged
    from genlab.api.evaluate import is_a_run
    from genlab.api.train import open_run
    from genlab.report import findings, verdict
    from genlab.runs.directory import default_root

    if attempt:
        _attempt(source, runs, json)
        return
    found = judged(source, against=against, losses=losses, runs=runs)
    if json:
        terminal.show_json(found.as_json())
        return
    run = open_run(source, runs=runs) if is_a_run(source, Path(runs) if runs else default_root()) else None
    total = run.status.get("total_steps") if run else None
    for finding in found.findings:
        lines = findings.lines(finding, run.path.name, run.directory.trained_by(), run.provenance, total) if run else (
            findings.lines(finding)
        )  # fmt: skip
        for label, words in lines:
            if "genlab " in words and label in ("Try", "Keep"):  # To be copied: on one line, whatever the width.
                say(f"  {label:6} {words}")
            else:
                headline = label == finding.level.upper()
                say(terminal.wrapped(words, f"{label}  " if headline else f"  {label:6} "))
        say()
    if found.healthy and not any(each.level == "warning" for each in found.findings):
        say(findings.HEALTHY)
    if run and (sentence := verdict.of_run(run.directory).sentence):
        say(terminal.wrapped(sentence))
    for line in findings.unknown(found.unknown):
        say(terminal.wrapped(line))


def _attempt(run: str, runs: Path | None, json: bool) -> None:
    """Try the proposed changes, and say whether they helped."""
    from genlab.api import remedy
    from genlab.recipe.text import settings

    tried = remedy.attempt(run, runs=runs)
    if json:
        facts = {"changes": dict(tried.changes), "finding": tried.finding.name, "gone": tried.gone}
        distances = tried.distances and list(tried.distances)
        terminal.show_json({**facts, "helped": tried.helped, "distances": distances, "run": str(tried.run.path)})
        return
    say(terminal.wrapped(f"{settings(tried.changes)} {tried.words}."))
    say(f"run   {tried.run.path}")
    if tried.page:
        say(f"page  {tried.page}")
