"""Whether the files of a run are what was written, and how the runs stand."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from genlab import checkpoint, recipe_files, sealed
from genlab.errors import DataError, GenlabError
from genlab.runs import RunDirectory
from genlab.tables import Table


@dataclass(frozen=True)
class Verification:
    """What reading a run again has found.

    Attributes:
        files: how many were read.
        damages: a line for each that is not what was written, naming it.
    """

    run: RunDirectory
    files: int
    damages: list[str]

    @property
    def words(self) -> str:
        if not self.damages:
            return f"{self.run.path.name}: whole, {self.files} files"
        return "\n".join([f"{self.run.path.name}: {len(self.damages)} of {self.files} files damaged", *self.damages])

    @property
    def facts(self) -> dict[str, Any]:
        return {"run": self.run.path.name, "files": self.files, "damages": self.damages}


def verify(run: RunDirectory) -> Verification:
    """Read every file of a run that others are made from, against the hash that it carries.

    Checkpoints, snapshots, metric rows and provenance carry one; no row may be missing; recipe.yaml must be the one in
    the provenance, pictures must be pictures, evaluations JSON.
    """
    damages, files = [], 0
    for path, read in _readers(run):
        files += 1
        try:
            read(path)
        except GenlabError as error:
            damages.append(str(error))
        except (OSError, ValueError, SyntaxError) as error:
            damages.append(f"{path}: damaged ({str(error).splitlines()[0][:100]})")
    return Verification(run, files, damages)


def _readers(run: RunDirectory) -> Iterator[tuple[Path, Callable[[Path], Any]]]:
    """Each file of a run, and what raises an error where it is damaged."""
    path = run.path
    yield path / "provenance.json", lambda _: run.provenance
    yield path / "recipe.yaml", lambda file: _check_recipe(run, file)
    yield path / "status.json", lambda _: run.status
    yield path / "metrics.jsonl", lambda file: _check_rows(run, file)
    for folder in checkpoint.found(run.checkpoints):
        yield folder, checkpoint.load
    for file in sorted((path / "snapshots").glob("*.safetensors")):
        yield file, lambda file: sealed.unpack(sealed.read(file), file)
    for file in [*sorted((path / "samples").glob("*.png")), *sorted((path / "figures").glob("*.png"))]:
        yield file, _check_picture
    for file in sorted((path / "evaluations").glob("*.json")):
        yield file, lambda file: json.loads(file.read_text("utf-8"))


def _check_recipe(run: RunDirectory, file: Path) -> None:
    changed = recipe_files.diff(recipe_files.load(run.provenance["recipe"]), run.recipe)
    if changed:
        words = recipe_files.in_words(changed)
        raise DataError(f"{file}: changed since the run began: {words}")


def _check_rows(run: RunDirectory, file: Path) -> None:
    saved = max((int(folder.name[5:]) for folder in checkpoint.found(run.checkpoints)), default=0)
    lost = run.missing_rows(saved)
    if lost:
        raise DataError(f"{file}: {len(lost)} rows are missing, the first of step {lost[0]}")


def _check_picture(file: Path) -> None:
    with Image.open(file, formats=["PNG"]) as picture:
        picture.verify()


def state_of(run: RunDirectory) -> dict[str, Any]:
    """How a run stands, at a glance: `state` (as in `RunDirectory.status`, or `damaged`), step, seconds, reason."""
    found: dict[str, Any] = {"run": run.path.name, "state": "damaged", "step": None, "total_steps": None}
    found |= {"seconds": None, "reason": None}
    try:
        _ = run.recipe, run.provenance
        status = run.status
    except GenlabError as error:
        return {**found, "reason": str(error).splitlines()[0]}
    return {key: status.get(key, value) for key, value in found.items()}


def table(states: list[dict[str, Any]]) -> Table:
    """A row a run."""

    def step(state: dict[str, Any]) -> str:
        if state["step"] is None:
            return "-"
        return f"{state['step']:,}" + (f" of {state['total_steps']:,}" if state["total_steps"] else "")

    rows = [
        (s["run"], s["state"], step(s), "-" if s["seconds"] is None else f"{s['seconds']:.0f}", s["reason"] or "")
        for s in states
    ]
    return Table("", ("run", "state", "step", "seconds", "reason"), rows, numeric=("step", "seconds"))
