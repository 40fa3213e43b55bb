"""The contact sheet and page of a dataset check."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import genlab
from genlab.api import data as api
from genlab.api.data import check
from genlab.cli import main
from genlab.data import pictures
from genlab.errors import DataError, UsageError
from genlab.report import data_page, html

DARK = np.random.default_rng(0).integers(0, 200, (60, 8, 8), np.uint8)


@pytest.fixture
def odd(tmp_path: Path) -> Path:
    """Sixty images of three classes: image 5 repeats image 2, image 7 has a single pixel value, and the three test
    images are training images."""
    x = np.zeros((60, 16, 16), np.uint8)
    x[:, 4:12, 4:12] = DARK
    x[5], x[7] = x[2], 9
    x[7, 0, 0] = 9
    np.savez(tmp_path / "odd.npz", x_train=x, y_train=np.arange(60) % 3, x_test=x[[0, 1, 2]], y_test=[0, 1, 1])
    return tmp_path / "odd.npz"


def test_what_looks_wrong_is_found_and_marked(odd: Path) -> None:
    found = check(str(odd), progress=False).found
    said = [finding.words for finding in found.findings]
    assert "only 60 training images: a model may memorise them; see the memorisation metric" in said
    assert "train images that repeat an earlier one: 1: x_train[5]" in said
    assert "test images that are also training images: 3: x_test[0], x_test[1], x_test[2]" in said
    assert "images with a single pixel value: 1: x_train[7]" in said
    assert found.marked("train").tolist() == [5, 7]
    assert found.marked("test").tolist() == [0, 1, 2]


def test_duplicates_with_another_label_are_counted(tmp_path: Path) -> None:
    x = np.concatenate([DARK, DARK[:4]])
    np.savez(tmp_path / "x.npz", x_train=x, y_train=[0] * 30 + [1] * 34)
    said = [finding.words for finding in check(str(tmp_path / "x.npz"), progress=False).found.findings]
    names = ", ".join(f"x_train[{k}]" for k in range(60, 64))
    assert f"train images that repeat an earlier one: 4, 4 of them with a different label: {names}" in said


@pytest.mark.parametrize(
    ("light", "words"), [(3, "images on a light background, unlike the others: 3 (inverted?)"), (57, "dark background")]
)
def test_images_on_another_ground_are_found(light: int, words: str, tmp_path: Path) -> None:
    x = np.zeros((60, 16, 16), np.uint8)
    x[:, 4:12, 4:12] = DARK
    x[:light] = 255 - x[:light]
    np.savez(tmp_path / "x.npz", x_train=x)
    assert any(words in finding.words for finding in check(str(tmp_path / "x.npz"), progress=False).found.findings)


def test_the_sheet_frames_suspicious_images(odd: Path) -> None:
    found = check(str(odd), progress=False).found
    sheet = data_page.sheet(found, "train")
    red = (sheet == data_page.MARK).all(2)
    left = sheet.shape[1] - data_page.COLUMNS * (32 + 2 * data_page.FRAME)
    cell = 32 + 2 * data_page.FRAME
    framed = [
        (row, column)
        for row in range(3)
        for column in range(data_page.COLUMNS)
        if red[row * cell, left + column * cell]
    ]
    assert framed == [(1, 0), (2, 0)]  # Image 7 is in class 1, image 5 in class 2: each comes first in its row.
    assert (sheet[:, : left - 12].min(2) > 40).all()  # The names are on white, not on red.


def test_page_and_picture(odd: Path, tmp_path: Path) -> None:
    found = check(str(odd), progress=False)
    found.save(tmp_path / "odd.html")
    page = (tmp_path / "odd.html").read_text("utf-8")
    assert "test images that are also training images: 3" in page
    assert f"genlab train quick --data {odd}" in page
    assert page.count("data:image/png") == 2
    found.save(tmp_path / "odd.png")
    with Image.open(tmp_path / "odd.png") as sheet:
        assert sheet.size[1] == 3 * (32 + 2 * data_page.FRAME)
    with pytest.raises(UsageError, match=r"allowed: \.html \(the page\), \.png"):
        found.save(tmp_path / "odd.txt")


def test_as_json(odd: Path) -> None:
    told = api.as_json(check(str(odd), progress=False))
    assert told["images"] == {"train": 60, "test": 3}
    assert told["classes"] == {"0": [20, 1], "1": [20, 2], "2": [20, 0]}
    assert told["refusal"] is None
    assert {"says": "images with a single pixel value: 1: x_train[7]", "images": {"train": [7], "test": []}} in told[
        "findings"
    ]


def test_pictures_of_several_sizes_are_shown_as_an_import_would_make_them(tmp_path: Path) -> None:
    for k in range(12):
        (tmp_path / "p" / "ab"[k % 2]).mkdir(parents=True, exist_ok=True)
        Image.fromarray(DARK[k]).resize((20 + k, 24)).save(tmp_path / "p" / "ab"[k % 2] / f"{k}.png")
    (tmp_path / "p" / "a" / "text.png").write_text("x")
    found = check(str(tmp_path / "p"), progress=False)
    assert found.found.refusal is not None
    assert found.found.bad == {"a/text.png": "damaged, or not a picture"}
    assert found.found.train.images.shape == (12, 1, 32, 32)
    assert found.command.splitlines() == [
        f"genlab data import {tmp_path / 'p'} -o p-genlab.npz --size 32 --fit pad --skip-bad",
        "genlab train quick --data p-genlab.npz",
    ]


def written(folder: Path, kind: str) -> str:
    """A source that training refuses as it is: large squares in a folder or file, non-square arrays, or pictures of
    several sizes among which one is no picture and one was cut off."""
    large = np.random.default_rng(0).integers(0, 256, (12, 80, 80), np.uint8)
    at = folder / kind
    if kind == "floats":
        np.savez(f"{at}.npz", x_train=large[:, :40] / 255.0)
    elif kind == "wide":
        np.savez(f"{at}.npz", x_train=large.repeat(8, axis=2))
    elif kind == "npz":
        np.savez(f"{at}.npz", x_train=large)
    else:
        at.mkdir()
        for k, image in enumerate(large):
            Image.fromarray(image[: 50 + k] if kind == "mixed" else image).save(at / f"{k}.png")
    if kind == "mixed":
        (at / "text.png").write_text("x")
        (at / "cut.png").write_bytes((at / "3.png").read_bytes()[:2000])
    return str(at if at.exists() else f"{at}.npz")


def told_by(refused: Callable[[], object]) -> str:
    with pytest.raises(DataError, match="genlab data import") as caught:
        refused()
    return "genlab data import " + str(caught.value).partition("genlab data import ")[2].partition(" (or --fit")[0]


@pytest.mark.parametrize("kind", ["folder", "npz", "wide", "mixed", "floats"])
def test_the_import_that_a_refusal_names_makes_data_that_quick_accepts(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    source = written(tmp_path, kind)
    commands = {told_by(lambda: genlab.show("quick", {"data.name": source}))}
    if kind != "floats":  # These are refused outright.
        checked = check(source, progress=False)
        commands.add(checked.command.splitlines()[0])
        assert checked.seconds is None
    if kind in ("mixed", "wide"):
        commands.add(told_by(lambda: genlab.evaluate(source, against="mnist")))
    for command in commands:
        main.main(command.split()[1:])
        (made,) = tmp_path.glob("*-genlab.npz")
        assert genlab.show("quick", {"data.name": str(made)}).recipe.data.size <= 64
        made.unlink()


def test_a_check_counts_what_an_import_refuses(tmp_path: Path) -> None:
    source = written(tmp_path, "mixed")
    assert set(check(source, progress=False).found.bad) == {"text.png", "cut.png"}
    with pytest.raises(DataError, match="2 pictures cannot be read"):
        genlab.import_images(source, tmp_path / "made.npz", size=32, fit="pad", progress=False)


def test_a_single_image_is_too_few(tmp_path: Path) -> None:
    one = str(tmp_path / "one.npz")
    np.savez(one, x_train=np.full((1, 28, 28), 200, np.uint8))
    found = check(one, progress=False)
    assert "1 training image; quick needs 2 or more" in found.found.why
    assert found.command == ""
    assert 'id="train"' not in html.render(data_page.page(found.found, found.command, found.takes))
    with pytest.raises(DataError, match="1 training image; quick needs 2 or more"):
        genlab.show("quick", {"data.name": one})
    (tmp_path / "two").mkdir()
    for k in range(2):
        Image.fromarray(np.full((20 + k, 30), 90, np.uint8)).save(tmp_path / "two" / f"{k}.png")
    few = check(str(tmp_path / "two"), progress=False)
    assert "too few images that can be used (2)" in few.found.why
    assert few.command == ""


def test_large_images_in_memory_are_imported_from_python() -> None:
    found = check(np.full((9, 70, 70), 200, np.uint8), progress=False)
    first, second = found.command.splitlines()
    assert first == "genlab.import_images(IMAGES, 'images.npz', size=64, fit='stretch')"
    assert second == "genlab.train(\"quick\", data='images.npz')"


def test_names_in_other_letters_are_written_or_numbered() -> None:
    assert pictures.legible(["cat", "кот", "γάτα", "猫"]) == ["cat", "кот", "γάτα", "class 3"]
    grid = np.zeros((40, 40, 3), np.uint8)
    drawn = pictures.labelled(grid, ["кот", "猫"])
    same = pictures.labelled(grid, ["кот", "class 1"])
    assert (drawn == same).all()


def test_names_beside_colour_stand_on_white() -> None:
    drawn = pictures.labelled(np.zeros((20, 20, 3), np.uint8), ["a"])
    assert (drawn[0, 0] == 255).all()
    assert Image.open(io.BytesIO(pictures.png(drawn, scale=1))).mode == "RGB"


def test_a_test_split_without_labels_has_no_column_of_classes(tmp_path: Path) -> None:
    x = np.zeros((60, 16, 16), np.uint8)
    x[:, 4:12, 4:12] = DARK
    np.savez(tmp_path / "x.npz", x_train=x, y_train=np.arange(60) % 3, x_test=x[:6] // 2)
    found = check(str(tmp_path / "x.npz"), progress=False).found
    table = data_page.classes(found)
    assert table is not None
    assert table.columns == ("class", "train")
    assert [row[1] for row in table.rows] == ["20", "20", "20"]
    assert "the test images have no labels: results by class need them" in found.notes


def test_what_training_refuses_is_not_said_to_be_ready(tmp_path: Path) -> None:
    x = np.full((60, 16, 16), 200, np.uint8)
    np.savez(tmp_path / "x.npz", x_train=x, x_test=np.full((5, 20, 20), 200, np.uint8))
    found = check(str(tmp_path / "x.npz"), progress=False).found
    assert found.refusal is not None
    assert "the test images are 1 x 20 x 20" in str(found.refusal)
    assert "--size 16 --fit pad" in str(found.refusal)
