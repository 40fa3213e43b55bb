"""A studio in a process of its own, as a user starts it, and a client that knows its token."""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import genlab
from conftest import SMALL
from genlab.api.run import Run
from genlab.study import design
from genlab.study.folder import Folder
from genlab.study.plan import plan
from plans import leave


class Served:
    """A studio in a process of its own.

    Args:
        program: arguments with which Python runs `genlab`.

    Attributes:
        url: URL that it printed.
        port: port that it listens on.
        runs: folder of its runs.
    """

    def __init__(self, runs: Path, *arguments: str, program: Sequence[str] = ("-m", "genlab")) -> None:
        self.runs = runs
        command = [sys.executable, *program, "studio", "--port", "0", "--no-browser", "--runs", str(runs)]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        self.process = subprocess.Popen(
            [*command, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=environment,
            cwd=runs.parent,
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        found = re.search(r"http://127\.0\.0\.1:(\d+)/\?token=([\w-]+)", line)
        assert found, line
        self.url, self.port, self.token = found[0], int(found[1]), found[2]
        self.base = f"http://127.0.0.1:{self.port}"

    def ask(self, path: str, method: str = "GET", body: Any = None, **headers: str) -> tuple[int, Any, dict[str, str]]:
        """(status, JSON or bytes, headers) of a request like one from a page of the studio."""
        given = {"Cookie": f"genlab-{self.port}={self.token}"}
        if method != "GET":
            given |= {"Origin": self.base, "Content-Type": "application/json"}
        given |= {key.replace("_", "-"): value for key, value in headers.items()}
        content = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        line = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        line.request(method, path, content, given)
        answer = line.getresponse()
        read = answer.read()
        line.close()
        found = {key.lower(): value for key, value in answer.getheaders()}
        return answer.status, json.loads(read) if "json" in found.get("content-type", "") else read, found

    def get(self, name: str, /, **query: Any) -> Any:
        """Answer of an API address, which must succeed."""
        status, found, _ = self.ask(f"/api/{name}?{urlencode(query, doseq=True)}")
        assert status == 200, found
        return found

    def post(self, name: str, /, **body: Any) -> Any:
        status, found, _ = self.ask(f"/api/{name}", "POST", body)
        assert status == 200, found
        return found

    def kill(self) -> None:
        self.process.kill()
        self._ended()

    def close(self) -> None:
        self.process.send_signal(signal.SIGINT)
        self._ended()

    def _ended(self) -> None:
        self.process.wait(10)
        if self.process.stdout is not None:
            self.process.stdout.close()


def until(found: Callable[[], Any], seconds: float = 60) -> Any:
    """Wait until `found` returns something true, and return that."""
    end = time.monotonic() + seconds
    while not (value := found()):
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.1)
    return value


HOSTILE = "x-</script><img src=a onerror=alert(1)>-\u2028\u202e-'\"&"


def make_runs(root: Path, digits: Path, finished: Run) -> Path:
    """Make runs of each kind: a GAN, a VAE with a z of size 2, a classifier, one in a hostile folder, a damaged one."""
    shutil.copytree(finished.path, root / "gan")
    quick: dict[str, Any] = {"data.name": str(digits), "budget.max_steps": 12, "budget.batch": 16}
    quick["logging.tensorboard"] = False
    course = {**quick, "logging.sample_every": 4}
    for name, recipe, more in (
        ("watched", "quick-mnist", {**SMALL, **course, "logging.evaluation": "cheap", "budget.epochs": 9}),
        ("vae", "s4-vae", {**course, "logging.evaluation": "none"}),
        ("classifier", "s4-classifier", quick),
    ):
        genlab.train(recipe, overrides=more, runs=root, name=name, progress=False)
    shutil.copytree(root / "gan", root / HOSTILE / "gan")
    shutil.copytree(root / "gan", root / "damaged")
    (root / "damaged" / "provenance.json").write_text("{")
    study: dict[str, Any] = {"schema": 1, "name": "lr", "question": "Which rate?", "recipe": "s4-classifier"}
    study |= {"arms": {"low": {"optimiser.lr": 0.001}, "high": {"optimiser.lr": 0.01}}, "seeds": [0, 1]}
    study |= {"overrides": quick, "quantities": {"right": {"kind": "column", "name": "test_accuracy"}}}
    (root.parent / "lr.yaml").write_text(json.dumps(study))
    (root.parent / "broken.yaml").write_text("{")
    designed = plan(design.check(study, "lr"), root.parent)
    folder = Folder(root.parent / "results" / "lr")
    with folder.locked():
        folder.begin(designed)
    for cell in designed.cells:
        leave(folder, designed, cell, value=0.5)
    return root


def state_of(folder: Path) -> dict[str, tuple[int, int]]:
    """Size and time of the last change of each file and folder."""
    found = {}
    for path in [folder, *folder.rglob("*")]:
        facts = path.lstat()
        found[str(path)] = (facts.st_size, facts.st_mtime_ns)
    return found
