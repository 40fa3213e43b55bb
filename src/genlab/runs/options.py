"""Options for drawing images of a run, with their meanings and defaults."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypedDict

from genlab.errors import check_seed

HELP = {
    "seed": "Random seed of the noise.",
    "step": "Use the snapshot of this step (default: the newest checkpoint).",
    "raw_weights": "Use the weights as trained, not their average (EMA); not available for snapshots.",
    "batch_statistics": "Normalise by the statistics of the images drawn, not by the running statistics.",
    "truncation": "Cut the distribution of z at plus and minus this value: less varied, more typical images.",
}


@dataclass(frozen=True)
class SamplingOptions:
    """How images of a run are drawn, as every caption states. `HELP` explains each option; `ema` is the opposite of
    `raw_weights`."""

    seed: int = 0
    step: int | None = None
    ema: bool = True
    batch_statistics: bool = False
    truncation: float | None = None

    def __post_init__(self) -> None:
        check_seed(self.seed)


class SamplingKeywords(TypedDict, total=False):
    """`SamplingOptions` as keyword arguments."""

    seed: int
    step: int | None
    ema: bool
    batch_statistics: bool
    truncation: float | None
