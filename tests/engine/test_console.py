"""No text from a file controls a terminal, and no console encoding ends a command."""

from __future__ import annotations

import ast
import io
import json
import os
import shutil
import subprocess
import sys
import unicodedata
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml
from rich.console import Console

import genlab
from genlab.api.progress import Live, progress
from genlab.api.run import Run
from genlab.cli import main
from genlab.cli.terminal import show_table
from genlab.data import pictures
from genlab.engine import console
from genlab.recipe import GanRecipe, files
from genlab.report import tables
from genlab.report.figures import looks
from genlab.runs.directory import RunDirectory
from genlab.runs.options import SamplingOptions

ROOT = Path(genlab.__file__).parent
RED, TURNED = "\x1b[31m", "\u202e"
HOSTILE = f"a{RED}b{TURNED}c\x07\x9b2J"
SHOWN = r"a\x1b[31mb\u202ec\x07\x9b2J"


def steers(text: str) -> list[str]:
    """Characters in a text that a terminal obeys instead of showing."""
    return [c for c in text if c != "\n" and unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp")]


def call(*arguments: str) -> None:
    code: object = 0
    try:
        main.main(arguments)
    except SystemExit as stop:
        code = stop.code
    assert code != 1, "a bug"


def test_what_steers_is_shown() -> None:
    assert steers(HOSTILE)
    assert console.visible(HOSTILE) == SHOWN
    assert console.visible("\udcff\u2028\ud83d") == r"\udcff\u2028\ud83d"
    assert console.visible("a\tb\nc") == "a\\tb\nc"
    assert console.visible("a\nb", keep="") == r"a\nb"
    kept = "Zürich \N{NO-BREAK SPACE}\N{HIRAGANA LETTER A}\N{ARABIC LETTER BEH} \N{GRINNING FACE} e\u0301 \\"
    assert console.visible(kept) == kept


def test_only_the_console_prints() -> None:
    """All output goes through one module, except progress and the benchmarks' processes, which answer in JSON."""
    prints = {
        path.relative_to(ROOT).as_posix()
        for path in ROOT.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    }
    assert prints == {"engine/console.py", "api/progress.py", "bench/timing.py", "bench/quality.py"}


@pytest.fixture
def hostile(small: Callable[..., GanRecipe], finished: Run, digits: Path, tmp_path: Path) -> Path:
    """A folder with a recipe, a dataset, a picture and runs whose names and texts try to control a terminal."""
    if sys.platform == "win32":
        pytest.skip("Windows has no such names of files")
    written = files.dump(small()).replace("description: ", f"description: {json.dumps(HOSTILE)}\n#", 1)
    (tmp_path / "r.yaml").write_text(written, "utf-8")
    shutil.copy(digits, tmp_path / f"{HOSTILE}.npz")
    (tmp_path / f"{HOSTILE}.yaml").write_text(f"a: {TURNED}\n", "utf-8")
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / f"{HOSTILE}.png").write_text("no picture")
    run = RunDirectory.create(tmp_path / "runs", small(), 0, finished.provenance, None)
    run.set_status(state=HOSTILE, step=0, reason=f"{HOSTILE}\n{HOSTILE}")
    shutil.copytree(run.path, tmp_path / "runs" / HOSTILE)
    return tmp_path


@pytest.mark.parametrize(
    "arguments",
    [
        ["show", "r.yaml"],
        ["show", "r.yaml", "--yaml"],
        ["show", f"{HOSTILE}.yaml"],
        ["data", "check", f"{HOSTILE}.npz"],
        ["runs"],
        ["runs", "verify"],
        ["report", "nowhere"],
        ["report", HOSTILE],
        ["evaluate", "pictures", "--against", "mnist"],
        ["train", "r.yaml", f"--objective.{HOSTILE}", "1"],
        ["train", "r.yaml", "--data.name", f"{HOSTILE}{HOSTILE}"],
        [HOSTILE],
    ],
    ids=lambda arguments: console.visible(" ".join(arguments)),
)
@pytest.mark.parametrize("terminal", [False, True])
@pytest.mark.filterwarnings("default::UserWarning")  # a warning: recipe.yaml is not the one that was trained
def test_nothing_from_a_file_steers_the_terminal(
    arguments: list[str],
    terminal: bool,
    hostile: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(hostile)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: terminal)
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setenv("COLUMNS", "200")
    call(*arguments)
    told = "".join(capsys.readouterr())
    assert told
    assert not steers(told)
    if arguments[0] != "report" or arguments[1] == HOSTILE:
        assert r"\x1b[31m" in told or "\\e[31m" in told or r"\u202e" in told.lower()


def test_a_recipe_that_is_printed_is_still_that_recipe(
    hostile: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    main.main(["show", str(hostile / "r.yaml"), "--yaml"])
    assert yaml.safe_load(capsys.readouterr().out)["description"] == HOSTILE
    monkeypatch.setattr(sys, "stdout", out := io.TextIOWrapper(io.BytesIO(), "cp1252"))
    (hostile / "r.yaml").write_text(files.dump(files.load("s3-mlp")).replace("report S3", "S3 あ"), "utf-8")
    main.main(["show", str(hostile / "r.yaml"), "--yaml"])
    assert "あ" in yaml.safe_load(out.buffer.getvalue().decode("cp1252"))["description"]


def test_a_page_and_a_picture_of_such_a_run(hostile: Path, finished: Run) -> None:
    """A report makes control characters visible too; text in a picture is kept as data, which no terminal reads."""
    name = "\udcff\u202e" if sys.platform == "linux" else "\u202e"  # macOS allows only UTF-8 names
    path = hostile / "runs" / name
    shutil.copytree(finished.path, path)
    page = Run(path).report().read_text("utf-8")
    assert console.visible(name) in page
    assert not steers(page)
    assert pictures.png(np.zeros((2, 2, 1), np.uint8), {"genlab:title": HOSTILE})
    assert all(file.read_text("utf-8").isascii() for file in (path / "figures").glob("*.csv"))
    assert looks.interpolate(Run(path), SamplingOptions(), 2, 2).png


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
@pytest.mark.parametrize("terminal", [False, True])
def test_any_encoding_takes_every_text(encoding: str, terminal: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.TextIOWrapper(io.BytesIO(), encoding, write_through=True)
    monkeypatch.setattr(out, "isatty", lambda: terminal, raising=False)
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", out)
    console.prepare()
    console.say("Zürich あ \udcff")
    console.note("ö あ")
    show_table(tables.Table("Tafel あ", ("Spalte", "あ"), [("ü", "\udcff")]))
    said = out.buffer.getvalue().decode(encoding)
    assert said.count(r"\u3042") == 4
    assert said.count(r"\udcff") == 2
    assert ("ü" in said) == (encoding == "cp1252")


@pytest.mark.parametrize("terminal", [False, True])
def test_progress_in_any_encoding(terminal: bool, small: Callable[..., GanRecipe], tmp_path: Path) -> None:
    """Progress works even if no command has prepared the stream, and a path is not read as markup."""

    class Stream(io.TextIOWrapper):
        def isatty(self) -> bool:
            return terminal

    stream = Stream(io.BytesIO(), "ascii", write_through=True)
    shown = progress(stream)
    assert isinstance(shown, Live) == terminal
    run = genlab.train(small(), runs=tmp_path / "[red]あ", observers=[shown], report=False)
    assert run.status["state"] == "finished"
    assert r"[red]\u3042" in stream.buffer.getvalue().decode("ascii")  # type: ignore[attr-defined]


def test_a_bar_is_drawn_of_what_the_encoding_has() -> None:
    stream = io.TextIOWrapper(io.BytesIO(), "cp1252", write_through=True)
    assert Console(file=stream, force_terminal=True).encoding == "cp1252"


@pytest.mark.parametrize("width", [40, 60, 100])
def test_a_folded_text_has_the_same_words_and_breaks_none(width: int) -> None:
    text = (
        "genlab: unknown recipe 'quik-mnist'; did you mean 'quick-mnist-unconditional'? Known: quick-color, s2-dcgan.\n"
        "    indented words that go on and on and on and on and on and on and on until they are too many for a line"
    )
    lines = console.folded(text, width).split("\n")
    assert max(map(len, lines)) <= width
    assert " ".join(lines).split() == text.split()
    assert lines[-1].startswith("      "), "as the line that it continues, and two spaces"


@pytest.mark.parametrize(
    ("said", "command"),
    [
        ("stopped at step 73 of 400; resume with: {}", "genlab train --resume runs/a-run-with-a-long-name-001"),
        ("no such run; {} lists those that there are, with what was changed in them", "genlab runs --sort quality"),
        ("look at it ({}), or ask somebody else about it, who knows more", "genlab report runs/quick-mnist-seed0-001"),
    ],
)
def test_a_command_stays_in_one_line(said: str, command: str) -> None:
    """Pasting a command that spans two lines would run only half of it."""
    assert any(command in line for line in console.folded(said.format(command), 48).split("\n"))


def test_only_a_terminal_gets_folded_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    for terminal in (True, False):
        stream = io.StringIO()
        monkeypatch.setattr(stream, "isatty", lambda terminal=terminal: terminal)
        monkeypatch.setattr(sys, "stdout", stream)
        console.say("word " * 20)
        console.say("word " * 20, fold=False)
        assert [len(line) > 40 for line in stream.getvalue().splitlines()].count(True) == (1 if terminal else 2)


def test_closed_streams_end_nothing() -> None:
    """Streams closed by `>&- 2>&-` or by pythonw do not end a command."""
    script = (
        "import sys; from genlab.cli import main as cli; sys.stdout = sys.stderr = None\n"
        "try: cli.main(['recipes']); cli.main(['--no'])\n"
        "except SystemExit as stop: sys.__stdout__.write(f'ended {stop.code}')"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=dict(os.environ))
    assert (done.returncode, done.stdout, done.stderr) == (0, "ended 2", "")
