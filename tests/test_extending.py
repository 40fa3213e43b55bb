"""docs/extending.md: each exercise is applied to a copy of the source, runs, and touches as few files as it says."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "extending.md").read_text("utf-8")
SECTIONS = dict(re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL))
NEW_AND_CHANGED = {
    "A loss": (0, 2),
    "A metric": (1, 1),
    "A kind of dataset": (1, 1),
    "A family": (4, 2),
    "A command": (2, 1),
}
"""Exercise -> number of new and of changed files in src/genlab."""


def blocks(section: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", section, re.MULTILINE | re.DOTALL)


def test_every_exercise_is_here() -> None:
    assert SECTIONS.keys() == NEW_AND_CHANGED.keys()


@pytest.mark.parametrize("title", NEW_AND_CHANGED)
def test_an_exercise_touches_few_files(title: str) -> None:
    (diff,) = blocks(SECTIONS[title], "diff")
    touched = re.findall(r"^\+\+\+ b/src/genlab/", diff, re.MULTILINE)
    new = re.findall(r"^--- /dev/null\n\+\+\+ b/src/genlab/", diff, re.MULTILINE)
    assert (len(new), len(touched) - len(new)) == NEW_AND_CHANGED[title]


@pytest.mark.parametrize("title", NEW_AND_CHANGED)
def test_the_lines_around_an_exercise_are_those_of_the_source(title: str) -> None:
    (diff,) = blocks(SECTIONS[title], "diff")
    for change in re.split(r"^diff --git .*\n", diff, flags=re.MULTILINE):
        if (found := re.search(r"^--- a/(.*)", change, re.MULTILINE)) is None:
            continue
        source = (ROOT / found[1]).read_text("utf-8")
        for hunk in re.split(r"^@@ .*\n", change, flags=re.MULTILINE)[1:]:
            before = "".join(line[1:] for line in hunk.splitlines(keepends=True) if line[:1] in " -")
            assert before in source, f"make the diff of {title!r} again: {found[1]} no longer has\n{before}"


@pytest.mark.parametrize(
    "title", [pytest.param(title, marks=[] if title == "A loss" else [pytest.mark.slow]) for title in NEW_AND_CHANGED]
)
def test_an_exercise_works(title: str, tmp_path: Path) -> None:
    """Its code runs, and the order of the folders still holds."""
    tree = tmp_path / "tree"
    # Compiled files are copied, except those that another process is writing at this moment.
    shutil.copytree(ROOT / "src", tree / "src", ignore=shutil.ignore_patterns("*.pyc.*"))
    (tree / "tests").mkdir()
    for name in ("test_layers.py", "layers.txt"):
        shutil.copy(ROOT / "tests" / name, tree / "tests")
    (diff,), (code,) = blocks(SECTIONS[title], "diff"), blocks(SECTIONS[title], "python")
    outside = {**os.environ, "GIT_CEILING_DIRECTORIES": str(tmp_path)}  # The temporary folder may be in a work tree.
    applied = subprocess.run(["git", "apply", "-"], input=diff, cwd=tree, env=outside, capture_output=True, text=True)
    assert applied.returncode == 0, f"the lines around it have changed; make this diff again: {applied.stderr}"
    work = tmp_path / "work"
    work.mkdir()
    environment = {**os.environ, "PYTHONPATH": str(tree / "src")}
    for command, folder in (([sys.executable, "-c", code], work), ([sys.executable, "-m", "pytest", "-q"], tree)):
        ended = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
        assert ended.returncode == 0, ended.stdout + ended.stderr
