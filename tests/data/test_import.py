"""Imports: pictures as Pillow shows them, every decision named and recorded, nothing left half done."""

from __future__ import annotations

import io
import json
import os
import signal
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import genlab
import writers
from genlab import data
from genlab.data import importing
from genlab.data.dataset import fingerprint
from genlab.data.sources.conversion import fitted, laid_on
from genlab.data.sources.picture import CUT, Picture, decode
from genlab.engine.lock import held
from genlab.errors import BusyError, DataError, StorageError, UsageError
from writers import made

RANDOM = np.random.default_rng(1)
GRAY = RANDOM.integers(0, 256, (8, 8), np.uint8)
COLOUR = RANDOM.integers(0, 256, (8, 8, 3), np.uint8)
ALPHA = RANDOM.integers(0, 256, (8, 8), np.uint8)


def saved(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def read(content: bytes) -> Picture:
    return decode(io.BytesIO(content))


def by_pillow(content: bytes, mode: str) -> Any:
    """Pixels by Pillow's own conversion, (C, H, W)."""
    array = np.asarray(Image.open(io.BytesIO(content)).convert(mode))
    return array[None] if array.ndim == 2 else array.transpose(2, 0, 1)


def paletted(**options: Any) -> bytes:
    return saved(Image.fromarray(COLOUR).quantize(6), **options)


CMYK = Image.fromarray(RANDOM.integers(0, 256, (8, 8, 4), np.uint8), "CMYK")
OPAQUE: dict[str, tuple[bytes, str, tuple[str, ...]]] = {
    "L": (saved(Image.fromarray(GRAY)), "L", ()),
    "1": (saved(Image.fromarray(GRAY > 100)), "L", ()),
    "RGB": (saved(Image.fromarray(COLOUR)), "RGB", ()),
    "P": (paletted(), "RGB", ("palette",)),
    "JPEG": (saved(Image.fromarray(COLOUR), "JPEG"), "RGB", ()),
    "gray JPEG": (saved(Image.fromarray(GRAY), "JPEG"), "L", ()),
    "BMP": (saved(Image.fromarray(COLOUR), "BMP"), "RGB", ()),
    "CMYK JPEG": (saved(CMYK, "JPEG"), "RGB", ("CMYK",)),
    "CMYK TIFF": (saved(CMYK, "TIFF"), "RGB", ("CMYK",)),
    "4 bits PGM": (b"P5 2 2 15\n\x00\x05\x0a\x0f", "L", ()),
}


@pytest.mark.parametrize("kind", OPAQUE)
def test_pixels_are_those_of_pillow(kind: str) -> None:
    content, mode, remarks = OPAQUE[kind]
    found = read(content)
    assert (found.pixels == by_pillow(content, mode)).all()
    assert found.alpha is None
    assert found.remarks == remarks


TRANSPARENT = {
    "RGBA": saved(Image.fromarray(np.dstack([COLOUR, ALPHA]))),
    "LA": saved(Image.fromarray(np.dstack([GRAY, ALPHA]))),
    "P with a transparent colour": paletted(transparency=2),
    "P with an alpha per colour": paletted(transparency=bytes([0, 60, 120, 180, 240, 255])),
    "L with a transparent level": saved(Image.fromarray(GRAY // 64 * 60), transparency=120),
    "RGB with a transparent colour": saved(Image.fromarray(COLOUR // 128 * 200), transparency=(200, 0, 0)),
}


@pytest.mark.parametrize("kind", TRANSPARENT)
@pytest.mark.parametrize("ground", ["white", "black"])
def test_transparent_pixels_lie_on_the_ground(kind: str, ground: str, tmp_path: Path) -> None:
    """The result matches Pillow's alpha_composite to within one gray level of rounding."""
    content = TRANSPARENT[kind]
    over = Image.new("RGBA", (8, 8), ground)
    over.alpha_composite(Image.open(io.BytesIO(content)).convert("RGBA"))
    folder = writers.folder(tmp_path / "own", iter([("a.png", content), ("b.png", content)]))
    with pytest.raises(DataError, match=r"transparent pixels need a background colour.*--ground white"):
        data.load(str(folder))
    found = genlab.import_images(folder, tmp_path / "own.npz", color="rgb", split=0, ground=ground)  # type: ignore[arg-type]
    images = data.load(str(tmp_path / "own.npz")).images.astype(int)
    assert np.abs(images[0] - np.asarray(over.convert("RGB")).transpose(2, 0, 1)).max() <= 1
    assert found.record["decisions"]["transparent"] == f"placed on {ground}"
    assert found.record["found"]["transparent"] == 2


def test_without_a_word_the_ground_is_white(tmp_path: Path) -> None:
    clear = saved(Image.new("LA", (8, 8), (7, 0)))
    folder = writers.folder(tmp_path / "own", iter([("a.png", clear)]))
    genlab.import_images(folder, tmp_path / "own.npz", split=0)
    assert (data.load(str(tmp_path / "own.npz")).images == 255).all()
    assert laid_on(GRAY[None], ALPHA, 0).tolist() == np.rint(GRAY[None] * (ALPHA / 255)).tolist()


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF"])
def test_pictures_stand_upright(orientation: int, kind: str, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    wide = np.kron(np.array([[0, 80, 160], [40, 120, 240]], np.uint8), np.ones((8, 8), np.uint8))
    content = saved(Image.fromarray(wide), kind, exif=exif)
    turns = {
        1: wide,
        2: wide[:, ::-1],
        3: wide[::-1, ::-1],
        4: wide[::-1],
        5: wide.T,
        6: wide.T[:, ::-1],
        7: wide.T[::-1, ::-1],
        8: wide.T[::-1],
    }
    found = read(content)
    assert np.abs(found.pixels[0].astype(int) - turns[orientation]).max() <= (8 if kind == "JPEG" else 0)
    assert found.remarks == (("turned upright by its EXIF tag",) if orientation > 1 else ())
    folder = writers.folder(tmp_path / "own", iter([(f"a.{kind.lower()}", content)]))
    made = genlab.import_images(folder, tmp_path / "own.npz", size=24, fit="pad", split=0)
    assert list(made.record["sizes"]) == ["16 x 24" if orientation > 4 else "24 x 16"]


@pytest.mark.parametrize("kind", ["GIF", "TIFF", "PNG", "WEBP"])
def test_of_several_frames_the_first(kind: str) -> None:
    frames = [Image.fromarray(np.full((8, 8), level, np.uint8)) for level in (10, 100, 200)]
    options = {"lossless": True} if kind == "WEBP" else {}
    found = read(saved(frames[0], kind, save_all=True, append_images=frames[1:], **options))
    assert np.unique(found.pixels).tolist() == [10]
    assert "first of 3 frames" in found.remarks


def test_sixteen_bits_are_a_range_of_their_own(tmp_path: Path) -> None:
    """Values 0 .. 65535 in PNG and TIFF files, and in 12-bit PGM files, which Pillow scales to 16 bits."""
    deep = RANDOM.integers(0, 65_536, (8, 8), np.uint16)
    twelve = RANDOM.integers(0, 4096, (8, 8), np.uint16)
    files = {
        "a.png": saved(Image.fromarray(deep)),
        "b.tif": saved(Image.fromarray(deep), "TIFF"),
        "c.pgm": b"P5 8 8 4095\n" + twelve.astype(">u2").tobytes(),
    }
    folder = writers.folder(tmp_path / "own", iter(files.items()))
    found = genlab.import_images(folder, tmp_path / "own.npz", split=0)
    images = data.load(str(tmp_path / "own.npz")).images[:, 0].astype(float)
    assert (images[:2] == np.rint(deep / 65_535 * 255)).all()
    assert np.abs(images[2] - twelve / 4095 * 255).max() <= 0.51
    assert found.record["decisions"]["range"] == "16 bits: 0 is black, 65535 white"
    assert found.record["found"]["16 bits"] == 3


def test_a_transparent_level_of_sixteen_bits() -> None:
    deep = np.arange(64, dtype=np.uint16).reshape(8, 8) * 1000
    found = read(saved(Image.fromarray(deep), transparency=3000))
    assert found.alpha is not None
    assert np.flatnonzero(found.alpha.ravel() == 0).tolist() == [3]
    assert found.remarks == ("transparent", "16 bits")


def png_of_16_bits(kind: int, channels: int) -> bytes:
    """A 16-bit PNG file of a kind that Pillow cannot write."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    rows = b"".join(b"\0" + row.tobytes() for row in RANDOM.integers(0, 65_536, (8, 8, channels)).astype(">u2"))
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 8, 8, 16, kind, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    "content",
    [
        png_of_16_bits(2, 3),
        png_of_16_bits(4, 2),
        png_of_16_bits(6, 4),
        b"P6 8 8 65535\n" + RANDOM.integers(0, 65_536, (8, 8, 3)).astype(">u2").tobytes(),
    ],
)
def test_sixteen_bits_of_colour_are_cut_in_the_open(content: bytes, tmp_path: Path) -> None:
    folder = writers.folder(tmp_path / "own", iter([("a.png", content)]))
    with pytest.raises(DataError, match=rf"a.png: {CUT}; .*genlab data import"):
        data.load(str(folder))
    assert genlab.import_images(folder, tmp_path / "own.npz", split=0).record["found"][CUT] == 1


def test_pad_keeps_every_pixel_in_the_middle() -> None:
    """An odd pixel of padding goes below or right; large pictures shrink, small ones are never enlarged."""
    image = RANDOM.integers(1, 255, (1, 4, 7), np.uint8)
    padded = fitted(image, 10, "pad", "black")
    assert padded.shape == (1, 10, 10)
    assert (padded[:, 3:7, 1:8] == image).all()
    assert padded.sum(dtype=int) == image.sum(dtype=int)
    assert (fitted(image, 9, "pad", "black")[:, 2:6, 1:8] == image).all()
    assert (fitted(image, 10, "pad", "white")[:, 0] == 255).all()
    half = fitted(np.full((1, 30, 20), 90, np.uint8), 15, "pad", "black")
    assert np.flatnonzero((half[0] == 90).all(0)).tolist() == list(range(2, 12))
    assert (half[0, :, 2:12] == 90).all()
    thin = fitted(np.full((3, 400, 2), 90, np.uint8), 8, "pad", "black")
    assert ((thin == 90).sum((1, 2)) == 8).all()


def test_the_ground_around_a_picture_is_its_own_where_it_is_even() -> None:
    even = np.full((3, 6, 4), 200, np.uint8)
    even[1] = 100
    even[:, 2:4, 1:3] = 0
    assert fitted(even, 8, "pad")[:, 0, 0].tolist() == [200, 100, 200]
    assert fitted(even, 8, "pad", "white")[:, 0, 0].tolist() == [255] * 3
    uneven = RANDOM.integers(0, 256, (1, 6, 4), np.uint8)
    assert (fitted(uneven, 8, "pad")[0, 0] == 0).all()


def test_crop_is_the_middle_and_stretch_the_whole() -> None:
    image = np.tile(np.arange(0, 240, 16, dtype=np.uint8), (5, 1))[None]  # 5 x 15, a ramp to the right
    assert (fitted(image, 5, "crop") == image[:, :, 5:10]).all()
    assert (fitted(image.swapaxes(1, 2).copy(), 5, "crop") == image[:, :, 5:10].swapaxes(1, 2)).all()
    resized = np.asarray(Image.fromarray(image[0]).resize((9, 9), Image.Resampling.BILINEAR))
    assert (fitted(image, 9, "stretch")[0] == resized).all()
    assert fitted(np.zeros((3, 3, 1000), np.uint8), 7, "crop").shape == (3, 7, 7)
    assert fitted(image, 5, "stretch").shape == (1, 5, 5)


RANGES: dict[str, tuple[Any, tuple[float, float]]] = {
    "float 0..1": (GRAY / 255, (0, 1)),
    "float32 -1..1": ((GRAY / 127.5 - 1).astype(np.float32), (-1, 1)),
    "float16": ((GRAY / 255).astype(np.float16), (0, 1)),
    "int64": (GRAY.astype(np.int64), (0, 255)),
    "int32 12 bits": (GRAY.astype(np.int32) * 16, (0, 4080)),
    "big-endian": (GRAY.astype(">u2") * 257, (0, 65_535)),
    "negative": (GRAY.astype(np.int16) - 128, (-128, 127)),
    "uint8 0..15": (GRAY // 17, (0, 15)),
    "bool": (GRAY > 127, (0, 1)),
}


@pytest.mark.parametrize("kind", RANGES)
def test_a_range_says_what_is_black_and_white(kind: str, tmp_path: Path) -> None:
    x, (low, high) = RANGES[kind]
    writers.saved(tmp_path / "raw.npz", x_train=np.stack([x, x]))
    with pytest.raises(DataError, match=r"if (-?[0-9]+) is black and ([0-9]+) white: add --range \1\.\.\2$"):
        genlab.import_images(tmp_path / "raw.npz", tmp_path / "own.npz")
    found = genlab.import_images(tmp_path / "raw.npz", tmp_path / "own.npz", range=f"{low}..{high}", split=0)
    expected = np.rint((x.astype(np.float64) - low) * 255 / (high - low))
    assert (data.load(str(tmp_path / "own.npz")).images[:, 0] == expected).all()
    assert found.record["decisions"]["range"] == f"{low:g} is black, {high:g} white"


@pytest.mark.parametrize(
    ("x", "words"),
    [
        (GRAY / 255, "outside of --range 0..0.5; the values of all images are 0 .. 1"),
        (GRAY / 255 * np.where(np.eye(8), np.nan, 1), "outside of --range 0..0.5; .*, and NaN or infinity"),
        (GRAY / 255 * np.where(np.eye(8), np.inf, 1) + 1, "outside of --range 0..0.5; .*, and NaN or infinity"),
    ],
)
def test_values_outside_of_the_range_are_refused(x: Any, words: str, tmp_path: Path) -> None:
    x = (x - np.nanmin(x)) / (1 if not np.isfinite(x).all() else np.ptp(x))
    writers.saved(tmp_path / "raw.npz", x_train=np.stack([GRAY / 600, x]))
    with pytest.raises(DataError, match=words) as caught:
        genlab.import_images(tmp_path / "raw.npz", tmp_path / "own.npz", range=(0, 0.5), split=0)
    assert "x_train[1]" in str(caught.value)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["raw.npz"]
    if np.isfinite(x).all():  # The range is wrong, not the picture.
        with pytest.raises(DataError, match=r"x_train\[1\]: values 0 .. 1, outside of --range 0..0.5"):
            genlab.import_images(tmp_path / "raw.npz", tmp_path / "own.npz", range=(0, 0.5), split=0, skip_bad=True)
        return
    found = genlab.import_images(tmp_path / "raw.npz", tmp_path / "own.npz", range=(0, 0.5), split=0, skip_bad=True)
    assert found.record["images"]["train"] == 1
    assert list(found.record["skipped"]["first"]) == ["x_train[1]"]


def test_a_wrong_range_leaves_no_picture_out(tmp_path: Path) -> None:
    """Pictures whose values or bit depth do not fit the range are refused, even with --skip-bad."""
    folder = writers.folder(tmp_path / "own", ((f"a/{k}.png", writers.png(GRAY)) for k in range(4)))
    for options, words in (
        (250, "a/0.png: values .*, outside of --range 0..250"),
        (65535, "8 bits, which --range 0..65"),
    ):
        for skip_bad in (False, True):
            with pytest.raises(DataError, match=words):
                genlab.import_images(folder, tmp_path / "own.npz", range=(0, options), skip_bad=skip_bad)
    assert [each.name for each in tmp_path.iterdir()] == ["own"]


def test_both_depths_together(tmp_path: Path) -> None:
    """Without --range, each bit depth has its own; the command in the refusal is for that import."""
    deep = np.where(np.eye(8), 65535, 257 * GRAY.astype(np.uint16)).astype(np.uint16)
    pictures = [("a/0.png", writers.png(GRAY)), ("a/1.png", saved(Image.fromarray(deep)))]
    folder = writers.folder(tmp_path / "own", iter(pictures))
    with pytest.raises(DataError, match=r"1\.png: 16 bits, expected 8 bits; genlab data import \S+ -o own-genlab.npz$"):
        data.load(str(folder))
    genlab.import_images(folder, tmp_path / "own.npz", split=0)
    found = data.load(str(tmp_path / "own.npz")).images[:, 0]
    assert (found[0] == GRAY).all()
    assert (found[1] == np.where(np.eye(8), 255, GRAY)).all()


def test_the_split_is_of_each_class_and_by_the_seed(tmp_path: Path) -> None:
    of = made(20)
    folder = writers.folder(tmp_path / "own", writers.files(of.x, of.y))

    def split(name: str, **options: Any) -> tuple[str, list[int]]:
        genlab.import_images(folder, tmp_path / name, **options)
        test = data.load(str(tmp_path / name), "test")
        train = data.load(str(tmp_path / name))
        assert test.labels is not None
        assert train.labels is not None
        together = np.concatenate([train.images, test.images])[:, 0].reshape(-1, 64)
        assert sorted(map(bytes, together)) == sorted(map(bytes, of.x.reshape(-1, 64))), "each image once"
        return test.fingerprint, np.bincount(test.labels).tolist()

    first, counts = split("a.npz")
    assert counts == [2] * 5
    assert split("b.npz")[0] == first
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    assert split("c.npz", seed=1)[0] != first
    assert split("d.npz", split=0.3)[1] == [6] * 5
    assert split("e.npz", split=0.001)[1] == [1] * 5, "a class has a test image, if it has two"
    genlab.import_images(folder, tmp_path / "f.npz", split=0)
    assert data.load_test(str(tmp_path / "f.npz")) is None
    both = writers.folder(tmp_path / "both", writers.both(of))
    with pytest.raises(UsageError, match="has its own test split; omit --split"):
        genlab.import_images(both, tmp_path / "g.npz", split=0.5)


def test_some_classes_and_some_images_of_each(tmp_path: Path) -> None:
    of = made()
    folder = writers.folder(tmp_path / "own", writers.both(of))
    genlab.import_images(folder, tmp_path / "a.npz", classes=["digit_10", 0], per_class=4)
    found = data.load(str(tmp_path / "a.npz"))
    assert found.class_names == ("Moon", "digit_10")
    assert found.labels is not None
    assert np.bincount(found.labels).tolist() == [4, 4]
    known = {bytes(image): label for image, label in zip(of.x.reshape(-1, 64), of.y, strict=True)}
    assert [known[bytes(image)] for image in found.images.reshape(-1, 64)] == [0] * 4 + [3] * 4
    test = data.load(str(tmp_path / "a.npz"), "test")
    assert len(test) == 6
    genlab.import_images(folder, tmp_path / "b.npz", classes=["digit_10", 0], per_class=4, seed=1)
    assert data.load(str(tmp_path / "b.npz")).fingerprint != found.fingerprint
    with pytest.raises(DataError, match="'digit_11'; did you mean 'digit_1'"):
        genlab.import_images(folder, tmp_path / "c.npz", classes=["digit_11"])


BAD = {"cut.png": writers.png(GRAY)[:70], "none.png": b"", "text.png": b"hello", "drawing.svg": b"<svg/>"}


def test_bad_pictures_are_left_out_and_counted_only_when_that_is_said(tmp_path: Path) -> None:
    of = made(4)
    folder = writers.folder(tmp_path / "own", writers.files(of.x, of.y))
    for name, content in BAD.items():
        (folder / "kite" / name).write_bytes(content)
    with pytest.raises(DataError, match="4 pictures cannot be read; --skip-bad leaves them out") as caught:
        genlab.import_images(folder, tmp_path / "own.npz")
    assert all(f"kite/{name}: " in str(caught.value) for name in BAD if name != "cut.png")
    found = genlab.import_images(folder, tmp_path / "own.npz", split=0, skip_bad=True)
    assert found.record["skipped"] == {
        "count": 4,
        "first": {
            "kite/cut.png": "damaged, or cut off",
            "kite/drawing.svg": "unsupported picture format; save it as PNG",
            "kite/none.png": "empty",
            "kite/text.png": "damaged, or not a picture",
        },
    }
    assert data.load(str(tmp_path / "own.npz")).fingerprint == fingerprint(of.x[:, None], of.y)


def test_what_needs_a_decision_is_refused_with_the_command(tmp_path: Path) -> None:
    target = tmp_path / "own.npz"
    mixed = writers.folder(tmp_path / "mixed", iter([("a.png", writers.png(GRAY)), ("b.png", writers.png(GRAY[:6]))]))
    said = r"pictures of several sizes \(1 of 8 x [68], 1 of 8 x [68]"
    with pytest.raises(DataError, match=rf"{said}.*genlab data import {mixed} -o mixed-genlab.npz --size 32 --fit pad"):
        data.load(str(mixed))
    with pytest.raises(DataError, match=rf"{said}.*; add --size 32 --fit pad \(or"):
        genlab.import_images(mixed, target, skip_bad=True, classes=None)
    with pytest.raises(DataError, match=r"a size other than 16.*; add fit='pad' \(or fit='crop'"):
        genlab.import_images(np.stack([GRAY, GRAY]), target, size=16)
    one = writers.folder(tmp_path / "one", iter([("a.png", writers.png(GRAY))]))
    with pytest.raises(DataError, match=r"pictures of a size other than 16 \(1 of 8 x 8\).*; add --fit pad \("):
        genlab.import_images(one, target, size=16)
    wide = writers.folder(tmp_path / "wide", iter([("a.png", writers.png(GRAY[:6]))]))
    with pytest.raises(DataError, match=r"pictures of one size, but not square \(1 of 8 x 6\)"):
        genlab.import_images(wide, target)
    dark = writers.folder(tmp_path / "dark", iter([("a.png", saved(Image.fromarray(GRAY.astype(np.uint16) * 16)))]))
    with pytest.raises(DataError, match=r"16-bit pictures with values only up to [0-9,]+, as.*--range 0..4095"):
        genlab.import_images(dark, target)
    black = writers.folder(tmp_path / "black", iter([("a.png", writers.png(GRAY // 128))]))
    with pytest.raises(DataError, match=r"pixel values 0 .. 1, which look black; if 0 is black and.*--range 0..1"):
        genlab.import_images(black, target)
    assert not [each for each in tmp_path.iterdir() if each.is_file() or "importing" in each.name]


def test_the_record_says_every_decision(tmp_path: Path) -> None:
    files = {
        "cat/a.png": saved(Image.fromarray(COLOUR)),
        "cat/b.png": saved(Image.fromarray(GRAY[:5])),
        "cat/c.PNG": TRANSPARENT["RGBA"],
        "dog/a.gif": saved(Image.fromarray(COLOUR), "GIF"),
        "dog/b.jpeg": saved(Image.fromarray(COLOUR), "JPEG"),
        "dog/notes.txt": b"x",
        "dog/.hidden.png": b"",
    }
    folder = writers.folder(tmp_path / "own", iter(files.items()))
    options = {"size": 16, "fit": "pad", "color": "gray", "seed": 7, "per_class": 9, "classes": ["cat", "dog"]}
    found = genlab.import_images(folder, tmp_path / "own.npz", **options)  # type: ignore[arg-type]
    record = found.record
    assert record == importing.record_of(tmp_path / "own.npz")
    assert not found.already
    assert record["source"] == str(folder)
    assert record["form"] == "folder of pictures"
    assert record["images"] == {"train": 3, "test": 2}
    assert record["classes"] == {"cat": [2, 1], "dog": [1, 1]}
    assert record["decisions"] == {
        "classes": "cat, dog",
        "per class": "at most 9, drawn with seed 7",
        "split": "0.1 of each class is the test split, seed 7",
        "size": "16 pixels, pad",
        "color": "gray (by luma, .299 R + .587 G + .114 B)",
        "transparent": "placed on white",
        "padded with": "a picture's own background where its border is uniform, otherwise black",
    }
    assert record["found"]["colour made gray"] == 4
    assert record["found"]["resized"] == 5
    assert record["found"]["palette"] == 1
    assert record["sizes"] == {"8 x 8": 4, "8 x 5": 1}
    assert record["skipped"] == {"count": 0, "first": {}}
    assert record["notes"] == [
        "left out: 1 file that is not a picture (dog/notes.txt)",
        "left out: 1 hidden file or system folder",
    ]


def test_colour_is_kept_where_there_is_one(tmp_path: Path) -> None:
    gray = np.dstack([GRAY] * 3)
    for name, last in (("gray", gray), ("colour", COLOUR)):
        content = [(f"{k}.png", saved(Image.fromarray(image))) for k, image in enumerate((gray, gray, last))]
        folder = writers.folder(tmp_path / name, iter(content))
        found = genlab.import_images(folder, tmp_path / f"{name}.npz", split=0)
        images = data.load(str(tmp_path / f"{name}.npz")).images
        assert images.shape == (3, 1 if name == "gray" else 3, 8, 8)
        assert (images[2].transpose(1, 2, 0) == (last[..., :1] if name == "gray" else last)).all()
        why = "no pixel has a colour" if name == "gray" else "as it is"
        assert found.record["decisions"]["color"].endswith(f"({why})")
    with pytest.raises(UsageError, match="with other images or options"):
        genlab.import_images(tmp_path / "gray", tmp_path / "gray.npz", split=0, color="rgb")


def test_a_second_call_finds_it_done_and_another_source_is_refused(tmp_path: Path) -> None:
    of = made()
    folder = writers.folder(tmp_path / "own", writers.files(of.x, of.y))
    genlab.import_images(folder, tmp_path / "own.npz")
    before = (tmp_path / "own.npz").stat()
    again = genlab.import_images(folder, tmp_path / "own.npz")
    assert again.already
    assert (tmp_path / "own.npz").stat().st_mtime_ns == before.st_mtime_ns
    other = writers.folder(tmp_path / "other", writers.files(of.x_test, of.y_test))
    for source, options in ((other, {}), (folder, {"seed": 1}), (folder, {"classes": [0]}), ((of.x, of.y), {})):
        with pytest.raises(UsageError, match="the file already exists, with other images or options"):
            genlab.import_images(source, tmp_path / "own.npz", **options)
    (folder / "kite" / "new.png").write_bytes(writers.png(of.x[0]))
    with pytest.raises(UsageError, match="already exists"):
        genlab.import_images(folder, tmp_path / "own.npz")
    np.savez(tmp_path / "mine.npz", x_train=of.x)
    with pytest.raises(UsageError, match="already exists"):
        genlab.import_images(folder, tmp_path / "mine.npz")


@pytest.mark.parametrize("as_pictures", [False, True])
def test_a_repeated_import_from_memory_is_recognised_by_its_images(tmp_path: Path, as_pictures: bool) -> None:
    """A cell of a notebook that runs twice; the record of the file may be from an earlier version."""
    of, path = made(), tmp_path / "own.npz"

    def given(x: np.ndarray, y: np.ndarray) -> object:
        return ([Image.fromarray(image) for image in x], y) if as_pictures else (x, y)

    assert not genlab.import_images(given(of.x, of.y), path).already
    arrays = dict(np.load(path))
    record = json.loads(str(arrays["import"])) | {"genlab": "0.0.1"}
    np.savez(path, **{**arrays, "import": np.array(json.dumps(record))})
    before = path.read_bytes()
    assert genlab.import_images(given(of.x, of.y), path).already
    other = of.x.copy()
    other[-1, 0, 0] ^= 1
    for images, labels, seed in ((other, of.y, 0), (of.x, of.y[::-1], 0), (of.x, of.y, 1)):
        with pytest.raises(UsageError, match="the file already exists, with other images or options"):
            genlab.import_images(given(images, labels), path, seed=seed)
    assert path.read_bytes() == before
    assert [each.name for each in tmp_path.iterdir()] == ["own.npz"]


def many(tmp_path: Path) -> Path:
    """A folder of several hundred pictures."""
    of = made(80)
    return writers.folder(tmp_path / "own", writers.files(of.x, of.y))


def kill_at(picture: int, number: int = signal.SIGKILL) -> None:
    """Make this process get a signal at the given picture, just after progress was saved."""
    image = importing._image
    seen = [0]

    def killing(*arguments: Any) -> Any:
        seen[0] += 1
        if seen[0] == picture - 1:
            importing.SAVED_EVERY = -1.0
        if seen[0] == picture:
            os.kill(os.getpid(), number)
        return image(*arguments)

    pytest.MonkeyPatch().setattr(importing, "_image", killing)


def import_killed(source: Path, output: Path, picture: int, number: int = signal.SIGKILL) -> None:
    kill_at(picture, number)
    genlab.import_images(source, output, progress=False)


def count_images(source: Path, output: Path, file: Path) -> None:
    """Import, and write the number of decoded pictures to `file`."""
    image, seen = importing._image, [0]

    def counting(*arguments: Any) -> Any:
        seen[0] += 1
        return image(*arguments)

    pytest.MonkeyPatch().setattr(importing, "_image", counting)
    genlab.import_images(source, output, progress=False)
    file.write_text(str(seen[0]))


def in_process(act: Any, *arguments: Any) -> int:
    """Exit code of a function called in a forked process, or minus the signal that ended it."""
    child = os.fork()
    if child == 0:
        code = 70
        try:
            act(*arguments)
            code = 0
        except genlab.errors.GenlabError as error:
            code = error.exit_code
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.mark.parametrize("picture", [1, 2, 150, 400])
def test_a_killed_import_goes_on(picture: int, tmp_path: Path) -> None:
    """An import resumed after SIGKILL gives the same bytes as a whole one, and decodes no picture twice."""
    folder = many(tmp_path)
    genlab.import_images(folder, tmp_path / "whole.npz")
    target = tmp_path / "own.npz"
    assert in_process(import_killed, folder, target, picture) == -signal.SIGKILL
    assert not target.exists()
    assert (tmp_path / "own.npz.importing").is_dir()
    assert in_process(count_images, folder, target, tmp_path / "count") == 0
    assert target.read_bytes() == (tmp_path / "whole.npz").read_bytes()
    assert int((tmp_path / "count").read_text()) == 400 - (picture - 1)
    assert not (tmp_path / "own.npz.importing").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_import_says_that_it_goes_on(number: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = many(tmp_path)
    assert in_process(import_killed, folder, tmp_path / "own.npz", 200, number) == 128 + number
    capsys.readouterr()
    genlab.import_images(folder, tmp_path / "own.npz")
    assert "resuming a stopped import: 199 of 400 pictures are done" in capsys.readouterr().err
    assert not (tmp_path / "own.npz.importing").exists()
    assert in_process(import_killed, folder, tmp_path / "other.npz", 200, number) == 128 + number
    genlab.import_images(folder, tmp_path / "other.npz", seed=1)
    assert "of other pictures or with other options; starting over" in capsys.readouterr().err


def test_it_begins_anew_where_the_source_was_changed_or_the_pixels_are_gone(tmp_path: Path) -> None:
    folder = many(tmp_path)
    for change in ("source", "pixels", "options"):
        target = tmp_path / f"{change}.npz"
        work = tmp_path / f"{change}.npz.importing"
        assert in_process(import_killed, folder, target, 300) == -signal.SIGKILL
        if change == "source":
            name = next(iter((folder / "kite").iterdir()))
            name.write_bytes(writers.png(255 - made(80).x[0]))
        elif change == "pixels":
            os.truncate(work / "pixels", 1000)
        genlab.import_images(folder, target, seed=int(change == "options"))
        genlab.import_images(folder, tmp_path / "whole.npz", seed=int(change == "options"))
        assert target.read_bytes() == (tmp_path / "whole.npz").read_bytes()
        (tmp_path / "whole.npz").unlink()
        assert not work.exists()


def test_two_imports_into_one_file_at_once(tmp_path: Path) -> None:
    folder = many(tmp_path)
    (tmp_path / "own.npz.importing").mkdir()
    with (
        held(tmp_path / "own.npz.importing" / "lock", "is importing into it"),
        pytest.raises(BusyError, match=f"another process is importing into it .pid {os.getpid()}"),
    ):
        genlab.import_images(folder, tmp_path / "own.npz")
    assert not (tmp_path / "own.npz").exists()
    genlab.import_images(folder, tmp_path / "own.npz")


def test_no_place_for_the_file(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="there is no folder"):
        genlab.import_images((made().x, made().y), tmp_path / "no" / "own.npz")
    with pytest.raises(UsageError, match=r"the extension sets the format; allowed: .npz"):
        genlab.import_images((made().x, made().y), tmp_path / "own.zip")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"fit": "squash"}, "fit: unknown fit 'squash'"),
        ({"color": "grey"}, "did you mean 'gray'"),
        ({"ground": "red"}, "black"),
        ({"size": 3}, "size is 3; allowed: 4 .. 512 pixels"),
        ({"size": 513}, "size is 513"),
        ({"split": 1.0}, "split is 1.0"),
        ({"split": float("nan")}, "split is nan"),
        ({"per_class": 0}, "per_class is 0"),
        ({"seed": -1}, "seed is -1"),
        ({"range": "1..0"}, "range is"),
        ({"range": "0..nan"}, "range is"),
        ({"range": "-1e308..1e308"}, "range is"),
        ({"range": "0-1"}, "range is '0-1'; allowed: LOW..HIGH"),
    ],
)
def test_options_that_mean_nothing(options: dict[str, Any], words: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=words):
        genlab.import_images((made().x, made().y), tmp_path / "own.npz", **options)
    assert not list(tmp_path.iterdir())


def test_labels_of_one_split_alone_are_left_out_in_the_open(tmp_path: Path) -> None:
    of = made()
    arrays = {"x_train": of.x, "y_train": of.y, "x_test": of.x_test}
    found = genlab.import_images(arrays, tmp_path / "a.npz")
    assert found.record["decisions"]["labels"] == "left out: only one of the splits has them"
    assert data.load(str(tmp_path / "a.npz")).class_names == ()
    flat = [*writers.files(of.x, of.y, "train/"), ("test/a.png", writers.png(of.x_test[0]))]
    folder = writers.folder(tmp_path / "own", iter(flat))
    note = "not all pictures are in class folders, so there are no classes"
    assert note in data.load(str(folder)).notes
    assert note in genlab.import_images(folder, tmp_path / "b.npz").record["notes"]
