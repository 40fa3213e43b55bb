"""Datasets in an npz file: the layout of the built-in ones, and of people's own.

Layout: ``x_train`` uint8 (N, H, W), (N, C, H, W) or (N, H, W, C) with H = W and C 1 or 3; optionally ``y_train``
integers (N,) with values 0 .. K-1, ``x_test`` and ``y_test`` likewise, and ``class_names``, K strings.
Nothing is rescaled: pixels are 0 .. 255, 0 is black.
"""

from __future__ import annotations

import lzma
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from genlab.data.dataset import Dataset, Images, Labels, Source, fingerprint
from genlab.errors import DataError, nearest, unknown

SPLITS = ("train", "test")
NAMES = ("mnist", "fashion-mnist", "letters", "stacked-mnist")
MAX_BYTES = 4 * 2**30
LAYOUT = "an npz file with x_train (uint8, N x H x W) and, for classes, y_train (integers, N); see docs/data.md"


def load_npz(path: str | Path, split: str = "train") -> Dataset:
    """One split of an npz file.

    Raises:
        DataError: missing, damaged, or not in the layout; says which array and what was expected.
    """
    if split not in SPLITS:
        raise DataError(unknown("split", split, SPLITS))
    return from_arrays(read_arrays(path, (f"x_{split}", f"y_{split}", "class_names")), path, split)


def from_arrays(arrays: dict[str, np.ndarray[Any, Any]], path: str | Path, split: str) -> Dataset:
    """The dataset of arrays that were read from `path`, each checked against the layout."""
    if f"x_{split}" not in arrays:
        raise DataError(f"{path}: no array x_{split}; expected {LAYOUT}")
    notes: list[str] = []
    images = as_images(arrays[f"x_{split}"], f"{path}: x_{split}", notes)
    labels = _labels(arrays.get(f"y_{split}"), len(images), f"{path}: y_{split}")
    class_names: tuple[str, ...] = ()
    if labels is None:
        notes.append("no labels: only unconditional recipes can use it")
    else:
        class_names = _class_names(arrays.get("class_names"), int(labels.max()) + 1, f"{path}: class_names")
        empty = sorted(set(range(len(class_names))) - set(labels.tolist()))
        if empty:
            notes.append(f"classes without an image: {', '.join(class_names[k] for k in empty[:10])}")
    return Dataset(str(path), split, images, labels, class_names, fingerprint(images, labels), tuple(notes))


def read_arrays(path: str | Path, wanted: tuple[str, ...]) -> dict[str, np.ndarray[Any, Any]]:
    """The wanted arrays that the file has. Sizes are checked before anything is unpacked; pickles are refused."""
    try:
        if Path(path).exists() and not Path(path).is_file() and not Path(path).is_dir():
            raise DataError(f"{path}: not a file; expected {LAYOUT}")  # A device or pipe may never end.
        with zipfile.ZipFile(path) as archive:
            present = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
            found = [name for name in wanted if name in present]
            for name in found:
                _check_header(archive, present[name], f"{path}: {name}")
        with np.load(path, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in found}
    except FileNotFoundError:
        guess = nearest(str(path), NAMES)
        hint = f"; did you mean {guess!r}?" if guess else ""
        raise DataError(
            f"dataset {str(path)!r}: neither a built-in dataset ({', '.join(NAMES)}) nor a file{hint}"
        ) from None
    except IsADirectoryError:
        raise DataError(f"dataset {str(path)!r} is a folder; expected {LAYOUT}") from None
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}") from None
    except DataError:
        raise
    except Exception as error:  # Whatever zipfile, zlib or numpy say of a hostile file, it is the file's fault.
        raise DataError(f"{path}: {_reason(error)}; expected {LAYOUT}") from None


def _reason(error: Exception) -> str:
    """Why a file cannot be read as npz, in words of ours."""
    if isinstance(error, zipfile.BadZipFile):
        whole = "CRC" not in str(error)
        return "damaged, or not an npz file" if whole else "damaged: its checksum is not that of its content"
    if isinstance(error, EOFError | zlib.error | lzma.LZMAError):
        return "damaged: an array in it cannot be unpacked"
    if isinstance(error, NotImplementedError):
        return "packed in a way that is not read; save it with numpy.savez"
    if "password" in str(error) or "encrypted" in str(error):
        return "locked with a password"
    if isinstance(error, MemoryError):
        return "larger than this machine's memory"
    return "damaged: an array in it cannot be read"


def _check_header(archive: zipfile.ZipFile, info: zipfile.ZipInfo, where: str) -> None:
    with archive.open(info) as member:
        version = np.lib.format.read_magic(member)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = read(member)
    if dtype.hasobject:
        raise DataError(f"{where} holds Python objects, which are never loaded; save plain numbers")
    declared = int(np.prod([int(n) for n in shape], dtype=object)) * dtype.itemsize if shape else dtype.itemsize
    if declared > MAX_BYTES:
        raise DataError(f"{where} declares {declared:,} bytes; the limit is {MAX_BYTES:,}")
    if declared > info.file_size:
        raise DataError(f"{where} declares {declared:,} bytes, but only {info.file_size:,} are there")


def as_images(x: np.ndarray[Any, Any], where: str, notes: list[str]) -> Images:
    """An array of uint8 images in any of the layouts, as (N, C, H, W); what had to be rearranged goes into `notes`."""
    if x.dtype != np.uint8:
        raise DataError(
            f"{where} is {x.dtype}; expected uint8, 0 .. 255 (for 0 .. 1: (255 * x).round().astype('uint8'))"
        )
    given = x.shape
    if x.ndim == 3:
        x = x[:, None]
    elif x.ndim == 4 and x.shape[1] not in (1, 3) and x.shape[3] in (1, 3):
        x = x.transpose(0, 3, 1, 2)
        notes.append("read as N x H x W x C (channels last)")
    if x.ndim != 4 or x.shape[1] not in (1, 3) or x.shape[2] != x.shape[3]:
        raise DataError(
            f"{where} has shape {given}; expected N x H x W, N x C x H x W or N x H x W x C, H = W, C 1 or 3"
        )
    if len(x) == 0 or x.shape[2] == 0:
        raise DataError(f"{where} has shape {x.shape}: no images")
    return np.ascontiguousarray(x)


def _labels(y: np.ndarray[Any, Any] | None, n: int, where: str) -> Labels | None:
    if y is None:
        return None
    if y.shape != (n,):
        raise DataError(f"{where} has shape {y.shape}; expected ({n},), one label per image")
    if y.dtype.kind not in "iu":
        raise DataError(f"{where} is {y.dtype}; expected integers 0 .. K-1")
    bad = np.flatnonzero((y < 0) | (y >= 1000))
    if len(bad):
        raise DataError(f"{where}[{bad[0]}] is {y[bad[0]]}; expected 0 .. K-1, K at most 1000")
    return y.astype(np.int64)


def _class_names(names: np.ndarray[Any, Any] | None, at_least: int, where: str) -> tuple[str, ...]:
    if names is None:
        return tuple(str(k) for k in range(at_least))
    if names.ndim != 1 or names.dtype.kind != "U" or len(names) < at_least:
        raise DataError(f"{where}: expected at least {at_least} strings, got shape {names.shape} of {names.dtype}")
    found = tuple(str(name) for name in names)
    bad = next((name for name in found if not name.isprintable() or not name.strip()), None)
    if bad is not None:
        raise DataError(f"{where}: {bad!r} is not a name that can be printed")
    if len(set(found)) < len(found):
        raise DataError(f"{where}: a name appears twice")
    return found


def _has_test(name: str) -> bool:
    return "x_test" in read_arrays(name, ("x_test",))


SOURCE = Source(claims=lambda name: True, load=load_npz, has_test=_has_test)
