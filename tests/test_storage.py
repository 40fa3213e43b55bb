from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from genlab import storage
from genlab.errors import StorageError


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.json"
    storage.write_json(path, {"a": 1})

    def full(path: Path, content: bytes) -> None:
        path.write_bytes(content[:3])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(storage, "write_synced", full)
    with pytest.raises(StorageError, match=r"a\.json: No space left"):
        storage.write_json(path, {"a": 2})
    assert json.loads(path.read_text()) == {"a": 1}
    assert [file.name for file in tmp_path.iterdir()] == ["a.json"]


def test_json_has_no_nan(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        storage.write_json(tmp_path / "a.json", {"a": float("nan")})


def test_a_folder_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="file"):
        storage.write(tmp_path / "file" / "x", b"")


def test_leftovers_of_the_dead_are_removed(tmp_path: Path) -> None:
    """Of the living only where nobody else may write."""
    dead = 2**22 + 1  # Above the largest process number there is.
    for name in (f"a.json.tmp-{dead}", f"b.png.tmp-{os.getpid()}", "c.tmp-x", "d.json"):
        (tmp_path / name).write_text("")
    (tmp_path / f"step-000001.tmp-{dead}-old").mkdir()
    (tmp_path / f"step-000001.tmp-{dead}-old" / "model").write_text("")
    storage.clean(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {f"b.png.tmp-{os.getpid()}", "c.tmp-x", "d.json"}
    storage.clean(tmp_path, of_living=True)
    assert {path.name for path in tmp_path.iterdir()} == {"c.tmp-x", "d.json"}
