"""Where genlab and the libraries it uses keep files between commands.

That is below the home directory, if there is a writable one. In a container or a batch job there may be none, and the
user may have no name; then it is a private folder in the temporary directory.
"""

from __future__ import annotations

import atexit
import os
import shutil
import sys
import tempfile
from functools import cache
from pathlib import Path


def cache_folder() -> Path:
    """$XDG_CACHE_HOME/genlab or ~/.cache/genlab, or a private folder instead; it need not exist yet."""
    given = os.environ.get("XDG_CACHE_HOME")
    wanted = Path(given) if given else _below_home(".cache")
    return wanted / "genlab" if wanted and is_writable(wanted / "genlab") else _private()


def data_folder() -> Path:
    """$XDG_DATA_HOME/genlab or ~/.local/share/genlab, or a private folder instead; it need not exist yet."""
    given = os.environ.get("XDG_DATA_HOME")
    wanted = Path(given) if given else _below_home(".local/share")
    return wanted / "genlab" if wanted and is_writable(wanted / "genlab") else _private()


def prepare() -> None:
    """Give libraries a folder to keep files in, if they would find none and complain.

    Matplotlib needs a folder for its settings and list of fonts, PyTorch's compiler one for its compiled code.
    """
    if sys.platform in ("win32", "darwin"):
        wanted = [_below_home(".matplotlib")]
    else:
        names = (("XDG_CONFIG_HOME", ".config"), ("XDG_CACHE_HOME", ".cache"))
        wanted = [Path(os.environ[name]) if os.environ.get(name) else _below_home(folder) for name, folder in names]
    if all(place and is_writable(place) for place in wanted):
        return
    try:
        place = _private()
    except OSError:  # Nothing is writable at all; the libraries will say so.
        return
    os.environ.setdefault("MPLCONFIGDIR", str(place / "matplotlib"))
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(place / "torchinductor"))


def is_writable(folder: Path) -> bool:
    """Whether a folder is writable, or can be made if it does not exist yet."""
    try:
        there = next(place for place in (folder, *folder.absolute().parents) if place.exists())
        return there.is_dir() and os.access(there, os.W_OK | os.X_OK)
    except (OSError, StopIteration):
        return False


def short(text: str | Path) -> str:
    """A path, or a text with paths, for people to read: the home directory is written as ~."""
    home = str(_below_home("") or "")
    if len(home) < 2:
        return str(text)
    return "~" if str(text) == home else str(text).replace(f"{home}{os.sep}", f"~{os.sep}")


def _below_home(name: str) -> Path | None:
    try:
        return Path.home() / name
    except (RuntimeError, KeyError):  # No HOME, and no entry for this user.
        return None


def _private() -> Path:
    """This user's own folder in the temporary directory, shared by all of the user's processes if that is safe."""
    who = os.getuid() if hasattr(os, "getuid") else "user"
    place = Path(tempfile.gettempdir()) / f"genlab-{who}"
    try:
        place.mkdir(mode=0o700, exist_ok=True)
        told = place.lstat()
    except OSError:
        return _of_this_process()
    mine = not place.is_symlink() and (not hasattr(os, "getuid") or (told.st_uid, told.st_mode & 0o77) == (who, 0))
    return place if mine else _of_this_process()


@cache
def _of_this_process() -> Path:
    """A folder that is removed when this process ends, for when the shared one cannot be used."""
    place = tempfile.mkdtemp(prefix="genlab-")
    atexit.register(shutil.rmtree, place, ignore_errors=True)
    return Path(place)
