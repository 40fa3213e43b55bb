"""A: the disk fails, fills up, loses power or disappears; nothing acknowledged is lost, and the message says why."""

from __future__ import annotations

import errno
import os
import resource
import shutil
import signal
from functools import partial
from pathlib import Path
from typing import Any

import lab
import pytest
from disk import Call, Disk, crashes

import genlab
from genlab.api.run import Run
from genlab.errors import StorageError
from genlab.runs import checkpoint
from genlab.runs.directory import RunDirectory
from genlab.runs.verify import missing_rows

SHORT = {"budget__max_steps": 4, "logging__checkpoint_seconds": 1e-6, "logging__sample_epochs": []}
EVERY = 1 if lab.LONG else 17
"""Stride between the calls that fail in turn."""


@pytest.fixture(scope="module")
def recipe(digits: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return lab.recipe_file(tmp_path_factory.mktemp("recipe"), digits, "gan", **SHORT)


@pytest.fixture(scope="module")
def expected(recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, list[Any]]:
    run = genlab.train(str(recipe), runs=tmp_path_factory.mktemp("runs"), report=False)
    return lab.digest(run.directory), lab.rows(run.directory)


@pytest.fixture
def half(recipe: Path, tmp_path: Path) -> Run:
    """A run that was killed after its second step."""
    lab.call(lab.train, recipe, tmp_path, "run", partial(lab.kill_after_save, 2), folder=tmp_path / "printed")
    return Run(tmp_path / "run")


def acknowledgements(disk: Disk, patch: pytest.MonkeyPatch) -> None:
    """Record among the disk's calls when a save returns."""
    save = checkpoint.save

    def noted(folder: Path, saved: checkpoint.Checkpoint) -> Path:
        path = save(folder, saved)
        disk.note("acknowledged", path)
        return path

    patch.setattr(checkpoint, "save", noted)


def traced(run: Path, train: Any, at: Any = lambda number, call: None) -> Disk:
    """Disk with the calls that a training makes below a folder."""
    disk = Disk(run, at)
    with pytest.MonkeyPatch.context() as patch:
        acknowledgements(disk, patch)
        disk.watch(patch)
        train()
    return disk


def last_acknowledged(calls: list[Call]) -> int:
    return max([int(call.path.name[5:]) for call in calls if call.kind == "acknowledged"], default=0)


def test_everything_is_synced_before_it_is_named(half: Run) -> None:
    """Each file is written and synced, then its folder is synced and renamed, then the parent folder is synced."""
    disk = traced(half.path, partial(genlab.train, resume=half.path, report=False))
    renames = [k for k, call in enumerate(disk.calls) if call.kind == "rename" and "-old" not in str(call.target)]
    assert len(renames) == 2, "steps 3 and 4 are saved"
    for k in renames:
        building, target = disk.calls[k].path, disk.calls[k].target
        assert target is not None
        before, after = disk.calls[:k], disk.calls[k + 1 :]
        files = [call.path.name for call in before if call.kind == "create" and call.path.parent == building]
        assert files == [checkpoint.MODEL, checkpoint.STATE, checkpoint.MANIFEST], "the manifest comes last"
        for name in files:
            writes = [j for j, call in enumerate(before) if call.kind == "write" and call.path == building / name]
            syncs = [j for j, call in enumerate(before) if call.kind == "fsync" and call.path == building / name]
            assert max(writes) < min(syncs)
        assert (before[-1].kind, before[-1].path) == ("fsync", building)
        assert (after[0].kind, after[0].path) == ("fsync", target.parent), "nothing is said before the folder is synced"
        named = next(j for j, call in enumerate(after) if call.kind == "acknowledged")
        assert not [call for call in after[:named] if call.kind == "fsync" and call.path != target.parent]
    rows = [k for k, call in enumerate(disk.calls) if call.kind == "fsync" and call.path.name == "metrics.jsonl"]
    assert len(rows) == 2, "the rows are synced with each checkpoint"
    assert all(row < rename for row, rename in zip(rows, renames, strict=True)), "and before it"


@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC])
def test_call_k_fails(code: int, half: Run, expected: tuple[str, list[Any]], tmp_path: Path) -> None:
    """A2, A4, A5, A6, A7: whichever call fails, the same command gives the exact result on a working disk."""
    before = tmp_path / "before"
    shutil.copytree(half.path, before)
    train = partial(genlab.train, resume=half.path, report=False)
    total = len(traced(half.path, train).calls)
    for k in range(0, total, EVERY):
        shutil.rmtree(half.path)
        shutil.copytree(before, half.path)

        def fail(number: int, call: Call, k: int = k) -> None:
            if number == k:
                raise OSError(code, os.strerror(code), str(call.path))

        told, disk = "", Disk(half.path, fail)
        with pytest.MonkeyPatch.context() as patch:
            acknowledgements(disk, patch)
            disk.watch(patch)
            try:
                train()
            except StorageError as error:
                told = str(error)
        calls = disk.calls
        assert not told or (os.strerror(code) in told and str(half.path) in told)
        saved, warnings = checkpoint.newest(half.checkpoints)
        assert saved.step >= max(2, last_acknowledged(calls)), f"call {k}, {calls[k]}"
        assert not warnings
        half.metrics()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("warnings.warn", lambda *_, **__: None)
            train()
        assert (lab.digest(half.directory), lab.rows(half.directory)) == expected, f"call {k}, {calls[k]}"
        lab.count("calls that failed")


def kill_at_call(run: Path, k: int) -> None:
    """A hook: SIGKILL before call k to the disk."""

    def kill(number: int, _: Call) -> None:
        if number == k:
            os.kill(os.getpid(), signal.SIGKILL)

    Disk(run, kill).watch(pytest.MonkeyPatch())


def test_killed_at_call_k(half: Run, recipe: Path, expected: tuple[str, list[Any]], tmp_path: Path) -> None:
    """A2: whichever call SIGKILL hits, the resumed run gives the exact result."""
    before = tmp_path / "before"
    shutil.copytree(half.path, before)
    total = len(traced(half.path, partial(genlab.train, resume=half.path, report=False)).calls)
    for k in range(0, total - 4, EVERY):
        shutil.rmtree(half.path)
        shutil.copytree(before, half.path)
        hook = partial(kill_at_call, half.path, k)
        ended = lab.call(lab.train, recipe, tmp_path, "run", hook, folder=tmp_path / "printed")
        assert ended.code == -signal.SIGKILL, f"call {k}: {ended.err}"
        saved, warnings = checkpoint.newest(half.checkpoints)
        assert saved.step >= 2
        assert not warnings
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("warnings.warn", lambda *_, **__: None)
            genlab.train(resume=half.path, report=False)
        assert (lab.digest(half.directory), lab.rows(half.directory)) == expected
        assert not list(half.path.rglob("*.tmp-*"))
        lab.count("calls that were killed")


def test_power_cuts(recipe: Path, expected: tuple[str, list[Any]], tmp_path: Path) -> None:
    """Whatever unsynced data a power cut loses, everything acknowledged is there, and the run resumes exactly."""
    everything, before = tmp_path / "disk", tmp_path / "before"
    everything.mkdir()
    before.mkdir()
    root = everything / "deep" / "runs"  # Created by genlab, so it must be synced, too.
    disk = Disk(everything)

    class Named:
        """Observer that notes when the run is announced, and thereby acknowledged."""

        def started(self, *_: object) -> None:
            disk.note("named", root / "run")

        def stepped(self, *_: object) -> None: ...
        def logged(self, *_: object) -> None: ...
        def sampled(self, *_: object) -> None: ...
        def ended(self) -> None: ...

    with pytest.MonkeyPatch.context() as patch:
        acknowledgements(disk, patch)
        disk.watch(patch)
        genlab.train(str(recipe), runs=root, name="run", observers=[Named()], report=False)
    states = resumed = 0
    for cut, folder in crashes(before, everything, disk.calls, every=1 if lab.LONG else 23):
        calls, run = disk.calls[:cut], RunDirectory(folder / "deep" / "runs" / "run")
        states += 1
        if not any(call.kind == "named" for call in calls):
            continue
        acknowledged = last_acknowledged(calls)
        assert run.recipe.name == "quick-mnist"
        assert run.provenance["seed"] == 0
        assert run.status["state"] in ("created", "killed", "finished")
        assert not missing_rows(run, acknowledged), f"after {cut} calls, the last {calls[-1]}"
        if acknowledged:
            saved, warnings = checkpoint.newest(run.checkpoints)
            assert saved.step >= acknowledged, f"after {cut} calls, the last {calls[-1]}"
            assert not warnings
        if states % 40 == 0:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr("warnings.warn", lambda *_, **__: None)
                genlab.train(resume=run.path, report=False)
            assert (lab.digest(run), lab.rows(run)) == expected
            resumed += 1
    assert states > 100
    assert resumed
    lab.count("power cuts played back", states)
    lab.count("power cuts resumed to the end", resumed)


def small_files(limit: int) -> None:
    """A hook: the system lets no file grow beyond `limit` bytes, as a quota does."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))


def test_the_systems_own_refusal(half: Run, expected: tuple[str, list[Any]], tmp_path: Path) -> None:
    """A4, A6: a real limit of the system is reported at the command line, and nothing is lost."""
    hook = partial(small_files, 20_000)
    ended = lab.command("train", "--resume", half.path, folder=tmp_path / "p", hook=hook)
    assert ended.code == 5
    assert ended.err.splitlines()[-1] == f"genlab: {half.path / 'checkpoints' / 'step-000003'}: File too large"
    assert [path.name for path in checkpoint.found(half.checkpoints)] == ["step-000001", "step-000002"]
    assert not list(half.path.rglob("*.tmp-*"))
    assert half.status["state"] == "failed"
    genlab.train(resume=half.path, report=False)
    assert (lab.digest(half.directory), lab.rows(half.directory)) == expected


def test_a_full_disk_is_told_with_bytes(half: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A4: the message says how many bytes are needed and how many are free."""

    def full(number: int, call: Call) -> None:
        if call.kind == "write" and call.path.name == checkpoint.MODEL:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(
        StorageError, match=r"step-000003: No space left on device \(needed [\d,]+ bytes, free [\d,]+\)"
    ):
        traced(half.path, partial(genlab.train, resume=half.path, report=False), full)


def test_no_room_for_a_row(half: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A5: if only half of a row fits on the disk, the log is readable up to the row before."""

    def full(number: int, call: Call) -> None:
        if call.kind == "write" and call.path.name == "metrics.jsonl":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(StorageError, match=r"metrics\.jsonl: No space left on device"):
        traced(half.path, partial(genlab.train, resume=half.path, report=False), full)
    assert not (half.path / "metrics.jsonl").read_bytes().endswith(b"\n")
    assert [row["step"] for row in half.metrics()] == [1, 2]


def test_a_failed_fsync_is_believed(half: Run) -> None:
    """A7: a failed fsync is not repeated, and its checkpoint is not announced."""
    asked: list[Path] = []

    def failing(number: int, call: Call) -> None:
        if call.kind == "fsync" and call.path.name == checkpoint.STATE:
            asked.append(call.path)
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    with pytest.raises(StorageError, match="step-000003: Input/output error"):
        traced(half.path, partial(genlab.train, resume=half.path, report=False), failing)
    assert len(asked) == 1
    assert checkpoint.newest(half.checkpoints)[0].step == 2


@pytest.mark.parametrize("how", ["deleted", "renamed"])
def test_the_directory_goes_away(how: str, recipe: Path, tmp_path: Path) -> None:
    """A15: if the run's directory is deleted or renamed, the next save says so."""

    class Away:
        def started(self, *_: object) -> None: ...
        def logged(self, *_: object) -> None: ...
        def sampled(self, *_: object) -> None: ...
        def ended(self) -> None: ...

        def stepped(self, step: int, seconds: float) -> None:
            if step == 2:
                (shutil.rmtree if how == "deleted" else lambda path: path.rename(tmp_path / "other"))(tmp_path / "run")

    with pytest.raises(StorageError, match=r"run.*: No such file or directory"):
        genlab.train(str(recipe), runs=tmp_path, name="run", observers=[Away()], report=False)
    if how == "renamed":
        assert checkpoint.newest(tmp_path / "other" / "checkpoints")[0].step == 1


@pytest.mark.parametrize("kind", ["read-only", "a file", "nowhere"])
def test_a_place_that_cannot_be_written(kind: str, recipe: Path, tmp_path: Path) -> None:
    """A14: an unwritable place is reported before any time is spent on training."""
    place = tmp_path / "place"
    if kind == "a file":
        place.write_text("")
    if kind == "read-only":
        place = Path("/proc/genlab")
    if kind == "nowhere":
        place = Path("/dev/null/runs")
    ended = lab.command("train", recipe, "--runs", place, folder=tmp_path / "p")
    assert ended.code == 5
    (line,) = ended.err.splitlines()
    assert line.startswith(f"genlab: {place}: ")


def test_a_clock_that_jumps(recipe: Path, expected: tuple[str, list[Any]], tmp_path: Path) -> None:
    """A18: if the clock jumps an hour back or a year forward, order, newest checkpoint and durations stay right."""
    import time

    with pytest.MonkeyPatch.context() as patch:
        real, jumps = time.time, iter([-3600.0, 3.2e7, 0.0] * 100_000)
        patch.setattr(time, "time", lambda: real() + next(jumps))
        run = genlab.train(str(recipe), runs=tmp_path, report=False)
    for k, folder in enumerate(checkpoint.found(run.checkpoints)):
        os.utime(folder, (1e9 - k * 1e6, 1e9 - k * 1e6))  # The newest looks oldest.
    assert checkpoint.newest(run.checkpoints)[0].step == 4
    assert [row["seconds"] for row in run.metrics()] == sorted(row["seconds"] for row in run.metrics())
    assert run.metrics()[0]["seconds"] >= 0
    assert (lab.digest(run.directory), lab.rows(run.directory)) == expected
