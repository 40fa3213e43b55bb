"""A recipe under examination: all its problems are collected before any is reported.

Types and ranges, rules between fields, limits of the dataset: one message names every problem.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ValidationError

from genlab.errors import RecipeError, nearest, unknown
from genlab.recipe import FAMILIES, Data, GanRecipe, Problem, Recipe
from genlab.recipe.source import RecipeSource, read
from genlab.recipe.text import spelled

SHOWN = 120


CHOICES = ("kind", "name")
"""Fields that choose between forms of a section, for networks and for optimisers."""


ALLOWED = {
    "greater_than_equal": "allowed: {ge} or more",
    "less_than_equal": "allowed: {le} or less",
    "greater_than": "allowed: more than {gt}",
    "less_than": "allowed: less than {lt}",
    "int_parsing": "a whole number is needed",
    "int_from_float": "a whole number is needed",
    "int_type": "a whole number is needed",
    "float_parsing": "a number is needed",
    "float_type": "a number is needed",
    "finite_number": "a finite number is needed",
    "bool_parsing": "true or false is needed",
    "tuple_type": "a list is needed, as in [0.5, 0.999]",
    "too_long": "at most {max_length} numbers are allowed",
    "too_short": "{min_length} or more are needed",
}
TYPES = {"int_parsing": "a whole number", "bool_parsing": "true or false", "float_parsing": "a number"}


class Draft:
    """A recipe under examination.

    Attributes:
        title: what messages call it: its name or its file.
        recipe: the recipe with a valid value in place of each invalid one, so that the rest can be examined.
        problems: problems found so far, one line each.
    """

    def __init__(self, source: RecipeSource, overrides: Mapping[str, Any] | None = None) -> None:
        self.title, raw = read(source)
        self.problems: list[str] = []
        self._invalid: set[str] = set()
        self._overridden = _for_both(overrides or {}, raw)
        # Choices first: what else may be overridden depends on them.
        for path in sorted(self._overridden, key=lambda path: path.rpartition(".")[2] not in CHOICES):
            self._override(raw, path, self._overridden[path])
        family = raw.get("family")
        if not isinstance(family, str) or family not in FAMILIES:
            raise RecipeError(self.title, [*self.problems, f"family: {unknown('family', str(family), FAMILIES)}"])
        self.recipe = self._validate(FAMILIES[family], raw)
        self.add(self.recipe.rules())

    def add(self, problems: Iterable[Problem]) -> None:
        """Note problems between fields, unless one of the fields is itself invalid."""
        self.problems += [line for about, line in problems if not any(map(self._is_invalid, about))]

    def against(self, images: int, side: int, channels: int, classes: int) -> None:
        """Check the recipe against a dataset of `images` training images of `side` pixels, with `classes` classes."""
        self.add(self.recipe.against(images, side, channels, classes))

    @property
    def data(self) -> Data | None:
        """The data section, or None if it is invalid."""
        return None if any(path.split(".")[0] == "data" for path in self._invalid) else self.recipe.data

    def settle(self) -> Recipe:
        """Return the recipe, or raise one error that names every problem."""
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
        """Recipe from `raw`; every invalid field is noted and replaced by its value in a recipe known to be good."""
        repaired, known = copy.deepcopy(raw), list(paths(model, raw))
        for _ in range(20):
            try:
                return model.model_validate(repaired)
            except ValidationError as error:
                for location, details in _by_location(error, repaired).items():
                    path = ".".join(location)
                    if not self._is_invalid(path):
                        self._invalid.add(path)
                        self.problems.append(_explain(path, details, known))
                        good = read(model.example)[1]
                        _repair(repaired, location, good, remove=details[0]["type"] == "extra_forbidden")
        raise RecipeError(self.title, self.problems)


BOTH = "both"
"""Stands in place of a network's name in a path, for generator and discriminator alike."""


def _for_both(overrides: Mapping[str, Any], raw: Mapping[str, Any]) -> dict[str, Any]:
    """Overrides in which a path like `optimisers.both.lr` is expanded to one per network."""
    spread: dict[str, Any] = {}
    for path, value in overrides.items():
        section, _, rest = path.partition(f".{BOTH}.")
        there = raw.get(section)
        names = list(there) if rest and isinstance(there, Mapping) else []
        mine = [name for name in names if isinstance(there[name], Mapping)] if isinstance(there, Mapping) else []
        spread |= {f"{section}.{name}.{rest}": value for name in mine} if len(mine) > 1 else {path: value}
    return spread


def paths(model: type[BaseModel], raw: Mapping[str, Any]) -> Iterator[str]:
    """Every dotted path that may be set in `raw`, sections included; for a union of kinds, those of the chosen kind."""
    for name, field in model.model_fields.items():
        key = field.alias or name
        yield key
        value = raw.get(key)
        if get_origin(field.annotation) is dict:  # Sections under names that the user chose.
            yield from _named(key, get_args(field.annotation)[1], value if isinstance(value, Mapping) else {})
            continue
        section = _chosen(field.annotation, value if isinstance(value, Mapping) else {})
        if section is not None:
            for path in paths(section, value if isinstance(value, Mapping) else {}):
                yield f"{key}.{path}"


def _named(key: str, annotation: Any, raw: Mapping[str, Any]) -> Iterator[str]:
    """Paths of several named sections of one kind."""
    for name, inner in raw.items():
        yield f"{key}.{name}"
        inner = inner if isinstance(inner, Mapping) else {}
        section = _chosen(annotation, inner)
        yield from (f"{key}.{name}.{path}" for path in paths(section, inner)) if section else ()


def _chosen(annotation: Any, raw: Mapping[str, Any]) -> type[BaseModel] | None:
    """Form of a section that `raw` chooses by its kind or name, or the first form if it chooses none."""
    sections = [option for option in _options(annotation) if isinstance(option, type) and issubclass(option, BaseModel)]
    for section in sections:
        for choice in CHOICES:
            field = section.model_fields.get(choice)
            if field is not None and raw.get(choice) in get_args(field.annotation):
                return section
    return sections[0] if sections else None


def _options(annotation: Any) -> list[Any]:
    """Members of a union, which may be annotated."""
    if get_origin(annotation) is None:
        return [annotation]
    return [option for argument in get_args(annotation) for option in _options(argument)]


def _form(model: type[BaseModel], raw: Mapping[str, Any], sections: list[str]) -> type[BaseModel] | None:
    """Form that `raw` chooses for the section at that path."""
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
    """Delete from a section that changes its form the fields that the new form lacks and, for an optimiser, those with
    a different default (AdamW's weight decay is not Adam's)."""
    for name in [name for name in section if name != choice]:
        old, new = (form.model_fields.get(name) if form else None for form in (before, after))
        if new is None or (choice == "name" and old is not None and old.default != new.default):
            del section[name]


def explained(error: ValidationError, model: type[BaseModel], raw: Mapping[str, Any]) -> list[str]:
    """pydantic's errors about `raw`, one line per field: what was given, what is allowed."""
    known = list(paths(model, raw))
    return [_explain(".".join(at), details, known) for at, details in _by_location(error, raw).items()]


def _by_location(error: ValidationError, raw: Any) -> dict[tuple[str, ...], list[dict[str, Any]]]:
    found: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for detail in error.errors(include_url=False):
        found.setdefault(_located(detail, raw), []).append(dict(detail))
    return found


def _located(detail: Any, raw: Any) -> tuple[str, ...]:
    """pydantic's location as a path into `raw`, without union tags and positions in lists."""
    path: list[str] = []
    for depth, part in enumerate(detail["loc"], start=1):
        if not isinstance(raw, dict):
            break
        if part in raw or (detail["type"] == "missing" and depth == len(detail["loc"])):
            path.append(str(part))
            raw = raw.get(part)
    return tuple(path)


def _repair(raw: dict[str, Any], path: tuple[str, ...], good: Any, remove: bool) -> None:
    """Set the field at `path` to that of a `good` recipe; delete it on `remove` or if the good recipe lacks it."""
    *sections, field = path
    for section in sections:
        raw, good = raw[section], good.get(section, {}) if isinstance(good, dict) else {}
    if (field in raw and remove) or not isinstance(good, dict) or field not in good:
        raw.pop(field, None)
    else:
        raw[field] = good[field]


def _explain(path: str, details: list[dict[str, Any]], known: list[str]) -> str:
    """One line for pydantic's errors about a field: what was given, what is allowed.

    A field that takes several types has one error per type.
    """
    detail = details[0]
    kind, given, context = detail["type"], _short(detail.get("input")), detail.get("ctx", {})
    if kind == "extra_forbidden":
        return _unknown_field(path, known)
    if kind.startswith("union_tag"):
        path = f"{path}.{context['discriminator'].strip(chr(39))}"
    if kind == "missing" and isinstance(detail["loc"][-1], int):  # An item of a list with a fixed number of values.
        return f"{path} is {given}; more numbers are needed, as in [0.5, 0.999]"
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
    if kind in ALLOWED:
        return f"{path} is {given}; {ALLOWED[kind].format(**context)}"
    message = str(detail["msg"])
    return f"{path} is {given}: {message[0].lower()}{message[1:]}"


def _unknown_field(path: str, known: list[str]) -> str:
    guess = nearest(path, known)
    if guess is None:
        field = path.rpartition(".")[2]
        guess = next((path for path in known if nearest(field, [path.rpartition(".")[2]])), None)
    if guess is not None and f".{BOTH}." in path:
        guess = guess.replace(".generator.", f".{BOTH}.").replace(".discriminator.", f".{BOTH}.")
    return f"unknown field {path}" + (f"; did you mean {guess}?" if guess else f". Sections: {_sections(known)}")


def _sections(known: list[str]) -> str:
    return ", ".join(path for path in known if "." not in path)


def _short(value: Any) -> str:
    text = repr(value) if isinstance(value, str) else spelled(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."
