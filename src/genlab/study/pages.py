"""Page and files of a study, made from its outcome: claim cards, arms, curves, samples, failures, cost, methods."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genlab.engine.files import make_folder, refusals, write
from genlab.engine.stages import stage
from genlab.errors import counted
from genlab.evaluation.catalogue import METRICS
from genlab.recipe.text import settings
from genlab.report import html, markdown
from genlab.report.figures.seeds import Bands, Dots
from genlab.report.page import Grid, embed
from genlab.report.series import Axis
from genlab.report.study_page import ClaimCard, StudyPage
from genlab.report.tables import Table
from genlab.report.verdict import duration
from genlab.study import sentences
from genlab.study.claims import Verdict
from genlab.study.folder import Folder
from genlab.study.methods import methods, versions
from genlab.study.outcome import Outcome, latex
from genlab.study.plan import Cell
from genlab.study.quantities import Metric, Weights, columns_of, needs_images
from genlab.study.record import Record
from genlab.study.testing import Tested

DRAWN = ("loss_d_mean", "loss_g_mean", "loss_mean", "frechet_distance", "test_loss", "test_accuracy")
"""Columns whose curves get a figure, in addition to those that a quantity uses."""
DISTANCE = "frechet_distance"
MOST_FIGURES, MOST_GRIDS = 6, 8
FEWEST = 3
"""Fewest points of a curve that is worth drawing."""
NOTES_BYTES = 200_000


def write_all(found: Outcome, folder: Folder, command: str, against: Axis = "step") -> None:
    """Write the page as HTML and Markdown, the table as LaTeX, and each figure as PNG, PDF and CSV."""
    with stage("writing the study's page"):
        page = study_page(found, folder, command, against)
        write(folder.path / "report.html", html.render(page).encode())
        write(folder.path / "README.md", markdown.render(page, "figures").encode())
        write(folder.path / "table.tex", latex(page.arms.columns, page.arms.rows).encode())
        drawn: list[Dots | Bands] = [card.figure for card in page.cards if card.figure]
        with refusals(folder.path):
            make_folder(folder.path / "figures")
        for figure in [*drawn, *page.bands]:
            place = folder.path / "figures" / figure.name
            for ending, content in ((".png", figure.png), (".pdf", figure.pdf), (".csv", figure.csv)):
                write(place.with_name(place.name + ending), content)


def study_page(found: Outcome, folder: Folder, command: str, against: Axis = "step") -> StudyPage:
    """Content of a study's page, its curves against step, epoch or half-epoch; nothing is written."""
    plan, study = found.plan, found.plan.study
    cards = [_card(found, name, verdict, command) for name, verdict in found.verdicts.items()]
    missing = len(found.missing)
    state = (
        f"{missing} of {len(plan.cells)} runs are missing: verdicts cover only the other {len(found.records)}."
        if missing
        else ""
    )
    profile = f", profile {plan.profile}" if plan.profile else ""
    return StudyPage(
        title=study.name,
        question=study.question,
        lead=f"{counted(len(plan.arms), 'arm')} x {counted(len(plan.seeds), 'seed')} of {study.recipe}{profile}; "
        f"{len(found.records)} of {len(plan.cells)} runs",
        state=state,
        verdicts=_overview(found, cards),
        cards=cards,
        arms=_arms(found),
        bands=_bands(found, against),
        grids=_grids(found, folder),
        grids_caption=_grids_caption(found),
        failures=_failures(found),
        cut=_cut(found),
        cost=_cost(found),
        methods=methods(found),
        notes=_notes(folder),
    )


def _card(found: Outcome, name: str, verdict: Verdict, command: str) -> ClaimCard:
    study = found.plan.study
    claim = study.claims[name]
    drawn = card(
        name, claim, verdict, sentences.title(verdict.of, study.quantities[verdict.of]), command, found.plan.names
    )
    if later := found.later(name):
        drawn = replace(drawn, facts=[*drawn.facts, ("after the fact", later)])
    if not claim.reason:
        return drawn
    other = sentences.verdict_line(found.verdicts[claim.reason])
    return replace(drawn, reason=(study.claims[claim.reason].says, f"claim-{claim.reason}", other))


def card(name: str, claim: Any, verdict: Verdict, what: str, command: str, arms: Sequence[str]) -> ClaimCard:
    """Card of a claim and its verdict.

    Args:
        what: the claim's quantity, in words.
        arms: all arms of the study.
    """
    said = [_of_arms(test, what) for test in verdict.tests]
    return ClaimCard(
        anchor=f"claim-{name}",
        says=claim.says,
        source=claim.source,
        answer=verdict.said,
        why=verdict.why,
        share=verdict.share,
        arms="; ".join(said) if claim.kind != "fact" else "",
        sentence=sentences.sentence(claim, verdict, what),
        figure=_dots(name, claim, verdict, what, arms),
        facts=_facts(claim, verdict),
        looks=claim.looks,
        reason=None,
        command=command,
    )


def _of_arms(test: Tested, what: str) -> str:
    """Answer of a test about its arms, as in "fast has a lower recall than slow"."""
    if test.answer in ("higher", "lower") and len(test.arms) == 2:
        return f"{test.arms[0]} has a {test.answer} {sentences.small(what)} than {test.arms[1]}"
    named = f"{' and '.join(test.arms)}: " if len(test.arms) < 4 else ""
    return f"{named}{test.answer}"


def _dots(name: str, claim: object, verdict: Verdict, what: str, arms: Sequence[str]) -> Dots | None:
    values = {arm: seeds for arm, seeds in verdict.values.items() if seeds}
    numbers = {number for seeds in values.values() for number in seeds.values()} | ({verdict.value} - {None})
    is_flat = len(numbers) == 1 or (bool(verdict.tests) and verdict.tests[0].answer == "equal")
    if not values or what == "final weights" or is_flat:
        return None  # Points on one line show nothing.
    first = verdict.tests[0] if len(verdict.tests) == 1 else None
    shown = first if first is not None and sentences.is_bounded(first) else None
    kind = f"{sentences.percent(shown.level)} interval" if shown is not None and shown.level is not None else ""
    return Dots(
        f"claim-{name}",
        what,
        values,
        None if shown is None else shown.difference,
        None if shown is None else shown.interval,
        kind,
        verdict.margin if shown is not None else None,
        verdict.value,
        bool(getattr(claim, "paired", False)),
        tuple(arms),
        mean=getattr(claim, "kind", "") != "fact",
    )


def _facts(claim: object, verdict: Verdict) -> list[tuple[str, str]]:
    """n, interval, p with its correction, and margin of each test."""
    rows: list[tuple[str, str]] = []
    for test in verdict.tests:
        of = f" ({' and '.join(test.arms[:2])})" if len(verdict.tests) > 1 else ""
        rows.append((f"n{of}", ", ".join(f"{arm} {n}" for arm, n in zip(test.arms, test.n, strict=True))))
        if test.interval is not None and test.level is not None:
            rows.append((f"interval{of}", f"{sentences.interval(test)} ({sentences.percent(test.level)})"))
        rows += _p_facts(test, verdict, of)
        if test.shown is not None:
            shown = "none" if math.isinf(test.shown) else sentences.number(test.shown)
            margin = sentences.number(verdict.margin) if verdict.margin is not None else "none given"
            rows.append(
                (
                    f"margin{of}",
                    f"{margin}; smallest margin at which these numbers show equivalence, before correction: {shown}",
                )
            )
    return rows


def _p_facts(test: Tested, verdict: Verdict, of: str) -> list[tuple[str, str]]:
    if test.p is None:
        return []
    many = f"; {sentences.p_value(test.corrected)} after correction for {verdict.correction} tests"
    rows = [(f"p{of}", sentences.p_value(test.p) + (many if verdict.correction > 1 else ""))]
    if test.equivalent_p is not None:
        rows.append(
            (
                f"p for equivalence{of}",
                f"{sentences.p_value(test.equivalent_p)}; "
                f"{sentences.p_value(test.equivalent_corrected)} after correction",
            )
        )
    return rows


def _overview(found: Outcome, cards: Sequence[ClaimCard]) -> Table | None:
    if not cards:
        return None
    rows = []
    for card in cards:
        budget = f"indication, {card.share}" if card.share else "the whole budget"
        rows.append((card.says, card.answer, budget if card.answer != "cannot be decided here" else "-"))
    return Table("", ("claim", "verdict", "from"), rows)


def _primary(found: Outcome) -> str | None:
    """Quantity whose mean the page shows: the distance to real images, else the first that a claim is about; never
    weights, which have no mean."""
    study = found.plan.study
    distances = [name for name, each in study.quantities.items() if isinstance(each, Metric) and each.name == DISTANCE]
    asked = [*distances, *(claim.of for claim in study.claims.values() if claim.kind != "fact")]
    return next((name for name in [*asked, *found.values] if not isinstance(study.quantities[name], Weights)), None)


def _arms(found: Outcome) -> Table:
    plan, name = found.plan, _primary(found)
    rows = []
    what = "" if name is None else sentences.title(name, plan.study.quantities[name])
    for arm in plan.arms:
        numbers = list(found.values[name][arm.name].values()) if name else []
        mean = sentences.number(float(np.mean(numbers))) if numbers else "-"
        spread = sentences.number(float(np.std(numbers, ddof=1))) if len(numbers) > 1 else "-"
        own = plan.study.arms.get(arm.name, {}).get("recipe")
        base = f"recipe {own}" if own else ""
        differs = ", ".join(filter(None, (base, settings(arm.overrides)))) or "the base"
        differs = "the author's own code" if arm.own_code else differs
        rows.append((arm.name, differs, str(len(numbers)), mean, spread))
    columns = ("arm", "what is different", "n", f"{what}, mean" if what else "mean", "SD over seeds")
    return Table("the arms over their seeds", columns, rows, numeric=columns[2:])


def _bands(found: Outcome, against: Axis) -> list[Bands]:
    wanted = [column for quantity in found.plan.study.quantities.values() for column in columns_of(quantity)]
    there = {name for record in found.records.values() for name in record.curves if name != "step"}
    drawn = []
    for column in [name for name in dict.fromkeys([*wanted, *DRAWN]) if name in there][:MOST_FIGURES]:
        curves = {
            arm: {
                cell.seed: _curve(record, column, _steps_each(found.plan.arm(arm).share.per_epoch, against))
                for cell, record in found.records.items()
                if cell.arm == arm and _has(record, column)
            }
            for arm in found.plan.names
        }
        curves = {arm: seeds for arm, seeds in curves.items() if seeds}
        if any(np.isfinite(values).sum() >= FEWEST for seeds in curves.values() for _, values in seeds.values()):
            drawn.append(Bands(f"curve-{column}", sentences.column(column), curves, found.plan.names, against))
    return drawn


def _has(record: Record, column: str) -> bool:
    return record.state == "finished" and any(value is not None for value in record.curves.get(column, []))


def _curve(record: Record, column: str, each: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    values = [math.nan if value is None else value for value in record.curves[column]]
    return np.array(record.curves["step"], np.float64) / each, np.array(values, np.float64)


def _steps_each(per_epoch: int, against: Axis) -> float:
    """Steps in a unit of the horizontal axis."""
    return {"epoch": float(per_epoch), "half-epoch": per_epoch / 2}.get(against, 1.0)


def _grids(found: Outcome, folder: Folder) -> list[tuple[str, list[Grid]]]:
    """Sample grids of the median and the worst seed of each arm."""
    name, drawn = _primary(found), []
    for arm in found.plan.names[:MOST_GRIDS]:
        values = found.values[name][arm] if name else {}
        ranked = sorted(values, key=lambda seed: _off(values[seed], found.plan.study.quantities.get(name or "")))
        chosen = {"median seed": ranked[(len(ranked) - 1) // 2], "worst seed": ranked[-1]} if ranked else {}
        grids = [
            Grid(embed(path), f"seed {seed}: {sentences.number(values[seed])}", which)
            for which, seed in chosen.items()
            if (path := folder.sample_path(Cell(arm, seed))).is_file()
        ]
        if grids:
            drawn.append((arm, grids))
    return drawn


def _off(value: float, quantity: Any) -> float:
    """How far a number is from the best one; for quantities that are not metrics, more is worse, except accuracies."""
    names = [quantity.name] if isinstance(quantity, Metric) else columns_of(quantity) if quantity else []
    name = next(iter(names), "")
    best = METRICS[name].best if name in METRICS else math.inf if "accuracy" in name else -math.inf
    return -value if best == math.inf else value if best == -math.inf else abs(value - best)


def _grids_caption(found: Outcome) -> str:
    name = _primary(found)
    what = sentences.title(name, found.plan.study.quantities[name]) if name else ""
    return f"Final samples of each arm's median and worst seed, by {what}."


def _failures(found: Outcome) -> Table | None:
    rows = [
        (
            cell.arm,
            str(cell.seed),
            "diverged",
            f"{found.records[cell].reason}; counts with the untrained model's numbers",
        )
        for cell in found.diverged
    ]
    rows += [(cell.arm, str(cell.seed), "failed", f"{why}; it has no numbers") for cell, why in found.failed.items()]
    rows += [(cell.arm, str(cell.seed), "not used", why) for cell, why in found.unusable.items()]
    return Table("runs that diverged or failed", ("arm", "seed", "state", "reason"), rows) if rows else None


def _cut(found: Outcome) -> list[str]:
    plan, lines = found.plan, []
    shares = {arm.share.words for arm in plan.arms if not arm.share.is_whole}
    lines += [f"budget: trained for {share} of the recipe's budget" for share in sorted(shares)]
    if plan.left_out:
        lines.append(f"arms: {', '.join(plan.left_out)} {'is' if len(plan.left_out) == 1 else 'are'} not run")
    if len(plan.seeds) < len(plan.study.seeds):
        lines.append(f"seeds: {len(plan.seeds)} of {len(plan.study.seeds)}")
    if found.missing:
        lines.append(f"runs: {len(found.missing)} of {len(plan.cells)} are missing")
    if plan.images < 10_000 and any(map(needs_images, plan.study.quantities.values())):
        lines.append(f"images: {plan.images:,} per run are measured; a full evaluation measures 10,000")
    for entry in found.amended:
        what = "; ".join(entry["changes"][:6])
        lines.append(f"the plan was changed on {entry['at']}, when {entry['records']} records existed: {what}")
    if found.mixed:
        listed = ", ".join(map(str, found.mixed[:6]))
        lines.append(
            f"machines: the arms of seed {listed} ran on several kinds of machine, which may explain a difference "
            "within a seed"
        )
    flushed = [record.where.get("denormals") == "flushed" for record in found.records.values()]
    if 0 < sum(flushed) < len(flushed):
        lines.append(
            f"numbers below 1.2e-38 counted as 0 in {sum(flushed)} of {len(flushed)} runs, made by a newer version: a "
            "training whose gradients have vanished takes less time there, and rounds differently"
        )
    if found.stale:
        lines.append(f"stale: {len(found.stale)} records come from a version that computes different numbers")
    inexact = [cell.name for cell, record in found.records.items() if not record.exact]
    if inexact:
        lines.append(f"not bit for bit equal to an uninterrupted run: {', '.join(inexact[:6])}")
    return lines


def _cost(found: Outcome) -> list[tuple[str, str]]:
    training = sum(record.seconds for record in found.records.values())
    measuring = sum(record.measuring for record in found.records.values())
    machines = found.hardware
    return [
        ("runs", f"{len(found.records)} ({len(found.diverged)} diverged, {len(found.failed)} failed)"),
        ("training", f"{duration(training)} in all, {duration(training / max(1, len(found.records)))} each"),
        ("measuring", f"{duration(measuring)} in all"),
        *((f"machine{f' {k}' if len(machines) > 1 else ''}", machine) for k, machine in enumerate(machines, start=1)),
        ("versions", versions(found)),
        ("table", f"sha256 {found.digest[:16]}, the same however the study was run"),
    ]


def _notes(folder: Folder) -> list[str]:
    """Paragraphs of the author's notes.md, as plain text."""
    path = folder.path / "notes.md"
    if not path.is_file():
        return []
    with refusals(path):
        text = path.read_bytes()[:NOTES_BYTES].decode("utf-8", "replace")
    return [part.strip() for part in text.split("\n\n") if part.strip()]
