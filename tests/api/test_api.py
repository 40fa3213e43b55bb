from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

import genlab
from genlab.api.run import Run
from genlab.data import pictures
from genlab.engine import calibrate
from genlab.errors import CheckpointError, DataError, RecipeError, UsageError
from genlab.recipe import GanRecipe
from genlab.runs import checkpoint, sampling


def test_sample(finished: Run) -> None:
    images = finished.sample(64)
    assert images.shape == (64, 1, 32, 32)
    assert images.dtype == torch.float32
    assert 0 <= images.min() < images.max() <= 1
    assert torch.equal(finished.sample(64), images)
    assert torch.equal(genlab.open_run(finished.path).sample(64), images)
    assert not torch.equal(finished.sample(64, seed=1), images)


def test_every_way_of_sampling_differs(finished: Run) -> None:
    ways: list[dict[str, Any]] = [{}, {"ema": False}, {"batch_statistics": True}, {"step": 6}, {"label": 3}]
    drawn = [finished.sample(10, **way) for way in ways]
    for k, a in enumerate(drawn):
        for b in drawn[:k]:
            assert not torch.equal(a, b)


def test_the_last_snapshot_is_the_last_checkpoint(finished: Run) -> None:
    assert torch.equal(finished.sample(10, step=12), finished.sample(10))


def test_classes_in_turn_or_one(finished: Run) -> None:
    z = torch.stack([finished.sample(20)[k] for k in range(20)])
    threes = finished.sample(20, label=3)
    assert torch.allclose(threes[3], z[3], atol=1e-6)
    assert torch.allclose(threes[13], z[13], atol=1e-6)
    assert not torch.allclose(threes[4], z[4], atol=1e-5)
    assert torch.equal(finished.sample(20, label="3"), threes)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"n": 0}, "n is 0"),
        ({"label": 10}, "unknown class '10'; allowed: 0, 1, 2"),
        ({"step": 7}, "no snapshot of step 7; available: 6, 12"),
        ({"step": 6, "ema": False}, "snapshots hold only the averaged weights"),
        ({"n": 1, "batch_statistics": True}, "2 or more"),
    ],
)
def test_what_cannot_be_sampled(arguments: dict[str, Any], words: str, finished: Run) -> None:
    with pytest.raises(UsageError) as caught:
        finished.sample(**arguments)
    assert words in str(caught.value)


def test_a_run_is_found_by_its_name_in_a_folder_of_either_kind(finished: Run) -> None:
    root = finished.path.parent
    assert Run.at(finished.path.name, root).path == finished.path
    assert Run.at(finished.path.name, str(root)).path == finished.path


def test_class_names() -> None:
    names = ["T-shirt", "7"]
    assert [sampling.class_index(label, names) for label in ("T-shirt", 0, "0", "7", 1)] == [0, 0, 0, 1, 1]
    assert sampling.class_index(0, ["2", "1", "0"]) == 0
    assert sampling.class_index("0", ["2", "1", "0"]) == 2
    with pytest.raises(UsageError, match=r"allowed: 0 \(T-shirt\), 1 \(7\)"):
        sampling.class_index("coat", names)


@pytest.mark.parametrize(("label", "size"), [(None, (676, 676)), ("3", (676, 676))])
def test_a_grid_file(label: str | None, size: tuple[int, int], finished: Run, tmp_path: Path) -> None:
    sampling.save_images(finished.sample(100, label=label), tmp_path / "a.png", finished, label)
    with Image.open(tmp_path / "a.png") as picture:
        assert picture.size == size


def test_the_form_of_a_grid_file(finished: Run, tmp_path: Path) -> None:
    images = finished.sample(7)
    finished.save(images, tmp_path / "a.png", columns=7, scale=12)
    with Image.open(tmp_path / "a.png") as picture:
        assert picture.size == (12 * (7 * (32 + pictures.GAP) - pictures.GAP), 12 * 32)
    with pytest.raises(UsageError, match=r"columns is 8; allowed: 1 \.\. 7"):
        finished.save(images, tmp_path / "b.png", columns=8)
    with pytest.raises(UsageError, match=r"scale is 0; allowed: 1 \.\. 32"):
        finished.save(images, tmp_path / "b.png", scale=0)


def test_files_are_what_was_sampled(finished: Run, digits: Path, tmp_path: Path) -> None:
    """Image files give the same numbers as the same images in an array file."""
    images = finished.sample(40)
    finished.save(images, tmp_path / "files")
    finished.save(images, tmp_path / "same.npz")
    assert sorted(path.name for path in (tmp_path / "files").iterdir()) == [str(k) for k in range(10)]
    with Image.open(tmp_path / "files" / "3" / "000013.png") as picture:
        np.testing.assert_array_equal(np.asarray(picture), pictures.to_uint8(images)[13, 0])
    a, b = (genlab.evaluate(tmp_path / name, against=str(digits)).record["metrics"] for name in ("files", "same.npz"))
    for name in ("sharpness_ratio", "grain_ratio", "memorised_fraction"):
        assert a[name]["value"] is not None, name
        # Folders change the order of the images, and hence of the sums.
        assert a[name]["value"] == pytest.approx(b[name]["value"], rel=1e-12), name
    with pytest.raises(UsageError, match="already exists; give a new folder"):
        finished.save(images, tmp_path / "files")


def test_an_array_file(finished: Run, tmp_path: Path) -> None:
    sampling.save_images(finished.sample(25), tmp_path / "a.npz", finished)
    with np.load(tmp_path / "a.npz") as arrays:
        assert arrays["images"].shape == (25, 1, 32, 32)
        assert arrays["images"].dtype == np.uint8
        assert arrays["labels"].tolist() == [k % 10 for k in range(25)]
    with pytest.raises(UsageError, match=r"allowed: \.png"):
        sampling.save_images(finished.sample(4), tmp_path / "a.jpg", finished)


def test_an_unconditional_run_has_no_classes(small: Callable[..., GanRecipe], tmp_path: Path) -> None:
    run = genlab.train(small({"budget.max_steps": 2}, "s2-dcgan"), runs=tmp_path, report=False)
    assert run.sample(3).shape == (3, 1, 32, 32)
    with pytest.raises(UsageError, match="is unconditional"):
        run.sample(3, label=1)


def test_recipe_and_dataset_are_refused_together(digits: Path) -> None:
    """One error lists both problems: the batch does not fit the data, and epochs is out of range."""
    with pytest.raises(RecipeError) as caught:
        genlab.train("quick-mnist", epochs=0, overrides={"data.name": str(digits), "budget.batch": 104})
    assert len(caught.value.problems) == 2


def test_nothing_is_made_when_something_is_refused(digits: Path, tmp_path: Path) -> None:
    own = {"data.name": str(digits), "budget.epochs": 1}
    refused: list[dict[str, Any]] = [
        {"overrides": {"budget.batch": 101}},
        {"seed": -1},
        {"seed": 2**64},
        {"name": "a/b"},
    ]
    for arguments in refused:
        overrides = {**own, **arguments.get("overrides", {})}
        with pytest.raises(UsageError):
            genlab.train("quick-mnist", **{**arguments, "overrides": overrides, "runs": tmp_path / "runs"})
    assert not (tmp_path / "runs").exists()


def test_unlabelled_data_cannot_train_a_conditional_model(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", x_train=np.zeros((64, 28, 28), np.uint8))
    with pytest.raises(RecipeError, match="has no labels"):
        genlab.train("quick-mnist", overrides={"data.name": str(tmp_path / "x.npz")}, runs=tmp_path)


def test_changed_data_cannot_be_resumed(small: Callable[..., GanRecipe], digits: Path, tmp_path: Path) -> None:
    own = tmp_path / "own.npz"
    own.write_bytes(digits.read_bytes())
    run = genlab.train(small({"data.name": str(own), "budget.max_steps": 1}), runs=tmp_path, report=False)
    with np.load(own) as arrays:
        changed = dict(arrays)
    changed["x_train"][50, 14, 14] ^= 1
    np.savez(own, **changed)
    with pytest.raises(DataError, match="is not the one"):
        genlab.train(resume=run.path)


class OwnGenerator(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(100, 32 * 32)

    def forward(self, z: Tensor) -> Tensor:
        return torch.tanh(self.linear(z)).view(-1, 1, 32, 32)


def test_own_networks(small: Callable[..., GanRecipe], tmp_path: Path) -> None:
    recipe = small({"budget.max_steps": 3, "logging.metrics_every": 1}, "s2-dcgan")
    discriminator = nn.Sequential(nn.Flatten(), nn.Linear(1024, 8), nn.ReLU(), nn.Linear(8, 1), nn.Flatten(0))
    generator = OwnGenerator()
    before = generator.linear.weight.detach().clone()
    run = genlab.train(recipe, generator=generator, discriminator=discriminator, runs=tmp_path)
    assert not torch.equal(generator.linear.weight.detach(), before)
    assert run.provenance["own"] == {"generator": "OwnGenerator", "discriminator": "Sequential"}
    assert run.provenance["networks"][0]["parameters"] == 101 * 1024
    images = run.sample(5)
    assert images.shape == (5, 1, 32, 32)
    with pytest.raises(UsageError, match="trained with a custom generator"):
        genlab.open_run(run.path).sample(5)
    assert torch.equal(genlab.open_run(run.path, generator=OwnGenerator()).sample(5), images)


def pair(**own: Any) -> genlab.AdversarialLoss:
    """A plain adversarial loss with the given parts replaced."""
    plain: dict[str, Any] = {
        "discriminator": lambda real, fake: fake.mean() - real.mean(),
        "generator": lambda real, fake: -fake.mean(),
        "generator_needs_real": False,
    }
    return genlab.AdversarialLoss(**{**plain, **own})


def test_a_conditional_recipe_says_how_it_calls_a_network(small: Callable[..., GanRecipe], tmp_path: Path) -> None:
    own = nn.Sequential(nn.Linear(100, 1024), nn.Unflatten(1, (1, 32, 32)))
    words = r"calls generator\(z, labels\) with z \(N, 100\) .* and labels \(N,\), int64: it is conditional"
    with pytest.raises(UsageError, match=words):
        genlab.train(small(), generator=own, runs=tmp_path)


def test_a_generator_out_of_range_is_said(small: Callable[..., GanRecipe], tmp_path: Path) -> None:
    first = nn.Linear(100, 1024)
    nn.init.normal_(first.weight, std=3)
    own = nn.Sequential(first, nn.Unflatten(1, (1, 32, 32)))
    recipe = small({"budget.max_steps": 1}, "s2-dcgan")
    with pytest.warns(UserWarning, match=r"the generator makes values from -\d.* images lie in \[-1, 1\]"):
        run = genlab.train(recipe, generator=own, runs=tmp_path, report=False)
    assert "-own-generator-seed0-" in run.path.name


def test_an_own_network_that_does_not_fit_is_refused_before_training(
    small: Callable[..., GanRecipe], tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="the generator cannot be run on"):
        genlab.train(small(recipe="s2-dcgan"), generator=nn.Linear(7, 7), runs=tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("own", "words"),
    [
        ({"generator": nn.Sequential(nn.Linear(100, 784), nn.Unflatten(1, (1, 28, 28)))}, "the generator turns"),
        ({"discriminator": nn.Sequential(nn.Flatten(), nn.Linear(1024, 1))}, "into (2, 1); expected"),
        ({"objective": (1, 2, 3)}, "objective is a tuple"),
        ({"generator": nn.Flatten}, "generator is the class Flatten; give an instance: Flatten(...)"),
        ({"discriminator": len}, "discriminator is a builtin_function_or_method; expected a torch.nn.Module"),
        ({"generator": nn.Linear(7, 7)}, "calls generator(z) with z (N, 100) (networks.latent sets its length)"),
        ({"objective": pair(generator=lambda a, b: (a - b).mean())}, "set generator_needs_real=True"),
        ({"objective": pair(generator=lambda a, b: -b)}, "a tensor of shape (8,); expected a scalar: take its mean()"),
        ({"objective": pair(discriminator=lambda a: a.mean())}, "the discriminator's loss cannot be called with"),
        ({"objective": pair(discriminator=lambda a, b: (a - 5).log().mean())}, "loss for ordinary logits is nan"),
        ({"objective": pair(generator=lambda a, b: 1.0)}, "the generator's loss is float; expected a scalar"),
    ],
)
def test_own_parts_that_do_not_fit_together_are_refused_before_training(
    own: dict[str, Any], words: str, small: Callable[..., GanRecipe], tmp_path: Path
) -> None:
    with pytest.raises(UsageError) as caught:
        genlab.train(small(recipe="s2-dcgan"), runs=tmp_path / "runs", **own)
    assert words in str(caught.value)
    assert not (tmp_path / "runs").exists()


def test_a_class_loss_needs_a_discriminator_that_names_classes(small: Callable[..., GanRecipe], tmp_path: Path) -> None:
    class Own(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(1024, 1)

        def forward(self, x: Tensor, labels: Tensor) -> Tensor:
            logits: Tensor = self.layer(x.flatten(1)).squeeze(1)
            return logits

    with pytest.raises(UsageError, match=r"classification is 0\.3.*method with_classes\(x, labels\).*set .* to null"):
        genlab.train(small({"objective.classification": 0.3}), discriminator=Own(), runs=tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


def test_settings_that_a_custom_objective_replaces(small: Callable[..., GanRecipe], tmp_path: Path) -> None:
    """Two have no effect, which is said; one cannot be met, which is refused."""
    changes = {"budget.max_steps": 1, "objective.discriminator_terms": "half-sum", "objective.label_smoothing": 0.1}
    with pytest.warns(UserWarning, match="with a custom objective") as said:
        genlab.train(small(changes, "s2-dcgan"), objective=pair(), runs=tmp_path, report=False)
    words = [str(each.message) for each in said]
    assert "objective.label_smoothing 0.1 has no effect with a custom objective" in words
    assert "objective.discriminator_terms half-sum has no effect with a custom objective" in words
    needs = pair(generator=lambda real, fake: (real - fake).mean(), generator_needs_real=True)
    recipe = small({"objective.generator_batch": 8, "objective.generator_noise": "fresh"}, "s2-dcgan")
    with pytest.raises(UsageError, match=r"objective\.generator_batch, which is 8, must be null"):
        genlab.train(recipe, objective=needs, runs=tmp_path / "runs")


def test_a_run_without_a_checkpoint_cannot_sample(finished: Run, tmp_path: Path) -> None:
    for name in ("recipe.yaml", "provenance.json", "status.json"):
        (tmp_path / name).write_bytes((finished.path / name).read_bytes())
    with pytest.raises(CheckpointError, match="no usable checkpoint"):
        genlab.open_run(tmp_path).sample(4)


@pytest.mark.parametrize("change", [{"seed": 7}, {"name": "x"}, {"overrides": {"budget.batch": 2}}])
def test_resume_keeps_the_recipe(change: dict[str, Any], finished: Run) -> None:
    with pytest.raises(UsageError, match="keeps its recipe"):
        genlab.train(resume=finished.path, **change)


def test_resume_keeps_the_parts(finished: Run) -> None:
    with pytest.raises(UsageError, match="was trained with the recipe's generator"):
        genlab.train(resume=finished.path, generator=OwnGenerator())


def test_epochs_may_be_given_once(small: Callable[..., GanRecipe], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"epochs is 1, but budget\.epochs is 3"):
        genlab.train(small(), epochs=1, overrides={"budget.epochs": 3}, runs=tmp_path)


def test_show() -> None:
    shown = genlab.show("s4-dcgan")
    assert shown.recipe.name == "s4-dcgan"
    assert [(d.name, d.parameters) for d in shown.networks] == [("generator", 791_776), ("discriminator", 691_680)]
    assert shown.equations[1] == "G minimises  E[-log s(D(G(z)))]"
    assert (shown.cost.steps, shown.cost.images) == (469, 60_000)
    # G: forward and backward (3). D: two images forward and backward (6), and once more through it for G (2).
    assert shown.cost.multiply_adds == 60_000 * (3 * 13_698_048 + 8 * 17_791_744)


def test_a_checkpoint_of_an_own_kind_does_not_load_into_another(finished: Run) -> None:
    saved, _ = checkpoint.newest(finished.checkpoints)
    assert {name.split(".")[0] for name in saved.tensors} == {"generator", "discriminator", "ema"}


def test_the_public_surface() -> None:
    for name in genlab.__all__:
        assert getattr(genlab, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'trian'"):
        _ = genlab.trian


def test_a_step_too_small_for_bfloat16_is_noted(
    small: Callable[..., GanRecipe], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calibrate, "impossible", lambda device: {})  # Avoids the warning about bfloat16's speed.
    changes = {"engine.plan": "auto", "engine.device": "cpu", "engine.precision": "bfloat16", "budget.max_steps": 1}
    with pytest.warns(UserWarning, match=r"objective\.sigma 0\.01 is small for bfloat16"):
        genlab.train(small({**changes, "objective.sigma": 0.01}), runs=tmp_path, report=False)
    genlab.train(small(changes), runs=tmp_path, report=False)  # 0.05: no warning, or the test would fail


def test_an_unbounded_critic_is_noted(small: Callable[..., GanRecipe], tmp_path: Path) -> None:
    none = {"objective.penalty": "none", "objective.lambda": None, "objective.sigma": None}
    changes = {**none, "objective.loss": "wasserstein", "budget.max_steps": 1}
    with pytest.warns(UserWarning, match="needs a bound on D's slope"):
        genlab.train(small(changes), runs=tmp_path, report=False)
    genlab.train(small({**changes, "objective.clip": 0.01}), runs=tmp_path, report=False)
