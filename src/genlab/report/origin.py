"""Where a run comes from, in words, and the command that makes it again."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from genlab.errors import counted
from genlab.recipe import Recipe, files
from genlab.recipe.changes import base_of, changes, is_told
from genlab.recipe.text import spelled
from genlab.runs.record import Provenance, Resumed
from genlab.runs.rows import Row


@dataclass(frozen=True)
class Again:
    """How to make a run again: a command, and what it gives, in words."""

    words: str
    command: str


def again(recipe: Recipe, provenance: Provenance, further: Mapping[str, Any] | None = None) -> Again:
    """The command that makes the run again, and what it gives.

    Args:
        further: changes of the recipe by dotted path, which `recipe` has and the one that the run stores has not.
    """
    exact = "On the same kind of machine with the same versions, this gives the same weights, bit for bit."
    if "denormals" not in provenance["machine"]:  # An older version kept them.
        exact = f"{exact[:-1]}, unless its gradients vanished: numbers below 1.2e-38 count as 0 now."
    if not all(entry["exact"] for entry in provenance.get("resumed", [])):
        exact = "This gives a run with the same settings, but not the same weights: it was resumed elsewhere."
    seed = f"--seed {provenance['seed']}"
    if script := provenance.get("loop"):
        return Again("This run is a custom training loop; run its script to reproduce it.", f"python {script}")
    if provenance["own"]:
        own = ", ".join(f"{part} {name}" for part, name in provenance["own"].items())
        return Again(
            f"It was trained from Python with custom parts ({own}); run the script that defines them to reproduce it.",
            f"genlab.train(RECIPE, seed={provenance['seed']}, ...)",
        )
    if origin := provenance.get("forked_from"):
        fields = _fields(recipe, filter(is_told, origin["changes"]))
        words = exact if origin["exact"] else "This gives a run with the same settings."
        return Again(words, " ".join([f"genlab fork {origin['run']} --at {origin['step']}", *fields]))
    base = provenance.get("base")
    if recipe.name not in files.names() or base not in (None, base_of(recipe.name)):
        fields = _fields(recipe, further or ())
        words = f"Save the recipe below as recipe.yaml. {exact}"
        return Again(words, " ".join([f"genlab train recipe.yaml {seed}", *fields]))
    fields = _fields(recipe, changes(recipe, base))
    return Again(exact, " ".join([f"genlab train {recipe.name} {seed}", *fields]))


def _fields(recipe: Recipe, paths: Iterable[str]) -> list[str]:
    """The fields at these paths as they are typed on the command line."""
    return [f"--{path} {_typed(value)}" for path, value in files.overrides_at(recipe, paths).items()]


def _typed(value: Any) -> str:
    """A value as it is typed on the command line."""
    if isinstance(value, list) and value and all(isinstance(each, int | float) for each in value):
        return " ".join(map(str, value)) if len(value) > 1 else f"[{value[0]}]"
    return shlex.quote(spelled(value))


def provenance_lines(recipe: Recipe, provenance: Provenance, last: Row | None) -> list[tuple[str, str]]:
    """What made a run, as (label, value) pairs: machine, versions, data, custom parts, times."""
    machine, data = provenance["machine"], provenance["data"]
    threads = counted(machine["threads"], "thread")
    speed = f"{last['images'] / last['seconds']:,.0f} images/s" if last and last["seconds"] else "-"
    versions = ", ".join(f"{name} {version}" for name, version in provenance["versions"].items())
    return [
        ("machine", f"{machine['processor']}, {machine['cores']} cores, {machine['system']}{_instructions(machine)}"),
        ("device", f"{machine['device']}, {threads}, {machine['precision']}{_denormals(machine)}"),
        ("speed", speed),
        ("parameters", ", ".join(f"{n['name']} {n['parameters']:,}" for n in provenance["networks"])),
        ("versions", versions),
        ("seed", str(provenance["seed"])),
        ("data", f"{data['name']}, {data['images']:,} images, sha256 {data['fingerprint'][:16]}..."),
        ("custom parts", ", ".join(f"{part}: {name}" for part, name in provenance["own"].items()) or "none"),
        *_encoder_from(provenance),
        *_forked_from(provenance),
        ("started", provenance["started"]),
        ("resumed", "; ".join(map(_resumed, provenance.get("resumed", []))) or "never"),
    ]


def _denormals(machine: dict[str, Any]) -> str:
    return ", numbers below 1.2e-38 as 0" if machine.get("denormals") == "flushed" else ""


def _instructions(machine: dict[str, Any]) -> str:
    """CPU instructions that PyTorch computed with; empty for runs of older versions, which do not record them."""
    if "capability" not in machine:
        return ""
    bfloat16 = {"yes": " with bfloat16", "no": " without bfloat16"}.get(machine["onednn_bfloat16"], "")
    return ", " + " ".join(filter(None, (f"{machine['capability']}{bfloat16}", machine["limits"])))


def _resumed(entry: Resumed) -> str:
    words = [f"{entry['at']} at step {entry['step']:,}"]
    words += [f"{path} {spelled(old)} -> {spelled(new)}" for path, (old, new) in entry["changes"].items()]
    if not entry["exact"]:
        words.append(f"not bit for bit ({'; '.join(entry['differences'])})")
    return ", ".join(words)


def _forked_from(provenance: Provenance) -> list[tuple[str, str]]:
    origin = provenance.get("forked_from")
    if not origin:
        return []
    told = {path: values for path, values in origin["changes"].items() if is_told(path)}
    changes = ", ".join(f"{path} {spelled(old)} -> {spelled(new)}" for path, (old, new) in told.items())
    exact = "" if origin["exact"] else f", not bit for bit ({'; '.join(origin['differences'])})"
    return [("forked from", f"{origin['run']}, step {origin['step']:,}{exact}: {changes}")]


def _encoder_from(provenance: Provenance) -> list[tuple[str, str]]:
    source = provenance.get("encoder_from")
    return [("encoder from", f"{source['run']}, step {source['step']:,}")] if source else []
