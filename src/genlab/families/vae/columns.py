"""What a VAE's metric rows hold."""

from collections.abc import Mapping
from typing import Any

from genlab.families.base import Column
from genlab.recipe import VaeRecipe

COLUMNS = (
    Column("loss", "Loss/Training minibatch", live="loss", block=True, role="loss"),
    Column("reconstruction", "Loss/Reconstruction", block=True),
    Column("kl", "Loss/KL", block=True),
    Column("test_loss", "Loss/Test", epoch="test loss {:.4g}", role="test loss"),
    Column("test_reconstruction", "Loss/Test reconstruction"),
    Column("test_kl", "Loss/Test KL"),
    Column("kl_weight", "KL/weight"),
    Column("effective_beta", "KL/effective beta"),
    Column("reconstruction_sum", "Reconstruction/training minibatch, nats", role="reconstruction"),
    Column("kl_sum", "KL/training minibatch, nats", live="KL (nats)", role="kl"),
    Column("active_units", "ActiveUnits/training minibatch", role="active units"),
    Column(
        "test_reconstruction_sum",
        "Reconstruction/test, nats",
        epoch="test reconstruction {:.2f} nats",
        role="test reconstruction",
    ),
    Column("test_kl_sum", "KL/test, nats", epoch="test KL {:.2f} nats", role="test kl"),
    Column("test_active_units", "ActiveUnits/test", epoch="active units {:d}", role="test active units"),
    Column("grad_norm", "GradientNorm", role="gradient"),
    Column("update", "Update", role="update"),
    Column("dead_units", "DeadUnits", role="dead units"),
    Column("lr", "LearningRate", role="learning rate"),
)


def outcome(recipe: VaeRecipe, row: Mapping[str, Any]) -> list[tuple[str, str]]:
    """How many latent units carry information."""
    units = row.get("test_active_units", row.get("active_units"))
    if units is None:
        return []
    collapsed = ": collapsed, every z gives one image" if units == 0 else ""
    return [("latent units", f"{units} of {recipe.latent} active{collapsed}")]
