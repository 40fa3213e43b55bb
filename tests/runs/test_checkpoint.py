from __future__ import annotations

import hashlib
import os
import pickle
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from genlab.engine import files
from genlab.errors import CheckpointError, StorageError
from genlab.runs import checkpoint
from genlab.runs import tensors as sealed
from genlab.runs.checkpoint import MANIFEST, MODEL, STATE, Checkpoint


def example(step: int) -> Checkpoint:
    tensors = {"generator.w": torch.randn(3, 4), "generator.n": torch.tensor(step)}
    return Checkpoint(step, tensors, {"model": {"moment": torch.randn(5)}, "seconds": 1.5})


def same(a: Checkpoint, b: Checkpoint) -> bool:
    return (
        a.step == b.step
        and a.tensors.keys() == b.tensors.keys()
        and all(torch.equal(a.tensors[key], b.tensors[key]) for key in a.tensors)
        and torch.equal(a.state["model"]["moment"], b.state["model"]["moment"])
    )


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    saved = example(7)
    path = checkpoint.save(tmp_path, saved)
    assert path.name == "step-000007"
    assert same(checkpoint.load(path), saved)


def test_the_newest_two_are_kept(tmp_path: Path) -> None:
    for step in (1, 5, 30, 200):
        checkpoint.save(tmp_path, example(step))
    assert [path.name for path in checkpoint.found(tmp_path)] == ["step-000030", "step-000200"]


@pytest.mark.parametrize("name", [MODEL, STATE, MANIFEST])
def test_every_flipped_bit_is_noticed(name: str, tmp_path: Path) -> None:
    path = checkpoint.save(tmp_path, example(3))
    content = (path / name).read_bytes()
    positions = range(0, len(content), max(1, len(content) // 60))
    for position in positions:
        damaged = bytearray(content)
        damaged[position] ^= 1 << (position % 8)
        (path / name).write_bytes(damaged)
        with pytest.raises(CheckpointError, match="step-000003"):
            checkpoint.load(path)
    (path / name).write_bytes(content)
    checkpoint.load(path)


@pytest.mark.parametrize("name", [MODEL, STATE, MANIFEST])
def test_truncated_and_missing_files_are_noticed(name: str, tmp_path: Path) -> None:
    path = checkpoint.save(tmp_path, example(3))
    content = (path / name).read_bytes()
    for size in (0, 1, len(content) // 2, len(content) - 1):
        (path / name).write_bytes(content[:size])
        with pytest.raises(CheckpointError):
            checkpoint.load(path)
    (path / name).unlink()
    with pytest.raises(CheckpointError, match="No such file"):
        checkpoint.load(path)


def test_an_older_one_stands_in_loudly(tmp_path: Path) -> None:
    first = example(1)
    checkpoint.save(tmp_path, first)
    newer = checkpoint.save(tmp_path, example(2))
    (newer / MODEL).write_bytes(b"")
    found, warnings = checkpoint.newest(tmp_path)
    assert same(found, first)
    assert "step-000002" in warnings[0]
    assert "using step-000001" in warnings[0]


def test_a_damaged_one_does_not_count_as_kept(tmp_path: Path) -> None:
    for step in (6, 8):
        checkpoint.save(tmp_path, example(step))
    (tmp_path / "step-000008" / MODEL).write_bytes(b"")
    checkpoint.save(tmp_path, example(7))
    assert checkpoint.load(tmp_path / "step-000006").step == 6
    assert checkpoint.newest(tmp_path)[0].step == 7


def test_tensors_that_share_memory_are_saved(tmp_path: Path) -> None:
    shared = torch.randn(3)
    path = checkpoint.save(tmp_path, Checkpoint(1, {"a": shared, "b": shared}, {}))
    assert torch.equal(checkpoint.load(path).tensors["b"], shared)


def test_none_usable_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no usable checkpoint"):
        checkpoint.newest(tmp_path)


def test_a_pickle_is_never_run(tmp_path: Path) -> None:
    """Even with a matching manifest, the state file is read without running code."""
    canary = tmp_path / "canary"

    class Attack:
        def __reduce__(self) -> Any:
            return os.mkdir, (str(canary),)

    path = checkpoint.save(tmp_path, example(1))
    hostile = pickle.dumps(Attack())
    manifest = (path / MANIFEST).read_text()
    state = (path / STATE).read_bytes()
    manifest = manifest.replace(hashlib.sha256(state).hexdigest(), hashlib.sha256(hostile).hexdigest())
    (path / MANIFEST).write_text(manifest.replace(f'"bytes": {len(state)}', f'"bytes": {len(hostile)}'))
    (path / STATE).write_bytes(hostile)
    with pytest.raises(CheckpointError, match="refused"):
        checkpoint.load(path)
    assert not canary.exists()


def test_leftovers_of_a_killed_save_are_removed(tmp_path: Path) -> None:
    (tmp_path / "step-000009.tmp-1").mkdir()
    checkpoint.save(tmp_path, example(1))
    assert [path.name for path in tmp_path.iterdir()] == ["step-000001"]


def test_a_full_disk_leaves_the_old_one_and_says_how_much(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = example(1)
    checkpoint.save(tmp_path, first)

    def full(path: Path, content: bytes) -> None:
        path.write_bytes(content[: len(content) // 2])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint, "write_synced", full)
    with pytest.raises(
        StorageError, match=r"step-000002: No space left on device \(needed [\d,]+ bytes, free"
    ) as caught:
        checkpoint.save(tmp_path, example(2))
    assert caught.value.exit_code == 5
    assert [path.name for path in tmp_path.iterdir()] == ["step-000001"]
    assert same(checkpoint.load(tmp_path / "step-000001"), first)


def test_files_are_synced_before_the_rename_and_the_folder_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    sync, folder, rename = files.write_synced, files.sync_folder, Path.rename

    def noted_sync(path: Path, content: bytes) -> None:
        calls.append(path.name)
        sync(path, content)

    def noted_folder(path: Path) -> None:
        calls.append(f"folder {path.name.split('.')[0]}")
        folder(path)

    def noted_rename(path: Path, target: Path) -> Path:
        calls.append("rename")
        return rename(path, target)

    monkeypatch.setattr(checkpoint, "write_synced", noted_sync)
    monkeypatch.setattr(checkpoint, "sync_folder", noted_folder)
    monkeypatch.setattr(Path, "rename", noted_rename)
    checkpoint.save(tmp_path / "checkpoints", example(1))
    assert calls == [MODEL, STATE, MANIFEST, "folder step-000001", "rename", "folder checkpoints"]


def test_what_was_written_is_read_back_before_older_ones_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that stores other bytes than it was given is detected at once."""
    for step in (1, 2):
        checkpoint.save(tmp_path, example(step))

    def forgetful(path: Path, content: bytes) -> None:
        path.write_bytes(content[:-1] if path.name == MODEL else content)

    monkeypatch.setattr(checkpoint, "write_synced", forgetful)
    with pytest.raises(CheckpointError, match="step-000003"):
        checkpoint.save(tmp_path, example(3))
    assert [checkpoint.load(path).step for path in checkpoint.found(tmp_path)[:2]] == [1, 2]


def test_a_file_that_would_fill_the_memory_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = checkpoint.save(tmp_path, example(1))
    monkeypatch.setattr(sealed, "LARGEST", 100)
    with pytest.raises(CheckpointError, match=r"bytes; at most 100 are read"):
        checkpoint.load(path)


@pytest.mark.parametrize(
    "state",
    [
        {},
        {"a": None, "b": [1, 2.5, "x", True, {"c": []}]},
        {"moments": {0: {"step": torch.tensor(3.0)}, 7: {"m": torch.randn(2, 3), "n": torch.tensor([1, 2])}}},
        {"tensor": "a name that is also a word of ours", "dict": {"list": [torch.zeros(0)]}},
        {"small": 5e-324, "large": 1.7976931348623157e308, "third": 1 / 3, "int": 2**62},
    ],
)
def test_a_state_comes_back_to_the_bit(state: dict[str, Any], tmp_path: Path) -> None:
    """Keys keep their types, numbers their bits."""
    path = checkpoint.save(tmp_path, Checkpoint(1, {}, state))

    def same(a: Any, b: Any) -> bool:
        if isinstance(a, torch.Tensor):
            return a.dtype == b.dtype and a.shape == b.shape and torch.equal(a, b)
        if isinstance(a, dict):
            return list(a) == list(b) and all(same(a[key], b[key]) for key in a)
        if isinstance(a, list):
            return len(a) == len(b) and all(map(same, a, b))
        return type(a) is type(b) and a == b

    assert same(state, checkpoint.load(path).state)


def test_what_cannot_be_saved_is_a_bug_of_ours(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="state/model/x: a function cannot be saved"):
        checkpoint.save(tmp_path, Checkpoint(1, {}, {"model": {"x": same}}))
    with pytest.raises(ValueError, match="not JSON compliant"):
        checkpoint.save(tmp_path, Checkpoint(1, {}, {"model": float("nan")}))


def test_a_file_can_be_read_by_any_reader_of_safetensors(tmp_path: Path) -> None:
    path = checkpoint.save(tmp_path, example(1))
    assert set(safetensors.torch.load_file(path / MODEL)) == {"generator.w", "generator.n"}
