"""The run directory: the contract between all parts.

::

    runs/<name>/
      recipe.yaml       the complete resolved recipe        provenance.json  versions, device, threads, seed, data
      metrics.jsonl     append-only rows, each with a crc   status.json      where the run stands
      samples/          step-000938.png, real.png           checkpoints/     step-000938/
      snapshots/        step-000938.safetensors             evaluations/     step-000938.json, evaluation.json
      figures/          PNG, and CSV or npz                 tensorboard/     event files
      report.html       run.lock

Everything that reads a run reads only this. Any file may be missing, damaged, edited or unreadable: reading it then
raises a `DataError` that names it, and the other files can still be read.
"""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
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
"""Bytes at the end of metrics.jsonl that hold more than two rows."""
STATES = ("created", "running", "finished", "interrupted", "failed")


def default_root() -> Path:
    """Default folder for runs: GENLAB_RUNS, or ./runs."""
    return Path(os.environ.get("GENLAB_RUNS") or "runs")


class RunDirectory:
    """One run on disk.

    Attributes:
        path: directory of the run.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self.path)!r})"

    @classmethod
    def create(cls, root: Path, recipe: Recipe, seed: int, provenance: Provenance, name: str | None) -> RunDirectory:
        """Create a run with its recipe and provenance, named after recipe, changes and seed unless `name` is given.

        Raises:
            UsageError: `name` already exists or is not valid on every system, or `root` is nested so deeply that the
                paths of a run's files would be too long for this system.
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
        """The run at a path, or with a name under `root`.

        Raises:
            UsageError: the run does not exist; the message names the nearest.
            StorageError: its directory cannot be read.
        """
        root = Path(root or default_root())
        for path in (Path(given), root / given):
            with suppress(OSError, ValueError):  # No run has a name too long for the disk or with a NUL.
                if is_run(path):
                    return cls(path)
                if path.is_dir() and (refused := refusal(path)):
                    raise StorageError(f"{path}: {refused}; ask its owner to change the permissions")
        raise UsageError(unknown_run(given, root))

    @property
    def recipe(self) -> Recipe:
        """Complete recipe that the run was trained with, every `auto` resolved.

        It is read from provenance.json, which its crc protects; a warning says if recipe.yaml differs.

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
        """`recipe`, without comparing it with recipe.yaml."""
        provenance = self.provenance
        if "recipe" not in provenance:
            return files.load(self.path / "recipe.yaml")
        return _recipe_of(json.dumps(provenance["recipe"]))

    def recipe_changes(self) -> str | None:
        """One line on how recipe.yaml differs from the recipe that the run was trained with; None if it does not.

        Raises:
            GenlabError: recipe.yaml is missing or damaged.
        """
        began, file = self.trained_by(), self.path / "recipe.yaml"
        with _unreadable(file):
            written = file.read_bytes()
        if written == _text_of(json.dumps(files.to_dict(began))):
            return None
        changes = files.diff(began, files.load(file))
        return f"{file} was changed after the run began: {files.in_words(changes)}" if changes else None

    def set_recipe(self, recipe: Recipe) -> None:
        """Replace the recipe."""
        write(self.path / "recipe.yaml", files.dump(recipe).encode())

    @property
    def provenance(self) -> Provenance:
        """What made this run: versions, device, threads, seed, data fingerprint, and each resumption.

        Raises:
            DataError: provenance.json is missing or damaged (its crc does not match).
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
            DataError: status.json is missing, damaged, or not a status.
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

    def step_of_weights(self) -> int:
        """Step of the newest weights on disk (after a failure, not the last one); of the status if there are none."""
        saved = self.steps("checkpoints", "")
        return saved[-1] if saved else int(self.status["step"])

    def folder(self, name: str) -> Path:
        """One of the run's folders, created if missing, since many kinds of copies lose an empty folder."""
        with refusals(self.path):
            make_folder(self.path / name)
        return self.path / name

    def file(self, folder: str, step: int, suffix: str) -> Path:
        """Path of a step's file, as in ``samples/step-000938.png``."""
        return self.path / folder / f"step-{step:06d}{suffix}"

    def steps(self, folder: str, suffix: str) -> list[int]:
        """Steps that have a file in a folder, ascending."""
        names = (path.name.removesuffix(suffix)[5:] for path in (self.path / folder).glob(f"step-*{suffix}"))
        return sorted(int(name) for name in names if _is_step(name))

    def metrics(self) -> list[Row]:
        """All metric rows. A torn last line, as a kill leaves it, is skipped.

        Raises:
            DataError: a line before the last is damaged; the message gives its number.
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
        """Last undamaged metric row, found without reading all of them; None if there is none."""
        with suppress(OSError), (self.path / "metrics.jsonl").open("rb") as file:
            end = file.seek(0, os.SEEK_END)
            file.seek(max(0, end - TAIL))
            rows = (checked(line) for line in reversed(file.read().splitlines(keepends=True)))
            return next((row for row in rows if row is not None), None)
        return None

    def sound_rows(self) -> list[Row]:
        """Metric rows that are not damaged."""
        return [row for _, _, row in self._lines() if row is not None]

    def damaged_rows(self) -> list[int]:
        """Numbers of the damaged lines of metrics.jsonl, a torn last one included."""
        return [number for number, _, row in self._lines() if row is None]

    @contextmanager
    def appending(self, after: int) -> Iterator[MetricLog]:
        """Metric log, cut to the undamaged rows up to step `after` and open for more.

        The lines cut off are kept in metrics.torn; a warning says if one before the last was damaged.
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
        with ExitStack() as stack:
            with refusals(path):  # Not what happens in the context: that is the caller's.
                file = stack.enter_context(path.open("ab", buffering=0))
                sync_folder(self.path)
            yield MetricLog(path, file)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Context in which only this process writes to the run. The kernel frees the lock however the process ends.

        Raises:
            BusyError: another process has the lock; the message names its pid and host.
        """
        with held(self.path / "run.lock", "is writing to this run"):
            if any(self.checkpoints.glob("step-*-old")):
                from genlab.runs.checkpoint import recover  # With torch, which takes a second to load.

                recover(self.checkpoints)
            for folder in (self.path, *map(self.folder, FOLDERS)):
                clean(folder)
            yield

    def _lines(self) -> Iterator[tuple[int, bytes, Row | None]]:
        """(number from 1, line, row) for each line of metrics.jsonl; the row of a damaged line is None."""
        path = self.path / "metrics.jsonl"
        if not os.path.lexists(path):
            return
        with _unreadable(path):
            lines = path.read_bytes().splitlines(keepends=True)
        for number, line in enumerate(lines, start=1):
            yield number, line, checked(line)

    def carries_seals(self) -> bool:
        """Whether each document and picture of this run must carry a seal; those of older versions need not."""
        try:
            return bool(self.provenance.get("seals"))
        except DataError:
            return False

    def read_json(self, name: str) -> dict[str, Any]:
        """JSON document at a path inside the run, without its seal.

        Raises:
            DataError: the document is missing, unreadable, damaged or edited.
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
    """Runs in `root`, sorted by name, including damaged ones and directories that cannot be read.

    Args:
        deep: whether to search subfolders of `root` too, at most `DEEPEST` levels deep. Links and hidden folders are
            not followed.

    Raises:
        StorageError: `root` itself cannot be read.
    """
    root = root or default_root()
    if not root.is_dir():
        return []
    with refusals(root):
        os.listdir(root)
    return [RunDirectory(path) for path in found(root, DEEPEST if deep else 0)]


def newest(root: Path | None = None) -> RunDirectory | None:
    """Run under `root` that was written to last, or None if there is none."""

    def written(run: RunDirectory) -> float:
        with suppress(OSError):
            return (run.path / "status.json").stat().st_mtime
        return 0.0

    return max(list_runs(root, deep=True), key=written, default=None)


@lru_cache(maxsize=256)
def _recipe_of(told: str) -> Recipe:
    """Recipe from its JSON, cached: many runs share a recipe, and recipes do not change."""
    return files.load(json.loads(told))


@lru_cache(maxsize=256)
def _text_of(told: str) -> bytes:
    """Content of recipe.yaml, from a recipe's JSON."""
    return files.dump(_recipe_of(told)).encode()


@contextmanager
def _unreadable(path: Path) -> Iterator[None]:
    """Context in which a file that cannot be read raises a one-line `DataError` that names it."""
    try:
        yield
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}") from None


LARGEST = 1e15
"""Steps or seconds above which a status is invalid: longer than anybody trains."""


def _is_step(text: str) -> bool:
    """Whether a text is a step number as in file names."""
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
"""Test that each entry of status.json must pass."""
