"""The command that says what is wrong with a training."""

from __future__ import annotations

from genlab.cli import terminal
from genlab.cli.options import Json, RunName, Runs
from genlab.engine.console import say


def diagnose(run: RunName, /, *, runs: Runs = None, json: Json = False) -> None:
    """Say what is wrong with a run, since when, and what to try.

    Every finding has its evidence beside the healthy value; what
    could not be told is said, too. The same is kept in the run
    as diagnosis.json. docs/diagnosis.md explains the findings.
    """
    from genlab.api.train import open_run
    from genlab.report import findings

    opened = open_run(run, runs=runs)
    found = opened.diagnose()
    if json:
        terminal.show_json(found.as_json())
        return
    total = opened.status.get("total_steps")
    for finding in found.findings:
        for label, words in findings.lines(
            finding, opened.path.name, opened.directory.trained_by(), opened.provenance, total
        ):
            if label in ("Try", "Keep"):  # To be copied: whole, whatever the width.
                say(f"  {label:6} {words}")
            else:
                headline = label == finding.level.upper()
                say(terminal.wrapped(words, f"{label}  " if headline else f"  {label:6} "))
        say()
    if found.healthy and not any(each.level == "warning" for each in found.findings):
        say(findings.HEALTHY)
    for line in findings.unknown(found.unknown):
        say(terminal.wrapped(line))
