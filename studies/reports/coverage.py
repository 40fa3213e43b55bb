"""What shows each item of the five reports, and what was decided: write COVERAGE.md and the lists of docs/reports.md.

`python studies/reports/coverage.py` writes both from items.yaml, the study files, checks.py and the committed results;
a test checks that they are up to date. A study or check settles an item by naming it in its source, as in "report S2
(S2.19)".
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from genlab.study import design, sentences
from genlab.study.claims import Verdict
from genlab.study.folder import Folder
from genlab.study.outcome import Outcome, outcome
from genlab.study.plan import plan

STUDIES = Path(__file__).parent.parent
ITEMS = Path(__file__).parent / "items.yaml"
PAGE = STUDIES.parent / "docs" / "reports.md"
BEGIN, END = "<!-- verdicts of {} -->", "<!-- end of verdicts -->"
ITEM = re.compile(r"\bS\d\.\d+\b|\bD\d+\b")
WAITING = "waits for runs"
ANSWERS = ("holds", "does not hold", "cannot be decided here", WAITING)
LAB = "lab"
"""Profile that is committed if the whole length of a study is not."""


@dataclass(frozen=True)
class Settled:
    """Decision on a claim.

    Attributes:
        items: items that the claim is about.
        where: study and claim, or check.
        answer: answer, with the trained share of the budget if not the whole; "waits for runs" if some are missing.
        numbers: evidence, in one line.
        runs: runs of the study, as in "5 of 20"; empty for a check.
    """

    items: tuple[str, ...]
    where: str
    says: str
    answer: str
    numbers: str
    runs: str = ""

    @property
    def short(self) -> str:
        """The answer alone."""
        return self.answer.split(":")[0].split(" - ")[0]


def items() -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = yaml.safe_load(ITEMS.read_text("utf-8"))
    return found


def files() -> list[Path]:
    """Study files of the reports."""
    return sorted(STUDIES.glob("s[0-4]-*.yaml"))


def studied(file: Path) -> tuple[str | None, Outcome]:
    """(profile, outcome of the committed records) for a study of the reports."""
    study = design.load(file)
    profile = LAB if LAB in study.profiles else None
    title = study.name if profile is None else f"{study.name}-{profile}"
    return profile, outcome(plan(study, STUDIES, profile), Folder(STUDIES / "results" / title))


def settled(outcomes: Iterable[Outcome]) -> Iterator[Settled]:
    """Decisions on every claim of these studies and of the checks."""
    for found in outcomes:
        for name, verdict in found.verdicts.items():
            claim = found.plan.study.claims[name]
            what = sentences.title(verdict.of, found.plan.study.quantities[verdict.of])
            known = not found.missing or (not verdict.so_far and bool(verdict.tests))
            said = (evidence(claim, verdict, what), claim.looks, found.later(name)) if known else ()
            later = "added" if "was added" in found.later(name) else "changed" if found.later(name) else ""
            answer = sentences.verdict_line(verdict) + (f" - the claim was {later} after the runs" if later else "")
            yield Settled(
                tuple(ITEM.findall(claim.source)),
                f"{found.plan.title}: {name}",
                claim.says,
                answer if known else WAITING,
                " ".join(filter(None, said)),
                f"{len(found.plan.cells) - len(found.missing)} of {len(found.plan.cells)}",
            )
    record = STUDIES / "results" / "checks.json"
    checks = json.loads(record.read_text("utf-8"))["checks"] if record.exists() else {}
    for name, check in checks.items():
        yield Settled(tuple(check["items"]), f"checks.py: {name}", check["says"], check["answer"], check["right"])


def evidence(claim: Any, verdict: Verdict, what: str) -> str:
    """Means, difference with its interval, seeds, and the p that decides; the study's page has the whole sentence."""
    number, (test, *more) = sentences.number, verdict.tests
    if claim.kind == "fact" or more:
        return sentences.sentence(claim, verdict, what)
    means = ", ".join(f"{arm} {number(mean)}" for arm, mean in zip(test.arms, test.means, strict=True))
    said = [f"{what}: {means}" + (f" against {number(claim.value)}" if claim.kind == "one arm" else "")]
    if test.interval is not None and test.level is not None:
        ends = ", ".join(sentences.ends(test))
        said.append(f"difference {number(test.difference)} [{ends}] ({sentences.percent(test.level)})")
    if claim.kind == "trend" and test.effect is not None:
        said.append(f"direction {test.effect:+.2f} on a scale of -1 to 1")
    said.append(f"{test.n[0]} seeds{' each' if len(test.n) > 1 else ''}")
    said.append(f"p = {sentences.p_value(test.corrected)}")
    if test.equivalent_corrected is not None and test.answer == "equivalent":
        said.append(f"for equivalence p = {sentences.p_value(test.equivalent_corrected)}")
    return "; ".join(said) + "."


def coverage(claims: Sequence[Settled]) -> str:
    """Text of COVERAGE.md."""
    about = items()
    count = sum(1 for name in about if name.startswith("S"))
    lines = [
        "# How each item of the five reports is covered",
        "",
        f"The reports hold {count} items: protocols (P), experiments (E), figures (F), claims (C), questions (Q),",
        "here in our words. Each has a command, a page, a claim of a study or a check; `RUN` is a run. Verdicts and",
        "numbers: [the reports](../docs/reports.md). Written by `python studies/reports/coverage.py`.",
    ]
    for report in ("S0", "S1", "S2", "S3", "S4", "D"):
        mine = {k: v for k, v in about.items() if k.split(".")[0] == report or (report == "D" and k[0] == "D")}
        title = "Doubtful claims" if report == "D" else f"Report {report}"
        lines += ["", f"## {title} ({len(mine)})", "", "| | | what | shown by |", "|---|---|---|---|"]
        for name, item in mine.items():
            shown = [_linked(each) for each in item.get("shown", [])]
            shown += [
                f"{each.where}: {each.answer.split(':')[0].split(' - ')[0]}" for each in claims if name in each.items
            ]
            lines.append(f"| {name} | {item['kind']} | {item['what']} | {'; '.join(dict.fromkeys(shown))} |")
    return "\n".join(lines) + "\n"


def _linked(shown: str, to: str = "../") -> str:
    page = shown.removeprefix("docs/")
    return f"`{shown}`" if shown.startswith("genlab ") else f"[{page}]({to}{shown if to else page})"


def _evidence(where: str) -> str:
    """Link from docs/reports.md to the card of a claim, or the command of a check."""
    study, _, name = where.partition(": ")
    if study == "checks.py":
        return f"`python studies/reports/checks.py {name}`"
    return f"[{study}: {name}](../studies/results/{study}/README.md#claim-{name})"


def verdicts(report: str, claims: Sequence[Settled]) -> str:
    """Text of docs/reports.md about a report's claims or, for "D", about claims whose items are all doubtful ones: a
    table of what is decided, then what waits for its study."""
    about, decided, waiting = items(), [], dict[tuple[str, str], list[str]]()
    answers = Counter[str]()
    for each in claims:
        doubts = [name for name in each.items if name.startswith("D")]
        mine = [name for name in each.items if name in about and name.startswith(f"{report}.")]
        if not mine and not (report == "D" and doubts == list(each.items)):
            continue
        names = ", ".join([*mine, *doubts])
        answers[each.short] += 1
        if each.answer == WAITING:
            study = each.where.partition(": ")[0]
            waiting.setdefault((study, each.runs), []).append(
                each.says.removesuffix(".") + (f" ({names})" if names else "")
            )
            continue
        decided.append(f"| {names} | {each.says} | **{each.answer}** | {each.numbers} {_evidence(each.where)} |")
    counted = "; ".join(f"{answer}: {answers[answer]}" for answer in ANSWERS if answers[answer])
    beyond = " beyond the reports' own" if report == "D" else ""
    lines = [f"{answers.total()} claims{beyond}. {counted[:1].upper()}{counted[1:]}.", ""]
    if decided:
        lines += ["| item | claim | verdict | evidence |", "|---|---|---|---|", *decided]
    if waiting:
        lines += ["", "Not decided yet:", ""]
    for (study, runs), said in waiting.items():
        file = f"../studies/{study.removesuffix('-' + LAB)}.yaml"
        lines.append(f"- [{study}]({file}), {runs} runs done: {'; '.join(said)}.")
    return "\n".join(lines)


def doubts(claims: Sequence[Settled]) -> str:
    """Table of the doubtful claims, each with its verdict and the reason."""
    lines = ["| | claim | verdict | because |", "|---|---|---|---|"]
    for name, item in items().items():
        if name.startswith("D"):
            shown = [each.where for each in claims if name in each.items]
            where = "; ".join(_evidence(each) for each in dict.fromkeys(shown)) or _linked(item["shown"][0], "")
            lines.append(f"| {name} | {item['what']} | **{item['verdict']}** | {item['because']} {where} |")
    return "\n".join(lines)


def standing(claims: Sequence[Settled]) -> str:
    """Sentence saying how many claims are decided."""
    answers = Counter(each.short for each in claims)
    decided = [each for each in claims if each.short in ("holds", "does not hold")]
    indications = sum("an indication" in each.answer for each in decided)
    later = sum("after the runs" in each.answer for each in decided)
    return (
        f"**{len(decided)} of {len(claims)} claims are decided, {indications} of them as an indication from a shorter "
        f"training, {later} of a claim that was added or changed after its runs; "
        f"{answers['cannot be decided here']} cannot be decided here; {answers[WAITING]} wait for runs of "
        "their study.** A claim that several reports make counts once here, and below once per report."
    )


def page(text: str, claims: Sequence[Settled]) -> str:
    """Text of docs/reports.md with its tables renewed."""
    head, rest = text.split("<!-- standing -->", 1)
    end = "<!-- end of standing -->"
    text = f"{head}<!-- standing -->\n\n{standing(claims)}\n\n{end}{rest.split(end, 1)[1]}"
    tables = {report: verdicts(report, claims) for report in ("S0", "S1", "S2", "S3", "S4", "D")}
    for report, table in {**tables, "the doubtful claims": doubts(claims)}.items():
        begin = BEGIN.format(report)
        head, rest = text.split(begin, 1)
        text = f"{head}{begin}\n\n{table}\n\n{END}{rest.split(END, 1)[1]}"
    return text


def main() -> None:
    claims = list(settled(found for _, found in map(studied, files())))
    (STUDIES / "COVERAGE.md").write_text(coverage(claims), "utf-8")
    PAGE.write_text(page(PAGE.read_text("utf-8"), claims), "utf-8")


if __name__ == "__main__":
    main()
