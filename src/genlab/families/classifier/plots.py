"""Plots of a classifier's training."""

from __future__ import annotations

from genlab.families.drawing import Curve, Plot, gradient_plot
from genlab.recipe import ClassifierRecipe


def plots(recipe: ClassifierRecipe, custom_objective: bool) -> list[Plot]:
    """Plots of a run."""
    words = (
        "After each epoch: training, the mean over the epoch's minibatches, each before its update; test, the test "
        "split with the weights at the end of the epoch."
    )
    return [
        Plot(
            "accuracy",
            "Accuracy",
            words,
            "share classified correctly",
            (Curve("train_accuracy", "training"), Curve("test_accuracy", "test")),
        ),
        Plot("loss", "Cross-entropy", words, "nats", (Curve("train_loss", "training"), Curve("test_loss", "test"))),
        gradient_plot(),
    ]
