"""The five reports: every item is shown, every command parses, every page says what the committed records give."""

from __future__ import annotations

import importlib.util
import json
import re
import shlex
import sys
from collections import Counter
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from genlab.cli import fields, main
from genlab.recipe import files
from genlab.report import markdown
from genlab.study import design
from genlab.study.folder import Folder
from genlab.study.outcome import Outcome
from genlab.study.pages import study_page
from genlab.study.plan import plan
from genlab.study.study import Study

ROOT = Path(__file__).parent.parent.parent
STUDIES = ROOT / "studies"


def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"studies_{name}", STUDIES / "reports" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(STUDIES / "reports")  # As Python does for a script.
        spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def coverage() -> ModuleType:
    return script("coverage")


@pytest.fixture(scope="module")
def studied(coverage: ModuleType) -> dict[Path, tuple[str | None, Outcome]]:
    """File -> its profile, and the outcome of the committed records."""
    return {file: coverage.studied(file) for file in coverage.files()}


@pytest.fixture(scope="module")
def settled(coverage: ModuleType, studied: dict[Path, tuple[str | None, Outcome]]) -> list[Any]:
    return list(coverage.settled(found for _, found in studied.values()))


def test_each_claim_is_a_sentence_that_stands_alone(coverage: ModuleType) -> None:
    said = [claim.says for file in coverage.files() for claim in design.load(file).claims.values()]
    assert len(said) > 100
    assert [text for text in said if text.split()[0] in {"It", "Its", "They", "Their", "This", "That"}] == []


def test_no_page_shows_a_value_in_the_spelling_of_python() -> None:
    pages = [file.read_text("utf-8") for file in (STUDIES / "results").glob("*/README.md")]
    # Except lines on a changed plan, whose words were recorded when it changed.
    lines = [line for page in pages for line in page.splitlines() if not line.startswith("- the plan was changed")]
    assert len(lines) > 1000
    assert [line for line in lines if re.search(r"\b(None|True|False)\b", line)] == []


def test_the_153_items_are_there(coverage: ModuleType) -> None:
    names = [name for name in coverage.items() if name.startswith("S")]
    assert len(names) == 153
    assert Counter(name.split(".")[0] for name in names) == {"S0": 23, "S1": 21, "S2": 48, "S3": 30, "S4": 31}
    for report in ("S0", "S1", "S2", "S3", "S4"):
        numbers = [int(name.split(".")[1]) for name in names if name.startswith(f"{report}.")]
        assert numbers == list(range(1, len(numbers) + 1))
    assert [name for name in coverage.items() if name.startswith("D")] == [f"D{k}" for k in range(1, 26)]


def test_every_item_is_shown_and_every_claim_decided(coverage: ModuleType, settled: list[Any]) -> None:
    decided = {name for each in settled for name in each.items}
    assert decided <= coverage.items().keys()
    missing = []
    for name, item in coverage.items().items():
        if name not in decided and (item["kind"] == "C" or not item.get("shown")):
            missing.append(name)
    assert missing == []


def test_every_doubtful_claim_has_a_verdict_or_waits_for_its_study(coverage: ModuleType, settled: list[Any]) -> None:
    """A verdict is written by hand, so it is due as soon as no study of the claim is open, and not before."""
    verdicts = {name: item["verdict"] for name, item in coverage.items().items() if name.startswith("D")}
    assert len(verdicts) == 25
    assert {*verdicts.values()} <= {"right", "wrong", "in part", "incomplete", "not settled yet"}
    waiting = {name for each in settled if each.answer == coverage.WAITING for name in each.items}
    assert {name for name, verdict in verdicts.items() if verdict == "not settled yet"} == waiting & verdicts.keys()


def commands(coverage: ModuleType) -> set[str]:
    return {
        shown for item in coverage.items().values() for shown in item.get("shown", []) if shown.startswith("genlab ")
    }


def test_every_command_parses_and_every_recipe_is_valid(coverage: ModuleType) -> None:
    for command in commands(coverage):
        tokens, overrides = fields.take(shlex.split(command)[1:])
        function, bound, _ = main.app.parse_args(tokens, exit_on_error=False, print_error=False)
        if function.__name__ in ("train", "show") and bound.arguments["recipe"] != "quick":
            files.load(bound.arguments["recipe"], overrides)


def test_every_page_has_its_heading(coverage: ModuleType) -> None:
    pages = {s for item in coverage.items().values() for s in item.get("shown", []) if not s.startswith("genlab ")}
    for target in pages:
        page, _, anchor = target.partition("#")
        text = (ROOT / page).read_text("utf-8")
        headings = [re.sub(r"[^\w\- ]", "", line.lstrip("# ").lower()).replace(" ", "-") for line in text.splitlines()]
        assert not anchor or anchor in headings, target


@pytest.mark.parametrize("file", sorted(STUDIES.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_study_can_be_planned_in_every_profile(file: Path) -> None:
    study = design.load(file)
    assert study.name == file.stem
    for profile in (None, *study.profiles):
        found = plan(study, STUDIES, profile)
        assert found.cells


def test_the_pages_are_what_the_records_give(coverage: ModuleType, settled: list[Any]) -> None:
    assert (STUDIES / "COVERAGE.md").read_text("utf-8") == coverage.coverage(settled)
    text = coverage.PAGE.read_text("utf-8")
    assert coverage.page(text, settled) == text


def test_committed_tables_are_what_their_records_give(studied: dict[Path, tuple[str | None, Outcome]]) -> None:
    for _, found in studied.values():
        if found.records:
            folder = STUDIES / "results" / found.plan.title
            assert (folder / "table.csv").read_text("utf-8") == found.csv
            assert json.loads((folder / "verdicts.json").read_text("utf-8")) == json.loads(json.dumps(found.as_json))


def test_a_reader_of_the_repository_sees_every_claim_with_its_points(
    studied: dict[Path, tuple[str | None, Outcome]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    for file, (profile, found) in studied.items():
        if found.records:
            folder = STUDIES / "results" / found.plan.title
            page = study_page(found, Folder(folder), Study.at(file, profile=profile).command)
            assert (folder / "README.md").read_text("utf-8") == markdown.render(page, "figures")
            drawn = {f"{card.figure.name}.png" for card in page.cards if card.figure}
            assert drawn == {path.name for path in (folder / "figures").glob("claim-*.png")}


@pytest.mark.parametrize("name", ["two-passes", "equilibrium", "optimisers", "first-layer"])
def test_a_check_still_finds_its_numbers(name: str) -> None:
    checks = script("checks")
    found = json.loads(checks.RECORD.read_text("utf-8"))["checks"][name]
    numbers, right = checks.CHECKS[name].run()
    assert right
    assert found["answer"] == checks.CHECKS[name].answer
    for key, value in found["numbers"].items():
        assert numbers[key] == pytest.approx(value, rel=0.05, abs=1e-9), key


def test_every_figure_is_shown_with_its_command() -> None:
    figures = script("figures")
    page = (STUDIES.parent / "docs" / "reports.md").read_text("utf-8")
    made = json.loads((figures.PLACE / "figures.json").read_text("utf-8"))
    assert made.keys() <= {*figures.FIGURES, *figures.OF_STUDIES}
    assert {path.stem for path in figures.PLACE.glob("*.png")} == made.keys()
    for name, record in made.items():
        assert f"](reports/{name}.png)" in page
        assert f"`{record['command']}`" in page
        tokens, _ = fields.take(shlex.split(record["command"])[1:])
        main.app.parse_args(tokens, exit_on_error=False, print_error=False)
        trainings, _ = figures.FIGURES.get(name, ((), ""))
        for asked, told in zip(trainings, record.get("trainings", ()), strict=True):
            assert (asked.recipe, asked.epochs, asked.seed) == (told["recipe"], told["epochs"], told["seed"])


def test_every_training_of_a_figure_can_be_made() -> None:
    figures = script("figures")
    for trainings, _ in figures.FIGURES.values():
        for asked in trainings:
            files.load(asked.recipe, {"budget.epochs": asked.epochs, **dict(asked.changes)})
