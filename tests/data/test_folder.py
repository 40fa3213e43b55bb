"""Images from folders and from npz files in every layout; errors name what cannot be read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from genlab import data
from genlab.data.folder import INDEX, place_of, read_images
from genlab.data.preprocessing import Preprocessing
from genlab.errors import DataError

DIGITS = data.load("mnist", "test").images[:6]
NAMES = data.BUILTIN["mnist"].class_names


def pictures(folder: Path, images: Any = DIGITS, ending: str = "png") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for k, image in enumerate(images):
        array = image[0] if len(image) == 1 else image.transpose(1, 2, 0)
        Image.fromarray(array).save(folder / f"{k:03d}.{ending}")
    return folder


def test_folder(tmp_path: Path) -> None:
    images, labels, _ = read_images(pictures(tmp_path / "f"), NAMES)
    assert images.dtype == np.uint8
    assert (images == DIGITS).all()
    assert labels is None


def test_folders_named_as_classes_say_what_was_meant(tmp_path: Path) -> None:
    for k, name in enumerate(("trouser", "bag", "5")):
        pictures(tmp_path / "f" / name, DIGITS[2 * k : 2 * k + 2])
    images, labels, _ = read_images(tmp_path / "f", data.BUILTIN["fashion-mnist"].class_names)
    assert labels is not None
    assert sorted(labels.tolist()) == [1, 1, 5, 5, 8, 8]
    by_class = {int(k): images[labels == k] for k in (1, 8, 5)}
    assert (by_class[8] == DIGITS[2:4]).all()
    pictures(tmp_path / "f" / "elsewhere", DIGITS[:1])
    assert read_images(tmp_path / "f", NAMES)[1] is None


def test_colour_stays_and_gray_saved_as_colour_is_gray(tmp_path: Path) -> None:
    colour = np.random.default_rng(0).integers(0, 256, (3, 3, 28, 28), np.uint8)
    assert (read_images(pictures(tmp_path / "colour", colour), NAMES)[0] == colour).all()
    grey = DIGITS.repeat(3, axis=1)
    assert (read_images(pictures(tmp_path / "grey", grey), NAMES)[0] == DIGITS).all()
    both = pictures(tmp_path / "both", colour)
    Image.fromarray(DIGITS[0, 0]).save(both / "999.png")
    assert read_images(both, NAMES)[0].shape == (4, 3, 28, 28)


@pytest.mark.parametrize("layout", ["NHW", "NCHW", "NHWC", "float"])
def test_npz_in_every_layout(layout: str, tmp_path: Path) -> None:
    x: Any = {"NHW": DIGITS[:, 0], "NCHW": DIGITS, "NHWC": DIGITS.transpose(0, 2, 3, 1), "float": DIGITS / 255}[layout]
    np.savez(tmp_path / "x.npz", images=x, labels=np.arange(6))
    images, labels, _ = read_images(tmp_path / "x.npz", NAMES)
    assert (images == DIGITS).all()
    assert labels is not None
    assert labels.tolist() == [0, 1, 2, 3, 4, 5]


def refused(path: Path, words: str) -> None:
    with pytest.raises(DataError, match=words):
        read_images(path, NAMES)


def test_bad_files_are_named(tmp_path: Path) -> None:
    refused(tmp_path / "nothing", "nothing: no such run, folder or file")
    (tmp_path / "empty").mkdir()
    refused(tmp_path / "empty", "no pictures in it")
    (tmp_path / "text.txt").write_text("x")
    refused(tmp_path / "text.txt", "unknown kind of file; expected a folder of pictures")
    (tmp_path / "ragged.csv").write_text("1,2,3,4\n1,2,3\n1,2,3,4\n")
    refused(tmp_path / "ragged.csv", "not a table of pixels, with equally many values in every line")
    broken = pictures(tmp_path / "broken")
    (broken / "002.png").write_bytes((broken / "002.png").read_bytes()[:60])
    refused(broken, "002.png: damaged, or cut off")
    mixed = pictures(tmp_path / "mixed")
    Image.fromarray(np.zeros((32, 32), np.uint8)).save(mixed / "003.png")
    refused(mixed, r"pictures of several sizes \(5 of 28 x 28, 1 of 32 x 32; 003.png has the rarest size\)")
    grid = pictures(tmp_path / "grid")
    Image.fromarray(np.zeros((28, 56), np.uint8)).save(grid / "000.png")
    refused(grid, "000.png has the rarest size")
    deep = pictures(tmp_path / "deep")
    Image.fromarray(np.zeros((28, 28), np.uint16)).save(deep / "001.png")
    refused(deep, "001.png: 16 bits, expected 8 bits; genlab data import")
    clear = pictures(tmp_path / "clear")
    Image.fromarray(np.zeros((28, 28, 4), np.uint8)).save(clear / "001.png")
    refused(clear, "transparent")


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"foo": DIGITS}, r"no array x_train; found foo \(uint8, 6 x 1 x 28 x 28\)"),
        ({"images": DIGITS / 127.5 - 1}, r"images\[0\] has values outside of \[0, 1\].*use \(x \+ 1\) / 2"),
        ({"images": np.full((2, 28, 28), np.nan)}, r"images\[0\] has values outside of \[0, 1\] or NaN"),
        ({"images": DIGITS.astype(np.int64)}, "int64"),
        ({"images": DIGITS[:, :, :20]}, "28 x 20 pixels; expected squares"),
        ({"images": DIGITS[:0]}, "no images"),
        ({"images": np.zeros((0, 28, 28))}, "no images"),
        ({"images": DIGITS, "labels": np.arange(5)}, r"labels has shape \(5,\); expected \(6,\), one label per image"),
        ({"images": DIGITS, "labels": np.full(6, 0.5)}, "labels is float64; expected integers"),
        ({"images": DIGITS, "labels": np.array([0, 1, 2, 10, 3, 4])}, "label 10 of image 3; allowed: 0 .. 9"),
    ],
)
def test_bad_arrays_are_named(arrays: dict[str, Any], words: str, tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", **arrays)
    refused(tmp_path / "x.npz", words)


def test_the_way_there_and_back() -> None:
    """A border is removed without a trace; interpolation there and back softens real images as it does samples."""
    digits = data.load("mnist", "test")
    few = data.first(digits, 50)
    padded = Preprocessing(32, 3, "pad")
    there = data.fit(few, 32, "pad", 3).images
    assert (padded.back(there, 28, 1) == few.images).all()
    assert padded.there_and_back(few) is few.images
    soft = Preprocessing(32, 1, "bilinear")
    assert (soft.back(data.fit(few, 32, "bilinear", 1).images, 28, 1) == soft.there_and_back(few)).all()
    assert not (soft.there_and_back(few) == few.images).all()


def test_colour_becomes_luma() -> None:
    red, green, blue = (np.zeros((1, 3, 2, 2), np.uint8) for _ in range(3))
    red[:, 0], green[:, 1], blue[:, 2] = 255, 255, 255
    found = [int(Preprocessing(2, 3, "none").back(x, 2, 1)[0, 0, 0, 0]) for x in (red, green, blue)]
    assert found == pytest.approx([76, 150, 29], abs=1)


def test_classes_that_are_named_by_numbers_and_signs() -> None:
    """The folder 1 means the class of that name; only `class-index-1` is an index in any case."""
    names = ["1", "2", "+"]
    assert [place_of(f"{INDEX}{k}", names) for k in range(4)] == [0, 1, 2, None]
    assert place_of("1", names) == 0
