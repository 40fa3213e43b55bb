"""What stands on the page of a study, as plain dataclasses; whoever runs studies fills them."""

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
        anchor: of its place on the page.
        says, source: the claim in our words, and who made it.
        answer: holds, does not hold, cannot be decided here; `why`, and `share` of the budget, in the same line.
        arms: what the numbers say of the arms.
        sentence: to quote.
        figure: None where there are no numbers yet.
        facts: (label, value): n, interval, margin, corrected p.
        looks: why it may look otherwise.
        reason: (claim, anchor, answer) of the claim that gives this one's reason; None without.
        command: that makes it once more.
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
        lead: how many arms, seeds, runs.
        state: what is missing; empty where nothing is.
        verdicts: a row per claim.
        arms: each with its mean, its spread, what sets it apart.
        bands: curves over the seeds.
        grids: (arm, grid of the median seed, grid of the worst).
        grids_caption: by which number.
        failures: runs that failed or diverged; None where none did.
        cut: what is less than it might be, a line each.
        cost: (label, value).
        methods: a paragraph to copy.
        notes: the author's own, as paragraphs.
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
        """(anchor, title) of each section that there is."""
        there = [
            ("claims", "Claims", bool(self.cards)),
            ("arms", "Arms", True),
            ("curves", "Curves", bool(self.bands)),
            ("samples", "Samples", bool(self.grids)),
            ("failures", "Failures", self.failures is not None),
            ("cut", "What was cut", bool(self.cut)),
            ("methods", "Methods and cost", True),
            ("notes", "Notes", bool(self.notes)),
        ]
        return [(anchor, title) for anchor, title, shown in there if shown]
