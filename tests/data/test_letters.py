"""The packaged capitals: balanced, not cut off, in random order, and tested in typefaces that no training image has."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from genlab import data
from genlab.data import builtin, files
from genlab.data.dataset import Images

ROOT = Path(__file__).parent.parent.parent
SPLITS: list[tuple[data.Split, int]] = [("train", 480), ("test", 100)]
TEST_FACES = {"cmss10", "cmtt10", "STIXGeneralBol", "DejaVuSerif-Italic", "DejaVuSansMono-Oblique"}


def distinct(images: Images) -> set[bytes]:
    return {image.tobytes() for image in images}


@pytest.mark.parametrize(("split", "each"), SPLITS)
def test_as_many_images_of_each_letter(split: data.Split, each: int) -> None:
    letters = data.load("letters", split)
    assert letters.images.shape == (26 * each, 1, 28, 28)
    assert letters.images.dtype == np.uint8
    assert letters.labels is not None
    assert np.bincount(letters.labels).tolist() == [each] * 26
    assert "".join(letters.class_names) == "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


@pytest.mark.parametrize(("split", "each"), SPLITS)
def test_a_letter_is_white_on_black_and_not_cut_off(split: data.Split, each: int) -> None:
    images = data.load("letters", split).images[:, 0]
    assert not images[:, [0, -1]].any()
    assert not images[:, :, [0, -1]].any()
    assert (images.max((1, 2)) == 255).all()
    assert images.mean((1, 2)).max() < 128


def test_no_image_appears_twice() -> None:
    """No image appears twice, so no test image is a training image."""
    train, test = (data.load("letters", split).images for split, _ in SPLITS)
    assert len(distinct(train) | distinct(test)) == len(train) + len(test)


def test_a_prefix_holds_all_classes() -> None:
    labels = data.first(data.load("letters"), 2000).labels
    assert labels is not None
    assert np.bincount(labels, minlength=26).min() >= 50


def test_the_labels_are_of_the_letters() -> None:
    """The training image nearest to a test image mostly shows the same letter, though in another typeface."""
    train, test = data.load("letters"), data.first(data.load("letters", "test"), 500)
    assert train.labels is not None
    assert test.labels is not None
    x, y = (of.images.reshape(len(of), -1).astype(np.float32) / 255 for of in (train, test))
    nearest = ((x**2).sum(1) - 2 * y @ x.T).argmin(1)
    assert (train.labels[nearest] == test.labels).mean() > 0.8


def test_no_typeface_is_in_both_splits() -> None:
    """The script that drew the letters uses different typefaces for each split, those that NOTICE names."""
    script = (ROOT / "benchmarks" / "letters.py").read_text("utf-8")
    found = re.search(r'"train": \((.*?)\),\s+"test": \((.*?)\),', script, re.DOTALL)
    assert found is not None
    train, test = (re.findall(r'"([\w-]+)"', faces) for faces in found.groups())
    assert set(test) == TEST_FACES
    assert len({*train, *test}) == len(train) + len(test) == 21


def test_the_file_is_small_and_named() -> None:
    assert builtin.file_of("letters").stat().st_size < 3e6
    assert "letters.npz" in builtin.file_of("letters").with_name("NOTICE").read_text("utf-8")
    assert set(files.NAMES) == data.BUILTIN.keys()
