"""Content of each page as JSON documents, made from run directories by the functions that make reports."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import PurePath
from typing import Any

from genlab.data import checking
from genlab.errors import DataError, GenlabError
from genlab.evaluation import kept
from genlab.evaluation.alike import unlike
from genlab.evaluation.diagnosis.run import diagnosis_of
from genlab.families.base import Family
from genlab.families.registry import FAMILIES
from genlab.recipe import files
from genlab.recipe.changes import changes, short
from genlab.report import data_page, findings, page
from genlab.report import text as words
from genlab.report.compare_page import compare_page
from genlab.report.curves import plots
from genlab.report.origin import again, provenance_lines
from genlab.report.tables import Table
from genlab.report.verdict import JUDGED, classes_of, verdict
from genlab.runs import checkpoint
from genlab.runs.directory import RunDirectory
from genlab.runs.open import OpenRun
from genlab.runs.sampling import sampling_words
from genlab.studio.follow import Follower

Document = dict[str, Any]


def run_document(name: str, run: RunDirectory, rows: Follower) -> Document:
    """A run's page, without its pictures and the points of its curves.

    Raises:
        DataError: its provenance is damaged.
    """
    recipe, provenance = run.trained_by(), run.provenance
    family, record, last = FAMILIES[recipe.family], kept.read(run, kept.FULL_FILE), run.last_row()
    there = [
        {**asdict(plot), "curves": [asdict(curve) for curve in plot.curves if curve.column in rows.columns]}
        for plot in plots(recipe, "objective" in provenance["own"])
    ]
    said = verdict(recipe, rows.rows(JUDGED), record, classes_of(record or NOTHING))
    return {
        "run": name,
        "title": run.path.name,
        "lead": f"{recipe.description}; seed {provenance['seed']}, {provenance['data']['images']:,} images of "
        f"{PurePath(recipe.data.name).name}",
        "changed": short(changes(recipe, provenance.get("base")), words=True),
        "family": recipe.family,
        **live(run),
        "plots": [plot for plot in there if plot["curves"]],
        "row_names": provenance["data"]["class_names"] if recipe.conditional else [],
        "drawn": "as the loop produced them" if family.own_loop else sampling_words(OpenRun(run)),
        "verdict": said.sentence,
        "numbers": [asdict(number) for number in said.numbers],
        "quality": None if record is None else table_document(words.table(record)),
        "protocol": "" if record is None else words.protocol(record),
        "recipe": files.dump(recipe),
        "provenance": provenance_lines(recipe, provenance, last),
        "command": again(recipe, provenance).command,
        "can": _abilities(family, run),
        "damaged_rows": rows.damaged,
        "columns": len(rows.columns),
    }


NOTHING: Mapping[str, Any] = {"classes": [], "protocol": {"samples": 0}}


def newest(status: Mapping[str, Any], rows: Follower) -> Document:
    """Step and seconds of the newest row of a run that is training, if newer than its status; empty otherwise."""
    step, seconds = (float(rows.columns[name][-1]) if name in rows.columns else 0.0 for name in ("step", "seconds"))
    if status["state"] != "running" or step <= (status["step"] or 0) or not math.isfinite(seconds):
        return {}
    return {"step": int(step), "seconds": seconds}


def live(run: RunDirectory) -> Document:
    """What changes while a run trains: its state, its samples and evaluations."""
    try:
        status = run.status
    except DataError as error:
        status = {"state": "damaged", "step": 0, "reason": str(error).splitlines()[0]}
    keys = ("state", "step", "total_steps", "seconds", "reason")
    return {
        "status": {key: status.get(key) for key in keys},
        "samples": run.steps("samples", ".png"),
        "snapshots": run.steps("snapshots", ".safetensors"),
        "evaluations": run.steps("evaluations", ".json"),
        "has_real": (run.path / "samples" / "real.png").exists(),
        "measured": (run.path / "evaluations" / kept.FULL_FILE).exists(),
    }


def diagnosis_document(run: RunDirectory, rows: Follower) -> Document:
    """What is wrong with a run and since when, or that nothing is."""
    try:
        recipe, provenance, total = run.trained_by(), run.provenance, run.status.get("total_steps")
        found = diagnosis_of(run, keep=False, curves=rows.by_role(FAMILIES[recipe.family].columns))
    except GenlabError:
        return {"findings": [], "healthy": "", "unknown": []}
    return {
        "findings": [
            {
                "name": each.name,
                "level": each.level,
                "since": each.since,
                "until": each.until,
                "lines": findings.lines(each, run.path.name, recipe, provenance, total),
                "changes": dict(each.changes),
            }
            for each in found.findings
        ],
        "healthy": "" if found.lasting or not found.step else findings.HEALTHY.partition("  ")[2],
        "unknown": findings.unknown(found.unknown) if found.step else [],
    }


def evaluation_document(run: RunDirectory, step: int | None) -> Document:
    """The evaluation nearest to a step: its classes, worst first, and its numbers.

    At the step of the full evaluation, or if no step is given, it is the full one; the others were made during
    training, on fewer images. For each requested class, `since` is the first evaluation from which on at least
    `READABLE` of its images are read as it; `lost` is whether it was readable before and no longer is.

    Raises:
        DataError: there is no such evaluation.
    """
    full, there = kept.read(run, kept.FULL_FILE), run.steps("evaluations", ".json")
    at = None if step is None else _nearest(there, step)
    record = full
    if step is not None and (full is None or step != full["protocol"]["step"]):
        record = None if at is None else kept.read(run, f"step-{at:06d}.json")
    if record is None:
        raise DataError(f"{run.path.name} has no evaluation")
    since, lost = _readable(run, there)
    rows = {str(row["class"]): row for row in record["classes"]}
    order = [each.name for each in classes_of(record)] or list(rows)
    return {
        "step": record["protocol"]["step"],
        "samples": record["protocol"]["samples"],
        "full": record is full,
        "first": min(there, default=None),
        "times_real": words.times_real(record),
        "classes": [{**rows[name], "since": since.get(name), "lost": name in lost} for name in order],
        "metrics": {
            name: {"title": words.title(name), "text": words.number(name, each["value"])}
            for name, each in record["metrics"].items()
            if each["value"] is not None
        },
    }


READABLE = 0.9


def _readable(run: RunDirectory, steps: Sequence[int]) -> tuple[dict[str, int], set[str]]:
    """Class -> the first step from which on it stays readable; and the classes that were readable and no longer are."""
    since: dict[str, int] = {}
    lost: set[str] = set()
    for step in sorted(steps):
        record = kept.read(run, f"step-{step:06d}.json") or NOTHING
        for row in record["classes"]:
            share = row.get("requested_class_accuracy")
            if share is not None and share >= READABLE:
                since.setdefault(str(row["class"]), step)
                lost.discard(str(row["class"]))
            elif since.pop(str(row["class"]), None) is not None:
                lost.add(str(row["class"]))
    return since, lost


def _nearest(steps: Sequence[int], wanted: int) -> int | None:
    return min(steps, key=lambda at: (abs(at - wanted), at), default=None)


def compare_document(runs: Mapping[str, RunDirectory]) -> Document:
    """What `genlab compare` says about runs, from existing measurements: nothing is measured for it.

    Raises:
        DataError: a provenance is damaged.
    """
    records = {name: record for name, run in runs.items() if (record := _of_now(run)) is not None}
    why = unlike(records)
    compared = compare_page(runs, {} if why else records)
    labels = [row[0] for row in compared.runs.rows]
    return {
        "lead": compared.lead,
        "verdict": compared.verdict,
        "labels": dict(zip(runs, labels, strict=True)),
        "tables": [
            {"heading": heading, **table_document(table)}
            for heading, table in (
                ("Settings over their seeds", compared.settings),
                ("Quality", compared.quality),
                ("At the end", compared.ends),
                ("By class", compared.classes),
                ("What differs", compared.differences),
                ("Runs", compared.runs),
                ("Machine and time", compared.machines),
            )
            if table is not None
        ],
        "protocol": compared.protocol,
        "unmeasured": [name for name, run in runs.items() if name not in records and _draws(run)],
        "unlike": f"Their images are not compared, since {why}." if why else "",
        "curves": [
            {
                "title": figure.title,
                "caption": figure.caption,
                "log": "distance" in figure.column or figure.column.startswith("grad"),
                "lines": [
                    {
                        "run": list(runs)[k],
                        "label": labels[k],
                        **dict(zip(("colour", "dash"), figure.look(k), strict=True)),
                        "x": points.x.tolist(),
                        "y": [None if y != y else y for y in points.y.tolist()],
                        "block": points.block,
                    }
                    for k, points in figure.found.items()
                ],
            }
            for figure in compared.figures
        ],
        "samples": {name: run.steps("samples", ".png") for name, run in runs.items()},
        "frames_caption": compared.frames_caption,
    }


def _of_now(run: RunDirectory) -> dict[str, Any] | None:
    """The full evaluation of a run's present weights, if there is one."""
    record = kept.read(run, kept.FULL_FILE)
    with suppress(DataError):
        if record is not None and record["protocol"].get("step") == run.step_of_weights():
            return record
    return None


def _draws(run: RunDirectory) -> bool:
    return FAMILIES[run.trained_by().family].sampling is not None


def _abilities(family: Family, run: RunDirectory) -> dict[str, bool]:
    """What a run's networks can be asked to do: nothing if they are the caller's own, or if there are none."""
    has_weights = bool(checkpoint.found(run.checkpoints)) or bool(run.steps("snapshots", ".safetensors"))
    own = True
    with suppress(GenlabError):
        own = bool(run.provenance["own"])
    here = has_weights and not own and not family.own_loop
    return {
        "draw": here and family.sampling is not None,
        "name": here and family.naming is not None,
        "train": not own and not family.own_loop,
    }


def table_document(table: Table) -> Document:
    """A table as plain values."""
    return {
        "title": table.title,
        "columns": list(table.columns),
        "rows": [list(row) for row in table.rows],
        "numeric": list(table.numeric),
    }


def data_document(name: str) -> Document:
    """What is in a dataset, what looks wrong, some images of each class.

    Raises:
        DataError: none of it can be read.
    """
    found = checking.check(name)
    classes = data_page.classes(found)
    return {
        "name": found.name,
        "findings": [each.words for each in found.findings],
        "refusal": found.why,
        "facts": table_document(data_page.facts(found, findings=False)),
        "classes": None if classes is None else table_document(classes),
        "sheets": [{"split": split, "png": page.embed_png(data_page.sheet(found, split))} for split in found.splits],
    }
