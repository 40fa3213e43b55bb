"""Columns of a classifier's metric rows."""

from collections.abc import Mapping
from typing import Any

from genlab.families.base import Column
from genlab.recipe import ClassifierRecipe

COLUMNS = (
    Column("loss", "Loss/Training minibatch", live="loss", block=True, role="loss"),
    Column("accuracy", "Accuracy/training minibatch", live="accuracy", block=True),
    Column("train_loss", "Loss/Training epoch", epoch="train loss {:.4f}", role="training loss"),
    Column("test_loss", "Loss/Test", epoch="test loss {:.4f}", role="test loss"),
    Column("train_accuracy", "Accuracy/training epoch", epoch="train accuracy {:.2%}", role="training accuracy"),
    Column("test_accuracy", "Accuracy/test", epoch="test accuracy {:.2%}", role="test accuracy"),
    Column("grad_norm", "GradientNorm", role="gradient", called="gradient norm"),
    Column("update", "Update", role="update", called="update over the weights"),
    Column("dead_units", "DeadUnits", role="dead units"),
    Column("lr", "LearningRate", role="learning rate", called="learning rate"),
)


def outcome(recipe: ClassifierRecipe, row: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Share of test images that are classified correctly."""
    return [("test accuracy", f"{100 * row['test_accuracy']:.2f} %")] if "test_accuracy" in row else []
