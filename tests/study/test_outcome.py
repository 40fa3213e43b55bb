"""What a study says once its records are there: verdicts, tables, sentences, page."""

from __future__ import annotations

import csv
import io
import json
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import yaml
from pydantic import TypeAdapter

import conftest
from genlab.errors import StudyError, UsageError
from genlab.report.html import render
from genlab.report.series import Axis
from genlab.study import design, sentences, status
from genlab.study.folder import Folder
from genlab.study.methods import methods
from genlab.study.outcome import Outcome, _inert, latex, outcome
from genlab.study.pages import study_page
from genlab.study.plan import Cell, Plan, plan
from genlab.study.quantities import Quantity
from genlab.study.study import Study
from plans import leave, planned, raw

SCRIPT = "<script>alert(1)</script>"
LOWER = raw()["claims"]["lower"]
SLOWER = {"slow": 5.0, "fast": 1.0}
SPREAD = [0.3, 0.0, 0.2, 0.1]
WHERE = {"processor": "P", "capability": "AVX2", "device": "cpu", "threads": 1, "precision": "float32"}


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path / "results")


def fill(folder: Folder, plan: Plan, values: dict[str, float], **changes: Any) -> Outcome:
    """Outcome when every run's record has its arm's value, spread over the seeds."""
    for cell in plan.cells:
        leave(folder, plan, cell, values[cell.arm] + SPREAD[cell.seed % 4], **changes)
    return outcome(plan, folder)


def told(found: Outcome, name: str = "lower") -> str:
    claim, verdict = found.plan.study.claims[name], found.verdicts[name]
    return sentences.sentence(claim, verdict, sentences.title(claim.of, found.plan.study.quantities[claim.of]))


def rows(found: Outcome) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(found.csv)))


def claimed(**claim: Any) -> Plan:
    """A plan with a third arm and one claim, "lower"."""
    arms = {**raw()["arms"], "third": {"optimisers.generator.lr": 0.002}}
    return planned(
        arms=arms,
        seeds=5 if claim["kind"] == "ranking" else 4,
        claims={"lower": {"says": "So it is.", "of": "loss", **claim}},
    )


def test_verdicts_come_from_the_records(folder: Folder) -> None:
    found = fill(folder, planned(), SLOWER)
    assert found.verdicts["lower"].answer == "holds"
    assert found.values["loss"]["fast"] == {0: 1.3, 1: 1.0, 2: 1.2, 3: 1.1}
    assert found.as_json["runs"] == found.as_json["of"] == 8
    assert found.missing == found.diverged == found.stale == []


def test_the_table_has_a_row_for_each_run_there_or_not(folder: Folder) -> None:
    plan = planned()
    for cell in plan.cells[:2]:
        leave(folder, plan, cell, 0.1 + 0.2)
    folder.note("gave up", Cell("slow", 1), reason="no data")
    found = rows(outcome(plan, folder))
    assert list(found[0]) == ["arm", "seed", "state", "loss", "weights", "seconds"]
    assert [row["state"] for row in found] == ["finished", "finished", "failed", *["missing"] * 5]
    assert [row["loss"] for row in found] == ["0.30000000000000004"] * 2 + [""] * 6
    assert [row["arm"] for row in found[:3]] == ["slow", "fast", "slow"]


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@x"])
def test_no_cell_is_a_formula(text: str) -> None:
    assert (_inert(text), _inert("lr-0.1")) == (f"'{text}", "lr-0.1")


def test_a_latex_table_escapes_what_latex_reads() -> None:
    found = latex(("arm", "n"), [(r"a_b & 5 % {c} \d ~e^f #$", "8")])
    assert r"a\_b \& 5 \% \{c\} \textbackslash{}d \textasciitilde{}e\textasciicircum{}f \#\$ & 8 \\" in found
    assert r"\begin{tabular}{lr}" in found


def test_diverged_runs_count_with_their_numbers(folder: Folder) -> None:
    """A diverged run counts with its numbers; a missing number leaves the mean of the others, never NaN."""
    plan = planned()
    fill(folder, plan, SLOWER)
    leave(folder, plan, Cell("slow", 0), 100.0, state="diverged", reason="loss is nan at step 3")
    leave(folder, plan, Cell("fast", 1), quantities={})
    found = outcome(plan, folder)
    page = study_page(found, folder, "")
    assert found.values["loss"]["slow"][0] == 100.0
    assert [(row[0], *row[2:]) for row in page.arms.rows] == [
        ("slow", "4", "28.8", "47.5"),
        ("fast", "3", "1.2", "0.1"),
    ]
    assert found.verdicts["lower"].tests[0].n == (3, 4)
    assert page.failures is not None
    assert page.failures.rows[0][2:] == (
        "diverged",
        "loss is nan at step 3; counts with the untrained model's numbers",
    )
    assert "nan" not in json.dumps(found.as_json).lower()
    assert "1 runs diverged" not in methods(found)
    assert "1 run diverged and counts with the numbers of the untrained model" in methods(found)


def test_a_study_without_records_decides_nothing_and_has_a_page(folder: Folder) -> None:
    found = outcome(planned(), folder)
    page = study_page(found, folder, "genlab study run x.yaml")
    assert [v.answer for v in found.verdicts.values()] == ["cannot be decided here"]
    assert told(found).startswith("Nothing can be said about the loss of G (mean from 50 % to 100 % of the training)")
    assert page.state == "8 of 8 runs are missing: verdicts cover only the other 0."
    assert page.cards[0].figure is None
    assert "cannot be decided here" in render(page)
    assert status.table(found).rows == [("slow", *"----"), ("fast", *"----")]


def test_on_several_machines_arms_are_compared_within_each(folder: Folder) -> None:
    """With half of eight seeds on a machine that adds 100, only a test within machines sees the difference."""
    plan = planned(seeds=8)
    for cell in plan.cells:
        there = cell.seed >= 4
        value = SLOWER[cell.arm] + SPREAD[cell.seed % 4] + 100 * there
        leave(folder, plan, cell, value, where={**WHERE, "processor": "Q" if there else "P"})
    found = outcome(plan, folder)
    assert (found.verdicts["lower"].answer, found.mixed) == ("holds", [])
    assert "Seeds ran on several kinds of machine, so arms were compared within each kind." in methods(found)
    assert "seeds ran on several kinds of machine: arms are compared within each kind" in status.remarks(found)


def test_runs_that_treat_denormal_numbers_differently_are_named(folder: Folder) -> None:
    plan = planned()
    for cell in plan.cells:
        leave(folder, plan, cell, 1.0, where={**WHERE, **({"denormals": "flushed"} if cell.seed == 0 else {})})
    found = outcome(plan, folder)
    assert len(found.hardware) == 1
    assert any(
        line.startswith("numbers below 1.2e-38 counted as 0 in 2 of 8 runs")
        for line in study_page(found, folder, "").cut
    )


def test_every_machine_is_named_also_if_each_seed_ran_on_several(folder: Folder) -> None:
    plan = planned()
    for cell in plan.cells:
        leave(folder, plan, cell, 1.0, where={**WHERE, "processor": {"slow": "P", "fast": "Q"}[cell.arm]})
    assert [machine[:2] for machine in outcome(plan, folder).hardware] == ["P,", "Q,"]


def test_arms_of_one_seed_on_several_machines_are_said(folder: Folder) -> None:
    """Otherwise two arms on different machines would seem to differ even if only the machines do."""
    plan = planned()
    for cell in plan.cells:
        leave(folder, plan, cell, where={**WHERE, "processor": cell.arm})
    found = outcome(plan, folder)
    assert found.mixed == [0, 1, 2, 3]
    assert any("arms of one seed ran on several kinds of machine (seed 0, 1, 2, 3)" in r for r in status.remarks(found))
    assert "In 4 seeds the arms ran on several kinds of machine" in methods(found)
    assert any(line.startswith("machines: the arms of seed 0, 1, 2, 3") for line in study_page(found, folder, "").cut)


DIFFERENCE = {"kind": "difference", "arms": ["fast", "slow"], "expect": "lower"}
FAR, NEAR = {"fast": 1.0, "slow": 5.0, "third": 9.0}, {"fast": 1.0, "slow": 1.0, "third": 1.0}
BACK = {"fast": 9.0, "slow": 5.0, "third": 1.0}
WHAT = "loss of G (mean from 50 % to 100 % of the training)"


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (2_212_800, "2,212,800"),
        (-0.0, "0"),
        (0.12345, "0.123"),
        (1234.5, "1,234"),
        (0.0001234, "0.00012"),
        (123456.7, "1.2e+05"),
    ],
)
def test_numbers_have_the_digits_that_mean_something(value: float, told: str) -> None:
    assert sentences.number(value) == told


@pytest.mark.parametrize(
    ("claim", "values", "said"),
    [
        (DIFFERENCE, FAR, f"fast has a lower {WHAT} than slow: 1.15 and 5.15 on average, difference -4 ("),
        (DIFFERENCE, BACK, f"fast has a higher {WHAT} than slow: 9.15 and 5.15"),
        (DIFFERENCE, NEAR, f"fast and slow cannot be distinguished in {WHAT}: 1.15 and 1.15 on average, difference 0"),
        (
            {"kind": "equivalence", "arms": ["fast", "slow"], "margin": 2},
            NEAR,
            f"fast and slow are equivalent in {WHAT}, to within 2: 1.15 and 1.15 on average",
        ),
        (
            {"kind": "trend", "arms": ["fast", "slow", "third"], "expect": "rising"},
            FAR,
            f"from arm to arm (fast 1.15, slow 5.15, third 9.15), the {WHAT} is rising (direction +1.00 on a scale of "
            "-1 to 1, 4 seeds each",
        ),
        ({"kind": "trend", "arms": ["fast", "slow", "third"], "expect": "rising"}, BACK, "is falling (direction -1.00"),
        ({"kind": "trend", "arms": ["fast", "slow", "third"], "expect": "rising"}, NEAR, "shows no trend (direction"),
        (
            {"kind": "fact", "arms": ["fast"], "value": 1.1, "expect": "higher"},
            FAR,
            f"for fast, the {WHAT} is above 1.1 in 2 of 4 seeds: 1, 1.1, 1.2 and 1.3.",
        ),
        (
            {"kind": "fact", "arms": ["fast"], "value": 1.3, "expect": "lower"},
            FAR,
            f"for fast, the {WHAT} is below 1.3 in 3 of 4 seeds: 1, 1.1, 1.2 and 1.3.",
        ),
        (
            {"kind": "fact", "arms": ["fast"], "value": 1.14, "expect": "equal", "tolerance": 0.05},
            FAR,
            f"for fast, the {WHAT} is within 0.05 of 1.14 in 1 of 4 seeds: 1, 1.1, 1.2 and 1.3.",
        ),
        (
            {"kind": "fact", "arms": ["fast"], "value": 1.15, "expect": "equal", "tolerance": 0.01},
            FAR,
            f"for fast, the {WHAT} is within 0.01 of 1.15 in none of 4 seeds: 1, 1.1, 1.2 and 1.3.",
        ),
        ({"kind": "ranking", "arm": "fast", "expect": "lowest"}, FAR, f"fast has a lower {WHAT} than third: 1.18 and"),
    ],
)
def test_a_sentence_says_what_the_numbers_say(folder: Folder, claim: Any, values: Any, said: str) -> None:
    assert said in told(fill(folder, claimed(**claim), values))


@pytest.mark.parametrize(("value", "said"), [(0.0, "is higher than 0"), (9.0, "is lower than 9"), (1.15, "cannot be")])
def test_a_sentence_of_one_arm_says_what_it_is_held_against(folder: Folder, value: float, said: str) -> None:
    plan = planned(
        seeds=8,
        claims={
            "lower": {"says": "S.", "kind": "one arm", "of": "loss", "arm": "fast", "value": value, "expect": "higher"}
        },
    )
    assert f"for fast, the {WHAT} {said}" in told(fill(folder, plan, SLOWER))


def test_a_sentence_has_its_share_interval_level_test_and_p(folder: Folder) -> None:
    """With two claims, each p of 2/252 is corrected, and the interval's level with it."""
    plan = planned(seeds=5, claims={"lower": LOWER, "other": {**LOWER, "expect": "different"}})
    said = told(fill(folder, plan, SLOWER))
    assert said.startswith("After 12 of 80 steps: fast has a lower")
    assert "difference -4 (97.5 % interval -4.25 to -3.75; 5 seeds each;" in said
    assert "permutation of the seeds, exact (252 arrangements); p = 0.0079, corrected for 2 tests: 0.016; d = " in said


FACT = {"kind": "fact", "expect": "equal"}


@pytest.mark.parametrize(
    ("claim", "values", "said"),
    [
        (
            {"arms": ["fast"], "value": 1},
            [1, 1],
            "For fast, the number of parameters of the networks is 1 in all 4 seeds.",
        ),
        (
            {"arms": ["fast"], "value": 0},
            [1, 1],
            "of the networks is higher than 0 in all 4 seeds: 1 on average.",
        ),
        ({"arms": ["fast"], "value": 2, "tolerance": 1}, [1, 1], "is 2, to within 1, in all 4 seeds: 1 on average."),
        ({"arms": ["fast", "slow"]}, [1, 1], "is equal for fast and slow in all 4 seeds: 1."),
        ({"arms": ["fast", "slow"]}, [1, 2], "is lower for fast than for slow in all 4 seeds: 1 and 2 on average."),
    ],
)
def test_a_sentence_of_a_fact_counts_and_has_no_share(folder: Folder, claim: Any, values: Any, said: str) -> None:
    size = {"loss": {"kind": "parameters"}}
    plan = planned(quantities=size, claims={"lower": {"says": "S.", "of": "loss", **FACT, **claim}})
    for cell in plan.cells:
        leave(folder, plan, cell, float(values[cell.arm == "slow"]))
    assert told(outcome(plan, folder)).endswith(said)
    assert not told(outcome(plan, folder)).startswith("After")


def test_a_fact_about_a_training_that_is_too_short_is_an_indication(folder: Folder) -> None:
    claim = {"says": "S.", "of": "loss", **FACT, "arms": ["fast"], "value": 0, "expect": "higher"}
    plan = planned(claims={"lower": claim})
    found = fill(folder, plan, {"fast": 1.0, "slow": 1.0})
    assert found.verdicts["lower"].is_indication
    assert told(found).startswith("After")


def test_what_is_measured_has_words() -> None:
    finding = TypeAdapter(Quantity).validate_python({"kind": "finding", "name": "mode-collapse"})
    assert sentences.title("x", finding) == "share of trainings in which the diagnosis finds mode collapse"
    classes = TypeAdapter(Quantity).validate_python({"kind": "classes", "number": "share", "of": ["shirt", "dress"]})
    assert sentences.title("x", classes) == "share of shirt, dress minus that of other classes"


def test_a_fact_that_is_not_alike_in_all_seeds_says_so(folder: Folder) -> None:
    plan = planned(
        quantities={"loss": {"kind": "parameters"}},
        claims={"lower": {"says": "S.", "of": "loss", **FACT, "arms": ["fast", "slow"]}},
    )
    for cell in plan.cells:
        leave(folder, plan, cell, float(cell.seed if cell.arm == "fast" else 1))
    assert "Which of fast and slow has the higher number" in told(outcome(plan, folder))


def test_equal_weights_are_said_bit_for_bit_and_have_no_average(folder: Folder) -> None:
    plan = planned(
        quantities={"w": {"kind": "weights"}},
        claims={"lower": {"says": "S.", "of": "w", **FACT, "arms": ["fast", "slow"]}},
    )
    found = fill(folder, plan, {"fast": 1.0, "slow": 1.0})
    assert told(found) == "The final weights of fast and slow are the same, bit for bit, in all 4 seeds."
    assert study_page(found, folder, "").arms.columns[3] == "mean"


RANKED = {"says": "Fast is best.", "kind": "ranking", "of": "loss", "arm": "fast", "expect": "lowest"}


def test_a_profile_of_some_arms_leaves_claims_about_others_open(folder: Folder) -> None:
    """Without the arm `third`, four seeds decide fast against slow: one test is left of the question's four."""
    arms = {**raw()["arms"], "third": {"optimisers.generator.lr": 0.002}}
    third = {**LOWER, "arms": ["third", "slow"]}
    study = design.check(
        raw(
            arms=arms,
            claims={"lower": LOWER, "third": third, "best": RANKED},
            seeds=5,
            profiles={"two": {"arms": ["slow", "fast"], "seeds": 4}},
        ),
        "small",
    )
    made = plan(study, Path(), "two")
    assert (made.names, made.left_out) == (("slow", "fast"), ("third",))
    found = fill(folder, made, SLOWER)
    assert found.verdicts["lower"].answer == "holds"
    assert found.verdicts["lower"].correction == 1
    for name in ("third", "best"):
        verdict = found.verdicts[name]
        assert (verdict.answer, verdict.tests) == ("cannot be decided here", ())
        assert verdict.why == "the profile two does not run third"
    assert "arms: third is not run" in study_page(found, folder, "").cut
    assert "The p-values of all tests of a question (1) were corrected" in methods(found)
    with pytest.raises(StudyError, match=r"profiles\.two\.arms: unknown arm 'thirdd'; did you mean 'third'"):
        plan(design.check(raw(arms=arms, claims={}, profiles={"two": {"arms": ["thirdd"]}}), "small"), Path(), "two")


@pytest.mark.parametrize(("against", "places"), [("step", [2, 6, 12]), ("epoch", [0.1, 0.3, 0.6])])
def test_curves_against_epochs(against: Axis, places: list[float], folder: Folder) -> None:
    """320 images in batches of 16 are 20 steps per epoch; half epochs are counted twice as fast."""
    found = fill(folder, planned(), SLOWER)
    (bands,) = study_page(found, folder, "", against).bands
    assert bands.curves["slow"][0][0].tolist() == pytest.approx(places)
    assert bands.csv.decode().splitlines()[0].split(",")[2] == against
    half = study_page(found, folder, "", "half-epoch").bands[0].curves["slow"][0][0]
    assert half.tolist() == pytest.approx([0.2, 0.6, 1.2])


def test_an_unknown_axis_is_named(folder: Folder) -> None:
    file = folder.path.parent / "small.yaml"
    folder.path.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(yaml.safe_dump(raw()), "utf-8")
    with pytest.raises(UsageError, match=r"unknown axis 'seconds'\. Known: step, epoch, half-epoch"):
        Study.at(file, results=folder.path).report("seconds")


def test_the_methods_tell_what_was_done(folder: Folder) -> None:
    said = methods(fill(folder, planned(), SLOWER))
    assert said.startswith(
        "Each of 2 settings of quick-mnist was trained on mnist with 4 random seeds, for 12 of 80 steps of the "
        "recipe's budget."
    )
    assert "Claims were stated before the runs." in said
    assert "  " not in said


@pytest.mark.parametrize(
    ("collected", "said"),
    [
        (1, "Claims were stated before the study's own runs. 1 run was collected and may be older than the claims. "),
        (8, "of the recipe's budget. 8 runs were collected and may be older than the claims. "),
    ],
)
def test_collected_runs_may_be_older_than_the_claims(collected: int, said: str, folder: Folder) -> None:
    with folder.locked():
        for cell in planned().cells[:collected]:
            folder.note("collected", cell, source="elsewhere")
    assert said in methods(fill(folder, planned(), SLOWER))


def test_the_methods_say_how_many_runs_there_are_so_far(folder: Folder) -> None:
    plan = planned()
    for cell in plan.cells[:2]:
        leave(folder, plan, cell, 1.0)
    assert methods(outcome(plan, folder)).startswith(
        "So far 2 of 8 runs exist. Each of 2 settings of quick-mnist is trained on mnist with 4 random seeds,"
    )


@pytest.mark.parametrize(
    ("class_kl", "said"),
    [
        (0.1, "in the features and classes of the dataset's own judge (a frozen classifier), not Inception's."),
        (None, "in the features of a fixed random network, since the dataset has no judge, not Inception's."),
    ],
)
def test_the_methods_say_whose_features_were_compared(folder: Folder, class_kl: float | None, said: str) -> None:
    plan = planned(quantities={**raw()["quantities"], "distance": "frechet_distance"})
    assert said in methods(fill(folder, plan, SLOWER, metrics={"frechet_distance": 1.0, "class_kl": class_kl}))


def test_a_plan_that_was_changed_is_told_and_no_longer_called_fixed(folder: Folder) -> None:
    with folder.locked():
        folder.begin(planned())
        folder.begin(planned(seeds=5), amend=True)
    found = fill(folder, planned(seeds=5), SLOWER)
    assert "Claims were stated before the runs" not in methods(found)
    assert "The plan was changed after its first run (1 change)." in methods(found)
    assert any("the plan was changed on" in line and "seeds" in line for line in study_page(found, folder, "").cut)


def test_other_words_alone_leave_a_claim_named_before_the_runs(folder: Folder) -> None:
    reworded = planned(claims={"lower": {**LOWER, "says": "Slow is lower than fast."}})
    with folder.locked():
        folder.begin(planned())
        folder.begin(reworded, amend=True)
    said = methods(fill(folder, reworded, SLOWER))
    assert "Claims were stated before the runs; the wording of some has changed since." in said
    with folder.locked():
        folder.begin(planned(claims={"lower": {**LOWER, "says": "Slow is lower.", "expect": "higher"}}), amend=True)
    assert "The plan was changed after its first run (2 changes)." in methods(fill(folder, planned(), SLOWER))


def test_what_was_set_when_runs_were_there_is_told_of_its_claim(folder: Folder) -> None:
    """Changes made before the first run ended are not reported, nor are changes to other claims."""
    claims = {"lower": LOWER, "other": {**LOWER, "margin": 2.0}}
    plan = planned(seeds=5, claims=claims)
    with folder.locked():
        folder.begin(planned(seeds=5))
        folder.begin(planned(seeds=5, claims={**claims, "other": {**LOWER, "margin": 3.0}}), amend=True)
    assert fill(folder, planned(seeds=5, claims=claims), SLOWER).later("other") == "", "no run was there"
    with folder.locked():
        folder.begin(plan, amend=True)
    found = outcome(plan, folder)
    assert found.later("other") == "The claim was changed (margin: 3.0 -> 2.0) when 10 of 10 runs were done."
    assert found.later("lower") == ""
    assert "given before the runs, except in other, where it was changed" in methods(found)
    with folder.locked():
        folder.begin(added := planned(seeds=5, claims={**claims, "third": LOWER}), amend=True)
    assert outcome(added, folder).later("third") == "The claim was added when 10 of 10 runs were done."


def test_verdicts_of_a_study_with_runs_missing_are_so_far(folder: Folder) -> None:
    plan = planned(seeds=5)
    for cell in plan.cells[:-1]:
        leave(folder, plan, cell, SLOWER[cell.arm] + SPREAD[cell.seed % 4])
    found = outcome(plan, folder)
    assert sentences.verdict_line(found.verdicts["lower"]).startswith("so far: holds")
    leave(folder, plan, plan.cells[-1], SLOWER[plan.cells[-1].arm])
    assert sentences.verdict_line(outcome(plan, folder).verdicts["lower"]).startswith("holds")


def test_a_count_is_known_with_the_first_run(folder: Folder) -> None:
    size = {"kind": "fact", "says": "S.", "of": "size", "arms": ["fast"], "value": 5, "expect": "equal"}
    plan = planned(quantities={"size": {"kind": "parameters"}}, claims={"lower": size})
    leave(folder, plan, Cell("fast", 0), 5.0)
    assert sentences.verdict_line(outcome(plan, folder).verdicts["lower"]) == "holds"


def test_too_few_seeds_for_an_interval_are_called_that(folder: Folder) -> None:
    plan = planned()
    for cell in plan.cells:
        if cell.seed < 2:
            leave(folder, plan, cell, SLOWER[cell.arm] + SPREAD[cell.seed])
    said = told(outcome(plan, folder))
    assert "(too few seeds for an interval at 95 %; 2 seeds each" in said
    assert "infinite" not in said


def test_arms_of_another_recipe_name_it(folder: Folder) -> None:
    plan = planned(arms={"slow": {}, "fast": {"recipe": "s2-dcgan"}})
    told_of = {row[0]: row[1] for row in study_page(outcome(plan, folder), folder, "").arms.rows}
    assert told_of == {"slow": "the base", "fast": "recipe s2-dcgan"}


def test_cards_come_in_the_order_of_the_file_with_their_reasons(folder: Folder) -> None:
    claims = {
        "z": {**LOWER, "reason": "a", "looks": "It may not."},
        "a": {**LOWER, "says": "The reason.", "question": "Why?"},
    }
    page = study_page(fill(folder, planned(claims=claims), SLOWER), folder, "genlab study run s.yaml")
    assert [card.anchor for card in page.cards] == ["claim-z", "claim-a"]
    assert page.cards[0].reason is not None
    assert page.cards[0].reason[:2] == ("The reason.", "claim-a")
    html = render(page)
    order = ["<h3>", "holds", "About the arms", "<blockquote>", "Keep in mind", "The reason given", "s.yaml"]
    places = [html.index(part, html.index('<section class="claim"')) for part in order]
    assert places == sorted(places)


def test_what_a_person_wrote_is_shown_and_never_run(folder: Folder) -> None:
    plan = planned(question=SCRIPT, claims={"lower": {**LOWER, "says": SCRIPT, "source": SCRIPT, "looks": SCRIPT}})
    leave(folder, plan, plan.cells[0], where={"processor": SCRIPT}, state="diverged", reason=SCRIPT)
    (folder.path / "notes.md").write_text(f"First {SCRIPT}\n\n\x1b[31mSecond", "utf-8")
    page = study_page(outcome(plan, folder), folder, SCRIPT)
    assert page.notes == [f"First {SCRIPT}", "\x1b[31mSecond"]
    html = render(page)
    assert SCRIPT not in html
    assert html.count("&lt;script&gt;alert(1)") >= 7
    assert "\x1b" not in html


def test_a_page_is_not_written_anew_for_claims_that_were_changed(tmp_path: Path) -> None:
    """If a claim or margin could be adjusted after the results, any verdict would be possible."""
    file = tmp_path / "s.yaml"
    file.write_text(json.dumps(raw()), "utf-8")
    study = Study.at(file, results=tmp_path / "results")
    study.folder.path.mkdir()
    study.folder.begin(study.plan)
    claims = {"lower": {**raw()["claims"]["lower"], "expect": "higher"}}
    file.write_text(json.dumps(raw(claims=claims)), "utf-8")
    with pytest.raises(StudyError, match=r"claims\.lower\.expect: lower -> higher"):
        Study.at(file, results=tmp_path / "results").report()
    assert not (tmp_path / "results" / "report.html").exists()


def test_a_report_writes_tables_verdicts_page_and_figures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from genlab.report import style

    conftest.undraw(monkeypatch)
    monkeypatch.setattr(style, "as_pdf", lambda figure: b"%PDF-")
    study = Study(**{k: v for k, v in raw().items() if k != "schema"}, results=tmp_path / "r", runs=tmp_path)
    fill(study.folder, study.plan, SLOWER)
    found = study.report()
    there = {path.relative_to(tmp_path / "r").as_posix() for path in (tmp_path / "r").rglob("*") if path.is_file()}
    figures = {f"figures/{n}.{e}" for n in ("claim-lower", "curve-loss_g_mean") for e in ("png", "pdf", "csv")}
    assert there - {f"records/{c.name}.json" for c in study.plan.cells} == {
        "table.csv",
        "table.tex",
        "verdicts.json",
        "report.html",
        "README.md",
        *figures,
    }
    assert (tmp_path / "r" / "table.csv").read_text() == found.csv
    assert json.loads((tmp_path / "r" / "verdicts.json").read_text()) == json.loads(json.dumps(found.as_json))
    assert (tmp_path / "r" / "figures" / "claim-lower.csv").read_text().splitlines()[1] == "fast,0,1.3"


def test_runs_that_failed_or_cannot_be_used_are_on_the_page(folder: Folder) -> None:
    plan = planned()
    leave(folder, plan, plan.cells[0], identity="0")
    folder.note("gave up", plan.cells[1], reason="killed (signal 9)")
    found = outcome(plan, folder)
    page = study_page(found, folder, "")
    assert page.failures is not None
    assert [row[:3] for row in page.failures.rows] == [("fast", "0", "failed"), ("slow", "0", "not used")]
    assert status.as_json(found)["runs"][:2] == [
        {"arm": "slow", "seed": 0, "state": "damaged"},
        {"arm": "fast", "seed": 0, "state": "failed"},
    ]
    assert "1 run failed and has no numbers." in methods(found)


@pytest.mark.parametrize(
    ("quantity", "values", "worst"),
    [
        ("frechet_distance", [3, 1, 2, 9], 3),
        ("recall", [0.5, 0.1, 0.4, 0.9], 1),
        ("within_class_diversity", [1.1, 0.9, 1.6, 0.7], 2),
        ("classifier_score", [9, 8, 2, 5], 2),
        ({"kind": "column", "name": "loss_g_mean"}, [-5, 1, 2, 0], 2),
    ],
)
def test_the_worst_seed_is_the_one_farthest_from_the_best_value(
    tmp_path: Path, quantity: Any, values: list[float], worst: int
) -> None:
    plan, folder = planned(quantities={"q": quantity}, claims={}), Folder(tmp_path)
    for cell in plan.cells:
        leave(folder, plan, cell, value=values[cell.seed])
        folder.sample_path(cell).parent.mkdir(exist_ok=True)
        folder.sample_path(cell).write_bytes(b"")
    (_, grids), *_ = study_page(outcome(plan, folder), folder, "").grids
    assert [grid.title for grid in grids] == ["median seed", "worst seed"]
    assert grids[1].caption.startswith(f"seed {worst}:")


@pytest.mark.parametrize(
    ("interval", "said"),
    [((-2.0, 2.8e-16), "-2 to 0"), ((1e-13, 2e-13), "1e-13 to 2e-13"), ((-math.inf, 3.0), "-infinite to 3")],
)
def test_what_rounding_left_of_a_zero_is_zero(interval: tuple[float, float], said: str) -> None:
    assert sentences.interval(cast(Any, SimpleNamespace(interval=interval))) == said
