"""The process that carries out runs: if it cannot fork, it is itself the process of one run."""

from __future__ import annotations

import hashlib
import io
import json
import os
from pathlib import Path

import pytest

from genlab.study import worker
from genlab.study.execute import FINAL

OWN = """
import numpy as np
import torch

def bug(seed):
    raise ValueError("my own bug")

def deep(seed):
    return {"objective": int("x")}

def late(seed):
    return torch.zeros(2, 3) @ torch.zeros(2, 3)

def number(seed):
    return 5

def words(seed):
    return ["a", "b"]

def network(seed):
    return torch.nn.Linear(2, 2)
"""


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("bug", "own.py:6: ValueError: my own bug"),
        ("deep", "own.py:9: ValueError: invalid literal"),
        ("late", "own.py:12: RuntimeError: "),
        ("number", "arm mine: its function returns an object of type int; it must return a dictionary"),
        ("words", "arm mine: its function returns an object of type list; it must return a dictionary"),
        ("network", "arm mine: its function returns an object of type Linear; it must return a dictionary"),
    ],
)
def test_an_error_in_own_code_names_its_line_and_is_final(name: str, said: str, tmp_path: Path) -> None:
    own, told = tmp_path / "own.py", io.StringIO()
    own.write_text(OWN, "utf-8")
    code = {"path": str(own), "sha256": hashlib.sha256(own.read_bytes()).hexdigest(), "name": name}
    task = {"arm": "mine", "seed": 0, "code": code, "recipe": {}, "quantities": [], "measure": 1.0}
    assert worker.main(task, told) in FINAL
    end = json.loads(told.getvalue().splitlines()[-1])
    assert end["code"] in FINAL
    assert end["reason"].startswith(said)


class Ran(Exception):
    """Raised in place of the run's end, which would also end the process."""


@pytest.mark.parametrize("forks", [True, False])
def test_a_run_has_a_process_of_its_own_where_processes_can_be_forked(
    monkeypatch: pytest.MonkeyPatch, forks: bool
) -> None:
    lines, told = [b'{"a": 1}', b""], io.StringIO()

    def run(task: dict[str, int], stream: object) -> None:
        assert task == {"a": 1}
        if forks:
            os._exit(7)
        raise Ran

    monkeypatch.setattr(worker, "_load", lambda: None)
    monkeypatch.setattr(worker, "_line", lambda: lines.pop(0))
    monkeypatch.setattr(worker, "_run", run)
    if not forks:
        monkeypatch.delattr(os, "fork")
        with pytest.raises(Ran):
            worker.serve(told)
        return
    worker.serve(told)
    assert '"event": "begun"' in told.getvalue()
    assert '{"event": "gone", "code": 7}' in told.getvalue()
