"""The same few images, written as every kind of source that genlab reads."""

from __future__ import annotations

import csv
import gzip
import io
import json
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SORTED = ("Moon", "digit_1", "digit_2", "digit_10", "kite")
"""Class names in natural order."""


@dataclass(frozen=True)
class Made:
    """Images (N, 8, 8) and labels 0 .. 4 of two splits, each sorted by class, as folders hold them."""

    x: NDArray[np.uint8]
    y: NDArray[np.int64]
    x_test: NDArray[np.uint8]
    y_test: NDArray[np.int64]


@cache
def made(train: int = 12, test: int = 3, side: int = 8) -> Made:
    """Two splits with `train` and `test` images per class, of random pixels."""
    random = np.random.default_rng(5)
    x, x_test = (random.integers(0, 256, (5 * n, side, side), np.uint8) for n in (train, test))
    return Made(x, np.repeat(np.arange(5), train), x_test, np.repeat(np.arange(5), test))


def png(image: NDArray[np.uint8]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image if image.ndim == 2 else image.transpose(1, 2, 0)).save(buffer, "PNG")
    return buffer.getvalue()


def files(x: NDArray[np.uint8], y: NDArray[np.int64], prefix: str = "") -> Iterator[tuple[str, bytes]]:
    """Pictures in one folder per class; their numbers have no leading zeros, and they are not in order."""
    for k in reversed(range(len(x))):
        yield f"{prefix}{SORTED[y[k]]}/{k}.png", png(x[k])


def both(of: Made, prefix: str = "") -> Iterator[tuple[str, bytes]]:
    yield from files(of.x, of.y, f"{prefix}train/")
    yield from files(of.x_test, of.y_test, f"{prefix}test/")


def folder(where: Path, content: Iterator[tuple[str, bytes]]) -> Path:
    for name, data in content:
        (where / name).parent.mkdir(parents=True, exist_ok=True)
        (where / name).write_bytes(data)
    return where


def zipped(where: Path, content: Iterator[tuple[str, bytes]]) -> Path:
    with zipfile.ZipFile(where, "w") as archive:
        for name, data in content:
            archive.writestr(name, data)
    return where


def tarred(where: Path, content: Iterator[tuple[str, bytes]], mode: str = "w") -> Path:
    with tarfile.open(where, mode) as archive:  # type: ignore[call-overload]
        for name, data in content:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return where


def idx(array: NDArray[Any]) -> bytes:
    """Content of an IDX file."""
    codes = {"uint8": 8, "int8": 9, ">i2": 0x0B, ">i4": 0x0C, ">f4": 0x0D, ">f8": 0x0E}
    code = codes[array.dtype.name if array.dtype.itemsize == 1 else array.dtype.str]
    return bytes([0, 0, code, array.ndim]) + np.array(array.shape, ">u4").tobytes() + array.tobytes()


def idx_files(of: Made, ending: str = "") -> Iterator[tuple[str, bytes]]:
    packed: Callable[[bytes], bytes] = gzip.compress if ending else lambda content: content
    for split, x, y in (("train", of.x, of.y), ("t10k", of.x_test, of.y_test)):
        yield f"{split}-images-idx3-ubyte{ending}", packed(idx(x))
        yield f"{split}-labels-idx1-ubyte{ending}", packed(idx(y.astype(np.uint8)))


def table(x: NDArray[np.uint8], y: NDArray[np.int64], header: bool) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text)
    if header:
        writer.writerow(["label", *(f"pixel{k}" for k in range(x[0].size))])
    writer.writerows([int(label), *map(int, image.ravel())] for image, label in zip(x, y, strict=True))
    return text.getvalue().encode()


def tables(of: Made, header: bool = True, ending: str = "") -> Iterator[tuple[str, bytes]]:
    packed: Callable[[bytes], bytes] = gzip.compress if ending else lambda content: content
    yield f"own_train.csv{ending}", packed(table(of.x, of.y, header))
    yield f"own_test.csv{ending}", packed(table(of.x_test, of.y_test, header))


def parquet(where: Path, x: NDArray[np.uint8], y: NDArray[np.int64], names: tuple[str, ...] | None = SORTED) -> Path:
    """Write a Parquet file as dataset hubs publish them."""
    import pyarrow
    from pyarrow import parquet as writer

    pictures = pyarrow.array(
        [{"bytes": png(image), "path": f"{k}.png"} for k, image in enumerate(x)],
        pyarrow.struct([("bytes", pyarrow.binary()), ("path", pyarrow.string())]),
    )
    made = pyarrow.table({"image": pictures, "label": pyarrow.array(y, pyarrow.int64())})
    if names is not None:
        told = {"info": {"features": {"label": {"names": list(names), "_type": "ClassLabel"}}}}
        made = made.replace_schema_metadata({"huggingface": json.dumps(told)})
    where.parent.mkdir(parents=True, exist_ok=True)
    writer.write_table(made, where)
    return where


def parquets(where: Path, of: Made) -> Path:
    """Write a folder with two Parquet files of training images, and one of test images."""
    half = len(of.x) // 2
    parquet(where / "train-00000-of-00002.parquet", of.x[:half], of.y[:half])
    parquet(where / "train-00001-of-00002.parquet", of.x[half:], of.y[half:])
    parquet(where / "test-00000-of-00001.parquet", of.x_test, of.y_test)
    return where


def medmnist(where: Path, of: Made) -> Path:
    """Write an npz file with MedMNIST's keys, labels (N, 1), and a validation split too."""
    np.savez(
        where,
        train_images=of.x,
        train_labels=of.y[:, None].astype(np.uint8),
        val_images=of.x[:5],
        val_labels=of.y[:5, None],
        test_images=of.x_test,
        test_labels=of.y_test[:, None],
    )
    return where


def saved(where: Path, **arrays: Any) -> Path:
    np.savez(where, **arrays)
    return where


def named(of: Made) -> dict[str, Any]:
    return {"x_train": of.x, "y_train": of.y, "x_test": of.x_test, "y_test": of.y_test}


SOURCES: dict[str, Callable[[Path, Made], Path]] = {
    "folder": lambda at, of: folder(at / "own", both(of)),
    "folder around": lambda at, of: folder(at / "own", both(of, "data/inner/")),
    "zip": lambda at, of: zipped(at / "own.zip", both(of)),
    "zip with a folder around": lambda at, of: zipped(at / "own.zip", both(of, "own/")),
    "tar": lambda at, of: tarred(at / "own.tar", both(of)),
    "tar.gz": lambda at, of: tarred(at / "own.tar.gz", both(of), "w:gz"),
    "tar.xz": lambda at, of: tarred(at / "own.tar.xz", both(of), "w:xz"),
    "npz": lambda at, of: saved(at / "own.npz", **named(of)),
    "npz with names": lambda at, of: saved(at / "own.npz", **named(of), class_names=np.array(SORTED)),
    "npz of MedMNIST": lambda at, of: medmnist(at / "own.npz", of),
    "npz without its name": lambda at, of: saved(at / "own.npz", **named(of)).rename(at / "own.data"),
    "IDX": lambda at, of: folder(at / "own", idx_files(of)),
    "IDX, one file given": lambda at, of: folder(at / "own", idx_files(of)) / "train-images-idx3-ubyte",
    "IDX, packed": lambda at, of: folder(at / "own", idx_files(of, ".gz")),
    "IDX in a zip": lambda at, of: zipped(at / "own.zip", idx_files(of)),
    "CSV": lambda at, of: folder(at / "own", tables(of)),
    "CSV, one file given": lambda at, of: folder(at / "own", tables(of)) / "own_train.csv",
    "CSV without header": lambda at, of: folder(at / "own", tables(of, header=False)),
    "CSV, packed": lambda at, of: folder(at / "own", tables(of, ending=".gz")),
    "CSV in a zip": lambda at, of: zipped(at / "own.zip", tables(of)),
    "Parquet": lambda at, of: parquets(at / "own", of),
    "Parquet, one file given": lambda at, of: parquets(at / "own", of) / "train-00001-of-00002.parquet",
}
"""Kind -> function (folder, images) that writes a source and returns its path; all sources have both splits."""
NUMBERED = ("npz", "npz of MedMNIST", "npz without its name")
WITH_NAMES = tuple(kind for kind in SOURCES if not kind.startswith(("IDX", "CSV")) and kind not in NUMBERED)
"""Kinds that keep class names; the others have numbers."""
