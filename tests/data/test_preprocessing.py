"""How images from elsewhere were resized is inferred from them, or they are refused."""

from __future__ import annotations

from contextlib import suppress
from functools import cache
from typing import Any

import numpy as np
import pytest

from genlab import data
from genlab.data.dataset import Images
from genlab.data.preprocessing import SHRINKING, Preprocessing, Resize, resampled
from genlab.errors import UsageError
from genlab.evaluation import judge_search, metrics
from genlab.evaluation.sizes import way_of

RNG = np.random.default_rng(0)
UP: tuple[Resize, ...] = ("pad", "bilinear", "bicubic", "lanczos", "nearest")


def held_out(name: str, n: int) -> Images:
    return data.load(name, "test").images[:n]


def blurry(images: Images) -> Images:
    return resampled(resampled(images, 14, "bilinear"), 28, "bicubic")


def noisy(images: Images) -> Images:
    """The images with slight noise, also in the border."""
    return np.clip(images + RNG.normal(3, 8, images.shape), 0, 255).astype(np.uint8)


@cache
def train(name: str) -> data.Dataset:
    return data.load(name)


def told(images: Images, name: str = "mnist") -> Resize:
    return way_of(images, train(name)).resize


@pytest.mark.parametrize("way", UP)
@pytest.mark.parametrize(("name", "size"), [("mnist", 32), ("mnist", 64), ("fashion-mnist", 32)])
def test_enlarged_images_tell_their_way(name: str, size: int, way: Resize) -> None:
    """This holds for sharp, blurry and noisy images. Digits have a margin of 4 pixels, so at 32 pixels none has ink in
    the border, padded or not."""
    expected = way if way in ("pad", "nearest") else "bilinear"
    x = held_out(name, 200)
    assert told(resampled(x, size, way), name) == expected
    assert told(resampled(blurry(x), size, way), name) == expected
    assert told(noisy(resampled(x, size, way)), name) == ("pad" if way == "pad" else "bilinear")


@pytest.mark.parametrize("way", ["none", "pad", "bilinear"])
def test_real_images_keep_their_colour_beside_gray_ones(way: Resize) -> None:
    """Otherwise a generator that lost its colour would be compared with real images without theirs."""
    pixels = RNG.integers(0, 256, (20, 3, 28, 28), np.uint8)
    colourful = data.Dataset("colourful", "test", pixels, None, (), "0" * 64)
    size = 28 if way == "none" else 32
    there = Preprocessing(size, 1, way).there_and_back(colourful)
    assert there.shape == pixels.shape
    assert (there == Preprocessing(size, 3, way).there_and_back(colourful)).all()
    assert (there[:, 0] != there[:, 1]).mean() > 0.5


@pytest.mark.parametrize("n", [1, 10])
@pytest.mark.parametrize("way", ["pad", "bilinear"])
def test_few_images_are_told_or_refused_never_mistaken(way: Resize, n: int) -> None:
    x = held_out("mnist", 60)
    right = 0
    for k in range(0, 60, 20):
        with suppress(UsageError):
            assert told(resampled(x[k : k + n], 32, way)) == way
            right += 1
        with suppress(UsageError):
            assert told(resampled(blurry(x[k : k + n]), 32, way)) == way
        assert told(resampled(x[k : k + n], 64, way)) == way
    assert right >= 1


@pytest.mark.parametrize("way", ["crop", *SHRINKING])
def test_shrunk_images_tell_their_kernel(way: Resize) -> None:
    """Each is recognised at 20 pixels; at half size torch samples the mean of four pixels, so `box` is right too."""
    x = held_out("mnist", 10_000)[::5]
    assert told(resampled(x, 20, way)) == way
    if way in ("box", "torch-bilinear"):
        assert told(resampled(x, 14, way)) in ("box", "torch-bilinear")


@pytest.mark.parametrize("images", [np.zeros((50, 1, 32, 32)), np.zeros((50, 1, 14, 14)), np.full((1, 1, 1, 1), 9)])
def test_what_cannot_be_told_is_refused_in_one_line(images: Any) -> None:
    with pytest.raises(UsageError, match=r"cannot tell how .*; say how with --resize \(.*bilinear") as caught:
        told(images.astype(np.uint8))
    assert "\n" not in str(caught.value)


def test_shrunk_images_of_no_kernel_are_refused() -> None:
    """Soft images are refused, though far nearer to bilinear than to any other kernel, and so are very soft ones."""
    for middle, kernel in ((16, "nearest"), (10, "bilinear")):
        soft = resampled(resampled(held_out("mnist", 300), middle, "bilinear"), 28, "bilinear")
        with pytest.raises(UsageError, match="they were interpolated, but with an unknown kernel"):
            told(resampled(soft, 14, "nearest" if kernel == "nearest" else "bilinear"))


def test_what_is_said_is_taken() -> None:
    big, small, same = (np.zeros((1, 1, side, side), np.uint8) for side in (32, 14, 28))
    real = data.load("mnist")
    assert way_of(big, real, "bilinear") == Preprocessing(32, 1, "bilinear")
    assert way_of(small, real, "box") == Preprocessing(14, 1, "box")
    assert way_of(same, real) == Preprocessing(28, 1, "none")
    with pytest.raises(UsageError, match="images of 14 pixels cannot have been padded from 28; use --resize bilinear"):
        way_of(small, real, "pad")
    with pytest.raises(UsageError, match="images of 32 pixels cannot have been cropped from 28"):
        way_of(big, real, "crop")
    assert Preprocessing(32, 1, "pad").words == "32 px, border cropped"
    assert "guessed from the images" in Preprocessing(32, 1, "pad", guessed=True).words


@pytest.mark.parametrize("way", ["pad", "crop", *SHRINKING])
def test_every_way_is_there_and_back(way: Resize) -> None:
    """Sending real images there and back equals resizing them and converting them back, in the dataset's form."""
    few = data.first(data.load("mnist", "test"), 20)
    for size in (12, 40):
        if size != {"pad": 12, "crop": 40}.get(way):
            found = Preprocessing(size, 1, way).there_and_back(few)
            assert found.shape == few.images.shape
            assert (found == Preprocessing(size, 1, way).back(resampled(few.images, size, way), 28, 1)).all()


def test_real_images_of_another_size_are_near_their_floor() -> None:
    """Digits at 64 pixels came out at 32 times the distance of real images when they were taken to be padded."""
    reader = judge_search.load("mnist")
    assert reader is not None
    test, train = data.load("mnist", "test"), data.load("mnist")
    sent = resampled(test.images[:1000], 64, "bilinear")
    way = way_of(sent, train)
    real = reader(way.there_and_back(data.first(train, 1000)))[0]
    floor = reader(way.there_and_back(data.first(data.load("mnist", "test"), 2000)))[0][1000:]
    distance = metrics.frechet_distance(real, reader(way.back(sent, 28, 1))[0])
    assert distance < 1.5 * metrics.frechet_distance(real, floor)
    padded = reader(Preprocessing(64, 1, "pad").back(sent, 28, 1))[0]
    assert metrics.frechet_distance(real, padded) > 10 * distance
