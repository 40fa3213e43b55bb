"""Train the labelled set on which the diagnosis is made and judged: `make diagnosis`, hours in all, resumable.

diagnosis.yaml says which trainings there are, what is wrong with each and which are held out. Each is trained here,
measured like any training, and kept with its rows and evaluations in records/diagnosis/KIND.jsonl.gz when it ends;
existing ones are skipped. `--list` says how many there are and how many are missing, `--only KIND` trains one kind,
`--part 1/8` an eighth of what is missing, so that eight processes can share the work.
"""

from __future__ import annotations

import argparse
import copy
import gzip
import json
import signal
import tempfile
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from torch import Tensor, nn

import genlab
from genlab import data
from genlab.api.run import Run
from genlab.data.pictures import to_uint8
from genlab.errors import GenlabError, NonFiniteError, Stopped
from genlab.evaluation.live import FLOOR, METRICS
from genlab.families.gan import losses
from genlab.families.gan.losses import AdversarialLoss
from genlab.recipe import Recipe, files
from genlab.training.assemble import assemble, prepare

HERE = Path(__file__).parent
SPEC, FOLDER = HERE / "diagnosis.yaml", HERE / "records" / "diagnosis"
HEALTHY = "healthy"
MEASURED, IMAGES = 12, 2_000
"""How often each training is measured, and the number of images if that is done here."""
KEPT = ("share", "share_in_data", "requested_class_accuracy", "within_class_diversity", "legibility")


@dataclass(frozen=True)
class Case:
    """One training.

    Attributes:
        kind, system, dataset, seed: parts of the training's name.
        held_out: whether the rules are judged on the training, and not made on it.
        expected: findings, each of which names the failure; empty for a healthy training.
        natural: whether the training may turn out not to fail.
        changes: changes to the system's recipe.
        planted: step after which the training fails; 0 if from the start; None for a healthy training.
        spec: other entries of the kind: fork, plant, classes.
    """

    kind: str
    system: str
    dataset: str
    seed: int
    held_out: bool
    expected: tuple[str, ...]
    natural: bool
    recipe: str
    changes: dict[str, Any]
    steps: int
    planted: int | None
    spec: Mapping[str, Any]

    @property
    def key(self) -> str:
        return f"{self.kind}/{self.system}/{self.dataset}/{self.seed}"


def cases(spec: Mapping[str, Any]) -> list[Case]:
    """All trainings of the set, in the order of the file, healthy ones first."""
    kinds = {HEALTHY: {"systems": spec["healthy"], "expected": []}, **spec["kinds"]}
    return [
        _case(spec, kind, about, system, dataset, seed)
        for kind, about in kinds.items()
        for seed in spec["seeds"][HEALTHY if kind == HEALTHY else "failing"]
        for system in about["systems"]
        for dataset in spec["datasets"]
    ]


def _case(spec: Mapping[str, Any], kind: str, about: Mapping[str, Any], system: str, dataset: str, seed: int) -> Case:
    base, held = spec["systems"][system], spec["held_out"]
    steps = about.get("steps", {}).get(system, base["steps"])
    changes = {**spec["common"], **base["changes"], **about.get("changes", {})}
    changes |= {"data.name": dataset, "budget.max_steps": steps}
    if _loaded(base["recipe"]).family == "classifier":
        changes.pop("logging.sample_epochs")
    else:
        changes |= {"logging.sample_every": steps // MEASURED, "logging.evaluation": "cheap"}
    return Case(
        kind,
        system,
        dataset,
        seed,
        held_out=kind in held["kinds"] or system in held["systems"] or dataset in held["datasets"],
        expected=tuple(about["expected"]),
        natural=about.get("natural", False),
        recipe=base["recipe"],
        changes=_spelled(base["recipe"], changes),
        steps=steps,
        planted=None if kind == HEALTHY else round(about.get("at", 0) * steps),
        spec=about,
    )


_loaded = cache(files.load)


def _spelled(recipe: str, changes: Mapping[str, Any]) -> dict[str, Any]:
    """Spell out `lr` as the learning rate of every optimiser."""
    family = _loaded(recipe).family
    paths = ["optimisers.generator.lr", "optimisers.discriminator.lr"] if family == "gan" else ["optimiser.lr"]
    return {path: value for key, value in changes.items() for path in (paths if key == "lr" else [key])}


class Switch:
    """Switch that a generator shares with the average of its weights; the training turns it on."""

    def __init__(self, at: int) -> None:
        self.at, self.on = at, at == 0

    def __deepcopy__(self, memo: object) -> Switch:
        return self

    def stepped(self, step: int, seconds: float) -> None:
        self.on = step >= self.at


class Planted(nn.Module):
    """A generator with a fault: `deaf` ignores z, `specks` adds white noise, `blur` averages 5 x 5 pixels."""

    def __init__(self, inner: nn.Module, fault: str, switch: Switch) -> None:
        super().__init__()
        self.inner, self.fault, self.switch = inner, fault, switch

    def forward(self, z: Tensor, *labels: Tensor) -> Tensor:
        if not self.switch.on:
            return self.inner(z, *labels)  # type: ignore[no-any-return]
        x: Tensor = self.inner(torch.zeros_like(z) if self.fault == "deaf" else z, *labels)
        if self.fault == "specks":
            x = (x + 0.5 * torch.randn_like(x)).clamp(-1, 1)
        return nn.functional.avg_pool2d(x, 5, 1, 2, count_include_pad=False) if self.fault == "blur" else x


def _not_finite(recipe: Recipe, switch: Switch) -> AdversarialLoss:
    """The recipe's own losses, until the switch is on."""
    plain = losses.adversarial(str(files.leaves(recipe)["objective.loss"]), 0.0)

    def spoilt(real: Tensor, fake: Tensor) -> Tensor:
        return plain.discriminator(real, fake) * (float("nan") if switch.on else 1.0)

    return AdversarialLoss(spoilt, plain.generator, plain.generator_needs_real)


def _shuffled(dataset: str, folder: Path) -> str:
    """The dataset with shuffled training labels."""
    train, test = data.load(dataset), data.load_test(dataset)
    assert train.labels is not None
    assert test is not None
    labels = np.random.default_rng(0).permutation(train.labels)
    file = folder / f"{dataset}-shuffled.npz"
    if not file.exists():
        np.savez(file, x_train=train.images, y_train=labels, x_test=test.images, y_test=np.asarray(test.labels))
    return str(file)


def trained(case: Case, folder: Path) -> Run:
    """Run of a case; if it failed, up to the failure."""
    changes, more = dict(case.changes), dict[str, Any]()
    plant, at = case.spec.get("plant"), case.planted or 0
    if plant == "shuffled":
        changes["data.name"] = _shuffled(case.dataset, folder)
    elif plant:
        switch = Switch(at)
        recipe, dataset = prepare(case.recipe, changes)
        if plant == "nan":
            more = {"objective": _not_finite(recipe, switch)}
        else:
            made = assemble(recipe, dataset, case.seed).networks["generator"]
            more = {"generator": Planted(copy.deepcopy(made), plant, switch)}
        more["observers"] = [switch]
    if classes := case.spec.get("classes"):
        changes |= {"data.classes": list(data.load(case.dataset).class_names[:classes]), "logging.evaluation": "none"}
    name = case.key.replace("/", "-")
    quiet: dict[str, Any] = {"runs": folder, "report": False, "progress": False}
    own = {key: value for key, value in more.items() if key == "generator"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            if fork := case.spec.get("fork"):
                with suppress(Stopped):
                    before = f"{name}-before"
                    watch = [_StopsAfter(at)]
                    genlab.train(case.recipe, overrides=changes, seed=case.seed, name=before, observers=watch, **quiet)
                return genlab.fork(folder / before, at, overrides=_spelled(case.recipe, fork), name=name, **quiet)
            return genlab.train(case.recipe, overrides=changes, seed=case.seed, name=name, **quiet, **more)
        except NonFiniteError:
            return genlab.open_run(folder / name, **own)


class _StopsAfter:
    """Stops a training as Ctrl-C would, so that everything is saved."""

    def __init__(self, at: int) -> None:
        self.at = at

    def stepped(self, step: int, seconds: float) -> None:
        if step == self.at:
            signal.raise_signal(signal.SIGINT)


def _short(value: Any) -> Any:
    """Number rounded to six digits, since no decision depends on more."""
    return float(f"{value:.6g}") if isinstance(value, float) else value


def _entry(step: int, record: Mapping[str, Any]) -> dict[str, Any]:
    """Parts of an evaluation that rules may look at."""
    metrics = {k: [_short(v["value"]), _short(v["floor"])] for k, v in record["metrics"].items()}
    classes = [{"class": row["class"], **{k: _short(row[k]) for k in KEPT}} for row in record["classes"]]
    return {"step": step, "samples": record["protocol"]["samples"], "metrics": metrics, "classes": classes}


def _held_against_all(run: Run, case: Case) -> list[dict[str, Any]]:
    """Evaluations of a run that learned some classes, against all classes."""
    found = []
    for step in run.steps("snapshots", ".safetensors"):
        images = to_uint8(run.sample(IMAGES, step=step))
        record = genlab.evaluate(images, against=case.dataset, resize=run.recipe.data.resize, progress=False).record
        found.append(_entry(step, record))
    return found


def recorded(case: Case, run: Run, seconds: float) -> dict[str, Any]:
    """Record of a training."""
    rows = [{k: _short(v) for k, v in row.items()} for row in run.directory.sound_rows()]
    if case.spec.get("classes"):
        evaluations = _held_against_all(run, case)
        found = {each["step"]: each["metrics"] for each in evaluations}
        for row in rows:
            for name in METRICS if row["step"] in found else ():
                value, floor = found[row["step"]][name]
                row |= {} if value is None else {name: value}
                row |= {FLOOR.name: floor} if name == "frechet_distance" else {}
    else:
        steps = run.steps("evaluations", ".json")
        evaluations = [_entry(step, run.directory.read_json(f"evaluations/step-{step:06d}.json")) for step in steps]
    status = run.status
    return {
        "key": case.key,
        "planted": case.planted,
        "steps": case.steps,
        "state": status["state"],
        "reason": status.get("reason"),
        "recipe": files.to_dict(run.directory.trained_by()),
        "classes": len(run.provenance["data"]["class_names"]) if not case.spec.get("classes") else None,
        "rows": rows,
        "evaluations": evaluations,
        "seconds": round(seconds, 1),
        "machine": run.provenance["machine"],
        "versions": run.provenance["versions"],
    }


def kept(kind: str) -> list[dict[str, Any]]:
    """Records of a kind."""
    file = FOLDER / f"{kind}.jsonl.gz"
    return [json.loads(line) for line in gzip.decompress(file.read_bytes()).splitlines()] if file.exists() else []


def keep(kind: str, record: Mapping[str, Any]) -> None:
    """Append a record, compressed by itself so that it may follow those in the file."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    with (FOLDER / f"{kind}.jsonl.gz").open("ab", buffering=0) as file:  # one write: several processes may append
        file.write(gzip.compress(json.dumps(record).encode() + b"\n", mtime=0))


def missing(spec: Mapping[str, Any]) -> Iterator[Case]:
    """Cases that are not recorded yet, first those that the rules are made on."""
    there = {record["key"] for kind in [HEALTHY, *spec["kinds"]] for record in kept(kind)}
    yield from sorted((case for case in cases(spec) if case.key not in there), key=lambda case: case.held_out)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--list", action="store_true", help="print how many trainings there are and how many are missing, then stop"
    )
    parser.add_argument("--only", action="append", metavar="KIND", help="may be repeated")
    parser.add_argument("--minutes", type=float, default=600, help="start no training after this many minutes")
    parser.add_argument("--part", default="1/1", metavar="I/N", help="every N-th missing training, from the I-th")
    options = parser.parse_args()
    spec = yaml.safe_load(SPEC.read_text("utf-8"))
    part, parts = (int(number) for number in options.part.split("/"))
    left = [case for case in missing(spec) if not options.only or case.kind in options.only][part - 1 :: parts]
    everything = cases(spec)
    failing = [case for case in everything if case.kind != HEALTHY]
    print(
        f"{len(everything)} trainings, {len(failing)} of them failing; held out: "
        f"{sum(case.held_out for case in failing)} failing, "
        f"{sum(case.held_out for case in everything) - sum(case.held_out for case in failing)} healthy; "
        f"{len(left)} are missing"
    )
    if options.list:
        return
    start = time.monotonic()
    for case in left:
        if time.monotonic() - start > 60 * options.minutes:
            break
        with tempfile.TemporaryDirectory() as folder:
            began = time.monotonic()
            try:
                run = trained(case, Path(folder))
                record = recorded(case, run, time.monotonic() - began)
            except GenlabError as error:
                print(f"{case.key}: {error}", flush=True)
                continue
            keep(case.kind, record)
        last = record["evaluations"][-1]["metrics"]["frechet_distance"] if record["evaluations"] else [None, None]
        told = f"{last[0] / last[1]:.3g} x" if last[0] and last[1] else ""
        print(f"{case.key}: {record['state']}, {record['seconds']:.0f} s {told}", flush=True)


if __name__ == "__main__":
    main()
