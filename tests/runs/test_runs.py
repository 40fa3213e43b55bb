from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import genlab
from genlab.api.run import Run
from genlab.engine.lock import is_held
from genlab.errors import BusyError, DataError, StorageError, UsageError
from genlab.recipe import GanRecipe
from genlab.recipe.files import load
from genlab.runs.directory import RunDirectory, list_runs
from genlab.runs.names import LONGEST
from genlab.runs.rows import MetricLog

NOTHING: Any = {"seed": 0}
"""Provenance for a run whose provenance is not read."""


@pytest.fixture
def run(tmp_path: Path, small: Callable[..., GanRecipe]) -> RunDirectory:
    return RunDirectory.create(tmp_path, small(), 0, NOTHING, None)


def test_names_say_what_was_changed_and_count_up(tmp_path: Path) -> None:
    changes: list[dict[str, Any]] = [
        {},
        {},
        {"optimisers.generator.betas": [0.9, 0.99], "optimisers.discriminator.betas": [0.9, 0.99]},
        {"logging.tensorboard": False},
    ]
    recipes = [load("quick-mnist", overrides) for overrides in changes]
    names = [RunDirectory.create(tmp_path, recipe, 0, NOTHING, None).path.name for recipe in recipes]
    assert names == [
        "quick-mnist-seed0-001",
        "quick-mnist-seed0-002",
        "quick-mnist-beta1-0.9-seed0-001",
        "quick-mnist-seed0-003",
    ]
    assert sorted(run.path.name for run in list_runs(tmp_path)) == sorted(names)
    own = recipes[2].model_copy(update={"name": "mine"})
    assert RunDirectory.create(tmp_path, own, 7, NOTHING, None).path.name == "mine-seed7-001"


def test_a_name_that_exists_is_refused(tmp_path: Path, small: Callable[..., GanRecipe]) -> None:
    mine: Any = {"mine": True}
    first = RunDirectory.create(tmp_path, small(), 0, mine, "a")
    with pytest.raises(UsageError, match="--resume"):
        RunDirectory.create(tmp_path, small(), 0, NOTHING, "a")
    assert first.provenance == mine


@pytest.mark.parametrize(
    "name",
    [
        "../x",
        "a/b",
        "",
        "CON",
        "nul.txt",
        "a" * 300,
        "\N{GRINNING FACE}",
        "a\nb",
        "-rf",
        "..",
        "a.",
        "a..",
        "Com1.v2",
        "lpt0",
        "aux.",
        "a ",
        "a:b",
        "a\udcff",
    ],
)
def test_a_name_that_is_no_name_is_refused(name: str, tmp_path: Path, small: Callable[..., GanRecipe]) -> None:
    with pytest.raises(UsageError, match="run name"):
        RunDirectory.create(tmp_path / "runs", small(), 0, NOTHING, name)
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("recipe", ["con.x", "NUL.", "com1.small", "lpt9.a.b"])
def test_a_recipe_called_as_a_device_of_windows(
    recipe: str, tmp_path: Path, digits: Path, small: Callable[..., GanRecipe]
) -> None:
    """On Windows, `con.x-seed0-001` is the device CON, whatever follows the dot; `con-seed0-001` is not."""
    named = small().model_copy(update={"name": recipe})
    with pytest.raises(UsageError, match=r"recipe name .* Windows reserves such names for devices; .* --name"):
        genlab.train(named, runs=tmp_path / "runs")
    assert not (tmp_path / "runs").exists()
    assert RunDirectory.create(tmp_path / "runs", named, 0, NOTHING, "mine").path.name == "mine"
    bare = small().model_copy(update={"name": recipe.split(".")[0]})
    assert RunDirectory.create(tmp_path / "runs", bare, 0, NOTHING, None).path.name == f"{bare.name}-seed0-001"


def test_names_that_differ_in_capitals_are_one_name(tmp_path: Path, small: Callable[..., GanRecipe]) -> None:
    """Windows and macOS, to which the run may be copied, ignore case in names."""
    RunDirectory.create(tmp_path, small(), 0, NOTHING, "Mine")
    with pytest.raises(UsageError, match=r"run 'Mine' already exists in .*/Mine$"):
        RunDirectory.create(tmp_path, small(), 0, NOTHING, "mINE")


def test_a_place_too_deep_for_the_paths_in_a_run(
    tmp_path: Path, small: Callable[..., GanRecipe], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Windows refuses paths of 260 characters, so a run's longest path is tried before anything is trained."""
    touch = Path.touch

    def short(path: Path, *arguments: Any, **more: Any) -> None:
        if len(str(path)) > len(str(tmp_path)) + 100:
            raise FileNotFoundError(2, "No such file or directory", str(path))
        touch(path, *arguments, **more)

    monkeypatch.setattr(Path, "touch", short)
    with pytest.raises(UsageError, match=r"nested too deeply for the paths of a run's files; choose another folder"):
        RunDirectory.create(tmp_path, small(), 0, NOTHING, "a" * 20)
    assert list(tmp_path.iterdir()) == []
    assert list(RunDirectory.create(tmp_path, small(), 0, NOTHING, "a").path.glob("x*")) == []


def test_no_path_in_a_run_is_longer_than_was_tried(finished: Run) -> None:
    longest = max(len(str(path.relative_to(finished.path))) for path in finished.path.rglob("*"))
    assert longest + len(".tmp-4194304") <= LONGEST
    events = "tensorboard/events.out.tfevents.1764108000.{}.4194304.0"
    assert len(events.format("h" * 30)) <= LONGEST


class ByteLocks:
    """msvcrt.locking as on Windows: the byte at the position of a file's descriptor can be locked once."""

    LK_NBLCK = 2

    def __init__(self) -> None:
        self.held: dict[tuple[int, int], int] = {}

    def locking(self, descriptor: int, mode: int, count: int) -> None:
        assert (mode, count) == (self.LK_NBLCK, 1)
        place = (os.fstat(descriptor).st_ino, os.lseek(descriptor, 0, os.SEEK_CUR))
        if self.held.setdefault(place, descriptor) != descriptor:
            raise PermissionError(13, "Permission denied")


def test_one_writer_where_locks_are_those_of_windows(run: RunDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second writer is refused even if the text before the locked byte has grown, and can read who holds the lock."""
    locks = ByteLocks()
    monkeypatch.setitem(sys.modules, "fcntl", None)
    monkeypatch.setitem(sys.modules, "msvcrt", locks)
    run.set_status(state="running", step=0)
    with run.locked():
        assert run.status["state"] == "running"
        with pytest.raises(BusyError, match=f"pid {os.getpid()} on "), run.locked():
            pass
        assert len(locks.held) == 1
        ((_, byte),) = locks.held
        assert byte > 10_000, "a locked byte cannot be read on Windows, so none of the text is"
    locks.held.clear()  # As closing the file does on Windows.
    assert run.status["state"] == "killed"


def test_the_recipe_comes_back(run: RunDirectory, small: Callable[..., GanRecipe]) -> None:
    assert run.recipe == small()


def test_rows_come_back(run: RunDirectory) -> None:
    rows = [{"step": 1, "loss_d": 0.1, "loss_g": float("nan")}, {"step": 2, "loss_d": 1e-30, "loss_g": 2.0}]
    with run.appending(after=0) as log:
        for row in rows:
            log.append(row)
    assert run.metrics() == [{**rows[0], "loss_g": None}, rows[1]]
    for line in (run.path / "metrics.jsonl").read_text().splitlines():
        json.loads(line, parse_constant=lambda word: pytest.fail(f"{word} is not JSON"))


def fill(run: RunDirectory, n: int) -> Path:
    with run.appending(after=0) as log:
        for step in range(1, n + 1):
            log.append({"step": step, "loss_d": step / 7})
    return run.path / "metrics.jsonl"


def test_rows_behind_a_checkpoint_are_cut_and_set_aside(run: RunDirectory) -> None:
    path = fill(run, 5)
    before = path.read_bytes()
    with run.appending(after=3) as log:
        log.append({"step": 4, "loss_d": 0.5})
    assert [row["step"] for row in run.metrics()] == [1, 2, 3, 4]
    assert path.read_bytes().startswith(b"".join(before.splitlines(keepends=True)[:3]))
    assert path.with_suffix(".torn").read_bytes() == b"".join(before.splitlines(keepends=True)[3:])


def test_a_torn_last_line_is_passed_over_and_cut(run: RunDirectory) -> None:
    path = fill(run, 3)
    path.write_bytes(path.read_bytes()[:-9] + b"\xff")
    assert [row["step"] for row in run.metrics()] == [1, 2]
    with run.appending(after=99) as log:
        log.append({"step": 3, "loss_d": 0.0})
    assert [row["step"] for row in run.metrics()] == [1, 2, 3]


def test_a_damaged_line_in_the_middle_is_an_error_with_its_number(run: RunDirectory) -> None:
    path = fill(run, 3)
    content = bytearray(path.read_bytes())
    content[content.index(b"\n") + 25] ^= 1
    path.write_bytes(content)
    with pytest.raises(DataError, match="line 2"):
        run.metrics()


def test_one_writer(run: RunDirectory) -> None:
    """A second process is refused with the pid of the first; once the first is gone, the run is free."""
    script = f"""
import sys, time
from genlab.runs.directory import RunDirectory
with RunDirectory({str(run.path)!r}).locked():
    print("locked", flush=True)
    time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "locked\n"
        with pytest.raises(BusyError, match=f"pid {child.pid}") as caught, run.locked():
            pass
        assert caught.value.exit_code == 7
        run.set_status(state="running", step=3)
        assert run.status["state"] == "running"
        child.kill()
        child.wait()
    assert run.status["state"] == "killed"
    with run.locked():
        assert run.status["state"] == "running"


def test_whoever_may_only_read_sees_that_a_run_is_held(run: RunDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another user's lock cannot be written, and perhaps not even opened."""
    with run.locked():
        run.set_status(state="running", step=1)
        (run.path / "run.lock").chmod(0o444)
        assert run.status["state"] == "running"
        monkeypatch.setattr(Path, "open", denied)
        assert is_held(run.path / "run.lock")


def denied(*_: object, **__: object) -> None:
    raise PermissionError


def test_a_look_at_a_lock_does_not_keep_a_writer_out(run: RunDirectory) -> None:
    """It has the lock for an instant."""
    import fcntl

    with run.locked():
        pass
    with (run.path / "run.lock").open() as looking:
        fcntl.flock(looking, fcntl.LOCK_SH)
        threading.Timer(0.03, lambda: fcntl.flock(looking, fcntl.LOCK_UN)).start()
        with run.locked():
            pass


def test_open_finds_by_path_and_by_name(run: RunDirectory) -> None:
    assert RunDirectory.open(run.path).path == run.path
    assert RunDirectory.open(run.path.name, run.path.parent).path == run.path
    with pytest.raises(UsageError, match=f"did you mean '{run.path.name}'"):
        RunDirectory.open(run.path.name[:-1], run.path.parent)


def test_what_is_no_run_is_told_with_the_runs_that_were_meant(run: RunDirectory, tmp_path: Path) -> None:
    def said(given: str, root: Path | None = None) -> str:
        with pytest.raises(UsageError) as raised:
            RunDirectory.open(given, root)
        return str(raised.value)

    folder = run.path.parent
    assert said(str(folder)) == f"{folder} is a folder of runs, not a run: {run.path.name}; give a run's folder"
    assert f"Known: {run.path.name} (in {folder})" in said(str(folder / "nope"))
    assert f"Known: {run.path.name} (in {folder})" in said("nope", folder)
    nowhere = tmp_path / "nowhere"
    assert said("nope", nowhere) == f"unknown run 'nope': there is no folder {nowhere}; --runs sets the folder of runs"


def test_damaged_status_is_said(run: RunDirectory) -> None:
    (run.path / "status.json").write_text("{")
    with pytest.raises(DataError, match=r"status\.json: damaged"):
        _ = run.status


def test_a_row_that_fits_by_half_is_an_error(run: RunDirectory) -> None:
    """A disk that fills up may accept part of a write, and say so only by the returned count."""

    class Short:
        def write(self, content: bytes) -> int:
            return len(content) // 2

    with pytest.raises(StorageError, match=r"metrics\.jsonl: No space left on device \(needed \d+ bytes"):
        MetricLog(run.path / "metrics.jsonl", Short()).append({"step": 1})
