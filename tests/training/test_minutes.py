"""`--minutes`: a time is resolved to plain numbers once, and the run is as exact as any other."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

import genlab
from genlab import data
from genlab.cli import main as cli
from genlab.errors import RecipeError, StudyError, UsageError
from genlab.recipe import GanRecipe, files
from genlab.recipe.schedule import Schedule
from genlab.study.study import Study
from genlab.training import minutes
from genlab.training.assemble import assemble, prepare, settle
from genlab.training.minutes import LADDER, Pace, Reached, Timed, length, resolved, rung, widest, width

STEP = Timed(0.1, 5e9)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[GanRecipe]:
    """Let every step take a tenth of a second; returns the recipes that were timed."""
    asked: list[GanRecipe] = []

    def timed(recipe: GanRecipe, *_: Any, **more: Any) -> Timed:
        asked.append(recipe)
        return STEP

    monkeypatch.setattr(minutes, "timed", timed)
    return asked


def of(recipe: str, asked: float, **overrides: Any) -> minutes.Resolved:
    changes = {**overrides, "budget.minutes": asked}
    return resolved(recipe, changes, *settle(recipe, changes, data.load))


def test_a_ladder() -> None:
    rungs = sorted({rung(n) for n in range(1, 20_000)})
    assert all(rung(n) == n for n in rungs if n > 30), "a rung is its own nearest one"
    assert all(b / a < LADDER * 1.05 for a, b in pairwise(rungs) if a > 30)
    assert all(abs(rung(n) / n - 1) < 0.045 for n in range(50, 20_000))


def test_two_timings_of_one_machine_mean_the_same() -> None:
    middle = LADDER**80
    assert {rung(middle * noise) for noise in (0.97, 0.99, 1, 1.01, 1.03)} == {round(middle)}


@pytest.mark.parametrize(
    ("asked", "epochs", "most"), [(1, 1, 595), (0.05, 1, 30), (3, 2, 1746), (100, 65, 60200), (1.6, 1, None)]
)
def test_epochs_and_steps(asked: float, epochs: int, most: int | None) -> None:
    """Steps of a tenth of a second fill the minutes, in epochs of 937 steps; the last case is exactly one epoch."""
    per_epoch = 937 if most else rung(960)
    found = length(asked, STEP, Schedule(60_000, 64, per_epoch, per_epoch))
    assert found == {"budget.epochs": epochs, "budget.max_steps": most}
    steps = most or per_epoch
    assert abs(steps * 0.1 / (60 * asked) - 1) < 0.05


def test_the_numbers_of_a_recipe(clock: list[GanRecipe]) -> None:
    found = of("quick-mnist", 1)
    assert found.overrides == {
        **width(16),
        "name": "quick-mnist-1min",
        "budget.minutes": None,
        "budget.epochs": 1,
        "budget.max_steps": 595,
    }
    assert found.facts["teraops"] == pytest.approx(595 * 5e9 / 1e12)
    recipe = files.load("quick-mnist", found.overrides)
    assert recipe.budget.minutes is None
    assert Schedule.of(recipe, 60_000).total_steps == 595
    assert of("quick-mnist", 1).facts["base"] == found.facts["base"] != of("quick-fashion", 1).facts["base"]


def test_networks_without_channels_keep_their_widths() -> None:
    """Another kind of network has no ngf or ndf that minutes could choose."""
    plain = genlab.load_recipe("quick-mnist-unconditional")
    mlp = genlab.load_recipe("quick-mnist-unconditional", {"networks.generator.kind": "mlp"})
    assert [minutes._has_width(recipe) for recipe in (plain, mlp)] == [True, False]


def test_the_width_is_taken_that_learns_most(monkeypatch: pytest.MonkeyPatch) -> None:
    """Channels times steps decide; a narrower network must give a tenth more, since timings differ, too. Below 1,500
    steps, the steps alone decide, down to 16 channels."""
    assert widest({16: 1.0, 24: 1.3, 32: 2.0}, 3000) == 24
    assert widest({16: 1.0, 24: 1.5, 32: 2.0}, 3000) == widest({16: 1.0, 24: 1.4, 32: 1.83}, 3000) == 32
    assert widest({16: 1.0, 24: 1.7, 32: 2.3}, 6000) == 16
    assert widest({16: 1.0, 24: 1.3, 32: 2.0}, 2990) == 24
    assert widest({16: 1.0, 24: 1.3, 32: 2.0}, 1900) == 16
    assert widest({16: 1.0, 24: 1.08, 32: 1.09}, 1000) == 32
    assert widest({12: 1.0, 16: 1.4}, 1000) == 16
    assert widest({12: 1.0, 16: 1.5}, 1000) == 12
    asked = []

    def timed(recipe: GanRecipe, *_: Any, **more: Any) -> Timed:
        asked.append((recipe.networks.generator.ngf, recipe.budget.batch))  # type: ignore[union-attr]
        return Timed({32: 0.4, 24: 0.2, 16: 0.19, 12: 0.18}[asked[-1][0]], 5e9)

    monkeypatch.setattr(minutes, "timed", timed)
    chosen = of("quick-fashion", 1, **{"budget.batch": 16}).overrides
    assert {key: chosen[key] for key in width(24)} == width(24)
    # Each width with the caller's settings, and the chosen one again.
    assert asked == [(32, 16), (24, 16), (16, 16), (12, 16), (24, 16)]
    asked.clear()
    assert {key: value for key, value in of("quick-mnist", 1).overrides.items() if key in width(16)} == width(16)
    assert {channels for channels, _ in asked} == {16, 12}, "digits need no more than 16 channels"
    asked.clear()
    mine = of("quick-mnist", 1, **{"networks.generator.ngf": 32}).overrides
    assert "networks.discriminator.ndf" not in mine, "the caller's width is not touched"
    assert len(asked) == 1


def test_a_short_training_has_its_learning_rate(clock: list[GanRecipe]) -> None:
    """Only an unchanged recipe gets the rate that was measured for it; a minute here is 19,040 channels times steps
    with 32 channels, 9,520 with 16."""
    both = ("optimisers.generator.lr", "optimisers.discriminator.lr")
    assert [of("quick-fashion", 1).overrides.get(lr) for lr in both] == [0.0045, 0.0045]
    assert not {*both} & of("quick-fashion", 3).overrides.keys()
    assert [of("quick-mnist-unconditional", 1).overrides.get(lr) for lr in both] == [0.003, 0.003]
    assert not {*both} & of("quick-mnist-unconditional", 12).overrides.keys()
    assert not {*both} & of("quick-mnist", 1).overrides.keys()
    assert of("quick-fashion", 1, **{both[0]: 0.001}).overrides[both[0]] == 0.001
    assert both[1] not in of("quick-fashion", 1, **{both[0]: 0.001}).overrides
    assert not {*both} & of("quick-fashion", 1, **{"objective.sigma": 0.2}).overrides.keys()


def test_what_can_be_expected(monkeypatch: pytest.MonkeyPatch) -> None:
    """A power law in channels times steps between known results; those at the ends hold for a fifth beyond them."""
    known = {"quick-mnist": Reached(9, ((1, 80), (4, 20), (16, 10))), "alone": Reached(9, ((1, 80),))}
    monkeypatch.setattr(minutes, "REACHED", known)
    for steps, distance in ((100, 80), (200, 40), (400, 20), (800, 20 / 2**0.5), (1600, 10), (1900, 10), (90, 80)):
        assert minutes.expected("quick-mnist", 10, steps) == pytest.approx(distance)
    assert minutes.expected("quick-mnist", 10, 80) is minutes.expected("quick-mnist", 10, 2000) is None
    assert minutes.expected("alone", 11, 100) == pytest.approx(80)
    assert minutes.expected("alone", 20, 100) is minutes.expected("other", 10, 100) is None


def test_nothing_is_expected_of_a_changed_recipe(clock: list[GanRecipe], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(minutes, "REACHED", {"quick-mnist": Reached(9, ((9.5, 20),))})
    assert of("quick-mnist", 1).words.endswith("expect a distance of 20 x that of real images")
    assert "expect" not in of("quick-mnist", 1, **{"objective.sigma": 0.1}).words
    assert "expect" not in of("quick-mnist", 1, **{"budget.batch": 32}).words
    assert "expect" not in of("quick-fashion", 1).words


def test_a_recipe_as_it_stands_says_what_it_takes(clock: list[GanRecipe], monkeypatch: pytest.MonkeyPatch) -> None:
    """With steps of 0.1 s, 16 channels learn most, and a minute is 9,520 channels times steps."""
    monkeypatch.setattr(minutes, "REACHED", {"quick-mnist": Reached(9.2, ((9.52, 20), (60, 10)))})
    recipe, whole = files.load("quick-mnist"), genlab.load_dataset("mnist")
    steps = Schedule.of(recipe, len(whole)).total_steps
    assert minutes.is_foretold(recipe)
    assert minutes.foretold(recipe, whole) == (
        f"quick-mnist: {steps:,} steps of 100.0 ms, {steps / 600:.2g} min here; expect a distance of 9.2 x "
        "that of real images; with --minutes 1 about 20 x"
    )
    monkeypatch.setattr(minutes, "REACHED", {"quick-mnist": Reached(9.2, ((60, 10),))})
    assert minutes.foretold(recipe, whole).endswith("9.2 x that of real images")
    assert minutes.is_foretold(files.load("quick-mnist", {"engine.threads": 1, "logging.metrics_every": 7}))
    assert not minutes.is_foretold(files.load("quick-mnist", {"budget.batch": 32}))
    assert not minutes.is_foretold(files.load("quick-fashion"))


def test_what_is_known_is_of_recipes_as_they_are() -> None:
    assert set(minutes.REACHED) == set(minutes.WIDTHS)
    for name, widths in minutes.WIDTHS.items():
        assert minutes.channels_of(files.load(name)) in widths
        for n in widths:
            assert minutes.channels_of(files.load(name, width(n))) == n


def test_a_run_has_plain_numbers_and_goes_on(
    small: Callable[..., GanRecipe], tmp_path: Path, clock: list[GanRecipe]
) -> None:
    recipe = small({"budget.epochs": 1})
    run = genlab.train(recipe, minutes=0.02, runs=tmp_path, report=False)
    assert run.recipe.name == f"{recipe.name}-0.02min"
    assert run.recipe.budget.minutes is None
    assert run.status["step"] == rung(12)
    assert run.provenance["minutes"]["minutes"] == 0.02
    plain = genlab.train(run.recipe, runs=tmp_path / "plain", report=False)
    assert plain.metrics()[-1]["loss_g"] == run.metrics()[-1]["loss_g"]
    with pytest.warns(UserWarning, match="already finished"):
        genlab.train(resume=run.path, report=False)


def test_real_steps_are_timed_and_nothing_of_them_stays(small: Callable[..., GanRecipe], tmp_path: Path) -> None:
    recipe = small({"budget.max_steps": 3})
    before = genlab.train(recipe, runs=tmp_path, report=False).metrics()[-1]["loss_g"]
    found = minutes.timed(*prepare(recipe, {}))
    assert 0.0001 < found.seconds < 2
    assert found.multiply_adds > 1e5
    assert genlab.train(recipe, runs=tmp_path, report=False).metrics()[-1]["loss_g"] == before


def test_a_recipe_that_diverges_is_timed_all_the_same(small: Callable[..., GanRecipe]) -> None:
    changes = {"optimisers.generator.lr": 1e4, "optimisers.discriminator.lr": 1e4}
    assert 0.0001 < minutes.timed(*prepare(small(changes), {})).seconds < 2


@pytest.mark.parametrize("asked", [0, -1, float("inf"), float("nan"), True, "soon"])
def test_no_time(asked: Any) -> None:
    with pytest.raises(RecipeError, match=r"budget\.minutes is"):
        files.load("quick-mnist", {"budget.minutes": asked})


def test_a_length_and_a_time(clock: list[GanRecipe], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"budget\.minutes is 1, but budget\.epochs is 3; give one of them"):
        genlab.train("quick-mnist", minutes=1, epochs=3, runs=tmp_path)
    with pytest.raises(UsageError, match=r"budget\.minutes is 1: only genlab train"):
        assemble(files.load("quick-mnist", {"budget.minutes": 1}), data.load("mnist"), 0)
    assert list(tmp_path.iterdir()) == []


def test_a_study_takes_steps(clock: list[GanRecipe], tmp_path: Path) -> None:
    """Minutes are turned into steps once, when the study file is written."""
    file = tmp_path / "study.yaml"
    vary = ["--vary", "networks.latent=8,16", "--seeds", "4", "-o", str(file)]
    cli.main(["study", "new", "quick-mnist", *vary, "--minutes", "1"])
    study = Study.at(file)
    assert [arm.share.steps for arm in study.plan.arms] == [595, 595]
    assert "minutes: 1" not in file.read_text("utf-8")
    file.write_text(file.read_text("utf-8").replace("budget.minutes: null", "budget.minutes: 1"), "utf-8")
    with pytest.raises(StudyError, match=r"budget\.minutes: a study needs a number of steps"):
        Study.at(file)


class Training:
    """What an observer hears of a training whose steps take `seconds` each."""

    def __init__(self, steps: int, seconds: float) -> None:
        self.watch = Pace({"milliseconds_a_step": 100, "minutes": 1})
        self.watch.started(Schedule(60_000, 64, 937, steps), None, 0)  # type: ignore[arg-type]
        self.seconds = seconds

    def until(self, step: int) -> None:
        for k in range(1, step + 1):
            self.watch.stepped(k, k * self.seconds)


def test_an_overrun_is_said_in_the_first_tenth() -> None:
    slow = Training(600, 0.2)
    with pytest.warns(
        UserWarning, match=r"2 times as long .* about 2 minutes instead of 1; the number of steps stays the same"
    ) as told:
        slow.until(60)
    assert len(told) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Training(600, 0.105).until(600)
        late = Training(600, 0.1)
        late.until(60)
        for step in range(61, 600):
            late.watch.stepped(step, 6 + (step - 60) * 0.5)
