"""Selecting classes of a dataset with a name such as mnist[0,1]."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import genlab
import writers
from genlab import data
from genlab.data import memory, selection
from genlab.data.dataset import fingerprint
from genlab.errors import DataError
from writers import SORTED, made


def test_classes_are_chosen_and_numbered_anew() -> None:
    mnist, found = data.load("mnist"), data.load("mnist[7,1]")
    assert mnist.labels is not None
    rows = np.isin(mnist.labels, [1, 7])
    assert (found.images == mnist.images[rows]).all()
    assert found.class_names == ("1", "7")
    assert found.labels is not None
    assert (found.labels == (mnist.labels[rows] == 7)).all()
    assert found.fingerprint == fingerprint(found.images, found.labels)
    test = data.load_test("mnist[7,1]")
    assert test is not None
    assert test.class_names == ("1", "7")
    assert len(test) == 1135 + 1028
    assert data.is_packaged("mnist[1,7]")
    assert data.place_of("mnist[1,7]") is None


def test_by_name_by_number_and_of_any_source(tmp_path: Path) -> None:
    of = made()
    path = writers.folder(tmp_path / "own data", writers.both(of))
    by_name = data.load(f"{path}[digit_10, Moon]")
    assert by_name.class_names == ("Moon", "digit_10")
    assert data.load(f"{path}[0,3]").fingerprint == by_name.fingerprint
    given = memory.keep({"x_train": of.x, "y_train": of.y, "class_names": SORTED})
    assert data.load(f"{given}[0,digit_10]").fingerprint == by_name.fingerprint
    assert data.place_of(f"{path}[0,3]") == path
    assert data.load("fashion-mnist[sandal,bag]").class_names == ("sandal", "bag")


def test_test_images_without_labels_are_of_unknown_classes(tmp_path: Path) -> None:
    of = made()
    np.savez(tmp_path / "own.npz", x_train=of.x, y_train=of.y, x_test=of.x[:5])
    name = f"{tmp_path / 'own.npz'}[0,1]"
    assert set(data.load(name).class_names) == {"0", "1"}
    assert data.load_test(name) is None


def test_names_with_commas_and_brackets(tmp_path: Path) -> None:
    of = made()
    names = ["cat, tabby", "dog [old]", "50% wool", "a%2Cb", "e", "f"][: len(set(of.y.tolist()))]
    np.savez(tmp_path / "own.npz", x_train=of.x, y_train=of.y, class_names=names)
    for chosen in (names[:2], names[1:4]):
        found = data.load(selection.name_of(str(tmp_path / "own.npz"), chosen))
        assert found.class_names == tuple(chosen)
        assert data.load(found.name).fingerprint == found.fingerprint


def test_a_number_that_is_a_name_is_the_name(tmp_path: Path) -> None:
    of = made()
    np.savez(tmp_path / "own.npz", x_train=of.x, y_train=of.y + 1)
    found = data.load(f"{tmp_path / 'own.npz'}[1,5]")
    assert found.class_names == ("1", "5")
    assert (found.images[:, 0] == of.x[np.isin(of.y, [0, 4])]).all()


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("mnist[10]", "mnist: unknown class '10'"),
        ("mnist[-1]", "mnist: unknown class '-1'"),
        ("mnist[a]", "unknown class 'a'"),
        ("mnist[1,1]", "a class is chosen twice: 1, 1"),
        ("mnist[1,]", "unknown class ''"),
        ("mnist[]", r"dataset 'mnist\[\]': neither a built-in dataset"),
        ("mnits[1]", "dataset 'mnits': neither a built-in dataset .*did you mean 'mnist'"),
        ("fashion-mnist[bags]", "did you mean 'bag'"),
        ("fashion-mnist[bag,8]", "a class is chosen twice"),
    ],
)
def test_what_cannot_be_chosen_is_refused(name: str, words: str) -> None:
    with pytest.raises(DataError, match=words):
        data.load(name)


def test_images_without_labels_have_no_classes_to_choose() -> None:
    with pytest.raises(DataError, match="has no labels, so no classes can be chosen"):
        data.load(f"{memory.keep(made().x)}[0]")


def test_a_path_that_ends_in_brackets_is_a_path(tmp_path: Path) -> None:
    of = made()
    path = writers.folder(tmp_path / "own[1]", writers.both(of))
    assert selection.parts(str(path)) is None
    assert len(data.load(str(path))) == len(of.x)
    assert len(data.load(f"{path}[0]")) == 12


def test_a_run_on_some_classes(tmp_path: Path) -> None:
    """The recipe's data.classes does the same as brackets in the name, also for images in memory."""
    changes = {
        "engine.plan": "reference",
        "networks.generator.ngf": 4,
        "networks.discriminator.ndf": 4,
        "budget.max_steps": 1,
        "logging.evaluation": "none",
        "logging.tensorboard": False,
    }
    run = genlab.train("quick-mnist", data="mnist[0,1]", overrides=changes, runs=tmp_path, report=False, progress=False)
    assert run.provenance["data"]["fingerprint"] == data.load("mnist[0,1]").fingerprint
    assert run.provenance["data"]["images"] == 12_665
    assert run.provenance["data"]["class_names"] == ["0", "1"]
    of = made(12, 3, 28)
    changes |= {"data.classes": [0, 4], "budget.batch": 8}
    run = genlab.train("quick-mnist", data=(of.x, of.y), overrides=changes, runs=tmp_path, report=False, progress=False)
    assert run.provenance["data"]["class_names"] == ["0", "4"]
    assert run.provenance["data"]["images"] == 24
    assert run.provenance["data"]["name"] == f"{memory.keep((of.x, of.y))}[0,4]"


def test_names_as_a_mac_writes_them(tmp_path: Path) -> None:
    """Composed and decomposed letters give the same name."""
    names = ("M\u00fcller", "A\u0308hre")
    pictures = ((f"{name}/{k}.png", writers.png(made().x[k])) for name in names for k in range(3))
    folder = writers.folder(tmp_path / "own", pictures)
    for typed in ("Mu\u0308ller", "M\u00fcller"):
        assert len(data.load(f"{folder}[{typed}]")) == 3
    assert len(data.load(f"{folder}[\u00c4hre]")) == 3
