"""`genlab doctor`: text for a bug report, from machines on which anything may be broken."""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
import torch

import genlab
from genlab.api import doctor as checkup
from genlab.cli import main
from genlab.data import BUILTIN, builtin
from genlab.engine import calibrate, places
from genlab.evaluation import judge


def doctor(capsys: pytest.CaptureFixture[str]) -> str:
    main.main(["doctor"])
    return capsys.readouterr().out


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Give each test its own cache and working folder, and fail if anything is measured."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(calibrate, "_milliseconds", lambda *_: pytest.fail("measured"))
    monkeypatch.setattr(checkup, "_arrays", lambda *_: "whole")
    monkeypatch.chdir(tmp_path)


def test_the_block(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    told = doctor(capsys)
    assert max(map(len, told.splitlines())) <= 60
    flat = " ".join(told.split())
    assert f"torch {torch.__version__}" in flat
    assert f"torch uses {torch.backends.cpu.get_cpu_capability()}" in flat
    assert "none remembered for this machine; genlab bench plan" in flat
    assert "judge fashion-mnist whole" in flat
    assert "DejaVuSans.ttf" in flat
    assert not (tmp_path / "cache").exists(), "nothing is written"


def test_the_same_as_json_and_from_python(capsys: pytest.CaptureFixture[str]) -> None:
    main.main(["doctor", "--json"])
    told = json.loads(capsys.readouterr().out)
    assert told == json.loads(json.dumps(genlab.doctor()))
    assert set(told) == {*checkup.SECTIONS, "problems"}
    assert (told["processor"]["oneDNN bfloat16"] == "yes") == torch.ops.mkldnn._is_mkldnn_bf16_supported()
    assert told["processor"]["threads"] == torch.get_num_threads()


def test_data_is_held_against_its_hashes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, digits: Path) -> None:
    monkeypatch.undo()
    assert checkup._arrays("mnist", BUILTIN["mnist"].sha256) == "whole"
    monkeypatch.setattr(builtin, "file_of", lambda name: digits)
    found = genlab.doctor()
    assert "mnist: x_train was changed" in found["package"]["mnist"]["unknown"]
    assert "mnist: x_train was changed" in str(found["problems"])


def test_a_plan_that_is_remembered_is_told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    times = {"linear float32": 2.0, "linear bfloat16": 1.0}
    monkeypatch.setattr(calibrate, "_milliseconds", lambda *_: times)
    monkeypatch.setattr(time, "process_time", iter(range(0, 1000, 100)).__next__)
    calibrate.measured("cpu")
    monkeypatch.setattr(calibrate, "_milliseconds", lambda *_: pytest.fail("measured"))
    facts = genlab.doctor()["plan"]
    assert facts["remembered"] is True
    assert facts["linear layers"]["precision"] == "bfloat16"
    assert "precision bfloat16" in " ".join(doctor(capsys).split())


def test_no_name_of_the_user(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = tmp_path / "home" / "alice"
    (home / "runs").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("USERPROFILE", str(home))
    monkeypatch.setenv("XDG_CACHE_HOME", str(home / "cache"))
    monkeypatch.setenv("GENLAB_RUNS", str(home / "runs"))
    monkeypatch.setattr(judge, "file_of", lambda name: home / "gone" / name)
    told = doctor(capsys)
    assert "~/cache/genlab" in told
    assert "~/gone" in told
    assert "alice" not in told


def broken(what: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    if what == "torch":
        monkeypatch.setitem(sys.modules, "torch", None)
    elif what == "matplotlib":
        monkeypatch.setitem(sys.modules, "matplotlib", None)
    elif what == "judge":
        shutil.copy(judge.file_of("mnist"), tmp_path / "j")
        content = bytearray((tmp_path / "j").read_bytes())
        content[-1] ^= 1
        (tmp_path / "j").write_bytes(content)
        monkeypatch.setattr(judge, "file_of", lambda name: tmp_path / "j")
    elif what == "disk":
        monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(1, 1, 3 * 10**8))
    elif what == "runs":
        (tmp_path / "runs").write_text("a file")
    elif what == "cache":
        (tmp_path / "cache").write_text("a file")
        monkeypatch.setattr(places, "_private", lambda: Path("/dev/null/cache"))
    elif what == "encoding":
        monkeypatch.setattr(shutil, "get_terminal_size", lambda: os.terminal_size((0, 0)))
        monkeypatch.setattr(sys.stdout, "encoding", "ascii", raising=False)
    elif what == "versions":
        monkeypatch.setattr(metadata, "requires", lambda name: ["numpy>=99"])
    elif what == "threads":
        monkeypatch.setattr(torch, "get_num_threads", lambda: 4096)
    elif what == "everything":
        for name in checkup.SECTIONS:
            monkeypatch.setitem(checkup.SECTIONS, name, lambda: 1 / 0)


@pytest.mark.parametrize(
    ("what", "words", "step"),
    [
        ("torch", "processor: ModuleNotFoundError", "install genlab again"),
        ("matplotlib", "fonts: ModuleNotFoundError", "install genlab again"),
        ("judge", "judge mnist: changed: its sha256", "install genlab again"),
        ("disk", "0.3 GB free", "remove old runs"),
        ("runs", "runs cannot be written", "--runs"),
        ("cache", "the cache cannot be written", "XDG_CACHE_HOME"),
        ("versions", "numpy", "install genlab again"),
        ("threads", "4096 threads on", "OMP_NUM_THREADS="),
        ("everything", "ZeroDivisionError", "install genlab again"),
    ],
)
def test_what_is_wrong_is_told_with_a_next_step(
    what: str,
    words: str,
    step: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    broken(what, monkeypatch, tmp_path)
    main.main(["doctor", "--json"])
    found: list[dict[str, Any]] = json.loads(capsys.readouterr().out)["problems"]
    assert [step in problem["next"] for problem in found if words in problem["what"]] == [True]
    block = doctor(capsys)
    assert "problem " in block
    assert max(map(len, block.splitlines())) <= 60


def test_a_narrow_terminal_breaks_no_line_twice(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "50")
    assert max(map(len, doctor(capsys).splitlines())) < 50
