"""What a bug report needs to say about a machine: versions, processor, plan, caches, disk, data, fonts, terminal.

Nothing is measured and nothing is written. A fact that cannot be found says why, and never stops the others: each
section imports what it needs by itself, since an import may be what is broken.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from importlib import metadata
from typing import Any

from genlab.engine import places, waiting
from genlab.engine.version import VERSION
from genlab.errors import first_line

LIBRARIES = ["torch", "numpy", "pillow", "pydantic", "cyclopts", "pyyaml", "rich", "safetensors", "jinja2"]
LIBRARIES += ["matplotlib", "tensorboard"]
ROOM_GB = 1.0
"""Disk space that some runs of the slower recipes need."""

Facts = dict[str, Any]


def doctor() -> dict[str, Any]:
    """Facts by section, and `problems`: a list of what is wrong, each with what to do next.

    A fact that cannot be found is {"unknown": why}.
    """
    found: dict[str, Any] = {name: _told(section) for name, section in SECTIONS.items()}
    problems = _told(lambda: [{"what": what, "next": step} for what, step in _problems(found)])
    return {**found, "problems": problems if isinstance(problems, list) else [{"what": str(problems), "next": REPORT}]}


def _versions() -> Facts:
    found: Facts = {"python": platform.python_version(), "genlab": VERSION}
    found |= {name: _told(partial(metadata.version, name)) for name in LIBRARIES}
    return found | {"torch": _told(_torch_version)}


def _torch_version() -> str:
    """Version of torch with the kind of build (cpu, cu130), which the package's version may lack."""
    import torch

    return str(torch.__version__)


def _system() -> Facts:
    return {
        "os": f"{platform.system()} {platform.release()}",
        "machine": platform.machine(),
        "c library": " ".join(platform.libc_ver()).strip() or None,
        "inside": _notebook(),
    }


def _notebook() -> str | None:
    """Colab or Jupyter, if this process runs in one."""
    if "google.colab" in sys.modules or "COLAB_RELEASE_TAG" in os.environ:
        return "Colab"
    return "Jupyter" if "ipykernel" in sys.modules or "JPY_PARENT_PID" in os.environ else None


def _processor() -> Facts:
    import torch

    from genlab.engine import threads as cores

    return {
        "name": _told(cores.processor),
        "torch uses": _told(torch.backends.cpu.get_cpu_capability),
        "oneDNN bfloat16": _told(lambda: cores.instructions()["onednn_bfloat16"]),
        "cores": os.cpu_count(),
        "cores allowed": _told(lambda: len(cores.allowed())),
        "threads": torch.get_num_threads(),
        "threads wait": _told(waiting.words),
        "gpu": _told(lambda: torch.cuda.get_device_name() if torch.cuda.is_available() else None),
        "settings": {name: os.environ[name] for name in SETTINGS if name in os.environ},
    }


SETTINGS = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "ATEN_CPU_CAPABILITY",
    "ONEDNN_MAX_CPU_ISA",
    "MKL_ENABLE_INSTRUCTIONS",
)
"""Environment variables that change what a processor does; their values reveal nothing about a person."""


def _plan() -> Facts:
    from genlab.engine import calibrate, device

    known = calibrate.remembered(device.best_device())
    if known is None:
        return {"remembered": False}
    return {
        "remembered": True,
        "convolutions": known.choice(convolutional=True),
        "linear layers": known.choice(convolutional=False),
    }


def _caches() -> Facts:
    return {
        "folder": _told(lambda: places.short(places.cache_folder())),
        "writable": _told(lambda: places.is_writable(places.cache_folder())),
        "temporary": _told(lambda: places.short(tempfile.gettempdir())),
    }


def _runs() -> Facts:
    from genlab.runs.directory import default_root

    root = default_root()
    existing = next(place for place in (root, *root.absolute().parents) if place.exists())
    return {
        "folder": places.short(root),
        "writable": places.is_writable(root),
        "runs": _told(lambda: len([path for path in root.iterdir() if path.is_dir()]) if root.is_dir() else 0),
        "free GB": _told(lambda: round(shutil.disk_usage(existing).free / 1e9, 1)),
    }


def _package() -> Facts:
    """State of each data file and each judge: "whole", or what is wrong with it."""
    from genlab.data import BUILTIN
    from genlab.evaluation import judge

    found = {name: _told(partial(_arrays, name, of.sha256)) for name, of in BUILTIN.items() if of.stacks is None}
    return found | {f"judge {name}": _told(partial(_judge, name)) for name in judge.PINNED}


def _arrays(name: str, pinned: dict[str, str]) -> str:
    from genlab.data.builtin import check_sha256, file_of
    from genlab.data.sources.npz import read_arrays

    for array, values in read_arrays(file_of(name), tuple(pinned)).items():
        check_sha256(values, pinned[array], f"{name}: {array}")
    return "whole"


def _judge(name: str) -> str:
    from genlab.evaluation import judge

    same = hashlib.sha256(judge.file_of(name).read_bytes()).hexdigest() == judge.PINNED[name]
    return "whole" if same else "changed: its sha256 differs from the pinned one"


def _fonts() -> Facts:
    from genlab.report.plots import fonts

    return fonts()


def _terminal() -> Facts:
    return {
        "encoding": sys.stdout.encoding,
        "files": sys.getfilesystemencoding(),
        "columns": shutil.get_terminal_size().columns,
        "terminal": sys.stdout.isatty(),
    }


SECTIONS: dict[str, Callable[[], Any]] = {
    "versions": _versions,
    "system": _system,
    "processor": _processor,
    "plan": _plan,
    "caches": _caches,
    "runs": _runs,
    "package": _package,
    "fonts": _fonts,
    "terminal": _terminal,
}


REINSTALL = "install genlab again, in a new environment"
REPORT = "please report it"


def _told(ask: Callable[[], Any]) -> Any:
    """What `ask` returns, or why it fails."""
    try:
        return ask()
    except Exception as error:  # This is for machines on which anything may be broken.
        return {"unknown": places.short(f"{type(error).__name__}: {first_line(error)}")}


def _problems(found: Facts) -> Iterator[tuple[str, str]]:
    """Problems as (what is wrong, what to do next)."""
    without = [(name, facts["unknown"]) for name, facts in found.items() if "unknown" in facts]
    for why in sorted({why for _, why in without}):
        yield f"{', '.join(name for name, other in without if other == why)}: {why}", REINSTALL
    for section, facts in found.items():
        for name, value in facts.items():
            if isinstance(value, dict) and "unknown" in value:
                yield f"{section}, {name}: {value['unknown']}", REINSTALL
    wrong = _told(_wrong_versions)
    for line in wrong if isinstance(wrong, list) else []:
        yield line, REINSTALL
    for name, state in found["package"].items():
        if name != "unknown" and isinstance(state, str) and state != "whole":
            yield f"{name}: {state}", REINSTALL
    processor, runs, caches = found["processor"], found["runs"], found["caches"]
    if not waiting.IS_SET:
        yield "torch was imported before genlab: threads wait actively", "import genlab first"
    if caches.get("writable") is False:
        yield "the cache cannot be written: each training calibrates again", "set XDG_CACHE_HOME to a writable folder"
    if runs.get("writable") is False:
        yield f"{runs['folder']} cannot be written", "choose another folder: --runs, or GENLAB_RUNS"
    if isinstance(runs.get("free GB"), float) and runs["free GB"] < ROOM_GB:
        yield f"{runs['free GB']} GB free for runs", "remove old runs, or use another disk: --runs"
    allowed, threads = processor.get("cores allowed"), processor.get("threads")
    if isinstance(allowed, int) and isinstance(threads, int) and threads > allowed:
        yield f"{threads} threads on {allowed} cores", f"set OMP_NUM_THREADS={allowed}"
    if not str(found["terminal"].get("encoding", "utf-8")).lower().startswith("utf"):
        yield (
            "this terminal does not use UTF-8: names are shown as escapes",
            "set PYTHONIOENCODING=utf-8",
        )


def _wrong_versions() -> list[str]:
    """Libraries whose version does not meet genlab's requirements."""
    from packaging.requirements import Requirement

    wrong = []
    for line in metadata.requires("genlab") or []:
        needed = Requirement(line)
        if needed.marker is None and (there := metadata.version(needed.name)) not in needed.specifier:
            wrong.append(f"{needed.name} {there}: genlab needs {needed.specifier}")
    return wrong
