"""Write a study file from one line: a recipe, what is varied, over how many seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

from genlab.engine.files import write
from genlab.errors import UsageError
from genlab.evaluation.catalogue import METRICS
from genlab.families.registry import FAMILIES
from genlab.recipe import Recipe, files
from genlab.recipe.text import parse
from genlab.study import design
from genlab.study.plan import plan
from genlab.study.sentences import column, small

LONGEST = 48
"""Most characters of a name."""
MOST_CLAIMS = 15
"""Largest number of pairs at which every two arms are compared; beyond it, each arm is compared with the first."""


def template(
    recipe: str,
    vary: Sequence[str],
    seeds: int,
    of: str | None,
    name: str | None,
    overrides: Mapping[str, Any],
) -> tuple[str, str]:
    """(text of a study file, the study's name).

    Args:
        vary: "FIELD=VALUE,VALUE", once or more.
        of: quantity to compare: a metric, or a logged column (default: the recipe's quality).

    Raises:
        UsageError: the recipe or a field does not exist.
    """
    grid = dict(map(values_in, vary))
    if len(grid) == len(vary) and all(len(values) == 1 for values in grid.values()):
        raise UsageError(f"--vary {' '.join(vary)}: one value makes one arm; give two or more to compare")
    if len(grid) < len(vary):
        raise UsageError("--vary names a field twice; give all its values at once, as in FIELD=VALUE,VALUE")
    base = files.load(recipe, overrides)
    family = FAMILIES[base.family]
    wanted = of or ("frechet_distance" if family.sampling else "test_accuracy")
    quantity: Any = wanted if wanted in METRICS else {"kind": "column", "name": wanted}
    title, fields = name or _title(base, grid), " and ".join(path.rpartition(".")[2] for path in grid)
    called = small(column(wanted))
    draft = {
        "schema": 1,
        "name": title,
        "question": f"Does the {called} depend on {fields}?",
        "recipe": recipe,
        "overrides": dict(overrides),
        "grid": grid,
        "seeds": seeds,
        "quantities": {"quality": quantity},
    }
    arms = design.check(draft, title).combinations()
    draft["arms"] = arms
    del draft["grid"]
    draft["claims"] = _claims(list(arms), called)
    study = design.check(draft, title)
    told = f"# {wanted}: {METRICS[wanted].says}\n" if wanted in METRICS else ""
    return f"{told}{design.dump(study)}", title


def write_new(place: Path, text: str) -> None:
    """Write a study file that can be run; an existing file is not replaced.

    Raises:
        UsageError: the file exists, or has another ending.
        StudyError: the study has problems; no file is written.
    """
    if place.suffix not in (".yaml", ".yml"):
        raise UsageError(f"{place}: a study file ends in .yaml")
    if place.exists():
        raise UsageError(f"{place} exists; run it (genlab study run {place}), or give another --name or -o")
    plan(design.check(parse(text, str(place), "study"), str(place)), place.parent)
    write(place, text.encode())


def values_in(given: str) -> tuple[str, list[Any]]:
    """Field and its values, read as in a file."""
    path, equals, values = given.partition("=")
    if not (path and equals and values):
        raise UsageError(f"--vary {given}: expected FIELD=VALUE,VALUE, as in optimisers.generator.lr=1e-4,2e-4")
    listed = values if values.startswith("[") else f"[{values}]"
    found = parse(f"values: {listed}", f"--vary {given}", "value")["values"]
    return path, [_number(value) for value in found]


def _number(value: Any) -> Any:
    """Number from a text: YAML reads 1e-4 as a string."""
    try:
        return float(value) if isinstance(value, str) else value
    except ValueError:
        return value


def _title(base: Recipe, grid: Mapping[str, Any]) -> str:
    fields = "-".join(path.rpartition(".")[2] for path in grid)
    return f"{base.name}-{fields}"[:LONGEST].strip("-._+")


def _claims(arms: Sequence[str], called: str) -> dict[str, Any]:
    """Claims that every two arms differ or, with many arms, that each differs from the first."""
    pairs = list(combinations(arms, 2))
    if len(pairs) > MOST_CLAIMS:
        pairs = [(arms[0], other) for other in arms[1:]]
    names = [f"{a}-or-{b}" for a, b in pairs]
    if max(map(len, names), default=0) > LONGEST:
        names = [f"pair-{k}" for k in range(1, len(pairs) + 1)]
    return {
        name: {
            "says": f"{a} and {b} differ in {called}.",
            "kind": "difference",
            "of": "quality",
            "arms": [a, b],
            "expect": "different",
        }
        for name, (a, b) in zip(names, pairs, strict=True)
    }
