"""F: what is left of a study if its driver, workers or disk fail, and that nothing runs on alone."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import lab
import pytest
import yaml

from genlab.study.folder import Folder
from genlab.study.plan import Cell
from genlab.study.study import Study
from plans import raw

KILLS = 100 if lab.LONG else 3
ALONE = 2.0
"""Seconds after which no process may run if its study is gone (P7)."""


class Started:
    """A started `genlab study run`; all its processes carry a mark."""

    def __init__(self, file: Path, *options: str, workers: int = 2) -> None:
        self.mark = uuid.uuid4().hex
        self.file, self.folder = file, file.parent / "results" / file.stem
        line = [sys.executable, "-m", "genlab", "study", "run", str(file), "--runs", str(file.parent / "runs")]
        self.popen = subprocess.Popen(
            [*line, "--workers", str(workers), *options],
            env={**os.environ, "STUDY_MARK": self.mark},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def end(self) -> tuple[int, str, str]:
        """Wait for the end; returns exit code, output and errors."""
        out, err = self.popen.communicate(timeout=240)
        return self.popen.returncode, out, err

    def kill(self) -> None:
        """Kill the driver with SIGKILL, and check that none of its processes runs on."""
        self.popen.kill()
        self.popen.communicate()
        until = time.monotonic() + ALONE
        while (left := self.processes()) and time.monotonic() < until:
            time.sleep(0.05)
        assert left == [], f"still running: {[_command(pid) for pid in left]}"

    def processes(self) -> list[int]:
        """Living processes that carry the mark."""
        return [
            pid for pid in _pids() if self.mark.encode() in _read(pid, "environ") and b") Z " not in _read(pid, "stat")
        ]

    def runs(self) -> list[int]:
        """Processes of runs, which are forked from a worker."""
        workers = [pid for pid in self.processes() if "genlab.study.worker" in _command(pid)]
        return [pid for pid in workers if int(_read(pid, "stat").rpartition(b")")[2].split()[1]) in workers]

    def wait_for_a_worker(self) -> None:
        """Wait until the first worker begins."""
        until = time.monotonic() + 60
        while time.monotonic() < until and not any("genlab.study.worker" in _command(pid) for pid in self.processes()):
            time.sleep(0.01)

    def wait_for_a_run(self) -> int:
        """Wait for the first run; returns its process."""
        until = time.monotonic() + 60
        while time.monotonic() < until:
            if found := self.runs():
                return found[0]
            time.sleep(0.02)
        raise AssertionError("no run began")


def _pids() -> Iterator[int]:
    yield from (int(name) for name in os.listdir("/proc") if name.isdigit() and int(name) != os.getpid())


def _read(pid: int, name: str) -> bytes:
    with suppress(OSError):
        return Path(f"/proc/{pid}/{name}").read_bytes()
    return b""


def _command(pid: int) -> str:
    return _read(pid, "cmdline").replace(b"\0", b" ").decode(errors="replace")


def write(folder: Path, name: str = "small", **changes: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{name}.yaml"
    file.write_text(yaml.safe_dump(raw(name=name, **changes)), "utf-8")
    return file


def table(file: Path) -> str:
    """Hash of a finished study's table."""
    found = json.loads((file.parent / "results" / file.stem / "verdicts.json").read_text("utf-8"))
    assert found["runs"] == found["of"]
    return str(found["table"])


def killed(folder: Path) -> Path:
    """Study of four runs, of which some processes are killed; in the long form, studies/tiny.yaml."""
    if not lab.LONG:
        return write(folder, seeds=[0, 1], claims={})
    folder.mkdir(parents=True, exist_ok=True)
    return Path(shutil.copy(Path(__file__).parents[2] / "studies" / "tiny.yaml", folder))


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Table of the same study, undisturbed."""
    return ended(killed(tmp_path_factory.mktemp("undisturbed")))


def ended(file: Path) -> str:
    """Table of a study that runs to its end."""
    code, _, err = Started(file).end()
    assert code == 0, err
    return table(file)


@pytest.mark.timeout(3600)
def test_the_driver_is_killed_at_any_moment(undisturbed: str, tmp_path: Path) -> None:
    """F2, F6, P7: nothing is lost or doubled, nothing runs on, and the table is the same. Studies are started until all
    kills are done, and the last one ends by itself."""
    draws, kills, number = lab.shuffled(4), 0, 0
    while kills < KILLS:
        file, number = killed(tmp_path / str(number)), number + 1
        while kills < KILLS:
            study = Started(file)
            with suppress(subprocess.TimeoutExpired):
                study.popen.wait(draws.uniform(0.2, 9.0))
                break
            study.kill()
            kills += 1
            lab.count("kills of a study's driver")
        assert ended(file) == undisturbed
        journal = Folder(file.parent / "results" / file.stem).journal()
        finished = [(event["arm"], event["seed"]) for event in journal if event["event"] == "finished"]
        assert len(finished) == len(set(finished))  # No run is made twice.
        lab.count("studies that ended with the same table")


def test_a_long_run_ends_with_its_driver(tmp_path: Path) -> None:
    """F6, P7: a run of many hours ends within two seconds of its driver, even if its worker is only starting."""
    overrides = {**raw()["overrides"], "budget.epochs": 1_000_000, "budget.max_steps": None}
    file = write(tmp_path, overrides=overrides, claims={}, seeds=[0])
    for wait in (Started.wait_for_a_run, Started.wait_for_a_worker):
        study = Started(file)
        wait(study)
        time.sleep(0.5)
        study.kill()
        assert study.processes() == []


def test_a_run_and_a_worker_are_killed(undisturbed: str, tmp_path: Path) -> None:
    """F1: a run that was killed, or whose worker was, is made again and leaves no trace in the table."""
    file = killed(tmp_path)
    study = Started(file)
    for which in (0, 1):
        run = study.wait_for_a_run()
        parent = int(_read(run, "stat").rpartition(b")")[2].split()[1] or 0)
        os.kill(parent if which and parent else run, signal.SIGKILL)
        time.sleep(0.3)
    code, _, err = study.end()
    assert code == 0, err
    assert table(file) == undisturbed
    assert "killed (signal 9)" in err
    assert "trying again, attempt 2 of 3" in err


@pytest.mark.slow
def test_ctrl_c_ends_a_study_in_order(tmp_path: Path) -> None:
    """A8 in a study: its runs save and end, the exit code is 130, and the same command continues."""
    file = write(tmp_path)
    study = Started(file)
    study.wait_for_a_run()
    study.popen.send_signal(signal.SIGINT)
    code, _, err = study.end()
    assert code == 130, err
    assert "the same command continues" in err
    assert study.processes() == []
    assert Started(file).end()[0] == 0


@pytest.mark.slow
def test_two_drivers(tmp_path: Path) -> None:
    """F5, A16: the second driver is told who runs the study, and the first is not disturbed."""
    file = write(tmp_path)
    first = Started(file)
    first.wait_for_a_run()
    code, _, err = Started(file).end()
    assert code == 7, err
    assert f"another process is running this study (pid {first.popen.pid}" in err
    assert first.end()[0] == 0


BAD = """
import os, signal, sys, time
import numpy as np

def good(seed):
    return np.random.default_rng(seed).random((50, 28, 28))

def memory(seed):
    raise MemoryError

def crash(seed):
    os.kill(os.getpid(), signal.SIGSEGV)

def leave(seed):
    sys.exit(3)

def loop(seed):
    while True:
        time.sleep(0.01)

def shout(seed):
    for _ in range(20_000):
        print("x" * 50_000)
    return good(seed)

def wrong(seed):
    return np.full((50, 28, 28), np.nan)

def nothing(seed):
    return None

arms = {f.__name__: f for f in (good, memory, crash, leave, loop, shout, wrong, nothing)}
"""


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_runs_that_end_in_every_bad_way(tmp_path: Path) -> None:
    """F3: a run that is out of memory, crashes, exits, hangs or returns nothing or values that are not finite fails
    with its reason; the others are made, even one with a gigabyte of output; exit code 8."""
    code_file = tmp_path / "bad.py"
    code_file.write_text(BAD, "utf-8")
    file = write(tmp_path, "bad", arms={}, seeds=[0], claims={}, quantities={"recall": "recall"}, images=50)
    began = time.monotonic()
    code, out, err = Started(file, "--code", str(code_file), "--patience", "0.4").end()
    assert code == 8, err
    assert time.monotonic() - began < 240
    folder = Folder(file.parent / "results" / "bad")
    reasons = {arm: why for (arm, _), why in folder.failures().items()}
    assert sorted(reasons) == ["crash", "leave", "loop", "memory", "nothing", "wrong"]
    assert "not enough memory" in reasons["memory"]
    assert "signal 11" in reasons["crash"]
    assert "exit code 3" in reasons["leave"]
    assert "no sign of progress" in reasons["loop"]
    assert "[0] has values outside of [0, 1] or NaN" in reasons["wrong"]
    assert "returns nothing; it must return a dictionary" in reasons["nothing"]
    assert sorted(path.stem for path in (folder.path / "records").glob("*.json")) == ["good-seed0", "shout-seed0"]
    assert "6 of 8 runs failed" in err
    assert "2 of 8 runs" in out


def test_a_run_that_diverges_counts_with_the_untrained_model(tmp_path: Path) -> None:
    """E4: a diverged run gets the numbers of the untrained model and is counted separately, and no mean is NaN. What is
    no number of the model comes from the run that diverged: its diagnosis, and its length, which no event cut short."""
    arms = {
        "slow": {"optimisers.generator.lr": 0.001},
        "wild": {"optimisers.both.lr": 10_000, "optimisers.both.betas": [0.9, 0.9]},
    }
    quantities = {
        "loss": {"kind": "column", "name": "loss_g"},
        "divergence": {"kind": "finding", "name": "divergence"},
        "never": {"kind": "onset", "column": "loss_g", "threshold": 1e30},
    }
    file = write(tmp_path, arms=arms, claims={}, seeds=[0], quantities=quantities)
    code, out, err = Started(file).end()
    found = Study.at(file, runs=tmp_path / "runs").outcome
    assert code == 0, err
    assert found.diverged == [Cell("wild", 0)], out
    assert all(0.1 < value < 10 for value in found.values["loss"]["wild"].values())
    assert found.values["divergence"] == {"slow": {0: 0}, "wild": {0: 1}}
    assert found.values["never"]["wild"] == found.values["never"]["slow"]
    assert "try a smaller" in found.records[Cell("wild", 0)].reason
    assert "diverged" in (found_page := (tmp_path / "results" / "small" / "report.html").read_text("utf-8"))
    assert not re.search(r"\bnan\b", found_page.lower())


@pytest.mark.slow
def test_a_full_disk_inside_a_run(tmp_path: Path) -> None:
    """F7: the whole study pauses with exit code 5, and resumes where it was once there is room."""
    if os.geteuid():
        pytest.fail("a small disk can only be made by root; run the tests as root, as CI does")
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=700k", "tmpfs", str(disk)], check=True)
    try:
        file = write(tmp_path)
        os.symlink(disk, tmp_path / "runs")
        code, _, err = Started(file, workers=1).end()
        assert code == 5, err
        assert "No space left on device" in err
        assert "free some disk space and run it again" in err
        subprocess.run(["mount", "-o", "remount,size=60m", str(disk)], check=True)
        assert Started(file, workers=1).end()[0] == 0
        assert Study.at(file, runs=tmp_path / "runs").outcome.failed == {}
    finally:
        subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.parametrize(
    ("changes", "code", "said"),
    [
        ({"overrides": {"data.name": "nowhere.npz"}}, 2, "nowhere.npz"),
        ({"overrides": {"budget.max_steps": 4, "engine.device": "cuda"}}, 2, "cuda"),
        ({"seeds": 3}, 2, "4 seeds could"),
    ],
)
def test_what_no_run_can_do_is_said_before_any(tmp_path: Path, changes: dict[str, Any], code: int, said: str) -> None:
    """D in a study: an impossible study gives one message and starts no run."""
    file = write(tmp_path, **changes)
    found = lab.command("study", "run", file, "--runs", tmp_path / "runs", folder=tmp_path / "printed")
    assert (found.code, said in found.err) == (code, True), found.err
    assert not (tmp_path / "runs").exists()
