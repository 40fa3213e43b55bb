"""The `genlab study` commands as a person or a script uses them; nothing is trained."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from rich.console import Console

import conftest
from genlab import data
from genlab.cli import main
from genlab.report import style
from genlab.study import forecast
from genlab.study.plan import Cell
from genlab.study.study import Study
from plans import SMALL, leave, raw

Ask = Any
LOAD = cache(data.load)
"""Cached `data.load`, since every command reads the dataset."""
COMMANDS = ("new", "run", "status", "collect", "report", "table")
VARY = ("--vary", "optimisers.generator.lr=1e-4,2e-4")


@pytest.fixture
def ask(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ask:
    """Function that runs genlab study in an empty folder: ask("status", ...) -> (exit code, output, errors)."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(data, "load", LOAD)
    conftest.undraw(monkeypatch)
    monkeypatch.setattr(style, "as_pdf", lambda figure: b"%PDF-")

    def asked(*arguments: str) -> tuple[int, str, str]:
        code = 0
        try:
            main.main(["study", *arguments])
        except SystemExit as stop:
            code = int(stop.code or 0)
        return code, *capsys.readouterr()

    return asked


@pytest.fixture
def half(tmp_path: Path) -> Path:
    """A study file with half of its runs done and one failed."""
    file = tmp_path / "small.yaml"
    file.write_text(yaml.safe_dump(raw(), sort_keys=False), "utf-8")
    study = Study.at(file)
    for cell in study.plan.cells[:4]:
        leave(study.folder, study.plan, cell, 1.0 + cell.seed)
    study.folder.note("gave up", study.plan.cells[4], reason="killed (signal 9)")
    return file


def test_a_line_writes_a_file_that_can_be_run(ask: Ask, tmp_path: Path) -> None:
    code, out, err = ask("new", "quick-mnist", *VARY, "--seeds", "6", "--objective.loss", "hinge", "--epochs", "1")
    assert (code, err) == (0, "")
    assert out.splitlines()[0] == "quick-mnist-lr.yaml: 2 arms (lr_g-0.0001, lr_g-0.0002) x 6 seeds"
    assert out.splitlines()[-1] == "run it: genlab study run quick-mnist-lr.yaml"
    found = Study.at(tmp_path / "quick-mnist-lr.yaml").plan
    assert {arm.recipe.objective.loss for arm in found.arms} == {"hinge"}  # type: ignore[union-attr]
    assert len(found.cells) == 12


def test_a_file_that_is_there_is_not_replaced(ask: Ask, tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_text("mine")
    code, out, err = ask("new", "quick-mnist", *VARY, "-o", "s.yaml")
    assert (code, out) == (2, "")
    assert err == "genlab: s.yaml exists; run it (genlab study run s.yaml), or give another --name or -o\n"
    assert (tmp_path / "s.yaml").read_text() == "mine"


def test_names_that_would_be_too_long_are_numbered(ask: Ask, tmp_path: Path) -> None:
    """Every combination of values is an arm, and each arm has a claim against the first."""
    fields = (
        "optimisers.generator.lr=1e-4,2e-4",
        "optimisers.discriminator.lr=1e-4,3e-4",
        "objective.loss=hinge,wasserstein",
    )
    code, _, err = ask("new", "quick-mnist", *(word for f in fields for word in ("--vary", f)), "--seeds", "16")
    assert (code, err) == (0, "")
    found = Study.at(next(tmp_path.glob("*.yaml"))).plan
    assert len(found.arms) == 8
    assert len(found.study.claims) == 7


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["new"], "study new needs RECIPE (Built-in recipe or .yaml file); see genlab study new --help"),
        (["new", "quick-mnist"], "--vary needs a value (FIELD=VALUE,VALUE,...: one arm per value"),
        (["new", "quick-mnst", *VARY], "did you mean 'quick-mnist'?"),
        (["new", "quick-mnist", "--vary", "lr"], "--vary lr: expected FIELD=VALUE,VALUE, as in optimisers.generator"),
        (["new", "quick-mnist", "--vary", "optimisers.generator.lr=[1"], "--vary optimisers.generator.lr=[1"),
        (["new", "quick-mnist", *VARY, *VARY], "--vary names a field twice; give all its values at once"),
        (["new", "quick-mnist", "--vary", "budget.bach=1,2"], "unknown field budget.bach; did you mean budget.batch?"),
        (["new", "quick-mnist", *VARY, "--of", "fid"], "quantities.quality: unknown column 'fid'"),
        (["new", "quick-mnist", "--vary", "budget.batch=64"], "one value makes one arm; give two or more"),
        (["new", "quick-mnist", *VARY, "--name", "a b"], "name is 'a b'"),
        (["new", "quick-mnist", *VARY, "-o", "s.txt"], "s.txt: a study file ends in .yaml"),
        (["new", "quick-mnist", *VARY, "--seeds", "3"], "3 seeds cannot decide"),
        (["status", "nowhere.yaml"], "study nowhere.yaml: No such file or directory. Write one with: genlab study new"),
        (["stats"], "unknown command 'stats'; did you mean 'status'?"),
        (["run", "x.yaml", "--worker", "2"], "study run has no option --worker; did you mean --workers?"),
        (["run", "x.yaml", "--workers", "1.5"], "a whole number is needed"),
        (["table", "x.csv", "--arm", "a"], "--value needs a value (Column with the number)"),
        (["table", "x.csv", "--arm", "a", "--value", "v", "--margin", "-1"], "margin is -1; allowed: more than 0"),
        (["table", "x.csv", "--arm", "a", "--value", "v", "--paired"], "--paired needs the column of the seed"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_is_wrong_is_said_and_nothing_is_written(
    ask: Ask, tmp_path: Path, arguments: Sequence[str], said: str
) -> None:
    code, out, err = ask(*arguments)
    assert (code, out) == (2, "")
    assert err.startswith("genlab: ")
    assert said in err
    assert list(tmp_path.iterdir()) == []


def test_how_a_study_stands(ask: Ask, half: Path) -> None:
    code, out, _ = ask("status", str(half))
    assert code == 0
    table = [line.split() for line in out.splitlines()[2:4]]
    assert table == [["slow", "done", "done", "failed", "-"], ["fast", "done", "done", "-", "-"]]
    assert out.splitlines()[4:] == ["4 of 8 runs done", "failed: slow, seed 2: killed (signal 9)"]
    code, out, _ = ask("status", str(half), "--json")
    found = json.loads(out)
    assert [run["state"] for run in found["runs"]] == ["done"] * 4 + ["failed", "-", "-", "-"]
    assert found["remarks"][0] == "4 of 8 runs done"


def test_of_many_seeds_the_missing_ones_are_listed(ask: Ask, tmp_path: Path) -> None:
    file = tmp_path / "class.yaml"
    file.write_text(yaml.safe_dump({**raw(), "seeds": 20}, sort_keys=False), "utf-8")
    study = Study.at(file)
    assert "missing:" not in ask("status", str(file))[1], "nobody has begun"
    for seed in (3, 4, 6):
        leave(study.folder, study.plan, Cell("slow", seed), 1.0)
        leave(study.folder, study.plan, Cell("fast", seed), 1.0)
    assert "missing: seeds 0-2, 5, 7-19" in ask("status", str(file))[1].splitlines()
    leave(study.folder, study.plan, Cell("fast", 0), 1.0)
    lines = ask("status", str(file))[1].splitlines()
    assert [line for line in lines if line.startswith("missing:")] == [
        "missing: slow, seeds 0-2, 5, 7-19",
        "missing: fast, seeds 1, 2, 5, 7-19",
    ]


def test_a_dry_run_of_one_seed_is_about_that_seed(ask: Ask, half: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And several processes are never said to be faster than as many cores, however noisy the timing."""
    monkeypatch.setattr(forecast, "_step", lambda plan, arms, copies: 0.01 / copies)
    found = {seed: json.loads(ask("run", str(half), "--dry-run", "--json", *seed)[1]) for seed in ((), ("--seed", "3"))}
    whole, one = found.values()
    assert whole["bytes"] == 2 * one["bytes"] > 0, "two of four seeds are missing"
    assert whole["seconds"]["1"] == pytest.approx(2 * one["seconds"]["1"] - forecast.WORKERS, abs=0.2)
    assert whole["beside"] == 1.0
    assert "seed 3 only: time with 1 worker" in " ".join(ask("run", str(half), "--dry-run", "--seed", "3")[1].split())


def test_arms_with_the_same_settings_are_pointed_out(ask: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forecast, "_step", lambda plan, arms, copies: 0.01)
    file = tmp_path / "same.yaml"
    arms = {"slow": {"optimisers.generator.lr": 0.001}, "fast": {"optimisers.generator.lr": 1e-3}}
    file.write_text(yaml.safe_dump({**raw(), "arms": arms}, sort_keys=False), "utf-8")
    out = " ".join(ask("run", str(file), "--dry-run")[1].split())
    assert "arms slow and fast have the same settings: they differ by chance alone" in out


def test_a_report_says_the_verdicts_and_where_the_page_is(ask: Ask, half: Path) -> None:
    code, out, err = ask("report", str(half))
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[1] == "The loss is lower with a faster generator."
    assert lines[2].startswith(
        "  cannot be decided here: 2 seeds are too few for fast and slow to be distinguished: the smallest possible p"
    )
    assert [line.split()[0] for line in lines[-3:]] == ["runs", "table", "report"]
    assert (half.parent / "results" / "small" / "report.html").exists()
    code, out, _ = ask("report", str(half), "--json")
    assert json.loads(out)["verdicts"]["lower"]["answer"] == "cannot be decided here"


def test_results_of_another_profile_are_pointed_at_and_nothing_is_written(ask: Ask, half: Path) -> None:
    file = half.with_name("other.yaml")
    plain = {**raw(), "name": "other", "profiles": {"lab": {"budget": 0.5}}}
    file.write_text(yaml.safe_dump(plain, sort_keys=False), "utf-8")
    study = Study.at(file, profile="lab")
    leave(study.folder, study.plan, study.plan.cells[0], 1.0)
    assert "another budget has results: 1 run of profile lab (--profile lab)" in ask("status", str(file))[1]
    code, _, errors = ask("report", str(file))
    assert code == 2
    assert "no run of this budget is done; another budget has results: 1 run of profile lab (--profile lab)" in errors
    assert not Study.at(file).folder.path.exists()
    assert "of profile" not in ask("status", str(file), "--profile", "lab")[1]


def test_a_seed_that_there_is_not_is_said_before_the_plan(ask: Ask, half: Path) -> None:
    code, shown, errors = ask("run", str(half), "--seed", "-1", "--dry-run")
    assert (code, shown) == (2, "")
    assert "seed -1 is not in the plan; its seeds: 0, 1, 2, 3" in errors


def test_records_are_gathered_and_refused_by_name(ask: Ask, half: Path, tmp_path: Path) -> None:
    theirs = half.parent / "results" / "small"
    code, out, err = ask("collect", str(half), str(theirs), "--results", str(tmp_path / "all"), "--json")
    assert code == 0
    assert len(re.findall(r": collected as (slow|fast), seed [01]$", err, re.MULTILINE)) == 4
    assert json.loads(out)["runs"] == 4
    code, out, err = ask("collect", str(half), str(theirs), "--results", str(tmp_path / "all"))
    assert err.count("already exists (the same run)") == 4
    assert "4 of 8 runs" in out
    other = tmp_path / "other"
    other.mkdir()
    code, out, err = ask("collect", str(half), str(other), "--results", str(tmp_path / "all"))
    assert code == 3
    assert "4 of 8 runs" in out
    assert err.splitlines() == [
        f"{other}: contains no run and no record",
        f"genlab: none of these fits {half}: nothing was collected; the lines above say why",
    ]
    code, _, err = ask("collect", str(half), "nowhere")
    assert (code, err) == (2, "genlab: nowhere: no such file or folder; nothing was collected\n")


def test_a_table_is_compared(ask: Ask, tmp_path: Path) -> None:
    rows = [f"{arm},{k},{k / 8 + 9 * (arm == 'b')}" for arm in "ab" for k in range(8)]
    (tmp_path / "t.csv").write_text("\n".join(["net,seed,score", *rows]))
    arguments = ("table", "t.csv", "--arm", "net", "--value", "score", "--seed", "seed", "--paired")
    code, out, err = ask(*arguments, "-o", "page.html")
    assert (code, err) == (0, "")
    assert out.splitlines()[1].split() == ["a", "8", "0.438", "0.306"]
    assert (
        "a has a lower score than b: 0.438 and 9.44 on average, difference -9 (95 % interval -9 to -9; 8 seeds" in out
    )
    assert (tmp_path / "page.html").exists()
    code, out, _ = ask(*arguments, "--json")
    assert json.loads(out)["verdicts"]["a - b"]["answer"] == "holds"


@pytest.mark.parametrize(
    ("text", "code", "said"),
    [
        ("net,score\na,1\n", 2, "1 arm; allowed: 2 .. 100"),
        ("net,score\na,x\n", 3, "t.csv line 2: score is 'x'"),
        ("net,points\na,1\n", 3, "unknown column 'score'"),
    ],
)
def test_a_table_that_says_nothing_has_its_code(ask: Ask, tmp_path: Path, text: str, code: int, said: str) -> None:
    (tmp_path / "t.csv").write_text(text)
    found, out, err = ask("table", "t.csv", "--arm", "net", "--value", "score")
    assert (found, out) == (code, "")
    assert said in err


def test_damage_in_a_study_s_folder_has_its_code(ask: Ask, half: Path) -> None:
    folder = half.parent / "results" / "small"
    (folder / "plan.json").write_text("{}")
    assert ask("status", str(half))[0] == 3
    (folder / "plan.json").unlink()
    (folder / "journal.jsonl").write_bytes(b"torn\n" + (folder / "journal.jsonl").read_bytes())
    assert ask("report", str(half))[0] == 4


def test_all_problems_of_a_file_are_said_at_once(ask: Ask, tmp_path: Path) -> None:
    wrong = raw(overrides={**SMALL, "budget.batch": 0}, seeds=2)
    (tmp_path / "s.yaml").write_text(yaml.safe_dump(wrong), "utf-8")
    code, _, err = ask("status", "s.yaml")
    assert code == 2
    assert "has 2 problems" in err, "that of both arms is said once"
    assert "4 seeds could" in err


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_fits_a_narrow_terminal(command: str) -> None:
    narrow = Console(width=60, file=io.StringIO())
    main.app.help_print(["study", *filter(None, [command])], console=narrow)
    out = narrow.file.getvalue()  # type: ignore[attr-defined]
    assert out.startswith(f"Usage: genlab study {command}".strip())
    assert max(map(len, out.splitlines())) <= 60
    if not command:
        assert all(re.search(rf"^│ {name} ", out, re.MULTILINE) for name in COMMANDS)
