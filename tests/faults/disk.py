"""A watched disk: the calls made to it, in order, a failure or a kill at call k, and what a power cut may leave.

Calls are intercepted where Python makes them (open, write, fsync, mkdir, rename, replace, unlink, rmdir), for
everything below one folder. SIGKILL leaves the system's cache intact and cannot reveal a missing fsync, so the calls
are also played back: `crashes` yields the states that a power cut may leave, in which unsynced data is missing.
"""

from __future__ import annotations

import errno
import io
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

CAUGHT = ("mkdir", "rename", "replace", "unlink", "rmdir", "fsync")


@dataclass(frozen=True)
class Call:
    """A call: its kind, its path, and its second path (rename, replace) or content (write)."""

    kind: str
    path: Path
    target: Path | None = None
    content: bytes = b""

    def __str__(self) -> str:
        return f"{self.kind} {self.path.name}" + (f" -> {self.target.name}" if self.target else "")


class Disk:
    """Watched disk: records all calls below `root`, from `watch` on.

    Args:
        at: function called before each call with its number, counted from 0, and the call; may raise or kill.
    """

    def __init__(self, root: Path, at: Callable[[int, Call], None] = lambda number, call: None) -> None:
        self.root, self.at = root, at
        self.calls: list[Call] = []
        self._open_folders: dict[int, Path] = {}

    def note(self, *call: Any) -> None:
        """Insert an event of the test among the calls."""
        self.calls.append(Call(*call))

    def watch(self, patch: pytest.MonkeyPatch) -> None:
        """Intercept the calls from now on, until the patch is undone."""
        real = {name: getattr(os, name) for name in CAUGHT}
        real_open, real_io_open = os.open, io.open

        def caught(name: str) -> Callable[..., Any]:
            def made(path: Any, *arguments: Any, **options: Any) -> Any:
                where = self._path(path, options.get("dir_fd"))
                if where is None:
                    return real[name](path, *arguments, **options)
                target = Path(arguments[0]) if name in ("rename", "replace") else None
                self._ask(Call(name, where, target))
                return real[name](path, *arguments, **options)

            return made

        def opened(path: Any, mode: str = "r", *arguments: Any, **options: Any) -> Any:
            where = self._path(path, None)
            if where is None or not set(mode) & set("wax"):
                return real_io_open(path, mode, *arguments, **options)
            if "w" in mode or not where.exists():
                self._ask(Call("create", where))
            return _Watched(real_io_open(path, mode, *arguments, **options), where, self)

        def opened_folder(path: Any, flags: int, *arguments: Any, **options: Any) -> int:
            number = real_open(path, flags, *arguments, **options)
            where = self._path(path, options.get("dir_fd"))
            if where is not None:
                self._open_folders[number] = where
            return number

        for name in CAUGHT:
            patch.setattr(os, name, caught(name))
        patch.setattr(os, "open", opened_folder)
        patch.setattr(io, "open", opened)

    def _ask(self, call: Call) -> None:
        number = len(self.calls)
        self.calls.append(call)
        self.at(number, call)

    def _path(self, path: Any, folder: int | None) -> Path | None:
        if isinstance(path, int):
            path = os.readlink(f"/proc/self/fd/{path}")
        if folder is not None:
            path = Path(os.readlink(f"/proc/self/fd/{folder}")) / path
        try:
            where = Path(os.path.abspath(path))
        except TypeError:
            return None
        return where if where.is_relative_to(self.root) else None


class _Watched:
    """A file whose writes are recorded as calls."""

    def __init__(self, file: Any, path: Path, disk: Disk) -> None:
        self._file, self._path, self._disk = file, path, disk

    def write(self, content: Any) -> int:
        plain = content.encode() if isinstance(content, str) else bytes(content)
        try:
            self._disk._ask(Call("write", self._path, content=plain))
        except OSError as error:
            if error.errno == errno.ENOSPC:  # A disk that fills up accepts a part.
                self._file.write(content[: len(content) // 2])
            raise
        done = self._file.write(content)
        self._file.flush()
        return int(done)

    def __enter__(self) -> _Watched:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


@dataclass
class _Folder:
    entries: dict[str, _Folder | _File] = field(default_factory=dict)


@dataclass
class _File:
    content: bytes = b""


def crashes(before: Path, root: Path, calls: list[Call], every: int = 1) -> Iterator[tuple[int, Path]]:
    """Folders as the disk may hold them after a power cut, for a cut after each call (or each `every`-th).

    Synced calls are there. Of the others: none; all; all but one or two; one alone; half of a write. A file's content
    is synced by fsync of the file, an entry of a folder by fsync of the folder; writes to one file keep their order.

    Args:
        before: copy of `root` as it was before the calls.

    Yields:
        (number of calls made, folder with the state, which is removed afterwards).
    """
    import shutil
    import tempfile

    for cut in range(0, len(calls) + 1, every):
        done = calls[:cut]
        pending = _unsynced(done)
        for left_out, halved in _choices(pending, done):
            state = _read(before)
            _play(state, root, done, left_out, halved)
            made = Path(tempfile.mkdtemp(prefix="crash"))
            try:
                _write(state, made)
                yield cut, made
            finally:
                shutil.rmtree(made)


def _unsynced(done: list[Call]) -> list[int]:
    """Numbers of the calls that no fsync has made durable."""
    pending: list[int] = []
    for number, call in enumerate(done):
        if call.kind == "fsync":
            pending = [
                k
                for k in pending
                if not (
                    (done[k].kind == "write" and done[k].path == call.path)
                    or (done[k].kind != "write" and done[k].path.parent == call.path)
                )
            ]
        elif call.kind in ("create", "write", "mkdir", "rename", "replace", "unlink", "rmdir"):
            pending.append(number)
    return pending


def _choices(pending: list[int], done: list[Call]) -> Iterator[tuple[set[int], int | None]]:
    """Pairs: calls that are left out, and a write of which only half is there, or None."""

    def later(k: int) -> set[int]:
        """Later writes to the file of write k, which cannot be there without write k."""
        return {
            j for j in pending if j > k and done[j].kind == done[k].kind == "write" and done[j].path == done[k].path
        }

    everything = set(pending)
    yield everything, None
    yield set(), None
    for k in pending:
        yield {k} | later(k), None
        yield everything - {k} if not any(k in later(j) for j in pending) else everything, None
        if done[k].kind == "write":
            yield later(k), k
    for j, k in list(combinations(pending, 2))[:20]:
        yield {j, k} | later(j) | later(k), None


def _play(state: _Folder, root: Path, done: list[Call], left_out: set[int], halved: int | None) -> None:
    """Apply the calls to a tree in memory, except for those that are left out.

    A file's content and its name are separate: a file whose name was left out can still be written to.
    """
    now = _Twin(state)  # The tree as the process saw it: which file each path meant.
    for number, call in enumerate(done):
        keep = number not in left_out
        parts = call.path.relative_to(root).parts
        folder, name = now.folder(parts[:-1]), parts[-1] if parts else ""
        if call.kind in ("create", "mkdir"):
            there = folder.seen.get(name)
            if call.kind == "create" and isinstance(there, _Twin) and isinstance(there.disk, _File):
                if keep:
                    there.disk.content = b""  # Opened again for writing: truncated.
                continue
            made = _Twin(_File() if call.kind == "create" else _Folder())
            folder.seen[name] = made
            if keep:
                folder.entries[name] = made.disk
        elif call.kind == "write" and keep:
            file = folder.seen[name].disk
            assert isinstance(file, _File)
            file.content += call.content[: len(call.content) // 2] if number == halved else call.content
        elif call.kind in ("rename", "replace"):
            assert call.target is not None
            new = call.target.relative_to(root).parts
            there, into = folder.seen.pop(name), now.folder(new[:-1])
            into.seen[new[-1]] = there
            if keep:
                folder.entries.pop(name, None)
                into.entries[new[-1]] = there.disk
        elif call.kind in ("unlink", "rmdir"):
            folder.seen.pop(name, None)
            if keep:
                folder.entries.pop(name, None)


class _Twin:
    """A file or folder as the process saw it (`seen`), and what the disk holds of it (`disk`)."""

    def __init__(self, disk: _Folder | _File) -> None:
        self.disk = disk
        self.seen: dict[str, _Twin] = (
            {name: _Twin(entry) for name, entry in disk.entries.items()} if isinstance(disk, _Folder) else {}
        )

    @property
    def entries(self) -> dict[str, _Folder | _File]:
        assert isinstance(self.disk, _Folder)
        return self.disk.entries

    def folder(self, parts: tuple[str, ...]) -> _Twin:
        return self.seen[parts[0]].folder(parts[1:]) if parts else self


def _read(folder: Path) -> _Folder:
    return _Folder({path.name: _read(path) if path.is_dir() else _File(path.read_bytes()) for path in folder.iterdir()})


def _write(state: _Folder, folder: Path) -> None:
    for name, entry in state.entries.items():
        if isinstance(entry, _Folder):
            (folder / name).mkdir()
            _write(entry, folder / name)
        else:
            (folder / name).write_bytes(entry.content)
