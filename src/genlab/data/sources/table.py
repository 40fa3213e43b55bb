"""Tables of pixels as text: one image per line, a label in one column, with or without a header line."""

from __future__ import annotations

import codecs
import csv
import io
import re
import zlib
from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import islice, pairwise
from pathlib import Path

import numpy as np

from genlab.data.arrays import Array, flat_form
from genlab.data.dataset import Split
from genlab.data.sources.collection import ArrayCollection, Part
from genlab.data.sources.packed import unpacked
from genlab.data.sources.picture import Unreadable
from genlab.data.sources.tree import FREELY, RATIO, Folder, Tree
from genlab.engine.stages import advance, stage
from genlab.errors import DataError

LABELS = ("label", "labels", "class", "target", "targets", "y", "digit", "letter", "category")
IDS = ("id", "imageid", "image_id", "index", "")
BLOCK = 2000
"""Number of lines that are read at once."""
MOST_LINE = 2**24
"""Maximum number of characters per line."""


@dataclass(frozen=True)
class _Form:
    """How to read the lines of a file.

    Attributes:
        header: whether the first line holds names.
        columns: number of columns of each line.
        label: column of the labels, or None.
        pixels: columns of the pixels, in their order.
    """

    delimiter: str
    header: bool
    columns: int
    label: int | None
    pixels: tuple[int, ...]


def is_table(beginning: bytes) -> bool:
    """Whether a file that begins like this is a table: text, with several values in its first line."""
    try:  # The last character may be incomplete.
        first = codecs.getincrementaldecoder("utf-8-sig")().decode(beginning).lstrip().splitlines()[0]
    except (UnicodeDecodeError, IndexError):
        return False
    return first.isprintable() or "\t" in first if _delimiter(first) else False


def beside(path: Path) -> Folder:
    """The file and the test split beside it."""
    return Folder(path.parent, {path.name, re.sub("(?i)train", "test", path.name)})


def collect(tree: Tree, where: str, path: str) -> ArrayCollection | None:
    """The images of a table, or of a folder or archive with one or two tables; None if there are none."""
    files = [name for name in tree.entries if re.search(r"\.(csv|tsv|txt)(\.gz)?$", name.lower())]
    test = [name for name in files if "test" in name.lower()]
    train = [name for name in files if name not in test] or test
    if not files or len(train) > 1 or len(test) > 1:
        return None
    found: dict[Split, str] = {"train": train[0]}
    if test and test != train:
        found["test"] = test[0]
    notes: list[str] = []
    parts = {split: _part(tree, name, notes) for split, name in found.items()}
    return ArrayCollection(where, "table of pixels", parts, tree.stamp, notes=notes, path=path)


def collect_file(path: Path, where: str) -> ArrayCollection | None:
    """The images of a table and of the test split beside it."""
    return collect(beside(path), where, where)


def _part(tree: Tree, name: str, notes: list[str]) -> Part:
    form = _form(tree, name, notes)
    kept: list[tuple[Array, Array]] = []

    def read() -> tuple[Array, Array]:
        if not kept:
            kept.append(_read(tree, name, form))
        return kept[0]

    at = f"{tree.where.parent if tree.where.name == name else tree.where}/{name}"
    return Part(lambda: read()[0], (lambda: read()[1]) if form.label is not None else None, at, f"{at}, labels")


def _lines(tree: Tree, name: str) -> Generator[tuple[int, str], None, None]:
    """The lines that are not blank, with their numbers from 1.

    Raises:
        DataError: the file cannot be read, or it or a line is absurdly long.
    """
    where, seen = f"{tree.where}/{name}", 0
    most = max(FREELY, RATIO * tree.entries[name].size)
    for _, file in tree.contents([name]):
        if isinstance(file, Unreadable):
            raise DataError(f"{where}: {file}")
        try:
            with io.TextIOWrapper(unpacked(file), "utf-8-sig") as text:
                for number, line in enumerate(iter(lambda: text.readline(MOST_LINE), ""), 1):
                    seen += len(line)
                    if len(line) == MOST_LINE or seen > most:
                        raise DataError(f"{where}: too long at line {number}; it is not read")
                    if line.strip(" \t\r\n,;"):
                        yield number, line.rstrip("\r\n")
        except UnicodeDecodeError:
            raise DataError(f"{where}: not UTF-8 text") from None
        except (OSError, EOFError, zlib.error):
            raise DataError(f"{where}: damaged, or cut off") from None


def _form(tree: Tree, name: str, notes: list[str]) -> _Form:
    """How to read a file, inferred from its first lines.

    Raises:
        DataError: not a table of square images; says how many columns of pixels it has.
    """
    where = f"{tree.where}/{name}"
    with closing(_lines(tree, name)) as lines:
        first = [line for _, line in islice(lines, 200)]
    delimiter = _delimiter(first[0]) if first else None
    if delimiter is None:
        raise DataError(
            f"{where}: neither a picture nor a table; expected pictures, or one image per line, "
            "its pixels separated by commas"
        )
    rows = [_cells(line, delimiter) for line in first]
    names = [cell.lower() for cell in rows[0]]
    header = _is_header(rows[0])
    body = rows[1:] if header else rows
    if not body:
        raise DataError(f"{where}: no images, only a header line")
    columns = range(len(names))
    label = next((k for k in columns if names[k] in LABELS), None) if header else None
    if header and label is None:
        label = _odd_one(names)
    ids = [k for k in columns if (header and names[k] in IDS) or not any("".join(row[k : k + 1]) for row in rows)]
    rest = [k for k in columns if k != label and k not in ids]
    if label is None and flat_form(len(rest)) is None and flat_form(len(rest) - 1):
        label = rest[0] if _varies(tree, name, delimiter, rest[0], header) else rest[-1]
        rest.remove(label)
        notes.append(f"{name}: column {label + 1} of {len(names)} is taken as the label")
    if flat_form(len(rest)) is None:
        raise DataError(
            f"{where}: {len(rest):,} columns of pixels{'' if label is None else ' besides the label'}, which is not a "
            "square image; expected side x side, or 3 x side x side"
        )
    return _Form(delimiter, header, len(names), label, tuple(rest))


def _varies(tree: Tree, name: str, delimiter: str, column: int, header: bool) -> bool:
    """Whether a column has several values: in a file that is sorted by class, not within its first lines."""
    with closing(_lines(tree, name)) as lines:
        cells = (_cells(line, delimiter)[column : column + 1] for _, line in islice(lines, int(header), None))
        first = next(cells, [])
        return any(cell and cell != first for cell in cells)


def _odd_one(names: Sequence[str]) -> int | None:
    """The one column whose name is not a word and a number like all others (p0, p1, ...), or None."""
    odd = [k for k, name in enumerate(names) if not re.fullmatch(r"[^0-9]*[0-9]+([^0-9]+[0-9]+)?", name)]
    return odd[0] if len(odd) == 1 and names[odd[0]] not in IDS else None


def _is_header(cells: Sequence[str]) -> bool:
    """Whether the first line holds names: mostly words, or the numbers of the pixels."""
    numbers = [cell for cell in cells if cell.isascii() and cell.isdecimal()]
    if len(numbers) >= len(cells) - 2:
        return all(int(b[:9]) - int(a[:9]) == 1 for a, b in pairwise(numbers))
    return sum(map(_is_number, cells)) < len(cells) / 2


def _delimiter(line: str) -> str | None:
    counts = {each: line.count(each) for each in (",", ";", "\t")}
    best = max(counts, key=lambda each: counts[each])
    return best if counts[best] >= 4 else None


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _cells(line: str, delimiter: str) -> list[str]:
    if '"' not in line:
        return [cell.strip() for cell in line.split(delimiter)]
    try:
        return [cell.strip() for cell in next(csv.reader([line], delimiter=delimiter, skipinitialspace=True))]
    except csv.Error:
        return []


def _read(tree: Tree, name: str, form: _Form) -> tuple[Array, Array]:
    """Pixels (N, D), uint8 if all of them are whole numbers 0 .. 255, and labels (N,)."""
    pixels: list[Array] = []
    labels: list[str] = []
    where = f"{tree.where}/{name}"
    with closing(_lines(tree, name)) as lines, stage(f"reading {name}", tree.entries[name].size):
        if form.header:
            next(lines)
        while block := list(islice(lines, BLOCK)):
            plain = [_plain(line, number, form, where) for number, line in block]
            pixels.append(_numbers([text for _, text in plain], [number for number, _ in block], form, where))
            labels += [label for label, _ in plain if label is not None]
            advance(sum(len(line) for _, line in block))
    if not sum(map(len, pixels)):
        raise DataError(f"{where}: no images in it")
    return np.concatenate(pixels), _as_labels(labels)


def _plain(line: str, number: int, form: _Form, where: str) -> tuple[str | None, str]:
    """The label of a line, if it has one, and the line without quotes.

    Raises:
        DataError: the line does not have as many values as the others.
    """
    quoted = '"' in line
    cells = _cells(line, form.delimiter) if quoted else line.split(form.delimiter)
    if len(cells) != form.columns:
        raise DataError(f"{where}: line {number} has {len(cells):,} values, the others {form.columns:,}")
    label = None if form.label is None else cells[form.label].strip()
    if quoted:
        line = form.delimiter.join("" if form.delimiter in cell else cell for cell in cells)
    return label, line


def _numbers(lines: Sequence[str], places: Sequence[int], form: _Form, where: str) -> Array:
    try:
        x = np.loadtxt(lines, np.float32, delimiter=form.delimiter, usecols=form.pixels, ndmin=2, comments=None)
    except (ValueError, IndexError):
        raise DataError(f"{where}: {_first_bad(lines, places, form)}") from None
    whole = bool(np.isfinite(x).all() and (x == np.rint(x)).all() and x.min() >= 0 and x.max() <= 255)
    return x.astype(np.uint8) if whole else x


def _first_bad(lines: Sequence[str], places: Sequence[int], form: _Form) -> str:
    """Message on the first of these lines that cannot be read; `places` are their numbers."""
    for k, line in zip(places, lines, strict=True):
        cells = line.split(form.delimiter)
        bad = next((cells[c].strip() for c in form.pixels if not _is_number(cells[c])), None)
        if bad is not None:
            return f"line {k} has {bad!r:.40} where a pixel should be"
    return f"lines {places[0]} to {places[-1]} cannot be read as numbers"


def _as_labels(labels: Sequence[str]) -> Array:
    """Labels as integers if all are whole numbers, else as names."""
    if all(re.fullmatch(r"[+-]?[0-9]{1,18}(\.0*)?", label) for label in labels):
        return np.array([int(label.partition(".")[0]) for label in labels], np.int64)
    return np.array(labels, str)
