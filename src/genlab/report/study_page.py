"""Content of a study's page, as plain dataclasses; the code that runs studies fills them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from genlab.report.figures.seeds import Bands, Dots
from genlab.report.page import Grid
from genlab.report.tables import Table


@dataclass(frozen=True)
class ClaimCard:
    """A claim on one screen, always in this order.

    Attributes:
        anchor: anchor of the claim on the page.
        says, source: the claim in our words, and who made it.
        answer: holds, does not hold, or cannot be decided here; `why` and the budget's `share` are on the same line.
        arms: what the numbers say about the arms.
        sentence: sentence to quote.
        figure: figure of the numbers; None if there are none yet.
        facts: (label, value): n, interval, margin, corrected p.
        looks: remark on why the report may have come to another answer.
        reason: (claim, anchor, answer) of the claim that is given as this one's reason; None if there is none.
        command: command that reproduces the result.
    """

    anchor: str
    says: str
    source: str
    answer: str
    why: str
    share: str
    arms: str
    sentence: str
    figure: Dots | None
    facts: list[tuple[str, str]]
    looks: str
    reason: tuple[str, str, str] | None
    command: str


@dataclass(frozen=True)
class StudyPage:
    """The page of a study.

    Attributes:
        lead: number of arms, seeds and runs.
        state: what is missing; empty if nothing is.
        verdicts: one row per claim.
        arms: each arm with its mean, its spread, and what sets it apart.
        bands: curves over the seeds.
        grids: (arm, grid of the median seed, grid of the worst).
        grids_caption: which number ranks the seeds.
        failures: runs that failed or diverged; None if none did.
        cut: what falls short of the full study, one line each.
        cost: (label, value) pairs.
        methods: methods paragraph to copy.
        notes: the author's own notes, as paragraphs.
    """

    title: str
    question: str
    lead: str
    state: str
    verdicts: Table | None
    cards: list[ClaimCard]
    arms: Table
    bands: list[Bands]
    grids: list[tuple[str, list[Grid]]]
    grids_caption: str
    failures: Table | None
    cut: list[str]
    cost: list[tuple[str, str]]
    methods: str
    notes: Sequence[str] = field(default=())

    @property
    def contents(self) -> list[tuple[str, str]]:
        """(anchor, title) of each section on the page."""
        there = [
            ("claims", "Claims", bool(self.cards)),
            ("arms", "Arms", True),
            ("curves", "Curves", bool(self.bands)),
            ("samples", "Samples", bool(self.grids)),
            ("failures", "Failures", self.failures is not None),
            ("cut", "What differs from the full plan", bool(self.cut)),
            ("methods", "Methods and cost", True),
            ("notes", "Notes", bool(self.notes)),
        ]
        return [(anchor, title) for anchor, title, shown in there if shown]
