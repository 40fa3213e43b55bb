"""What the recipe quick chooses for a dataset: image format, classes and budget; and the remarks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import genlab
from genlab import data
from genlab.data.dataset import Dataset
from genlab.errors import DataError, UsageError
from genlab.recipe import GanRecipe
from genlab.training import choose as choosing
from genlab.training.assemble import settle
from genlab.training.choose import called, choose
from genlab.training.remarks import remarks


def dataset(n: int = 6000, side: int = 28, channels: int = 1, classes: int = 10, ground: int = 0) -> Dataset:
    rng = np.random.default_rng(0)
    images = np.full((n, channels, side, side), ground, np.uint8)
    images[:, :, 4:-4, 4:-4] = rng.integers(0, 256, (n, channels, side - 8, side - 8))
    labels = None if not classes else np.arange(n) % classes
    names = tuple(f"c{k}" for k in range(classes))
    return Dataset("photos/mine.npz", "train", images, labels, names, "f")


def chosen(given: Dataset, recipe: str = "quick", overrides: dict[str, Any] | None = None) -> GanRecipe:
    found, _ = settle(recipe, {"data.name": "x", **(overrides or {})}, lambda name: given)
    assert isinstance(found, GanRecipe)
    return found


@pytest.mark.parametrize(
    ("side", "size", "resize"),
    [(28, 32, "pad"), (32, 32, "none"), (20, 32, "bilinear"), (24, 32, "pad"), (16, 16, "none"), (64, 64, "none")],
)
def test_the_size_is_the_next_that_the_networks_make(side: int, size: int, resize: str) -> None:
    found = chosen(dataset(n=200, side=side))
    assert (found.data.size, found.data.resize) == (size, resize)


def test_larger_images_are_refused_with_the_import() -> None:
    with pytest.raises(
        DataError, match=r"images of 65 pixels; quick takes at most 64; genlab data import .* --size 64"
    ):
        choose(dataset(n=20, side=65), 1)


def test_on_a_light_ground_the_edge_is_repeated() -> None:
    assert chosen(dataset(n=200, ground=250)).data.resize == "edge"


def test_colour_and_its_recipe() -> None:
    assert chosen(dataset(n=200, channels=3)).data.channels == 3
    assert chosen(dataset(n=200), "quick-color").data.channels == 3
    assert chosen(dataset(n=200)).data.channels == 1


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (dataset(n=200, classes=0), "there are no labels"),
        (dataset(n=200, classes=1), "there is only one class"),
        (dataset(n=1010, classes=101), "there are 101 classes, more than 100"),
        (dataset(n=40, classes=10), "the smallest class has 4 images, fewer than 5"),
    ],
)
def test_unconditional_where_there_are_no_classes_to_learn(given: Dataset, why: str) -> None:
    found = chosen(given)
    assert not found.conditional
    assert not found.discriminator_conditional
    assert any(line == f"unconditional: {why}" for line in choose(given, 1).words)


def test_conditional_where_there_are() -> None:
    found = chosen(dataset())
    assert found.conditional
    assert found.discriminator_conditional


@pytest.mark.parametrize(("n", "epochs", "batch"), [(12_480, 9, 64), (1000, 107, 64), (60_000, 2, 64), (50, 1600, 32)])
def test_epochs_make_about_as_many_steps(n: int, epochs: int, batch: int) -> None:
    budget = chosen(dataset(n=n)).budget
    assert (budget.epochs, budget.batch) == (epochs, batch)
    assert choosing.STEPS <= n // batch * epochs <= 1.2 * choosing.STEPS


def test_of_very_many_images_a_part_of_an_epoch() -> None:
    few = choosing.STEPS
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(choosing, "STEPS", 20)
        budget = chosen(dataset(n=6000)).budget
    assert few == choosing.STEPS
    assert (budget.epochs, budget.max_steps) == (1, 40)


def test_what_a_person_says_comes_last() -> None:
    found = chosen(dataset(), overrides={"budget.epochs": 3, "data.channels": 3})
    assert found.budget.epochs == 3
    assert found.data.channels == 3
    assert found.name == "quick-mine"


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("a/My photos.npz", "My-photos"),
        ("memory:0123456789ab", "images"),
        ("mnist[0,1]", "mnist-0-1"),
        ("写真", "images"),
    ],
)
def test_the_dataset_stands_in_the_name(name: str, word: str) -> None:
    assert called(name) == word


def test_what_was_chosen_is_said(digits: Path, capsys: pytest.CaptureFixture[str]) -> None:
    genlab.show("quick", {"data.name": str(digits)})
    said = capsys.readouterr().err
    assert "quick: 32 x 32 pixels, gray: images of 28 pixels are used with a black border" in said
    assert "quick: conditional: 10 classes, the smallest with 10 images" in said
    assert "with so few images (100), a model may copy them" in said


def told(given: Dataset, recipe: str = "quick-mnist", overrides: dict[str, Any] | None = None) -> list[str]:
    settled, whole = settle(recipe, {"data.name": "x", **(overrides or {})}, lambda name: given)
    return list(remarks(settled, whole, data.fit(whole, settled.data.size, settled.data.resize, settled.data.channels)))


def test_a_subset_is_what_the_settings_are_chosen_for(capsys: pytest.CaptureFixture[str]) -> None:
    """500 images, and not 60,000, are to give some 1,600 steps."""
    recipe = genlab.show("quick", {"data.name": "mnist", "data.subset": 500}).recipe
    assert choosing.STEPS <= 500 // recipe.budget.batch * recipe.budget.epochs <= 1.2 * choosing.STEPS
    assert "500 images" in recipe.description


def test_a_chosen_recipe_never_has_the_name_of_a_built_in_one() -> None:
    """Else it would be taken for that one, and its commands for those of that one."""
    assert genlab.show("quick", {"data.name": "mnist"}).recipe.name == "quick-for-mnist"
    assert genlab.show("quick", {"data.name": "mnist", "budget.minutes": 0.01}).recipe.name.startswith(
        "quick-for-mnist"
    )


def test_a_budget_that_was_meant_for_other_data_is_said() -> None:
    (line,) = told(dataset(n=300))
    assert line.startswith(
        "300 images give 16 steps in 4 epochs, too few to draw anything: --epochs 150, or the recipe"
    )
    assert told(dataset(n=300), overrides={"budget.epochs": 5}) == []
    assert told(dataset(n=300), "judge-mnist", {"data.size": 28}) == []
    assert told(dataset(n=300), "quick") == []


def test_a_black_frame_around_light_images_is_said() -> None:
    light = dataset(n=60_000, ground=255)
    assert any("black frame" in line for line in told(light))
    assert told(light, overrides={"data.resize": "edge"}) == []


def test_a_part_of_a_sorted_dataset_is_said(digits: Path, tmp_path: Path) -> None:
    with np.load(digits) as arrays:
        order = np.argsort(arrays["y_train"], kind="stable")
        np.savez(tmp_path / "sorted.npz", x_train=arrays["x_train"][order], y_train=arrays["y_train"][order])
    changes = {"data.name": str(tmp_path / "sorted.npz"), "data.subset": 20, "budget.batch": 8, "budget.max_steps": 2}
    changes |= {"engine.plan": "reference", "logging.evaluation": "none"}
    with pytest.warns(UserWarning, match=r"the 20 training images are from 2 of 10 classes: data.subset takes"):
        run = genlab.train("quick-mnist", overrides=changes, runs=tmp_path / "runs", report=False, progress=False)
    assert run.provenance["data"]["unseen"] == [str(k) for k in range(2, 10)]
    with pytest.raises(UsageError, match=r"never saw class '7' in training: .* it saw 0, 1"):
        run.sample(2, label=7)
    assert len(run.sample(3)) == 3
    run.save(run.sample(6), tmp_path / "grid.png", scale=1)  # One column per class that it saw.
    with Image.open(tmp_path / "grid.png") as picture:
        assert picture.size[0] < picture.size[1]
    assert run.grid(columns=4).arrays["labels"].tolist() == [0] * 4 + [1] * 4
    assert run.evaluate(n=60, progress=False).record["style"]["classes"] == 2


def test_classes_without_an_image_are_no_subset(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (40, 28, 28), np.uint8)
    names = [str(k) for k in range(10)]
    np.savez(tmp_path / "few.npz", x_train=images, y_train=np.arange(40) % 3, class_names=names)
    found = told(data.load(str(tmp_path / "few.npz")), overrides={"budget.batch": 8})
    (said,) = [line for line in found if "classes" in line]
    assert said == "the 40 training images are from 3 of 10 classes; the others have none"


def test_one_and_the_same_value_is_said() -> None:
    blank = dataset(n=60_000)
    blank = replace(blank, images=np.zeros_like(blank.images))
    assert any("have the same value" in line for line in told(blank))
