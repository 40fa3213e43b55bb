"""Every kind of source gives the same dataset: pixels, labels, names, fingerprints of both splits."""

from __future__ import annotations

import csv
import gzip
import io
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import genlab
import writers
from genlab import data
from genlab.data import memory
from genlab.data.dataset import Dataset, fingerprint
from genlab.data.sources.found import collect
from genlab.data.sources.picture import size_words
from genlab.errors import DataError
from writers import SORTED, Made, made

NUMBERS = ("0", "1", "2", "3", "4")


def same(dataset: Dataset, x: Any, y: Any, names: tuple[str, ...] = NUMBERS) -> None:
    """Assert that a dataset has these images, labels and class names, in this order."""
    assert dataset.labels is not None
    assert dataset.images.dtype == np.uint8
    assert dataset.labels.dtype == np.int64
    assert (dataset.images[:, 0] == x).all()
    assert (dataset.labels == y).all()
    assert dataset.class_names == names
    assert dataset.fingerprint == fingerprint(x[:, None], y.astype(np.int64))


@pytest.mark.parametrize("kind", writers.SOURCES)
def test_the_same_images_from_every_source(kind: str, tmp_path: Path) -> None:
    of, path = made(), str(writers.SOURCES[kind](tmp_path, made()))
    names = SORTED if kind in writers.WITH_NAMES else NUMBERS
    same(data.load(path), of.x, of.y, names)
    test = data.load_test(path)
    assert test is not None
    same(test, of.x_test, of.y_test, names)
    collection = collect(path)
    assert collection.splits == ("train", "test")
    assert len(collection) == len(of.x) + len(of.x_test)
    assert (collection.images([3, len(of.x)])[:, 0] == [of.x[3], of.x_test[0]]).all()


class Pairs(torch.utils.data.Dataset[Any]):
    """A torch dataset of (image, label) pairs."""

    def __init__(self, images: Any, labels: Any) -> None:
        self.images, self.labels = images, labels

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, k: int) -> Any:
        if k >= len(self):
            raise IndexError
        return self.images[k], self.labels[k]


def pillow(x: Any) -> list[Image.Image]:
    return [Image.fromarray(image) for image in x]


MEMORY: dict[str, Callable[[Any, Any], Any]] = {
    "arrays": lambda x, y: (x, y),
    "lists": lambda x, y: ([*x], y.tolist()),
    "N x H x W x 1": lambda x, y: (x[..., None], y[:, None]),
    "N x 1 x H x W": lambda x, y: (x[:, None], y.astype(np.uint8)),
    "Fortran order": lambda x, y: (np.asfortranarray(x), y),
    "floats": lambda x, y: (x / np.float32(255), y),
    "tensors": lambda x, y: (torch.tensor(x), torch.tensor(y)),
    "float tensors": lambda x, y: (torch.tensor(x)[:, None] / 255, torch.tensor(y)),
    "TensorDataset": lambda x, y: torch.utils.data.TensorDataset(torch.tensor(x), torch.tensor(y)),
    "torch dataset of tensors": lambda x, y: Pairs(torch.tensor(x)[:, None] / 255, y),
    "torch dataset of Pillow images": lambda x, y: Pairs(pillow(x), y),
    "Pillow images": lambda x, y: (pillow(x), y),
    "a mapping": lambda x, y: {"x_train": x, "y_train": y},
}


@pytest.mark.parametrize("kind", MEMORY)
def test_the_same_images_from_memory(kind: str) -> None:
    of = made()
    train, test = MEMORY[kind](of.x, of.y), MEMORY[kind](of.x_test, of.y_test)
    same(data.load(memory.keep(train)), of.x, of.y)
    name = memory.keep({"train": train, "test": test})
    same(data.load(name), of.x, of.y)
    found = data.load_test(name)
    assert found is not None
    same(found, of.x_test, of.y_test)


def test_colour_from_cifars_files(tmp_path: Path) -> None:
    """CIFAR-10 in several batches with a file of class names, and CIFAR-100, whose fine label comes second."""
    random = np.random.default_rng(0)
    x, y = random.integers(0, 256, (12, 3, 32, 32), np.uint8), (np.arange(12) % 5).astype(np.uint8)
    rows = np.concatenate([y[:, None], x.reshape(12, -1)], axis=1)
    ten, hundred = tmp_path / "ten", tmp_path / "hundred"
    ten.mkdir()
    hundred.mkdir()
    for batch, part in enumerate((rows[:4], rows[4:8]), 1):
        (ten / f"data_batch_{batch}.bin").write_bytes(part.tobytes())
    (ten / "test_batch.bin").write_bytes(rows[8:].tobytes())
    (ten / "batches.meta.txt").write_text("\n".join(SORTED) + "\n\n")
    for path in (ten, ten / "data_batch_2.bin"):
        train, test = data.load(str(path)), data.load(str(path), "test")
        assert (train.images == x[:8]).all()
        assert (test.images == x[8:]).all()
        assert train.labels is not None
        assert test.labels is not None
        assert (train.labels == y[:8]).all()
        assert (test.labels == y[8:]).all()
        assert train.class_names == SORTED
    (hundred / "train.bin").write_bytes(np.concatenate([9 - rows[:, :1], rows], axis=1).tobytes())
    fine = data.load(str(hundred / "train.bin"))
    assert (fine.images == x).all()
    assert fine.labels is not None
    assert (fine.labels == y).all()
    (ten / "data_batch_2.bin").write_bytes(rows.tobytes()[:-1])
    with pytest.raises(DataError, match=r"data_batch_2.bin: .* bytes do not divide into records of 3073"):
        data.load(str(ten))


@pytest.mark.parametrize("pack", ["folder", "zip", "tar"])
def test_a_flat_set_is_split_when_it_is_imported(pack: str, tmp_path: Path) -> None:
    """Class folders without splits have no test split; an import makes one, the same from every source."""
    of = made()
    content = writers.files(of.x, of.y)
    path = {
        "folder": lambda: writers.folder(tmp_path / "own", content),
        "zip": lambda: writers.zipped(tmp_path / "own.zip", content),
        "tar": lambda: writers.tarred(tmp_path / "own.tar", content),
    }[pack]()
    same(data.load(str(path)), of.x, of.y, SORTED)
    assert data.load_test(str(path)) is None
    genlab.import_images(path, tmp_path / "a.npz", split=0.25, seed=3)
    genlab.import_images((of.x, of.y), tmp_path / "b.npz", split=0.25, seed=3)
    for split in ("train", "test"):
        one, other = (data.load(str(tmp_path / name), split) for name in ("a.npz", "b.npz"))
        assert one.fingerprint == other.fingerprint
    assert np.bincount(one.labels).tolist() == [3] * 5  # type: ignore[arg-type]


def test_folders_and_files_are_in_natural_order(tmp_path: Path) -> None:
    """At every depth, digit_2 comes before digit_10 and 9.png before 10.png; capitals come before small letters."""
    of = made()
    found = collect(writers.folder(tmp_path / "own", writers.files(of.x, of.y)))
    assert found.class_names == SORTED
    assert [found.name(row) for row in range(3)] == ["Moon/0.png", "Moon/1.png", "Moon/2.png"]
    assert [found.name(row) for row in range(11, 13)] == ["Moon/11.png", "digit_1/12.png"]


def test_folders_inside_the_folder_of_a_class_are_of_that_class(tmp_path: Path) -> None:
    of = made()
    names = ("cat/siamese/0.png", "cat/tabby/1.png", "cat/2.png", "dog/3.png")
    inside = zip(names, map(writers.png, of.x[:4]), strict=True)
    found = collect(writers.folder(tmp_path / "own", inside))
    assert found.class_names == ("cat", "dog")
    assert found.labels is not None
    assert found.labels.tolist() == [0, 0, 0, 1]
    assert found.notes == ["the outermost folder is the class (cat), including its subfolders (cat/siamese, cat/tabby)"]
    both = [f"{split}/{name}" for split in ("train", "test") for name in names]
    splits = zip(both, map(writers.png, of.x[:8]), strict=True)
    assert collect(writers.folder(tmp_path / "splits", splits)).notes == found.notes, "once for both splits"


def test_images_without_classes(tmp_path: Path) -> None:
    """npy files, pictures in one folder and tables of pixels have no labels, unlike a single images/labels npz file."""
    of = made()
    np.save(tmp_path / "own.npy", of.x)
    flat = writers.folder(tmp_path / "own", ((f"{k}.png", writers.png(image)) for k, image in enumerate(of.x)))
    (tmp_path / "own.csv").write_text("\n".join(",".join(map(str, image.ravel())) for image in of.x))
    for path in (tmp_path / "own.npy", flat, tmp_path / "own.csv"):
        found = data.load(str(path))
        assert (found.images[:, 0] == of.x).all()
        assert found.labels is None
        assert "no labels: only unconditional recipes can use it" in found.notes
    writers.saved(tmp_path / "alone.npz", images=of.x, labels=of.y)
    same(data.load(str(tmp_path / "alone.npz")), of.x, of.y)


def test_a_validation_split_is_the_test_split_only_where_there_is_no_other(tmp_path: Path) -> None:
    of = made()
    arrays = {"train_images": of.x, "train_labels": of.y, "val_images": of.x_test, "val_labels": of.y_test}
    writers.saved(tmp_path / "val.npz", **arrays)
    files = [*writers.files(of.x, of.y, "train/"), *writers.files(of.x_test, of.y_test, "valid/")]
    folder = writers.folder(tmp_path / "val", iter(files))
    parquet = tmp_path / "parquet"
    writers.parquet(parquet / "train-0.parquet", of.x, of.y)
    writers.parquet(parquet / "validation-0.parquet", of.x_test, of.y_test)
    for path, names in ((tmp_path / "val.npz", NUMBERS), (folder, SORTED), (parquet, SORTED)):
        found = data.load(str(path), "test")
        same(found, of.x_test, of.y_test, names)
        assert any("taken as the test split" in note for note in found.notes)
    writers.saved(tmp_path / "both.npz", **arrays, test_images=of.x_test[:5], test_labels=of.y_test[:5])
    writers.folder(folder, writers.files(of.x_test[:5], of.y_test[:5], "test/"))
    writers.parquet(parquet / "test-0.parquet", of.x_test[:5], of.y_test[:5])
    for path, names in ((tmp_path / "both.npz", NUMBERS), (folder, SORTED), (parquet, SORTED)):
        same(data.load(str(path)), of.x, of.y, names)
        found = data.load(str(path), "test")
        same(found, of.x_test[:5], of.y_test[:5], names)
        assert any("left out" in note for note in found.notes)


def test_parquet_of_a_hub_that_keeps_splits_in_folders(tmp_path: Path) -> None:
    of = made()
    writers.parquet(tmp_path / "own" / "default" / "train" / "0000.parquet", of.x, of.y)
    writers.parquet(tmp_path / "own" / "default" / "test" / "0000.parquet", of.x_test, of.y_test)
    same(data.load(str(tmp_path / "own")), of.x, of.y, SORTED)
    same(data.load(str(tmp_path / "own"), "test"), of.x_test, of.y_test, SORTED)


def test_labels_of_qmnist(tmp_path: Path) -> None:
    """Labels of QMNIST are eight integers per image, the first of which is the class."""
    of = made()
    more = np.stack([of.y, *(100 + np.arange(len(of.y)) for _ in range(7))], axis=1).astype(">i4")
    (tmp_path / "qmnist-train-images-idx3-ubyte").write_bytes(writers.idx(of.x))
    (tmp_path / "qmnist-train-labels-idx2-int.gz").write_bytes(gzip.compress(writers.idx(more)))
    for path in (tmp_path, tmp_path / "qmnist-train-images-idx3-ubyte", tmp_path / "qmnist-train-labels-idx2-int.gz"):
        same(data.load(str(path)), of.x, of.y)


@pytest.mark.parametrize("folder", [".", "gzip", "the-latest"])
def test_emnist(folder: str, tmp_path: Path) -> None:
    """Rows and columns are swapped back, and class names are the characters in the mapping file."""
    of = made()
    at = tmp_path / "data" / folder
    at.mkdir(parents=True)
    swapped = np.ascontiguousarray(of.x.swapaxes(1, 2))
    (at / "emnist-own-train-images-idx3-ubyte").write_bytes(writers.idx(swapped))
    (at / "emnist-own-train-labels-idx1-ubyte").write_bytes(writers.idx(of.y.astype(np.uint8)))
    (at / "emnist-own-mapping.txt").write_text("".join(f"{k} {97 + k}\n" for k in range(5)))
    found = data.load(str(tmp_path / "data"))
    same(found, of.x, of.y, ("a", "b", "c", "d", "e"))
    assert "EMNIST's files store rows and columns swapped; they were swapped back" in found.notes
    (at / "emnist-own-mapping.txt").write_text("0 97\n")
    with pytest.raises(DataError, match="label 1 is missing"):
        data.load(str(tmp_path / "data"))


def test_pairs_of_npz_files_of_kmnist(tmp_path: Path) -> None:
    of = made()
    for split, x, y in (("train", of.x, of.y), ("test", of.x_test, of.y_test)):
        writers.saved(tmp_path / f"kmnist-{split}-imgs.npz", arr_0=x)
        writers.saved(tmp_path / f"kmnist-{split}-labels.npz", arr_0=y.astype(np.uint8))
    for name in ("kmnist-train-imgs.npz", "kmnist-test-imgs.npz"):
        path = str(tmp_path / name)
        same(data.load(path), of.x, of.y)
        same(data.load(path, "test"), of.x_test, of.y_test)


def test_labels_that_begin_at_one_keep_their_names(tmp_path: Path) -> None:
    of = made()
    names = ("1", "2", "3", "4", "5")
    one = Made(of.x, of.y + 1, of.x_test, of.y_test + 1)
    for kind in ("npz", "IDX", "CSV"):
        (tmp_path / kind).mkdir()
        path = str(writers.SOURCES[kind](tmp_path / kind, one))
        found = data.load(path)
        same(found, of.x, of.y, names)
        assert "labels are 1, 2, 3, 4, 5: taken as the names of 5 classes" in found.notes
        same(data.load(path, "test"), of.x_test, of.y_test, names)


def test_strings_as_labels(tmp_path: Path) -> None:
    """Classes given as strings are in natural order, like those of folders."""
    of = made()
    words = np.array(SORTED)
    arrays = {"x_train": of.x, "y_train": words[of.y], "x_test": of.x_test, "y_test": words[of.y_test]}
    writers.saved(tmp_path / "own.npz", **arrays)
    writers.saved(tmp_path / "bytes.npz", **arrays | {k: np.char.encode(arrays[k]) for k in ("y_train", "y_test")})
    rows = (",".join([word, *map(str, image.ravel())]) for word, image in zip(words[of.y], of.x, strict=True))
    (tmp_path / "own.csv").write_text("\n".join(rows))
    for path in ("own.npz", "bytes.npz", "own.csv"):
        same(data.load(str(tmp_path / path)), of.x, of.y, SORTED)
    same(data.load(str(tmp_path / "own.npz"), "test"), of.x_test, of.y_test, SORTED)
    same(data.load(memory.keep((of.x, words[of.y].tolist()))), of.x, of.y, SORTED)


TEXTS: dict[str, Callable[[str], bytes]] = {
    "CRLF": lambda text: text.replace("\n", "\r\n").encode(),
    "BOM": lambda text: b"\xef\xbb\xbf" + text.encode(),
    "empty lines": lambda text: ("\n\n" + text.replace("\n", "\n\n")).encode(),
    "semicolons": lambda text: text.replace(",", ";").encode(),
    "tabs": lambda text: text.replace(",", "\t").encode(),
    "quotes": lambda text: "\n".join(
        ",".join(f'"{cell}"' for cell in line.split(",")) for line in text.split("\n") if line
    ).encode(),
    "quotes and spaces": lambda text: "\n".join(
        " , ".join(f'"{cell}"' for cell in line.split(",")) for line in text.split("\n") if line
    ).encode(),
    "spaces": lambda text: text.replace(",", " , ").encode(),
    "a comma at the end": lambda text: text.replace("\n", ",\n").encode(),
    "an id": lambda text: "\n".join(
        f"{k if k else 'id'},{line}" for k, line in enumerate(text.strip().split("\n"))
    ).encode(),
    "whole floats": lambda text: (
        text.replace(",", ".0,").replace("label.0", "label").replace(".0,pixel", ",pixel").encode()
    ),
}


@pytest.mark.parametrize("kind", TEXTS)
def test_tables_as_programs_write_them(kind: str, tmp_path: Path) -> None:
    of = made()
    text = writers.table(of.x, of.y, header=True).decode().replace("\r\n", "\n")
    (tmp_path / "own.csv").write_bytes(TEXTS[kind](text))
    found = data.load(str(tmp_path / "own.csv"))
    same(found, of.x, of.y)
    assert not any("taken as the label" in note for note in found.notes), "it is known by its name"


@pytest.mark.parametrize("first", [True, False])
def test_the_column_that_is_not_named_like_the_pixels_has_the_labels(first: bool, tmp_path: Path) -> None:
    of = made()
    pixels, names = of.x.reshape(len(of.x), -1), [f"p{k}" for k in range(of.x[0].size)]
    rows: list[list[Any]] = [["klasse", *names], *([SORTED[y], *x] for y, x in zip(of.y, pixels.tolist(), strict=True))]
    text = "\n".join(",".join(map(str, row if first else [*row[1:], row[0]])) for row in rows)
    (tmp_path / "own.csv").write_text(text)
    same(data.load(str(tmp_path / "own.csv")), of.x, of.y, SORTED)


def test_a_name_with_the_separator_in_it(tmp_path: Path) -> None:
    of = made()
    names = np.array(["a, b", "b", "c", 'd "e"', "f"])
    buffer = io.StringIO()
    csv.writer(buffer).writerows([names[k], *image.ravel()] for k, image in zip(of.y, of.x, strict=True))
    (tmp_path / "own.csv").write_text(buffer.getvalue())
    same(data.load(str(tmp_path / "own.csv")), of.x, of.y, tuple(names.tolist()))


def test_several_sets_in_one_folder_are_not_guessed_at(tmp_path: Path) -> None:
    of = made()
    for name in ("digits-images-idx3-ubyte", "letters-images-idx3-ubyte"):
        (tmp_path / name).write_bytes(writers.idx(of.x))
    with pytest.raises(DataError, match="several files of images"):
        data.load(str(tmp_path))
    assert len(data.load(str(tmp_path / "letters-images-idx3-ubyte"))) == len(of.x)


@pytest.mark.parametrize("first", ["label,{}", "{},label", ",{}", "{}"])
def test_names_of_pixels_that_are_numbers(first: str, tmp_path: Path) -> None:
    """A header of numbers, as programs write by default, becomes neither an image nor a class called label."""
    of = made()
    rows = [first.format(",".join(map(str, range(64))))]
    for k, (image, y) in enumerate(zip(of.x, of.y, strict=True)):
        pixels = ",".join(map(str, image.ravel()))
        rows.append(
            {"label,{}": f"{y},{pixels}", "{},label": f"{pixels},{y}", ",{}": f"{k},{pixels}"}.get(first, pixels)
        )
    (tmp_path / "own.csv").write_text("\n".join(rows))
    found = data.load(str(tmp_path / "own.csv"))
    assert (found.images[:, 0] == of.x).all()
    assert found.class_names == (NUMBERS if "label" in first else ())


def test_empty_parts_of_a_parquet_set(tmp_path: Path) -> None:
    of = made()
    writers.parquets(tmp_path / "own", of)
    writers.parquet(tmp_path / "own" / "train-00002-of-00003.parquet", of.x[:0], of.y[:0])
    same(data.load(str(tmp_path / "own")), of.x, of.y, SORTED)
    writers.parquet(tmp_path / "none.parquet", of.x[:0], of.y[:0])
    with pytest.raises(DataError, match="no images in it"):
        data.load(str(tmp_path / "none.parquet"))


@pytest.mark.parametrize("first", [True, False])
def test_the_label_of_a_sorted_table_without_a_header(first: bool, tmp_path: Path) -> None:
    """The first lines are all of one class."""
    pixels = np.random.default_rng(0).integers(0, 256, (700, 28 * 28))
    pixels[:, 0] = 0
    labels = np.repeat([4, 7], 350)[:, None]
    table = np.hstack([labels, pixels] if first else [pixels, labels])
    np.savetxt(tmp_path / "sorted.csv", table, "%d", delimiter=",")
    found = data.load(str(tmp_path / "sorted.csv"))
    assert found.labels is not None
    assert np.array(found.class_names)[found.labels].tolist() == labels[:, 0].astype(str).tolist()
    assert (found.images.reshape(700, -1) == pixels).all()
    assert f"column {1 if first else 785} of 785 is taken as the label" in found.notes[0]


def test_a_class_that_is_called_train(tmp_path: Path) -> None:
    """It is a split only if there is a test split, or if it has class folders."""
    picture = writers.png(np.full((8, 8), 200, np.uint8))
    for place in ("a/bus/1.png", "a/train/1.png", "b/train/bus/1.png", "b/train/car/1.png", "b/more/1.png"):
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / place).write_bytes(picture)
    assert data.load(str(tmp_path / "a")).class_names == ("bus", "train")
    assert data.load(str(tmp_path / "b")).class_names == ("bus", "car")


def test_pictures_that_look_black_are_refused(tmp_path: Path) -> None:
    """Masks of 0 and 1 would be trained on as black images."""
    (tmp_path / "masks").mkdir()
    for k in range(3):
        (tmp_path / "masks" / f"{k}.png").write_bytes(writers.png(np.eye(8, dtype=np.uint8)))
    with pytest.raises(DataError, match=r"masks has pixel values 0 \.\. 1, which look black; .*--range 0\.\.1"):
        data.load(str(tmp_path / "masks"))


def test_sizes_that_are_not_told_are_counted_as_pictures_and_as_sizes() -> None:
    alone = Counter({(k, k): 1 for k in range(1, 60)})
    assert size_words(alone, most=1) == "1 of 1 x 1, 58 others, each of its own size"
    assert size_words(alone + Counter({(9, 9): 2, (8, 8): 1}), most=1) == "3 of 9 x 9, 59 others, of 58 sizes"
