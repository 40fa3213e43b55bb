"""The small trained runs that come with the package, so that there is something to explore at once."""

from __future__ import annotations

from importlib import resources
from pathlib import Path


def shipped() -> tuple[Path, ...]:
    """Folders of these runs."""
    folder = Path(str(resources.files("genlab.studio") / "models"))
    return tuple(sorted(path for path in folder.iterdir() if path.is_dir())) if folder.is_dir() else ()
