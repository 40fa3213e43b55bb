"""Statistics, sentences, figures and page of a study, for numbers from anywhere."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from genlab.engine.files import destination, write
from genlab.errors import DataError, StudyError, UsageError, unknown
from genlab.evaluation.statistics import smallest_p
from genlab.report.html import render
from genlab.report.study_page import StudyPage
from genlab.report.tables import Table
from genlab.study import sentences
from genlab.study.claims import Verdict, decide
from genlab.study.design import ALPHA, MOST_ARMS, Difference
from genlab.study.outcome import plain
from genlab.study.pages import card

MOST_PAIRS = 15
"""Largest number of pairs at which every two arms are compared; beyond it, each arm is compared with the first."""
BYTES = 50_000_000


@dataclass(frozen=True)
class Comparison:
    """What the numbers say about every two arms.

    Attributes:
        what: name of the number, in words.
        values: arm -> seed -> number.
        verdicts, claims: verdict and claim of each pair.
    """

    title: str
    what: str
    values: dict[str, dict[int, float]]
    claims: dict[str, Difference]
    verdicts: dict[str, Verdict]

    @property
    def table(self) -> Table:
        """Table with one row per arm."""
        rows = []
        for arm, seeds in self.values.items():
            numbers = list(seeds.values())
            spread = sentences.number(float(np.std(numbers, ddof=1))) if len(numbers) > 1 else "-"
            rows.append((arm, str(len(numbers)), sentences.number(float(np.mean(numbers))), spread))
        columns = ("arm", "n", f"{self.what}, mean", "SD")
        return Table("", columns, rows, numeric=columns[1:])

    @property
    def sentences(self) -> list[str]:
        """One sentence to quote per pair of arms."""
        return [sentences.sentence(self.claims[name], verdict, self.what) for name, verdict in self.verdicts.items()]

    @property
    def as_json(self) -> dict[str, Any]:
        found = {name: plain(asdict(verdict)) for name, verdict in self.verdicts.items()}
        return {"verdicts": found, "sentences": self.sentences}

    @property
    def page(self) -> StudyPage:
        """Page as for a study, without runs."""
        cards = [
            card(name, self.claims[name], verdict, self.what, "", list(self.values))
            for name, verdict in self.verdicts.items()
        ]
        rows = [(each.says, each.arms) for each in cards]
        tests = len(self.claims)
        methods = (
            "Differences of means were tested two-sided by permuting the seeds (or by flipping the signs of pairs), "
            f"{sentences.EXACTLY}; the p-values of all {tests} tests were corrected by Holm's method at {ALPHA:.0%}; "
            "intervals contain the values that the same test does not reject at its own corrected level."
        ).replace("%", " %")
        return StudyPage(
            title=self.title,
            question="",
            lead=f"{len(self.values)} arms, {sum(map(len, self.values.values()))} numbers",
            state="",
            verdicts=Table("", ("arms", "verdict"), rows),
            cards=cards,
            arms=self.table,
            bands=[],
            grids=[],
            grids_caption="",
            failures=None,
            cut=[],
            cost=[],
            methods=methods,
        )

    def save(self, path: str | Path) -> None:
        """Write the page: one .html file.

        Raises:
            UsageError: the path has another ending.
        """
        destination(Path(path), ".html (the page)")
        write(Path(path), render(self.page).encode())


def of_csv(
    path: str | Path,
    *,
    arm: str,
    value: str,
    seed: str | None = None,
    paired: bool = False,
    margin: float | None = None,
) -> Comparison:
    """Compare every two arms in a CSV file.

    Args:
        arm, value, seed: columns of the arm's name, the number, the seed (default: the row's position within its arm).
        paired: whether the arms share what a seed decides.
        margin: difference below which arms count as the same.

    Raises:
        UsageError: `paired` without `seed`, or a margin that is not more than 0.
        DataError: the file cannot be read as such; names the line.
        StudyError: too few numbers for this many arms.
    """
    if paired and seed is None:
        raise UsageError("--paired needs the column of the seed, as in --seed seed")
    if margin is not None and not 0 < margin < math.inf:
        raise UsageError(f"margin is {margin:g}; allowed: more than 0")
    path = Path(path)
    rows = _rows(path, [arm, value, *([seed] if seed else [])])
    values: dict[str, dict[int, float]] = {}
    for line, row in rows:
        if not row[arm]:
            raise DataError(f"{path} line {line}: {arm} is empty; the name of an arm is needed")
        mine = values.setdefault(row[arm], {})
        at = len(mine) if seed is None else _whole(path, line, seed, row[seed])
        if at in mine:
            raise DataError(f"{path} line {line}: {arm} {row[arm]!r} has {seed} {at} twice")
        mine[at] = _number(path, line, value, row[value])
    return compare(path.name, value, values, paired, margin)


def compare(
    title: str, what: str, values: Mapping[str, Mapping[int, float]], paired: bool = False, margin: float | None = None
) -> Comparison:
    """Compare every two arms; with many arms, each with the first.

    Raises:
        StudyError: fewer than two arms, more than 100, or too few numbers to show any difference.
    """
    arms = list(values)
    pairs = list(combinations(arms, 2))
    if len(pairs) > MOST_PAIRS:
        pairs = [(arms[0], other) for other in arms[1:]]
    if not 2 <= len(arms) <= MOST_ARMS:
        raise StudyError(title, [f"{len(arms):,} arm{'s' if len(arms) != 1 else ''}; allowed: 2 .. {MOST_ARMS}"])
    _check(title, values, pairs, paired)
    claims = {
        f"{a} - {b}": Difference(
            says=f"{a} and {b} differ in {what}."[:500],
            kind="difference",
            of="value",
            arms=(a, b),
            expect="different",
            paired=paired,
            margin=margin,
        )
        for a, b in pairs
    }
    verdicts = decide(claims, {"value": values}, tuple(arms), {})
    return Comparison(title, what, {arm: dict(seeds) for arm, seeds in values.items()}, claims, verdicts)


def _check(
    title: str, values: Mapping[str, Mapping[int, float]], pairs: Sequence[tuple[str, str]], paired: bool
) -> None:
    """Refuse too few numbers for any two arms to show a difference, whatever the values."""
    tests = len(pairs)

    def best(a: int, b: int) -> float:
        return smallest_p(a) if paired else smallest_p(a, b)

    def counts(a: str, b: str) -> tuple[int, int]:
        shared = len(set(values[a]) & set(values[b]))
        return (shared, shared) if paired else (len(values[a]), len(values[b]))

    p, (most, _) = min((best(*counts(a, b)) if min(counts(a, b)) > 1 else 1.0, counts(a, b)) for a, b in pairs)
    if p * tests > ALPHA:
        needed = next(n for n in range(2, 10_000) if best(n, n) * tests <= ALPHA)
        raise StudyError(
            title,
            [
                f"{most} seed{'s' if most != 1 else ''} per arm cannot show a difference in {tests} "
                f"test{'s' if tests != 1 else ''}: the smallest possible p is {p:.2g}, "
                f"corrected {min(1.0, p * tests):.2g}; {needed} seeds per arm could"
            ],
        )


def _rows(path: Path, columns: Sequence[str]) -> list[tuple[int, dict[str, str]]]:
    try:
        if path.stat().st_size > BYTES:
            raise DataError(f"{path}: larger than {BYTES:,} bytes")
        text = path.read_text("utf-8-sig")
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 text (byte {error.start})") from None
    first = text.partition("\n")[0]
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=max(",;\t", key=first.count))
    try:
        there = [name.strip() for name in reader.fieldnames or []]
        reader.fieldnames = there
        for column in columns:
            if there.count(column) != 1:
                twice = f"column {column!r} occurs {there.count(column)} times; each name may occur once"
                raise DataError(f"{path}: {twice if column in there else unknown('column', column, there)}")
        return [(reader.line_num, {c: str(row[c] or "").strip() for c in columns}) for row in reader]
    except csv.Error as error:
        raise DataError(f"{path} line {reader.line_num}: {error}") from None


def _number(path: Path, line: int, column: str, text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise DataError(f"{path} line {line}: {column} is {text!r}; a finite number is needed, as in 1.5")
    return number


def _whole(path: Path, line: int, column: str, text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise DataError(f"{path} line {line}: {column} is {text!r}; a whole number is needed") from None
