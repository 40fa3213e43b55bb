"""How images of a run are drawn: every option, with what it means and what it is without being asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypedDict

HELP = {
    "seed": "Random seed of the noise.",
    "step": "Step of a snapshot (default: the newest checkpoint).",
    "raw_weights": "The weights as trained instead of their average (EMA); only at a checkpoint.",
    "batch_statistics": "BatchNorm by the statistics of the images that are drawn, not by running ones.",
    "truncation": "Draw z from the normal distribution cut at plus and minus so much: less varied, more typical.",
}


@dataclass(frozen=True)
class SamplingOptions:
    """How images of a run are drawn; said in every caption. `HELP` says what each option means; `ema` is
    the opposite of `raw_weights`."""

    seed: int = 0
    step: int | None = None
    ema: bool = True
    batch_statistics: bool = False
    truncation: float | None = None


class SamplingKeywords(TypedDict, total=False):
    """`SamplingOptions` as keyword arguments."""

    seed: int
    step: int | None
    ema: bool
    batch_statistics: bool
    truncation: float | None
