"""Time to quality: `make speedrun`, or `python benchmarks/speedrun.py [--quick] [--json FILE]`.

A track is a dataset, and whether labels may be used; a target is a Frechet distance, as a multiple of that of real
images, at which the clock stops (`genlab.bench.quality` has the protocol). An entry, a genlab recipe with a number of
steps, holds a track's record if the mean over its seeds reaches the target. Its reference is the report's own loop on
the report's own system, in turns for each seed. A full run writes records.json, RECORDS.md and what `genlab bench`
compares with.
"""

from __future__ import annotations

import argparse
import io
import json
import statistics
import time
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from genlab.bench import quality, records
from genlab.bench.timing import REPORT, Stepper, mean_interval
from genlab.training.assemble import settle, used_by
from genlab.training.minutes import multiply_adds

HERE = Path(__file__).parent
ROWS, PAGE, PICTURE = HERE / "records.json", HERE / "RECORDS.md", HERE / "records.png"
REFERENCES = {"s2": ("s2-dcgan", 469, (0.25, 1, 2, 3, 5)), "s4": ("s4-dcgan", 469, (1, 2, 5, 10))}
"""Target -> the report's system, its steps per epoch, and the epochs after which it is scored; the last counts."""
LABELS = {"conditional": "labels used", "unconditional": "no labels"}
SHORT = {
    "networks.latent": 8,
    "budget.batch": 32,
    **{f"optimisers.{each}.lr": 4e-3 for each in ("generator", "discriminator")},
}
"""Changes to the quick recipes that suit a training of seconds: many small steps, and little to learn about z."""
TOLD = {**SHORT, "networks.generator.init": "torch-default", "objective.sigma": 0.1}
UNTOLD = {**SHORT, "networks.discriminator.minibatch_stddev": 32}


@dataclass(frozen=True)
class Entry:
    """An attempt at a record.

    Attributes:
        data, track: the dataset, and whether labels are used.
        target: a key of `REFERENCES`, or a multiple of the Frechet distance of real images.
        recipe, overrides: what is trained.
        steps: number of training steps.
        seeds: number of seeds; fewer if the target is out of reach.
    """

    data: str
    track: str
    target: str
    recipe: str
    steps: int
    overrides: dict[str, Any] = field(default_factory=dict)
    seeds: int = 5

    @property
    def name(self) -> str:
        return f"{self.data} {self.track} {self.target}"

    @property
    def marks(self) -> list[int]:
        """Steps after which the entry is scored: some on the way for the curve, and the last."""
        return sorted({max(1, round(self.steps * share)) for share in (0.2, 0.5, 1.0)})

    @property
    def teraops(self) -> float:
        """Cost of the training in 10^12 multiply-adds, forward and backward."""
        return teraops(self.recipe, self.settings, self.steps)

    @property
    def settings(self) -> dict[str, Any]:
        """Overrides with the length of the training, over which schedules are laid out."""
        return {**self.overrides, "budget.max_steps": self.steps, "budget.epochs": 1000}


def teraops(recipe: str, overrides: dict[str, Any], steps: int) -> float:
    """Cost of `steps` steps of a recipe in 10^12 multiply-adds, forward and backward."""
    settled, whole = settle(recipe, overrides)
    return steps * multiply_adds(settled, used_by(settled, whole)) / 1e12


ENTRIES = (
    Entry("mnist", "unconditional", "s2", "quick-mnist-unconditional", 800, UNTOLD),
    Entry("mnist", "conditional", "s2", "quick-mnist", 320, TOLD),
    Entry("mnist", "conditional", "5", "quick-mnist", 1874),
    Entry("mnist", "conditional", "2", "quick-mnist", 5622),
    Entry("mnist", "unconditional", "5", "quick-mnist-unconditional", 7496, seeds=1),
    Entry("fashion-mnist", "conditional", "s4", "quick-fashion", 1100),
    Entry("fashion-mnist", "unconditional", "s4", "quick-mnist-unconditional", 1874, {"data.name": "fashion-mnist"}),
    Entry("fashion-mnist", "conditional", "5", "quick-fashion", 14_992, seeds=1),
)


def row(
    entry: Entry, runs: list[list[dict[str, Any]]], references: list[list[dict[str, Any]]], wanted: float
) -> dict[str, Any]:
    """One record, or what was reached instead."""
    ends, their_ends = [run[-1] for run in runs], [run[-1] for run in references]
    floors, floors_interval = mean_interval([end["floors"] for end in ends])
    reached = floors <= wanted
    seconds, seconds_interval = mean_interval([end["seconds"] for end in ends])
    theirs = statistics.mean([end["seconds"] for end in their_ends]) if their_ends else None
    ratios = [b["seconds"] / a["seconds"] for a, b in zip(ends, cycle(their_ends), strict=False)]
    ratio, interval = mean_interval(ratios) if ratios and reached else (None, None)
    met = [end["requested"] for end in ends if end["requested"] is not None]
    return {
        "track": f"{entry.data} {entry.track}",
        "labels": LABELS[entry.track],
        "target": entry.target,
        "floors_wanted": wanted,
        "reached": reached,
        "seconds": seconds,
        "seconds_interval": seconds_interval,
        "reference_seconds": theirs,
        "ratio": ratio,
        "interval": interval,
        "floors": floors,
        "floors_interval": floors_interval,
        "requested_class_accuracy": statistics.mean(met) if met else None,
        "seeds": len(runs),
        "recipe": entry.recipe,
        "steps": entry.steps,
        "teraops": round(entry.teraops, 3),
        "overrides": entry.overrides,
        "curves": runs,
        "reference_curves": references,
    }


def words(found: dict[str, Any]) -> str:
    """A row as in RECORDS.md."""

    def span(value: float | None, interval: list[float] | None, form: str) -> str:
        if value is None:
            return "-"
        return format(value, form) + (f" [{interval[0]:{form}}, {interval[1]:{form}}]" if interval else "")

    target = f"{found['floors_wanted']:.1f} x real images" + (
        f" (report {found['target'].upper()})" if found["target"] in REFERENCES else ""
    )
    seconds = span(found["seconds"], found["seconds_interval"], ".1f") + (
        " s" if found["reached"] else " s: not reached"
    )
    theirs = "-" if found["reference_seconds"] is None else f"{found['reference_seconds']:.0f} s"
    cells = [
        f"{found['track']}, {found['labels']}",
        target,
        seconds,
        span(found["floors"], found["floors_interval"], ".1f"),
        theirs,
        "-"
        if found["ratio"] is None
        else f"**{found['ratio']:.0f}x** "
        + (f"[{found['interval'][0]:.0f}, {found['interval'][1]:.0f}]" if found["interval"] else ""),
        f"`{found['recipe']}`, {found['steps']:,} steps",
        f"{found['teraops']:.2g}",
        str(found["seeds"]),
    ]
    return f"| {' | '.join(cells)} |"


def table(found: list[dict[str, Any]]) -> str:
    """Table of all rows."""
    head = ["track", "target", "training", "distance then", "reference", "ratio", "entry", "teraops", "seeds"]
    return "\n".join([f"| {' | '.join(head)} |", "|" + "---|" * len(head), *(words(each) for each in found)])


def by_class(rows: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Rows by class of the machine that they ran on, the class with the most rows first."""
    found: dict[str, list[dict[str, Any]]] = {}
    for each in rows:
        found.setdefault(records.machine_class(each["machine"]), []).append(each)
    return dict(sorted(found.items(), key=lambda item: -len(item[1])))


def picture(rows: list[dict[str, Any]]) -> bytes:
    """Whole time-quality curves of everything that ran on one class of machine, as PNG."""
    figure = Figure(figsize=(9, 5), layout="constrained")
    axes = figure.add_subplot()
    drawn: set[str] = set()
    lines = [
        (f"report {row['target'].upper()}", row["reference_curves"], "--")
        for row in rows
        if row["target"] in REFERENCES
    ]
    lines += [(f"{row['track']}, {row['steps']:,} steps", row["curves"], "-") for row in rows]
    colours: dict[str, Any] = {}
    for name, runs, style in lines:
        if name in drawn or not runs:
            continue
        drawn.add(name)
        for k, run in enumerate(runs):
            (line,) = axes.loglog(
                [point["seconds"] for point in run],
                [point["floors"] for point in run],
                style,
                color=colours.get(name),
                label=name if k == 0 else None,
                marker=".",
                alpha=0.8,
            )
            colours[name] = line.get_color()
    axes.set(xlabel="seconds of training", ylabel="Frechet distance over that of real images")
    axes.grid(alpha=0.3, which="both")
    axes.legend(fontsize="small", loc="center left", bbox_to_anchor=(1, 0.5))
    written = io.BytesIO()
    FigureCanvasAgg(figure).print_png(written)  # type: ignore[no-untyped-call]
    return written.getvalue()


class Measurement:
    """Measurements that are made once for several entries: the references, and the targets that follow from them.

    Report S2's loop runs with every seed. Report S4's would take 20 minutes per seed, so its quality is that of
    genlab's loop on the same system, with one seed. If the report's loop did not run this time (for S4, and for S2's
    curves that are taken from the record), its seconds are its steps at the speed of that loop, timed again.
    """

    def __init__(self, seeds: int, quick: bool, known: list[dict[str, Any]]) -> None:
        self.seeds, self.quick = seeds, quick
        self._curves: dict[tuple[str, int], list[dict[str, Any]]] = {}
        self._known = {
            (each["target"], seed): curve for each in known for seed, curve in enumerate(each["reference_curves"])
        }

    def reference(self, target: str, seed: int) -> list[dict[str, Any]]:
        """Curve of a report's system; only its first two points if quick."""
        if (target, seed) not in self._curves:
            system, per_epoch, epochs = REFERENCES[target]
            marks = [round(per_epoch * epoch) for epoch in epochs]
            if self.quick:
                marks = marks[:2]
            known = self._known.get((target, seed))
            curve = known or quality.curve(system, REPORT if target == "s2" else "auto", seed, marks)
            if known or target != "s2":
                with Stepper(system, REPORT) as stepper:
                    a_step = stepper.seconds(20) / 20
                curve = [{**point, "seconds": point["step"] * a_step} for point in curve]
            self._curves[target, seed] = curve
            print(f"report {target}, seed {seed}: {_last(curve)}", flush=True)
        return self._curves[target, seed]

    def wanted(self, target: str) -> float:
        """Target as a multiple of real images' distance: a number, or the mean of the reference's last scores."""
        if target not in REFERENCES:
            return float(target)
        seeds = range(self.seeds if target == "s2" else 1)
        return statistics.mean([float(self.reference(target, seed)[-1]["floors"]) for seed in seeds])

    def row(self, entry: Entry) -> dict[str, Any]:
        """Row of an entry, from its runs and its reference's, in turns for each seed."""
        runs, theirs = [], []
        for seed in range(min(self.seeds, entry.seeds)):
            if entry.target in REFERENCES and (entry.target == "s2" or seed == 0):
                theirs.append(self.reference(entry.target, seed))
            runs.append(quality.curve(entry.recipe, "auto", seed, entry.marks, entry.settings))
            print(f"{entry.name}, seed {seed}: {_last(runs[-1])}", flush=True)
        return row(entry, runs, theirs, self.wanted(entry.target))


def _last(curve: list[dict[str, Any]]) -> str:
    return f"{curve[-1]['floors']:.1f} x real images after {curve[-1]['seconds']:.1f} s"


def section(rows: list[dict[str, Any]]) -> str:
    """Table of one class of machine, and what machine that was."""
    machine, versions = rows[0]["machine"], rows[0]["versions"]
    limits = f", limited by {machine['limits']}" if machine["limits"] else ""
    return f"""{table(rows)}

{rows[0]["date"]}, {machine["cores"]} cores of an {machine["processor"]} (a shared virtual machine) with
{machine["capability"]}{limits}, {machine["threads"]} threads, {machine["precision"]}, PyTorch {versions["torch"]}."""


def page(rows: list[dict[str, Any]]) -> str:
    """Text of RECORDS.md."""
    first, *others = by_class(rows).values()
    return f"""# Records: time to quality

{section(first)}

Training only: mean over the seeds with 95 % intervals (Student's t). Distance: the Frechet distance of 10,000 images to
the 10,000 test images, by genlab's judges, over that of 10,000 training images. The clock runs from the first batch to
the last step and pauses during scoring.

The reference "report S2" is that report's loop, as written there (`genlab.bench.loops`), on its system for its 5
epochs: its mean quality is the target. "Report S4" is that report's DCGAN after 10 epochs, trained by genlab's loop,
one seed; its time is its number of steps at the speed of the report's loop, timed in the run that made the row, and the
interval of the ratio covers only the entry's seeds. Teraops are 10^12 multiply-adds, forward and backward; report S2's
training takes {teraops("s2-dcgan", {}, 2345):.1f}, report S4's ten epochs take {teraops("s4-dcgan", {}, 4690):.0f}.
A round number is a target by itself and has no reference. Conditional entries use labels, which the reports' systems
do not. Networks, batch and settings of an entry are those of its recipe, with the overrides in records.json.

How the entries were chosen: settings were searched for with seed 0 or 1, and the number of steps was raised until the
mean over the seeds reached the target (MNIST to report S2's quality, without labels: 680, 800; with: 290, 320;
Fashion-MNIST to report S4's, without: 1,250, 3,000, 3,600; with: 540, 1,250, and 1,100 in vain), on MNIST within half
an hour of the reference, whose curves are those of the first try. The intervals do not account for that choice. Each
row has its own date in records.json: those of 2026-11-25 use the quick recipes of that day, which were 32 wide and have
changed since.

![Frechet distance over that of real images against seconds of training, both axes logarithmic](records.png)

*Every seed of every run. A run whose schedule falls to 0 is better at its end than on the way.*

## Other classes of machine

The same entries on processors without bfloat16 instructions. The targets are those above; the time of report S2's loop
is its number of steps at its speed there, timed with each seed.

{(chr(10) * 2).join(section(each) for each in others)}

To add a record, change `ENTRIES` in speedrun.py, then run `make speedrun`. How to read this page:
[docs/performance.md](../docs/performance.md).
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one seed of one race; two minutes")
    parser.add_argument(
        "--only", action="append", metavar="ENTRY", help='as in "mnist conditional s2"; may be repeated'
    )
    parser.add_argument(
        "--keep-references",
        action="store_true",
        help="take the reports' quality from records.json; their steps are timed again",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write one row per entry there, not in the records")
    options = parser.parse_args()
    start = time.monotonic()
    known = json.loads(ROWS.read_text("utf-8")) if options.keep_references else []
    measurement = Measurement(1 if options.quick else 5, options.quick, known)
    asked = options.only or (["mnist conditional s2"] if options.quick else [entry.name for entry in ENTRIES])
    rows = [measurement.row(entry) for entry in ENTRIES if entry.name in asked]
    facts = {**records.here(), "minutes": round((time.monotonic() - start) / 60, 1)}
    rows = [{**each, **facts} for each in rows]
    print(f"\n{table(rows)}\n\n{facts['minutes']} minutes")
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n", "utf-8")
    elif not options.quick:
        write(rows)


def write(rows: list[dict[str, Any]]) -> None:
    """Replace the rows of the same track, target and class of machine, and renew everything that is made from the
    rows."""
    known = json.loads(ROWS.read_text("utf-8")) if ROWS.exists() else []
    found = {(records.machine_class(each["machine"]), each["track"], each["target"]): each for each in [*known, *rows]}
    order = [entry.name for entry in ENTRIES]
    rows = sorted(found.values(), key=lambda each: order.index(f"{each['track']} {each['target']}"))
    ROWS.write_text(json.dumps(rows, indent=1) + "\n", "utf-8")
    PAGE.write_text(page(rows), "utf-8")
    first, *_ = by_class(rows).values()
    PICTURE.write_bytes(picture(first))
    kept = ("track", "target", "floors_wanted", "seconds", "recipe", "steps", "overrides")
    best = [{key: each[key] for key in kept} for each in first if each["reached"]]
    records.keep(machine=first[0]["machine"], speedrun=best)


if __name__ == "__main__":
    main()
