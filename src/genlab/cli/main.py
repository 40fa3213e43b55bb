"""The command line: which commands there are, how they fail."""

from __future__ import annotations

import logging
import sys
import traceback
import warnings
from collections.abc import Callable, Sequence
from typing import Any

from cyclopts import App, CycloptsError, Group

from genlab.cli import bench, data, doctor, draw, evaluate, judge, runs, train
from genlab.engine import console
from genlab.engine.version import VERSION
from genlab.errors import GenlabError, UsageError, first_line, in_words

app = App(
    name="genlab",
    help="A laboratory for small generative image models: train, look, measure, compare, on two CPU cores.",
    help_epilogue="Start with: genlab train quick-mnist. Every command takes --help; --debug shows a traceback.",
    help_format="plaintext",  # Markdown would cost a fifth of the time that --help takes.
    version=VERSION,
    version_flags=["--version"],
)
COMMANDS: dict[str, tuple[App | Callable[..., None], ...]] = {
    "Train and watch": (train.train, train.recipes, train.show, bench.app),
    "Look": (train.report, *draw.COMMANDS),
    "Measure": (evaluate.evaluate, evaluate.compare, draw.likelihood, evaluate.metrics),
    "Data and judges": (data.app, judge.app),
    "Runs": (runs.app, doctor.doctor),
}
for number, (title, commands) in enumerate(COMMANDS.items()):
    group = Group(title, sort_key=number)
    for command in commands:
        if isinstance(command, App):
            command.group = group
            app.command(command)
        else:
            app.command(command, group=group)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit with the code that `errors` lists."""
    tokens = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in tokens
    console.prepare()
    warnings.showwarning = lambda message, *_: console.note(f"genlab: note: {message}")
    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # It tells how long it looks for fonts.
    try:
        tokens, overrides = _take_overrides([token for token in tokens if token != "--debug"])
        command, bound, _ = app.parse_args(tokens, exit_on_error=False, print_error=False)
        if overrides:
            bound.arguments["overrides"] = overrides
        command(*bound.args, **bound.kwargs)
        sys.stdout.flush()
    except (GenlabError, CycloptsError) as error:
        if debug:
            traceback.print_exc()
        _fail(str(error), error.exit_code if isinstance(error, GenlabError) else UsageError.exit_code)
    except BrokenPipeError:
        console.hush(sys.stdout)  # Whoever read our output has seen enough.
    except KeyboardInterrupt:
        _fail("interrupted", 130)
    except OSError as error:
        if debug:
            raise
        _fail(f"{error.filename or 'output'}: {error.strerror or error}", 5)
    except Exception as error:
        if debug:
            raise
        known = in_words(error)
        if known:
            _fail(*known)
        _fail(
            f"a bug in genlab: {type(error).__name__}: {first_line(error)} (--debug shows where; please report it, "
            "with what genlab doctor prints)",
            1,
        )


TOP_LEVEL = ("augmentation", "ema", "init-encoder-from")
"""The fields of a recipe that are set as a whole and have no dot."""


def _take_overrides(tokens: list[str]) -> tuple[list[str], dict[str, Any]]:
    """Split off the recipe's fields: --section.field VALUE or --section.field=VALUE, values read as YAML."""
    if not tokens or tokens[0] not in ("train", "show"):
        return tokens, {}
    import yaml

    rest, overrides = tokens[:1], {}
    queue = iter(tokens[1:])
    for token in queue:
        flag, equals, value = token.removeprefix("--").partition("=")
        if not token.startswith("--") or ("." not in flag and flag not in TOP_LEVEL):
            rest.append(token)
            continue
        if not equals and (value := next(queue, "--")).startswith("--"):
            raise UsageError(f"--{flag} needs a value, as in --{flag} VALUE")
        try:
            read = yaml.safe_load(value)
        except (yaml.YAMLError, ValueError, RecursionError):
            read = value
        # Anything but a number, a list and the like is the text as it was typed (dates, `a #b`).
        plain = read is None or isinstance(read, bool | int | float | list | dict)
        overrides[flag.replace("-", "_")] = read if plain else value.strip("'\"")
    return rest, overrides


def _fail(message: str, code: int) -> None:
    console.note(f"genlab: {message}")
    sys.exit(code)
