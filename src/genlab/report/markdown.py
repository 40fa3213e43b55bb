"""A study's page as Markdown, which a repository shows beside the study's records."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from html import escape

from genlab.engine.console import visible
from genlab.report.study_page import ClaimCard, StudyPage
from genlab.report.tables import Table

WIDTH = 460
"""Width of a figure on the page, in pixels."""
SPECIAL = re.compile(r"([\\`*\[\]|#]|(?<!\w)_|_(?!\w))")

ELSEWHERE = "Curves and sample images are in the page that `genlab study report` writes."


def render(page: StudyPage, figures: str) -> str:
    """The claims with their figures, the arms, what failed or was cut, methods and cost. Curves and samples appear only
    in the HTML page.

    Args:
        figures: folder of the claims' figures, relative to the file.
    """
    parts = [f"# {plain(page.title)}", plain(page.question), f"{plain(page.lead)}. {plain(page.state)}".strip()]
    commands = dict.fromkeys(visible(card.command) for card in page.cards if card.command)
    parts += [f"```text\n{command}\n```" for command in commands]
    if page.cards:
        parts += ["## Claims", _overview(page.cards)]
    for card in page.cards:
        parts += _claim(card, figures)
    parts += ["## Arms", _table(page.arms)]
    parts += [f"The other quantities are in [table.csv](table.csv), one row per run. {ELSEWHERE}"]
    if page.failures:
        parts += ["## Failures", _table(page.failures)]
    if page.cut:
        parts += ["## What differs from the full plan", _list(page.cut)]
    parts += ["## Methods and cost", plain(page.methods), _list(f"{label}: {value}" for label, value in page.cost)]
    if page.notes:
        parts += ["## Notes", *(plain(each) for each in page.notes)]
    return "\n\n".join(filter(None, parts)) + "\n"


def plain(text: str) -> str:
    """Text escaped so that Markdown shows it literally."""
    text = visible(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return SPECIAL.sub(r"\\\1", text)


def _overview(cards: Sequence[ClaimCard]) -> str:
    rows = [f"| [{plain(card.says)}](#{card.anchor}) | {_verdict(card)} |" for card in cards]
    return "\n".join(["| claim | verdict |", "| --- | --- |", *rows])


def _verdict(card: ClaimCard) -> str:
    share = f" - an indication, from {plain(card.share)}" if card.share else ""
    return f"**{plain(card.answer)}**{share}"


def _claim(card: ClaimCard, figures: str) -> Iterator[str]:
    yield f'### <a id="{card.anchor}"></a>{plain(card.says)}'
    yield plain(card.source)
    yield f"{_verdict(card)}{f': {plain(card.why)}' if card.why else ''}"
    yield f"About the arms: {plain(card.arms)}." if card.arms else ""
    yield f"> {plain(card.sentence)}"
    if card.figure:
        shown = escape(f"{card.figure.title}: {', '.join(card.figure.values)}")
        yield f'<img src="{figures}/{card.figure.name}.png" width="{WIDTH}" alt="{shown}">'
        yield f"*{plain(card.figure.caption)}*"
    yield _list(f"{label}: {value}" for label, value in card.facts)
    yield f"Keep in mind: {plain(card.looks)}" if card.looks else ""
    if card.reason:
        says, anchor, answer = card.reason
        yield f"The reason given is tested as a separate claim: [{plain(says)}](#{anchor}) {plain(answer)}."


def _table(table: Table) -> str:
    rules = ["---:" if column in table.numeric else "---" for column in table.columns]
    rows = [[plain(cell) for cell in row] for row in (table.columns, *table.rows)]
    return "\n".join(f"| {' | '.join(row)} |" for row in (rows[0], rules, *rows[1:]))


def _list(lines: Sequence[str] | Iterator[str]) -> str:
    return "\n".join(f"- {plain(line)}" for line in lines)
