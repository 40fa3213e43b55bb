"""Runs that an older version left half trained (tests/former): they open, sample, report, verify and resume.

They use 100 digits and narrow networks, and were stopped after step 11 of 20, with version 0.1.0 before its folders
were rearranged. `ends.json` has the hash of what each would have become there, had it not been stopped.
"""

from __future__ import annotations

import json
import shutil
import sys
import warnings
from pathlib import Path

import pytest

import genlab
import golden
from genlab.families.registry import FAMILIES
from genlab.runs.verify import verify

sys.path.insert(0, str(Path(__file__).parent / "faults"))
import lab

FORMER = Path(__file__).parent / "former"
ENDS = json.loads((FORMER / "ends.json").read_text("utf-8"))
KINDS = [kind for kind, family in FAMILIES.items() if not family.own_loop]
"""Families whose runs can be resumed."""


def test_there_is_one_of_each_family_and_they_are_small() -> None:
    assert list(ENDS["ends"]) == KINDS
    assert sum(path.stat().st_size for path in FORMER.rglob("*") if path.is_file()) < 1_000_000


@pytest.mark.parametrize("kind", KINDS)
def test_a_former_run_is_whole(kind: str, tmp_path: Path) -> None:
    shutil.copytree(FORMER / kind, tmp_path / kind)
    for folder in (tmp_path / kind).iterdir():
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()  # Version control keeps no empty folders.
    run = genlab.open_run(tmp_path / kind)
    assert (run.recipe.family, run.status["state"], run.status["step"]) == (kind, "interrupted", 11)
    assert verify(run.directory).damages == []
    if FAMILIES[kind].sampling:
        assert run.sample(10).shape == (10, 1, 32, 32)
    assert f"<h1>{kind}</h1>" in run.report().read_text("utf-8")


@pytest.mark.parametrize("kind", KINDS)
def test_a_former_run_goes_on(kind: str, tmp_path: Path) -> None:
    """On the machine that made it, the run ends with exactly the bits that it would have had."""
    shutil.copytree(FORMER / kind, tmp_path / kind)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="resuming, but not bit for bit")
        run = genlab.train(resume=tmp_path / kind, report=False)
    if golden.machine() == ENDS["machine"]:
        assert run.provenance["resumed"][-1]["exact"]
        assert lab.digest(run.directory) == ENDS["ends"][kind]
    assert (run.status["state"], run.status["step"]) == ("finished", 20)
    assert [row["step"] for row in run.metrics()] == list(range(1, 21))
