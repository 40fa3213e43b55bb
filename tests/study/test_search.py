"""A search: all trials have equal operations, no collapsed or diverged one wins, and a stop changes nothing."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from genlab.api.train import show
from genlab.errors import RecipeError, UsageError
from genlab.recipe import files
from genlab.study.record import read_record
from genlab.study.search import Dimension, Search, Trial, lacking
from genlab.study.study import Study

LR = "optimisers.both.lr"
NGF = "networks.generator.ngf"


@pytest.fixture
def common(digits: Path, tmp_path: Path) -> dict[str, Any]:
    """Arguments of every search here: small networks, 100 digits."""
    overrides = {
        "data.name": str(digits),
        NGF: 4,
        "networks.discriminator.ndf": 4,
        "budget.batch": 16,
        "logging.evaluation": "none",
        "logging.metrics_every": 1,
    }
    places = {"results": tmp_path / "searches" / "mine", "runs": tmp_path / "runs"}
    return {"teraops": 0.0002, "overrides": overrides, "images": 100, **places}


def made(common: dict[str, Any], *vary: str, **more: Any) -> Search:
    return Search("quick-mnist", vary, **{**common, **more})


def test_what_is_varied() -> None:
    assert Dimension.parse("a.b=1e-3..1e-2") == Dimension("a.b", 0.001, 0.01)
    assert Dimension.parse("a.b=8..64") == Dimension("a.b", 8, 64)
    assert Dimension.parse("a=batch,none") == Dimension("a", values=("batch", "none"))
    for wrong in ("a", "a=", "a=3", "a=3..3", "a=5..3", "a=x..y", "a=1..2..3", "a=1..2,3"):
        with pytest.raises(UsageError, match="--vary"):
            Dimension.parse(wrong)


class Recorded:
    """A trial that records what it was asked for."""

    def __init__(self) -> None:
        self.asked: list[tuple[Any, ...]] = []

    def __getattr__(self, name: str) -> Any:
        def suggest(path: str, *values: Any, **how: Any) -> Any:
            self.asked.append((name, path, *values, how))
            return values[0][0] if isinstance(values[0], list) else values[0]

        return suggest


def test_wide_ranges_are_searched_by_the_logarithm() -> None:
    trial = Recorded()
    for text in ("a=1e-3..1e-2", "a=0.1..0.5", "a=0..1.5", "a=8..128", "a=2..4", "a=x,y"):
        Dimension.parse(text).choose(trial)
    assert [(name, how.get("log")) for name, *_, how in trial.asked] == [
        ("suggest_float", True),
        ("suggest_float", False),
        ("suggest_float", False),
        ("suggest_int", True),
        ("suggest_int", False),
        ("suggest_categorical", None),
    ]


def test_a_wider_network_makes_fewer_steps(common: dict[str, Any]) -> None:
    narrow, wide = (made(common, f"{LR}=1e-3..1e-2", teraops=0.1)._trial("t", {NGF: ngf}) for ngf in (4, 16))
    spent = []
    for trial in (narrow, wide):
        cost = show("quick-mnist", {**common["overrides"], **trial.overrides}).cost
        spent.append(trial.steps * cost.multiply_adds / cost.steps)
    assert wide.steps < narrow.steps
    assert spent == pytest.approx([1e11, 1e11], rel=0.01)


def test_what_may_not_be_paid_for_a_distance() -> None:
    base = {"recall": 0.5, "requested_class_accuracy": 0.9, "missing_classes": 0.0}
    assert lacking(base, base) == (0.0, "")
    assert lacking({**base, "recall": 0.49}, base) == (0.0, "")
    lacks, words = lacking({**base, "recall": 0.4}, base)
    assert (round(lacks, 6), words) == (0.08, "recall 0.400, below the recipe's 0.500")
    assert lacking({**base, "requested_class_accuracy": 0.8}, base)[0] == pytest.approx(0.09)
    assert lacking({**base, "missing_classes": 2.0, "recall": 0.0}, base) == (3.0, "2 classes are missing")
    assert lacking({}, {}) == (0.0, "")


def test_the_best_that_can_win_wins(common: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """A smaller distance with less variety is reported to Optuna with a penalty, and is not chosen."""
    told: list[Trial] = []

    def results(self: Search, number: int, trials: list[Trial], workers: int, options: Any) -> list[Trial]:
        reached = {
            "base": {"distance": 10.0},
            "t001": {"distance": 1.0, "why": "recall", "shortfall": 0.2},
            "t002": {"why": "failed"},
            "t003": {"distance": 7.0},
        }
        told.extend(replace(trial, **reached[trial.name]) for trial in trials)  # type: ignore[arg-type]
        return told[-len(trials) :]

    monkeypatch.setattr(Search, "_round", results)
    found = made(common, f"{LR}=1e-3..1e-2", trials=3)
    best = found.run(workers=2)
    assert best.name == "t003"
    assert [trial.name for trial in found.done] == ["base", "t001", "t002", "t003"]
    assert [trial.score for trial in told] == [10.0, 3.0, None, 7.0]
    recipe = files.load(common["results"] / "best.yaml")
    assert recipe.name == "quick-mnist-searched"
    assert (recipe.budget.max_steps, recipe.optimisers.generator.lr) == (best.steps, best.overrides[LR])  # type: ignore[union-attr]
    study = Study.at(common["results"] / "confirm.yaml", runs=common["runs"])
    assert study.plan.seeds == (100, 101, 102, 103, 104)
    assert study.plan.names == ("base", "searched")
    assert study.plan.arm("searched").share.steps == best.steps


def test_a_search_goes_on_and_nothing_is_trained_twice(common: dict[str, Any]) -> None:
    first = made(common, f"{NGF}=2,4,8", f"{LR}=1e-3..1e-2", trials=1)
    first.run(progress=False)
    records = {path: path.read_bytes() for path in common["results"].rglob("records/*.json")}
    assert len(records) == 2
    longer = made(common, f"{NGF}=2,4,8", f"{LR}=1e-3..1e-2", trials=2)
    longer.run(progress=False)
    assert longer.done[:2] == first.done
    assert {path: path.read_bytes() for path in records} == records
    assert all(trial.distance is not None for trial in longer.done)


def test_what_diverges_does_not_win(common: dict[str, Any]) -> None:
    found = made(common, f"{LR}=1e-3..1e-2")
    (base,) = found._round(0, [found.base], 1, {"progress": False})
    assert base.distance is not None
    record = read_record(next(common["results"].rglob("records/*.json")))
    trial = found._judged(found.base, [record], [])
    assert (trial.distance, trial.why) == (base.distance, "")
    diverged = replace(record, state="diverged", reason="step 3, generator: the loss is nan")
    trial = found._judged(found.base, [diverged], [])
    assert (trial.score, trial.why) == (None, "failed: step 3, generator: the loss is nan")
    assert found._judged(found.base, [], ["killed"]).why == "failed: killed"


def test_no_recipe(common: dict[str, Any]) -> None:
    """A trial with an invalid recipe is not trained; an unknown field is refused at once."""
    common["overrides"] |= {"networks.generator.conditioning": "branches"}  # Each branch has half of the channels.
    found = made(common, f"{NGF}=3,5", trials=1)
    assert found.run(progress=False).name == "base"
    assert "must be even" in found.done[1].why
    with pytest.raises(RecipeError, match=r"unknown field optimisers\.generator\.rate"):
        made(common, "optimisers.both.rate=1e-3..1e-2")


@pytest.mark.parametrize("more", [{"teraops": 0.0}, {"teraops": float("nan")}, {"trials": 0}, {"seeds": 0}])
def test_nothing_to_search(more: dict[str, Any], common: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="a search needs"):
        made(common, f"{LR}=1e-3..1e-2", **more)
    with pytest.raises(UsageError, match="a search needs"):
        made(common)
    with pytest.raises(UsageError, match=r"budget\.max_steps: a search sets the length of each trial itself"):
        made(common, "budget.max_steps=10..100")
    with pytest.raises(UsageError, match="names a field twice"):
        made(common, f"{LR}=1e-3..1e-2", f"{LR}=1,2")


def test_without_optuna(common: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(UsageError, match=r"pip install 'genlab\[search\]'"):
        made(common, f"{LR}=1e-3..1e-2")
