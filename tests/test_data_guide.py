"""The beginning of docs/data.md: a folder of pictures of every kind, and the five commands that lead to a report."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageOps

import genlab
from conftest import undraw
from genlab.cli import main

GUIDE = Path(__file__).parent.parent / "docs" / "data.md"
SHAPES = ("circle", "cross", "ring", "square", "triangle")
EACH = 60


def drawn(shape: str, rng: np.random.Generator) -> Image.Image:
    """A shape of random size and position in a picture of 28 x 28 to 40 x 30 pixels, light on dark."""
    width, height = int(rng.integers(28, 41)), int(rng.integers(28, 31))
    image = Image.new("L", (width, height), 0)
    pen, ink = ImageDraw.Draw(image), int(rng.integers(150, 256))
    x, y, r = width / 2 + rng.integers(-3, 4), height / 2 + rng.integers(-3, 4), int(rng.integers(6, 11))
    if shape == "circle":
        pen.ellipse([x - r, y - r, x + r, y + r], fill=ink)
    elif shape == "ring":
        pen.ellipse([x - r, y - r, x + r, y + r], outline=ink, width=3)
    elif shape == "square":
        pen.rectangle([x - r, y - r, x + r, y + r], fill=ink)
    elif shape == "triangle":
        pen.polygon([(x, y - r), (x - r, y + r), (x + r, y + r)], fill=ink)
    else:
        pen.line([x - r, y, x + r, y], fill=ink, width=4)
        pen.line([x, y - r, x, y + r], fill=ink, width=4)
    return image


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three hundred pictures in five folders: gray and colour, one of 16 bits, one with a palette, one lying on its
    side, and a text file named .png."""
    folder, rng = tmp_path_factory.mktemp("guide") / "photos", np.random.default_rng(0)
    for k, shape in enumerate(shape for shape in SHAPES for _ in range(EACH)):
        image, place = drawn(shape, rng), folder / shape / f"{shape}_{k % EACH}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        if k == 10:
            Image.fromarray(np.asarray(image).astype(np.uint16) * 257).save(place)
        elif k == 20:
            image.convert("P").save(place)
        elif k == 30:
            exif = Image.Exif()
            exif[0x0112] = 6
            image.save(place, exif=exif)
        elif k % 7 == 3:
            Image.merge("RGB", [image, image.point(lambda v: v // 2), image]).save(place)
        else:
            image.save(place)
    (folder / "circle" / "notes.png").write_text("no picture", "utf-8")
    return folder


def by_pillow(file: Path, side: int = 32) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """The picture as Pillow alone makes it: upright, in colour, shrunk to fit, centred on black."""
    with Image.open(file) as opened:
        image = ImageOps.exif_transpose(opened)
        if image.mode == "I;16":
            image = Image.fromarray((np.asarray(image) // 257).astype(np.uint8))
        image = image.convert("RGB")
    if max(image.size) > side:
        scale = side / max(image.size)
        image = image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.BILINEAR)
    ground = Image.new("RGB", (side, side))
    ground.paste(image, ((side - image.width) // 2, (side - image.height) // 2))
    return np.asarray(ground).transpose(2, 0, 1)


def the_five() -> list[str]:
    """The first commands of the guide."""
    block = re.search(r"^```\n(.*?)^```$", GUIDE.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    assert block is not None
    return block[1].splitlines()


def test_the_guide(photos: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(photos.parent)
    undraw(monkeypatch)
    check, bring, train, evaluate, report = the_five()

    def told(command: str, *more: str) -> str:
        main.main([*shlex.split(command)[1:], *more])
        return capsys.readouterr().out

    said = told(check)
    assert "1 picture that cannot be read: circle/notes.png (damaged, or not a picture)" in said
    assert "data import photos -o photos-genlab.npz --size 32 --fit pad --skip-bad" in said
    assert Path("photos.html").stat().st_size > 10_000

    said = told(bring)
    assert "270 training, 30 test" in said
    for line in ("16 bits", "palette", "turned upright by its EXIF tag", "1 that cannot be read", "circle/notes.png: "):
        assert line in said
    train_set, test_set = (genlab.load_dataset("photos.npz", split) for split in ("train", "test"))
    assert train_set.class_names == SHAPES
    expected = {by_pillow(file).tobytes(): file.parent.name for file in photos.rglob("*_*.png")}
    for dataset in (train_set, test_set):
        assert dataset.labels is not None
        for image, label in zip(dataset.images, dataset.labels, strict=True):
            assert expected[image.tobytes()] == SHAPES[label]

    steps = ("--budget.max_steps", "3", "--engine.plan", "reference", "--logging.evaluation", "none")
    said = told(train, *steps)
    assert "runs/first" in said
    run = genlab.open_run("first")
    assert run.recipe.conditional
    assert (run.recipe.data.size, run.recipe.data.channels) == (32, 3)
    said = told(evaluate, "-n", "60")
    assert "Frechet distance" in said
    assert "a fixed random network" in said
    assert told(report).strip().endswith("report.html")
    assert "first" in Path("runs/first/report.html").read_text("utf-8")
