"""A finding: one statement about a training run, as data and as the few lines that a person reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

Level = Literal["fault", "warning", "note", "healthy"]
LEVELS: tuple[Level, ...] = ("fault", "warning", "note", "healthy")
"""The worst first. A fault spoils the result; a warning is about a model that works and could be better, or about
something that is too early to judge; a note is about what is no reason to worry."""


@dataclass(frozen=True)
class Finding:
    """One statement.

    Attributes:
        name: name of the finding, as in `docs/diagnosis`.
        level: see `LEVELS`.
        title: a sentence without its time.
        since: (last step at which it was not so, first step at which it was); the former is 0 if it was so from the
            beginning. None if it is not about a time.
        until: step at which it had healed; None while it lasts.
        seen: the evidence: numbers, each beside its healthy value.
        no: what the evidence does not mean, though it may look so.
        cause: the likely cause; empty if it is uncertain.
        follows: name of the fault that it is probably a consequence of; empty if there is none.
        keep: step of the best weights, if earlier ones are better.
        kept: whether the weights of that step remain, so that images can be drawn with them.
        early: whether it was seen so early that it may pass.
        changes: dotted path -> value: what may help, at most three fields.
        expect: what to expect of these changes.
        advice: what may help in words, if there is no recipe to change.
    """

    name: str
    level: Level
    title: str
    since: tuple[int, int] | None = None
    until: int | None = None
    seen: tuple[str, ...] = ()
    no: str = ""
    cause: str = ""
    follows: str = ""
    keep: int | None = None
    kept: bool = False
    early: bool = False
    changes: Mapping[str, Any] = field(default_factory=dict)
    expect: str = ""
    advice: str = ""

    def warned(self) -> Finding:
        """The finding as a warning if it is a lasting fault, since it is too early for more."""
        return replace(self, level="warning", early=True) if self.level == "fault" and self.until is None else self


@dataclass(frozen=True)
class CannotTell:
    """Notice that a rule lacks what it needs.

    Attributes:
        name: name of the finding.
        needs: what is missing, such as "samples".
    """

    name: str
    needs: str


@dataclass(frozen=True)
class Diagnosis:
    """All findings about a training run at a step.

    Attributes:
        step: the newest step that was examined.
        findings: the findings, worst first.
        unknown: what could not be determined.
    """

    step: int
    findings: tuple[Finding, ...]
    unknown: tuple[CannotTell, ...] = ()

    @property
    def healthy(self) -> bool:
        """Whether there is no lasting fault."""
        return not self.faults

    @property
    def faults(self) -> tuple[Finding, ...]:
        """The faults that last."""
        return tuple(each for each in self.findings if each.level == "fault" and each.until is None)

    @property
    def lasting(self) -> tuple[Finding, ...]:
        """The faults and warnings that last."""
        return tuple(each for each in self.findings if each.level in ("fault", "warning") and each.until is None)

    def as_json(self) -> dict[str, Any]:
        """The diagnosis as it is stored and printed."""
        return {
            "healthy": self.healthy,
            "step": self.step,
            "findings": [
                {
                    "name": each.name,
                    "level": each.level,
                    "title": each.title,
                    "since_step": each.since[1] if each.since else None,
                    "not_before_step": each.since[0] if each.since else None,
                    "until_step": each.until,
                    "evidence": list(each.seen),
                    "not": each.no,
                    "cause": each.cause,
                    "follows_from": each.follows,
                    "keep_step": each.keep,
                    "too_early": each.early,
                    "changes": dict(each.changes),
                    "expect": each.expect,
                    "advice": each.advice,
                }
                for each in self.findings
            ],
            "cannot_tell": [{"name": each.name, "needs": each.needs} for each in self.unknown],
        }


def when(finding: Finding, total: int | None = None) -> str:
    """Time of a finding in words.

    >>> when(Finding("x", "fault", "X", since=(5000, 5200)))
    'since step 5,200 (between 5,000 and 5,200)'
    >>> when(Finding("x", "warning", "X", since=(0, 400), early=True), total=46875)
    'seen at step 400 of 46,875: too early to say more'
    """
    if finding.since is None:
        return ""
    before, first = finding.since
    if finding.early:
        return f"seen at step {first:,}" + (f" of {total:,}" if total else "") + ": too early to say more"
    words = f"since step {first:,}" + (f" (between {before:,} and {first:,})" if before else "")
    return words if finding.until is None else f"from step {first:,} to step {finding.until:,}: resolved"


def ordered(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """The findings, worst first; healed ones come after all others, and within a level the earlier ones come first."""
    return tuple(
        sorted(findings, key=lambda f: (f.until is not None, LEVELS.index(f.level), f.since[1] if f.since else 0))
    )
