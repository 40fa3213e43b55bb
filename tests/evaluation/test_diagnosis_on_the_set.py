"""The rules, applied to every training run of the labelled set in benchmarks/records/diagnosis."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def found() -> dict[bool, Sequence[Any]]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "benchmarks"))
        module = importlib.import_module("diagnosis_table")
        return {part: list(module.everything(part)) for part in (False, True)}


def test_no_failure_that_the_rules_were_made_on_is_missed(found: dict[bool, Sequence[Any]]) -> None:
    failing = [each for each in found[False] if each.case.kind != "healthy" and each.counts]
    assert len(failing) >= 90
    assert [each.case.key for each in failing if not each.found] == []
    assert [each.case.key for each in failing if not each.in_time] == []


def test_no_healthy_training_that_the_rules_were_made_on_has_a_fault(found: dict[bool, Sequence[Any]]) -> None:
    healthy = [each for each in found[False] if each.case.kind == "healthy" and each.counts]
    assert len(healthy) >= 100
    assert [(each.case.key, each.false) for each in healthy if each.false] == []


def test_the_page_has_what_the_records_give(found: dict[bool, Sequence[Any]]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "benchmarks"))
        module = importlib.import_module("diagnosis_table")
        page = (ROOT / "docs" / "diagnosis.md").read_text("utf-8")
        for part in (module.table, module.healthy_table, module.words):
            assert part(found) in page
