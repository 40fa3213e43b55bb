"""With sliders, a model draws and reads the same as in the library."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest
import torch
from PIL import Image

import genlab
from conftest import SMALL
from genlab.api.run import Run
from genlab.data.pictures import to_uint8
from genlab.runs.directory import RunDirectory
from genlab.studio.explore import Explorer, Explorers, Place
from genlab.studio.shipped import shipped
from served import Served


def pixels_of(content: bytes) -> Any:
    import io

    with Image.open(io.BytesIO(content)) as picture:
        return np.asarray(picture)


def test_a_place_is_drawn_as_the_library_draws_it(served: Served) -> None:
    run = Run(served.runs / "vae")
    expected = (run.sample(6)[5, 0].numpy() * 255).round()
    _, png, _ = served.ask("/api/draw?run=vae&place=" + quote('{"seed": 5}'))
    assert np.abs(pixels_of(png).astype(float) - expected).max() <= 1
    # A VAE with a short z has one slider per unit; the GAN's longer z does not.
    sliders = served.get("explore", run="vae")
    assert (sliders["units"], [each["name"] for each in sliders["sliders"]]) == (True, ["unit 1", "unit 2"])
    assert served.get("explore", run="gan")["units"] is False
    shared = np.asarray(pixels_of(served.ask("/api/draw?run=gan&what=classes&place=" + quote('{"seed": 3}'))[1]))
    asked = pixels_of(served.ask("/api/draw?run=gan&place=" + quote('{"seed": 3, "label": 2}'))[1])
    assert np.array_equal(shared[:, 2 * 34 : 2 * 34 + 32], asked)


def test_weights_that_were_trained_anew_are_drawn_anew(served: Served, tmp_path: Path) -> None:
    run = shutil.copytree(served.runs / "gan", tmp_path / "gan")
    explorers = Explorers()
    place = Place()
    first = explorers.of(RunDirectory(run), None)
    assert explorers.of(RunDirectory(run), None) is first
    before = first.image(place)
    shutil.rmtree(run)
    changes = {**SMALL, "data.name": first.recipe.data.name, "budget.max_steps": 12, "budget.batch": 16}
    changes |= {"logging.tensorboard": False, "logging.evaluation": "none"}
    genlab.train("quick-mnist", overrides=changes, seed=7, runs=tmp_path, name="gan", progress=False)
    assert not torch.equal(explorers.of(RunDirectory(run), None).image(place), before)


def test_d_sees_an_image_in_the_company_that_it_had_in_training() -> None:
    """The D of the shipped GAN sees how much the images in a group differ: an image alone looks like a collapse."""
    run = next(path for path in shipped() if path.name == "digits-gan")
    explorer = Explorer(RunDirectory(run), None)
    assert explorer.recipe.together == 4  # type: ignore[union-attr]
    alone = explorer._scored(torch.from_numpy(to_uint8(explorer.image(Place(label=3)))), torch.tensor([3]))
    told = [explorer.score(Place(seed=seed, label=seed % 10)) for seed in range(20)]
    assert float(alone[0]) < min(each["logit"] for each in told)
    # Real images score lower than a good model's images about half the time.
    assert 0.2 < np.mean([each["above"] for each in told]) < 0.8


def test_an_image_is_read_by_a_classifier_and_an_encoder(served: Served, digits: Path) -> None:
    told = served.post("read", run="classifier", example=3)
    assert sum(told["probabilities"]) == pytest.approx(1, abs=1e-3)
    again = served.post("read", run="classifier", side=told["side"], pixels=told["pixels"])
    assert again["probabilities"] == told["probabilities"]
    code = served.post("read", run="vae", example=0)
    assert len(code["code"]) == 2
    assert code["png"].startswith("data:image/png;base64,")
    for side, pixels in ((0, []), (2, [1, 2, 3]), (1, [256]), (10**6, [0]), (1, ["0"]), (1, [True]), (1, 7)):
        wrong = {"run": "classifier", "side": side, "pixels": pixels}
        assert served.ask("/api/read", "POST", wrong)[0] == 422
    assert served.ask("/api/read", "POST", {"run": "gan", "example": 0})[0] == 422


@pytest.mark.filterwarnings("ignore:the 40 training images are from 4 of 10 classes")
def test_a_model_is_compared_with_the_images_that_it_learned(digits: Path, tmp_path: Path) -> None:
    """Of a subset, the others were never shown to it."""
    changes = {**SMALL, "data.name": str(digits), "data.subset": 40, "budget.max_steps": 1}
    run = genlab.train("quick-mnist", overrides=changes, runs=tmp_path, name="part", report=False)
    learned, flat = Explorer(run.directory, None)._learned
    assert (len(learned), len(flat)) == (40, 40)
