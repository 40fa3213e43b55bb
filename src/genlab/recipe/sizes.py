"""How many stride-2 blocks lie between an image's side and the narrow end of a convolutional network."""

from __future__ import annotations


def doublings(base: int, side: int) -> int | None:
    """n >= 1 with base * 2^n = side (transposed convolutions, kernel 4, stride 2, padding 1), or None."""
    blocks = 0
    while base < side:
        base, blocks = base * 2, blocks + 1
    return blocks if blocks and base == side else None


def halvings(side: int, base: int) -> int | None:
    """n >= 1 with `side` halved n times, rounded down, = base (convolutions, same kernel and stride), or None."""
    blocks = 0
    while side > base:
        side, blocks = side // 2, blocks + 1
    return blocks if blocks and side == base else None
