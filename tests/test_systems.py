"""Where people run genlab: paths of any bytes, other systems, an installed wheel in a notebook."""

from __future__ import annotations

import ast
import importlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import genlab
from genlab import errors
from genlab.api.run import Run
from genlab.cli import main
from genlab.engine import signals
from genlab.errors import DataError, UsageError
from genlab.recipe import GanRecipe, files
from genlab.runs.directory import RunDirectory

ROOT = Path(__file__).parent.parent
SOURCE = Path(genlab.__file__).parent
BYTES = os.fsdecode(b"r\xff")
"""A name that is not UTF-8, as Python sees it."""

# Paths that are not text


def test_a_run_in_a_folder_that_is_no_text_is_refused_before_the_work(
    tmp_path: Path, small: Callable[..., GanRecipe]
) -> None:
    """TensorBoard cannot write to such a folder, and a recipe cannot name it."""
    with pytest.raises(UsageError, match="not UTF-8; rename it, or use another"):
        genlab.train(small({"logging.tensorboard": True}), runs=tmp_path / BYTES)
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_was_carried_there(finished: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A run in such a folder is not trained, but listed, sampled and reported."""
    shutil.copytree(finished.path, tmp_path / BYTES / "a")
    run = genlab.open_run(tmp_path / BYTES / "a")
    with pytest.raises(UsageError, match="not UTF-8"):
        genlab.train(resume=run.path)
    assert run.sample(3).shape[0] == 3
    assert run.report().exists()
    main.main(["runs", "--runs", str(tmp_path / BYTES)])
    main.main(["sample", "a", "--runs", str(tmp_path / BYTES), "-o", str(tmp_path / f"{BYTES}.png")])
    assert (tmp_path / f"{BYTES}.png").exists()
    assert r"r\udcff.png: 64 images" in capsys.readouterr().out


def test_a_dataset_that_is_no_text(
    tmp_path: Path, digits: Path, small: Callable[..., GanRecipe], monkeypatch: pytest.MonkeyPatch
) -> None:
    """If its name or its folder is not UTF-8, a dataset can be loaded, but not trained on."""
    data = tmp_path / f"{BYTES}.npz"
    shutil.copy(digits, data)
    assert len(genlab.load_dataset(str(data))) == 100
    with pytest.raises(UsageError, match=r"data.name is .* not UTF-8, which a recipe cannot hold; rename it"):
        genlab.load_recipe("quick-mnist", {"data.name": str(data)})
    (tmp_path / BYTES).mkdir()
    shutil.copy(digits, tmp_path / BYTES / "d.npz")
    monkeypatch.chdir(tmp_path / BYTES)
    with pytest.raises(UsageError, match=r"dataset .*not UTF-8"):
        genlab.train(small({"data.name": "d.npz"}), runs="runs")
    assert not Path("runs").exists()
    assert genlab.train(small({"logging.tensorboard": True}), runs="runs").status["state"] == "finished"


# What libraries say


def test_what_a_library_says_is_told_in_a_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    failed = type("InductorError", (RuntimeError,), {"__module__": "torch._inductor.exc"})
    for error, code, words in (
        (MemoryError(), 5, "not enough memory; use a smaller --budget.batch"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried\nmore"), 5, "not enough memory"),
        (failed("CppCompileError: C++ compile error\n\nCommand:\n" + "g++ " * 999), 2, "engine.compile: PyTorch's"),
        (RuntimeError("first\nsecond"), 1, "a bug in genlab: RuntimeError: first (--debug"),
    ):

        def fail(error: Exception = error) -> None:
            raise error

        monkeypatch.setattr(files, "names", fail)
        with pytest.raises(SystemExit) as stop:
            main.main(["recipes"])
        told = capsys.readouterr().err
        assert (stop.value.code, told.count("\n")) == (code, 1)
        assert words in told
        assert errors.reason(error).count("\n") == 0


@pytest.mark.parametrize("how", ["no zip", "cut", "flipped", "header", "memory"])
def test_a_damaged_dataset_is_told_in_our_words(how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "d.npz"
    np.savez(path, x_train=np.zeros((9, 8, 8), np.uint8))
    content = bytearray(path.read_bytes())
    if how == "no zip":
        content = bytearray(b"x" * 99)
    elif how == "cut":
        content = content[:200]
    elif how == "flipped":
        content[300] ^= 1
    path.write_bytes(content)
    if how == "header":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("x_train.npy", b"\x93NUMPY\x01\x00\x10\x00{'a\x1b[31m\n\n\n:1}  ")
    elif how == "memory":
        monkeypatch.setattr(np, "load", lambda *_, **__: (_ for _ in ()).throw(MemoryError()))
    with pytest.raises(DataError, match=r"d.npz: (damaged|larger than)[^()]*; expected an npz file with x_train"):
        genlab.load_dataset(str(path))


# Other systems

POSIX_ONLY = re.compile(
    r"^(fcntl|resource|pwd|grp|termios|pty|tty|syslog)$"
    r"|^os\.(fork|forkpty|wait\w*|kill|killpg|sched_\w+|uname|getuid|geteuid|getgid|getpgid|setsid|nice|getloadavg|mkfifo"
    r"|chown|lchown|chroot|O_DIRECTORY|O_NOFOLLOW|O_CLOEXEC|O_SYNC|sysconf|statvfs|ttyname|openpty|major|pread|pwrite)$"
    r"|^signal\.(SIGHUP|SIGKILL|SIGALRM|SIGUSR1|SIGUSR2|SIGCHLD|SIGXFSZ|SIGPIPE|alarm|setitimer|pause|pthread_\w+)$"
    r"|^time\.(tzset|clock_gettime)$|^/proc\b|^/dev\b|^/sys\b|^/tmp\b"
)
ALLOWED = {
    "engine.files": {"os.kill"},  # behind WINDOWS
    "engine.threads": {
        "os.sched_getaffinity",
        "os.sched_setaffinity",
        "/proc/self/maps",
        "/proc/self/task",
        "/proc/cpuinfo",
    },  # hasattr, linux, OSError
    "engine.lock": {"fcntl"},  # ImportError
    "engine.places": {"os.getuid"},  # hasattr
    "bench.timing": {"resource", "/proc/self/status"},  # ImportError, linux
    "study.worker": {"os.fork", "os.waitpid", "os.waitstatus_to_exitcode"},  # hasattr
    "study.processes": {"os.kill", "signal.SIGKILL"},  # only for a fork
    "study.cluster": {"os.getuid"},  # hasattr
    "studio.jobs": {"os.kill", "/proc/", "/proc/self/stat"},  # only for a found process; OSError, exists
}
"""Each has an alternative branch, which a test runs."""


def posix_only(path: Path) -> set[str]:
    """What a file uses that Windows lacks: imports, attributes, paths of Linux."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            found.add(f"{node.value.id}.{node.attr}")
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and " " not in node.value:
            found.add(node.value)
    return {name for name in found if POSIX_ONLY.search(name)}


def test_nothing_of_posix_stands_without_its_other_branch() -> None:
    found = {
        ".".join(path.relative_to(SOURCE).with_suffix("").parts): posix_only(path) for path in SOURCE.rglob("*.py")
    }
    assert {module: names for module, names in found.items() if names} == ALLOWED


def test_what_is_only_of_posix_is_found(tmp_path: Path) -> None:
    code = (
        "import os, fcntl\nfrom signal import SIGHUP\nos.fork()\nopen('/proc/self/maps')\nos.path.join('/procedure')\n"
    )
    (tmp_path / "a.py").write_text(code)
    assert posix_only(tmp_path / "a.py") == {"fcntl", "signal.SIGHUP", "os.fork", "/proc/self/maps"}


def test_without_the_modules_of_posix(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from genlab.bench import timing
    from genlab.engine import places, threads

    for name in ("resource", "fcntl", "pwd"):
        monkeypatch.setitem(sys.modules, name, None)
    assert timing._peak_memory_mb() is None
    for name in ("sched_getaffinity", "sched_setaffinity", "getuid"):
        monkeypatch.delattr(os, name, raising=False)
    assert threads.allowed() == list(range(os.cpu_count() or 1))
    monkeypatch.setattr(sys, "platform", "win32")
    with threads.pinned():
        threads.keep_memory()
    monkeypatch.setattr(places, "_below_home", lambda name: None)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert places.cache_folder() == tmp_path / "genlab-user"


def test_signals_of_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without SIGHUP, Ctrl-Break stops as Ctrl-C does, and a second one acts as usual."""
    monkeypatch.delattr(signal, "SIGHUP")
    monkeypatch.setattr(signal, "SIGBREAK", signal.SIGUSR1, raising=False)
    before = signal.getsignal(signal.SIGUSR1)
    with signals.requests() as stop:
        signal.raise_signal(signal.SIGUSR1)
        assert stop.signal == signal.SIGUSR1
        assert signal.getsignal(signal.SIGUSR1) == before
    assert signal.getsignal(signal.SIGUSR1) == before


def test_metrics_are_cut_before_they_are_opened(small: Callable[..., GanRecipe], tmp_path: Path) -> None:
    """Windows cannot rename over an open file: no file of a run is open while another replaces it."""
    nothing: Any = {"seed": 0}
    run = RunDirectory.create(tmp_path, small(), 0, nothing, None)
    opened: list[Path] = []
    with run.appending(after=0) as log:
        log.append({"step": 1})
        log.append({"step": 2})
    with pytest.MonkeyPatch.context() as patch:
        replace, append = Path.replace, Path.open

        def noted(path: Path, mode: str = "r", *arguments: object, **more: object) -> object:
            if mode.startswith("a"):
                opened.append(path)
            return append(path, mode, *arguments, **more)  # type: ignore[call-overload]

        def refused(source: Path, target: Path) -> Path:
            assert target not in opened
            return replace(source, target)

        patch.setattr(Path, "open", noted)
        patch.setattr(Path, "replace", refused)
        with run.appending(after=1) as log:
            log.append({"step": 2})
    assert opened == [run.path / "metrics.jsonl"]


# The wheel, outside the clone


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder into which the built wheel was installed, without the network and without its dependencies."""
    built, folder = tmp_path_factory.mktemp("wheel"), tmp_path_factory.mktemp("site")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input"]
    for command in (
        [*pip, "wheel", "--no-deps", "--no-build-isolation", "--no-index", "-w", str(built), str(ROOT)],
        [
            *pip,
            "install",
            "--no-deps",
            "--no-index",
            "--no-compile",
            "--target",
            str(folder),
            "--find-links",
            str(built),
            "genlab",
        ],
    ):
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture
def outside(installed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder outside the clone; processes started here use the installed genlab."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(installed))
    monkeypatch.setenv("GENLAB_RUNS", str(tmp_path / "runs"))
    for name in ("OMP_WAIT_POLICY", "OMP_NUM_THREADS", "GOMP_SPINCOUNT"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


@pytest.mark.slow
def test_the_installed_command(outside: Path, installed: Path) -> None:
    for command in (["doctor", "--json"], ["recipes"], ["show", "s4-dcgan", "-o", "d.svg"], ["data", "check", "mnist"]):
        done = subprocess.run([sys.executable, "-m", "genlab", *command], capture_output=True, text=True, cwd=outside)
        assert (done.returncode, done.stderr) == (0, ""), command
    where = subprocess.run(
        [sys.executable, "-c", "import genlab; print(genlab.__file__)"], capture_output=True, text=True, cwd=outside
    )
    assert Path(where.stdout.strip()).is_relative_to(installed)


@pytest.mark.slow
def test_the_notebook(outside: Path, installed: Path) -> None:
    """As Jupyter runs it, each cell ends, shows what it should, and prints nothing else."""
    nbformat: Any = importlib.import_module("nbformat")
    nbclient: Any = importlib.import_module("nbclient")

    notebook = nbformat.read(ROOT / "docs" / "notebook.ipynb", as_version=4)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert len(cells) == 3
    where = "print(genlab.__file__, genlab.doctor()['system']['inside'])"
    notebook.cells.append(nbformat.v4.new_code_cell(where))
    nbclient.NotebookClient(
        notebook, timeout=240, kernel_name="python3", resources={"metadata": {"path": str(outside)}}
    ).execute()
    said = ["".join(out.get("text", "") for out in cell.outputs) for cell in (*cells, notebook.cells[-1])]
    assert said[0].startswith("finished after 40 steps: ")
    assert said[1].startswith("100 images of 32 x 32 pixels in [0, 1]")
    assert re.match(r"Frechet distance [\d.]+, of as many real images [\d.]+\nreport: .*report.html\n", said[2])
    assert said[3].startswith(str(installed))
    assert said[3].endswith("Jupyter\n")
    pictures = [out.data["image/png"] for out in cells[1].outputs if "image/png" in out.get("data", {})]
    assert len(pictures) == 1
    streams = {out.name for cell in notebook.cells for out in cell.get("outputs", []) if out.output_type == "stream"}
    assert streams == {"stdout"}, "a warning, or noise on standard error"
    (run,) = (outside / "runs").iterdir()
    assert (run / "report.html").stat().st_size > 10_000
