"""The command line: its commands, and how they fail."""

from __future__ import annotations

import gc
import logging
import sys
import traceback
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from cyclopts import (
    App,
    Argument,
    CycloptsError,
    Group,
    MissingArgumentError,
    UnknownCommandError,
    UnknownOptionError,
    UnusedCliTokensError,
)

from genlab.cli import (
    bench,
    compare,
    data,
    diagnose,
    doctor,
    draw,
    evaluate,
    fields,
    judge,
    runs,
    search,
    studio,
    study,
    train,
)
from genlab.engine import console
from genlab.engine.version import VERSION
from genlab.errors import DrawnError, GenlabError, UsageError, first_line, in_words, unknown

app = App(
    name="genlab",
    help="A laboratory for small generative image models: train, look, measure, compare, on two CPU cores.",
    help_epilogue="Start with: genlab train quick-mnist. Every command takes --help; --debug shows a traceback.",
    help_format="plaintext",  # Markdown would cost a fifth of the time that --help takes.
    version=VERSION,
    version_flags=["--version"],
)
COMMANDS: dict[str, tuple[App | Callable[..., None], ...]] = {
    "Train and watch": (train.train, train.fork, train.recipes, train.show, bench.app),
    "Look": (studio.studio, train.open, train.report, compare.plot, *draw.COMMANDS),
    "Compare over seeds": (study.app, search.search),
    "Measure": (evaluate.evaluate, diagnose.diagnose, compare.compare, draw.likelihood, evaluate.metrics),
    "Data and judges": (data.app, judge.app),
    "Runs": (runs.app, doctor.doctor),
}
RUN_OR_IMAGES = (evaluate.evaluate, diagnose.diagnose)
"""Commands whose source is a run or images."""
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
    gc.set_threshold(
        100_000, 50, 50
    )  # Imports make a million objects that stay: garbage collection takes a tenth of the import time.
    warnings.showwarning = lambda message, *_: console.note(f"genlab: note: {message}")
    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # It reports how long it looks for fonts.
    try:
        tokens, overrides = fields.take([token for token in tokens if token != "--debug"])
        command, bound, _ = app.parse_args(tokens, exit_on_error=False, print_error=False)
        _check_names(command, bound.arguments)
        if overrides:
            bound.arguments["overrides"] = overrides
        with console.showing():
            command(*bound.args, **bound.kwargs)
            sys.stdout.flush()
    except CycloptsError as error:
        if debug:
            traceback.print_exc()
        _fail(_in_words(error, tokens), UsageError.exit_code)
    except GenlabError as error:
        if debug:
            traceback.print_exc()
        if isinstance(error, DrawnError):
            _draw(error)
        _fail(str(error), error.exit_code)
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
            f"a bug in genlab: {type(error).__name__}: {first_line(error)} (--debug shows where; report it "
            "with the output of genlab doctor)",
            1,
        )


def _check_names(command: Callable[..., None], arguments: Mapping[str, Any]) -> None:
    """Refuse the name of a run or recipe that does not exist, before torch is loaded, which takes seconds."""
    named = [*(arguments.get(key) for key in ("run", "first", "second", "resume")), *arguments.get("others", ())]
    recipe, measured = arguments.get("recipe"), arguments.get("source") if command in RUN_OR_IMAGES else None
    if any(isinstance(run, str) for run in (*named, measured)):
        from genlab.runs.directory import RunDirectory, default_root
        from genlab.runs.search import is_meant

        root = arguments.get("runs") or default_root()
        if isinstance(measured, str) and "against" not in arguments and is_meant(measured, root):
            named.append(measured)
        for run in filter(None, named):
            RunDirectory.open(run, root)
    if isinstance(recipe, str):
        from genlab.recipe import source

        source.read(recipe)


def _in_words(error: CycloptsError, tokens: Sequence[str]) -> str:
    """What is wrong with a command, and what would be right."""
    command = " ".join(error.command_chain or ())
    if isinstance(error, UnknownOptionError):
        flag = error.token.keyword or error.token.value
        return _no_option(command, flag, _long_options(error.argument_collection), tokens)
    if isinstance(error, UnknownCommandError | UnusedCliTokensError):
        group = app
        for name in error.command_chain or ():
            group = group[name]
        known = [name for name in group if not name.startswith("-")]
        if known:
            return _no_command(command, error.unused_tokens or [""], known)
        return f"{command} got too many arguments: {' '.join(error.unused_tokens or [])}; see genlab {command} --help"
    if isinstance(error, MissingArgumentError) and error.argument is not None:
        options = _long_options(error.app.assemble_argument_collection() if error.app is not None else ())
        given = [token for token in error.unused_tokens or () if token.startswith("--")]
        others = [token for token in given if token.partition("=")[0] not in options]
        if others:  # An unknown option is more likely the mistake.
            return _no_option(command, others[0], options, tokens)
        name = error.keyword or error.argument.name
        what = f"{name} needs a value" if name.startswith("-") else f"{command} needs {name}"
        help = error.argument.parameter.help
        return f"{what}{f' ({help.rstrip(chr(46))})' if help else ''}; see genlab {command} --help"
    return str(error)


def _no_command(group: str, words: Sequence[str], known: Sequence[str]) -> str:
    """What is wrong with words of which the first is in the place of a command."""
    given = words[0]
    if given.startswith("-"):
        return _no_option(group, given, (), ())
    if given == "help":
        called = f"genlab {group}".rstrip()
        about = next((word for word in words if word in known), known[0])
        return f"{called} has no command help; every command takes --help, as in {called} {about} --help"
    return unknown("command", given, known, cutoff=0.7)


def _long_options(arguments: Iterable[Argument]) -> list[str]:
    return [name for each in arguments if each.parse for name in each.names if name.startswith("--")]


def _no_option(command: str, given: str, known: Sequence[str], tokens: Sequence[str]) -> str:
    options = [*known, "--help", *([] if command else ["--version"])]
    flag = given.partition("=")[0]
    guess = fields.mistyped(flag.lstrip("-"), [name.lstrip("-") for name in options])
    if guess is None and command in fields.WITH_FIELDS and (said := fields.meant(flag, tokens)):
        return f"{command} has no option {flag}; {said}"
    hint = f"; did you mean --{guess}?" if guess else "."
    more = ", and the recipe's fields, as in --budget.epochs 3" if command in fields.WITH_FIELDS else ""
    return f"{command or 'genlab'} has no option {flag}{hint} Options: {', '.join(sorted(options))}{more}"


def _draw(error: DrawnError) -> None:
    """Draw what an error is about, on a terminal that can show it."""
    from genlab.cli import half_blocks

    if half_blocks.can_draw():
        with suppress(Exception):  # The message stands by itself.
            images = error.pictures()
            console.say(error.caption)
            half_blocks.draw(images)


def _fail(message: str, code: int) -> None:
    console.note(f"genlab: {message}")
    sys.exit(code)
