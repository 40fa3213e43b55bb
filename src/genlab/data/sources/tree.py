"""Files in a folder, or in a zip or tar archive: listed, then read one after another; nothing is unpacked to disk.

A suspicious archive is refused before any of its files is read: names that lead out of it, links, devices, locked
members, the same name twice, contents of absurd size.
"""

from __future__ import annotations

import hashlib
import io
import lzma
import os
import re
import stat
import tarfile
import zipfile
import zlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from genlab.data.arrays import natural
from genlab.data.sources.picture import Unreadable, is_picture
from genlab.errors import DataError

MOST_FILES = 1_000_000
MOST_BYTES = 256 * 2**20
"""Maximum size of a file in an archive, bytes."""
MOST_DIRECTORY = 256 * 2**20
"""Maximum size of a zip's table of contents, bytes."""
STRANGE = 20_000
"""A folder with more files than this, few of them pictures, is not taken for a dataset."""
RATIO, FREELY = 200, 2**30
"""An archive may unpack to this many times its size, or to this many bytes (a gigabyte) if that is more."""
JUNK = ("__macosx", ".ipynb_checkpoints", "thumbs.db", "desktop.ini")
OURS = re.compile(r"evaluation(-.*)?\.json")
"""What `genlab evaluate` writes into a folder of images."""


@dataclass(frozen=True)
class Entry:
    """A file: its size in bytes, and a stamp that changes when the file does."""

    size: int
    stamp: str


class Tree(ABC):
    """The files of a source.

    Attributes:
        where: the path of the folder or archive.
        kind: "folder", "zip" or "tar".
        entries: files by their paths inside, with slashes, in natural order; without what systems leave behind.
        junk: number of such leftovers that were skipped.
    """

    kind: str

    def __init__(self, where: Path, entries: dict[str, Entry], junk: int) -> None:
        if len(entries) > MOST_FILES:
            raise DataError(f"{where}: {len(entries):,} files; at most {MOST_FILES:,}")
        self.where, self.junk = where, junk
        self.entries = {name: entries[name] for name in sorted(entries, key=natural)}

    @property
    def stamp(self) -> str:
        """A hash that changes when a file is added, removed, or written."""
        digest = hashlib.sha256()
        for name, entry in self.entries.items():
            digest.update(f"{name}\0{entry.size}\0{entry.stamp}\n".encode("utf-8", "surrogateescape"))
        return digest.hexdigest()

    @abstractmethod
    def contents(self, names: Iterable[str]) -> Iterator[tuple[str, IO[bytes] | Unreadable]]:
        """The wanted files, each open until the next one is taken, in the order that costs least."""


class Folder(Tree):
    """A folder and everything below it; links are followed, circular ones only once."""

    kind = "folder"

    def __init__(self, where: Path, names: Iterable[str] | None = None) -> None:
        """List all files below `where`, or those of `names` that exist."""
        if names is None:
            super().__init__(where, *_walked(where))
        else:
            there = {name: (where / name).stat() for name in names if (where / name).is_file()}
            super().__init__(where, {k: Entry(v.st_size, str(v.st_mtime_ns)) for k, v in there.items()}, 0)

    def contents(self, names: Iterable[str]) -> Iterator[tuple[str, IO[bytes] | Unreadable]]:
        for name in names:
            try:
                with (self.where / name).open("rb") as file:
                    now = os.fstat(file.fileno())
                    same = self.entries[name] == Entry(now.st_size, str(now.st_mtime_ns))
                    yield name, file if same else Unreadable("it has changed since it was listed")
            except FileNotFoundError:
                yield name, Unreadable("it no longer exists")
            except OSError as error:
                yield name, Unreadable(error.strerror or str(error))


def _walked(where: Path) -> tuple[dict[str, Entry], int]:
    entries: dict[str, Entry] = {}
    junk, pictures, seen, waiting = 0, 0, set(), [(where, "")]
    while waiting:
        folder, prefix = waiting.pop()
        try:
            known = folder.stat()
            listed = sorted(os.scandir(folder), key=lambda each: each.name)
        except OSError as error:
            raise DataError(f"{folder}: {error.strerror or error}") from None
        if (known.st_dev, known.st_ino) in seen:
            continue
        seen.add((known.st_dev, known.st_ino))
        for each in listed:
            if is_junk(each.name):
                junk += 1
            elif os.path.isdir(each.path):  # False where a DirEntry would raise.
                waiting.append((Path(each.path), f"{prefix}{each.name}/"))
            else:
                found = _entry(each, prefix)
                pictures += any(map(is_picture, found))
                entries |= found
        if len(entries) > MOST_FILES:
            raise DataError(f"{where}: more than {MOST_FILES:,} files")
        if len(entries) > STRANGE and pictures < len(entries) / 10:
            raise DataError(
                f"{where}: {pictures:,} pictures among the first {len(entries):,} files; give the folder of pictures"
            )
    return entries, junk


def _entry(file: os.DirEntry[str], prefix: str) -> dict[str, Entry]:
    """Entry of a readable file or of a broken link; none for devices and pipes, which may never end."""
    try:
        if not file.is_file():
            return {prefix + file.name: Entry(0, "broken")} if file.is_symlink() else {}
        facts = file.stat()
    except OSError:
        return {}  # It has been removed meanwhile.
    return {prefix + file.name: Entry(facts.st_size, str(facts.st_mtime_ns))}


_DAMAGE = (
    zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError, NotImplementedError, RuntimeError, ValueError,
)  # fmt: skip
"""What zipfile raises if a member is not what the table of contents says."""


class Zip(Tree):
    kind = "zip"

    def __init__(self, where: Path) -> None:
        try:
            _check_directory(where)
            with zipfile.ZipFile(where) as archive:
                infos = archive.infolist()
        except (zipfile.BadZipFile, EOFError, ValueError, NotImplementedError) as error:
            raise DataError(f"{where}: a damaged zip archive ({error})") from None
        except OSError as error:
            raise DataError(f"{where}: {error.strerror or error}") from None
        entries, junk = {}, 0
        for info in infos:
            mode = info.external_attr >> 16
            if mode and stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise DataError(f"{where}: {info.filename!r} is a link or a device, which no dataset needs")
            if info.flag_bits & 1:
                raise DataError(f"{where}: locked with a password")
            name = _safe(info.filename, where)
            if not name or info.is_dir():
                continue
            if _has_junk(name):
                junk += 1
                continue
            if name in entries:
                raise DataError(f"{where}: {name!r} is in it twice")
            entries[name] = Entry(info.file_size, f"{info.CRC:08x}")
        _check_sizes(where, entries)
        super().__init__(where, entries, junk)

    def contents(self, names: Iterable[str]) -> Iterator[tuple[str, IO[bytes] | Unreadable]]:
        try:
            archive = zipfile.ZipFile(self.where)
        except (zipfile.BadZipFile, EOFError, ValueError, NotImplementedError, OSError):
            raise DataError(f"{self.where}: it changed while it was being read, or no longer exists") from None
        with archive:
            given = {name: info for info in archive.infolist() if (name := _safe(info.filename, self.where))}
            for name in names:
                yield name, self._content(archive, given.get(name), self.entries[name])

    def _content(self, archive: zipfile.ZipFile, info: zipfile.ZipInfo | None, known: Entry) -> IO[bytes] | Unreadable:
        if info is None or Entry(info.file_size, f"{info.CRC:08x}") != known:
            return Unreadable("it has changed since it was listed")
        if known.size > MOST_BYTES:
            return Unreadable(f"{known.size:,} bytes, too many for a file in an archive; unpack the archive")
        try:
            with archive.open(info) as member:
                return io.BytesIO(_all_of(member, known.size))
        except _DAMAGE:
            return Unreadable("damaged in the archive")


def _check_directory(where: Path) -> None:
    """Refuse a zip whose table of contents alone would fill the memory."""
    with where.open("rb") as file:
        file.seek(0, 2)
        end = file.tell()
        file.seek(max(0, end - 66_000))
        tail = file.read()
    at = tail.rfind(b"PK\5\6")
    size = int.from_bytes(tail[at + 12 : at + 16], "little") if at >= 0 else 0
    if size == 0xFFFFFFFF:
        wide = tail.rfind(b"PK\6\6")
        size = int.from_bytes(tail[wide + 40 : wide + 48], "little") if wide >= 0 else 0
    if size > MOST_DIRECTORY:
        raise DataError(f"{where}: its table of contents alone has {size:,} bytes; at most {MOST_FILES:,} files")


TAR_DAMAGE = (tarfile.TarError, EOFError, zlib.error, lzma.LZMAError, ValueError, TypeError, OverflowError)
"""What tarfile raises if an archive is damaged or cut off."""


class _Header(tarfile.TarInfo):
    """A member's header; if it is cut off or damaged, tarfile would take it for the end of the archive."""

    @classmethod
    def fromtarfile(cls, archive: tarfile.TarFile) -> _Header:
        try:
            return super().fromtarfile(archive)
        except tarfile.HeaderError as error:
            if type(error).__name__ == "EOFHeaderError":  # The archive's end mark.
                raise
            raise tarfile.ReadError(f"it does not end as it should: {error}") from None


class Tar(Tree):
    """A tar archive, compressed or not: read from beginning to end, in its own order."""

    kind = "tar"

    def __init__(self, where: Path) -> None:
        entries: dict[str, Entry] = {}
        junk, packed = 0, max(1, where.stat().st_size)
        total = 0
        for member in self._members(where):
            name = _safe(member.name, where)
            if member.isdir() or not name:
                continue
            if not member.isreg():
                raise DataError(f"{where}: {member.name!r} is a link or a device, which no dataset needs")
            total += member.size
            _check_total(where, total, packed)
            if _has_junk(name):
                junk += 1
                continue
            if name in entries:
                raise DataError(f"{where}: {name!r} is in it twice")
            entries[name] = self._entry(member, where)
            if len(entries) > MOST_FILES:
                raise DataError(f"{where}: more than {MOST_FILES:,} files")
        super().__init__(where, entries, junk)

    def contents(self, names: Iterable[str]) -> Iterator[tuple[str, IO[bytes] | Unreadable]]:
        left = set(names)
        with _TarErrors(self.where), tarfile.open(self.where, "r|*", tarinfo=_Header) as archive:
            for member in archive:
                name = _safe(member.name, self.where)
                if name not in left:
                    continue
                left.discard(name)
                yield name, self._content(self.where, archive, member, self.entries[name])
                if not left:
                    break
        yield from ((name, Unreadable("it no longer exists")) for name in sorted(left))

    @staticmethod
    def _entry(member: tarfile.TarInfo, where: Path) -> Entry:
        """A member's entry; it includes the archive's time, as tar has no checksums and members' times may be 0."""
        return Entry(member.size, f"{member.mtime} {where.stat().st_mtime_ns}")

    @classmethod
    def _content(
        cls, where: Path, archive: tarfile.TarFile, member: tarfile.TarInfo, known: Entry
    ) -> IO[bytes] | Unreadable:
        if not member.isreg() or cls._entry(member, where) != known:
            return Unreadable("it has changed since it was listed")
        if known.size > MOST_BYTES:
            return Unreadable(f"{known.size:,} bytes, too many for a file in an archive; unpack the archive")
        file = archive.extractfile(member)
        assert file is not None
        return io.BytesIO(_all_of(file, known.size))

    @staticmethod
    def _members(where: Path) -> Iterator[tarfile.TarInfo]:
        with _TarErrors(where), tarfile.open(where, "r|*", tarinfo=_Header) as archive:
            for member in archive:
                yield member
                archive.members = []  # type: ignore[attr-defined]  # Otherwise all headers stay in memory.


class _TarErrors:
    def __init__(self, where: Path) -> None:
        self.where = where

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, TAR_DAMAGE):
            raise DataError(f"{self.where}: a damaged tar archive ({error})") from None
        if isinstance(error, OSError):
            raise DataError(f"{self.where}: a damaged tar archive ({error.strerror or error})") from None


def _all_of(file: IO[bytes], declared: int) -> bytes:
    content = file.read(min(declared, MOST_BYTES) + 1)
    if len(content) > declared:
        raise zipfile.BadZipFile("more bytes than it declares")
    return content


def _safe(name: str, where: Path) -> str:
    """A member's name; refused if it leads out of the archive."""
    if "\\" in name or "\0" in name or name.startswith("/") or ":" in name.split("/")[0]:
        raise DataError(f"{where}: {name!r} is not a valid name in an archive of images")
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise DataError(f"{where}: {name!r} leads out of the archive")
    return "/".join(parts)


def _check_sizes(where: Path, entries: dict[str, Entry]) -> None:
    _check_total(where, sum(entry.size for entry in entries.values()), max(1, where.stat().st_size))


def _check_total(where: Path, total: int, packed: int) -> None:
    if total > max(FREELY, RATIO * packed):
        raise DataError(f"{where}: {packed:,} bytes that unpack to {total:,} or more; it is not read")


def _has_junk(name: str) -> bool:
    return any(is_junk(part) for part in PurePosixPath(name).parts)


def is_junk(name: str) -> bool:
    """Whether systems and programs leave files or folders of this name behind: ``._x.png``, ``__MACOSX``, ..."""
    return name.startswith(".") or name.lower() in JUNK or OURS.fullmatch(name) is not None
