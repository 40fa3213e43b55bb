"""The images at a path, whose kind is told by its content: the one module that knows every kind of source."""

from __future__ import annotations

import tarfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from genlab.data.sources import cifar, folders, idx, npz, parquet, table
from genlab.data.sources.collection import Collection
from genlab.data.sources.packed import GZIP, begins
from genlab.data.sources.picture import ENDINGS, REFUSED, is_picture
from genlab.data.sources.tree import TAR_DAMAGE, Folder, Tar, Tree, Zip
from genlab.errors import DataError


@dataclass(frozen=True)
class Kind:
    """A kind of file.

    Attributes:
        words: name for messages.
        claims: (path, its first bytes after unpacking gzip, whether it was packed) -> whether it is of this kind.
        collect: (path, path as it was given) -> its images; None if it turns out not to be of this kind.
    """

    words: str
    claims: Callable[[Path, bytes, bool], bool]
    collect: Callable[[Path, str], Collection | None]


FILES = (
    Kind("npz", lambda path, begin, packed: _is_zip(begin) and _is_npz(path), npz.collect),
    Kind(
        "a zip of pictures", lambda path, begin, packed: _is_zip(begin), lambda path, where: of_tree(Zip(path), where)
    ),
    Kind("npy", lambda path, begin, packed: begin.startswith(b"\x93NUMPY") and not packed, npz.collect_npy),
    Kind("Parquet", lambda path, begin, packed: begin.startswith(parquet.MAGIC), parquet.collect_file),
    Kind("IDX files", lambda path, begin, packed: idx.is_idx(begin), idx.collect_file),
    Kind(
        "a tar of pictures", lambda path, begin, packed: _is_tar(path, begin, packed), lambda p, w: of_tree(Tar(p), w)
    ),
    Kind("CIFAR's binary files", lambda path, begin, packed: cifar.is_file(path), cifar.collect_file),
    Kind("a table (CSV) of pixels", lambda path, begin, packed: table.is_table(begin), table.collect_file),
    Kind("a damaged npz", lambda path, begin, packed: path.suffix == ".npz", npz.collect),  # This says what is wrong.
)
"""Kinds of files; the first kind that claims a file reads it."""


def collect(given: str | Path) -> Collection:
    """The images at a path.

    Raises:
        DataError: nothing is there, or nothing that images are read from; says what it is.
    """
    path, where = Path(given), str(given)
    if path.is_dir():
        return of_tree(Folder(path), where)
    if not path.exists():
        raise DataError(f"{where}: no such file or folder")
    if not path.is_file():
        raise DataError(f"{where}: not a file; expected {_known()}")  # A device or pipe may never end.
    try:
        with path.open("rb") as file:
            packed = file.read(2) == GZIP
            file.seek(0)
            beginning = begins(file)
    except OSError as error:
        raise DataError(f"{where}: {error.strerror or error}") from None
    for kind in FILES:
        if kind.claims(path, beginning, packed) and (found := kind.collect(path, where)) is not None:
            return found
    raise DataError(f"{where}: {_what(path, beginning)}; expected {_known()}")


def of_tree(tree: Tree, where: str) -> Collection:
    """The images in a folder or archive: pictures or, if there are none, files of another kind."""
    if not any(map(is_picture, tree.entries)):
        if isinstance(tree, Folder):
            if (found := parquet.collect(tree, where)) is not None:
                return found
            arrays = [name for name in tree.entries if name.endswith(".npz")]
            if len(arrays) == 1:
                return npz.collect(tree.where / arrays[0], f"{where.rstrip('/')}/{arrays[0]}")
        for collect_in in (idx.collect, cifar.collect, table.collect):
            if (other := collect_in(tree, where, where)) is not None:
                return other
    return folders.pictures_in(tree, where)


def _known() -> str:
    return ", ".join(["a folder of pictures", *(kind.words for kind in FILES[:-1])])


def _is_zip(beginning: bytes) -> bool:
    return beginning.startswith((b"PK\3\4", b"PK\5\6"))


def _is_npz(path: Path) -> bool:
    """Whether a zip archive holds arrays; an unreadable one is judged by its name."""
    if path.suffix == ".npz":
        return True
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith(".npy") for name in archive.namelist()[:20])
    except (zipfile.BadZipFile, ValueError, NotImplementedError, EOFError, OSError):
        return False


def _is_tar(path: Path, beginning: bytes, packed: bool) -> bool:
    if beginning[257:262] == b"ustar":
        return True
    if packed or path.suffix in (".tar", ".tgz", ".bz2", ".xz"):
        try:
            with tarfile.open(path, "r|*") as archive:
                return archive.next() is not None
        except (*TAR_DAMAGE, OSError):
            return False
    return False


def _what(path: Path, beginning: bytes) -> str:
    suffix = path.suffix.lower()
    if suffix in ENDINGS + REFUSED:
        return "a single picture; give the folder it is in"
    if beginning.startswith(b"\x80") or suffix in (".pkl", ".pickle"):
        return "a Python pickle, which could run any program and is never loaded"
    if suffix == ".npz":
        return "damaged, or not an npz file"
    if suffix in (".mat", ".h5", ".hdf5", ".pt", ".pth", ".tfrecord"):
        return f"{suffix} files are not supported; load it in Python, and pass its arrays to genlab"
    if not beginning:
        return "damaged, or cut off" if path.stat().st_size else "empty"
    if suffix in (".csv", ".tsv"):
        return "not a table of pixels, with equally many values in every line"
    return "unknown kind of file"
