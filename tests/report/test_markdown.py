"""A study's page as Markdown: a reader sees exactly what the texts say."""

from __future__ import annotations

from dataclasses import replace

import pytest
from markdown_it import MarkdownIt

from genlab.report.markdown import plain, render
from genlab.report.study_page import ClaimCard, StudyPage
from genlab.report.tables import Table

CARD = ClaimCard(
    "claim-lower",
    "A lower beta_1 is *better*.",
    "report S0 (S0.12)",
    "holds",
    "",
    "16 of 50 epochs",
    "a is lower than b",
    "The distance of a is 5.8 [5.1, 6.4] (95 %).",
    None,
    [("p", "0.03 | exact")],
    "Few seeds.",
    ("It learns `more`.", "claim-more", "does not hold"),
    "genlab study run s.yaml",
)
PAGE = StudyPage(
    title="s",
    question="Is <b>a</b> better?",
    lead="2 arms x 3 seeds",
    state="",
    verdicts=None,
    cards=[CARD],
    arms=Table("arms", ("arm", "n"), [("a|b", "3")], numeric=("n",)),
    bands=[],
    grids=[],
    grids_caption="",
    failures=None,
    cut=["epochs: 16 of 50"],
    cost=[("runs", "6")],
    methods="Two-sided.",
    notes=["A note."],
)


def shown(text: str) -> str:
    """Markdown as a reader sees it, without tags."""
    rendered = MarkdownIt("commonmark").enable("table").parse(text)
    inline = [child for token in rendered if token.children for child in token.children]
    return "".join(
        child.content for child in inline if child.type in ("text", "code_inline", "html_inline", "text_special")
    )


@pytest.mark.parametrize(
    "text",
    [
        "5.8 [5.1, 6.4](95)",
        "loss_g_mean and _this_",
        "a * b * c, *not* `code`",
        "<script>",
        "a \\ b | c # d",
        "&amp;",
    ],
)
def test_plain_text_is_shown_as_it_stands(text: str) -> None:
    assert shown(plain(text)) == text


def test_what_steers_a_terminal_is_shown_as_its_escape() -> None:
    assert "\x1b" not in plain("\x1b[31m")


def test_every_part_of_a_card_is_there_in_order() -> None:
    text = render(PAGE, "figures")
    parts = [
        "genlab study run s.yaml",
        "](#claim-lower) | **holds** - an indication",
        '<a id="claim-lower"></a>',
        "report S0",
        "**holds** - an indication, from 16 of 50 epochs\n",
        "a is lower than b",
        "> The distance of a",
        "Few seeds.",
        "](#claim-more)",
        "| a\\|b | 3 |",
        "epochs: 16 of 50",
        "Two-sided.",
        "A note.",
    ]
    places = [text.index(part) for part in parts]
    assert places == sorted(places)
    assert "Failures" not in text
    assert "Failures" in render(replace(PAGE, failures=PAGE.arms), "figures")
