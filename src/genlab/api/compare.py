"""Compare runs: their evaluations, overlaid curves, and a page."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from genlab.api.progress import shown
from genlab.api.run import Run
from genlab.engine.files import write
from genlab.engine.stages import stage
from genlab.errors import UsageError
from genlab.evaluation.alike import unlike
from genlab.evaluation.measure import FULL
from genlab.families.registry import FAMILIES
from genlab.report.compare_page import ComparePage, compare_page
from genlab.report.html import render
from genlab.report.overlay import Compared, Overlay, overlay
from genlab.report.series import AXES, Axis
from genlab.runs.directory import default_root


@dataclass(frozen=True)
class Comparison:
    """Runs side by side.

    Attributes:
        records: name -> evaluation, for each run that makes images.
        page: content of the page.
    """

    records: dict[str, dict[str, Any]]
    page: ComparePage

    def save(self, path: str | Path) -> None:
        """Write the page as one self-contained .html file.

        Raises:
            UsageError: the extension is not .html.
            StorageError: the disk refuses.
        """
        path = Path(path)
        if path.suffix.lower() != ".html":
            raise UsageError(f"{path}: the extension sets the format; allowed: .html (the page)")
        write(path, render(self.page).encode())


def compare(
    names: Sequence[str | Path | Run], *, n: int = FULL, runs: str | Path | None = None, progress: bool = True
) -> dict[str, dict[str, Any]]:
    """Evaluations of several runs, by name; a run without an evaluation of its current weights is evaluated first.

    Args:
        names: two or more runs, each by name or path or as a `Run`. One that was trained with a network of your own
            must be a `Run` (`genlab.train` returns it, `genlab.open_run` opens it).
        n: number of images per run.
        runs: folder of the runs (default: GENLAB_RUNS or ./runs).
        progress: whether to show progress in a terminal, in a notebook or on standard error.

    Raises:
        UsageError: there are fewer than two runs, a run is given twice, makes no images or lacks its own network, or
            the runs were trained on different datasets or measured in different ways; all but the last are checked
            before anything is measured.
        DataError: an evaluation is damaged or was edited.
    """
    return _records(_two_or_more(names, runs), n, progress)


def comparison(
    names: Sequence[str | Path | Run],
    *,
    n: int = FULL,
    against: str = "step",
    runs: str | Path | None = None,
    progress: bool = True,
) -> Comparison:
    """Runs side by side, for a page: evaluations as in `compare`, samples, curves and differences; classifiers too.

    Raises:
        UsageError: as for `compare`, but runs that make no images are allowed if they were trained on the same
            dataset; or the axis is unknown.
        DataError: a run's provenance or an evaluation is damaged.
    """
    axis = _axis(against)
    opened = _two_or_more(names, runs)
    drawing = {name: run for name, run in opened.items() if FAMILIES[run.directory.trained_by().family].sampling}
    records = _records(drawing, n, progress)
    with shown(progress), stage("drawing the page"):
        return Comparison(records, compare_page({name: run.directory for name, run in opened.items()}, records, axis))


def _two_or_more(names: Sequence[str | Path | Run], runs: str | Path | None) -> dict[str, Run]:
    opened = by_name(names, runs)
    if len(opened) < 2:
        raise UsageError("compare needs two runs or more")
    # Losses and accuracies depend on the dataset as much as distances do.
    trained = {name: {"dataset": run.directory.trained_by().data.name} for name, run in opened.items()}
    _check_alike({name: {"protocol": protocol} for name, protocol in trained.items()})
    return opened


def _check_alike(records: Mapping[str, Mapping[str, Any]]) -> None:
    if why := unlike(records):
        raise UsageError(f"these runs cannot be compared, since {why}")


def _records(opened: dict[str, Run], n: int, progress: bool) -> dict[str, dict[str, Any]]:
    known = {name: run.measured(n) for name, run in opened.items()}
    _check_alike({name: record for name, record in known.items() if record is not None})
    for name, run in opened.items():
        if known[name] is None:
            run.check_samples()
    with shown(progress):
        found = {}
        for name, run in opened.items():
            with stage(name):
                found[name] = known[name] or run.evaluate(n=n).record
    _check_alike(found)
    return found


def compared(names: Sequence[str | Path | Run], runs: str | Path | None = None) -> Compared:
    """Rows and recipes of runs, side by side.

    Raises:
        UsageError: a run does not exist or is given twice.
        DataError: a provenance is damaged.
    """
    return Compared.of({name: run.directory for name, run in by_name(names, runs).items()})


def _axis(against: str) -> Axis:
    if against not in AXES:
        raise UsageError(f"against is {against!r}; allowed: {', '.join(AXES)}")
    return against


def by_name(names: Sequence[str | Path | Run], runs: str | Path | None) -> dict[str, Run]:
    """Runs by their names, or by their paths if two names are the same.

    Raises:
        UsageError: a run does not exist or is given twice.
    """
    root = Path(runs) if runs else default_root()
    opened = [run if isinstance(run, Run) else Run.at(run, root) for run in names]
    for k, run in enumerate(opened):
        if run.path.resolve() in (other.path.resolve() for other in opened[:k]):
            raise UsageError(f"{run.path.name} is named twice")
    alike = len({run.path.name for run in opened}) < len(opened)
    return {run.path.as_posix() if alike else run.path.name: run for run in opened}


def plot(
    names: Sequence[str | Path | Run] | str | Path | Run,
    of: str,
    *,
    against: str = "step",
    block: int | None = None,
    runs: str | Path | None = None,
) -> Overlay:
    """Figure of a column of the metric rows of one or more runs; save it as .png, .pdf, .svg or .csv.

    Args:
        names: one or more runs, each by name or path or as a `Run`.
        of: name of the column, such as "loss_g" or "frechet_distance".
        against: step, epoch, half-epoch, images or seconds.
        block: number of steps averaged per point (default: as few as leave a readable curve).
        runs: folder of the runs (default: GENLAB_RUNS or ./runs).

    Raises:
        UsageError: a run, the column or the axis does not exist.
        DataError: a run's provenance is damaged.
    """
    axis = _axis(against)
    if block is not None and block < 1:
        raise UsageError(f"block is {block}; allowed: 1 or more steps")
    chosen = [names] if isinstance(names, str | Path | Run) else list(names)
    drawn = overlay(compared(chosen, runs), of, axis, block)
    if block is not None and drawn.spacing > block:
        warnings.warn(
            f"rows are {drawn.spacing} steps apart (logging.metrics_every): a block of {block} is a single row",
            stacklevel=2,
        )
    return drawn
