"""The commands that look at a run: each a thin wrapper around a method of `Run`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from genlab.cli.options import AS_THE_RUN_DOES, Draw, Json, Judge, Label, RunName, Runs, whole, wholes
from genlab.engine.console import say
from genlab.errors import UsageError
from genlab.runs.options import SamplingOptions

if TYPE_CHECKING:
    from genlab.api.run import Run
    from genlab.report.figures.look import Look


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
        Path | None,
        Parameter(name=["-o", "--output"], help="File: .png (a grid) or .npz (arrays) (default: samples.png)."),
    ] = None,
    as_files: Annotated[Path | None, Parameter(help="Instead: a new folder with one PNG file per image.")] = None,
    columns: Annotated[
        int | None, Parameter(converter=whole, help="Columns of the grid (default: one per class, or a square).")
    ] = None,
    scale: Annotated[
        int | None,
        Parameter(converter=whole, help="Pixels in the PNG for each pixel of an image (default: 2; files: 1)."),
    ] = None,
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

    if output is not None and as_files is not None:
        raise UsageError("-o and --as-files are two places for the same images; give only one of them")
    place = as_files or output or Path("samples.png")
    if as_files is None:
        files.destination(place, ".png (a grid)", ".npz (arrays)")
    elif as_files.suffix:
        raise UsageError(f"--as-files {as_files}: a folder is needed, not a file")
    opened = train.open_run(run, runs=runs)
    images = opened.sample(n, label=label, **how.options())
    opened.save(images, place, label=label, columns=columns, scale=scale, **how.options())
    drawn = SamplingOptions(**how.options())
    say(f"{place}: {n} images, {sampling.sampling_words(opened, drawn)}")


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
    columns: Annotated[
        int | None, Parameter(converter=whole, help="Number of z (default: 15, or as many as fit).")
    ] = None,
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
    """Move latent units one at a time, one unit per row."""
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
    """Draw test images and, below each, a VAE's reconstruction."""
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
    columns: Annotated[
        int | None,
        Parameter(converter=whole, help="Draw each epoch as a block with this many columns, with its quality above."),
    ] = None,
    how: Draw = AS_THE_RUN_DOES,
    output: Output = None,
    runs: Runs = None,
) -> None:
    """Draw the same z after several epochs, one epoch per row."""
    opened = _open(run, runs, output)
    _show(opened, opened.timeline(epochs=epochs, n=n, columns=columns, **how.options()), output)


def judged(
    run: RunName,
    /,
    *,
    n: Annotated[int, Parameter(converter=whole, name=["-n", "--number"], help="Number of images.")] = 9,
    columns: Annotated[int | None, Parameter(converter=whole, help="Columns of the grid (default: a square).")] = None,
    label: Label = None,
    judge: Judge = None,
    how: Draw = AS_THE_RUN_DOES,
    output: Output = None,
    runs: Runs = None,
) -> None:
    """Draw new images, each with the class that the judge assigns to it and how sure it is."""
    from genlab.api.evaluate import judge_of

    opened = _open(run, runs, output)
    reader = None if judge is None else judge_of(judge, runs)
    _show(opened, opened.judged(n=n, columns=columns, label=label, judge=reader, **how.options()), output)


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
        bits = facts["bits_per_dimension"]
        each = "" if bits is None else f", {bits:.4f} bits per pixel"
        say(f"{facts['of']} at least {mean:.2f} nats per image{spread}{each}")
        say(f"{facts['images']:,} {facts['split']} images, K = {samples}, seed {seed}, {facts['likelihood']}")


def _open(run: str, runs: Path | None, output: Path | None) -> Run:
    """The run, after checking that its figure can be saved."""
    from genlab.api import train
    from genlab.engine import files

    opened = train.open_run(run, runs=runs)
    if output is None:
        files.destination(opened.directory.folder("figures") / "look.png")
    else:
        files.destination(output, ".png (the figure)", ".npz (its numbers)")
    return opened


def _show(run: Run, look: Look, output: Path | None) -> None:
    """Save a look to `output`; if that is None, keep it in the run and rebuild the report."""
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
    judged,
    confusion,
)
"""In the order of the help text."""
