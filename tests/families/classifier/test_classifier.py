"""How a classifier learns, what it logs per epoch, and exact resume in the middle of one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

import genlab
from genlab.engine import device
from genlab.engine.randomness import Keyed
from genlab.errors import RecipeError, Stopped, UsageError
from genlab.families.classifier import model as classifier
from genlab.recipe import ClassifierRecipe
from genlab.runs.checkpoint import newest
from genlab.training.fit import Observer

SMALL: dict[str, Any] = {
    "engine.plan": "reference",
    "networks.classifier.widths": [12],
    "budget.batch": 16,
    "budget.epochs": 2,
    "logging.metrics_every": 1,
    "logging.tensorboard": False,
}
Small = Callable[..., ClassifierRecipe]


@pytest.fixture
def both_splits(digits: Path, tmp_path: Path) -> Path:
    """File of the hundred digits, with thirty others as a test split."""
    with np.load(digits) as arrays:
        train = dict(arrays)
    test = genlab.load_dataset("mnist", "test")
    assert test.labels is not None
    path = tmp_path / "both.npz"
    np.savez(path, **train, x_test=test.images[:30, 0], y_test=test.labels[:30].astype(np.uint8))
    return path


@pytest.fixture
def small_classifier(both_splits: Path) -> Small:
    def make(changes: dict[str, Any] | None = None) -> ClassifierRecipe:
        recipe = genlab.load_recipe("s4-classifier", {"data.name": str(both_splits), **SMALL, **(changes or {})})
        assert isinstance(recipe, ClassifierRecipe)
        return recipe

    return make


def make(recipe: ClassifierRecipe) -> classifier.Classifier:
    machine = device.start(device.resolve(recipe.engine, False))
    return classifier.Classifier(recipe, classifier.build_networks(recipe, 10, Keyed(0)), machine, Keyed(0), 14)


def batch(small_classifier: Small) -> tuple[torch.Tensor, torch.Tensor]:
    data = genlab.load_dataset(small_classifier().data.name)
    assert data.labels is not None
    return torch.from_numpy(data.images[::7]), torch.from_numpy(data.labels[::7])


def test_a_step_is_cross_entropy(small_classifier: Small) -> None:
    model = make(small_classifier())
    x, y = batch(small_classifier)
    with torch.no_grad():
        logits = model.network(x.float() * 2 / 255 - 1)
    row = model.step(x, y, 1)
    expected = -torch.log_softmax(logits.double(), 1)[torch.arange(len(y)), y].mean()
    assert row["loss"] == pytest.approx(expected.item(), rel=1e-6)
    assert row["accuracy"] == pytest.approx((logits.argmax(1) == y).double().mean().item())
    assert model.step(x, y, 2)["loss"] < row["loss"]


def test_label_smoothing_spreads_the_target(small_classifier: Small) -> None:
    x, y = batch(small_classifier)
    plain, smooth = (make(small_classifier({"objective.label_smoothing": s})).step(x, y, 1)["loss"] for s in (0.0, 0.2))
    with torch.no_grad():
        logits = make(small_classifier()).classify(x).double()
    uniform = -torch.log_softmax(logits, 1).mean()
    assert smooth == pytest.approx(0.8 * plain + 0.2 * uniform.item(), rel=1e-5)


@pytest.mark.parametrize(
    "changes",
    [
        {"networks.classifier": {"kind": "cnn", "ndf": 4, "base": 7}},
        {"networks.classifier.activation": "relu"},
        {"networks.classifier.normalisation": "batch"},
        {"networks.classifier.init": "normal-0.02"},
        {"optimiser.name": "sgd"},
        {"optimiser.schedule": "cosine"},
    ],
)
def test_every_setting_acts(changes: dict[str, Any], small_classifier: Small) -> None:
    x, y = batch(small_classifier)
    if "networks.classifier" in changes:
        recipe = genlab.load_recipe(
            "s4-classifier",
            {"data.name": small_classifier().data.name, "engine.plan": "reference", **changes},
        )
        assert isinstance(recipe, ClassifierRecipe)
    else:
        recipe = small_classifier(changes)
    a, b = make(small_classifier()), make(recipe)
    assert [a.step(x, y, k) for k in (1, 2, 3)] != [b.step(x, y, k) for k in (1, 2, 3)]


def test_epochs_end_with_what_s4_prints(small_classifier: Small, tmp_path: Path) -> None:
    """Training loss and accuracy are means over the epoch's minibatches; test values use the weights at its end."""
    run = genlab.train(small_classifier(), runs=tmp_path)
    rows = run.metrics()
    ends = [row for row in rows if "test_accuracy" in row]
    assert [row["epoch"] for row in ends] == [1, 2]
    # Batches of 16, the last one of 4: means over images, not over batches.
    first = rows[:7]
    sizes = [16] * 6 + [4]
    assert ends[0]["train_loss"] == pytest.approx(np.average([r["loss"] for r in first], weights=sizes), rel=1e-6)
    assert ends[0]["train_accuracy"] == pytest.approx(np.average([r["accuracy"] for r in first], weights=sizes))
    second = np.average([r["loss"] for r in rows[7:14]], weights=sizes)
    assert ends[1]["train_loss"] == pytest.approx(second, rel=1e-6)
    test = genlab.load_dataset(run.recipe.data.name, "test")
    assert test.labels is not None
    network = make(small_classifier()).network
    saved = newest(run.checkpoints)[0].tensors
    network.load_state_dict({k.removeprefix("classifier."): v for k, v in saved.items()})
    with torch.no_grad():
        logits = network.eval()(torch.from_numpy(test.images).float() * 2 / 255 - 1)
    labels = torch.from_numpy(test.labels)
    assert ends[1]["test_loss"] == pytest.approx(cross_entropy(logits, labels).item(), rel=1e-5)
    assert ends[1]["test_accuracy"] == pytest.approx((logits.argmax(1) == labels).float().mean().item())
    counts = run.confusion().arrays["counts"]
    assert counts.sum() == 30
    assert np.trace(counts) / 30 == pytest.approx(ends[1]["test_accuracy"])
    assert counts.sum(1).tolist() == np.bincount(test.labels, minlength=10).tolist()  # rows are true classes
    text = (run.path / "report.html").read_text("utf-8")
    assert "Confusion matrix" in text
    assert "are classified correctly" in text


def test_losses_of_an_epoch_are_comparable_under_label_smoothing(small_classifier: Small, tmp_path: Path) -> None:
    """The minimised loss is smoothed; an epoch's losses are the plain cross-entropy on both splits."""
    changes = {"objective.label_smoothing": 0.3, "optimiser.lr": 1e-9, "optimiser.eps": 1.0}
    rows = genlab.train(small_classifier(changes), runs=tmp_path, report=False).metrics()
    plain = genlab.train(small_classifier({**changes, "objective.label_smoothing": 0}), runs=tmp_path, report=False)
    assert rows[-1]["train_loss"] == pytest.approx(plain.metrics()[-1]["train_loss"], rel=1e-4)
    assert rows[0]["loss"] != pytest.approx(plain.metrics()[0]["loss"], rel=1e-4)


def test_a_stopped_epoch_goes_on_exactly(
    small_classifier: Small, tmp_path: Path, stop_at: Callable[[int], Observer]
) -> None:
    whole = genlab.train(small_classifier(), runs=tmp_path, report=False)
    with pytest.raises(Stopped):
        genlab.train(small_classifier(), runs=tmp_path, report=False, name="stopped", observers=[stop_at(4)])
    resumed = genlab.train(resume=tmp_path / "stopped", report=False)
    rows = [[{k: v for k, v in row.items() if k != "seconds"} for row in r.metrics()] for r in (whole, resumed)]
    assert rows[0] == rows[1]
    assert "train_loss" in rows[0][-1]


def test_data_without_a_test_split(small_classifier: Small, digits: Path, tmp_path: Path) -> None:
    run = genlab.train(small_classifier({"data.name": str(digits)}), runs=tmp_path)
    assert "train_accuracy" in run.metrics()[-1]
    assert "test_accuracy" not in run.metrics()[-1]
    assert "100 train images" in (run.path / "report.html").read_text("utf-8")


def test_what_a_classifier_cannot_do(small_classifier: Small, tmp_path: Path) -> None:
    run = genlab.train(small_classifier({"budget.max_steps": 1}), runs=tmp_path, report=False)
    for ask in (run.sample, run.interpolate, run.grid, run.traverse, run.timeline):
        with pytest.raises(UsageError, match="is a classifier: it makes no images"):
            ask()


def test_labels_are_needed(tmp_path: Path) -> None:
    np.savez(tmp_path / "bare.npz", x_train=np.zeros((200, 28, 28), np.uint8))
    with pytest.raises(RecipeError, match="has no labels"):
        genlab.train("s4-classifier", overrides={"data.name": str(tmp_path / "bare.npz")}, runs=tmp_path)
