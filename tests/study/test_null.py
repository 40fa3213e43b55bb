"""How often studies err under the null, with real runs, and their power if there is a true difference."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from genlab.evaluation import power, statistics
from genlab.study import design, forecast
from genlab.study.claims import decide
from genlab.study.design import ALPHA
from genlab.study.folder import Folder
from genlab.study.outcome import outcome
from genlab.study.plan import plan
from genlab.study.record import read_record
from plans import leave, planned

STUDIES = Path(__file__).parent.parent.parent / "studies"
POOL = STUDIES / "results" / "pool"


def pool() -> dict[str, np.ndarray[Any, np.dtype[np.float64]]]:
    """Quantity -> its values in 24 real runs of one recipe that differ only in their seed."""
    study = design.load(STUDIES / "pool.yaml")
    records = [read_record(path) for path in sorted((POOL / "records").glob("*.json"))]
    assert len(records) == 24
    return {name: np.array([r.value(q) for r in records], np.float64) for name, q in study.quantities.items()}


DIFFER = {"kind": "difference", "expect": "different"}


def claims_of(quantities: list[str], kind: dict[str, Any] = DIFFER) -> dict[str, Any]:
    """One claim of that kind per quantity, all of one question."""
    claim = {"says": "So it is.", "arms": ["a", "b"], **kind}
    study = {
        "schema": 1,
        "name": "s",
        "recipe": "s2-dcgan",
        "arms": {"a": {}, "b": {}},
        "seeds": 8,
        "quantities": dict.fromkeys(quantities, "frechet_distance"),
        "claims": {name: {**claim, "of": name} for name in quantities},
    }
    return design.check(study, "s").claims


def false_verdicts(splits: int) -> float:
    """Share of random splits of the pool into two arms of eight for which any verdict finds a difference."""
    values, rng, wrong = pool(), np.random.default_rng(0), 0
    claims = claims_of(list(values))
    for _ in range(splits):
        order = rng.permutation(24)
        arms = {"a": order[:8], "b": order[8:16]}
        numbers = {q: {arm: dict(enumerate(v[rows].tolist())) for arm, rows in arms.items()} for q, v in values.items()}
        found = decide(claims, numbers, ("a", "b"), {})
        wrong += any(verdict.answer == "holds" for verdict in found.values())
    return wrong / splits


def test_runs_that_differ_by_their_seed_alone_are_rarely_found_different() -> None:
    assert false_verdicts(150) <= ALPHA + 2 * np.sqrt(ALPHA * (1 - ALPHA) / 150)


@pytest.mark.slow
def test_at_most_six_of_a_hundred_studies_of_nothing_find_a_difference() -> None:
    assert 0.005 <= false_verdicts(2000) <= 0.06


def test_the_pool_is_what_its_study_file_says() -> None:
    study = plan(design.load(STUDIES / "pool.yaml"), STUDIES)
    records = [read_record(path) for path in sorted((POOL / "records").glob("*.json"))]
    assert {record.identity for record in records} == {study.arms[0].identity}
    assert sorted(record.seed for record in records) == list(study.seeds)
    assert len({record.weights for record in records}) == 24
    assert json.loads((POOL / "plan.json").read_text("utf-8"))["facts"]["seeds"] == list(study.seeds)


def share_found(effect: float, n: int, tests: int, studies: int) -> float:
    """Share of studies of `tests` claims, one of them true by `effect` SD, that find it after Holm's correction."""
    rng, found = np.random.default_rng(1), 0
    for _ in range(studies):
        ps = [
            statistics.difference(rng.normal(size=n) + (effect if k == 0 else 0), rng.normal(size=n)).p
            for k in range(tests)
        ]
        found += statistics.holm(ps)[0] <= ALPHA
    return found / studies


def test_two_sd_are_found_by_eight_seeds_among_five_claims() -> None:
    assert share_found(2.0, n=8, tests=5, studies=600) >= 0.80


def equivalent(difference: float, margin: float, studies: int, seed: int) -> float:
    """Share of studies of eight pairs that find their arms equivalent; the SD of the pairs' differences is 1."""
    rng = np.random.default_rng(seed)
    claims, found = claims_of(["q"], {"kind": "equivalence", "margin": margin, "paired": True}), 0
    for _ in range(studies):
        base = rng.normal(size=8) * 5
        apart = rng.normal(size=8) + difference
        numbers = {"q": {"a": dict(enumerate(base + apart)), "b": dict(enumerate(base))}}
        found += decide(claims, numbers, ("a", "b"), {})["q"].tests[0].answer == "equivalent"
    return found / studies


def test_a_difference_of_exactly_the_margin_is_rarely_called_equivalent() -> None:
    assert equivalent(1.25, 1.25, 500, seed=0) <= 0.06
    assert equivalent(-1.25, 1.25, 500, seed=1) <= 0.06


def test_no_difference_is_found_equivalent_with_a_margin_of_a_quarter_more_than_a_sd() -> None:
    assert equivalent(0.0, 1.25, 500, seed=2) >= 0.80


def test_what_is_said_beforehand_is_what_comes_true() -> None:
    """Effects from `detectable` and margins from `showable` are found in 80 of 100 simulated studies."""
    for n in (6, 8):
        assert share_found(power.detectable(n, ALPHA), n, 1, 300) == pytest.approx(0.8, abs=0.07)
    margin = power.showable(8, ALPHA, pairs=True)
    assert equivalent(0.0, margin, 300, seed=3) == pytest.approx(0.8, abs=0.07)


def test_the_spread_that_margins_are_planned_with_is_that_within_machines(tmp_path: Path) -> None:
    """A machine that adds 100 to all its runs needs no more seeds: arms are compared within each kind of machine."""
    claim = {"says": "So it is.", "of": "loss", "kind": "equivalence", "margin": 9.0, "arms": ["fast", "slow"]}
    made = planned(seeds=8, claims={"same": claim})
    for name, added in (("one", 0.0), ("two", 100.0)):
        folder = Folder(tmp_path / name)
        for cell in made.cells:
            value = cell.seed % 4 + added * (cell.seed > 3)
            leave(folder, made, cell, value, where={"processor": f"P{cell.seed // 4}"})
        (facts,) = forecast._claims(made, outcome(made, folder))[1]
        assert facts["seeds_for_margin"] == "3 (SD 1.29)"


def test_what_a_plan_can_show_counts_the_corrections(tmp_path: Path) -> None:
    """A margin has to be shown beside the question's other margins, a difference beside all its other tests."""
    common = {"says": "So it is.", "of": "loss", "arms": ["fast", "slow"], "question": "Which?"}
    kinds: list[dict[str, Any]] = [
        {"kind": "equivalence", "margin": 1.0},
        {"kind": "difference", "expect": "lower", "margin": 1.0},
        {"kind": "difference", "expect": "lower"},
    ]
    made = planned(seeds=8, claims={f"c{k}": {**common, **more} for k, more in enumerate(kinds)})
    _, facts = forecast._claims(made, outcome(made, Folder(tmp_path)))
    assert {each["equivalence_margin_sd"] for each in facts} == {power.showable(8, ALPHA / 2)}
    assert {each["detectable_sd"] for each in facts} == {power.detectable(8, ALPHA / 3)}
    assert facts[2]["smallest_corrected_p"] == pytest.approx(3 * 2 / 12_870)
