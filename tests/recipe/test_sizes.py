from __future__ import annotations

import pytest
import torch
from torch import nn

from genlab.recipe.sizes import doublings, halvings


@pytest.mark.parametrize(("base", "side", "blocks"), [(4, 32, 3), (7, 28, 2), (4, 64, 4), (4, 4, None), (4, 28, None)])
def test_doublings(base: int, side: int, blocks: int | None) -> None:
    assert doublings(base, side) == blocks


@pytest.mark.parametrize(("side", "base", "blocks"), [(32, 4, 3), (28, 7, 2), (28, 3, 3), (28, 4, None), (4, 4, None)])
def test_halvings(side: int, base: int, blocks: int | None) -> None:
    assert halvings(side, base) == blocks


@pytest.mark.parametrize("side", range(4, 40))
def test_halving_is_what_a_strided_convolution_does(side: int) -> None:
    out = nn.Conv2d(1, 1, 4, 2, 1)(torch.zeros(1, 1, side, side)).shape[2]
    assert halvings(side, out) == 1
