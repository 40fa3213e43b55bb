"""Arrays saved by numpy: npz files in the usual layouts, and single npy files.

genlab writes x_train, y_train, x_test, y_test, class_names. It also reads the keys of MedMNIST (train_images,
train_labels, ...), images and labels alone, and pairs of files with one array each (KMNIST: arr_0 in ...-imgs.npz,
...-labels.npz).
"""

from __future__ import annotations

import lzma
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from genlab.data.arrays import Array
from genlab.data.dataset import Split
from genlab.data.sources.collection import ArrayCollection, Part
from genlab.data.sources.tree import Folder
from genlab.errors import DataError

MAX_BYTES = 4 * 2**30
LAYOUT = "an npz file with x_train (uint8, N x H x W) and, for classes, y_train (integers, N); see docs/data.md"
IMAGES: dict[Split, tuple[str, ...]] = {
    "train": ("x_train", "train_x", "train_images", "images_train", "train_data", "train"),
    "test": ("x_test", "test_x", "test_images", "images_test", "test_data", "test"),
}
LABELS: dict[Split, tuple[str, ...]] = {
    "train": ("y_train", "train_y", "train_labels", "labels_train", "train_targets"),
    "test": ("y_test", "test_y", "test_labels", "labels_test", "test_targets"),
}
VALIDATION = (("x_val", "val_images", "x_valid", "val_x"), ("y_val", "val_labels", "y_valid", "val_y"))
ALONE = (("images", "data", "x", "imgs", "arr_0"), ("labels", "targets", "y", "target", "label", "arr_1"))
NAMES = ("class_names", "classes", "label_names", "target_names")


def collect(path: Path, where: str) -> ArrayCollection:
    """The images of an npz file.

    Raises:
        DataError: damaged, hostile, or in an unknown layout; names the arrays in the file.
    """
    heads = arrays_in(path)
    keys = {key.lower(): key for key in reversed(heads)}
    parts = {split: part for split in IMAGES if (part := _part(path, keys, IMAGES[split], LABELS[split], where))}
    notes: list[str] = []
    if "test" not in parts and (part := _part(path, keys, *VALIDATION, where)):
        parts["test"] = part
        notes.append("the validation split is taken as the test split")
    elif any(key in keys for key in VALIDATION[0]):
        notes.append("left out: the validation split")
    if "train" not in parts and (part := _part(path, keys, *ALONE, where)):
        parts["train"] = part
        if part.labels is None:
            parts |= _single_arrays(path, where)
    if "train" not in parts:
        raise DataError(f"{where}: no array x_train; {_there(heads)}expected {LAYOUT}")
    names = next((keys[key] for key in NAMES if key in keys), None)
    given = None if names is None else read_arrays(path, (names,))[names]
    return ArrayCollection(
        where, "npz file", parts, Folder(path.parent, [path.name]).stamp, given, f"{where}: {names}", notes, str(path)
    )


def _part(path: Path, keys: Mapping[str, str], images: Sequence[str], labels: Sequence[str], where: str) -> Part | None:
    x, y = (next((keys[key] for key in wanted if key in keys), None) for wanted in (images, labels))
    if x is None:
        return None
    read = partial(_array, path)
    return Part(partial(read, x), None if y is None else partial(read, y), f"{where}: {x}", f"{where}: {y}")


def _single_arrays(path: Path, where: str) -> dict[Split, Part]:
    """Splits with images and labels in separate files, told by their names: ...-imgs.npz, ...-labels.npz."""
    found: dict[Split, Part] = {}
    for split in IMAGES:
        words = [("train", split), ("imgs", "labels")]
        images = path.with_name(path.name.replace("test", "train").replace(*words[0]))
        labels = images.with_name(images.name.replace(*words[1]))
        if "imgs" in path.name and images.exists() and labels.exists():
            x, y = (next(iter(arrays_in(file))) for file in (images, labels))
            at = str(images.name), str(labels.name)
            found[split] = Part(partial(_array, images, x), partial(_array, labels, y), f"{where}: {at[0]}", at[1])
    return found


def _array(path: Path, key: str) -> Array:
    return read_arrays(path, (key,))[key]


def _there(heads: Mapping[str, str]) -> str:
    return f"found {', '.join(f'{key} ({form})' for key, form in list(heads.items())[:8])}; " if heads else ""


def collect_npy(path: Path, where: str) -> ArrayCollection:
    """The images of an npy file, which has no labels."""

    def read() -> Array:
        try:
            with path.open("rb") as file:
                _check_header(file, path.stat().st_size, where)
            found: Array = np.load(path, allow_pickle=False)
            return found
        except (ValueError, EOFError, OSError) as error:
            raise DataError(f"{where}: {_reason(error)}") from None

    part = Part(read, None, where, where)
    return ArrayCollection(where, "npy file", {"train": part}, Folder(path.parent, [path.name]).stamp, path=str(path))


def arrays_in(path: Path) -> dict[str, str]:
    """Type and shape, in words, of each array of an npz file. Nothing is unpacked.

    Raises:
        DataError: damaged or hostile.
    """
    with _Refusals(path), zipfile.ZipFile(path) as archive:
        found = {}
        for info in archive.infolist():
            with archive.open(info) as member:
                try:
                    shape, dtype = _head(member)
                except ValueError:
                    continue  # Not an array.
            found[info.filename.removesuffix(".npy")] = f"{dtype}, {' x '.join(map(str, shape))}"
        return found


def read_arrays(path: str | Path, wanted: Sequence[str]) -> dict[str, Array]:
    """The wanted arrays that the file has. Sizes are checked before anything is unpacked; pickles are refused."""
    with _Refusals(path):
        with zipfile.ZipFile(path) as archive:
            present = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
            found = [name for name in wanted if name in present]
            for name in found:
                with archive.open(present[name]) as member:
                    _check_header(member, present[name].file_size, f"{path}: {name}")
        with np.load(path, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in found}


class _Refusals:
    """Context manager that turns errors of zipfile, zlib or numpy about a hostile file into a one-line `DataError`."""

    def __init__(self, path: str | Path) -> None:
        self.path = path

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, OSError) and error.strerror:
            raise DataError(f"{self.path}: {error.strerror}") from None
        if isinstance(error, Exception) and not isinstance(error, DataError):
            raise DataError(f"{self.path}: {_reason(error)}; expected {LAYOUT}") from None


def _reason(error: Exception) -> str:
    """Why a file cannot be read as npz, in genlab's words."""
    if isinstance(error, zipfile.BadZipFile):
        whole = "CRC" not in str(error)
        return "damaged, or not an npz file" if whole else "damaged: its checksum does not match its content"
    if isinstance(error, EOFError | zlib.error | lzma.LZMAError):
        return "damaged: an array in it cannot be unpacked"
    if isinstance(error, NotImplementedError):
        return "compressed in an unsupported way; save it with numpy.savez"
    if "password" in str(error) or "encrypted" in str(error):
        return "locked with a password"
    if isinstance(error, MemoryError):
        return "larger than this machine's memory"
    return "damaged: an array in it cannot be read"


def _head(member: Any) -> tuple[tuple[int, ...], np.dtype[Any]]:
    version = np.lib.format.read_magic(member)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(member)
    return tuple(int(n) for n in shape), dtype


def _check_header(member: Any, size: int, where: str) -> None:
    shape, dtype = _head(member)
    if dtype.hasobject:
        raise DataError(f"{where} holds Python objects, which are never loaded; save plain numbers")
    declared = int(np.prod(shape, dtype=object)) * dtype.itemsize if shape else dtype.itemsize
    if declared > MAX_BYTES:
        raise DataError(f"{where} declares {declared:,} bytes; the limit is {MAX_BYTES:,}")
    if declared > size:
        raise DataError(f"{where} declares {declared:,} bytes, but has only {size:,}")
