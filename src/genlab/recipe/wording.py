"""What pydantic's errors about a recipe or a study mean, in plain words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from genlab.errors import nearest
from genlab.recipe.text import spelled

SHOWN = 120
"""Most characters shown of a value."""
NEEDED = {
    "int_parsing": "a whole number",
    "int_parsing_size": "a smaller number",
    "int_from_float": "a whole number",
    "int_type": "a whole number",
    "float_parsing": "a number",
    "float_type": "a number",
    "number_type": "a number",
    "finite_number": "a finite number",
    "bool_parsing": "true or false",
    "bool_type": "true or false",
    "string_type": "text",
    "string_too_short": "text",
    "tuple_type": "a list",
    "list_type": "a list",
    "model_type": "a section",
    "model_attributes_type": "a section",
    "dict_type": "a section with lines like NAME: VALUE",
}
"""What pydantic's errors about the kind of a value ask for."""
RANGES = {
    "greater_than_equal": "{ge} or more",
    "less_than_equal": "{le} or less",
    "greater_than": "more than {gt}",
    "less_than": "less than {lt}",
    "string_too_long": "at most {max_length} characters",
    "too_long": "at most {max_length} values",
    "too_short": "{min_length} or more values",
}
"""What pydantic's errors about a value of the right kind allow."""
LISTS = {
    "betas": "[0.5, 0.999]",
    "widths": "[256, 128]",
    "classes": "[0, 1]",
    "sample_epochs": "[1, 2, 5]",
    "sample_batches": "[0, 625]",
}
"""Examples of the fields that are lists."""
BOTH = "both"
"""Stands in place of a network's name in a path, for generator and discriminator alike."""
KEY = "[key]"
"""Ends pydantic's location of a name that is itself wrong."""


def explain(path: str, details: list[dict[str, Any]], known: list[str], form: str, lists: Mapping[str, str]) -> str:
    """One line for pydantic's errors about a field: what was given, what is allowed.

    Args:
        details: pydantic's errors; a field that takes several types has one per type.
        form: what the section is, as in "kind mlp", if it is a form that lacks the field and another has it.
    """
    detail = details[0]
    kind, given, context = detail["type"], _short(detail.get("input")), detail.get("ctx", {})
    if kind in ("extra_forbidden", "invalid_key"):
        return unknown_field(path, known, form)
    if kind.startswith("union_tag"):
        path = f"{path}.{context['discriminator'].strip(chr(39))}"
    is_list = kind == "missing" or NEEDED.get(kind) == "a list"
    like = f", as in {lists[name]}" if is_list and (name := path.rpartition(".")[2]) in lists else ""
    if kind == "missing" and isinstance(detail["loc"][-1], int):  # An item of a list with a fixed number of values.
        return f"{path} is {given}; more values are needed{like}"
    if kind in ("missing", "union_tag_not_found"):
        return f"{path} is missing"
    if kind in ("literal_error", "union_tag_invalid"):
        return _not_a_choice(path, details)
    if detail["loc"][-1] == KEY:
        return _not_a_name(path.removesuffix(spelled(detail["input"])).rstrip("."), detail)
    if kind == "string_unicode":
        return f"{path} is {given}: bytes that are not UTF-8, which a recipe cannot hold; rename it"
    if kind == "string_pattern_mismatch":
        return f"{path} is {given}; allowed: {_pattern(context['pattern'])}"
    if kind == "value_error":
        return f"{path} is {given}; {context['error']}"
    if kind in RANGES:
        return f"{path} is {given}; allowed: {RANGES[kind].format(**context)}"
    if kind not in NEEDED:
        return f"{path} is {given}: {detail['msg']}"
    return f"{path} is {given}; {_needed(details)} needed{_hint(path, detail, known) or like}"


def _needed(details: list[dict[str, Any]]) -> str:
    """What a field takes, as in "text or a whole number is"."""
    first = details[0]["loc"]
    alike = [each for each in details if each["loc"] == first or (each["loc"][:-1] == first[:-1] and first[-1] in TAGS)]
    return f"{' or '.join(dict.fromkeys(NEEDED[each['type']] for each in alike if each['type'] in NEEDED))} is"


TAGS = ("str", "int", "float", "bool")
"""End pydantic's location of a value that fits no member of a union."""


def _hint(path: str, detail: dict[str, Any], known: list[str]) -> str:
    """How to write what is needed."""
    if NEEDED[detail["type"]] == "a section":
        inside = next((each for each in known if each.startswith(f"{path}.")), "")
        return f", with fields such as {inside}" if inside else ""
    if detail["type"] == "number_type":
        return ", not true or false"
    return ": put it in quotes" if detail["type"] == "string_type" and isinstance(detail["input"], int | float) else ""


def _not_a_choice(path: str, details: list[dict[str, Any]]) -> str:
    """The line for a word that is none of those allowed, with the nearest of them."""
    detail, context = details[0], details[0]["ctx"]
    allowed = str(context.get("expected") or context.get("expected_tags"))
    for other in details[1:]:
        if other["type"] in RANGES:
            allowed += f", or a number, {RANGES[other['type']].format(**other['ctx'])}"
        else:
            allowed += f", or {NEEDED.get(other['type'], other['msg'])}"
    word = context["tag"] if detail["type"] == "union_tag_invalid" else detail["input"]
    guess = nearest(str(word), [option.strip(" '") for option in allowed.replace(" or ", ",").split(",")])
    return f"{path} is {_short(word)}; allowed: {allowed}" + (f"; did you mean {guess!r}?" if guess else "")


def _not_a_name(section: str, detail: dict[str, Any]) -> str:
    """The line for a name in a section that is not a name."""
    given = _short(detail["input"])
    if detail["type"] == "string_pattern_mismatch":
        return f"{section}: {given} is not a name; allowed: {_pattern(detail['ctx']['pattern'])}"
    return f"{section}: {given} is not a name; put numbers and words such as on, yes and null in quotes"


def _pattern(pattern: str) -> str:
    """In words, a pattern like ^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$."""
    marks, most = pattern.removeprefix("^[A-Za-z0-9][A-Za-z0-9").removesuffix("}$").split("]{0,")
    return f"up to {int(most) + 1} letters, digits and {' '.join(marks)}, of which the first is a letter or digit"


def unknown_field(path: str, known: list[str], form: str) -> str:
    section, _, field = path.rpartition(".")
    beside = [each.rpartition(".")[2] for each in known if each.rpartition(".")[0] == section]
    if form:
        return f"unknown field {path}: {form} has no {field}; its fields: {', '.join(beside)}"
    sibling = nearest(field, beside, cutoff=0.7)
    guess = nearest(path, [each for each in known if each.rpartition(".")[2] == field])
    guess = guess or (sibling and f"{section}.{sibling}".lstrip("."))
    guess = guess or nearest(path, [each for each in known if not path.startswith(f"{each}.")])
    if guess is None:
        guess = next((path for path in known if nearest(field, [path.rpartition(".")[2]])), None)
    if guess is not None:
        own = {"generator", "discriminator"} & {*path.split(".")}
        return f"unknown field {path}; did you mean {guess if own else _of_both(guess, known)}?"
    if beside:
        return f"unknown field {path}. Known: {', '.join(beside)}"
    return f"unknown field {path}. Sections: {_sections(known)}"


def _of_both(path: str, known: list[str]) -> str:
    """The path for both networks, if both have the field."""
    g, d = path.replace(".discriminator.", ".generator."), path.replace(".generator.", ".discriminator.")
    return g.replace(".generator.", f".{BOTH}.") if {g, d} <= {*known} else path


def _sections(known: list[str]) -> str:
    return ", ".join(path for path in known if "." not in path)


def _short(value: Any) -> str:
    text = repr(value) if isinstance(value, str) else spelled(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."
