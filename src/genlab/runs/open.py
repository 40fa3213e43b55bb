"""An open run: its directory, with the custom networks that it was trained with."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any, Self

from genlab.families.base import CustomNetworks
from genlab.recipe import Recipe
from genlab.runs.directory import RunDirectory
from genlab.runs.record import Provenance
from genlab.runs.rows import Row


class OpenRun:
    """A run: its directory, and the custom networks that its weights belong to. Recipe and provenance are read once.

    Attributes:
        directory: files of the run; see `genlab.runs.directory`.
        custom: custom networks that the run was trained with, by name.

    Raises:
        UsageError: the run does not exist; the message names the nearest.
    """

    def __init__(self, directory: RunDirectory | str | Path, custom: CustomNetworks | None = None) -> None:
        self.directory = directory if isinstance(directory, RunDirectory) else RunDirectory.open(directory)
        self.custom = dict(custom or {})

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self.path)!r})"

    @classmethod
    def at(cls, given: str | Path, root: str | Path | None = None, custom: CustomNetworks | None = None) -> Self:
        """The run at a path, or with a name under `root`; see `RunDirectory.open`."""
        return cls(RunDirectory.open(given, root), custom)

    @property
    def path(self) -> Path:
        """Directory of the run."""
        return self.directory.path

    @cached_property
    def recipe(self) -> Recipe:
        """Complete recipe that the run was trained with, every `auto` resolved; see `RunDirectory.recipe`."""
        return self.directory.recipe

    @cached_property
    def provenance(self) -> Provenance:
        """What made the run: versions, machine, seed, data, networks; see `RunDirectory.provenance`."""
        return self.directory.provenance

    def reread(self) -> None:
        """Forget the recipe and provenance that were read, since those on disk were replaced."""
        for known in ("recipe", "provenance"):
            self.__dict__.pop(known, None)

    @property
    def status(self) -> dict[str, Any]:
        """State and progress of the run; see `RunDirectory.status`."""
        return self.directory.status

    def metrics(self) -> list[Row]:
        """All metric rows; see `RunDirectory.metrics`."""
        return self.directory.metrics()

    def steps(self, folder: str, suffix: str) -> list[int]:
        """Steps that have a file in a folder, ascending."""
        return self.directory.steps(folder, suffix)

    def file(self, folder: str, step: int, suffix: str) -> Path:
        """Path of a step's file, as in ``samples/step-000938.png``."""
        return self.directory.file(folder, step, suffix)

    @property
    def checkpoints(self) -> Path:
        return self.directory.checkpoints
