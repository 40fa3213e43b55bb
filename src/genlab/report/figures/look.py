"""A figure of a run with its numbers and a caption that says how it was drawn.

It is saved as PNG and npz; those in a run's figures/ appear in its report.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from genlab.data import pictures
from genlab.engine.files import write
from genlab.errors import UsageError
from genlab.report import plots
from genlab.runs.directory import RunDirectory
from genlab.runs.open import OpenRun
from genlab.runs.sampling import npz


@dataclass(frozen=True)
class Look:
    """A figure of a run.

    Attributes:
        name: file name without its extension.
        caption: what it shows and how it was drawn.
        png: the drawing.
        arrays: what it shows, as numbers; `images` are float32, (N, C, H, W), in [0, 1].
    """

    name: str
    title: str
    caption: str
    png: bytes
    arrays: dict[str, NDArray[Any]]

    def __repr__(self) -> str:
        return f"Look({self.title!r})"

    def _repr_png_(self) -> bytes:
        """The picture that a notebook shows."""
        return self.png

    def save(self, path: str | Path) -> None:
        """Write the drawing (.png) or the numbers (.npz).

        Raises:
            UsageError: another extension.
        """
        path = Path(path)
        forms: dict[str, Callable[[], bytes]] = {".png": lambda: self.png, ".npz": lambda: npz(self.arrays)}
        if path.suffix.lower() not in forms:
            raise UsageError(f"{path}: the extension sets the format; allowed: .png (the figure), .npz (its numbers)")
        write(path, forms[path.suffix.lower()]())

    def keep(self, run: OpenRun) -> Path:
        """Write the drawing and its numbers into the run's figures/; returns the drawing's path."""
        path = run.directory.folder("figures") / f"{self.name}.png"
        self.save(path)
        self.save(path.with_suffix(".npz"))
        return path


def kept(run: RunDirectory) -> list[tuple[Path, str, str]]:
    """(path, title, caption) of every look in the run's figures/."""
    found = []
    for path in sorted((run.path / "figures").glob("*.png")):
        try:
            with Image.open(path, formats=["PNG"]) as image:
                text = getattr(image, "text", {})
        except (OSError, SyntaxError, ValueError):
            continue  # Damaged: `verify` reports it.
        if "genlab:title" in text:
            found.append((path, text["genlab:title"], text["genlab:caption"]))
    return found


def look(name: str, title: str, caption: str, drawing: Any, arrays: dict[str, NDArray[Any]]) -> Look:
    """A look from a matplotlib figure or an array of pixels."""
    text = {"genlab:title": title, "genlab:caption": caption}
    drawn = pictures.png(drawing, text, scale=1) if isinstance(drawing, np.ndarray) else plots.png(drawing, text)
    return Look(name, title, caption, drawn, arrays)
