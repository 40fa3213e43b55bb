"""The commands about speed: a benchmark of this machine, and the plan that was measured on it."""

from __future__ import annotations

from typing import Annotated, Any

from cyclopts import App, Parameter

from genlab.cli.options import Json
from genlab.engine.console import say

app = App(name="bench", help="Benchmark this machine in two minutes; show its calibration.")


@app.default
def bench(*, json: Json = False) -> None:
    """Time some of the reports' systems against the reports' own code, and race to a given quality, in two minutes."""
    from genlab.bench.short import short
    from genlab.cli import terminal
    from genlab.report import tables

    found = short()
    if json:
        terminal.show_json(found)
        return
    rows = [
        (
            row["system"],
            f"{row['report_milliseconds']:.1f}",
            f"{row['milliseconds']:.1f}",
            f"{row['ratio']:.2f} [{row['interval'][0]:.2f}, {row['interval'][1]:.2f}]",
            f"{row['recorded_ratio']:.2f}",
            f"{row['peak_fraction']:.0%}",
        )
        for row in found["systems"]
    ]
    columns = ("system", "report's way, ms", "genlab, ms", "times faster", "recorded", "of the peak")
    terminal.show_table(tables.Table("", columns, rows))
    race, machine = found["speedrun"], found["speedrun"]["recorded_on"]
    if race["floors"] is None:
        reached, here = "not tried", f"its {race['steps']} steps would take about {race['seconds']:.0f} s"
        here += f" of training ({race['milliseconds']:.0f} ms a step, measured), too long for this command"
    else:
        reached = "reached" if race["floors"] <= race["floors_wanted"] else "not reached"
        here = f"{race['floors']:.0f} x that of real images in {race['seconds']:.1f} s of training (labels, seed 0)"
    say(
        f"\nFrechet distance of report S2's DCGAN after 5 epochs, {race['floors_wanted']:.0f} x that of real images: "
        f"{reached}"
    )
    say(f"  here      {here}")
    say(f"  recorded  {race['recorded_seconds']:.1f} s on {machine['cores']} cores, {machine['processor']}")
    peak = ", ".join(f"{name} {value:,.0f}" for name, value in found["peak_gflops"].items())
    say(f"\nPeak of this machine, GFLOP/s: {peak}. The plan: genlab bench plan")
    _show_left_out(found["left_out"])


@app.command
def plan(
    *,
    anew: Annotated[bool, Parameter(negative="", help="Measure again, even if measurements are remembered.")] = False,
    json: Json = False,
) -> None:
    """Show what `auto` means on this machine, and the measurements behind it."""
    from genlab.cli import terminal
    from genlab.engine import calibrate as plans
    from genlab.engine import device, threads, waiting
    from genlab.report import tables

    found = plans.measured(device.best_device(), anew)
    convolutional, dense = found.choice(convolutional=True), found.choice(convolutional=False)
    facts: dict[str, Any] = {
        "convolutional": convolutional,
        "linear": dense,
        "waiting": waiting.words(),
        "left_out": found.left_out(),
        "instructions": threads.instructions(),
        "milliseconds": found.milliseconds,
        "source": found.source,
        "file": str(plans.cache_file()),
    }
    if json:
        terminal.show_json(facts)
        return
    rows = [(f"engine.{name}", str(value), str(dense[name])) for name, value in convolutional.items()]
    terminal.show_table(tables.Table("", ("field", "convolutions", "linear layers only"), rows))
    say()
    terminal.show_table(
        tables.Table("", ("measured", "milliseconds"), [(k, f"{v:.3f}") for k, v in found.milliseconds.items()])
    )
    say(f"\nThreads wait: {waiting.words()}. These times: {found.source}, {facts['file']}.")
    _show_left_out(found.left_out())
    say("Any field can be set: genlab train RECIPE --engine.threads 1")


def _show_left_out(reasons: dict[str, str]) -> None:
    for precision, reason in reasons.items():
        say(f"Left out: {precision}: {reason}")
