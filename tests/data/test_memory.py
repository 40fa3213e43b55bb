"""Images from Python: every accepted form, the messages that refuse all others, and runs trained on them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import genlab
from genlab import data
from genlab.data import memory
from genlab.data.dataset import fingerprint
from genlab.data.folder import in_memory
from genlab.errors import DataError, UsageError
from writers import made

OF = made()
COLOUR = np.random.default_rng(2).integers(0, 256, (6, 8, 8, 3), np.uint8)


def pillow(x: Any) -> list[Image.Image]:
    return [Image.fromarray(image) for image in x]


class Items(torch.utils.data.Dataset[Any]):
    """A torch dataset of these items."""

    def __init__(self, items: list[Any], classes: Any = None) -> None:
        self.items = items
        if classes is not None:
            self.classes = classes

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, k: int) -> Any:
        return self.items[k]


class Stream(torch.utils.data.IterableDataset[Any]):
    def __iter__(self) -> Iterator[Any]:
        return iter(zip(torch.tensor(OF.x), OF.y.tolist(), strict=True))


FORMS: dict[str, Any] = {
    "N x H x W": OF.x,
    "N x C x H x W": OF.x[:, None],
    "N x H x W x C": OF.x[..., None],
    "rows": OF.x.reshape(len(OF.x), -1),
    "a tensor": torch.tensor(OF.x),
    "a tensor with a gradient": (torch.tensor(OF.x) / 255).requires_grad_(),
    "a list of arrays": list(OF.x),
    "a list of tensors": list(torch.tensor(OF.x)),
    "a list of tensors with gradients": list((torch.tensor(OF.x) / 255).requires_grad_()),
    "float64": OF.x / 255,
    "float16": (OF.x / 255).astype(np.float16),
    "Pillow images": pillow(OF.x),
    "a tuple of Pillow images": tuple(pillow(OF.x)),
    "a torch dataset of images": Items(list(torch.tensor(OF.x))),
    "a torch dataset of Pillow images": Items(pillow(OF.x)),
    "a mapping": {"x_train": OF.x},
    "train alone": {"train": OF.x, "test": None},
    "a subset": torch.utils.data.Subset(Items(list(torch.tensor(OF.x))), range(len(OF.x))),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_images(form: str) -> None:
    name = memory.keep(FORMS[form])
    found = data.load(name)
    assert (found.images[:, 0] == OF.x).all()
    assert (found.labels, found.class_names) == (None, ())
    assert found.fingerprint == fingerprint(OF.x[:, None], None)
    assert name == memory.name_of(FORMS[form]) == f"memory:{found.fingerprint[:12]}"
    assert data.load_test(name) is None


def test_colour_in_every_order() -> None:
    for given in (COLOUR, torch.tensor(COLOUR).permute(0, 3, 1, 2), pillow(COLOUR), Items(pillow(COLOUR))):
        found = data.load(memory.keep(given)).images
        assert (found == COLOUR.transpose(0, 3, 1, 2)).all()


def test_an_iterable_dataset_is_read_once() -> None:
    found = data.load(memory.keep(Stream()))
    assert (found.images[:, 0] == OF.x).all()
    assert found.labels is not None
    assert (found.labels == OF.y).all()


@pytest.mark.parametrize("of", ["tensors", "Pillow images"])
def test_classes_of_a_torch_dataset_keep_their_order(of: str) -> None:
    """Class names keep their order even if they are not sorted or a class has no image."""
    images: Any = torch.tensor(OF.x) if of == "tensors" else pillow(OF.x)
    names = ["z", "b", "y", "a", "x", "unused"]
    found = data.load(memory.keep(Items(list(zip(images, OF.y.tolist(), strict=True)), names)))
    assert found.class_names == tuple(names)
    assert found.labels is not None
    assert (found.labels == OF.y).all()
    strange = data.load(memory.keep(Items(list(zip(images, OF.y.tolist(), strict=True)), {"a": 1})))
    assert strange.class_names == ("0", "1", "2", "3", "4")


def test_a_test_split_given_for_itself_has_the_numbers_of_the_training_split() -> None:
    some = np.isin(OF.y_test, [1, 3])
    x, y = OF.x_test[some], OF.y_test[some]
    apart = data.load_test(memory.keep({"train": (OF.x, OF.y), "test": (x, y)}))
    together = data.load_test(memory.keep({"x_train": OF.x, "y_train": OF.y, "x_test": x, "y_test": y}))
    assert apart is not None
    assert together is not None
    assert apart.labels is not None
    assert apart.labels.tolist() == y.tolist()
    assert apart.class_names == ("0", "1", "2", "3", "4")
    assert apart.fingerprint == together.fingerprint
    with pytest.raises(DataError, match="the test split has 5 classes"):
        data.load_test(memory.keep({"train": (OF.x[:24], OF.y[:24]), "test": (OF.x_test, OF.y_test)}))


def test_a_dataset_of_genlab_is_what_it_holds() -> None:
    """Part of a dataset has its own fingerprint and name, so it never replaces the whole."""
    whole = data.load("mnist", "test")
    names = [memory.keep(each) for each in (whole, data.first(whole, 20))]
    assert len(set(names)) == 2
    assert [len(data.load(name)) for name in names] == [10_000, 20]
    assert data.load(names[0]).fingerprint == whole.fingerprint
    both = memory.keep({"train": data.first(whole, 50), "test": data.first(whole, 20)})
    assert len(data.load(both, "test")) == 20


def test_what_is_kept_is_a_copy() -> None:
    """The name contains the fingerprint, so the images that it refers to never change."""
    for given in (OF.x.copy(), torch.tensor(OF.x)):
        name = memory.keep(given)
        given[:] = 0
        found = data.load(name)
        assert found.fingerprint == fingerprint(found.images, None)


def test_images_in_memory_are_imported_and_measured_in_every_form(tmp_path: Path) -> None:
    part = data.first(data.load("mnist", "test"), 200)
    forms: list[Any] = [part, (part.images, part.labels), {"train": part}, {"train": part, "test": part}]
    prints = set()
    for k, given in enumerate(forms):
        genlab.import_images(given, tmp_path / f"{k}.npz", split=0 if k < 3 else None)
        found = data.load(str(tmp_path / f"{k}.npz"))
        prints.add(found.fingerprint)
        assert found.class_names == part.class_names
        images, labels, _ = in_memory(given, part.class_names)
        assert (images[:200] == part.images).all()
        assert labels is not None
        assert (labels[:200] == part.labels).all()
    assert prints == {fingerprint(part.images, part.labels)}


BAD: dict[str, tuple[Any, str]] = {
    "a number": (3, "data is a int; expected a name, a path, an array of images"),
    "None": (None, "data is a NoneType"),
    "an empty list": ([], "data is a list"),
    "a set": ({1}, "data is a set"),
    "three things": ((OF.x, OF.y, OF.y), "data is a tuple"),
    "an unknown key": ({"x_train": OF.x, "labels": OF.y}, "data: unknown key 'labels'; allowed: x_train"),
    "another unknown key": ({"train": OF.x, "val": OF.x}, "data: unknown key 'val'; a mapping has train and test"),
    "no images": ({"x_train": None}, "data: x_train, the images, is missing"),
    "labels of no images": ({"x_train": OF.x, "y_test": OF.y}, "data: x_test, the images, is missing"),
    "a single number": (np.uint8(3), "data is a uint8"),
    "no dimensions": (np.array(3, np.uint8), r"x_train has shape \(\); expected"),
    "no image": (OF.x[:0], r"x_train has shape \(0, 8, 8\): no images"),
    "floats to 255": (OF.x * 1.0, r"x_train has values 0 .. 255; .*give x / 255"),
    "floats from -1": (OF.x / 127.5 - 1, r"x_train has values -1 .. 1; .*give \(x \+ 1\) / 2"),
    "NaN": (OF.x * np.nan, r"x_train has NaN; float images must lie in \[0, 1\]"),
    "integers": (OF.x.astype(np.int64), "x_train is int64 with values 0 .. 255"),
    "one single value": (np.full((2, 8, 8), -56, np.int8), "x_train is int8 with values -56 .. -56; .*if -56 is black"),
    "bool": (OF.x > 9, r"x_train is bool with values 0 .. 1; .*\(x \* 255\).round\(\).astype\('uint8'\)"),
    "complex": (OF.x * 1j, "x_train is complex128; expected uint8"),
    "strings": (np.array([["a"]]), "x_train is <U1; expected uint8"),
    "a sparse tensor": (torch.tensor(OF.x).to_sparse(), "a tensor of torch.uint8, torch.sparse_coo, cannot be used"),
    "a conjugate": (torch.zeros(2, 4, 4, dtype=torch.complex64).conj(), "a tensor of torch.complex64"),
    "not square": (OF.x[:, :5], "8 x 5 pixels; expected squares"),
    "several sizes": ([OF.x[0], OF.x[0][:5]], "images of several sizes cannot form one array"),
    "tensors of several sizes": ([*torch.tensor(OF.x[:2]), torch.zeros(5, 5)], "images of several sizes"),
    "Pillow images of several sizes": (pillow([OF.x[0], OF.x[0][:5]]), "pictures of several sizes"),
    "Pillow images without pixels": ([Image.new("L", (0, 0))] * 2, r"\[0\]: no pixels"),
    "Pillow images and arrays with labels": (([*pillow(OF.x), OF.x[0]], [*OF.y, 1]), "a ndarray among Pillow images"),
    "transparent Pillow images": ([Image.new("RGBA", (8, 8))], "transparent pixels need a background"),
    "deep Pillow images": ([Image.new("I;16", (8, 8))], "16 bits, expected 8 bits"),
    "too few labels": ((OF.x, OF.y[:3]), r"y_train has shape \(3,\); expected \(60,\)"),
    "too few labels of Pillow images": ((pillow(OF.x), OF.y[:3]), r"labels has shape \(3,\); expected \(60,\)"),
    "one-hot labels": ((OF.x, np.eye(5)[OF.y]), "one-hot labels: save y.argmax"),
    "float labels": ((OF.x, OF.y / 2), "y_train is float64; expected integers"),
    "mixed labels": ((OF.x, [None, *OF.y[1:]]), "y_train is object; expected integers"),
    "negative labels": ((OF.x, OF.y - 1), r"y_train\[0\] is -1"),
    "huge labels": ((OF.x, OF.y.astype(np.uint64) + 2**63), r"y_train\[0\] is 9223372036854775808"),
    "a label": ((OF.x, 3), r"y_train has shape \(\); expected \(60,\)"),
    "names that are too few": ({"x_train": OF.x, "y_train": OF.y, "class_names": ["a"]}, "at least 5 strings"),
    "an empty torch dataset": (Items([]), "the torch dataset is empty"),
    "a torch dataset of several sizes": (Items([torch.zeros(4, 4), torch.zeros(5, 5)]), "images of several sizes"),
    "a torch dataset of dicts": (Items([{"image": 1}]), "x_train is object"),
    "float labels of a torch dataset": (Items([(OF.x[0], 1.5), (OF.x[1], 2.5)]), "y_train is float64"),
    "labels of some images": (Items([(OF.x[0], 1), (OF.x[1], None)]), "y_train is object"),
    "a class beyond the names": (Items([(pillow(OF.x)[0], 3)], ["a"]), "classes: expected at least 4 strings"),
    "no path": (Path("nowhere"), "dataset 'nowhere': neither a built-in dataset"),
    "another process's": ("memory:0123456789ab", "were passed from Python, and are not in this process"),
}


@pytest.mark.parametrize("case", BAD)
def test_anything_else_is_refused_in_words(case: str) -> None:
    given, words = BAD[case]
    with pytest.raises(DataError, match=words):
        data.load(memory.name_of(given))


def test_a_picture_that_is_cut_off_is_refused_when_it_is_looked_at(tmp_path: Path) -> None:
    """Pillow opens a file but reads its pixels only later, so a truncated one is refused then."""
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64), np.uint8)).save(tmp_path / "a.png")
    (tmp_path / "a.png").write_bytes((tmp_path / "a.png").read_bytes()[:900])
    with Image.open(tmp_path / "a.png") as image, pytest.raises(DataError, match=r"\[0\]: damaged, or cut off"):
        memory.keep([image])


def test_a_run_on_arrays_keeps_the_fingerprint_and_asks_for_them_in_another_process(tmp_path: Path) -> None:
    changes = {
        "engine.plan": "reference",
        "networks.generator.ngf": 4,
        "networks.discriminator.ndf": 4,
        "budget.batch": 16,
        "budget.max_steps": 2,
        "logging.evaluation": "none",
        "logging.tensorboard": False,
    }
    of = made(12, 3, 28)
    run = genlab.train(
        "quick-mnist",
        data={"train": (of.x, of.y), "test": (of.x_test, of.y_test)},
        overrides=changes,
        runs=tmp_path,
        name="own",
        report=False,
        progress=False,
    )
    told = run.provenance["data"]
    assert told["fingerprint"] == fingerprint(of.x[:, None], of.y)
    assert told["name"].startswith("memory:")
    np.savez(tmp_path / "own.npz", x=of.x, y=of.y, xt=of.x_test, yt=of.y_test)
    script = f"""
import numpy as np, genlab
a = np.load({str(tmp_path / "own.npz")!r})
whole = {{"train": (a["x"], a["y"]), "test": (a["xt"], a["yt"])}}
run = {str(tmp_path / "own")!r}
for given in (None, (a["x"][::-1], a["y"])):
    try:
        genlab.open_run(run, data=given).evaluate(n=20)
    except genlab.errors.GenlabError as error:
        print(type(error).__name__, error)
print(genlab.open_run(run, data=whole).evaluate(n=20).record["metrics"]["memorised_fraction"]["n"])
print(genlab.train(resume=run, data=whole, report=False, progress=False).path.name)
"""
    ended = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env=dict(os.environ), timeout=120, check=False
    )
    assert ended.returncode == 0, ended.stderr
    lines = ended.stdout.splitlines()
    assert len(lines) == 4
    assert all("its images were passed from Python, and are not in this process" in line for line in lines[:2])
    assert all("DataError" in line and "data=" in line for line in lines[:2])
    assert lines[2:] == ["20", "own"]


def test_data_and_a_recipe_that_names_another_dataset(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"data is memory:[0-9a-f]+, but data.name is mnist; give one of them"):
        genlab.train("quick-mnist", data=OF.x, overrides={"data.name": "mnist"}, runs=tmp_path)


def test_datasets_in_memory_are_loaded_as_others_are() -> None:
    found = genlab.load_dataset((OF.x, OF.y))
    assert (found.images[:, 0] == OF.x).all()
    both = {"x_train": OF.x, "y_train": OF.y, "x_test": OF.x_test, "y_test": OF.y_test}
    assert (genlab.load_dataset(both, "test").images[:, 0] == OF.x_test).all()
    assert len(genlab.load_dataset("letters", "test")) == 2600
    with pytest.raises(DataError, match="data is a int; expected a name, a path, an array"):
        genlab.load_dataset(42)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (["a.png", "b.png"], "data is a list of names; give the folder"),
        ([Path("a.png")], "data is a list of names; give the folder"),
        (torch.utils.data.DataLoader(Items([OF.x[0]])), r"data is a DataLoader; give its dataset \(loader.dataset\)"),
    ],
)
def test_what_is_nearly_right_says_what_is(given: Any, words: str) -> None:
    with pytest.raises(DataError, match=words):
        genlab.load_dataset(given)


@pytest.mark.parametrize(
    ("images", "words"),
    [
        ([np.eye(28, dtype=np.uint8)], r"look black; if 0 is black and 1 white: \(x \* 255\)\.round"),
        ([np.zeros((28, 28, 4), np.uint8)], r"genlab\.import_images\(IMAGES, 'images\.npz', ground='white'\)"),
        ([np.zeros((28, 29), np.uint8)], r"size=32, fit='pad'\) \(or fit='crop', or 'stretch'\)"),
    ],
)
def test_the_next_step_for_images_in_memory_is_a_call(images: list[Any], words: str) -> None:
    """There is no file that a command could read."""
    with pytest.raises(DataError, match=words) as caught:
        genlab.load_dataset([Image.fromarray(each) for each in images * 8])
    assert "genlab data import" not in str(caught.value)
