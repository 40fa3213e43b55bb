"""Parameters that several commands share: each flag, with its help, is written once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter, Token

from genlab.runs.options import HELP, SamplingKeywords


def whole(_: object, tokens: Sequence[Token]) -> int:
    """A whole number as it was typed; 0.7 is refused (and would otherwise be rounded)."""
    return wholes(_, tokens)[0]


def wholes(_: object, tokens: Sequence[Token]) -> list[int]:
    """Several whole numbers as they were typed."""
    try:
        return [int(token.value) for token in tokens]
    except ValueError:
        given = " ".join(token.value for token in tokens)
        raise ValueError(f"{given!r}: a whole number is needed") from None


def several(help: str) -> Parameter:
    """A parameter that takes several whole numbers after one flag."""
    return Parameter(consume_multiple=True, negative="", converter=wholes, help=help)


Runs = Annotated[Path | None, Parameter(name="--runs", help="Folder of the runs (default: GENLAB_RUNS or ./runs).")]


Json = Annotated[bool, Parameter(name="--json", negative="", help="Print JSON.")]


RunName = Annotated[str, Parameter(help="Run: its path, or its name under --runs.")]


@dataclass(frozen=True)
class Drawing:
    """How images are drawn."""

    seed: Annotated[int, Parameter(converter=whole, help=HELP["seed"])] = 0
    step: Annotated[int | None, Parameter(converter=whole, help=HELP["step"])] = None
    raw_weights: Annotated[bool, Parameter(negative="", help=HELP["raw_weights"])] = False
    batch_statistics: Annotated[bool, Parameter(negative="", help=HELP["batch_statistics"])] = False
    truncation: Annotated[float | None, Parameter(help=HELP["truncation"])] = None

    def chosen(self) -> SamplingKeywords:
        """The options that differ from the defaults."""
        plain = Drawing().options()
        return {k: v for k, v in self.options().items() if v != plain[k]}  # type: ignore[literal-required, return-value]

    def options(self) -> SamplingKeywords:
        """All options, by the names that the library uses."""
        return {
            "seed": self.seed,
            "step": self.step,
            "ema": not self.raw_weights,
            "batch_statistics": self.batch_statistics,
            "truncation": self.truncation,
        }


Draw = Annotated[Drawing, Parameter(name="*")]


Label = Annotated[
    str | None,
    Parameter(name="--class", help="Class to draw, by number or name (default: all, or the first where one is drawn)."),
]


Judge = Annotated[str | None, Parameter(help="Run of a classifier to use as judge (default: the dataset's own judge).")]


AS_THE_RUN_DOES = Drawing()


Data = Annotated[
    str | None, Parameter(help="Images to train on: a built-in dataset, a folder or a file; short for --data.name.")
]


Minutes = Annotated[
    float | None,
    Parameter(help="Minutes to train: timing a few steps here decides the number of steps, and settings that suit it."),
]


Dataset = Annotated[str, Parameter(help="Built-in dataset, or path of a folder or file of images.")]
