"""Text that people read (help, messages, docstrings, README, docs) uses the field's terms (tests/words.txt)."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from genlab.evaluation.catalogue import IN_FEATURES, METRICS

ROOT = Path(__file__).parent.parent
LINES = (ROOT / "tests" / "words.txt").read_text("utf-8").splitlines()
WORDS = [line.partition(" -> ")[0] for line in LINES if not line.startswith("#")]
IDENTIFIERS = {word for word in WORDS if word.isidentifier()}
PHRASES = [word for word in WORDS if word not in IDENTIFIERS]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
SOURCES = sorted((ROOT / "src").rglob("*.py"))
TEMPLATES = sorted((ROOT / "src").rglob("*.html"))
KEYS = {"floors", "floors_wanted", "frechet_floors"}
"""JSON keys and attribute names, which stay what they were."""


def found(text: str) -> list[str]:
    """Forbidden phrases in a text, whatever its line breaks and capitals."""
    plain = re.sub(r"\s+", " ", f" {text.lower()} ")
    return [phrase for phrase in PHRASES if phrase.lower() in plain]


@pytest.mark.parametrize("page", [*PAGES, *TEMPLATES], ids=lambda path: str(path.relative_to(ROOT)))
def test_pages(page: Path) -> None:
    assert found(page.read_text("utf-8")) == []


@pytest.mark.parametrize("file", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_help_messages_docstrings_and_names(file: Path) -> None:
    tree = ast.parse(file.read_text("utf-8"))
    texts = [n.value for n in ast.walk(tree) if isinstance(n, ast.Constant) and isinstance(n.value, str)]
    assert [(phrase, text[:80]) for text in texts for phrase in found(text) if text not in KEYS] == []
    names = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name)}
    names |= {n.name for n in ast.walk(tree) if isinstance(n, ast.ClassDef | ast.FunctionDef)}
    assert names & IDENTIFIERS == set()


def test_a_phrase_is_found_over_a_line_break() -> None:
    assert found("each is a class\n    a row") == ["a class a row"]


def test_the_usual_names_of_metrics_are_where_people_look_for_them() -> None:
    """The catalogue names FID, KID and IS, and the docs say why they are not Inception's."""
    assert {METRICS[name].acronym for name in ("frechet_distance", "kernel_distance", "classifier_score")} == {
        "FID", "KID", "IS",
    }  # fmt: skip
    assert "Inception" in IN_FEATURES
    for page in ("README.md", "docs/metrics.md"):
        text = (ROOT / page).read_text("utf-8")
        assert "FID" in text, page
        assert "Inception" in text, page


def test_the_docs_say_of_each_metric_what_its_record_says() -> None:
    text = (ROOT / "docs" / "metrics.md").read_text("utf-8")
    for name, metric in METRICS.items():
        assert f"| `{name}` | {metric.says} | {metric.blind} |" in text
