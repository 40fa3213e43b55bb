"""The command that starts the studio."""

from __future__ import annotations

import importlib.util
import os
import sys
import webbrowser
from contextlib import suppress
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from genlab.cli.options import Runs, whole
from genlab.engine.console import held, note, say
from genlab.errors import UsageError

NEEDED = ("orjson", "starlette", "uvicorn", "websockets")


def studio(
    *,
    port: Annotated[int, Parameter(converter=whole, help="Port on 127.0.0.1; 0: any free port.")] = 7860,
    browser: Annotated[bool, Parameter(help="Open it in the browser.")] = True,
    present: Annotated[bool, Parameter(negative="", help="For a projector: large type, thick lines.")] = False,
    runs: Runs = None,
) -> None:
    """Watch, compare, explore and start training runs in the browser, on this machine only.

    Ctrl-C ends the studio; training runs that it started
    continue, and the next studio finds them again.
    """
    if missing := [name for name in NEEDED if importlib.util.find_spec(name) is None]:
        raise UsageError(f"the studio needs {', '.join(missing)}: pip install 'genlab[studio]'")
    if not 0 <= port <= 65_535:
        raise UsageError(f"port is {port}; allowed: 0 .. 65535")
    from genlab.runs.directory import default_root
    from genlab.studio import server
    from genlab.studio.shipped import shipped
    from genlab.studio.state import Studio

    root = (runs or default_root()).absolute()
    opened, token = server.listening(port), server.new_token()
    number = opened.getsockname()[1]
    address = f"http://127.0.0.1:{number}/?token={token}{'&present=1' if present else ''}"
    say(f"studio: {address}")
    if os.environ.get("SSH_CONNECTION"):
        say(f"from your own machine: ssh -L {number}:127.0.0.1:{number} THIS_MACHINE, then open that address there")
    note("Ctrl-C ends the studio; training continues.")
    if browser and sys.stdout.isatty() and not os.environ.get("SSH_CONNECTION"):
        with suppress(webbrowser.Error):
            webbrowser.open(address)
    here = Path.cwd()
    made = Studio(root, shipped(), (here, here / "studies"))
    with held(), suppress(KeyboardInterrupt):  # Its pages show what is going on.
        server.serve(made, opened, token)
    going, waiting = made.jobs.left()
    note("The studio has ended.")
    if going:
        note(f"Training continues: {', '.join(going)}. The next studio finds it again.")
    if waiting:
        note(f"Not started: {', '.join(waiting)}.")
