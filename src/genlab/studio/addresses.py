"""What each address of the studio answers: functions of the studio's state and of the query, or of what a page sends.

`READS` change nothing, however often they are called; `DRAWN` work on the drawing thread; `POSTED` check, start and
stop training jobs.
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from starlette.datastructures import QueryParams

from genlab.data import BUILTIN
from genlab.errors import GenlabError, UsageError
from genlab.runs.rows import no_constant
from genlab.runs.verify import check_picture
from genlab.studio import documents, new
from genlab.studio.explore import Explorer, Place, png_of
from genlab.studio.handout import handout
from genlab.studio.jobs import arguments_of
from genlab.studio.state import NotThere, Studio

MOST_RUNS, MOST_COLUMNS = 24, 24
LARGEST_SIDE = 512
LARGEST_SEED = 2**63 - 1


class Png(bytes):
    """A PNG picture, which is sent as such."""


class Download(bytes):
    """A page that a browser saves, and never shows as one of the studio's own."""


def runs(studio: Studio, query: QueryParams) -> Any:
    """Every run at a glance, the runs that come with the package, and the training jobs that were started from here."""
    return {
        "runs": studio.folder.listing(),
        "examples": studio.folder.examples(),
        "jobs": studio.jobs.listing(),
        "root": str(studio.folder.root),
        "shipped": studio.folder.shows_shipped,
    }


def run(studio: Studio, query: QueryParams) -> Any:
    """A run's page."""
    name, found = str(query.get("run")), studio.find(query.get("run"))
    return documents.run_document(name, found, studio.folder.rows(found))


def curves(studio: Studio, query: QueryParams) -> Any:
    """The points of some columns of a run, all or between two steps."""
    rows = studio.folder.rows(studio.find(query.get("run")))
    first, last = _number(query, "from", -math.inf), _number(query, "to", math.inf)
    columns = query.getlist("column")[:MOST_COLUMNS]
    return {"rows": len(rows), "began": rows.began, "curves": {c: rows.curve(c, first, last) for c in columns}}


def sample(studio: Studio, query: QueryParams) -> Png:
    """The sample grid of a step, or the real images that are shown beside it."""
    found = studio.find(query.get("run"))
    if query.get("step") == "real":
        file = found.path / "samples" / "real.png"
    elif (step := whole(query, "step")) in found.steps("samples", ".png"):
        file = found.file("samples", step, ".png")
    else:
        raise NotThere("there are no samples of that step")
    check_picture(found, file)
    return Png(file.read_bytes())


def evaluation(studio: Studio, query: QueryParams) -> Any:
    """The evaluation nearest to a step; the full one if no step is given."""
    step = None if query.get("step") is None else whole(query, "step")
    return documents.evaluation_document(studio.find(query.get("run")), step)


def log(studio: Studio, query: QueryParams) -> Any:
    """The last output of a training job, and whether it has a run directory yet."""
    name = str(query.get("run"))
    there = studio.folder.find(name) is not None
    return {"there": there, "lines": studio.jobs.log(name), "jobs": studio.jobs.listing()}


def compare(studio: Studio, query: QueryParams) -> Any:
    """A comparison of runs."""
    names = list(dict.fromkeys(query.getlist("run")))
    if not 2 <= len(names) <= MOST_RUNS:
        raise UsageError(f"compare 2 .. {MOST_RUNS} runs")
    return documents.compare_document({name: studio.find(name) for name in names})


def recipes(studio: Studio, query: QueryParams) -> Any:
    """The recipes that can be trained, and the failures that can be provoked on purpose."""
    return {"recipes": new.recipes(), "failures": new.failures()}


def recipe(studio: Studio, query: QueryParams) -> Any:
    """The fields of a recipe."""
    return {"fields": new.fields(new.source_of(query, studio.folder.find))}


def datasets(studio: Studio, query: QueryParams) -> Any:
    """The built-in datasets, and those that runs were trained on."""
    return {"datasets": _datasets(studio)}


def data(studio: Studio, query: QueryParams) -> Any:
    """What is in a dataset."""
    name = query.get("name")
    if name not in _datasets(studio):
        raise NotThere("no run was trained on a dataset of that name")
    return documents.data_document(str(name))


def studies(studio: Studio, query: QueryParams) -> Any:
    """Every study that was begun."""
    return {"studies": studio.studies.listing()}


def study(studio: Studio, query: QueryParams) -> Any:
    """The state of a study."""
    found = studio.studies.document(str(query.get("study")))
    if found is None:
        raise NotThere("there is no such study, or it no longer exists")
    return found


def explore(studio: Studio, query: QueryParams) -> Any:
    """What a run's networks can be asked to do, and the sliders that move its z."""
    opened = _opened(studio, query)
    family, sampler = opened.family, opened.sampler
    return {
        "sliders": opened.sliders(),
        "units": sampler is not None and opened.has_units,
        "latent": sampler.size if sampler else 0,
        "classes": opened.run.provenance["data"]["class_names"],
        "conditional": opened.recipe.conditional,
        "side": opened.recipe.data.size,
        "drawn": sampler.words if sampler else "",
        "snapshots": opened.run.steps("snapshots", ".safetensors"),
        "can": {
            "draw": sampler is not None,
            "encode": family.encoding is not None and opened.step is None,
            "name": family.naming is not None,
            "score": family.scoring is not None and opened.step is None,
            "map": sampler is not None and sampler.size == 2,
        },
    }


def draw(studio: Studio, query: QueryParams) -> Png:
    """A picture of a place in latent space, or of what lies around it."""
    opened, place = _opened(studio, query), _place(query)
    kinds: dict[str, Callable[[], bytes]] = {
        "image": lambda: png_of(opened.image(place), 1),
        "classes": lambda: png_of(images := opened.classes(place), len(images)),
        "path": lambda: opened.path(place, whole(query, "steps")),
        "grid": lambda: opened.grid(place),
        "map": lambda: opened.map(place.label),
    }
    what = query.get("what", "image")
    if what not in kinds:
        raise UsageError(f"what: {', '.join(kinds)}")
    return Png(kinds[what]())


def save(studio: Studio, query: QueryParams) -> Download:
    """A map of a run's latent space as one file."""
    return Download(handout(_opened(studio, query)))


def ask(studio: Studio, query: QueryParams) -> Any:
    """The training images nearest to a drawn one, and what D says about it."""
    opened, place = _opened(studio, query), _place(query)
    near = opened.nearest(place)
    found = {"nearest": {**near, "png": address_of(near["png"])}}
    with suppress(UsageError):
        found["score"] = opened.score(place)
    return found


def read(studio: Studio, told: Mapping[str, Any]) -> Any:
    """How a run reads an image that was drawn or dropped, or a test image: its classes, or its code."""
    step, number = told.get("step"), told.get("example")
    opened = studio.explorers.of(studio.find(told.get("run")), step if type(step) is int else None)
    label = Place.of({"label": told.get("label", 0)}).label
    pixels = opened.example(number) if type(number) is int and number >= 0 else _pixels(told)
    found = {"pixels": pixels.reshape(-1).tolist(), "side": pixels.shape[1], "channels": len(pixels)}
    if opened.family.naming is not None:
        return {**found, **opened.named(pixels)}
    made = opened.encoded(pixels, label)
    return {**found, **made, "png": address_of(made["png"])}


def check(studio: Studio, told: Mapping[str, Any]) -> Any:
    """What is wrong with a training run that is being set up, and how long it would take."""
    source, overrides, name, _ = _asked(studio, told)
    return new.examined(source, overrides, name, studio.folder.root)


def train(studio: Studio, told: Mapping[str, Any]) -> Any:
    """Start a training job, if nothing is wrong with it."""
    source, overrides, name, seed = _asked(studio, told)
    if wrong := new.examined(source, overrides, name, studio.folder.root)["problems"]:
        return {"problems": wrong}
    if not name:
        return {"problems": [{"path": "name", "words": "name: a run that is started here needs one"}]}
    studio.jobs.start(name, arguments_of(str(source), name, studio.folder.root, seed, overrides))
    return {"run": name, "problems": []}


def resume(studio: Studio, told: Mapping[str, Any]) -> Any:
    """Resume a run that was stopped."""
    name = str(told.get("run"))
    studio.jobs.start(name, ["--resume", str(studio.find(told.get("run")).path)])
    return {"run": name}


def stop(studio: Studio, told: Mapping[str, Any]) -> Any:
    """Ask a training job to save and stop."""
    studio.jobs.stop(str(told.get("run")))
    return {"run": str(told.get("run"))}


Reads = Callable[[Studio, QueryParams], Any]
Changes = Callable[[Studio, Mapping[str, Any]], Any]
READS: Mapping[str, Reads] = {
    each.__name__: each
    for each in (runs, run, curves, sample, evaluation, log, compare, recipes, recipe, datasets, data, studies, study)
}
DRAWN: Mapping[str, Reads] = {each.__name__: each for each in (explore, draw, ask, save)}
POSTED: Mapping[str, Changes] = {each.__name__: each for each in (check, train, resume, stop)}
POSTED_AND_DRAWN: Mapping[str, Changes] = {"read": read}


def _datasets(studio: Studio) -> list[str]:
    found = list(BUILTIN)
    for each in studio.folder.listing():
        with suppress(GenlabError):
            name = studio.find(each["run"]).trained_by().data.name
            found += [name] if name not in found else []
    return found


def _opened(studio: Studio, query: QueryParams) -> Explorer:
    return studio.explorers.of(
        studio.find(query.get("run")), None if query.get("step") in (None, "") else whole(query, "step")
    )


def _place(query: QueryParams) -> Place:
    return Place.of(parsed(query.get("place", "{}").encode()))


def _asked(studio: Studio, told: Mapping[str, Any]) -> tuple[str | Path, dict[str, Any], str, int]:
    name, seed = told.get("name", ""), told.get("seed", 0)
    if not isinstance(name, str) or type(seed) is not int or not 0 <= seed <= LARGEST_SEED:
        raise UsageError("name must be text, seed a whole number, 0 .. 2^63 - 1")
    return new.source_of(told, studio.folder.find), new.read(told.get("overrides", {})), name, seed


def _pixels(told: Mapping[str, Any]) -> NDArray[np.uint8]:
    """A gray image that a page sends: `side` x `side` `pixels`, 0 .. 255, row by row."""
    side, pixels = told.get("side"), told.get("pixels")
    if type(side) is not int or not 1 <= side <= LARGEST_SIDE or not isinstance(pixels, list):
        raise UsageError(f"an image is `side`, 1 .. {LARGEST_SIDE}, and `pixels`")
    if len(pixels) != side * side or any(type(value) is not int or not 0 <= value <= 255 for value in pixels):
        raise UsageError("pixels: side x side whole numbers, 0 .. 255")
    return np.array(pixels, np.uint8).reshape(1, side, side)


def parsed(content: bytes) -> dict[str, Any]:
    """Parse a JSON object.

    Raises:
        UsageError: anything else.
    """
    try:
        found = json.loads(content, parse_constant=no_constant)
    except (ValueError, RecursionError):
        raise UsageError("JSON is expected") from None
    if not isinstance(found, dict):
        raise UsageError("a JSON object is expected")
    return found


def whole(query: QueryParams, name: str) -> int:
    """A whole number in an address, from 0 to below 10^9."""
    text = query.get(name) or ""
    if not (text.isascii() and text.isdecimal() and len(text) <= 9):
        raise UsageError(f"{name}: a whole number is needed")
    return int(text)


def _number(query: QueryParams, name: str, default: float) -> float:
    text = query.get(name)
    if not text:
        return default
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if math.isnan(value):
        raise UsageError(f"{name}: a number is needed")
    return value


def address_of(png: bytes) -> str:
    """A PNG picture as a data: URL."""
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"
