"""The commands that look at a run: each a thin call of a method of `Run`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from genlab.cli.options import AS_THE_RUN_DOES, Draw, Json, Label, RunName, Runs, whole, wholes
from genlab.engine.console import say
from genlab.runs.options import SamplingOptions

if TYPE_CHECKING:
    from genlab.api.run import Run
    from genlab.report.figures.looks import Look


Output = Annotated[
    Path | None,
    Parameter(
        name=["-o", "--output"], help="File for the figure: .png, or .npz for its numbers (default: the run's figures)."
    ),
]


def sample(
    run: RunName,
    /,
    *,
    n: Annotated[int, Parameter(converter=whole, name=["-n", "--number"], help="Number of images.")] = 64,
    output: Annotated[
        Path, Parameter(name=["-o", "--output"], help="File for the images: .png (a grid) or .npz (arrays).")
    ] = Path("samples.png"),
    label: Annotated[
        str | None,
        Parameter(name="--class", help="Class to draw, by number or name (default: all classes, one per column)."),
    ] = None,
    how: Draw = AS_THE_RUN_DOES,
    runs: Runs = None,
) -> None:
    """Draw new images from a run."""
    from genlab.api import train
    from genlab.engine import files
    from genlab.runs import sampling

    files.destination(output, ".png (a grid)", ".npz (arrays)")
    opened = train.open_run(run, runs=runs)
    images = opened.sample(n, label=label, **how.options())
    opened.save(images, output, label=label, **how.options())
    drawn = SamplingOptions(**how.options())
    say(f"{output}: {n} images, {sampling.sampling_words(opened, drawn)}")


def interpolate(
    run: RunName,
    /,
    *,
    pairs: Annotated[int, Parameter(converter=whole, help="Number of rows, each from one z to another.")] = 8,
    steps: Annotated[int, Parameter(converter=whole, help="Images per row.")] = 10,
    path: Annotated[Literal["linear", "spherical"], Parameter(help="Path between two z.")] = "linear",
    label: Label = None,
    how: Draw = AS_THE_RUN_DOES,
    output: Output = None,
    runs: Runs = None,
) -> None:
    """Draw images along the path from one z to another."""
    opened = _open(run, runs, output)
    _show(opened, opened.interpolate(pairs=pairs, steps=steps, path=path, label=label, **how.options()), output)


def grid(
    run: RunName,
    /,
    *,
    columns: Annotated[int, Parameter(converter=whole, help="Number of z.")] = 15,
    how: Draw = AS_THE_RUN_DOES,
    output: Output = None,
    runs: Runs = None,
) -> None:
    """Draw every class from the same z: one class per row, one z per column."""
    opened = _open(run, runs, output)
    _show(opened, opened.grid(columns=columns, **how.options()), output)


def traverse(
    run: RunName,
    /,
    *,
    units: Annotated[
        list[int] | None,
        Parameter(
            consume_multiple=True, negative="", converter=wholes, help="Latent units to move (default: the first ten)."
        ),
    ] = None,
    steps: Annotated[int, Parameter(converter=whole, help="Images per row.")] = 9,
    span: Annotated[float, Parameter(help="How far each unit is moved, either way.")] = 3.0,
    label: Label = None,
    how: Draw = AS_THE_RUN_DOES,
    output: Output = None,
    runs: Runs = None,
) -> None:
    """Move one latent unit after the other, one per row."""
    opened = _open(run, runs, output)
    _show(opened, opened.traverse(units=units, steps=steps, span=span, label=label, **how.options()), output)


def latent_map(
    run: RunName,
    /,
    *,
    steps: Annotated[int, Parameter(converter=whole, help="Images per side.")] = 20,
    label: Label = None,
    how: Draw = AS_THE_RUN_DOES,
    output: Output = None,
    runs: Runs = None,
) -> None:
    """Draw a two-dimensional latent space and where test images lie in it."""
    opened = _open(run, runs, output)
    _show(opened, opened.latent_map(steps=steps, label=label, **how.options()), output)


def reconstruct(
    run: RunName,
    /,
    *,
    n: Annotated[int, Parameter(converter=whole, name=["-n", "--number"], help="Number of images.")] = 20,
    how: Draw = AS_THE_RUN_DOES,
    output: Output = None,
    runs: Runs = None,
) -> None:
    """Draw test images and, below each, what a VAE reconstructs."""
    opened = _open(run, runs, output)
    _show(opened, opened.reconstruct(n=n, **how.options()), output)


def timeline(
    run: RunName,
    /,
    *,
    epochs: Annotated[
        list[int] | None,
        Parameter(
            consume_multiple=True,
            negative="",
            converter=wholes,
            help="Epochs to show (default 1 5 10 50 100 and the last, where a snapshot exists).",
        ),
    ] = None,
    n: Annotated[int, Parameter(converter=whole, name=["-n", "--number"], help="Number of z.")] = 12,
    how: Draw = AS_THE_RUN_DOES,
    output: Output = None,
    runs: Runs = None,
) -> None:
    """Draw the same z after several epochs, one epoch per row."""
    opened = _open(run, runs, output)
    _show(opened, opened.timeline(epochs=epochs, n=n, **how.options()), output)


def confusion(run: RunName, /, *, output: Output = None, runs: Runs = None) -> None:
    """Draw a classifier's confusion matrix."""
    opened = _open(run, runs, output)
    _show(opened, opened.confusion(), output)


def likelihood(
    run: RunName,
    /,
    *,
    samples: Annotated[int, Parameter(converter=whole, help="Importance samples per image (K).")] = 64,
    images: Annotated[int, Parameter(converter=whole, help="Number of test images.")] = 1000,
    seed: Annotated[int, Parameter(converter=whole, help="Random seed of the noise.")] = 0,
    json: Json = False,
    runs: Runs = None,
) -> None:
    """Estimate log p(x) of test images with a VAE: an importance-weighted lower bound."""
    from genlab.api import train
    from genlab.cli import terminal

    facts = train.open_run(run, runs=runs).likelihood(samples=samples, images=images, seed=seed)
    if json:
        terminal.show_json(facts)
    else:
        mean, error = facts["log_likelihood"], facts["standard_error"]
        spread = "" if error is None else f" (standard error {error:.2f} over images)"
        say(f"{facts['of']} at least {mean:.2f} nats per image{spread}")
        say(f"{facts['images']:,} {facts['split']} images, K = {samples}, seed {seed}, {facts['likelihood']}")


def _open(run: str, runs: Path | None, output: Path | None) -> Run:
    """The run, once it is known that what is drawn of it can be saved."""
    from genlab.api import train
    from genlab.engine import files

    opened = train.open_run(run, runs=runs)
    if output is None:
        files.destination(opened.directory.folder("figures") / "look.png")
    else:
        files.destination(output, ".png (the figure)", ".npz (its numbers)")
    return opened


def _show(run: Run, look: Look, output: Path | None) -> None:
    """Save a look where asked for; else keep it in the run and write the report anew."""
    if output is not None:
        look.save(output)
        say(f"{output}: {look.caption}")
    else:
        say(f"{look.keep(run)}: {look.caption}")
        say(f"report  {run.report()}")


COMMANDS = (
    sample,
    interpolate,
    grid,
    traverse,
    latent_map,
    reconstruct,
    timeline,
    confusion,
)
"""In the order of the help text."""
