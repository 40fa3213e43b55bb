"""The process that carries out runs: if it cannot fork, it is itself the process of one run."""

from __future__ import annotations

import io
import os

import pytest

from genlab.study import worker


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
