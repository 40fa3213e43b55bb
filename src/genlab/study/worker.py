"""Worker process of a study, one per concurrent run: it loads what all runs need, and forks a process for each run.

Each run thus has its own process, which starts within a moment. Tasks arrive on standard input, one line of JSON each;
events go to standard output, one line each: `begun` with the run's process id, `at`, `end`, and `gone` with that
process's exit code. What libraries print goes to standard error. If the system cannot fork, a worker does one task.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

if __name__ == "__main__":
    from genlab.study.parent import PARENT, follow

    follow(int(os.environ.get(PARENT, "0")))


def main(task: dict[str, Any], stream: Any) -> int:
    """Carry out a task and return its exit code; the last line written says how it ended."""
    from genlab.errors import GenlabError, in_words, reason
    from genlab.study.code import OWN, place_of
    from genlab.study.job import run
    from genlab.study.teller import Teller

    with Teller(stream) as teller:
        try:
            state = run(task, teller)
            teller.say("end", state=state)
            return 0
        except Exception as error:
            known, full, at = in_words(error), _is_full(error), ""
            code = error.exit_code if isinstance(error, GenlabError) else known[1] if known else 1
            if code == 1:
                import traceback

                traceback.print_exc()
                at = "" if full else place_of(error, (task.get("code") or {}).get("path"))
            if at:
                code = OWN  # The same code would raise the same error again.
            words = f"{at}: {reason(error)}" if at else reason(error)
            teller.say("end", state="failed", code=code, reason=words, full=full)
            return code


def _is_full(error: BaseException) -> bool:
    """Whether an error means that the disk is full, for which the run is not to blame."""
    import errno

    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno in (errno.ENOSPC, errno.EDQUOT):
            return True
        cause = cause.__cause__ or cause.__context__
    return False


def serve(stream: Any) -> None:
    """Carry out tasks until standard input ends."""
    _load()
    while line := _line():
        task = json.loads(line)
        child = os.fork() if hasattr(os, "fork") else 0
        if not child:
            _run(task, stream)
        _say(stream, event="begun", pid=child)
        _, status = os.waitpid(child, 0)
        _say(stream, event="gone", code=os.waitstatus_to_exitcode(status))


def _load() -> None:
    """Load what every run needs; nothing may be computed before a fork, since computing starts threads."""
    import torch._dynamo  # PyTorch loads its compiler with the first optimiser.

    from genlab.study import job

    assert torch._dynamo
    assert job


def _line() -> bytes:
    """Next line of standard input, read without a byte beyond it, since the process of a run reads on."""
    line = b""
    while (byte := os.read(0, 1)) not in (b"", b"\n"):
        line += byte
    return line


def _run(task: dict[str, Any], stream: Any) -> None:
    """Carry out one run in this process, then exit."""
    from genlab.study.parent import follow, watch_input

    if hasattr(os, "fork"):
        follow(os.getppid())
    watch_input()
    code = 1
    try:
        code = main(task, stream)
    except SystemExit as error:  # User code may call sys.exit.
        code = error.code if isinstance(error.code, int) else 1
    finally:
        sys.stderr.flush()
        os._exit(code)  # Everything is written; unloading the libraries would take a second.


def _say(stream: Any, **facts: Any) -> None:
    stream.write(json.dumps(facts) + "\n")
    stream.flush()


if __name__ == "__main__":
    told = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # Whatever is printed goes to standard error.
    serve(told)
