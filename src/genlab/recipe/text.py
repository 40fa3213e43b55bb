"""YAML text: from a recipe file to plain values and back, and its errors in plain words."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import yaml

from genlab.errors import UsageError


def spelled(value: Any) -> str:
    """A value as a recipe file spells it.

    >>> spelled(None), spelled(False), spelled([0.5, 0.999]), spelled("adam")
    ('null', 'false', '[0.5, 0.999]', 'adam')
    """
    return str(value) if isinstance(value, str | float) else json.dumps(value, default=str)


def settings(values: Mapping[str, Any]) -> str:
    """Fields and their values, on one line.

    >>> settings({"budget.batch": 64, "ema": None})
    'budget.batch 64, ema null'
    """
    return ", ".join(f"{path} {spelled(value)}" for path, value in values.items())


def parse(
    text: str, title: str, kind: str = "recipe", example: str = "genlab show quick-mnist --yaml"
) -> dict[str, Any]:
    """A YAML file's plain values.

    Args:
        title, kind, example: its name in messages, what it is, and where to see an example.

    Raises:
        UsageError: not YAML, or not a mapping; the message says where.
    """
    try:
        parsed = yaml.load(text, Loader=_Loader)
    except (yaml.YAMLError, ValueError, TypeError) as error:
        where, reason = _reason(error, text)
        raise UsageError(f"{kind} {title}{where}: {reason}") from None
    if not isinstance(parsed, dict):
        raise UsageError(f"{kind} {title}: a {kind} is a mapping of sections (see `{example}`)")
    return parsed


def _reason(error: Exception, text: str) -> tuple[str, str]:
    """Where YAML stops being a recipe (" line 3", or nothing if that is not known), and why, in plain words."""
    if isinstance(error, yaml.reader.ReaderError):
        line = text.count("\n", 0, error.position) + 1
        return f" line {line}", f"the character {chr(int(error.character))!a} is not allowed in YAML"
    said = str(getattr(error, "problem", None) or "")
    mark = getattr(error, "problem_mark", None)
    if any(theirs in said for theirs in UNCLOSED):  # Noticed only at the end of the file.
        mark = getattr(error, "context_mark", None) or mark
    where = f" line {mark.line + 1}" if mark else ""
    if isinstance(error, _RefusedError):
        return where, str(error.problem)
    known = (ours for theirs, ours in YAML_WORDS if theirs in said)
    return where, next(known, f"not YAML ({said})" if said else "a number that is malformed or too long")


YAML_WORDS = (
    ("'\\t' that cannot start", "a tab; YAML is indented with spaces"),
    ("cannot start any token", "a text that begins with a special character; put it in quotes"),
    (
        "mapping values are not allowed",
        "a second ':' in a line, or a line indented too far; put texts with ':' in quotes",
    ),
    ("found unexpected end of stream", "a quote that is never closed"),
    ("another document", "a second document (---); a file holds one"),
    ("could not find expected ':'", "a line without ':'"),
    ("expected <block end>", "a line indented differently from those around it"),
    ("expected ',' or", "a bracket that is never closed, or a missing comma"),
    ("expected the node content", "a bracket that is never closed"),
)
"""Parts of PyYAML's messages for the most common mistakes, and what they mean."""

UNCLOSED = ("found unexpected end of stream", "expected ',' or", "expected the node content")
"""Those of them about something that is never closed, which is at the line where it opens."""


DEEPEST = 20
"""Maximum depth of nested sections; a recipe has four at most."""


class _RefusedError(yaml.MarkedYAMLError):
    """YAML that recipes do not allow; `problem` says why in genlab's own words."""

    def __init__(self, problem: str, mark: Any) -> None:
        super().__init__(problem=problem, problem_mark=mark)


class _Loader(yaml.SafeLoader):
    """Safe loader that also refuses duplicate keys, tags, deep nesting, and aliases (which can grow without bound).

    Dates stay strings, as whoever types one as a name means them.
    """

    depth = 0

    def compose_node(self, parent: Any, index: int) -> Any:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        if isinstance(event, yaml.AliasEvent):
            raise _RefusedError("aliases (*name) are not allowed", event.start_mark)
        if getattr(event, "tag", None) is not None:
            raise _RefusedError("tags (!name) are not allowed", event.start_mark)
        if self.depth >= DEEPEST:
            raise _RefusedError(f"lists or sections nested more than {DEEPEST} deep", event.start_mark)
        self.depth += 1
        try:
            return super().compose_node(parent, index)
        finally:
            self.depth -= 1

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise _RefusedError("a key is not a plain word", key.start_mark)
            if key.value in seen:
                raise _RefusedError(f"{key.value!r} appears twice", key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith(":timestamp")]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


class _Dumper(yaml.SafeDumper):
    """Dumper of block mappings, with lists on one line."""

    def represent_sequence(self, tag: str, sequence: Any, flow_style: bool | None = None) -> Any:
        return super().represent_sequence(tag, sequence, flow_style=True)


_Dumper.add_representer(list, _Dumper.represent_list)


def dump(plain: Mapping[str, Any], ascii: bool) -> str:
    """Plain values as YAML, in their order; `ascii`: whether to escape every non-ASCII character."""
    return yaml.dump(plain, Dumper=_Dumper, sort_keys=False, allow_unicode=not ascii, width=118)
