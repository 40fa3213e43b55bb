"""Runs made elsewhere, gathered into a study: one seed per student, or the records of another machine."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from genlab.api.run import Run
from genlab.engine.files import write
from genlab.engine.stages import stage
from genlab.errors import DataError, GenlabError, UsageError
from genlab.runs import verify
from genlab.runs.directory import list_runs
from genlab.runs.search import is_run
from genlab.study.job import record_of
from genlab.study.plan import Cell, changes, identity, trained
from genlab.study.record import Record, read_record, write_record
from genlab.study.tasks import task_of

if TYPE_CHECKING:
    from genlab.study.study import Study

Read = Callable[["Study", Path], tuple[Record, bytes]]
"""Returns a record and the run's last sample grid."""


@dataclass(frozen=True)
class Looked:
    """Result of looking at a run, a record or an empty folder.

    Attributes:
        line: the result in words, with the reason if it was refused.
        fits: whether it is in the study now, either taken or there already.
    """

    line: str
    fits: bool = False


def collect(study: Study, sources: Sequence[str | Path]) -> Iterator[Looked]:
    """Take in what fits the plan, and report on each thing looked at.

    Args:
        sources: runs, record files, or folders that hold any of them.

    Raises:
        UsageError: a source does not exist; nothing is taken then.
    """
    if missing := [source for source in sources if not Path(source).exists()]:
        raise UsageError(f"{missing[0]}: no such file or folder; nothing was collected")
    with study.folder.locked():
        study.folder.begin(study.plan)
        study.folder.journal(mend=True)
        known, _ = study.folder.records(study.plan)
        for source in sources:
            path = Path(source)
            found = 0
            for looked in _of(study, path, known):
                found += 1
                yield looked
            if not found:
                yield Looked(f"{path}: contains no run and no record")


def _of(study: Study, path: Path, known: dict[Cell, Record]) -> Iterator[Looked]:
    files = [path] if path.is_file() else sorted(path.rglob("*-seed*.json"))
    for file in files:
        yield _take(study, known, file, _from_record)
    if path.is_dir():
        for run in [path] if is_run(path) else [run.path for run in list_runs(path, deep=True)]:
            yield _take(study, known, run, _from_run)


def _take(study: Study, known: dict[Cell, Record], path: Path, read: Read) -> Looked:
    """Take in a run or a record if it fits."""
    try:
        record, picture = read(study, path)
        cell = _fits(study, record, known)
        if cell in known:
            same = "the same run" if known[cell].content == record.content else "another run of it"
            return Looked(
                f"{path}: not collected again: {cell.arm}, seed {cell.seed} already exists ({same})", fits=True
            )
        if (copy := _copy_of(record, known)) is not None:
            return Looked(f"{path}: refused: a copy of {copy.arm}, seed {copy.seed}: same weights, another seed")
    except GenlabError as error:
        first = str(error).splitlines()[0]
        return Looked(f"{path}: refused: {first.removeprefix(f'{path}: ').removeprefix(f'{path}{os.sep}')}")
    write_record(study.folder.record_path(cell), record)
    if picture:
        write(study.folder.sample_path(cell), picture)
    study.folder.note("collected", cell, source=path.name)
    known[cell] = record
    return Looked(f"{path}: collected as {cell.arm}, seed {cell.seed}", fits=True)


def _from_record(study: Study, path: Path) -> tuple[Record, bytes]:
    record = read_record(path)
    if not record.has(list(study.plan.study.quantities.values())):
        raise DataError(f"{path}: it lacks a quantity of this study; give the run itself instead")
    picture = path.parent.parent / "samples" / f"{path.stem}.png"
    return record, picture.read_bytes() if picture.is_file() else b""


def _from_run(study: Study, path: Path) -> tuple[Record, bytes]:
    """Measure a run as the study would, without changing it."""
    run = Run(path)
    state = run.status["state"]
    if state != "finished":
        raise UsageError(f"{path}: it is {state}, not finished")
    if damages := verify.verify(run.directory).damages:
        raise DataError(damages[0])
    if own := run.provenance.get("own"):
        raise UsageError(f"{path}: custom {' and '.join(own)}; only the study's own code may supply that")
    found = identity(run.directory.trained_by())
    arms = [arm for arm in study.plan.arms if arm.identity == found and not arm.own_code]
    if not arms:
        raise UsageError(f"{path}: its recipe is not one of the study's; {_nearest(study, run)}")
    cell = Cell(arms[0].name, run.provenance["seed"])
    with tempfile.TemporaryDirectory() as folder:
        task = task_of(study.plan, cell, {}, Path(folder), study.folder, keep=True)
        with stage(f"measuring {path.name}"):
            record = record_of(task, run, list(study.plan.study.quantities.values()), "finished", "", store=False)
    grids = run.steps("samples", ".png")
    return record, run.file("samples", grids[-1], ".png").read_bytes() if grids else b""


def _nearest(study: Study, run: Run) -> str:
    """Arm that a run's recipe comes closest to, and where the two differ."""
    mine = trained(run.directory.trained_by())
    found = {arm.name: changes(trained(arm.recipe), mine) for arm in study.plan.arms}
    arm = min(found, key=lambda name: len(found[name]))
    more = f" and {len(found[arm]) - 3} more" if len(found[arm]) > 3 else ""
    return f"the nearest is {arm}, but {'; '.join(found[arm][:3])}{more}"


def _fits(study: Study, record: Record, known: dict[Cell, Record]) -> Cell:
    """Cell of a record in the plan.

    Raises:
        UsageError: the record has none.
    """
    plan = study.plan
    if record.arm not in plan.names:
        raise UsageError(f"{record.arm} is not one of the study's arms ({', '.join(plan.names[:6])})")
    arm = plan.arm(record.arm)
    if arm.identity != record.identity:
        raise UsageError(f"its recipe is not that of the study's arm {record.arm}")
    if record.seed not in plan.seeds:
        seeds = ", ".join(map(str, plan.seeds[:8])) + (", ..." if len(plan.seeds) > 8 else "")
        raise UsageError(f"seed {record.seed} is not in the plan; its seeds: {seeds}")
    if not arm.own_code and record.images not in (0, plan.images):
        raise UsageError(f"measured with {record.images:,} images; the study measures {plan.images:,}")
    if any(other.arm == arm.name and r.data != record.data for other, r in known.items()):
        raise UsageError(f"trained on different data from the existing runs of {arm.name}")
    if arm.own_code and (plan.code is None or record.code != plan.code.sha256):
        raise UsageError("made with different code from the study's")
    return Cell(record.arm, record.seed)


def _copy_of(record: Record, known: dict[Cell, Record]) -> Cell | None:
    """Run of another seed with the same weights, which only a copy can have; None if there is none."""
    if not record.weights:
        return None
    same = [
        c for c, r in known.items() if r.weights == record.weights and r.arm == record.arm and c.seed != record.seed
    ]
    return same[0] if same else None
