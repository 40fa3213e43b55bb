"""A run in the hand: its directory, with the networks of the caller's own that it was trained with."""

from __future__ import annotations

from pathlib import Path

from genlab.families.base import CustomNetworks
from genlab.runs.directory import RunDirectory


class OpenRun(RunDirectory):
    """A run directory and the custom networks that its weights belong to.

    Attributes:
        path: its directory; see `genlab.runs.directory`.
        custom: networks of the caller's own that it was trained with, by name.
    """

    def __init__(self, path: str | Path, custom: CustomNetworks | None = None) -> None:
        super().__init__(path)
        self.custom = dict(custom or {})
