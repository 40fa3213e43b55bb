"""Figures of a run: what they contain, and that they say how they were drawn."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import genlab
from genlab import data
from genlab.api.run import Run
from genlab.data import pictures
from genlab.data.preprocessing import Preprocessing
from genlab.errors import UsageError
from genlab.evaluation import random_features
from genlab.evaluation.judge_search import load as load_judge
from genlab.families import latent
from genlab.recipe import GanRecipe
from genlab.report.figures import look, looks
from genlab.runs import sampling
from genlab.runs.options import SamplingOptions
from genlab.runs.sampling import Sampler


@pytest.fixture(scope="module")
def vae(digits: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A VAE with a z of size 2, trained for five epochs on 100 digits."""
    changes: dict[str, Any] = {
        "engine.plan": "reference",
        "data.name": str(digits),
        "networks.encoder.widths": [16],
        "networks.decoder.widths": [16],
        "objective.reconstruction": "sum",
        "objective.kl": "sum",
        "budget.batch": 20,
        "budget.epochs": 5,
        "logging.tensorboard": False,
        "logging.evaluation": "none",
        "logging.metrics_every": 1,
    }
    return genlab.train("s4-vae", overrides=changes, runs=tmp_path_factory.mktemp("runs"))


def test_interpolation_in_a_conditional_run(finished: Run) -> None:
    look = finished.interpolate(pairs=3, steps=4, label=7)
    assert look.arrays["images"].shape == (12, 1, 32, 32)
    assert look.arrays["z"].shape == (3, 4, 100)
    assert "as class 7" in look.caption
    # The last image of each row is what a sampler draws from its z.
    sampler = Sampler(finished, SamplingOptions())
    z = torch.from_numpy(look.arrays["z"])
    ends = sampler(z[:, -1], torch.full((3,), 7)).numpy()
    assert np.allclose(look.arrays["images"].reshape(3, 4, 1, 32, 32)[:, -1], ends, atol=1e-6)


def test_without_a_class_each_row_of_an_interpolation_keeps_one(finished: Run) -> None:
    look = finished.interpolate(pairs=3, steps=4)
    z = torch.from_numpy(look.arrays["z"])
    rows = look.arrays["images"].reshape(3, 4, 1, 32, 32)
    for label in range(3):
        drawn = finished._sampler(SamplingOptions())(z[label], torch.full((4,), label)).numpy()
        assert np.allclose(rows[label], drawn, atol=1e-6)
    assert "each as one class" in look.caption


def test_the_path_is_the_one_asked_for(finished: Run) -> None:
    line, arc = (finished.interpolate(pairs=2, steps=5, path=path).arrays["z"] for path in ("linear", "spherical"))
    assert np.allclose(line[:, [0, -1]], arc[:, [0, -1]], atol=1e-5)
    assert np.allclose(line[:, 2], (line[:, 0] + line[:, -1]) / 2, atol=1e-5)
    assert np.linalg.norm(arc[:, 2], axis=1).min() > 1.2 * np.linalg.norm(line[:, 2], axis=1).min()


def test_the_class_grid_has_one_z_a_column_and_one_class_a_row(finished: Run) -> None:
    look = finished.grid(columns=4)
    assert look.arrays["labels"].tolist() == [k for k in range(10) for _ in range(4)]
    images = look.arrays["images"].reshape(10, 4, -1)
    for row, column in ((6, 2), (0, 3), (9, 0), (3, 1)):
        z = torch.from_numpy(look.arrays["z"][column : column + 1])
        alone = finished._sampler(SamplingOptions())(z, torch.tensor([row]))
        assert np.allclose(images[row, column], alone.numpy().ravel(), atol=1e-6)


@pytest.mark.parametrize(("classes", "rows", "columns"), [(27, 27, 14), (1000, 40, 10)])
def test_a_grid_of_many_classes_finds_its_form(
    classes: int, rows: int, columns: int, small: Callable[..., GanRecipe], tmp_path: Path
) -> None:
    """All of 27 classes are shown; of 1,000, 40 from the first to the last, so that the figure stays readable."""
    digits = data.load("mnist").images[:classes, 0]
    np.savez(tmp_path / "many.npz", x_train=digits, y_train=np.arange(classes))
    run = genlab.train(
        small({"data.name": str(tmp_path / "many.npz"), "budget.max_steps": 1}), runs=tmp_path, report=False
    )
    look = run.grid()
    labels = look.arrays["labels"].reshape(rows, columns)
    assert (labels == labels[:, :1]).all()
    assert labels[[0, -1], 0].tolist() == [0, classes - 1]
    assert (np.diff(labels[:, 0]) > 0).all()
    assert (f"{rows} of {classes} classes" in look.caption) == (rows < classes)


def test_batch_statistics_are_said_and_act(finished: Run) -> None:
    running, batch = (finished.grid(columns=3, batch_statistics=flag) for flag in (False, True))
    assert "running BatchNorm statistics" in running.caption
    assert "batch BatchNorm statistics" in batch.caption
    assert not np.allclose(running.arrays["images"], batch.arrays["images"], atol=1e-3)


def test_no_batchnorm_is_said_too(vae: Run) -> None:
    assert "no BatchNorm" in vae.interpolate().caption


def test_truncation_narrows_z_and_is_said(finished: Run) -> None:
    wide, narrow = finished.grid(columns=3), finished.grid(columns=3, truncation=0.5)
    assert np.abs(narrow.arrays["z"]).max() <= 0.5 < np.abs(wide.arrays["z"]).max()
    assert "z cut to +-0.5" in narrow.caption
    few, many = (finished.sample(30, truncation=limit, label=3).std(0).mean() for limit in (0.01, None))
    assert few < 0.1 * many


def test_seeds_and_steps_choose_other_images(finished: Run) -> None:
    base = finished.grid(columns=2).arrays["images"]
    assert np.array_equal(base, finished.grid(columns=2).arrays["images"])
    assert not np.array_equal(base, finished.grid(columns=2, seed=1).arrays["images"])
    assert not np.array_equal(base, finished.grid(columns=2, step=6).arrays["images"])
    assert not np.array_equal(base, finished.grid(columns=2, ema=False).arrays["images"])


def test_a_traversal_moves_one_unit_a_row(vae: Run) -> None:
    look = vae.traverse(steps=5, span=2.0)
    assert look.arrays["z"].shape == (2, 5, 2)
    assert look.arrays["z"][0, :, 0].tolist() == pytest.approx([-2, -1, 0, 1, 2])
    assert len(set(look.arrays["z"][0, :, 1].tolist())) == 1


def test_the_latent_map_encodes_the_images_it_shows(vae: Run, digits: Path) -> None:
    look = vae.latent_map(steps=6)
    assert look.arrays["images"].shape == (36, 1, 28, 28)
    assert np.allclose(look.arrays["z"], latent.plane(6).numpy())
    assert look.arrays["encoded"].shape == (100, 2)
    assert look.arrays["labels"].tolist() == genlab.load_dataset(str(digits)).labels.tolist()  # type: ignore[union-attr]
    encoder = sampling.load_network(vae, "encoder").eval()
    digits_again = genlab.load_dataset(str(digits)).images
    with torch.no_grad():
        mean, _ = encoder(torch.from_numpy(digits_again).float() * 2 / 255 - 1)
    assert np.allclose(look.arrays["encoded"], mean.numpy(), atol=1e-5)
    width, height = Image.open(io.BytesIO(look.png)).size
    assert width > 1.5 * height  # two panels


def test_reconstructions_resemble_their_originals_more_than_others(vae: Run) -> None:
    look = vae.reconstruct(n=20)
    x, made = look.arrays["originals"].reshape(20, -1), look.arrays["images"].reshape(20, -1)
    assert ((x - made) ** 2).mean() < ((x - np.roll(made, 10, axis=0)) ** 2).mean()
    assert "20 train images" in look.caption  # there is no test split


def test_the_timeline_takes_the_same_z_from_each_snapshot(finished: Run) -> None:
    look = finished.timeline(n=5)
    assert look.arrays["images"].shape == (10, 1, 32, 32)
    z, labels = torch.from_numpy(look.arrays["z"]), torch.arange(5)
    early = Sampler(finished, SamplingOptions(step=6))(z, labels).numpy()
    assert np.allclose(look.arrays["images"][:5], early, atol=1e-6)
    assert not np.allclose(look.arrays["images"][5:], early, atol=1e-3)


@pytest.mark.parametrize(
    ("ask", "words"),
    [
        (lambda run: run.interpolate(path="bent"), "unknown path 'bent'.*linear, spherical"),
        (lambda run: run.interpolate(pairs=0), "pairs is 0"),
        (lambda run: run.interpolate(steps=1), "steps is 1; allowed: 2 or more"),
        (lambda run: run.interpolate(pairs=100, steps=100), "10,000 images in one figure"),
        (lambda run: run.interpolate(label="ten"), "unknown class 'ten'"),
        (lambda run: run.grid(columns=0), "columns is 0"),
        (lambda run: run.traverse(units=[100]), r"units \[100\]: allowed: 0 .. 99"),
        (lambda run: run.traverse(span=0), "span is 0"),
        (lambda run: run.latent_map(), "has a z of size 100; a map needs 2"),
        (lambda run: run.reconstruct(), "is a GAN: it has no encoder"),
        (lambda run: run.confusion(), "is a GAN: it does not classify images"),
        (lambda run: run.timeline(epochs=[1, 7]), "no snapshot after epoch 7; there are: 1, 2"),
        (lambda run: run.grid(truncation=0.0), "truncation is 0"),
        (lambda run: run.grid(step=5), "no snapshot of step 5; available: 6, 12"),
        (lambda run: run.timeline(step=6), "cannot be drawn with a step"),
        (lambda run: run.timeline(ema=False), "cannot be drawn with raw weights"),
    ],
)
def test_what_cannot_be_looked_at(ask: Any, words: str, finished: Run) -> None:
    with pytest.raises(UsageError, match=words):
        ask(finished)


def test_what_an_encoder_cannot_do(vae: Run) -> None:
    for ask in (vae.reconstruct, vae.latent_map):
        with pytest.raises(UsageError, match="cannot be drawn with a truncation"):
            ask(truncation=0.3)
        with pytest.raises(UsageError, match="cannot be drawn with a step"):
            ask(step=5)


def test_samples_say_how_they_were_drawn(finished: Run, tmp_path: Path) -> None:
    how = SamplingOptions(truncation=0.3, batch_statistics=True)
    sampling.save_images(finished.sample(4, truncation=0.3), tmp_path / "a.png", finished, how=how)
    with Image.open(tmp_path / "a.png") as image:
        words = image.text["genlab:sampling"]  # type: ignore[attr-defined]
    assert words == "EMA weights (decay 0.999), batch BatchNorm statistics, float32, z cut to +-0.3"


def test_an_unconditional_run_has_no_class_grid(vae: Run) -> None:
    with pytest.raises(UsageError, match="is unconditional: it has no classes"):
        vae.grid()


def test_a_timeline_in_blocks_says_how_good_each_epoch_is(vae: Run) -> None:
    look = vae.timeline(epochs=[1, 5], n=9, columns=3)
    assert look.arrays["images"].shape == (18, 1, 28, 28)
    assert np.array_equal(look.arrays["images"], vae.timeline(epochs=[1, 5], n=9).arrays["images"])
    with Image.open(io.BytesIO(look.png)) as image:
        assert image.width == 2 * 2 * (3 * 28 + 2 * 2) + 16
    assert looks._quality(vae, 5) == "not measured"
    row = {"step": 10, "frechet_distance": 30.0, "frechet_floor": 0.5}
    one = SimpleNamespace(directory=SimpleNamespace(sound_rows=lambda: [row]))
    assert looks._quality(one, 10) == "60 x real images"  # type: ignore[arg-type]


def test_what_the_judge_reads_stands_below_each_image(finished: Run) -> None:
    judge = load_judge("mnist")
    look = looks.judged(finished, SamplingOptions(), judge, 6, 3)
    images = look.arrays["images"]
    assert np.allclose(images, finished.sample(6).numpy(), atol=0.003)
    assert look.arrays["classes"].shape == look.arrays["confidence"].shape == (6,)
    assert (look.arrays["confidence"] >= 0.1).all()
    assert judge is not None
    logits = judge(Preprocessing.of(finished.recipe).back(pictures.to_uint8(images), judge.size, 1))[1]
    assert np.array_equal(look.arrays["classes"], logits.argmax(1))
    with Image.open(io.BytesIO(look.png)) as image:
        assert image.width == 3 * 128 + 2 * 2


def test_data_without_a_judge_cannot_be_read(finished: Run) -> None:
    with pytest.raises(UsageError, match="no judge knows the classes"):
        finished.judged()
    with pytest.raises(UsageError, match="no judge knows the classes"):
        looks.judged(finished, SamplingOptions(), random_features.random_features(1, 28))


def test_looks_are_saved_with_their_words_and_numbers(vae: Run, tmp_path: Path) -> None:
    look = vae.interpolate(pairs=2, steps=3)
    look.save(tmp_path / "a.png")
    look.save(tmp_path / "a.npz")
    with Image.open(tmp_path / "a.png") as image:
        assert image.text["genlab:caption"] == look.caption  # type: ignore[attr-defined]
    with np.load(tmp_path / "a.npz") as arrays:
        assert np.array_equal(arrays["images"], look.arrays["images"])
    with pytest.raises(UsageError, match="the extension sets the format"):
        look.save(tmp_path / "a.gif")


def test_a_finished_run_keeps_its_looks_and_the_report_shows_them(vae: Run) -> None:
    kept = {path.stem: (title, caption) for path, title, caption in look.kept(vae.directory)}
    assert set(kept) == {"interpolation", "latent-map", "reconstruction", "timeline", "traversal"}
    text = (vae.path / "report.html").read_text("utf-8")
    for title, caption in kept.values():
        assert title in text
        assert caption.split("(")[0][:40].replace("'", "&#39;") in text
    assert "posterior collapse" in text
