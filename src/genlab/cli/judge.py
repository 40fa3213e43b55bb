"""The commands for judges."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from genlab.cli.options import Dataset, Json, Judge, Runs, whole
from genlab.engine.console import say

app = App(name="judge", help="Train and test judges, the frozen classifiers that the metrics use.")


@app.command(name="train")
def judge_train(
    dataset: Dataset,
    /,
    *,
    seed: Annotated[int, Parameter(converter=whole, help="Random seed.")] = 0,
    runs: Runs = None,
    json: Json = False,
) -> None:
    """Train a judge for a dataset: a run with judge.safetensors in it."""
    from genlab.api import judge as api
    from genlab.cli import terminal
    from genlab.evaluation.judge import PINNED

    run, made, kept = api.train_judge(dataset, seed=seed, runs=runs)
    last, pinned = run.metrics()[-1], PINNED.get(dataset)
    facts = {
        "run": str(run.path),
        "test_accuracy": last.get("test_accuracy"),
        "seconds": run.seconds,
        "sha256": made.sha256,
        "pinned": pinned,
        "kept": None if kept is None else str(kept),
    }
    if json:
        terminal.show_json(facts)
        return
    if facts["test_accuracy"] is not None:
        say(f"test accuracy {facts['test_accuracy']:.2%}, trained in {run.seconds:.0f} s")
    say(f"judge   {run.path / 'judge.safetensors'}\nsha256  {made.sha256}")
    if pinned:
        same = (
            "the same, bit for bit"
            if pinned == made.sha256
            else "differs from the pinned judge (floating-point rounding varies between machines)"
        )
        say(f"pinned  {pinned}\n        {same}; the metrics still use the pinned one")
    else:
        say(f"kept    {kept}, where every evaluation against {dataset} finds it")


@app.command(name="test")
def judge_test(
    dataset: Dataset,
    /,
    *,
    judge: Judge = None,
    output: Annotated[
        Path | None,
        Parameter(name=["-o", "--output"], help="Draw the responses to disturbed images to this .png file."),
    ] = None,
    runs: Runs = None,
    json: Json = False,
) -> None:
    """Test a judge: accuracy, calibration and, with -o or --json, how its distance responds to disturbed images.

    The last takes some minutes if the test split is large:
    thirty sets of as many images are measured.
    """
    from genlab.api import judge as api
    from genlab.cli import terminal
    from genlab.engine import files
    from genlab.evaluation.judge_trial import facts
    from genlab.report import tables

    if output is not None:
        files.destination(output, ".png (the responses)")
    found = api.try_judge(dataset, run=judge, runs=runs, disturb=json or output is not None)
    if output is not None:
        from genlab.report.figures import evaluation as figures

        files.write(output, figures.judge_trial(found))
    if json:
        terminal.show_json(facts(found))
        return
    say("\n".join(f"{name}: {value}" for name, value in found.words()))
    if output is None:
        say("responses to disturbed images: -o FILE.png (some minutes)")
        return
    say()
    terminal.show_table(tables.of_judge_trial(found))
