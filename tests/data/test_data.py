from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import genlab
from genlab import data
from genlab.data import builtin
from genlab.data.dataset import Dataset, resampled_by_pillow
from genlab.errors import DataError

PIXELS = np.arange(6 * 8 * 8, dtype=np.uint8).reshape(6, 8, 8)
LABELS = np.array([0, 1, 2, 0, 1, 2], np.int64)


def saved(path: Path, **arrays: Any) -> Path:
    np.savez(path, **arrays)
    return path


@pytest.mark.parametrize("name", ["mnist", "fashion-mnist"])
@pytest.mark.parametrize(("split", "n"), [("train", 60_000), ("test", 10_000)])
def test_built_in_datasets(name: str, split: data.Split, n: int) -> None:
    dataset = data.load(name, split)
    assert dataset.images.shape == (n, 1, 28, 28)
    assert dataset.images.dtype == np.uint8
    assert dataset.labels is not None
    assert np.bincount(dataset.labels).shape == (10,)
    assert len(dataset.class_names) == 10


def test_one_flipped_byte_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with np.load(builtin.file_of("mnist")) as arrays:
        content = dict(arrays)
    content["x_train"][12_345, 14, 14] ^= 1
    np.savez(tmp_path / "mnist.npz", **content)
    monkeypatch.setattr(builtin, "file_of", lambda name: tmp_path / f"{name}.npz")
    with pytest.raises(DataError, match="x_train was changed: sha256"):
        data.load("mnist")
    assert len(data.load("mnist", "test")) == 10_000


def test_own_file(tmp_path: Path) -> None:
    path = saved(tmp_path / "own.npz", x_train=PIXELS, y_train=LABELS, class_names=np.array(["a", "b", "c"]))
    dataset = data.load(str(path))
    assert (dataset.images[:, 0] == PIXELS).all()
    assert dataset.class_names == ("a", "b", "c")
    assert dataset.notes == ()


def test_colour_in_either_order(tmp_path: Path) -> None:
    colour = np.random.default_rng(0).integers(0, 256, (5, 8, 8, 3), np.uint8)
    last = data.load(str(saved(tmp_path / "last.npz", x_train=colour)))
    first = data.load(str(saved(tmp_path / "first.npz", x_train=colour.transpose(0, 3, 1, 2))))
    assert (last.images == first.images).all()
    assert any("channels last" in note for note in last.notes)
    assert any("no labels" in note for note in first.notes)


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"y_train": LABELS}, "no array x_train"),
        ({"x_train": PIXELS / 255.0}, "expected uint8"),
        ({"x_train": PIXELS.astype(">i8")}, "expected uint8"),
        ({"x_train": PIXELS[0]}, "has shape (8, 8)"),
        ({"x_train": PIXELS[:, :, :5]}, "5 x 8 pixels; expected squares"),
        ({"x_train": PIXELS[:0]}, "no images"),
        ({"x_train": PIXELS, "y_train": LABELS[:5]}, "expected (6,)"),
        ({"x_train": PIXELS, "y_train": LABELS - 1}, "y_train[0] is -1"),
        ({"x_train": PIXELS, "y_train": LABELS * 1.0}, "expected integers"),
        ({"x_train": PIXELS, "y_train": LABELS, "class_names": np.array(["a"])}, "at least 3 strings"),
        ({"x_train": PIXELS, "y_train": LABELS, "class_names": np.array(["a", "b", "a"])}, "appears twice"),
        ({"x_train": PIXELS, "y_train": LABELS, "class_names": np.array(["a", "b", "\x1b[2J"])}, "a printable name"),
        ({"x_train": PIXELS, "y_train": LABELS.astype("m8[s]")}, "expected integers"),
        ({"x_train": np.array([{}], dtype=object)}, "Python objects"),
    ],
)
def test_a_bad_file_is_refused_in_words(arrays: dict[str, Any], words: str, tmp_path: Path) -> None:
    path = saved(tmp_path / "bad.npz", **arrays)
    with pytest.raises(DataError) as caught:
        data.load(str(path))
    assert words in str(caught.value)
    assert "bad.npz" in str(caught.value)
    assert caught.value.exit_code == 3


def test_not_an_npz_file(tmp_path: Path) -> None:
    (tmp_path / "a.npz").write_text("hello")
    with pytest.raises(DataError, match="not an npz file"):
        data.load(str(tmp_path / "a.npz"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no pictures in it"):
        data.load(str(tmp_path / "empty"))
    with pytest.raises(DataError, match="neither a built-in dataset"):
        data.load("mnits")


def test_a_truncated_file_is_noticed(tmp_path: Path) -> None:
    path = saved(tmp_path / "own.npz", x_train=PIXELS)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(DataError, match="damaged"):
        data.load(str(path))


def test_a_declared_size_that_is_not_there_is_refused_before_reading(tmp_path: Path) -> None:
    header = b"\x93NUMPY\x01\x00v\x00" + b"{'descr': '|u1', 'fortran_order': False, 'shape': (10000000000000, 8, 8), }"
    header += b" " * (128 - len(header) - 1) + b"\n"
    with zipfile.ZipFile(tmp_path / "bomb.npz", "w") as archive:
        archive.writestr("x_train.npy", header + b"abc")
    with pytest.raises(DataError, match="the limit is"):
        data.load(str(tmp_path / "bomb.npz"))


def test_the_fingerprint_is_of_pixels_labels_and_order(tmp_path: Path) -> None:
    def fingerprint(**arrays: Any) -> str:
        return data.load(str(saved(tmp_path / "own.npz", **arrays))).fingerprint

    pixel, order = PIXELS.copy(), [1, 0, 2, 3, 4, 5]
    pixel[3, 3, 3] += 1
    original = fingerprint(x_train=PIXELS, y_train=LABELS)
    assert original == fingerprint(x_train=PIXELS, y_train=LABELS.astype(np.uint8))
    others = [
        fingerprint(x_train=pixel, y_train=LABELS),
        fingerprint(x_train=PIXELS[order], y_train=LABELS[order]),
        fingerprint(x_train=PIXELS, y_train=LABELS[::-1]),
        fingerprint(x_train=PIXELS),
    ]
    assert len({original, *others}) == 5


def dataset_of(images: np.ndarray[Any, Any]) -> Dataset:
    return Dataset("x", "train", images, None, (), "")


def test_padding_adds_a_black_border() -> None:
    padded = data.fit(dataset_of(PIXELS[:, None]), 12, "pad", 1).images
    assert padded.shape == (6, 1, 12, 12)
    assert (padded[:, :, 2:10, 2:10] == PIXELS[:, None]).all()
    assert padded.sum(dtype=np.int64) == PIXELS.sum(dtype=np.int64)


def test_bilinear_is_pillows() -> None:
    resized = data.fit(dataset_of(PIXELS[:, None]), 5, "bilinear", 1).images
    expected = Image.fromarray(PIXELS[2]).resize((5, 5), Image.Resampling.BILINEAR)
    assert (resized[2, 0] == np.asarray(expected)).all()


def test_gray_becomes_colour_by_repetition() -> None:
    colour = data.fit(dataset_of(PIXELS[:, None]), 8, "none", 3).images
    assert all((colour[:, k] == PIXELS).all() for k in range(3))


def test_the_first_images_with_their_labels() -> None:
    mnist = data.load("mnist")
    few = data.first(mnist, 7)
    assert mnist.labels is not None
    assert few.labels is not None
    assert np.array_equal(few.images, mnist.images[:7])
    assert np.array_equal(few.labels, mnist.labels[:7])
    assert len(data.first(mnist, None)) == 60_000
    assert few.fingerprint == mnist.fingerprint


def test_the_test_split_of_a_dataset(tmp_path: Path) -> None:
    """The test split is None if there is none, and refused if it does not fit the training split."""
    built_in = data.load_test("mnist")
    assert built_in is not None
    assert (built_in.split, len(built_in)) == ("test", 10_000)
    x, y = np.zeros((6, 28, 28), np.uint8), np.arange(6) % 3

    def split(**arrays: object) -> data.Dataset | None:
        path = str(tmp_path / "own.npz")
        np.savez(path, x_train=x, y_train=y, **arrays)  # type: ignore[arg-type]
        return data.load_test(path)

    assert split() is None
    found = split(x_test=x[:2], y_test=y[:2])
    assert found is not None
    assert len(found) == 2
    with pytest.raises(DataError, match="the test images are 1 x 20 x 20"):
        split(x_test=np.zeros((2, 20, 20), np.uint8), y_test=y[:2])
    with pytest.raises(DataError, match=r"y_test\[0\] is 4, a class that the training images lack"):
        split(x_test=x[:1], y_test=np.array([4]))


def test_training_on_a_subset(digits: Path, tmp_path: Path) -> None:
    changes = {"data.name": str(digits), "data.subset": 30, "budget.batch": 10, "engine.plan": "reference"}
    with pytest.warns(UserWarning, match="from 3 of 10 classes"):  # The file is sorted.
        run = genlab.train("s4-classifier", overrides={**changes, "budget.epochs": 1}, runs=tmp_path, report=False)
    assert run.provenance["data"]["images"] == 30
    assert run.metrics()[-1]["images"] == 30


@pytest.mark.parametrize("kernel", ["NEAREST", "BOX", "BILINEAR", "BICUBIC", "LANCZOS"])
@pytest.mark.parametrize("size", [1, 16, 27, 32, 64])
def test_images_are_interpolated_as_pillow_does_one_by_one(kernel: str, size: int) -> None:
    images = np.random.default_rng(0).integers(0, 256, (3, 3, 28, 28), np.uint8)
    method = Image.Resampling[kernel]
    found = resampled_by_pillow(images, size, method)
    assert found.shape == (3, 3, size, size)
    for n, channel in np.ndindex(3, 3):
        alone = np.asarray(Image.fromarray(images[n, channel]).resize((size, size), method))
        assert (found[n, channel] == alone).all()
