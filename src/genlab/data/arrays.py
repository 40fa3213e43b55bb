"""Arrays as images and labels: every usual layout is read and reported, any other is refused with a remedy.

Pixels are uint8, 0 black and 255 white. Pixels of any other type or range are never rescaled here: the error says what
was found, and which `genlab data import ... --range LOW..HIGH` would define black and white.
"""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from genlab.data.dataset import Images, Labels
from genlab.errors import DataError

Array = np.ndarray[Any, Any]
MOST_CLASSES = 1000
MOST_LABEL = np.iinfo(np.int64).max
LARGEST, PROPOSED = 512, 64
"""The largest side that an import makes, and the largest that a message proposes; pixels."""
DARK = 16
"""Images whose brightest pixel is at most this look black: their values belong to another range."""
OPTION = r"--[a-z-]+(?: (?!--)\S+)?"
"""An option of a command, with its value if it has one."""
RANGES = ((0, 1), (-1, 1), (0, 15), (0, 16), (0, 255), (0, 4095), (0, 65_535))
"""Usual ranges of pixel values."""


def as_images(x: Array, where: str, notes: list[str], source: str | None = None) -> Images:
    """An array of uint8 images in any usual layout as (N, C, H, W); each rearrangement is added to `notes`.

    Args:
        source: path to give to `genlab data import`, or None if the images come from no file.

    Raises:
        DataError: unsupported type, range or shape; says what was found and what to do.
    """
    if x.dtype != np.uint8:
        raise DataError(f"{where} is {x.dtype}{extent(x)}; expected uint8, 0 .. 255{range_hint(x, source)}")
    images = planes(x, where, notes)
    if images.shape[2] != images.shape[3]:
        raise DataError(
            f"{where}: {images.shape[3]} x {images.shape[2]} pixels; expected squares"
            f"{import_hint(source, squaring(*images.shape[2:]))}"
        )
    if 0 < (highest := int(images.max())) <= DARK:
        raise DataError(f"{where} has pixel values 0 .. {highest}, which look black{range_hint(images, source)}")
    return np.ascontiguousarray(images)


def planes(x: Array, where: str, notes: list[str]) -> Array:
    """Images of any type and usual layout as (N, C, H, W), C 1 or 3.

    Raises:
        DataError: unsupported shape, or no images.
    """
    given = x.shape
    if x.ndim == 2 and (form := flat_form(x.shape[1])):
        x = x.reshape(len(x), *form)
        notes.append(f"each row read as {form[0]} x {form[1]} x {form[2]} pixels")
    elif x.ndim == 3:
        x = x[:, None]
    elif x.ndim == 4 and x.shape[1] not in (1, 3) and x.shape[3] in (1, 3):
        x = x.transpose(0, 3, 1, 2)
        notes.append("read as N x H x W x C (channels last)")
    if x.ndim != 4 or x.shape[1] not in (1, 3):
        raise DataError(
            f"{where} has shape {given}; expected N x H x W, N x C x H x W or N x H x W x C, H = W, C 1 or 3"
        )
    if x.size == 0:
        raise DataError(f"{where} has shape {given}: no images")
    return x


def flat_form(pixels: int) -> tuple[int, int, int] | None:
    """Channels, height and width of square images with this many values; None if no square has as many."""
    for channels in (1, 3):
        side = math.isqrt(pixels // channels)
        if side > 1 and channels * side * side == pixels:
            return channels, side, side
    return None


def range_hint(x: Array, source: str | None) -> str:
    """Advice on pixels of another range, if the smallest usual range that holds them is theirs."""
    usual = usual_range(x)
    if usual is None:
        return ""
    words = f"if {usual[0]} is black and {usual[1]} white: "
    if source is None:
        return f"; {words}{_formula(*usual)}"
    shape = x.shape[2:] if x.ndim == 4 and x.shape[1] in (1, 3) else x.shape[1:3] if x.ndim > 2 else (1, 1)
    return import_hint(source, f"--range {usual[0]}..{usual[1]} {squaring(*shape)}".rstrip(), words)


def usual_range(x: Array) -> tuple[int, int] | None:
    """The smallest usual range that holds the pixels, or else their own; None if they are not finite numbers."""
    if x.dtype.kind not in "biuf" or not x.size or (x.dtype.kind == "f" and not np.isfinite(x).all()):
        return None
    low, high = float(x.min()), float(x.max())
    own = math.floor(low), max(math.ceil(high), math.floor(low) + 1)
    return next(((a, b) for a, b in RANGES if a <= low and high <= b), own)


def squaring(height: int, width: int) -> str:
    """Options of an import that needs them: of pictures that are not square, or larger than it makes."""
    if height == width <= LARGEST:
        return ""
    return f"--size {min(max(height, width), PROPOSED)} --fit pad"


def _formula(low: float, high: float) -> str:
    inner = "x" if not low else f"(x + {-low})" if low < 0 else f"(x - {low})"
    return f"({inner} * {255 / (high - low):.10g}).round().astype('uint8')"


def import_hint(source: str | None, options: str, words: str = "") -> str:
    """A semicolon and the import command that makes the images usable; empty without a source."""
    return "" if source is None else f"; {words}{import_command(source, options)[0]}"


def import_call(options: str) -> str:
    """The call that makes images in memory usable, with these options of the command.

    >>> import_call("--size 32 --fit pad --skip-bad")
    "genlab.import_images(IMAGES, 'images.npz', size=32, fit='pad', skip_bad=True)"
    """
    return f"genlab.import_images({', '.join(['IMAGES', repr('images.npz'), *_keywords(options)])})"


def addition(options: str, given: Iterable[str], as_call: bool) -> str:
    """What has to be added to an import that has the options `given` already, as options or as arguments of the call.

    >>> addition("--size 32 --fit pad --skip-bad", {"skip_bad"}, as_call=False)
    'add --size 32 --fit pad'
    """
    known = {name.replace("_", "-") for name in given}
    added = " ".join(option for option in re.findall(OPTION, options) if option.split()[0].lstrip("-") not in known)
    return f"add {', '.join(_keywords(added)) if as_call else added}"


def _keywords(options: str) -> list[str]:
    named = (option[2:].partition(" ") for option in re.findall(OPTION, options))
    return [
        f"{name.replace('-', '_')}={value if value.isdecimal() else repr(value) if value else True}"
        for name, _, value in named
    ]


def import_command(source: str, options: str) -> tuple[str, str]:
    """The import command that makes the images usable, and the file that it writes, both quoted for a shell."""
    name = source.rstrip("/").replace("\\", "/").rpartition("/")[2].split(".")[0].lstrip("-") or "images"
    source = f"./{source}" if source.startswith("-") else source
    output = shlex.quote(f"{name}-genlab.npz")
    return f"genlab data import {shlex.quote(source)} -o {output} {options}".rstrip(), output


def extent(x: Array) -> str:
    """Lowest and highest value in words."""
    if x.dtype.kind not in "biuf" or not x.size:
        return ""
    if x.dtype.kind == "f" and not np.isfinite(x).all():
        at = int(np.flatnonzero(~np.isfinite(x).reshape(len(x), -1).all(1))[0]) if x.ndim > 1 else 0
        return f" with NaN or infinity (first in [{at}])"
    return f" with values {float(x.min()):.6g} .. {float(x.max()):.6g}"


def as_labels(y: Array, n: int, where: str) -> Array:
    """Labels as one value per image: integers or strings.

    Raises:
        DataError: unsupported shape or type, or a label that is negative, too large or unprintable; names the first.
    """
    if y.ndim == 2 and y.shape[1] == 1 and n != 1:
        y = y[:, 0]
    if y.shape != (n,):
        one_hot = "; one-hot labels: save y.argmax(1)" if y.ndim == 2 and len(y) == n else ""
        raise DataError(f"{where} has shape {y.shape}; expected ({n},), one label per image{one_hot}")
    if y.dtype.kind == "S":
        y = np.char.decode(y, "utf-8", "replace")
    if y.dtype.kind == "U":
        bad = next((str(name) for name in np.unique(y) if not _is_name(str(name))), None)
        if bad is not None:
            at = int(np.flatnonzero(y == bad)[0])
            raise DataError(f"{where}[{at}] is {bad!r}, which is not a printable name")
        return y
    if y.dtype.kind not in "iu":
        raise DataError(f"{where} is {y.dtype}; expected integers 0 .. K-1, or names")
    if y.size and (y.min() < 0 or y.max() > MOST_LABEL):
        at = int(np.flatnonzero((y < 0) | (y > MOST_LABEL))[0])
        raise DataError(f"{where}[{at}] is {y[at]}; expected 0 .. K-1, or names")
    return y.astype(np.int64)


def class_names_of(y: Array, where: str, given: Array | Sequence[str] | None = None, given_at: str = "") -> list[str]:
    """Class names of labels: the `given` ones for integer labels, if any, else the values that occur, in natural order.

    Raises:
        DataError: too many classes, or `given` are not valid names for all of them.
    """
    if given is not None and y.dtype.kind != "U":
        return _given_names(np.asarray(given), int(y.max()) + 1, given_at)
    names = sorted((str(value) for value in np.unique(y).tolist()), key=natural)
    if len(names) > MOST_CLASSES:
        raise DataError(f"{where} has {len(names):,} different values; at most {MOST_CLASSES:,} classes are allowed")
    return names


def _given_names(names: Array, at_least: int, where: str) -> list[str]:
    if names.dtype.kind == "S":
        names = np.char.decode(names, "utf-8", "replace")
    if names.ndim != 1 or names.dtype.kind != "U" or len(names) < at_least:
        raise DataError(f"{where}: expected at least {at_least} strings, got shape {names.shape} of {names.dtype}")
    found = [str(name) for name in names]
    check_names(found, where)
    return found


def check_names(names: Sequence[str], where: str) -> None:
    """Refuse class names that cannot be printed or told apart.

    Raises:
        DataError: too many names, one that cannot be printed (the first is named), or one that appears twice.
    """
    if len(names) > MOST_CLASSES:
        raise DataError(f"{where}: {len(names):,} classes; at most {MOST_CLASSES:,} are allowed")
    bad = next((name for name in names if not _is_name(name)), None)
    if bad is not None:
        raise DataError(f"{where}: {bad!r} is not a printable name")
    if len(set(names)) < len(names):
        raise DataError(f"{where}: a name appears twice")


def _is_name(name: str) -> bool:
    return name.isprintable() and bool(name.strip())


def numbered(y: Array, names: Sequence[str], where: str, given: bool) -> Labels:
    """Labels as indices 0 .. K-1 into `names`.

    Args:
        given: whether integers in `y` are already indices into `names`.

    Raises:
        DataError: a label that is not in `names`; says which is the first.
    """
    if given and y.dtype.kind != "U":
        bad = np.flatnonzero(y >= len(names))
        found = y
    else:
        place = {name: k for k, name in enumerate(names)}
        values, inverse = np.unique(y, return_inverse=True)
        found = np.array([place.get(str(value), -1) for value in values.tolist()], np.int64)[inverse]
        bad = np.flatnonzero(found < 0)
    if len(bad):
        shown = ", ".join(names[:10]) + (", ..." if len(names) > 10 else "")
        raise DataError(f"{where}[{bad[0]}] is {y[bad[0]]}, a class that the training images lack; known: {shown}")
    return np.asarray(found, np.int64)


def natural(name: str) -> list[list[tuple[int, int, str]]]:
    """Key that sorts in natural order, digit_2 before digit_10: folder by folder, numbers by value.

    >>> sorted(["10.png", "9.png", "a/1.png"], key=natural)
    ['9.png', '10.png', 'a/1.png']
    """
    return [
        [(0, int(run[:4000]), run) if k % 2 else (1, 0, run) for k, run in enumerate(re.split("([0-9]+)", part)) if run]
        for part in name.split("/")
    ]
