"""Arms of the user's own: functions in a Python file, named on the command line or passed from Python.

Such a function takes the seed and returns either a dictionary of what `genlab.train` takes beside a recipe
(`generator`, `discriminator`, `objective`) or, if it trains in a loop of its own, the images that it made: uint8
(N, C, H, W), or float32 in [0, 1]. It runs in a separate process, which finds it by its file and its name.
"""

from __future__ import annotations

import hashlib
import importlib.util
import inspect
import sys
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from genlab.errors import UsageError, first_line

Function = Callable[[int], Any]
MODULE = "genlab_study_code"
ARMS = "arms"
OWN = 2
"""Exit code of a run in which the user's own code raised an error: as of a wrong recipe, another attempt is no use."""


@dataclass(frozen=True)
class Code:
    """A file with functions.

    Attributes:
        path: absolute path of the file.
        sha256: sha256 of its content, which is in every record.
        names: arm -> the function's name in the file, or its key in the file's `arms`.
    """

    path: Path
    sha256: str
    names: Mapping[str, str]


def of_file(path: str | Path) -> Code:
    """Arms of a file: its dictionary `arms`, name -> function of the seed.

    Raises:
        UsageError: the file does not exist, or has no such dictionary.
    """
    found = _read(Path(path))
    arms = getattr(_load(found[0]), ARMS, None)
    if not isinstance(arms, Mapping) or not arms or not all(callable(each) for each in arms.values()):
        raise UsageError(f"{path}: no dictionary {ARMS!r} of functions, as in arms = {{'mine': make}}, make(seed)")
    return Code(*found, {str(name): str(name) for name in arms})


def of_functions(functions: Mapping[str, Function]) -> Code:
    """Functions passed from Python, all from one file.

    Raises:
        UsageError: a function is in no file under its name, as in a notebook, or they are from several files.
    """
    files = {}
    for name, function in functions.items():
        place = inspect.getsourcefile(function) if hasattr(function, "__code__") else None
        inner = getattr(function, "__qualname__", "<")
        if place is None or not Path(place).is_file() or "<" in inner:
            raise UsageError(f"arm {name}: a study runs it in another process; make it a named function in a .py file")
        files[name] = Path(place).resolve()
    if len(set(files.values())) > 1:
        raise UsageError(f"the arms {', '.join(files)} are in several files; put them into one")
    path, sha256 = _read(next(iter(files.values())))
    return Code(path, sha256, {name: function.__qualname__ for name, function in functions.items()})


def function_of(path: str | Path, sha256: str, name: str) -> Function:
    """Function of an arm, in the process that runs it.

    Raises:
        UsageError: the file was changed since the study began, or has no such function.
    """
    found, now = _read(Path(path))
    if now != sha256:
        raise UsageError(f"{path}: changed since the study began (sha256 {sha256[:12]} -> {now[:12]})")
    module = _load(found)
    function = getattr(module, ARMS, {}).get(name) if isinstance(getattr(module, ARMS, None), Mapping) else None
    function = function or getattr(module, name, None)
    if not callable(function):
        raise UsageError(f"{path}: no function {name}")
    made: Function = function
    return made


def place_of(error: BaseException, path: str | None) -> str:
    """File and line of the user's own code, in `path` or beside it, at which an error came up; empty if it came up in
    none of it."""
    if path is None:
        return ""
    frames = [
        each for each in traceback.extract_tb(error.__traceback__) if Path(each.filename).parent == Path(path).parent
    ]
    return f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""


def _read(path: Path) -> tuple[Path, str]:
    try:
        return path.resolve(), hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise UsageError(f"code {path}: {error.strerror}") from None


def _load(path: Path) -> ModuleType:
    """Load the file as a module; code under `if __name__ == "__main__"` is not run."""
    spec = importlib.util.spec_from_file_location(MODULE, path)
    if spec is None or spec.loader is None:
        raise UsageError(f"code {path}: not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[MODULE] = module
    sys.path.insert(0, str(path.parent))
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        at = place_of(error, str(path)) or path
        raise UsageError(f"code {at}: {type(error).__name__}: {first_line(error)}") from error
    finally:
        sys.path.remove(str(path.parent))
    return module
