"""Which evaluations can be compared: those of as many images, against the same real ones, read by the same judge."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

KEYS = ("dataset", "split", "real_images", "judge", "samples", "fingerprints")


def unlike(records: Mapping[str, Mapping[str, Any]]) -> str:
    """In what these evaluations, by the names of their runs, differ so that their numbers cannot be compared: a clause;
    empty if they can be.

    >>> unlike({"a": {"protocol": {"dataset": "mnist"}}, "b": {"protocol": {"dataset": "letters"}}})
    'they differ in dataset: a: mnist; b: letters'
    """
    for key in KEYS:
        said = {name: record["protocol"][key] for name, record in records.items() if key in record["protocol"]}
        if len({str(value) for value in said.values()}) > 1:
            return f"they differ in {key}: " + "; ".join(f"{name}: {value}" for name, value in said.items())
    return ""
