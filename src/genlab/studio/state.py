"""What all addresses of the studio share: the runs, the training jobs, the loaded networks, the drawing thread."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from genlab.errors import GenlabError
from genlab.runs.directory import RunDirectory
from genlab.studio.explore import Explorers
from genlab.studio.folder import UNSEEN, Folder
from genlab.studio.jobs import Jobs
from genlab.studio.studies import Studies


class NotThere(GenlabError):
    """What an address names does not exist, or no longer does."""


class Studio:
    """The state of a studio.

    Args:
        root: the folder of the runs.
        shipped: runs that are shown if that folder has none.
        studies: folders of study files.
    """

    def __init__(self, root: Path, shipped: tuple[Path, ...] = (), studies: tuple[Path, ...] = ()) -> None:
        self.folder, self.jobs, self.explorers = Folder(root, shipped), Jobs(root), Explorers()
        self.studies = Studies(studies, root)
        # One thread draws: while a run trains, there is no core for a second one.
        self._artist = ThreadPoolExecutor(1, "artist")

    def find(self, name: object) -> RunDirectory:
        """The run of that name.

        Raises:
            NotThere: there is no such run.
        """
        run = self.folder.find(name) if isinstance(name, str) else None
        if run is None:
            raise NotThere("there is no such run, or it no longer exists")
        return run

    async def draw(self, work: Callable[..., Any], *given: Any) -> Any:
        """Call a function on the drawing thread."""
        return await asyncio.get_running_loop().run_in_executor(self._artist, work, *given)

    def look(self) -> None:
        """Look at all runs, so that the list is ready when it is asked for."""
        while any(run["state"] == UNSEEN for run in self.folder.listing()):
            time.sleep(0.02)

    def close(self) -> None:
        """End the drawing thread; training jobs continue."""
        self._artist.shutdown(wait=False, cancel_futures=True)
