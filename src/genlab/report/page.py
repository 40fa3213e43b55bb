"""What stands on a page, as plain dataclasses; the same data could be served as JSON."""

from __future__ import annotations

import base64
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from genlab.errors import DataError, GenlabError
from genlab.evaluation import kept
from genlab.families.nets.describe import Description, Layer
from genlab.families.registry import FAMILIES
from genlab.recipe import Recipe, files
from genlab.recipe.changes import changes
from genlab.recipe.schedule import Schedule
from genlab.report import text as words
from genlab.report.curves import Figure, draw
from genlab.report.diagram import drawing
from genlab.report.figures import look
from genlab.runs import verify
from genlab.runs.directory import RunDirectory
from genlab.runs.open import OpenRun
from genlab.runs.record import Provenance, Resumed
from genlab.runs.sampling import sampling_words
from genlab.runs.verify import missing_rows

TIMELINE = 9


@dataclass(frozen=True)
class Grid:
    """A picture of images; `source` is a data: address, `caption` says what it shows."""

    source: str
    caption: str
    title: str = ""


@dataclass(frozen=True)
class Card:
    """A run in a few lines: `facts` are (label, value), `picture` is a data: address or empty."""

    title: str
    state: str
    picture: str
    facts: list[tuple[str, str]]


def run_card(run: RunDirectory) -> Card:
    """What a notebook shows of a run: where it stands, its last samples, its quality; nothing is written."""
    status = _status(run)
    steps = [step for step in run.steps("samples", ".png") if _is_whole(run, run.file("samples", step, ".png"))]
    picture = _embed(run.file("samples", steps[-1], ".png")) if steps else ""
    record = kept.read(run, kept.FULL_FILE)
    facts = words.summary(record) if record else []
    try:
        recipe, last = run.trained_by(), run.last_row() or {}
        outcome = FAMILIES[recipe.family].outcome(recipe, last)
        facts = [("recipe", recipe.description), *_changes(recipe), *{**dict(outcome), **dict(facts)}.items()]
    except GenlabError as error:
        facts = [("damaged", str(error).splitlines()[0])]
    total = f" of {status['total_steps']:,}" if status.get("total_steps") else ""
    return Card(run.path.name, f"{status['state']}, step {status['step']:,}{total}", picture, facts)


@dataclass(frozen=True)
class Quality:
    """The full evaluation.

    Attributes:
        summary: (what, how it stands).
        judged: in whose features the distances are.
        columns, rows: every metric with value, interval, and what real images get.
        explained: (metric, what it says, what it cannot see) of each.
        more: (what, how it stands) of the discriminator, the likelihood, latent interpolation.
        protocol: how the numbers came about.
        notes: what must be said beside them.
    """

    summary: list[tuple[str, str]]
    judged: str
    columns: list[str]
    rows: list[list[str]]
    explained: list[tuple[str, str, str]]
    more: list[tuple[str, str]]
    protocol: str
    notes: list[str]


@dataclass(frozen=True)
class RunPage:
    """The report of a run.

    Attributes:
        notes: what is wrong with the run's files, a line each.
        facts: (label, value), the line under the title.
        final, real: the last sample grid, and real images in the same layout.
        row_names: what each row of a grid shows; empty if rows mean nothing.
        quality: the full evaluation, if there was one.
        looks: figures that were made of the run (`report.figures.looks`).
        timeline: grids over the course of training, same z throughout.
        networks: as `families.nets.describe` gives them, as plain values.
        drawing: SVG of the system and its networks.
        equations: the objective; empty for an own one.
        recipe: YAML.
        provenance: (label, value).
    """

    title: str
    lead: str
    state: str
    notes: list[str]
    facts: list[tuple[str, str]]
    final: Grid | None
    real: Grid | None
    row_names: list[str]
    timeline: list[Grid]
    quality: Quality | None
    looks: list[Grid]
    figures: list[Figure]
    networks: list[dict[str, Any]]
    drawing: str
    equations: list[str]
    recipe: str
    provenance: list[tuple[str, str]]


def run_page(run: RunDirectory) -> RunPage:
    """What a run's page shows; nothing is written."""
    recipe, provenance, status, rows = run.trained_by(), run.provenance, _status(run), run.sound_rows()
    schedule, family = Schedule.of(recipe, provenance["data"]["images"]), FAMILIES[recipe.family]
    steps = [step for step in run.steps("samples", ".png") if _is_whole(run, run.file("samples", step, ".png"))]
    words = sampling_words(OpenRun(run))
    grids = [Grid(_embed(run.file("samples", step, ".png")), _when(step, schedule)) for step in steps]
    last = rows[-1] if rows else None
    final = Grid(grids[-1].source, f"Generated after {_when(steps[-1], schedule)}: {words}.") if grids else None
    real_file = run.path / "samples" / "real.png"
    return RunPage(
        title=run.path.name,
        lead=recipe.description,
        state=_state_words(status),
        notes=_notes(run),
        facts=[
            ("training", duration(last["seconds"]) if last else "none yet"),
            ("images/s", f"{last['images'] / last['seconds']:,.0f}" if last and last["seconds"] else "-"),
            ("epochs", f"{last['epoch']:.3g}" if last else "0"),
            ("steps", f"{last['step']:,}" if last else "0"),
            ("dataset", f"{recipe.data.name}, {provenance['data']['images']:,} images"),
            ("parameters", ", ".join(f"{n['name']} {n['parameters']:,}" for n in provenance["networks"])),
            ("seed", str(provenance["seed"])),
            *family.outcome(recipe, last or {}),
            *_changes(recipe),
        ],
        final=final,
        real=Grid(_embed(real_file), f"Real images of {recipe.data.name}, training set.")
        if _is_whole(run, real_file)
        else None,
        row_names=provenance["data"]["class_names"] if recipe.conditional else [],
        timeline=[grids[k] for k in _spread(len(grids), TIMELINE)],
        quality=_quality(kept.read(run, kept.FULL_FILE)),
        looks=[Grid(_embed(path), caption, title) for path, title, caption in look.kept(run) if _is_whole(run, path)],
        figures=draw(rows, recipe, "objective" in provenance["own"]),
        networks=provenance["networks"],
        drawing=drawing(recipe, _described(provenance["networks"])),
        equations=[] if "objective" in provenance["own"] else family.equations(recipe),
        recipe=files.dump(recipe),
        provenance=_provenance_lines(provenance),
    )


def _status(run: RunDirectory) -> dict[str, Any]:
    """Where the run stands; where that cannot be read, as far as its checkpoints tell."""
    try:
        return run.status
    except DataError:
        return {"state": "damaged", "step": 0}


def _notes(run: RunDirectory) -> list[str]:
    """What is wrong with the files that this page is made from."""
    found: list[str] = []
    looked: list[Callable[[], object]] = [lambda: run.status, lambda: kept.load(run, kept.FULL_FILE)]
    pictures = [*sorted((run.path / "samples").glob("*.png")), *sorted((run.path / "figures").glob("*.png"))]
    looked += [partial(verify.check_picture, run, file) for file in pictures]
    for read in looked:
        try:
            read()
        except GenlabError as error:
            found.append(str(error).splitlines()[0])
    try:
        found.append(run.recipe_changes() or "")
    except GenlabError as error:
        found.append(str(error).splitlines()[0])
    damaged = run.damaged_rows()
    if damaged:
        found.append(f"{run.path / 'metrics.jsonl'} line {damaged[0]}: damaged; {len(damaged)} rows are left out here")
    elif lost := missing_rows(run, max(run.steps("checkpoints", ""), default=0)):
        found.append(f"{run.path / 'metrics.jsonl'}: {len(lost)} rows are missing, the first of step {lost[0]}")
    return [line.replace(f"{run.path}{os.sep}", "") for line in found if line]


def _is_whole(run: RunDirectory, picture: Path) -> bool:
    try:
        verify.check_picture(run, picture)
    except DataError:
        return False
    return True


def _quality(record: dict[str, Any] | None) -> Quality | None:
    if record is None:
        return None
    table = words.table(record)
    return Quality(
        summary=words.summary(record),
        judged=table.title,
        columns=list(table.columns),
        rows=[list(row) for row in table.rows],
        explained=words.explained(record),
        more=words.more(record),
        protocol=words.protocol(record),
        notes=record["notes"],
    )


def _changes(recipe: Recipe) -> list[tuple[str, str]]:
    """What sets this run apart from the built-in recipe of its name."""
    said = [f"{path} {'null' if new is None else new}" for path, (_, new) in changes(recipe).items()]
    return [(f"changed from {recipe.name}", ", ".join(said))] if said else []


def duration(seconds: float) -> str:
    """Seconds as a person says them: 43 s, 3 min 5 s, 2 h 27 min."""
    whole = round(seconds)
    if whole < 100:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def _when(step: int, schedule: Schedule) -> str:
    epochs, rest = divmod(step, schedule.steps_per_epoch)
    if rest == 0:
        return f"epoch {epochs} (step {step:,})"
    return f"step {step:,} (epoch {step / schedule.steps_per_epoch:.2f})"


def _spread(n: int, most: int) -> list[int]:
    """At most `most` positions out of n, evenly spread, first and last among them."""
    return list(range(n)) if n <= most else [round(k * (n - 1) / (most - 1)) for k in range(most)]


def _state_words(status: dict[str, Any]) -> str:
    step, total = status["step"], status.get("total_steps", 0)
    words = {
        "created": "This run has not begun.",
        "running": f"This run is in progress: step {step:,} of {total:,} at its last checkpoint.",
        "interrupted": f"This run was stopped at step {step:,} of {total:,} and can be resumed.",
        "killed": f"This run was killed; its last checkpoint is of step {step:,} of {total:,}; it can be resumed.",
        "failed": f"This run failed after step {step:,} of {total:,}: {status.get('reason', '')}",
    }
    return words.get(status["state"], "")


def _provenance_lines(provenance: Provenance) -> list[tuple[str, str]]:
    machine, data = provenance["machine"], provenance["data"]
    versions = ", ".join(f"{name} {version}" for name, version in provenance["versions"].items())
    return [
        ("machine", f"{machine['processor']}, {machine['cores']} cores, {machine['system']}{_instructions(machine)}"),
        ("device", f"{machine['device']}, {machine['threads']} threads, {machine['precision']}"),
        ("versions", versions),
        ("seed", str(provenance["seed"])),
        ("data", f"{data['name']}, {data['images']:,} images, sha256 {data['fingerprint'][:16]}..."),
        ("own parts", ", ".join(f"{part}: {name}" for part, name in provenance["own"].items()) or "none"),
        *_encoder_from(provenance),
        ("started", provenance["started"]),
        ("resumed", "; ".join(map(_resumed, provenance.get("resumed", []))) or "never"),
    ]


def _instructions(machine: dict[str, Any]) -> str:
    """What PyTorch computed with; runs of older versions do not say."""
    if "capability" not in machine:
        return ""
    bfloat16 = {"yes": " with bfloat16", "no": " without bfloat16"}.get(machine["onednn_bfloat16"], "")
    return ", " + " ".join(filter(None, (f"{machine['capability']}{bfloat16}", machine["limits"])))


def _described(networks: list[dict[str, Any]]) -> list[Description]:
    """Layer tables as they were before they were stored."""
    layers = [
        tuple(Layer(**{**layer, "output_shape": tuple(layer["output_shape"])}) for layer in network["layers"])
        for network in networks
    ]
    return [Description(**{**network, "layers": rows}) for network, rows in zip(networks, layers, strict=True)]


def _resumed(entry: Resumed) -> str:
    words = [f"{entry['at']} at step {entry['step']:,}"]
    words += [f"{path} {old} -> {new}" for path, (old, new) in entry["changes"].items()]
    if not entry["exact"]:
        words.append(f"not bit for bit ({'; '.join(entry['differences'])})")
    return ", ".join(words)


def _encoder_from(provenance: Provenance) -> list[tuple[str, str]]:
    source = provenance.get("encoder_from")
    return [("encoder from", f"{source['run']}, step {source['step']:,}")] if source else []


def _embed(path: Path) -> str:
    return "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode()
