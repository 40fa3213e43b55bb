"""Benchmarks: the reports' loops and genlab's use the same networks and images, and the numbers mean what they say."""

from __future__ import annotations

import importlib.util
import io
import json
import random
import statistics
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import scipy.stats
import torch

import genlab
from genlab import data
from genlab.bench import quality, records, timing
from genlab.bench.loops import GenlabLoop, ReportLoop, _OneByOne, plain
from genlab.bench.timing import STUDENT, mean_interval, median_interval
from genlab.data.preprocessing import fitted
from genlab.engine import calibrate
from genlab.engine.randomness import Keyed
from genlab.families.registry import FAMILIES
from genlab.recipe import GanRecipe

ROOT = Path(__file__).parents[2]
SYSTEMS = ["s0-dcgan", "s1-mlp", "s2-dcgan", "s2-cdcgan", "s3-mlp", "s4-dcgan", "s4-vae", "s4-classifier"]
FEW = {"data.subset": 512, "engine.plan": "reference"}


def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "benchmarks" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # Dataclasses look up their types there.
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["s2-dcgan", "s4-vae"])
def test_the_reports_images_are_genlabs(name: str) -> None:
    """Images converted one by one through PIL have the same pixels as images converted all at once."""
    recipe = genlab.load_recipe(name)
    mnist = data.first(data.load(recipe.data.name), 20)
    theirs = _OneByOne(mnist, recipe)
    mine = torch.from_numpy(fitted(mnist, recipe).images).float() * (2 / 255) - 1
    for k in range(20):
        x, label = theirs[k]
        assert torch.allclose(x, mine[k], atol=1e-6)
        assert mnist.labels is not None
        assert label == mnist.labels[k]


@pytest.mark.parametrize("name", SYSTEMS)
def test_plain_networks_are_the_same_functions(name: str) -> None:
    recipe = genlab.load_recipe(name)
    family = FAMILIES[recipe.family]
    made, examples = family.build(recipe, 10, Keyed(0)), family.examples(recipe, 10)
    for part, network in made.items():
        stand_in = plain(network).double().eval()
        inputs = [torch.randn_like(x.double()) if x.is_floating_point() else x for x in examples[part][0]]
        mine, theirs = network.double().eval()(*inputs), stand_in(*inputs)
        for a, b in zip(*[value if isinstance(value, tuple) else (value,) for value in (mine, theirs)], strict=True):
            assert torch.allclose(a, b, rtol=1e-10, atol=1e-12)
        assert not any(
            "genlab.engine.fast_layers.P" in str(type(m)) or "WholeMap" in str(type(m)) for m in stand_in.modules()
        )


@pytest.mark.parametrize("name", SYSTEMS)
def test_both_ways_train_every_system(name: str) -> None:
    wide = {"networks.generator.ngf": 8, "networks.discriminator.ndf": 8} if "dcgan" in name else {}
    changes = {**FEW, **wide, "budget.batch": 16}
    theirs, mine = ReportLoop(name, changes), GenlabLoop(name, changes)
    for loop in (theirs, mine):
        for _ in range(3):
            loop.step()
    assert len(theirs.losses) == 3
    assert np.isfinite(theirs.losses).all()
    recipe = theirs.recipe
    if FAMILIES[recipe.family].sampling:
        z = Keyed(0).normal("z", 0, 4, recipe.latent)
        for loop in (theirs, mine):
            images = loop.generate(z, torch.arange(4) if recipe.conditional else None)
            assert images.shape == (4, 1, recipe.data.size, recipe.data.size)
            assert 0 <= float(images.min()) <= float(images.max()) <= 1


def test_the_reports_first_losses_in_closed_form() -> None:
    """D's first loss is that of an untrained D, two cross-entropies of log 2; it falls as D learns."""
    loop = ReportLoop("s3-skeleton", {**FEW, "networks.discriminator.dropout": 0})
    assert isinstance(loop.recipe, GanRecipe)
    loop.step()
    assert loop.losses[0][0] == pytest.approx(2 * np.log(2), abs=0.2)  # an untrained D outputs 1/2
    assert loop.losses[0][1] == pytest.approx(np.log(2), abs=0.4)
    x, _ = next(iter(loop._loader))
    with torch.no_grad():
        before = loop.networks["discriminator"](x).mean()
    for _ in range(10):
        loop.step()
    assert loop.losses[-1][0] < loop.losses[0][0]
    with torch.no_grad():
        assert loop.networks["discriminator"](x).mean() > before  # real images have a high logit


def test_what_the_reports_did_not_do_is_refused() -> None:
    with pytest.raises(NotImplementedError, match="no penalty"):
        ReportLoop("quick-mnist", FEW).step()
    with pytest.raises(NotImplementedError, match="augmentation"):
        ReportLoop("s2-dcgan", {**FEW, "augmentation.cutout": 0.5}).step()
    with pytest.raises(NotImplementedError, match="constant rate"):
        ReportLoop("s2-dcgan", {**FEW, "optimisers.generator.schedule": "linear"}).step()


def test_the_interval_of_a_median() -> None:
    assert median_interval(range(9)) == (1, 7)  # 2nd and 8th of 9: 96.1 %
    assert median_interval([3, 1, 2, 6, 5, 4]) == (1, 6)  # 96.9 %
    assert median_interval([2.0, 1.0]) == (1, 2)
    stream = random.Random(0)
    held = [
        low <= 0 <= high for low, high in (median_interval([stream.gauss(0, 1) for _ in range(9)]) for _ in range(2000))
    ]
    assert statistics.mean(held) == pytest.approx(0.961, abs=0.02)


def test_steps_are_timed_in_turns() -> None:
    found = timing.paired("s4-classifier", timing.ways(), rounds=3, seconds=0.02)
    assert all(len(values) == 3 and min(values) > 0 for values in found.milliseconds.values())
    # Two products of 784 x 500 (the input needs no gradient), three of 500 x 10, 128 images, 2 operations each.
    expected = 128 * 2 * (2 * 784 * 500 + 3 * 500 * 10)
    assert timing.ways()[:2] == ["report", "float32"]
    for way in timing.ways()[1:]:
        assert found.facts[way]["flops"] == expected
        assert 100 < found.facts[way]["peak_memory_mb"] < 2000
        ratio, (low, high) = found.ratio(way)
        assert low <= ratio <= high
    doubled = timing.Paired({"report": [4.0, 6.0, 5.0], "float32": [2.0, 2.0, 2.0]})
    assert doubled.ratio("float32") == (2.5, (2.0, 3.0))


def test_the_interval_of_a_mean() -> None:
    for n, quantile in STUDENT.items():
        assert quantile == pytest.approx(scipy.stats.t.ppf(0.975, n - 1), abs=5e-4)
    values = [3.0, 4.0, 8.0]
    known = scipy.stats.t.interval(0.95, 2, loc=5.0, scale=scipy.stats.sem(values))
    mean, interval = mean_interval(values)
    assert mean == 5.0
    assert interval == pytest.approx(list(known), rel=1e-3)
    assert mean_interval([7.0]) == (7.0, None)


def test_a_training_that_fails_is_told() -> None:
    with pytest.raises(genlab.errors.GenlabError, match="process ended early"):
        timing.Stepper("s2-dcgan", "report", {"budget.batch": 0}).ready()


def test_the_peak_is_a_rate() -> None:
    found = timing.peak_gflops()
    assert list(found) == calibrate.measured("cpu").precisions()
    assert all(0.1 < value < 1e6 for value in found.values())


def test_a_precision_that_the_plan_left_out_is_not_timed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Neither a precision without CPU instructions nor one that was measured to be slower is timed."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    real = torch.randn

    def forms(device: str, threads: int) -> dict[str, float]:
        tried = {"linear float32": 1.0, "linear bfloat16": 9.0}
        return {form: value for form, value in tried.items() if form.split()[1] not in calibrate.impossible(device)}

    def products(*size: int, **options: Any) -> torch.Tensor:
        return real(*(min(n, 8) for n in size), **options)

    monkeypatch.setattr(torch, "randn", products)
    monkeypatch.setattr(calibrate, "_milliseconds", forms)
    for reasons in ({"bfloat16": "no instructions"}, {}):
        monkeypatch.setattr(calibrate, "impossible", lambda device, reasons=reasons: dict(reasons))
        assert calibrate.measured("cpu").precisions() == ["float32"]
        assert list(timing.peak_gflops()) == ["float32"]
        assert timing.ways() == ["report", "float32"]
        calibrate.cache_file().unlink(missing_ok=True)


@pytest.fixture
def fewer(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Score with 1,000 images instead of 10,000."""
    monkeypatch.setattr(quality, "FULL", 1000)
    quality.reference.cache_clear()
    yield
    quality.reference.cache_clear()


def test_a_curve(fewer: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    changes = {"networks.generator.ngf": 4, "networks.discriminator.ndf": 4, "budget.batch": 16, "engine.threads": 1}
    asked = {"recipe": "quick-mnist", "way": "float32", "seed": 0, "marks": [2, 4], "overrides": changes}
    monkeypatch.setattr(sys, "stdin", io.StringIO(json.dumps(asked)))
    quality.serve()
    first, last = json.loads(capsys.readouterr().out)
    assert (first["step"], last["step"]) == (2, 4)
    assert 0 < first["seconds"] < last["seconds"]
    assert first["floors"] > 30  # images of noise; the floor of 1,000 images is higher than that of 10,000
    assert 0 <= last["requested"] <= 0.4


def test_a_curve_is_of_a_process_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "import torch; " in timing.child_of("report", "quality")[-1]
    assert timing.child_of("float32", "quality")[-1] == "from genlab.bench import quality; quality.serve()"
    echo = "import json, sys; print(json.dumps([json.load(sys.stdin)]))"
    monkeypatch.setattr(quality, "child_of", lambda *_: [sys.executable, "-c", echo])
    asked = {"recipe": "r", "way": "auto", "seed": 3, "marks": [1, 2], "overrides": {"budget.batch": 8}}
    assert quality.curve("r", "auto", 3, (1, 2), {"budget.batch": 8}) == [asked]
    monkeypatch.setattr(quality, "child_of", lambda *_: [sys.executable, "-c", "raise SystemExit(1)"])
    with pytest.raises(genlab.errors.GenlabError, match="process ended early"):
        quality.curve("r", "auto", 3, (1, 2))


class Perfect:
    """A loop that generates real images."""

    recipe = genlab.load_recipe("s4-dcgan")

    def step(self) -> None: ...

    def generate(self, z: torch.Tensor, labels: torch.Tensor | None = None) -> torch.Tensor:
        against, _ = quality.reference(self.recipe.data)
        return torch.from_numpy(against.training_images(len(z)).images / np.float32(255))


def test_real_images_are_at_the_floor(fewer: None) -> None:
    assert quality.score(Perfect(), 0) == {"floors": pytest.approx(1.0), "requested": None}


def test_a_row_of_the_records() -> None:
    speedrun = script("speedrun")
    entry = speedrun.Entry("mnist", "conditional", "s2", "quick-mnist", 100)
    ours = [[{"step": 100, "seconds": s, "floors": f, "requested": 0.9}] for s, f in ((1.0, 50.0), (3.0, 70.0))]
    theirs = [[{"step": 2345, "seconds": s, "floors": 65.0, "requested": None}] for s in (100.0, 150.0)]
    row = speedrun.row(entry, ours, theirs, 65.0)
    assert (row["seconds"], row["floors"], row["reached"]) == (2.0, 60.0, True)  # means over seeds
    assert row["ratio"] == pytest.approx(75.0)  # mean of 100 and 50
    assert row["interval"] == pytest.approx([75 - 12.706 * 25, 75 + 12.706 * 25], rel=1e-3)
    alone = speedrun.row(entry, ours, theirs[:1], 65.0)  # every seed is compared with the one reference
    assert alone["ratio"] == pytest.approx((100 + 100 / 3) / 2)
    missed = speedrun.row(entry, ours, theirs, 59.0)
    assert (missed["reached"], missed["ratio"]) == (False, None)
    assert "not reached" in speedrun.table([missed])


def test_what_genlab_bench_compares_with_is_what_the_benchmarks_recorded() -> None:
    known = records.load()
    rows = json.loads((ROOT / "benchmarks" / "records.json").read_text("utf-8"))
    speedrun = script("speedrun")
    classes = speedrun.by_class(rows)
    first = classes[records.machine_class(known["machine"])]
    assert [race["seconds"] for race in known["speedrun"]] == [row["seconds"] for row in first if row["reached"]]
    measured: dict[str, Any] = json.loads((ROOT / "benchmarks" / "records" / "throughput.json").read_text("utf-8"))
    assert known["throughput"] == {row["system"]: row["ratio"] for row in measured["systems"]}
    page = (ROOT / "benchmarks" / "RECORDS.md").read_text("utf-8")
    assert all(speedrun.table(each) in page for each in classes.values())
