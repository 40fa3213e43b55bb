"""One run of a study in a process of its own: trained, measured, recorded; whoever started it hears how far it is.

The task comes as the argument, JSON; what happens goes to standard output, a line of JSON each; what libraries print
goes to standard error.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

if __name__ == "__main__":
    from genlab.study.parent import follow

    follow()


def main(task: dict[str, Any], stream: Any) -> int:
    """Run a task and return the exit code; the last line says how it ended."""
    from genlab.errors import GenlabError, in_words, reason
    from genlab.study.teller import Teller

    with Teller(stream) as teller:
        try:
            from genlab.study.job import run

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


if __name__ == "__main__":
    told = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # Whatever prints, prints there.
    sys.exit(main(json.loads(sys.argv[1]), told))
