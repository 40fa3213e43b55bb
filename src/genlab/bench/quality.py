"""Time to quality: how good the images of a model are after how many seconds of training.

Only steps are timed, from the first batch on: waiting for a batch, transforming it, and the update. The clock stops for
scoring (10,000 images against the 10,000 test images, the Frechet distance over that of real images); nothing is
trained or compiled before it starts.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from genlab.bench.loops import Loop
from genlab.bench.timing import child_of, loop_of
from genlab.data import pictures
from genlab.data.preprocessing import Preprocessing
from genlab.engine.randomness import Keyed
from genlab.errors import GenlabError
from genlab.evaluation import metrics
from genlab.evaluation.image_set import ImageSet, Reference
from genlab.evaluation.judge_search import load as load_judge
from genlab.evaluation.measure import FULL
from genlab.evaluation.run import requests
from genlab.recipe import Data


def curve(
    recipe: str, way: str, seed: int, marks: Sequence[int], overrides: Mapping[str, Any] | None = None
) -> list[dict[str, Any]]:
    """Train in a separate process, and score after each step in `marks`, of which the last is the end.

    Args:
        way: `report`, one of genlab's precisions, or `auto`.

    Returns:
        For each mark its `step`, the `seconds` of training until then, `floors`, and `requested`, the share of images
        of the requested class (None for an unconditional model).
    """
    question = {"recipe": recipe, "way": way, "seed": seed, "marks": list(marks), "overrides": dict(overrides or {})}
    done = subprocess.run(
        child_of(way, "quality"),
        input=json.dumps(question),
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode:
        raise GenlabError("a benchmark's training process ended early; see its error above")
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


def serve() -> None:
    """Main function of the process of a `curve`."""
    asked = json.loads(sys.stdin.read())
    loop, placed = loop_of(asked["recipe"], asked["way"], asked["overrides"], asked["seed"])
    found, seconds = [], 0.0
    with placed:
        for step in range(1, max(asked["marks"]) + 1):
            start = time.perf_counter()
            loop.step()
            seconds += time.perf_counter() - start
            if step in asked["marks"]:
                found.append({"step": step, "seconds": seconds, **score(loop, asked["seed"])})
    print(json.dumps(found))


def score(loop: Loop, seed: int) -> dict[str, Any]:
    """Quality of the loop's present images: `floors` and `requested`, see `curve`."""
    against, floor = reference(loop.recipe.data)
    labels = requests(loop.recipe, against, FULL)
    z = Keyed(seed).normal("evaluation", 0, FULL, loop.recipe.latent)
    made = pictures.to_uint8(loop.generate(z, labels))
    side, channels = against.real.images.shape[2], against.real.images.shape[1]
    fake = ImageSet(against.way.back(made, side, channels), None, against.judge, intervals=False)
    distance = metrics.frechet_distance(against.real.features, fake.features)
    met = None if labels is None else float((fake.classes == labels.numpy()).mean())
    return {"floors": distance / floor, "requested": met}


@cache
def reference(data: Data) -> tuple[Reference, float]:
    """What is measured against, and the Frechet distance of `FULL` real images."""
    judge = load_judge(data.name)
    if judge is None:
        raise GenlabError(f"dataset {data.name} has no judge")
    against = Reference(data.name, Preprocessing(data.size, data.channels, data.resize), judge)
    return against, metrics.frechet_distance(against.real.features, against.floor(FULL).features)
