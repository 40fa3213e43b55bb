"""A recipe under examination: all its problems are collected before any is reported.

Types and ranges, rules between fields, limits of the dataset: one message names every problem.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ValidationError

from genlab.errors import RecipeError, unknown
from genlab.recipe import FAMILIES, Data, GanRecipe, Problem, Recipe
from genlab.recipe.source import RecipeSource, read
from genlab.recipe.text import spelled
from genlab.recipe.wording import BOTH, KEY, LISTS, explain, unknown_field

CHOICES = ("kind", "name")
"""Fields that choose between forms of a section, for networks and for optimisers."""


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
        if family is None:
            raise RecipeError(self.title, [*self.problems, f"family is missing; allowed: {', '.join(FAMILIES)}"])
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
            self.problems.append(unknown_field(path, known, _form_without(model, raw, path)))
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
                        self.problems.append(explain(path, details, known, _form_without(model, raw, path), LISTS))
                        good = read(model.example)[1]
                        _repair(
                            repaired, location, good, remove=details[0]["type"] in ("extra_forbidden", "invalid_key")
                        )
        raise RecipeError(self.title, self.problems)


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
    sections = _forms(annotation)
    for section in sections:
        for choice in CHOICES:
            field = section.model_fields.get(choice)
            if field is not None and raw.get(choice) in get_args(field.annotation):
                return section
    return sections[0] if sections else None


def _forms(annotation: Any) -> list[type[BaseModel]]:
    """Sections among the members of a union."""
    return [option for option in _options(annotation) if isinstance(option, type) and issubclass(option, BaseModel)]


def _options(annotation: Any) -> list[Any]:
    """Members of a union, which may be annotated."""
    if get_origin(annotation) is None:
        return [annotation]
    return [option for argument in get_args(annotation) for option in _options(argument)]


def _place(model: type[BaseModel], raw: Mapping[str, Any], sections: Sequence[str]) -> tuple[Any, Mapping[str, Any]]:
    """Annotation of the section at that path, and its values in `raw`."""
    annotation: Any = model
    for name in sections:
        if get_origin(annotation) is dict:
            annotation = get_args(annotation)[1]
        else:
            form = _chosen(annotation, raw)
            field = form.model_fields.get(name) if form else None
            annotation = field.annotation if field else None
        inner = raw.get(name)
        raw = inner if isinstance(inner, Mapping) else {}
    return annotation, raw


def _form(model: type[BaseModel], raw: Mapping[str, Any], sections: Sequence[str]) -> type[BaseModel] | None:
    """Form that `raw` chooses for the section at that path."""
    return _chosen(*_place(model, raw, sections))


def _form_without(model: type[BaseModel], raw: Mapping[str, Any], path: str) -> str:
    """The form that `raw` chooses for a field's section, as in "kind mlp", if only other forms have that field."""
    *sections, field = path.split(".")
    annotation, values = _place(model, raw, sections)
    form = _chosen(annotation, values)
    if form is None or not any(field in other.model_fields for other in _forms(annotation) if other is not form):
        return ""
    for choice in CHOICES:
        own = get_args(form.model_fields[choice].annotation) if choice in form.model_fields else ()
        if own:
            return f"{choice} {values.get(choice, own[0])}"
    return ""


def _keep_what_both_have(
    section: dict[str, Any], before: type[BaseModel] | None, after: type[BaseModel], choice: str
) -> None:
    """Delete from a section that changes its form the fields that the new form lacks and, for an optimiser, those with
    a different default (AdamW's weight decay is not Adam's)."""
    for name in [name for name in section if name != choice]:
        old, new = (form.model_fields.get(name) if form else None for form in (before, after))
        if new is None or (choice == "name" and old is not None and old.default != new.default):
            del section[name]


def explained(
    error: ValidationError, model: type[BaseModel], raw: Mapping[str, Any], lists: Mapping[str, str]
) -> list[str]:
    """pydantic's errors about `raw`, one line per field: what was given, what is allowed.

    Args:
        lists: examples of the fields that are lists, by name.
    """
    known, found = list(paths(model, raw)), []
    for at, details in _by_location(error, raw).items():
        path = ".".join(at)
        found.append(explain(path, details, known, _form_without(model, raw, path), lists))
    return found


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
        if detail["loc"][depth:] == (KEY,):
            return (*path, spelled(detail["input"]))
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
