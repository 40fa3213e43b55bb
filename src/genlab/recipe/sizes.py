"""Lengths in pixels: stride-2 blocks between an image's side and the narrow end of a network, and shares of a side."""

from __future__ import annotations


def doublings(base: int, side: int) -> int | None:
    """n >= 1 with base * 2^n = side (transposed convolutions, kernel 4, stride 2, padding 1), or None."""
    blocks = 0
    while base < side:
        base, blocks = base * 2, blocks + 1
    return blocks if blocks and base == side else None


def halvings(side: int, base: int) -> int | None:
    """n >= 1 so that `side` halved n times, rounded down, = base (convolutions, same kernel and stride), or None."""
    blocks = 0
    while side > base:
        side, blocks = side // 2, blocks + 1
    return blocks if blocks and side == base else None


def pixels(share: float, side: int) -> int:
    """A share (0 .. 1) of the side, rounded to whole pixels; halves are rounded up."""
    return int(side * share + 0.5)
