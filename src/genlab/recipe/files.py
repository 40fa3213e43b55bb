"""Recipes as text: find, read, override, check all at once, write, compare.

A `Draft` collects everything that is wrong with a recipe (types and ranges, rules between fields, what the dataset
says) before anybody is told, so that one message names every problem.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping
from importlib import resources
from pathlib import Path
from typing import Any, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError

from genlab.errors import RecipeError, UsageError, nearest, unknown
from genlab.recipe import FAMILIES, BaseRecipe, Data, GanRecipe, Problem, Recipe

RecipeSource = str | Path | Mapping[str, Any] | BaseRecipe
"""A built-in recipe's name, a YAML file, a mapping in the same form, or a recipe."""

MAX_BYTES = 1_000_000
SHOWN = 120
CHOICES = ("kind", "name")
"""The fields that choose between forms of a section: of a network, of an optimiser."""
GOOD = {"gan": "quick-mnist", "vae": "s4-vae", "classifier": "s4-classifier"}
"""A recipe of each family whose values stand in for invalid ones, so that the rest can be examined."""
TYPES = {"int_parsing": "a whole number", "bool_parsing": "true or false", "float_parsing": "a number"}


def names() -> list[str]:
    """The built-in recipes, quick ones first."""
    found = [Path(entry.name).stem for entry in _folder().iterdir() if entry.name.endswith(".yaml")]
    return sorted(found, key=lambda name: (not name.startswith("quick-"), name))


def load(source: RecipeSource, overrides: Mapping[str, Any] | None = None) -> Recipe:
    """The recipe of `source` with dotted `overrides` ({"objective.loss": "hinge"}).

    Raises:
        UsageError: no such recipe, or a file that is not YAML.
        RecipeError: all problems at once.
    """
    return Draft(source, overrides).settle()


def dump(recipe: BaseRecipe, ascii: bool = False) -> str:
    """The complete recipe as YAML; `load` gives the same recipe back.

    Args:
        ascii: with every other character as its escape.
    """
    return yaml.dump(to_dict(recipe), Dumper=_Dumper, sort_keys=False, allow_unicode=not ascii, width=118)


def to_dict(recipe: BaseRecipe) -> dict[str, Any]:
    """The complete recipe as plain values, in the order and under the names of the file."""
    plain: dict[str, Any] = recipe.model_dump(mode="json", by_alias=True)
    first = (
        "schema",
        "name",
        "description",
        "family",
        "data",
        "augmentation",
        "networks",
        "init_encoder_from",
        "objective",
    )
    then = ("optimisers", "optimiser", "ema", "budget")
    return {key: plain[key] for key in (*first, *then, *plain) if key in plain}


def diff(old: BaseRecipe, new: BaseRecipe) -> dict[str, tuple[Any, Any]]:
    """Where two recipes differ: dotted path -> (old, new); a side that lacks the path has None."""
    a, b = dict(_leaves(to_dict(old))), dict(_leaves(to_dict(new)))
    return {
        path: (a.get(path), b.get(path)) for path in [*a, *(p for p in b if p not in a)] if a.get(path) != b.get(path)
    }


def in_words(changes: Mapping[str, tuple[Any, Any]]) -> str:
    """What `diff` has found, in a line."""
    return "; ".join(f"{path}: {old} -> {new}" for path, (old, new) in changes.items())


class Draft:
    """A recipe under examination.

    Attributes:
        title: how messages call it: its name or its file.
        recipe: the recipe, in which an invalid field stands at a valid value, so that the rest can be examined.
        problems: what was found up to now, one line each.
    """

    def __init__(self, source: RecipeSource, overrides: Mapping[str, Any] | None = None) -> None:
        self.title, raw = _read(source)
        self.problems: list[str] = []
        self._invalid: set[str] = set()
        self._overridden = dict(overrides or {})
        # Choices first: what else may be overridden depends on them.
        for path in sorted(self._overridden, key=lambda path: path.rpartition(".")[2] not in CHOICES):
            self._override(raw, path, self._overridden[path])
        family = raw.get("family")
        if not isinstance(family, str) or family not in FAMILIES:
            raise RecipeError(self.title, [*self.problems, f"family: {unknown('family', str(family), FAMILIES)}"])
        self.recipe = self._validate(FAMILIES[family], raw)
        self.add(self.recipe.rules())

    def add(self, problems: Iterable[Problem]) -> None:
        """Take note of problems between fields, unless one of the fields is itself invalid."""
        self.problems += [line for about, line in problems if not any(map(self._is_invalid, about))]

    def against(self, images: int, side: int, channels: int, classes: int) -> None:
        """Hold the recipe against a dataset of `images` training images of `side` pixels, with `classes` classes."""
        self.add(self.recipe.against(images, side, channels, classes))

    @property
    def data(self) -> Data | None:
        """The data section, or None if it is invalid."""
        return None if any(path.split(".")[0] == "data" for path in self._invalid) else self.recipe.data

    def settle(self) -> Recipe:
        """The recipe, or one error that names every problem."""
        if self.problems:
            raise RecipeError(self.title, self.problems)
        return self.recipe

    def _is_invalid(self, path: str) -> bool:
        return any(path == invalid or path.startswith(f"{invalid}.") for invalid in self._invalid)

    def _override(self, raw: dict[str, Any], path: str, value: Any) -> None:
        *sections, field = path.split(".")
        model = FAMILIES.get(str(raw.get("family")), GanRecipe)
        known = list(paths(model, raw))
        if path not in known:
            self.problems.append(_unknown_field(path, known))
            return
        place = raw
        for section in sections:
            if not isinstance(place.get(section), dict):
                place[section] = {}
            place = place[section]
        before = _form(model, raw, sections)
        place[field] = value
        after = _form(model, raw, sections)
        if field in CHOICES and after is not None and after is not before:
            _keep_what_both_have(place, before, after, field)

    def _validate(self, model: type[Recipe], raw: dict[str, Any]) -> Recipe:
        """The recipe of `raw`; every invalid field is noted and replaced by the value of a recipe known to be good."""
        repaired, known = copy.deepcopy(raw), list(paths(model, raw))
        for _ in range(20):
            try:
                return model.model_validate(repaired)
            except ValidationError as error:
                found: dict[tuple[str, ...], list[dict[str, Any]]] = {}
                for detail in error.errors(include_url=False):
                    location = _located(detail, repaired)
                    found.setdefault(location, []).append(dict(detail))
                for location, details in found.items():
                    path = ".".join(location)
                    if not self._is_invalid(path):
                        self._invalid.add(path)
                        self.problems.append(_explain(path, details, known))
                        good = _read(GOOD[raw["family"]])[1]
                        _repair(repaired, location, good, remove=details[0]["type"] == "extra_forbidden")
        raise RecipeError(self.title, self.problems)


def paths(model: type[BaseModel], raw: Mapping[str, Any]) -> Iterator[str]:
    """Every dotted path that may be set in `raw`, sections included; of a union of kinds, those of the kind chosen."""
    for name, field in model.model_fields.items():
        key = field.alias or name
        yield key
        value = raw.get(key)
        section = _chosen(field.annotation, value if isinstance(value, Mapping) else {})
        if section is not None:
            for path in paths(section, value if isinstance(value, Mapping) else {}):
                yield f"{key}.{path}"


def _chosen(annotation: Any, raw: Mapping[str, Any]) -> type[BaseModel] | None:
    """The form of a section that `raw` chooses by its kind or name; the first, if it chooses none."""
    sections = [option for option in _options(annotation) if isinstance(option, type) and issubclass(option, BaseModel)]
    for section in sections:
        for choice in CHOICES:
            field = section.model_fields.get(choice)
            if field is not None and raw.get(choice) in get_args(field.annotation):
                return section
    return sections[0] if sections else None


def _options(annotation: Any) -> list[Any]:
    """The members of a union, also of an annotated one."""
    if get_origin(annotation) is None:
        return [annotation]
    return [option for argument in get_args(annotation) for option in _options(argument)]


def _form(model: type[BaseModel], raw: Mapping[str, Any], sections: list[str]) -> type[BaseModel] | None:
    """The form of the section at that path which `raw` chooses."""
    form: type[BaseModel] | None = model
    for name in sections:
        field = form.model_fields.get(name) if form else None
        inner = raw.get(name)
        raw = inner if isinstance(inner, Mapping) else {}
        form = _chosen(field.annotation, raw) if field else None
    return form


def _keep_what_both_have(
    section: dict[str, Any], before: type[BaseModel] | None, after: type[BaseModel], choice: str
) -> None:
    """Of a section that takes another form: leave out what the new one does not know, and of an optimiser also what
    has another default there (AdamW's weight decay is not Adam's)."""
    for name in [name for name in section if name != choice]:
        old, new = (form.model_fields.get(name) if form else None for form in (before, after))
        if new is None or (choice == "name" and old is not None and old.default != new.default):
            del section[name]


def _read(source: RecipeSource) -> tuple[str, dict[str, Any]]:
    if isinstance(source, BaseRecipe):
        return source.name, to_dict(source)
    if isinstance(source, Mapping):
        return str(source.get("name", "(mapping)")), copy.deepcopy(dict(source))
    text = str(source)
    if text in names():
        return text, _parse((_folder() / f"{text}.yaml").read_text("utf-8"), text)
    path = Path(text)
    if path.suffix not in (".yaml", ".yml") and len(path.parts) < 2:
        raise UsageError(f"{unknown('recipe', text, names())}. Your own recipe: give the path of its .yaml file.")
    try:
        if path.exists() and not path.is_file():  # A device or pipe may never end.
            raise UsageError(f"recipe {path}: not a file")
        if path.stat().st_size > MAX_BYTES:
            raise UsageError(f"recipe {path}: larger than {MAX_BYTES:,} bytes, which no recipe is")
        return text, _parse(path.read_text("utf-8-sig"), text)
    except UnicodeDecodeError as error:
        raise UsageError(f"recipe {path}: not UTF-8 text (byte {error.start})") from None
    except OSError as error:
        raise UsageError(f"recipe {path}: {error.strerror}. Built-in recipes: {', '.join(names())}") from None


def _parse(text: str, title: str) -> dict[str, Any]:
    try:
        parsed = yaml.load(text, Loader=_Loader)
    except (yaml.YAMLError, ValueError, TypeError) as error:
        where, reason = _reason(error, text)
        raise UsageError(f"recipe {title}{where}: {reason}") from None
    if not isinstance(parsed, dict):
        raise UsageError(f"recipe {title}: a recipe is a mapping of sections (see `genlab show quick-mnist --yaml`)")
    return parsed


def _reason(error: Exception, text: str) -> tuple[str, str]:
    """Where YAML stops being a recipe (" line 3", or nothing where that is not known), and why, in plain words."""
    if isinstance(error, yaml.reader.ReaderError):
        line = text.count("\n", 0, error.position) + 1
        return f" line {line}", f"the character {chr(int(error.character))!a} is not allowed in YAML"
    mark = getattr(error, "problem_mark", None)
    where = f" line {mark.line + 1}" if mark else ""
    if isinstance(error, _RefusedError):
        return where, str(error.problem)
    said = str(getattr(error, "problem", None) or "")
    known = (ours for theirs, ours in YAML_WORDS if theirs in said)
    return where, next(known, f"not YAML ({said})" if said else "a number that is malformed or too long")


YAML_WORDS = (
    ("'\\t' that cannot start", "a tab; YAML is indented by spaces"),
    ("cannot start any token", "a text that begins with a special character; put it in quotes"),
    (
        "mapping values are not allowed",
        "a second ':' in a line, or a line indented too far; put texts with ':' in quotes",
    ),
    ("found unexpected end of stream", "a quote that is never closed"),
    ("another document", "a second document (---); a recipe is one"),
    ("could not find expected ':'", "a line without ':'"),
    ("expected <block end>", "a line that is indented otherwise than those around it"),
    ("expected ',' or", "a bracket that is never closed, or a comma is missing"),
    ("expected the node content", "a bracket that is never closed"),
)
"""What PyYAML says of the commonest mistakes, by a part of it, and what it means."""
DEEPEST = 20
"""Sections in sections; a recipe has four at most."""


class _RefusedError(yaml.MarkedYAMLError):
    """YAML, but not what stands in recipes; `problem` says why in words of ours."""

    def __init__(self, problem: str, mark: Any) -> None:
        super().__init__(problem=problem, problem_mark=mark)


class _Loader(yaml.SafeLoader):
    """Safe loading that also refuses duplicate keys, tags, depths, and aliases (which can grow without bound).

    Dates are texts, as whoever types one as a name means it.
    """

    depth = 0

    def compose_node(self, parent: Any, index: int) -> Any:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        if isinstance(event, yaml.AliasEvent):
            raise _RefusedError("aliases (*name) are not used in recipes", event.start_mark)
        if getattr(event, "tag", None) is not None:
            raise _RefusedError("tags (!name) are not used in recipes", event.start_mark)
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
                raise _RefusedError(f"{key.value!r} stands twice", key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith(":timestamp")]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


class _Dumper(yaml.SafeDumper):
    """Block mappings, lists in one line."""

    def represent_sequence(self, tag: str, sequence: Any, flow_style: bool | None = None) -> Any:
        return super().represent_sequence(tag, sequence, flow_style=True)


_Dumper.add_representer(list, _Dumper.represent_list)


def _folder() -> Any:
    return resources.files("genlab.recipe") / "builtin"


def _leaves(value: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _leaves(inner, f"{prefix}.{key}" if prefix else str(key))
    else:
        yield prefix, value


def _located(detail: Any, raw: Any) -> tuple[str, ...]:
    """pydantic's location as a path into `raw`: without the tags of unions and the positions in lists."""
    path: list[str] = []
    for depth, part in enumerate(detail["loc"], start=1):
        if not isinstance(raw, dict):
            break
        if part in raw or (detail["type"] == "missing" and depth == len(detail["loc"])):
            path.append(str(part))
            raw = raw.get(part)
    return tuple(path)


def _repair(raw: dict[str, Any], path: tuple[str, ...], good: Any, remove: bool) -> None:
    """Put the field of a `good` recipe at `path`, or none if the field may be left out."""
    *sections, field = path
    for section in sections:
        raw, good = raw[section], good.get(section, {}) if isinstance(good, dict) else {}
    if (field in raw and remove) or not isinstance(good, dict) or field not in good:
        raw.pop(field, None)
    else:
        raw[field] = good[field]


def _explain(path: str, details: list[dict[str, Any]], known: list[str]) -> str:
    """One line about what pydantic says of a field: what was given, what is allowed.

    A field that takes several types has an error for each.
    """
    detail = details[0]
    kind, given, context = detail["type"], _short(detail.get("input")), detail.get("ctx", {})
    if kind == "extra_forbidden":
        return _unknown_field(path, known)
    if kind.startswith("union_tag"):
        path = f"{path}.{context['discriminator'].strip(chr(39))}"
    if kind in ("missing", "union_tag_not_found"):
        return f"{path} is missing"
    if kind in ("literal_error", "union_tag_invalid"):
        allowed = str(context.get("expected") or context.get("expected_tags"))
        allowed += "".join(f", or {TYPES.get(other['type'], other['msg'].lower())}" for other in details[1:])
        word = context["tag"] if kind == "union_tag_invalid" else detail["input"]
        guess = nearest(str(word), [option.strip(" '") for option in allowed.replace(" or ", ",").split(",")])
        return f"{path} is {_short(word)}; allowed: {allowed}" + (f"; did you mean {guess!r}?" if guess else "")
    if kind == "string_unicode":
        return f"{path} is {given}: bytes that are not UTF-8, which a recipe cannot hold; rename it"
    message = str(detail["msg"])
    return f"{path} is {given}: {message[0].lower()}{message[1:]}"


def _unknown_field(path: str, known: list[str]) -> str:
    guess = nearest(path, known)
    if guess is None:
        field = path.rpartition(".")[2]
        guess = next((path for path in known if nearest(field, [path.rpartition(".")[2]])), None)
    return f"unknown field {path}" + (f"; did you mean {guess}?" if guess else f". Sections: {_sections(known)}")


def _sections(known: list[str]) -> str:
    return ", ".join(path for path in known if "." not in path)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."
