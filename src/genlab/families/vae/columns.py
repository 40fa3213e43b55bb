"""Columns of a VAE's metric rows."""

from collections.abc import Mapping
from typing import Any

from genlab.families.base import Column
from genlab.recipe import VaeRecipe

COLUMNS = (
    Column("loss", "Loss/Training minibatch", live="loss", block=True, role="loss"),
    Column("reconstruction", "Loss/Reconstruction", block=True, called="reconstruction term"),
    Column("kl", "Loss/KL", block=True, called="KL term"),
    Column("test_loss", "Loss/Test", epoch="test loss {:.4g}", role="test loss"),
    Column("test_reconstruction", "Loss/Test reconstruction", called="reconstruction term of test images"),
    Column("test_kl", "Loss/Test KL", called="KL term of test images"),
    Column("kl_weight", "KL/weight", called="weight of the KL term"),
    Column("effective_beta", "KL/effective beta", called="weight c of the KL term"),
    Column(
        "reconstruction_sum",
        "Reconstruction/training minibatch, nats",
        role="reconstruction",
        called="reconstruction term in nats",
    ),
    Column("kl_sum", "KL/training minibatch, nats", live="KL (nats)", role="kl", called="KL term in nats"),
    Column("active_units", "ActiveUnits/training minibatch", role="active units"),
    Column(
        "test_reconstruction_sum",
        "Reconstruction/test, nats",
        epoch="test reconstruction {:.2f} nats",
        role="test reconstruction",
        called="reconstruction term of test images in nats",
    ),
    Column(
        "test_kl_sum",
        "KL/test, nats",
        epoch="test KL {:.2f} nats",
        role="test kl",
        called="KL term of test images in nats",
    ),
    Column(
        "test_active_units",
        "ActiveUnits/test",
        epoch="active units {:d}",
        role="test active units",
        called="number of active units on test images",
    ),
    Column("grad_norm", "GradientNorm", role="gradient", called="gradient norm"),
    Column("update", "Update", role="update", called="update over the weights"),
    Column("dead_units", "DeadUnits", role="dead units"),
    Column("lr", "LearningRate", role="learning rate", called="learning rate"),
)


def outcome(recipe: VaeRecipe, row: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Number of latent units that carry information."""
    units = row.get("test_active_units", row.get("active_units"))
    if units is None:
        return []
    collapsed = ": collapsed, every z gives the same image" if units == 0 else ""
    return [("latent units", f"{units} of {recipe.latent} active{collapsed}")]
