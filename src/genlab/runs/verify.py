"""Check that the files of a run are what was written."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from genlab.engine import seals
from genlab.errors import CheckpointError, DataError, GenlabError
from genlab.families.registry import FAMILIES
from genlab.recipe.schedule import Schedule
from genlab.runs import checkpoint, tensors
from genlab.runs.directory import RunDirectory


@dataclass(frozen=True)
class Verification:
    """Result of checking the files of a run.

    Attributes:
        files: number of files that were read.
        damages: one line per file that is not what was written, with its name.
        unsealed: files that cannot be checked, since an older version wrote them without a seal.
    """

    run: RunDirectory
    files: int
    damages: list[str]
    unsealed: list[str]

    @property
    def words(self) -> str:
        name = self.run.path.name
        if self.damages:
            return "\n".join([f"{name}: {len(self.damages)} of {self.files} files damaged", *self.damages])
        whole = f"{name}: intact, {self.files} files"
        if not self.unsealed:
            return whole
        more = ", ..." if len(self.unsealed) > 1 else ""
        return f"{whole}; {len(self.unsealed)} without a seal, written by an older version: {self.unsealed[0]}{more}"

    @property
    def facts(self) -> dict[str, Any]:
        return {
            "run": self.run.path.name,
            "files": self.files,
            "damages": self.damages,
            "unsealed": self.unsealed,
        }


def verify(run: RunDirectory) -> Verification:
    """Check every file of a run that others are made from against the hash or seal that it carries.

    Checkpoints and snapshots carry a sha256, metric rows, documents and pictures a CRC-32. No row may be missing, and
    recipe.yaml must be the recipe in the provenance. A damaged file does not keep the others from being read.
    """
    damages, unsealed, files = [], [], 0
    for path, read in _readers(run):
        files += 1
        try:
            if read(path) == "unsealed":
                unsealed.append(str(path.relative_to(run.path)))
        except GenlabError as error:
            if str(error) not in damages:  # A damaged file that several checks read is named once.
                damages.append(str(error))
        except OSError as error:
            damages.append(f"{path}: {error.strerror or error}")
        except (ValueError, SyntaxError) as error:
            damages.append(f"{path}: damaged ({str(error).splitlines()[0][:100]})")
    return Verification(run, files, damages, unsealed)


Reader = Callable[[Path], object]
"""Function that raises an error if a file is damaged or missing, and returns "unsealed" if it has no seal."""


def _readers(run: RunDirectory) -> Iterator[tuple[Path, Reader]]:
    """Each file of a run, with its reader."""
    path = run.path

    def document(file: Path) -> object:
        name = file.relative_to(path).as_posix()
        run.read_json(name)
        return None if run.is_sealed(name) else "unsealed"

    def status(file: Path) -> object:
        _ = run.status
        return document(file)

    yield path / "provenance.json", lambda _: run.provenance and None
    yield path / "recipe.yaml", lambda _: _check_recipe(run)
    yield path / "status.json", status
    for name in ("diagnosis.json", "tried.json"):  # Made by `genlab diagnose`; nothing is lost without them.
        if os.path.lexists(path / name):
            yield path / name, document
    yield path / "metrics.jsonl", lambda file: _check_rows(run, file)
    yield path / "checkpoints", lambda file: _check_there(run, file)
    readers: dict[str, tuple[str, Reader]] = {
        "checkpoints": ("step-*", lambda folder: checkpoint.load(folder) and None),
        "snapshots": ("*.safetensors", lambda file: tensors.unpack(tensors.read(file), file) and None),
        "samples": ("*.png", lambda file: check_picture(run, file)),
        "figures": ("*.png", lambda file: check_picture(run, file)),
        "evaluations": ("*.json", document),
    }
    for folder, (pattern, read) in readers.items():
        names = checkpoint.found if folder == "checkpoints" else lambda place, pattern=pattern: place.glob(pattern)
        try:
            os.listdir(path / folder)  # Path.glob silently skips a folder that cannot be read.
            files = sorted(names(path / folder))
        except FileNotFoundError:
            continue  # A copy may lose an empty folder; `_check_there` says which files are missing.
        except OSError:
            yield path / folder, os.listdir
        else:
            yield from ((file, read) for file in files)


def _saved_step(run: RunDirectory) -> int:
    return max((int(folder.name[5:]) for folder in checkpoint.found(run.checkpoints)), default=0)


def _check_recipe(run: RunDirectory) -> None:
    changed = run.recipe_changes()
    if changed:
        raise DataError(changed)


def _check_rows(run: RunDirectory, file: Path) -> None:
    lost, damaged = missing_rows(run, _saved_step(run)), run.damaged_rows()
    if damaged and (lost or len(damaged) > 1):  # A kill leaves one torn line, after the last checkpoint.
        raise DataError(f"{file} line {damaged[0]}: damaged (its crc does not match)")
    if lost:
        raise DataError(f"{file}: {len(lost)} rows are missing, the first at step {lost[0]}")


def _check_there(run: RunDirectory, folder: Path) -> None:
    """Check that a finished run has a checkpoint, and that no snapshot or sample grid up to it is missing."""
    step, recipe = _saved_step(run), run.trained_by()
    if FAMILIES[recipe.family].own_loop:
        return
    if run.status["step"] > 0 and step == 0 and run.status["state"] == "finished":
        raise CheckpointError(f"{folder}: no checkpoint, although the run is finished")
    if FAMILIES[recipe.family].sampling is None or run.provenance.get("pruned"):
        return
    schedule = Schedule.of(recipe, run.provenance["data"]["images"])
    due = [at for at in range(_own(run), step + 1) if schedule.samples_at(at, recipe)]
    for kind, ending in (("snapshots", ".safetensors"), ("samples", ".png")):
        missing = sorted(set(due) - set(run.steps(kind, ending)))
        if missing:
            raise DataError(f"{run.file(kind, missing[0], ending)}: missing ({len(missing)} such files)")


def is_whole(run: RunDirectory, picture: Path) -> bool:
    """Whether a picture of a run exists and is the one that was drawn."""
    try:
        check_picture(run, picture)
    except DataError:
        return False
    return True


def check_picture(run: RunDirectory, file: Path) -> seals.Seal:
    """Check that a picture of a run is the one that was drawn, and return the state of its seal.

    Raises:
        DataError: the picture is missing, damaged or edited.
    """
    try:
        content = file.read_bytes()
        with Image.open(io.BytesIO(content), formats=["PNG"]) as picture:
            picture.verify()
    except OSError as error:
        raise DataError(f"{file}: {error.strerror or 'damaged'}") from None
    except (ValueError, SyntaxError) as error:
        raise DataError(f"{file}: damaged ({str(error).splitlines()[0][:100]})") from None
    seal = seals.check_png(content)
    if seal == "damaged" or (seal == "unsealed" and run.carries_seals()):
        raise DataError(f"{file}: edited: its pixels are not those that were drawn")
    return seal


def missing_rows(run: RunDirectory, upto: int) -> list[int]:
    """Steps up to `upto` (the step of a checkpoint) whose metric row is missing or damaged."""
    recipe = run.trained_by()
    schedule = Schedule.of(recipe, run.provenance["data"]["images"])
    there = {row["step"] for row in run.sound_rows()}
    return [step for step in range(_own(run), upto + 1) if schedule.row_at(step, recipe) and step not in there]


def _own(run: RunDirectory) -> int:
    """First step that a run took by its own recipe; a fork's earlier rows and samples are those of its source."""
    origin: int = run.provenance.get("forked_from", {}).get("step", 0)
    return origin + 1
