"""Training runs that a studio starts: they queue, outlive it, are found again, and are limited in number."""

from __future__ import annotations

import json
import os
import re
import socket
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from conftest import SMALL
from genlab.api.run import Run
from genlab.cli import main
from genlab.engine import console
from genlab.errors import UsageError
from genlab.studio import server
from genlab.studio.jobs import Jobs, started
from genlab.studio.state import Studio
from genlab.training.minutes import REACHED
from served import Served, until

QUICK = """
import sys
from genlab.studio import jobs
here = "import sys; print(sys.argv[1:], flush=True); sys.exit(0 if 'first' in sys.argv else 3)"
jobs.Jobs.__init__.__defaults__ = (1, (sys.executable, "-c", here))
from genlab.cli.main import main
main()
"""


def test_the_queue_goes_on_though_nobody_looks(tmp_path: Path) -> None:
    root = tmp_path / "runs"
    studio = Served(root, program=("-c", QUICK))
    try:
        told: dict[str, Any] = {"recipe": "quick-mnist", "overrides": {}, "seed": 0}
        for name in ("first", "second", "third"):
            studio.post("train", name=name, **told)
        until(lambda: (root / ".studio" / "third.log").exists() and (root / ".studio" / "third.log").read_text())
        time.sleep(1.5)
        jobs = studio.get("runs")["jobs"]
        assert {job["run"]: job["state"] for job in jobs} == {"second": "failed", "third": "failed"}
        assert all("quick-mnist" in job["why"] for job in jobs)
    finally:
        studio.close()


def test_what_is_wrong_stands_at_its_field(served: Served) -> None:
    changes = {"budget.epochs": "0", "objective.loss": "hingee", "budget.batch": "many"}
    told = served.post("check", recipe="quick-mnist", overrides=changes, name="gan", seed=0)["problems"]
    assert {each["path"] for each in told} == {"budget.epochs", "objective.loss", "budget.batch", "name"}
    assert next(each["words"] for each in told if each["path"] == "objective.loss").endswith("did you mean 'hinge'?")
    missing = served.post("check", recipe="quick-mnist", overrides={"data.name": "/no/such.npz"}, name="new", seed=0)
    assert [each["path"] for each in missing["problems"]] == ["data.name"]
    sound = served.post("check", recipe="quick-mnist", overrides={"budget.epochs": "9"}, name="", seed=0)
    assert sound["problems"] == []
    assert missing["expected"] is None
    assert re.fullmatch(
        r"8,433 steps, about \d+ (s|minutes) on this machine if nothing else runs, plus .*\.", sound["expected"]
    )
    as_it_is = served.post("check", recipe="quick-mnist", overrides={}, name="", seed=0)["expected"]
    assert as_it_is.endswith(
        f"; expect a Frechet distance of {REACHED['quick-mnist'].itself:.2g} x that of real images."
    )
    in_time = served.post("check", recipe="quick-mnist", overrides={"budget.minutes": "3"}, name="", seed=0)
    assert in_time["expected"] == "About 3 minutes: as many steps as this machine can do in that time."
    for name in ("../x", "a/b", "CON", "-x", "x" * 300, "a\nb"):
        told = served.post("train", recipe="quick-mnist", overrides={}, name=name, seed=0)["problems"]
        assert [each["path"] for each in told] == ["name"]
    assert served.post("train", recipe="quick-mnist", overrides={}, name="", seed=0)["problems"]


LONG: dict[str, Any] = {
    **SMALL, "budget.epochs": 100_000, "engine.threads": 1, "logging.sample_epochs": [], "logging.metrics_every": 50,
}  # fmt: skip


def test_a_training_outlives_its_studio_and_only_its_own_are_stopped(digits: Path, tmp_path: Path) -> None:
    root = tmp_path / "runs"
    root.mkdir()
    studio = Served(root)
    told = {"recipe": "quick-mnist", "overrides": {**LONG, "data.name": str(digits)}, "seed": 3}
    assert studio.post("train", name="first", **told) == {"run": "first", "problems": []}
    studio.post("train", name="second", **told)
    assert [job["state"] for job in studio.get("runs")["jobs"]] == ["running", "waiting"]
    until(lambda: (root / "first" / "metrics.jsonl").exists())
    job = json.loads((root / ".studio" / "first.json").read_text())
    studio.kill()
    time.sleep(0.5)
    assert started(job["pid"]) == job["started"]
    again = Served(root)
    try:
        # A reused process ID belongs to another process, which is never stopped.
        other = {"run": "other", "pid": os.getpid(), "started": "1"}
        (root / ".studio" / "other.json").write_text(json.dumps(other))
        assert [each["run"] for each in again.get("runs")["jobs"]] == ["first"]
        assert again.ask("/api/stop", "POST", {"run": "other"})[0] == 422
        assert until(lambda: again.get("run", run="first")["status"]["step"] > 0)
        again.post("stop", run="first")
        until(lambda: started(job["pid"]) is None)
        state = again.get("run", run="first")["status"]
        assert (state["state"], again.get("runs")["jobs"]) == ("interrupted", [])
        assert "--resume" in again.get("log", run="first")["lines"][-1]
        again.post("resume", run="first")
        until(lambda: again.get("run", run="first")["status"]["step"] > state["step"])
        again.post("stop", run="first")
        until(lambda: not again.get("runs")["jobs"])
        assert Run(root / "first").metrics()[-1]["step"] > state["step"]
    finally:
        again.close()


def test_where_no_process_tells_when_it_began_own_children_are_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from genlab.studio import jobs as module

    monkeypatch.setattr(module, "started", lambda pid: None)
    # A shell's background job and its children ignore Ctrl-C; a training run obeys it nevertheless.
    waits = "import signal; signal.signal(signal.SIGINT, signal.SIG_DFL); print('ready', flush=True); signal.pause()"
    command = (sys.executable, "-c", waits)
    jobs, other = module.Jobs(tmp_path, command=command), module.Jobs(tmp_path, command=command)
    jobs.start("mine", [])
    with pytest.raises(UsageError, match="mine is already training"):
        jobs.start("mine", [])
    assert [job["run"] for job in jobs.listing()] == ["mine"]
    assert other.listing() == []
    with pytest.raises(UsageError):
        other.stop("mine")
    until(lambda: jobs.log("mine") == ["ready"])
    jobs.stop("mine")
    until(lambda: jobs.listing() == [])


def test_jobs_have_an_end(tmp_path: Path) -> None:
    from genlab.errors import BusyError
    from genlab.studio.jobs import WAITING, Jobs

    jobs = Jobs(tmp_path, at_once=0)
    for k in range(WAITING):
        jobs.start(f"run-{k}", [])
    with pytest.raises(BusyError):
        jobs.start("one more", [])
    jobs.stop("run-3")
    assert len(jobs.listing()) == WAITING - 1
    assert not (tmp_path / ".studio").exists()


def test_a_studio_that_ends_says_what_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ctrl-C is the proper way to end a studio. While it serves, its terminal shows no status: the pages do."""
    jobs: list[Jobs] = []

    def answers(studio: Studio, opened: socket.socket, token: str) -> None:
        opened.close()
        studio.jobs._command = (sys.executable, "-c", "import time; time.sleep(60)")
        for name in ("first", "second"):
            studio.jobs.start(name, [])
        jobs.append(studio.jobs)
        assert console._status._held
        raise KeyboardInterrupt

    monkeypatch.setattr(server, "serve", answers)
    main.main(["studio", "--port", "0", "--no-browser", "--runs", str(tmp_path)])
    jobs[0]._children["first"].kill()
    jobs[0]._children["first"].wait()
    said = capsys.readouterr()
    assert said.out.startswith("studio: http://127.0.0.1:")
    assert said.err.splitlines() == [
        "Ctrl-C ends the studio; training continues.",
        "The studio has ended.",
        "Training continues: first. The next studio finds it again.",
        "Not started: second.",
    ]
