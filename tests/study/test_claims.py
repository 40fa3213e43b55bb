"""Verdicts: what the numbers say about the arms, what follows for the claim, and that interval and verdict agree."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from genlab.evaluation import statistics
from genlab.study import design
from genlab.study.claims import Verdict, decide
from genlab.study.design import ALPHA

ARMS = ("a", "b", "c")
BASE: dict[str, Any] = {"says": "So it is.", "of": "q"}
DIFFERENCE: dict[str, Any] = {**BASE, "kind": "difference", "arms": ["a", "b"], "expect": "higher"}
EQUIVALENCE: dict[str, Any] = {**BASE, "kind": "equivalence", "arms": ["a", "b"], "margin": 2.0}


def claims_of(*claims: dict[str, Any]) -> dict[str, Any]:
    study = {
        "schema": 1,
        "name": "s",
        "recipe": "quick-mnist",
        "arms": {arm: {} for arm in ARMS},
        "seeds": 8,
        "quantities": {"q": "frechet_distance"},
        "claims": {f"c{k}": claim for k, claim in enumerate(claims)},
    }
    return design.check(study, "s").claims


def numbers(**arms: Any) -> dict[str, dict[str, dict[int, float]]]:
    return {"q": {arm: dict(enumerate(map(float, values))) for arm, values in arms.items()}}


def one(claim: dict[str, Any], **arms: Any) -> Verdict:
    return decide(claims_of(claim), numbers(**arms), ARMS, {})["c0"]


LOW, HIGH = np.arange(8.0), np.arange(8.0) + 20
MIXED = np.array([0.0, 9, 1, 8, 2, 7, 3, 6])


@pytest.mark.parametrize(
    ("expect", "a", "b", "arms", "answer"),
    [
        ("higher", HIGH, LOW, "higher", "holds"),
        ("higher", LOW, HIGH, "lower", "does not hold"),
        ("lower", LOW, HIGH, "lower", "holds"),
        ("lower", HIGH, LOW, "higher", "does not hold"),
        ("different", HIGH, LOW, "higher", "holds"),
        ("different", LOW, HIGH, "lower", "holds"),
        ("higher", MIXED, MIXED + 0.1, "not distinguishable", "cannot be decided here"),
        ("different", MIXED, MIXED + 0.1, "not distinguishable", "cannot be decided here"),
    ],
)
def test_a_difference_is_answered_for_the_arms_and_for_the_claim(
    expect: str, a: Any, b: Any, arms: str, answer: str
) -> None:
    verdict = one({**DIFFERENCE, "expect": expect}, a=a, b=b)
    assert (verdict.tests[0].answer, verdict.answer) == (arms, answer)
    assert (verdict.why != "") == (answer == "cannot be decided here")


def test_no_difference_holds_only_where_the_arms_are_equivalent() -> None:
    """Finding no difference proves nothing: seeds that cannot show equivalence within the margin leave a claim open."""
    same = MIXED[::-1]
    assert one({**EQUIVALENCE, "margin": 9.0}, a=MIXED, b=same).answer == "holds"
    assert one({**EQUIVALENCE, "margin": 0.5}, a=MIXED, b=same).answer == "cannot be decided here"
    assert one(EQUIVALENCE, a=LOW, b=HIGH).answer == "does not hold"


@pytest.mark.parametrize("claim", [EQUIVALENCE, {**DIFFERENCE, "expect": "different"}])
def test_the_interval_of_equivalent_arms_lies_within_the_margin_and_that_of_others_does_not(
    claim: dict[str, Any],
) -> None:
    """The interval is that of the two one-sided tests, at 1 - 2 alpha; that of the difference may be wider."""
    a, b = MIXED / 2, MIXED[::-1] / 2
    low, high = statistics.equivalence_interval(a, b, 1 - 2 * ALPHA)
    inside = one({**claim, "margin": 1.001 * max(-low, high)}, a=a, b=b).tests[0]
    assert inside.answer == "equivalent"
    assert inside.level == pytest.approx(1 - 2 * ALPHA)
    assert inside.interval == pytest.approx((low, high))
    assert statistics.difference(a, b, 1 - ALPHA).interval[1] > 1.001 * high
    outside = one({**claim, "margin": 0.999 * max(-low, high)}, a=a, b=b).tests[0]
    assert outside.answer == "not distinguishable"
    assert outside.interval is not None
    assert outside.interval[1] > 0.999 * high


def test_each_of_several_equivalences_has_the_interval_at_which_it_was_decided() -> None:
    claims = claims_of(*({**EQUIVALENCE, "arms": ["a", other], "margin": 4.0} for other in ("b", "c")))
    found = decide(claims, numbers(a=MIXED / 2, b=MIXED[::-1] / 2, c=MIXED / 2 + 1.5), ARMS, {})
    for verdict in found.values():
        low, high = verdict.tests[0].interval or (0.0, 0.0)
        assert (verdict.answer == "holds") == (max(-low, high) < 4.0)
    assert sorted(verdict.tests[0].level or 0 for verdict in found.values()) == pytest.approx([0.9, 0.95])


def test_a_claimed_difference_does_not_hold_where_the_arms_are_equivalent() -> None:
    verdict = one({**DIFFERENCE, "expect": "different", "margin": 9.0}, a=MIXED, b=MIXED[::-1])
    assert (verdict.tests[0].answer, verdict.answer) == ("equivalent", "does not hold")


def test_a_difference_within_the_margin_is_said_beside_the_verdict() -> None:
    close = LOW / 100
    assert (
        one({**EQUIVALENCE, "margin": 5.0}, a=close + 1, b=close).why == "the arms differ, but by less than the margin"
    )
    small = one({**DIFFERENCE, "margin": 5.0}, a=close + 1, b=close)
    assert (small.answer, small.why) == ("holds", "the difference is smaller than the margin")


def test_a_difference_that_may_be_within_the_margin_leaves_equivalence_open() -> None:
    """A claim of equivalence fails only if the whole interval lies outside the margin."""
    verdict = one({**EQUIVALENCE, "margin": 1.0}, a=LOW / 10 + 1.0, b=LOW / 10)
    low, high = verdict.tests[0].interval or (0, 0)
    assert low < 1.0 < high
    assert verdict.tests[0].answer == "higher"
    assert verdict.answer == "cannot be decided here"
    assert "it is unclear whether by more than the margin" in verdict.why
    assert one({**EQUIVALENCE, "margin": 0.3}, a=LOW / 10 + 1.0, b=LOW / 10).answer == "does not hold"
    assert one({**EQUIVALENCE, "margin": 0.3}, a=LOW / 10, b=LOW / 10 + 1.0).answer == "does not hold"


def test_a_difference_that_is_not_shown_to_exceed_its_margin_is_said() -> None:
    claim = {**DIFFERENCE, "margin": 1.0}
    assert "not shown to exceed the margin" in one(claim, a=LOW / 10 + 1.0, b=LOW / 10).why
    assert one(claim, a=LOW / 10 + 3.0, b=LOW / 10).why == ""


def test_pairs_are_tested_as_pairs_only_where_the_claim_says_so() -> None:
    base = np.array([0.0, 50, 100, 150, 200, 250, 300, 350])
    found = {paired: one({**DIFFERENCE, "paired": paired}, a=base + 1, b=base) for paired in (True, False)}
    assert found[True].tests[0].p == 2 / 2**8
    assert (found[True].answer, found[False].answer) == ("holds", "cannot be decided here")
    assert "pairs" in found[True].tests[0].kind


def test_pairs_use_only_the_seeds_that_both_arms_have() -> None:
    values = numbers(a=HIGH, b=LOW)
    del values["q"]["a"][3]
    verdict = decide(claims_of({**DIFFERENCE, "paired": True}), values, ARMS, {})["c0"]
    assert verdict.tests[0].n == (7, 7)


def ran_on(machines: str, *arms: str) -> dict[tuple[str, int], str]:
    """Machine of each seed of these arms, a letter each."""
    return {(arm, seed): machine for arm in arms for seed, machine in enumerate(machines)}


def test_on_several_machines_arms_are_compared_within_each() -> None:
    """A machine shifts all arms of its seeds alike: this affects a test over all seeds, but not one within machines."""
    base = np.array([0.0] * 4 + [100.0] * 4) + MIXED / 10
    values, claims = numbers(a=base + 1, b=base), claims_of(DIFFERENCE)
    verdict = decide(claims, values, ARMS, {}, ran_on("xxxxyyyy", "a", "b"))["c0"]
    assert (verdict.answer, verdict.tests[0].kind) == (
        "holds",
        "permutation of the seeds within each kind of machine, exact (4,900 arrangements)",
    )
    assert decide(claims, values, ARMS, {}, ran_on("xxxxxxxx", "a", "b"))["c0"].answer == "cannot be decided here"


def test_one_seed_on_another_machine_leaves_the_others_their_p() -> None:
    """Six seeds and three tests: flipping the signs of six pairs could never decide, 2 / 64 times 3 being above 5 %."""
    values = numbers(a=HIGH[:6], b=LOW[:6], c=LOW[:6] - 40)
    pairs = [("a", "b"), ("a", "c"), ("b", "c")]
    claims = claims_of(*({**DIFFERENCE, "arms": list(pair)} for pair in pairs))
    found = decide(claims, values, ARMS, {}, ran_on("yxxxxx", *ARMS))
    assert {verdict.answer for verdict in found.values()} == {"holds"}
    assert found["c0"].tests[0].smallest == 3 * 2 / (2 * 252)


def test_arms_of_one_seed_count_on_the_machine_that_ran_each() -> None:
    """What a machine adds is taken for no difference even if it ran more seeds of one arm than of the other."""
    machines = {**ran_on("xxxxxyyy", "a"), **ran_on("xxxyyyyy", "b")}
    a, b = (MIXED + 100 * np.array([machines[arm, seed] == "y" for seed in range(8)]) for arm in "ab")
    verdict = decide(claims_of(DIFFERENCE), numbers(a=a, b=b), ARMS, {}, machines)["c0"]
    assert verdict.answer == "cannot be decided here"
    assert abs(verdict.tests[0].difference or 0) < 5


def test_a_machine_that_did_not_run_every_arm_compares_nothing() -> None:
    machines = {**ran_on("xxxxxxyy", "a"), **ran_on("xxxxxxzz", "b")}
    verdict = decide(claims_of(DIFFERENCE), numbers(a=HIGH, b=LOW), ARMS, {}, machines)["c0"]
    assert (verdict.answer, verdict.tests[0].n) == ("holds", (6, 6))
    assert verdict.why == "4 runs do not count: the other arm has none on the same kind of machine"


FACT: dict[str, Any] = {**BASE, "kind": "fact", "arms": ["a", "b"], "expect": "higher"}


@pytest.mark.parametrize(
    ("claim", "of_a", "of_b", "why"),
    [
        (DIFFERENCE, "xxxxxxxx", "zzzzzzzz", "no kind of machine has numbers of a and b"),
        (DIFFERENCE, "xyyyyyyy", "xxxxxxxx", "only one seed of a ran on a kind of machine that ran every arm"),
        ({**DIFFERENCE, "paired": True}, "xxxxxxxx", "zzzzzzzz", "no seed has numbers of a and b from one kind"),
        ({**DIFFERENCE, "paired": True}, "xyyyyyyy", "xxxxxxxx", "only one seed has numbers of a and b from one kind"),
        (FACT, "xxxxxxxx", "zzzzzzzz", "no seed has numbers of a and b from one kind of machine"),
    ],
)
def test_nothing_is_decided_by_what_machines_do(claim: dict[str, Any], of_a: str, of_b: str, why: str) -> None:
    """Otherwise an arm on a machine that adds 20 to everything would be higher."""
    machines = {**ran_on(of_a, "a"), **ran_on(of_b, "b")}
    found = decide(claims_of(claim), numbers(a=HIGH, b=LOW), ARMS, {}, machines)["c0"]
    assert found.answer == "cannot be decided here"
    assert why in found.why


def test_means_and_effect_are_those_of_the_tested_difference() -> None:
    """Machine y adds 100 and ran more seeds of b, so that over all seeds a would be lower and the effect small."""
    machines = {**ran_on("xxxxxyyy", "a"), **ran_on("xxxyyyyy", "b")}
    a, b = (MIXED / 9 + 100 * np.array([machines[arm, seed] == "y" for seed in range(8)]) for arm in "ab")
    test = decide(claims_of(DIFFERENCE), numbers(a=a + 7, b=b), ARMS, {}, machines)["c0"].tests[0]
    assert test.difference is not None
    assert test.effect is not None
    assert test.answer == "higher"
    assert test.means[0] - test.means[1] == pytest.approx(test.difference)
    assert test.effect > 10
    assert math.isnan(statistics.cohens_d(MIXED[:4] + 1, MIXED[:4], blocks=(list("xyzu"), list("xyzu"))))


def test_seeds_that_could_show_equivalence_are_not_too_few_for_it() -> None:
    """Its tests are one-sided and corrected among themselves, whatever else the question asks."""
    claims = claims_of({**EQUIVALENCE, "margin": 1.0}, {**DIFFERENCE, "arms": ["a", "c"]}, DIFFERENCE)
    open_ = decide(claims, numbers(a=MIXED[:4], b=MIXED[:4] + 1, c=MIXED[:4]), ARMS, {})["c0"]
    assert open_.why == "a and b cannot be distinguished with 4 seeds each"
    assert open_.tests[0].equivalent_smallest == pytest.approx(1 / 70)
    close = decide(claims, numbers(a=MIXED[:4] / 100, b=MIXED[:4] / 100, c=MIXED[:4]), ARMS, {})["c0"]
    assert close.answer == "holds"


def test_a_trend_follows_the_order_of_the_claim() -> None:
    claim = {**BASE, "kind": "trend", "arms": ["a", "b", "c"], "expect": "rising"}
    assert one(claim, a=LOW, b=LOW + 8, c=LOW + 16).answer == "holds"
    assert one({**claim, "arms": ["c", "b", "a"]}, a=LOW, b=LOW + 8, c=LOW + 16).answer == "does not hold"
    assert one(claim, a=MIXED, b=MIXED, c=MIXED).answer == "cannot be decided here"


def test_one_arm_is_held_against_a_value() -> None:
    claim = {**BASE, "kind": "one arm", "arm": "a", "value": 10.0, "expect": "higher"}
    assert one(claim, a=HIGH).answer == "holds"
    assert one(claim, a=LOW).answer == "does not hold"
    assert one({**claim, "value": 3.4}, a=LOW).answer == "cannot be decided here"
    assert one(claim, a=HIGH).tests[0].p == 2 / 2**8


def test_a_ranking_holds_only_against_each_other_arm() -> None:
    claim = {**BASE, "kind": "ranking", "arm": "a", "expect": "highest"}
    assert one(claim, a=HIGH + 20, b=HIGH, c=LOW).answer == "holds"
    assert one(claim, a=HIGH, b=HIGH + 20, c=LOW).answer == "does not hold"
    assert one(claim, a=HIGH, b=HIGH, c=LOW).answer == "cannot be decided here"
    assert one({**claim, "expect": "lowest"}, a=LOW, b=HIGH, c=HIGH).answer == "holds"
    assert one(claim, a=HIGH + 20, b=HIGH, c=LOW).correction == 2


@pytest.mark.parametrize(
    ("claim", "a", "b", "answer"),
    [
        ({"arms": ["a"], "value": 5, "expect": "equal"}, [5, 5], [], "holds"),
        ({"arms": ["a"], "value": 5, "expect": "equal"}, [5, 6], [], "does not hold"),
        ({"arms": ["a"], "value": 5, "expect": "equal", "tolerance": 1}, [5, 6], [], "holds"),
        ({"arms": ["a", "b"], "expect": "higher"}, [6, 7], [5, 6], "holds"),
        ({"arms": ["a", "b"], "expect": "lower"}, [6, 7], [5, 6], "does not hold"),
        ({"arms": ["a", "b"], "expect": "equal"}, [6], [], "cannot be decided here"),
    ],
)
def test_a_fact_is_so_in_every_run_and_needs_no_seeds(claim: dict[str, Any], a: Any, b: Any, answer: str) -> None:
    assert one({**BASE, "kind": "fact", **claim}, a=a, b=b).answer == answer


def test_a_fact_that_depends_on_the_seed_says_in_how_many_it_is_so() -> None:
    above = {**BASE, "kind": "fact", "arms": ["a"], "value": 5, "expect": "higher"}
    assert one(above, a=[6, 7, 4]).why == "true in 2 of 3 seeds"
    assert one(above, a=[3, 4]).why == ""
    beside = {**above, "expect": "equal"}
    assert one(beside, a=[4, 6]).why == "", "in none, though they differ"


def test_a_fact_of_one_run_is_refused_but_for_what_no_seed_moves() -> None:
    fact = {**BASE, "kind": "fact", "arms": ["a"], "value": 5, "expect": "higher"}
    assert one(fact, a=[6]).answer == "cannot be decided here"
    assert one(fact, a=[6]).why.startswith("one seed of a")
    assert decide(claims_of(fact), numbers(a=[6]), ARMS, {}, counted={"q"})["c0"].answer == "holds"


@pytest.mark.parametrize(("expect", "answer"), [("higher", "does not hold"), ("different", "does not hold")])
def test_where_all_seeds_have_one_number_there_is_no_difference(expect: str, answer: str) -> None:
    found = one({**DIFFERENCE, "expect": expect}, a=[0] * 6, b=[0] * 6)
    assert (found.answer, found.why) == (answer, "the number is the same in all seeds")
    assert one({**DIFFERENCE, "expect": expect}, a=[0] * 6, b=[0] * 5 + [1e-3]).answer == "cannot be decided here"


def test_facts_do_not_count_in_the_correction() -> None:
    fact = {**BASE, "kind": "fact", "arms": ["a"], "value": 0, "expect": "higher"}
    assert decide(claims_of(DIFFERENCE, fact), numbers(a=HIGH, b=LOW), ARMS, {})["c0"].correction == 1


@pytest.mark.parametrize("seeds", [0, 1])
def test_a_verdict_from_one_seed_is_refused(seeds: int) -> None:
    verdict = one(DIFFERENCE, a=HIGH, b=LOW[:seeds])
    assert verdict.answer == "cannot be decided here"
    assert f"{('no', 'one')[seeds]} seed of b" in verdict.why


@pytest.mark.parametrize(
    ("claim", "seeds", "said"),
    [
        (DIFFERENCE, 3, "3 seeds are too few for a and b to be distinguished: the smallest possible p is 0.1"),
        ({**DIFFERENCE, "paired": True}, 5, "a and b to be distinguished: the smallest possible p is 0.062"),
        (DIFFERENCE, 4, "a and b cannot be distinguished with 4 seeds each"),
        (
            {**BASE, "kind": "ranking", "arm": "a", "expect": "highest"},
            4,
            "the smallest possible p, corrected for 2 tests, is 0.057",
        ),
        ({**BASE, "kind": "one arm", "arm": "a", "value": 3, "expect": "higher"}, 5, "a to be distinguished from 3"),
    ],
)
def test_where_no_numbers_could_decide_the_seeds_are_called_too_few(claim: Any, seeds: int, said: str) -> None:
    found = one(claim, a=MIXED[:seeds] + 4, b=MIXED[:seeds] + 3.9, c=MIXED[:seeds] + 3.8)
    assert found.answer == "cannot be decided here"
    assert said in found.why


def test_a_verdict_at_less_than_the_own_budget_is_an_indication() -> None:
    share = {"a": "5 of 50 epochs"}
    verdict = decide(claims_of(DIFFERENCE), numbers(a=HIGH, b=LOW), ARMS, share)["c0"]
    assert verdict.is_indication
    assert verdict.share == "5 of 50 epochs"
    assert not one(DIFFERENCE, a=HIGH, b=LOW).is_indication


def test_holm_is_over_the_claims_of_the_question() -> None:
    """The strongest of three claims needs p <= 0.05 / 3; with p = 0.029 each would hold alone."""
    values = numbers(a=HIGH[:4], b=LOW[:4], c=MIXED[:4])
    alone = decide(claims_of(DIFFERENCE), values, ARMS, {})["c0"]
    three = decide(claims_of(*[DIFFERENCE] * 3), values, ARMS, {})["c0"]
    assert alone.tests[0].p == three.tests[0].p == pytest.approx(2 / 70)
    assert (alone.answer, three.answer) == ("holds", "cannot be decided here")
    assert three.tests[0].corrected == pytest.approx(6 / 70)


@pytest.mark.parametrize("paired", [False, True])
def test_interval_and_verdict_agree_for_every_claim_of_a_question(paired: bool) -> None:
    """At the level used for the decision, a difference's interval excludes 0 if and only if the claim is decided."""
    rng, decided = np.random.default_rng(0), 0
    for _ in range(60):
        arms = {arm: rng.normal(scale=1.0, size=7) + shift for arm, shift in zip(ARMS, (0, 1.2, 2.2), strict=True)}
        pairs = [("a", "b"), ("a", "c"), ("b", "c")]
        claims = [{**DIFFERENCE, "arms": list(p), "expect": "different", "paired": paired} for p in pairs]
        for verdict in decide(claims_of(*claims), numbers(**arms), ARMS, {}).values():
            test = verdict.tests[0]
            assert test.interval is not None
            assert test.corrected is not None
            apart = not test.interval[0] <= 0 <= test.interval[1]
            assert apart == (test.corrected <= ALPHA) == (test.answer != "not distinguishable")
            decided += apart
    assert 20 < decided < 160  # Both outcomes occurred.


def test_corrected_p_are_those_of_holm() -> None:
    rng = np.random.default_rng(1)
    arms = {arm: rng.normal(size=8) + shift for arm, shift in zip(ARMS, (0, 1, 2), strict=True)}
    pairs = [("a", "b"), ("a", "c"), ("b", "c")]
    claims = claims_of(*({**DIFFERENCE, "arms": list(pair)} for pair in pairs))
    found = decide(claims, numbers(**arms), ARMS, {})
    ps = [statistics.difference(arms[a], arms[b]).p for a, b in pairs]
    assert [v.tests[0].corrected for v in found.values()] == statistics.holm(ps)


def test_the_smallest_margin_that_the_seeds_could_have_shown_is_the_edge() -> None:
    rng = np.random.default_rng(2)
    a, b = rng.normal(size=8), rng.normal(size=8)
    shown = one(DIFFERENCE, a=a, b=b).tests[0].shown
    assert shown is not None
    assert statistics.equivalence(a, b, shown * 1.0001) <= ALPHA < statistics.equivalence(a, b, shown * 0.9999)
    few = one(DIFFERENCE, a=[1, 2], b=[1, 3]).tests[0].shown
    assert few == math.inf
