"""D: data that is empty, damaged, hostile or changing, from every kind of source: one message, exit code 3, nothing
left behind, and never a silently wrong dataset."""

from __future__ import annotations

import errno
import gzip
import json
import os
import resource
import shlex
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any

import lab
import numpy as np
import pytest
from disk import Call, Disk
from hypothesis import given, settings
from hypothesis import strategies as st

import genlab
import writers
from genlab import data
from genlab.cli import main
from genlab.data import checking, importing
from genlab.data.folder import read_images
from genlab.data.sources import folders, table, tree
from genlab.errors import DataError, GenlabError, StorageError
from writers import made

Told = Callable[..., tuple[int, str]]
IMAGE = made().x[0]


@pytest.fixture
def told(capsys: pytest.CaptureFixture[str]) -> Told:
    """told(*arguments) -> exit code and message of a command that fails."""

    def tell(*arguments: str | Path) -> tuple[int, str]:
        with pytest.raises(SystemExit) as caught:
            main.main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        assert out == ""
        assert "Traceback" not in err
        assert "a bug in genlab" not in err
        assert err.startswith("genlab: ")
        lab.count("sources refused")
        return int(str(caught.value.code)), err

    return tell


def refused(told: Told, path: Path | str, *words: str, options: tuple[str, ...] = ()) -> str:
    """Check that import (in these words) and training refuse a path and leave no files; return the import's message."""
    folder = Path(path).parent
    before = sorted(folder.rglob("*")) if folder.name != "" else []
    code, said = told("data", "import", path, "-o", folder / "made.npz", *options)
    assert code == 3, said
    assert all(word in said for word in words), said
    if not options:
        code, trained = told("train", "s2-dcgan", "--data.name", path, "--runs", folder / "runs")
        assert code == 3, trained
    assert sorted(folder.rglob("*")) == before
    return said


EMPTY: dict[str, tuple[Callable[[Path], Path], str]] = {
    "folder": (lambda at: writers.folder(at / "own" / "sub", iter(())), "no pictures in it (it is empty)"),
    "folder of hidden files": (
        lambda at: writers.folder(at / "own", iter([(".a.png", b""), ("__MACOSX/a.png", b""), ("Thumbs.db", b"")])),
        "no pictures in it (only hidden files)",
    ),
    "folder of other files": (
        lambda at: writers.folder(at / "own", iter([("a.doc", b"x"), ("b.mp3", b"x")])),
        "no pictures in it (files: a.doc, b.mp3)",
    ),
    "zip": (lambda at: writers.zipped(at / "own.zip", iter(())), "no pictures in it (it is empty)"),
    "tar": (lambda at: writers.tarred(at / "own.tar", iter([(".a.png", b"")])), "no pictures in it (only hidden"),
    "file": (lambda at: writers.folder(at, iter([("own.csv", b"")])) / "own.csv", "empty; expected a folder of"),
    "npz": (lambda at: writers.saved(at / "own.npz"), "no array x_train; expected an npz file"),
    "IDX": (
        lambda at: writers.folder(at / "own", iter([("train-images-idx3-ubyte", writers.idx(made().x[:0]))])),
        "no images",
    ),
    "CSV of names": (
        lambda at: writers.folder(at, iter([("own.csv", b"label,a,b,c,d\n")])) / "own.csv",
        "no images, only a header line",
    ),
    "Parquet": (lambda at: writers.parquet(at / "own.parquet", made().x[:0], made().y[:0]), "no images in it"),
}


@pytest.mark.parametrize("kind", EMPTY)
def test_nothing_in_it(kind: str, tmp_path: Path, told: Told) -> None:
    """D1: a source without images is refused."""
    make, words = EMPTY[kind]
    (tmp_path / "own").mkdir()
    path = make(tmp_path)
    refused(told, tmp_path / "own" if kind == "folder" else path, words)


def packed(kind: str, where: Path, content: list[tuple[str, bytes]]) -> Path:
    """Pack the files into a folder, a zip or a tar archive."""
    make: dict[str, Callable[[], Path]] = {
        "folder": lambda: writers.folder(where / "own", iter(content)),
        "zip": lambda: writers.zipped(where / "own.zip", iter(content)),
        "tar": lambda: writers.tarred(where / "own.tar", iter(content)),
    }
    return make[kind]()


PACKS = ("folder", "zip", "tar")


@pytest.mark.parametrize("kind", PACKS)
def test_several_sizes_and_modes(kind: str, tmp_path: Path, told: Told) -> None:
    """D2: mixed sizes are refused with counts and an example of the rarest; --fit accepts them and records counts."""
    colour = np.dstack([IMAGE, IMAGE // 2, IMAGE // 3])
    files = [(f"{k}.png", writers.png(IMAGE)) for k in range(5)]
    files += [("tall.png", writers.png(IMAGE[:, :6])), ("colour.png", writers.png(colour.transpose(2, 0, 1)))]
    path = packed(kind, tmp_path, files)
    refused(told, path, "pictures of several sizes (6 of 8 x 8, 1 of 6 x 8", "--size 32 --fit pad (or --fit crop")
    _, said = told("train", "s2-dcgan", "--data.name", path, "--runs", tmp_path / "runs")
    assert "tall.png has the rarest size" in said
    found = genlab.import_images(path, tmp_path / "own.npz", size=8, fit="pad", split=0)
    assert found.record["sizes"] == {"8 x 8": 6, "6 x 8": 1}
    assert data.load(str(tmp_path / "own.npz")).channels == 3


def huge(width: int, height: int) -> bytes:
    """A small PNG file that declares width x height pixels."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    squeezed = zlib.compress(bytes(2**20))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", squeezed) + chunk(b"IEND", b"")


BAD = {
    "cut.png": (writers.png(IMAGE)[:60], "damaged, or cut off"),
    "empty.jpg": (b"", "empty"),
    "text.png": (b"hello", "damaged, or not a picture"),
    "page.PNG": (b"<html></html>", "damaged, or not a picture"),
    "drawing.svg": (b"<svg/>", "unsupported picture format; save it as PNG"),
    "program.eps": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n", "unsupported picture format"),
    "program.png": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n", "damaged, or not a picture"),
    "bomb.png": (huge(30_000, 30_000), "more than 64,000,000"),
    "wide.png": (huge(2**31 - 1, 2), "more than 64,000,000"),
    "none.png": (huge(0, 5), "damaged"),
    "pickle.png": (b"\x80\x04N.", "damaged, or not a picture"),
    "bomb.gif": (b"GIF89a" + struct.pack("<HH", 60_000, 60_000) + bytes(9), "damaged, or not a picture"),
}


@pytest.mark.parametrize("kind", PACKS)
@pytest.mark.parametrize("name", BAD)
def test_a_bad_picture(kind: str, name: str, tmp_path: Path, told: Told) -> None:
    """D3: a bad picture is named, with what to do about it; with --skip-bad it is counted."""
    content, words = BAD[name]
    path = packed(kind, tmp_path, [*writers.files(made().x, made().y), (f"kite/{name}", content)])
    said = refused(told, path, f"kite/{name}: ", words)
    assert "--skip-bad leaves it out" in said
    found = genlab.import_images(path, tmp_path / "own.npz", skip_bad=True, split=0)
    assert found.record["skipped"]["count"] == 1
    assert words in found.record["skipped"]["first"][f"kite/{name}"]
    assert len(data.load(str(tmp_path / "own.npz"))) == 60


def bounded(act: Callable[..., None], *arguments: Any, more: int = 2**29) -> int:
    """Exit code of `act` in a forked process that may take at most `more` bytes beyond what it has."""
    child = os.fork()
    if child == 0:
        code = 99
        try:
            pages = int(Path("/proc/self/statm").read_text().split()[0])
            resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + more,) * 2)
            act(*arguments)
        except GenlabError as error:
            code = error.exit_code
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def load(path: Path) -> None:
    data.load(str(path))


def test_bombs_take_no_memory(tmp_path: Path) -> None:
    """D3, D11: decompression bombs are refused within half a gigabyte of memory."""
    folder = writers.folder(tmp_path / "pictures", iter([("a/bomb.png", BAD["bomb.png"][0])]))
    line = b"1,2,3,4," * 2**17
    with gzip.open(tmp_path / "line.csv.gz", "wb", compresslevel=1) as file:
        for _ in range(40):
            file.write(line)
    with gzip.open(tmp_path / "idx.gz", "wb", compresslevel=1) as file:
        file.write(b"\0\0\x08\x03" + struct.pack(">III", 2**21, 32, 32) + bytes(1000))
    (tmp_path / "declared.npy").write_bytes(
        b"\x93NUMPY\x01\x00v\x00"
        + b"{'descr': '|u1', 'fortran_order': False, 'shape': (99999999999, 8, 8), }".ljust(117)
        + b"\n"
    )
    for path in (folder, tmp_path / "line.csv.gz", tmp_path / "idx.gz", tmp_path / "declared.npy"):
        assert bounded(load, path) == 3, path


X, Y = made().x, made().y
NPZ: dict[str, tuple[dict[str, Any], str, str | None]] = {
    "float64 0..1": ({"x_train": X / 255}, "float64 with values 0 .. 1", "0..1"),
    "float32 -1..1": ({"x_train": (X / 127.5 - 1).astype(np.float32)}, "float32 with values -1 .. 1", "-1..1"),
    "int64": ({"x_train": X.astype(np.int64)}, "int64 with values 0 .. 255", "0..255"),
    "big-endian": ({"x_train": X.astype(">i4")}, ">i4 with values 0 .. 255", "0..255"),
    "bool": ({"x_train": X > 99}, "bool with values 0 .. 1", "0..1"),
    "uint8 0..1": ({"x_train": X // 128}, "with values 0 .. 1", "0..1"),
    "NaN": ({"x_train": np.where(X == 7, np.nan, X)}, "NaN", None),
    "objects": ({"x_train": np.array([{}, 1], object)}, "Python objects, which are never loaded", None),
    "strings": ({"x_train": np.full((4, 8, 8), "a")}, "is <U1; expected numbers", None),
    "complex": ({"x_train": X * 1j}, "is complex128; expected numbers", None),
    "dates": ({"x_train": X.astype("m8[s]")}, "is timedelta64[s]; expected numbers", None),
    "records": ({"x_train": np.zeros((4, 8, 8), [("a", "u1")])}, "expected numbers", None),
    "a scalar": ({"x_train": np.uint8(3)}, "has shape (); expected N x H x W", None),
    "no images": ({"x_train": X[:0], "y_train": Y[:0], "class_names": np.array(["a"])}, "no images", None),
    "rank 1": ({"x_train": X.ravel()}, "has shape (3840,); expected", None),
    "rank 5": ({"x_train": X[None, None]}, "has shape (1, 1, 60, 8, 8)", None),
    "two channels": ({"x_train": np.stack([X, X], 1)}, "C 1 or 3", None),
    "lengths": ({"x_train": X, "y_train": Y[:5]}, "y_train has shape (5,); expected (60,)", None),
    "test lengths": ({"x_train": X, "y_train": Y, "x_test": X, "y_test": Y[:5]}, "y_test has shape (5,)", None),
    "a missing key": ({"pixels": X, "y_train": Y}, "no array x_train; found pixels (uint8, 60 x 8 x 8)", None),
    "negative labels": ({"x_train": X, "y_train": Y - 1}, "y_train[0] is -1; expected 0 .. K-1, or names", None),
    "float labels": ({"x_train": X, "y_train": Y * 1.0}, "y_train is float64; expected integers", None),
    "NaN labels": ({"x_train": X, "y_train": Y * np.nan}, "y_train is float64", None),
    "huge labels": ({"x_train": X, "y_train": Y.astype(np.uint64) + 2**63}, "y_train[0] is 9223372036854775808", None),
    "a label": ({"x_train": X, "y_train": np.int64(3)}, "y_train has shape ()", None),
    "one-hot labels": ({"x_train": X, "y_train": np.eye(5)[Y]}, "one-hot labels: save y.argmax(1)", None),
    "a newline in a label": (
        {"x_train": X, "y_train": np.array(["a", "b\nc"])[Y % 2]},
        r"'b\nc', which is not a",
        None,
    ),
    "names that are too few": (
        {"x_train": X, "y_train": Y, "class_names": np.array(["a"])},
        "at least 5 strings",
        None,
    ),
    "names that are numbers": ({"x_train": X, "y_train": Y, "class_names": np.arange(5)}, "at least 5 strings", None),
    "a class of the test split": ({"x_train": X, "y_train": Y, "x_test": X, "y_test": Y + 1}, "y_test[48] is 5", None),
}


@pytest.mark.parametrize("case", NPZ)
def test_bad_arrays(case: str, tmp_path: Path, told: Told) -> None:
    """D4, D5: bad arrays are refused by training and import, and never rescaled without --range."""
    arrays, words, between = NPZ[case]
    path = writers.saved(tmp_path / "own.npz", **arrays)
    code, said = told("data", "import", path, "-o", tmp_path / "made.npz")
    assert code == 3
    assert words in said
    assert str(path) in said
    assert said.count("\n") == 1
    with pytest.raises(DataError):
        data.load(str(path), "test" if "test" in case else "train")
    if between is None:
        refused(told, path, options=("--range", "0..255"))
    else:
        assert f"--range {between}" in said
        genlab.import_images(path, tmp_path / "made.npz", range=between)
        assert data.load(str(tmp_path / "made.npz")).images.max() == 255


def test_odd_layouts_are_taken_and_said(tmp_path: Path) -> None:
    """D4: Fortran order, channels last and rows of pixels are noted; D5: missing classes, one class and names, too."""
    colour = np.stack([X, X // 2, 255 - X], 3)
    cases: dict[str, tuple[dict[str, Any], str]] = {
        "fortran": ({"x_train": np.asfortranarray(colour)}, "read as N x H x W x C (channels last)"),
        "rows": ({"x_train": X.reshape(60, 64)}, "each row read as 1 x 8 x 8 pixels"),
        "gaps": ({"x_train": X, "y_train": Y * 3}, "labels are 0, 3, 6, 9, 12: taken as the names of 5 classes"),
        "names": (
            {"x_train": X, "y_train": Y, "class_names": np.array([*"abcdef"])},
            "classes without a training image: f",
        ),
        "one": ({"x_train": X, "y_train": Y * 0}, "a single class: class metrics are meaningless"),
    }
    for name, (arrays, note) in cases.items():
        found = data.load(str(writers.saved(tmp_path / f"{name}.npz", **arrays)))
        assert note in found.notes
        assert (found.images[:, 0] == X).all()


def test_bad_labels_of_other_sources(tmp_path: Path, told: Told) -> None:
    """D5: bad labels in tables, Parquet files, IDX files and folders are refused."""
    of = made()
    (tmp_path / "own.csv").write_bytes(writers.table(of.x, of.y - 1, header=True))
    refused(told, tmp_path / "own.csv", "labels[0] is -1")
    (tmp_path / "large.csv").write_bytes(b"label,a,b,c,d\n" + b"9" * 40 + b",1,2,3,40\n")
    assert data.load(str(tmp_path / "large.csv")).class_names == ("9" * 40,)
    writers.parquet(tmp_path / "own.parquet", of.x, of.y - 1)
    refused(told, tmp_path / "own.parquet", "label[0] is -1")
    writers.parquet(tmp_path / "few.parquet", of.x, of.y, ("a", "b"))
    refused(told, tmp_path / "few.parquet", "class names in the metadata: expected at least 5 strings, got shape (2,)")
    (tmp_path / "train-images-idx3-ubyte").write_bytes(writers.idx(of.x))
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(writers.idx(of.y[:9].astype(np.uint8)))
    refused(told, tmp_path / "train-images-idx3-ubyte", "train-labels-idx1-ubyte has shape (9,); expected (60,)")
    strange = [*writers.both(of), ("test/whale/a.png", writers.png(of.x[0]))]
    writers.folder(tmp_path / "strange", iter(strange))
    refused(told, tmp_path / "strange", "the test split has a class 'whale' that the training split lacks")
    stray = [*writers.files(of.x, of.y), *((f"{k}.png", writers.png(image)) for k, image in enumerate(of.x))]
    writers.folder(tmp_path / "stray", iter(stray))
    refused(told, tmp_path / "stray", "60 of 120 pictures are next to the folders Moon, digit_1, digit_2 and 2 more")


@pytest.mark.parametrize("kind", ["constant", "all the same"])
def test_images_without_variety(kind: str, tmp_path: Path) -> None:
    """D7: pictures without variety can be trained on, too, and no metric is NaN."""
    random = np.random.default_rng(0).integers(0, 256, (28, 28), np.uint8)
    image = np.zeros((28, 28), np.uint8) if kind == "constant" else random
    folder = writers.folder(tmp_path / "own", ((f"{k % 2}/{k}.png", writers.png(image)) for k in range(40)))
    genlab.import_images(folder, tmp_path / "own.npz")
    for name in (folder, tmp_path / "own.npz"):
        changes = {**lab.BASE, **lab.NARROW, "data.name": str(name), "budget.max_steps": 1}
        constant = pytest.warns(UserWarning, match="all pixels of the training images have the same value")
        with constant if kind == "constant" else nullcontext():
            run = genlab.train("quick-mnist", overrides=changes, runs=tmp_path / "runs", report=False, progress=False)
        json.dumps(run.evaluate(n=20).record, allow_nan=False)


def linked(where: Path, kind: bytes, name: str = "a/link.png", target: str = "/etc/passwd") -> Path:
    """A tar archive with an entry that is not a regular file."""
    with tarfile.open(where, "w") as archive:
        info = tarfile.TarInfo(name)
        info.type, info.linkname = kind, target
        archive.addfile(info)
    return where


def zip_with_mode(where: Path, mode: int) -> Path:
    with zipfile.ZipFile(where, "w") as archive:
        info = zipfile.ZipInfo("a/link.png")
        info.external_attr = mode << 16
        archive.writestr(info, "/etc/passwd")
    return where


def named(where: Path, *names: str) -> Path:
    """An archive of pictures with these names."""
    content = ((name, writers.png(IMAGE)) for name in names)
    return (writers.zipped if where.suffix == ".zip" else writers.tarred)(where, content)


def patched(where: Path, old: bytes, new: bytes) -> Path:
    where.write_bytes(where.read_bytes().replace(old, new))
    return where


def bomb(where: Path) -> Path:
    """A zip archive of two megabytes of zeros, if one is allowed."""
    with zipfile.ZipFile(where, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/x.png", bytes(2_000_000))
    return where


def tar_bomb(where: Path) -> Path:
    return writers.tarred(where, iter([("a/x.png", bytes(2_000_000))]), "w:gz")


def twice(where: Path) -> Path:
    named(where, "a/x.png", "a/y.png")
    return patched(where, b"a/y.png", b"a/x.png")


def locked(where: Path) -> Path:
    """A zip archive with the password bit set in the table of contents and before the file."""
    named(where, "a/x.png")
    content = bytearray(where.read_bytes())
    content[content.index(b"PK\1\2") + 8] |= 1
    content[content.index(b"PK\3\4") + 6] |= 1
    where.write_bytes(content)
    return where


def overlong(where: Path) -> Path:
    """A zip archive whose table of contents gives a wrong file size."""
    named(where, "a/x.png")
    content = bytearray(where.read_bytes())
    at = content.index(b"PK\1\2") + 24
    content[at : at + 4] = struct.pack("<I", 5)
    where.write_bytes(content)
    return where


ARCHIVES: dict[str, tuple[Callable[[Path], Path], str]] = {
    "zip, out of it": (lambda at: named(at / "own.zip", "../../evil.png"), "leads out of the archive"),
    "tar, out of it": (lambda at: named(at / "own.tar", "a/../../evil.png"), "leads out of the archive"),
    "zip, absolute": (lambda at: named(at / "own.zip", "/tmp/evil.png"), "is not a valid name in an archive"),
    "tar, absolute": (lambda at: named(at / "own.tar", "/tmp/evil.png"), "is not a valid name in an archive"),
    "zip, a drive": (lambda at: named(at / "own.zip", "C:/evil.png"), "is not a valid name in an archive"),
    "tar, a drive": (lambda at: named(at / "own.tar", "C:evil.png"), "is not a valid name in an archive"),
    "tar, backslash": (lambda at: named(at / "own.tar", "a\\..\\evil.png"), "is not a valid name in an archive"),
    "zip, backslash": (
        lambda at: patched(named(at / "own.zip", "a/b_c.png"), b"a/b_c.png", b"a/b\\c.png"),
        "is not a valid name in an archive",
    ),
    "tar, symlink": (lambda at: linked(at / "own.tar", tarfile.SYMTYPE), "is a link or a device"),
    "tar, hardlink": (lambda at: linked(at / "own.tar", tarfile.LNKTYPE), "is a link or a device"),
    "tar, device": (lambda at: linked(at / "own.tar", tarfile.CHRTYPE), "is a link or a device"),
    "tar, pipe": (lambda at: linked(at / "own.tar", tarfile.FIFOTYPE), "is a link or a device"),
    "zip, symlink": (lambda at: zip_with_mode(at / "own.zip", 0o120777), "is a link or a device"),
    "zip, device": (lambda at: zip_with_mode(at / "own.zip", 0o020666), "is a link or a device"),
    "zip, twice": (lambda at: twice(at / "own.zip"), "is in it twice"),
    "tar, twice": (lambda at: named(at / "own.tar", "a/x.png", "a/x.png"), "is in it twice"),
    "tar, twice by another spelling": (lambda at: named(at / "own.tar", "a/x.png", "./a//x.png"), "is in it twice"),
    "zip, locked": (lambda at: locked(at / "own.zip"), "locked with a password"),
    "zip, another size": (lambda at: overlong(at / "own.zip"), "a/x.png: damaged in the archive"),
    "zip, a bomb": (lambda at: bomb(at / "own.zip"), "bytes that unpack to 2,000,000 or more"),
    "tar, a bomb": (lambda at: tar_bomb(at / "own.tar.gz"), "or more; it is not read"),
}


@pytest.mark.parametrize("kind", ARCHIVES)
def test_hostile_archives(kind: str, tmp_path: Path, told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    """D11: hostile archives give exit code 3; nothing is written outside the archive or left behind."""
    make, words = ARCHIVES[kind]
    monkeypatch.setattr(tree, "FREELY", 1_000_000)
    (tmp_path / "in").mkdir()
    path = make(tmp_path / "in")
    refused(told, path, words, str(path))
    assert [each.name for each in tmp_path.iterdir()] == ["in"]


def test_archives_of_very_many_files(tmp_path: Path, told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    """D11: a source may have at most a million files (here, ten)."""
    monkeypatch.setattr(tree, "MOST_FILES", 10)
    names = [f"a/{k}.png" for k in range(11)]
    for path in (named(tmp_path / "own.zip", *names), named(tmp_path / "own.tar", *names)):
        refused(told, path, "at most 10" if path.suffix == ".zip" else "more than 10 files")
    writers.folder(tmp_path / "own", ((name, b"") for name in names))
    refused(told, tmp_path / "own", "more than 10 files")
    monkeypatch.setattr(tree, "MOST_DIRECTORY", 100)
    refused(told, tmp_path / "own.zip", "its table of contents alone has")


@pytest.mark.slow
def test_a_zip_of_a_million_files(tmp_path: Path, told: Told) -> None:
    with zipfile.ZipFile(tmp_path / "own.zip", "w") as archive:
        for k in range(1_000_001):
            archive.writestr(f"a/{k}.png", b"")
    refused(told, tmp_path / "own.zip", "1,000,001 files; at most 1,000,000")


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz", "npz", "IDX", "IDX, packed", "CSV, packed", "Parquet"])
def test_sources_that_are_cut_off(kind: str, tmp_path: Path, told: Told) -> None:
    """D3, D11: a source is refused at whatever length it is cut off."""
    path = writers.SOURCES[kind](tmp_path, made())
    file = max(path.rglob("*-images*"), key=lambda each: each.stat().st_size) if kind.startswith("IDX") else path
    if file.is_dir():
        file = max(file.iterdir(), key=lambda each: each.stat().st_size)
    whole = file.read_bytes()
    for length in (len(whole) - (20_000 if kind == "tar" else 40), len(whole) // 2, 600, 30, 3):
        file.write_bytes(whole[:length])
        refused(told, path)


@pytest.mark.parametrize("kind", ["zip", "tar.gz", "npz", "IDX, packed", "CSV, packed", "CSV", "Parquet", "tar"])
def test_flipped_bytes(kind: str, tmp_path: Path) -> None:
    """Whatever bytes are changed, a source is read, or refused with a message."""
    path = writers.SOURCES[kind](tmp_path, made(2, 1))
    file = path if path.is_file() else max(path.iterdir(), key=lambda each: each.stat().st_size)
    whole = file.read_bytes()
    random = lab.shuffled(3)
    refusals = 0
    for _ in range(600 if lab.LONG else 60):
        content = bytearray(whole)
        for _ in range(random.randint(1, 4)):
            content[random.randrange(len(content))] = random.randrange(256)
        file.write_bytes(content)
        try:
            data.load(str(path))
        except DataError:
            refusals += 1
    assert refusals or kind in ("tar", "CSV")


def changing(patch: pytest.MonkeyPatch, act: Callable[[], None], after: int) -> None:
    """Call `act` when the import reaches picture number `after`."""
    image, seen = importing._image, [0]

    def acting(*arguments: Any) -> Any:
        seen[0] += 1
        if seen[0] == after:
            act()
        return image(*arguments)

    patch.setattr(importing, "_image", acting)


@pytest.mark.parametrize("change", ["gone", "written", "shorter"])
def test_a_picture_changes_during_the_import(
    change: str, tmp_path: Path, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    """D13: a picture that changes during the import is named, with exit code 3."""
    folder = writers.folder(tmp_path / "own", writers.files(made().x, made().y))
    last = folder / "kite" / "59.png"

    def act() -> None:
        if change == "gone":
            last.unlink()
        else:
            last.write_bytes(writers.png(255 - IMAGE) if change == "written" else b"")

    changing(monkeypatch, act, 20)
    code, said = told("data", "import", folder, "-o", tmp_path / "made.npz", "--split", "0")
    assert code == 3
    assert "kite/59.png: it " + ("no longer exists" if change == "gone" else "has changed since it was listed") in said
    assert sorted(each.name for each in tmp_path.iterdir()) == ["own"]


@pytest.mark.parametrize("kind", ["zip", "tar"])
@pytest.mark.parametrize("change", ["gone", "another", "no archive"])
def test_an_archive_changes_during_the_import(
    kind: str, change: str, tmp_path: Path, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    """D13: an archive that changes after its table of contents was read is named, with exit code 3."""
    path = packed(kind, tmp_path, list(writers.files(made().x, made().y)))
    other = packed(kind, writers.folder(tmp_path / "b", iter([("x", b"")])), list(writers.files(255 - X, Y)))
    decoded = folders.decoded_from

    def acting(*arguments: Any) -> Iterator[Any]:
        if not arguments[-1]:
            if change == "another":
                path.write_bytes(other.read_bytes())
            elif change == "gone":
                path.unlink()
            else:
                path.write_bytes(b"x" * 700)
        yield from decoded(*arguments)

    monkeypatch.setattr(folders, "decoded_from", acting)
    code, said = told("data", "import", path, "-o", tmp_path / "made.npz", "--split", "0")
    assert code == 3, said
    assert str(path) in said
    assert not list(tmp_path.glob("made*"))


@pytest.mark.parametrize("change", ["a pixel", "gone", "one more"])
def test_a_dataset_changes_between_training_and_evaluation(change: str, tmp_path: Path, told: Told) -> None:
    """D13: a changed dataset is refused, even if this process has read it before."""
    of = made(12, 3, 28)
    folder = writers.folder(tmp_path / "own", writers.both(of))
    changes = {**lab.BASE, **lab.NARROW, "data.name": str(folder), "budget.max_steps": 1}
    run = genlab.train("quick-mnist", overrides=changes, runs=tmp_path / "runs", report=False, progress=False)
    if change == "gone":
        folder.rename(tmp_path / "elsewhere")
    else:
        name = "0.png" if change == "a pixel" else "999.png"
        (folder / "train" / "Moon" / name).write_bytes(writers.png(255 - of.x[0]))
    code, said = told("evaluate", run.path, "-n", "20")
    assert code == 3
    assert str(folder) in said


def test_the_disk_fails_or_fills_up_during_an_import(tmp_path: Path) -> None:
    """A: whichever call fails, the message names the file; once the disk works, the import gives the same bytes."""
    folder = writers.folder(tmp_path / "own", writers.files(made(4).x, made(4).y))
    target = tmp_path / "out" / "made.npz"
    target.parent.mkdir()
    genlab.import_images(folder, tmp_path / "whole.npz")

    def traced(at: Callable[[int, Call], None] = lambda number, call: None) -> Disk:
        disk = Disk(target.parent, at)
        with pytest.MonkeyPatch.context() as patch:
            disk.watch(patch)
            genlab.import_images(folder, target)
        return disk

    total = len(traced().calls)
    assert total > 20
    for k in range(0, total, 1 if lab.LONG else 5):
        target.unlink(missing_ok=True)
        code = errno.ENOSPC if k % 2 else errno.EIO

        def fail(number: int, call: Call, k: int = k, code: int = code) -> None:
            if number == k:
                raise OSError(code, os.strerror(code), str(call.path))

        told = ""
        try:
            traced(fail)
        except StorageError as error:
            told = str(error)
        assert "made.npz" in told or (not told and target.exists())
        assert not target.exists() or target.read_bytes() == (tmp_path / "whole.npz").read_bytes()
        assert not list(target.parent.glob("*.tmp-*"))
        genlab.import_images(folder, target)
        assert target.read_bytes() == (tmp_path / "whole.npz").read_bytes()
        assert [each.name for each in target.parent.iterdir()] == ["made.npz"]


NAMES_OF_FOLDERS = (
    "photos.v2",
    "a folder",
    "it's",
    'say "x"',
    "$(touch canary)",
    "`touch canary`",
    "-o",
    "a;b",
    "ä",
    "*",
)


@pytest.mark.parametrize("name", NAMES_OF_FOLDERS)
def test_the_command_that_is_proposed_can_be_given(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A path with spaces, quotes, dollars or dashes is one word for a shell, and the command does what it says."""
    monkeypatch.chdir(tmp_path)
    writers.folder(Path(name), iter([("0/a.png", writers.png(IMAGE)), ("1/b.png", writers.png(IMAGE[:6]))]))
    with pytest.raises(DataError) as caught:
        data.load(name)
    command = str(caught.value).split("; ")[-1].split(" (or")[0]
    program, *arguments = shlex.split(command)
    assert program == "genlab"
    main.main(arguments)
    output = arguments[arguments.index("-o") + 1] if name != "-o" else arguments[4]
    assert len(data.load(output)) == 2
    assert not Path("canary").exists()


def test_names_that_no_terminal_should_get(tmp_path: Path, told: Told, capsys: pytest.CaptureFixture[str]) -> None:
    """Newlines, escapes and bytes that are not UTF-8 are refused in names of classes and escaped in names of files."""
    for name in (b"a\nb", b"\x1b[2J", b"\xff\xfe"):
        at = tmp_path / "x" / name.hex()
        folder = os.fsencode(at / "own")
        for kind in (name, b"fine"):
            os.makedirs(os.path.join(folder, kind))
            Path(os.fsdecode(os.path.join(folder, kind, b"a.png"))).write_bytes(writers.png(IMAGE))
        said = refused(told, at / "own", "is not a printable name")
        assert said.isprintable() or said.count("\n") == 1
        flat = at / "flat"
        flat.mkdir()
        for each, content in ((name + b".png", writers.png(IMAGE)), (name + b"2.png", b"x")):
            Path(os.fsdecode(os.path.join(os.fsencode(flat), each))).write_bytes(content)
        said = refused(told, flat, "damaged, or not a picture")
        assert "\x1b" not in said
        said.encode()
        found = genlab.import_images(flat, at / "made.npz", skip_bad=True, split=0)
        assert found.record["skipped"]["count"] == 1
        assert len(data.load(str(at / "made.npz"))) == 1
        main.main(["data", "import", str(flat), "-o", str(at / "again.npz"), "--skip-bad", "--split", "0"])
        assert "\x1b" not in capsys.readouterr().out


def test_folders_that_lead_in_circles_and_links_to_nowhere(tmp_path: Path, told: Told) -> None:
    folder = writers.folder(tmp_path / "own", writers.files(made().x, made().y))
    (folder / "kite" / "again").symlink_to(folder)
    (folder / "itself").symlink_to(folder / "itself")
    assert len(data.load(str(folder))) == 60
    (folder / "kite" / "nowhere.png").symlink_to(tmp_path / "nowhere")
    os.mkfifo(folder / "kite" / "pipe.png")
    refused(told, folder, "kite/nowhere.png: it no longer exists; --skip-bad leaves it out")
    assert genlab.import_images(folder, tmp_path / "made.npz", skip_bad=True).record["skipped"]["count"] == 1
    os.mkfifo(tmp_path / "pipe")
    refused(told, tmp_path / "pipe", "not a file; expected")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    code, said = told("data", "import", tmp_path / "loop", "-o", tmp_path / "x.npz")
    assert code == 3
    assert "loop" in said
    code, said = told("data", "import", "~nosuchperson/own", "-o", tmp_path / "x.npz")
    assert code == 3


def test_files_that_may_not_be_read(tmp_path: Path, told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = writers.folder(tmp_path / "own", writers.files(made().x, made().y))
    opened = Path.open

    def forbidding(path: Path, *arguments: Any, **options: Any) -> Any:
        if path.name in ("13.png", "own.zip"):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return opened(path, *arguments, **options)

    writers.zipped(tmp_path / "own.zip", writers.files(made().x, made().y))
    monkeypatch.setattr(Path, "open", forbidding)
    refused(told, folder, "digit_1/13.png: Permission denied; --skip-bad leaves it out")
    refused(told, tmp_path / "own.zip", "own.zip: Permission denied")
    scanned = os.scandir

    def closed(path: Any = ".") -> Any:
        if Path(path).name == "kite":
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return scanned(path)

    with monkeypatch.context() as patch:
        patch.setattr(os, "scandir", closed)
        code, said = told("data", "import", folder, "-o", tmp_path / "made.npz")
    assert (code, "kite: Permission denied" in said) == (3, True)


TABLES: dict[str, tuple[bytes, str]] = {
    "a short line": (b"9,2,7,4,50\n1,2,3,4\n", "line 2 has 4 values, the others 5"),
    "a long line": (b"9,2,7,4,50\n9,2,7,4,50,6\n", "line 2 has 6 values, the others 5"),
    "a word": (b"9,2,7,4,50\n\n1,2,x,4,5\n", "line 3 has 'x' where a pixel should be"),
    "a gap": (b"9,2,7,4,50\n1,2,,4,5\n", "line 2 has '' where a pixel should be"),
    "NaN": (b"9,2,7,4,50\n1,2,nan,4,5\n", "with NaN or infinity (first in [1])"),
    "beyond 255": (b"9,2,7,4,50\n1,2,256,4,5\n", "float32 with values 2 .. 256"),
    "floats": (b"1,.5,.5,.5,.5\n1,.2,.2,1,.5\n", "float32 with values 0.2 .. 1"),
    "no square": (b"9,2,7,4,50,6,7\n9,2,7,4,50,6,7\n", "7 columns of pixels, which is not a square image"),
    "an open quote": (b'9,2,7,4,50\n"9,2,7,4,50\n', "line 2 has 1 values, the others 5"),
    "NUL": (b"9,2,7,4,50\n1,2,\x003,4,5\n", "line 2"),
    "no UTF-8": (b"9,2,7,4,50\n" * 90 + b"x\xff,2,3,4,5\n", "not UTF-8 text"),
    "a number with a line in it": (b"9,2,7,4,500\n1,2,3_1,4,5\n", "lines 1 to 2 cannot be read as numbers"),
    "cut off": (gzip.compress(b"9,2,7,4,50\n" * 9)[:-9], "damaged, or cut off"),
    "dark": (b"9,2,7,4,5\n3,2,7,4,5\n", "uint8 with values 2 .. 7"),
}


@pytest.mark.parametrize("case", TABLES)
def test_bad_tables(case: str, tmp_path: Path, told: Told) -> None:
    content, words = TABLES[case]
    (tmp_path / "own.csv").write_bytes(content)
    said = refused(told, tmp_path / "own.csv", words)
    assert "own.csv" in said


IDX: dict[str, tuple[bytes, str]] = {
    "no magic": (b"\1\0\x08\x03" + bytes(40), "unknown kind of file"),
    "type": (b"\0\0\x07\x03" + bytes(40), "unknown kind of file"),
    "rank 0": (b"\0\0\x08\x00" + bytes(40), "unknown kind of file"),
    "rank 200": (b"\0\0\x08\xc8" + bytes(40), "unknown kind of file"),
    "dimensions of 0": (b"\0\0\x08\x03" + struct.pack(">III", 5, 0, 0), "no images"),
    "dimensions of 2^32": (b"\0\0\x08\x03" + struct.pack(">III", *[2**32 - 1] * 3) + bytes(9), "cut off or damaged"),
    "no dimensions": (b"\0\0\x08\x03" + bytes(6), "cut off or damaged"),
    "one byte more": (writers.idx(made().x) + b"\0", "cut off or damaged: 3,841 bytes of data, 3,840 declared"),
    "floats": (writers.idx(made().x.astype(">f4")), ">f4 with values 0 .. 255"),
    "signed": (writers.idx((made().x // 2).astype(np.int8)), "int8 with values 0 .. 127"),
}


@pytest.mark.parametrize("case", IDX)
def test_bad_idx_files(case: str, tmp_path: Path, told: Told) -> None:
    content, words = IDX[case]
    for name, written in (("train-images-idx3-ubyte", content), ("images-idx3-ubyte.gz", gzip.compress(content))):
        (tmp_path / name).write_bytes(written)
        refused(told, tmp_path / name, words)
        (tmp_path / name).unlink()


def test_bad_parquet_files(tmp_path: Path, told: Told) -> None:
    import pyarrow
    from pyarrow import parquet

    def write(**columns: Any) -> Path:
        parquet.write_table(pyarrow.table(columns), tmp_path / "own.parquet")
        return tmp_path / "own.parquet"

    image = {"bytes": writers.png(IMAGE), "path": None}
    refused(told, write(image=[image, None], label=[0, 1]), "own.parquet[1]: no bytes; a file stored elsewhere")
    refused(told, write(image=[image, {"bytes": None, "path": "a.png"}]), "own.parquet[1]: no bytes")
    refused(told, write(image=[image, {"bytes": b"x", "path": "a.png"}]), "own.parquet[1]: damaged, or not a picture")
    refused(told, write(image=[{"bytes": "text"}], label=[0]), "no bytes")
    refused(told, write(image=[image, image], label=[0, None]), "label of row 1 is missing")
    refused(told, write(image=[image, image], label=["a", "b\n"]), r"'b\n', which is not a printable name")
    refused(told, write(x=[1, 2], y=["a", "b"]), "no column of encoded pictures (bytes); columns: x: int64, y: string")
    deep = pyarrow.table({"image": [image], "label": [0]})
    for told_of in (b"[" * 100_000, b"\xff", b"3", b'{"info": []}', b'{"info": {"features": {"label": {"names": 3}}}}'):
        parquet.write_table(deep.replace_schema_metadata({"huggingface": told_of}), tmp_path / "own.parquet")
        assert data.load(str(tmp_path / "own.parquet")).class_names == ("0",)


def test_zip_files_as_programs_write_them(tmp_path: Path) -> None:
    """Zip archives with Zip64, comments, other compressions, folder entries or hidden files are read."""
    content = list(writers.files(made().x, made().y))
    cases: dict[str, Any] = {"stored": 0, "deflated": 8, "bzip2": 12, "lzma": 14}
    for name, method in cases.items():
        with zipfile.ZipFile(tmp_path / f"{name}.zip", "w", method) as archive:
            archive.comment = b"a comment" + bytes(60_000)
            archive.writestr("own/", b"")
            archive.writestr("__MACOSX/own/._a.png", b"x")
            for file, data_ in content:
                with archive.open(f"own/{file}", "w", force_zip64=True) as member:
                    member.write(data_)
        if name == "deflated":
            whole = (tmp_path / "deflated.zip").read_bytes()
            (tmp_path / "deflated.zip").write_bytes(whole)
        found = data.load(str(tmp_path / f"{name}.zip"))
        assert (found.images[:, 0] == X).all()
        assert "left out: 1 hidden file or system folder" in found.notes


def test_a_file_in_an_archive_that_is_too_large_is_refused_whole(
    tmp_path: Path, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such a file is never read in part, or a table would silently lose its last lines."""
    monkeypatch.setattr(tree, "MOST_BYTES", 1000)
    of = made()
    for path in (
        writers.zipped(tmp_path / "own.zip", writers.tables(of)),
        writers.tarred(tmp_path / "own.tar", writers.tables(of)),
    ):
        refused(told, path, "too many for a file in an archive; unpack the archive")


CELLS = st.sampled_from(
    ["0", "1", "7", "255", "256", "-1", "", " ", "x", "nan", "1e400", '"3"', '"', "3.5", "a,b", "\u0661"]
)
ROWS = st.lists(st.lists(CELLS, min_size=1, max_size=7), max_size=6)


@given(rows=ROWS, delimiter=st.sampled_from([",", ";", "\t"]), header=st.booleans(), packed=st.booleans())
@settings(max_examples=300 if lab.LONG else 100, deadline=None)
def test_whatever_is_in_a_table(
    rows: list[list[str]], delimiter: str, header: bool, packed: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Any table is read, or refused with a message."""
    lines = ["label,a,b,c,d".replace(",", delimiter)] if header else []
    content = "\n".join([*lines, *(delimiter.join(row) for row in rows)]).encode()
    path = tmp_path_factory.mktemp("table") / "own.csv"
    path.write_bytes(gzip.compress(content) if packed else content)
    with suppress(DataError):
        found = data.load(str(path))
        assert len(found) <= len(rows)


SHAPES = st.sampled_from([(), (0,), (3,), (3, 1), (3, 4), (3, 8, 8), (0, 8, 8), (3, 8, 6), (3, 3, 8, 8), (3, 4, 4, 3)])
TYPES = st.sampled_from(["u1", "i8", ">i4", "f4", "f2", "?", "U3", "S3", "c8", "m8[s]", "u8"])
KEYS = ("x_train", "y_train", "x_test", "y_test", "class_names", "images", "labels")


@given(forms=st.dictionaries(st.sampled_from(KEYS), st.tuples(SHAPES, TYPES, st.integers(1, 256)), min_size=1))
@settings(max_examples=300 if lab.LONG else 100, deadline=None)
def test_whatever_is_in_an_npz(
    forms: dict[str, tuple[tuple[int, ...], str, int]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Training, evaluation, check and import read any npz file, or refuse it with a message."""
    folder = tmp_path_factory.mktemp("npz")
    random = np.random.default_rng(0)
    arrays = {key: random.integers(0, most, shape).astype(kind) for key, (shape, kind, most) in forms.items()}
    path = writers.saved(folder / "own.npz", **arrays)
    acts: list[Callable[[], Any]] = [
        lambda: data.load(str(path)),
        lambda: data.load_test(str(path)),
        lambda: read_images(path, ("a", "b")),
        lambda: checking.check(str(path)),
        lambda: genlab.import_images(path, folder / "made.npz", size=8, fit="pad", progress=False),
    ]
    for act in acts:
        with suppress(DataError):
            act()


def test_what_was_found_by_chance(tmp_path: Path, told: Told) -> None:
    """A table with a shorter second line, a zip archive with a nameless file and splits of two sizes are refused."""
    (tmp_path / "own.csv").write_bytes(b"x,1,2,3,4,5\n\n9\n3,4,5,6,7,8\n")
    refused(told, tmp_path / "own.csv")
    named(tmp_path / "own.zip", "a/x.png")
    content = bytearray((tmp_path / "own.zip").read_bytes())
    content[content.index(b"PK\1\2") + 46] = 0
    (tmp_path / "own.zip").write_bytes(content)
    refused(told, tmp_path / "own.zip", "no pictures in it")
    path = writers.saved(tmp_path / "own.npz", x_train=X, x_test=X[:, :4, :4])
    assert checking.check(str(path)).splits["test"].side == 4
    with pytest.raises(DataError, match="training and test images of 1 x 8 x 8 and 1 x 4 x 4"):
        read_images(path, ())


def test_a_packed_table_that_goes_on_and_on(tmp_path: Path, told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "FREELY", 1000)
    (tmp_path / "own.csv").write_bytes(gzip.compress(b"1,20,30,40,50\n" * 100_000))
    refused(told, tmp_path / "own.csv", "too long at line")
