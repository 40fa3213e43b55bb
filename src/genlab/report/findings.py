"""Findings in words: at most seven lines each, and one line for a training's progress."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from genlab.evaluation.diagnosis.finding import CannotTell, Finding, when
from genlab.recipe import Recipe, files
from genlab.report.origin import again
from genlab.runs.record import Provenance

HEALTHY = "HEALTHY  No problems found in what was checked."


def headline(finding: Finding, total: int | None = None) -> str:
    """A finding in one line."""
    time = when(finding, total)
    return f"{finding.title}{', ' if time else ''}{time}"


def lines(
    finding: Finding, run: str = "RUN", recipe: Recipe | None = None, provenance: Provenance | None = None,
    total: int | None = None,
) -> list[tuple[str, str]]:  # fmt: skip
    """(label, words): what and since when; evidence; what it is not; cause; what to keep; what to try and expect."""
    found = [(finding.level.upper(), f"{headline(finding, total)}.")]
    if finding.seen:
        found.append(("Seen", f"{'; '.join(finding.seen)}."))
    if finding.no:
        found.append(("But", f"{finding.no}."))
    if finding.level in ("fault", "warning") and finding.until is None:
        cause = f"probably a consequence of {finding.follows}" if finding.follows else finding.cause
        found.append(("Cause", f"{cause or 'uncertain'}."))
    if finding.keep is not None:
        how = f": genlab sample {run} --step {finding.keep}" if finding.kept else ""
        found.append(("Keep", f"step {finding.keep:,} is the best one{how}"))
    if finding.early:
        found.append(("Next", "nothing yet; look again later."))
    elif finding.changes and recipe is not None and provenance is not None:
        found.append(("Try", command(recipe, provenance, finding.changes)))
        if finding.expect:
            found.append(("Expect", f"{finding.expect}."))
    elif finding.advice and finding.until is None:
        found.append(("Try", f"{finding.advice}."))
    return found


def command(recipe: Recipe, provenance: Provenance, changes: Mapping[str, Any]) -> str:
    """The command that makes a run again, with changes."""
    if provenance["own"]:
        return f"genlab.train(RECIPE, overrides={dict(changes)!r}, ...)"
    changed = files.load(files.to_dict(recipe), changes)
    plain = {key: value for key, value in provenance.items() if key not in ("forked_from", "base", "resumed")}
    return again(changed, cast("Provenance", plain), changes).command


def unknown(said: tuple[CannotTell, ...]) -> list[str]:
    """What could not be diagnosed, grouped by what is missing for it."""
    needs: dict[str, list[str]] = {}
    for each in said:
        needs.setdefault(each.needs, []).append(each.name)
    return [f"cannot tell: {', '.join(names)}; needs {need}" for need, names in needs.items()]
