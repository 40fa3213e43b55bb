"""Parquet files with encoded images, as dataset hubs publish them: a column of pictures, and one of labels.

A picture is a value of type struct<bytes, path>, or its bytes alone. Class names are read from the schema's metadata,
where such hubs keep them. Needs pyarrow: ``pip install genlab[parquet]``.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from genlab.data import arrays
from genlab.data.sources.collection import PictureCollection
from genlab.data.sources.folders import TEST, TRAIN, VALIDATION
from genlab.data.sources.picture import Head, Picture, Unreadable, decode, head
from genlab.data.sources.tree import Folder
from genlab.errors import DataError, first_line

MAGIC = b"PAR1"
PICTURES, LABELS = (
    ("image", "img", "picture", "png", "jpg"),
    ("label", "labels", "target", "class", "fine_label", "digit"),
)


def beside(path: Path) -> Folder:
    """The file and those of the same dataset beside it: parts of both splits."""
    words = [word for word in (*TRAIN, *TEST, *VALIDATION) if path.name.lower().startswith(word)]
    if not words:
        return Folder(path.parent, [path.name])
    return Folder(path.parent, [each.name for each in path.parent.glob("*.parquet")])


def collect_file(path: Path, where: str) -> PictureCollection | None:
    """The images of a file and of those that belong to it."""
    return collect(beside(path), where)


def collect(tree: Folder, where: str) -> PictureCollection | None:
    """The images of a file or folder; None if there are none.

    Raises:
        DataError: pyarrow is not installed, or a file is damaged, empty or without a column of pictures.
    """
    files = [name for name in tree.entries if name.lower().endswith(".parquet")]
    if not files:
        return None
    train, test, notes = _splits(files)
    ordered = [*train, *test]
    tables = [_File(tree.where / name, where) for name in ordered]
    counts = [table.rows for table in tables]
    if not sum(counts):
        raise DataError(f"{where}: no images in it")
    if sum(counts) > 1_000_000:
        raise DataError(f"{where}: {sum(counts):,} rows; at most 1,000,000")
    is_test = np.concatenate([np.full(n, name in test) for n, name in zip(counts, ordered, strict=True)])
    names = [f"{name}[{k}]" for n, name in zip(counts, ordered, strict=True) for k in range(n)]
    labels, class_names = _labels(tables, is_test, where)
    decoded = partial(_decoded, tables)
    return PictureCollection(where, "Parquet", names, is_test, labels, class_names, notes, tree.stamp, decoded)


def _splits(files: Sequence[str]) -> tuple[list[str], list[str], list[str]]:
    """Files of the training split, files of the test split, and notes; a split is told by the name of a file or
    folder."""

    def of(words: tuple[str, ...]) -> list[str]:
        return [name for name in files if any(part.startswith(words) for part in name.lower().split("/"))]

    test, validation = of(TEST), of(VALIDATION)
    if test and validation:
        rest = [name for name in files if name not in (*test, *validation)]
        return (rest, test, ["left out: the validation files"]) if rest else (list(files), [], [])
    held = test or validation
    rest = [name for name in files if name not in held]
    if not rest:
        return list(files), [], []
    return rest, held, ["validation files are taken as the test split"] if validation else []


class _File:
    """An open file, with the columns that matter."""

    def __init__(self, path: Path, where: str) -> None:
        try:
            from pyarrow import ArrowException, parquet
        except ImportError:
            raise DataError(f"{where}: Parquet needs pyarrow: pip install 'genlab[parquet]'") from None
        self.path = path
        try:
            self.file = parquet.ParquetFile(path)
            self.rows: int = self.file.metadata.num_rows
            columns = {field.name: str(field.type) for field in self.file.schema_arrow}
        except (ArrowException, OSError, ValueError) as error:
            raise DataError(f"{path}: damaged, or not a Parquet file ({first_line(error)[:80]})") from None
        self.picture = _column(columns, PICTURES, lambda kind: "bytes" in kind or "binary" in kind)
        self.label = _column(columns, LABELS, lambda kind: kind.startswith(("int", "uint", "string", "dictionary")))
        if self.picture is None:
            found = ", ".join(f"{name}: {kind[:40]}" for name, kind in columns.items())
            raise DataError(f"{path}: no column of encoded pictures (bytes); columns: {found}")

    def class_names(self) -> list[str] | None:
        """Class names in the schema's metadata, or None."""
        told = (self.file.schema_arrow.metadata or {}).get(b"huggingface")
        try:
            names = json.loads(told or b"{}")["info"]["features"][self.label]["names"]
        except (TypeError, ValueError, KeyError, RecursionError):
            return None
        return [str(name) for name in names] if isinstance(names, list) else None

    def labels(self) -> arrays.Array:
        with _Damage(self.path):
            column = self.file.read(columns=[self.label]).column(0).to_pylist()
        bad = next((k for k, value in enumerate(column) if value is None), None)
        if bad is not None:
            raise DataError(f"{self.path}: {self.label} of row {bad} is missing")
        return np.array(column)

    def contents(self, wanted: set[int]) -> Iterator[tuple[int, bytes | None]]:
        row = 0
        with _Damage(self.path):
            for batch in self.file.iter_batches(64, columns=[self.picture]):
                for k, value in enumerate(batch.column(0)):
                    if row + k in wanted:
                        plain = value.as_py()
                        content = plain.get("bytes") if isinstance(plain, dict) else plain
                        yield row + k, content if isinstance(content, bytes) else None
                row += len(batch)


class _Damage:
    """Context manager that turns pyarrow's errors about a damaged file into a one-line `DataError`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        from pyarrow import ArrowException

        if isinstance(error, ArrowException | OSError | ValueError):
            raise DataError(f"{self.path}: damaged, or changed while it was read ({first_line(error)[:80]})") from None


def _column(columns: dict[str, str], usual: Sequence[str], fits: Any) -> str | None:
    known = [name for name in columns if name.lower() in usual and fits(columns[name])]
    return known[0] if known else next((name for name, kind in columns.items() if "bytes" in kind and fits(kind)), None)


def _labels(tables: Sequence[_File], test: Any, where: str) -> tuple[Any, tuple[str, ...]]:
    if any(table.label is None for table in tables):
        return None, ()
    y = np.concatenate([table.labels() for table in tables if table.rows])
    at = f"{where}: {tables[0].label}"
    y = arrays.as_labels(y, len(test), at)
    given = tables[0].class_names()
    names = arrays.class_names_of(y[~test], at, given, f"{where}: class names in the metadata")
    return arrays.numbered(y, names, at, given is not None), tuple(names)


def _decoded(
    tables: Sequence[_File], rows: Sequence[int], heads: bool
) -> Iterator[tuple[int, Head | Picture | Unreadable]]:
    begin = 0
    for table in tables:
        wanted = {row - begin for row in rows if begin <= row < begin + table.rows}
        for k, content in table.contents(wanted) if wanted else ():
            found: Head | Picture | Unreadable
            try:
                if not content:
                    raise Unreadable("no bytes; a file stored elsewhere is not fetched")
                found = (head if heads else decode)(io.BytesIO(content))
            except Unreadable as error:
                found = error
            yield begin + k, found
        begin += table.rows
