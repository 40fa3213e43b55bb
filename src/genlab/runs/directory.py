"""The run directory: the contract between all parts.

::

    runs/<name>/
      recipe.yaml       the complete resolved recipe        provenance.json  versions, device, threads, seed, data
      metrics.jsonl     append-only rows, each with a crc   status.json      where the run stands
      samples/          step-000938.png, real.png           checkpoints/     step-000938/
      snapshots/        step-000938.safetensors             evaluations/     step-000938.json, evaluation.json
      figures/          PNG, and CSV or npz                 tensorboard/     event files
      report.html       run.lock

Everything that reads a run reads only this. Any of its files may be missing, damaged, edited or unreadable: reading one
then raises a `DataError` that names it, and hides nothing else.
"""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

from genlab.engine import seals
from genlab.engine.files import clean, make_folder, refusals, sync_folder, write, write_json
from genlab.engine.lock import held, is_held
from genlab.errors import DataError, GenlabError, StorageError, UsageError
from genlab.recipe import Recipe, files
from genlab.runs.names import _check_depth, _claim, check_name, stem_of
from genlab.runs.record import Provenance
from genlab.runs.rows import MetricLog, Row, checked
from genlab.runs.search import DEEPEST, found, is_run, refusal, unknown_run

FOLDERS = ("samples", "checkpoints", "snapshots", "evaluations", "figures")
TAIL = 20_000
"""Bytes of metrics.jsonl that hold more than two rows."""
STATES = ("created", "running", "finished", "interrupted", "failed")


def default_root() -> Path:
    """Where runs live: GENLAB_RUNS, or ./runs."""
    return Path(os.environ.get("GENLAB_RUNS") or "runs")


class RunDirectory:
    """One run on disk.

    Attributes:
        path: its directory.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self.path)!r})"

    @classmethod
    def create(cls, root: Path, recipe: Recipe, seed: int, provenance: Provenance, name: str | None) -> RunDirectory:
        """A new directory with its recipe and provenance; named after recipe, changes and seed unless `name` is given.

        Raises:
            UsageError: `name` exists already, or cannot be the name of a directory everywhere; or `root` lies so deep
                that the paths of a run's files would be too long for this system.
            StorageError: `root` cannot be written.
        """
        check_name(name, root, recipe)
        with refusals(root):
            make_folder(root)
            run = cls(_claim(root, name, stem_of(recipe, seed, provenance.get("own", ()))))
            _check_depth(run.path)
            for folder in FOLDERS:
                (run.path / folder).mkdir()
            sync_folder(root)
        run.set_provenance(provenance)
        run.set_status(state="created", step=0)
        run.set_recipe(recipe)
        return run

    @classmethod
    def open(cls, given: str | Path, root: str | Path | None = None) -> RunDirectory:
        """The run of that path, or of that name under `root`.

        Raises:
            UsageError: no such run; names the nearest.
            StorageError: its directory may not be read.
        """
        root = Path(root or default_root())
        for path in (Path(given), root / given):
            with suppress(OSError, ValueError):  # A name too long for the disk, or with a NUL, is no run's.
                if is_run(path):
                    return cls(path)
                if path.is_dir() and (refused := refusal(path)):
                    raise StorageError(f"{path}: {refused}; let its owner change its permissions")
        raise UsageError(unknown_run(given, root))

    @property
    def recipe(self) -> Recipe:
        """The complete recipe that the run was trained by, every `auto` resolved.

        It is the one in provenance.json, under its crc; a warning says where recipe.yaml does not agree.

        Raises:
            DataError: provenance.json is missing or damaged.
        """
        recipe = self.trained_by()
        try:
            changed = self.recipe_changes()
        except GenlabError as error:
            changed = str(error).splitlines()[0]
        if changed:
            warnings.warn(f"{changed}; using the recipe that the run was trained with", stacklevel=1)
        return recipe

    def trained_by(self) -> Recipe:
        """`recipe`, whatever recipe.yaml says."""
        provenance = self.provenance
        if "recipe" not in provenance:
            return files.load(self.path / "recipe.yaml")
        return _recipe_of(json.dumps(provenance["recipe"]))

    def recipe_changes(self) -> str | None:
        """How recipe.yaml differs from the recipe that the run was trained by, in a line; None where it does not.

        Raises:
            GenlabError: recipe.yaml is missing or damaged.
        """
        began, file = self.trained_by(), self.path / "recipe.yaml"
        with _unreadable(file):
            written = file.read_bytes()
        if written == _text_of(json.dumps(files.to_dict(began))):
            return None
        changes = files.diff(began, files.load(file))
        return f"{file} was changed since the run began: {files.in_words(changes)}" if changes else None

    def set_recipe(self, recipe: Recipe) -> None:
        """Replace the recipe."""
        write(self.path / "recipe.yaml", files.dump(recipe).encode())

    @property
    def provenance(self) -> Provenance:
        """What made this run: versions, device, threads, seed, data fingerprint; each time that it was resumed.

        Raises:
            DataError: missing or damaged: its crc does not match.
        """
        provenance, seal = self._document("provenance.json")
        if seal != "whole":
            raise DataError(f"{self.path / 'provenance.json'}: damaged (its crc does not match)")
        return cast("Provenance", provenance)

    def set_provenance(self, provenance: Provenance) -> None:
        """Replace the provenance."""
        write_json(self.path / "provenance.json", seals.seal(provenance))

    @property
    def status(self) -> dict[str, Any]:
        """`state` (created, running, finished, interrupted, failed, killed), `step`, and what the state adds.

        Raises:
            DataError: missing, damaged, or not a status.
        """
        status = self.read_json("status.json")
        wrong = [name for name, fits in _STATUS.items() if not fits(status.get(name))]
        if wrong:
            raise DataError(
                f"{self.path / 'status.json'}: damaged ({wrong[0]} is {str(status.get(wrong[0]))[:40]!r}); "
                f"genlab train --resume {self.path} writes it again"
            )
        if status["state"] == "running" and not is_held(self.path / "run.lock"):
            status["state"] = "killed"
        return status

    def set_status(self, **status: Any) -> None:
        """Replace the status."""
        write_json(self.path / "status.json", seals.seal(status))

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    def folder(self, name: str) -> Path:
        """One of the run's folders, made where it is missing: an empty one gets lost in many kinds of copies."""
        with refusals(self.path):
            make_folder(self.path / name)
        return self.path / name

    def file(self, folder: str, step: int, suffix: str) -> Path:
        """The file of a step, as in ``samples/step-000938.png``."""
        return self.path / folder / f"step-{step:06d}{suffix}"

    def steps(self, folder: str, suffix: str) -> list[int]:
        """The steps that have a file in a folder, in order."""
        return sorted(
            int(path.stem[5:]) for path in (self.path / folder).glob(f"step-*{suffix}") if _is_step(path.stem[5:])
        )

    def metrics(self) -> list[Row]:
        """All metric rows. A torn last line, as a kill leaves it, is passed over.

        Raises:
            DataError: a line before the last is damaged; gives its number.
        """
        lines = list(self._lines())
        for number, _, row in lines[:-1]:
            if row is None:
                raise DataError(
                    f"{self.path / 'metrics.jsonl'} line {number}: damaged (its crc does not match); "
                    f"genlab train --resume {self.path} sets it aside"
                )
        return [row for _, _, row in lines if row is not None]

    def last_row(self) -> Row | None:
        """The last sound metric row, found without reading all of them; None where there is none."""
        with suppress(OSError), (self.path / "metrics.jsonl").open("rb") as file:
            end = file.seek(0, os.SEEK_END)
            file.seek(max(0, end - TAIL))
            rows = (checked(line) for line in reversed(file.read().splitlines(keepends=True)))
            return next((row for row in rows if row is not None), None)
        return None

    def sound_rows(self) -> list[Row]:
        """The metric rows that are not damaged."""
        return [row for _, _, row in self._lines() if row is not None]

    def damaged_rows(self) -> list[int]:
        """The numbers of the lines of metrics.jsonl that are damaged, a torn last one included."""
        return [number for number, _, row in self._lines() if row is None]

    @contextmanager
    def appending(self, after: int) -> Iterator[MetricLog]:
        """The metric log, cut to the sound rows up to step `after`, open for more.

        What is cut off is kept in metrics.torn; a damaged line in the middle is said.
        """
        path = self.path / "metrics.jsonl"
        lines = list(self._lines())
        kept = [line for _, line, row in lines if row is not None and row["step"] <= after]
        if len(kept) < len(lines):
            if damaged := [number for number, _, row in lines[:-1] if row is None]:
                warnings.warn(
                    f"{path} line {damaged[0]}: damaged; {len(damaged)} damaged lines are set aside in metrics.torn",
                    stacklevel=4,
                )
            cut = [line for _, line, row in lines if row is None or row["step"] > after]
            write(path.with_suffix(".torn"), b"".join(cut))
            write(path, b"".join(kept))
        with refusals(path), path.open("ab", buffering=0) as file:
            sync_folder(self.path)
            yield MetricLog(path, file)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Inside: this process alone writes to the run. The kernel lets go of the lock when the process ends, however.

        Raises:
            BusyError: another process has it; names its pid and host.
        """
        with held(self.path / "run.lock", "writes to this run"):
            for folder in (self.path, *map(self.folder, FOLDERS)):
                clean(folder)
            yield

    def _lines(self) -> Iterator[tuple[int, bytes, Row | None]]:
        """(number from 1, line, row) of metrics.jsonl; None for a damaged line."""
        path = self.path / "metrics.jsonl"
        if not os.path.lexists(path):
            return
        with _unreadable(path):
            lines = path.read_bytes().splitlines(keepends=True)
        for number, line in enumerate(lines, start=1):
            yield number, line, checked(line)

    def carries_seals(self) -> bool:
        """Whether each document and picture of this run must carry a seal; those of older versions do not."""
        try:
            return bool(self.provenance.get("seals"))
        except DataError:
            return False

    def read_json(self, name: str) -> dict[str, Any]:
        """A JSON document of the run, by its path in it, without its seal.

        Raises:
            DataError: missing, unreadable, damaged, or edited.
        """
        value, seal = self._document(name)
        if seal == "damaged":
            raise DataError(f"{self.path / name}: damaged or edited (its crc does not match)")
        if seal == "unsealed" and self.carries_seals():
            raise DataError(f"{self.path / name}: damaged or edited (its crc is missing)")
        return value

    def is_sealed(self, name: str) -> bool:
        """Whether a JSON document carries a seal.

        Raises:
            DataError: see `read_json`.
        """
        return self._document(name)[1] != "unsealed"

    def _document(self, name: str) -> tuple[dict[str, Any], seals.Seal]:
        path = self.path / name
        with _unreadable(path):
            content = path.read_bytes()
        try:
            value = json.loads(content)
            if isinstance(value, dict):
                return seals.unseal(value)
        except (ValueError, RecursionError):
            pass
        raise DataError(f"{path}: damaged (not a JSON object)")


def list_runs(root: Path | None = None, deep: bool = False) -> list[RunDirectory]:
    """The runs in `root`, in order of their names: damaged ones, and directories that may not be read, too.

    Args:
        deep: those in folders of `root`, at most `DEEPEST` of them in one another, as well. Links and hidden folders
            are not followed.

    Raises:
        StorageError: `root` itself may not be read.
    """
    root = root or default_root()
    if not root.is_dir():
        return []
    with refusals(root):
        os.listdir(root)
    return [RunDirectory(path) for path in found(root, DEEPEST if deep else 0)]


def newest(root: Path | None = None) -> RunDirectory | None:
    """The run under `root` that was written to last; None where there is none."""

    def written(run: RunDirectory) -> float:
        with suppress(OSError):
            return (run.path / "status.json").stat().st_mtime
        return 0.0

    return max(list_runs(root, deep=True), key=written, default=None)


@lru_cache(maxsize=256)
def _recipe_of(told: str) -> Recipe:
    """A recipe of its JSON: runs of one recipe are many, and recipes do not change."""
    return files.load(json.loads(told))


@lru_cache(maxsize=256)
def _text_of(told: str) -> bytes:
    """recipe.yaml of a recipe's JSON."""
    return files.dump(_recipe_of(told)).encode()


@contextmanager
def _unreadable(path: Path) -> Iterator[None]:
    """Inside: a file that cannot be read becomes one line that names it."""
    try:
        yield
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}") from None


LARGEST = 1e15
"""Steps or seconds beyond which a status is none: longer than anybody trains."""


def _is_step(text: str) -> bool:
    """Whether it is how a file's name tells a step."""
    return text.isascii() and text.isdecimal()


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= LARGEST


_STATUS: dict[str, Callable[[Any], bool]] = {
    "state": lambda value: value in STATES,
    "step": lambda value: isinstance(value, int) and _is_number(value),
    "total_steps": lambda value: value is None or (isinstance(value, int) and _is_number(value)),
    "seconds": lambda value: value is None or _is_number(value),
    "reason": lambda value: value is None or isinstance(value, str),
}
"""What each entry of status.json must be."""
