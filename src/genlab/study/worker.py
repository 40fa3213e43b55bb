"""The processes of a study: one is started for each run at a time, loads what all runs need, and forks for each run.

So each run has a process of its own, which begins in a moment. Tasks come through standard input, a line of JSON each;
what happens goes to standard output, a line each: `begun` with the process of the run, `at`, `end`, and `gone`, with
how that process ended. What libraries print goes to standard error. Where nothing can be forked, one does one task.
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
    """Carry out a task and return the exit code; the last line says how it ended."""
    from genlab.errors import GenlabError, in_words, reason
    from genlab.study.job import run
    from genlab.study.teller import Teller

    with Teller(stream) as teller:
        try:
            state = run(task, teller)
            teller.say("end", state=state)
            return 0
        except Exception as error:
            known = in_words(error)
            code = error.exit_code if isinstance(error, GenlabError) else known[1] if known else 1
            if code == 1:
                import traceback

                traceback.print_exc()
            teller.say("end", state="failed", code=code, reason=reason(error), full=_is_full(error))
            return code


def _is_full(error: BaseException) -> bool:
    """Whether the disk is full, which is no fault of the run."""
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
    """Load what every run needs; nothing may be computed before a fork, since that starts threads."""
    import torch._dynamo  # PyTorch loads its compiler with the first optimiser.

    from genlab.study import job

    assert torch._dynamo
    assert job


def _line() -> bytes:
    """The next line of standard input, not a byte more: the process of a run reads on."""
    line = b""
    while (byte := os.read(0, 1)) not in (b"", b"\n"):
        line += byte
    return line


def _run(task: dict[str, Any], stream: Any) -> None:
    """Be the process of one run."""
    from genlab.study.parent import follow, watch_input

    if hasattr(os, "fork"):
        follow(os.getppid())
    watch_input()
    code = 1
    try:
        code = main(task, stream)
    except SystemExit as error:  # Somebody's code ends the program.
        code = error.code if isinstance(error.code, int) else 1
    finally:
        sys.stderr.flush()
        os._exit(code)  # All is written; taking the libraries down would take a second.


def _say(stream: Any, **facts: Any) -> None:
    stream.write(json.dumps(facts) + "\n")
    stream.flush()


if __name__ == "__main__":
    told = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # Whatever prints, prints there.
    serve(told)
