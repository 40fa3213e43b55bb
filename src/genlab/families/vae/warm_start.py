"""An encoder that starts from a classifier's body (report S4)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from genlab.errors import UsageError, aligned


@torch.no_grad()
def start_encoder(encoder: nn.Module, tensors: Mapping[str, Tensor], source: str) -> None:
    """Give an encoder's body the weights of a classifier's body (report S4's warm start).

    Args:
        tensors: the classifier's tensors, by name.
        source: the classifier's name in messages.

    Raises:
        UsageError: the layers or shapes differ.
    """
    check_bodies(encoder, tensors, source)
    theirs = {key: value for key, value in tensors.items() if key.startswith("body.")}
    encoder.load_state_dict({**encoder.state_dict(), **theirs})


def check_bodies(encoder: nn.Module, tensors: Mapping[str, Tensor], source: str) -> None:
    """Check that an encoder's body has the layers and shapes of a classifier's.

    Raises:
        UsageError: it does not; the message shows both sides in a table.
    """
    mine = {key: value for key, value in encoder.state_dict().items() if key.startswith("body.")}
    theirs = {key: value for key, value in tensors.items() if key.startswith("body.")}
    rows = [
        (key, *(tuple(side[key].shape) if key in side else "-" for side in (mine, theirs)))
        for key in sorted(mine.keys() | theirs.keys())
    ]
    if any(here != there for _, here, there in rows):
        table = aligned([("weights", "encoder", source), *([str(cell) for cell in row] for row in rows)])
        raise UsageError(f"the encoder cannot start from {source}: their bodies differ\n{table}")
