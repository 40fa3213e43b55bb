from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest

from genlab.engine import files, lock
from genlab.errors import StorageError


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.json"
    files.write_json(path, {"a": 1})

    def full(path: Path, content: bytes) -> None:
        path.write_bytes(content[:3])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files, "write_synced", full)
    with pytest.raises(StorageError, match=r"a\.json: No space left"):
        files.write_json(path, {"a": 2})
    assert json.loads(path.read_text()) == {"a": 1}
    assert [file.name for file in tmp_path.iterdir()] == ["a.json"]


def test_json_has_no_nan(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        files.write_json(tmp_path / "a.json", {"a": float("nan")})


def test_a_folder_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="file"):
        files.write(tmp_path / "file" / "x", b"")


def test_a_file_where_a_folder_is_needed_is_called_that(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("x")
    for folder, said in ((file, "it is a file"), (file / "x", f"{file} is a file")):
        with pytest.raises(StorageError, match=f"{re.escape(said)}; a folder is needed there"), files.refusals(folder):
            files.make_folder(folder)


def test_leftovers_of_the_dead_are_removed(tmp_path: Path) -> None:
    """Leftovers of living processes are removed only if no other process may write there."""
    dead = 2**22 + 1  # Above the largest possible process id.
    for name in (f"a.json.tmp-{dead}", f"b.png.tmp-{os.getpid()}", "c.tmp-x", "d.json"):
        (tmp_path / name).write_text("")
    (tmp_path / f"step-000001.tmp-{dead}-old").mkdir()
    (tmp_path / f"step-000001.tmp-{dead}-old" / "model").write_text("")
    files.clean(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {f"b.png.tmp-{os.getpid()}", "c.tmp-x", "d.json"}
    files.clean(tmp_path, of_living=True)
    assert {path.name for path in tmp_path.iterdir()} == {"c.tmp-x", "d.json"}


@pytest.fixture
def windows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the branches for Windows, where folders cannot be opened and signal 0 cannot be sent."""
    monkeypatch.setattr(files, "WINDOWS", True)
    monkeypatch.setattr(os, "open", lambda *_: pytest.fail("a folder was opened"))
    monkeypatch.setattr(os, "kill", lambda *_: pytest.fail("there it is a Ctrl-C"))


@pytest.mark.usefixtures("windows")
def test_a_file_that_another_program_has_open_is_replaced_when_it_lets_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Windows refuses to rename over an open file; `genlab runs` opens status.json briefly, scanners for longer."""
    replace, refused = Path.replace, iter([True, True, True])

    def held(source: Path, target: Path) -> Path:
        if next(refused, False):
            raise PermissionError(13, "Access is denied")
        return replace(source, target)

    monkeypatch.setattr(Path, "replace", held)
    files.write(tmp_path / "a", b"1")
    assert (tmp_path / "a").read_bytes() == b"1"


@pytest.mark.parametrize("system", ["windows", "other"])
def test_a_file_that_is_never_let_go(system: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "WINDOWS", system == "windows")
    monkeypatch.setattr(files, "PATIENCE", 0.1)
    tries: list[Path] = []

    def refuse(source: Path, target: Path) -> Path:
        tries.append(source)
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(StorageError, match="a: Permission denied"):
        files.write(tmp_path / "a", b"1")
    assert (len(tries) > 1) == (system == "windows")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("windows")
def test_leftovers_on_windows(tmp_path: Path) -> None:
    """Windows does not tell whether a leftover's process is alive, so it stays until a run's own process cleans."""
    (tmp_path / "a.tmp-4194305").write_text("")
    files.make_folder(tmp_path / "b" / "c")
    files.clean(tmp_path)
    assert (tmp_path / "a.tmp-4194305").exists()
    files.clean(tmp_path, of_living=True)
    assert not (tmp_path / "a.tmp-4194305").exists()


def test_what_fails_under_a_lock_is_not_the_locks_failure(tmp_path: Path) -> None:
    """An observer's missing folder, say, is not reported as a disk error of the run."""
    with pytest.raises(FileNotFoundError, match="nowhere"), lock.held(tmp_path / "run.lock", "is writing to this run"):
        (tmp_path / "nowhere" / "log.csv").write_text("x")
    assert not lock.is_held(tmp_path / "run.lock")
