"""Study files: all errors are reported at once, and too few seeds are refused with the number that would suffice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import writers
from genlab.errors import StudyError, UsageError
from genlab.evaluation.statistics import smallest_p
from genlab.study import design
from genlab.study.design import ALPHA
from genlab.study.plan import changes, plan
from genlab.study.template import template
from plans import planned, raw


def problems(**changed: Any) -> list[str]:
    with pytest.raises(StudyError) as caught:
        planned(**changed)
    return caught.value.problems


def difference(*arms: str, **more: Any) -> dict[str, Any]:
    return {"says": "So.", "kind": "difference", "of": "loss", "arms": list(arms), "expect": "lower", **more}


@pytest.mark.parametrize("file", sorted((Path(__file__).parents[2] / "studies").glob("*.yaml")), ids=lambda p: p.name)
def test_every_study_of_the_project_can_be_written_again(file: Path, tmp_path: Path) -> None:
    study = design.load(file)
    (tmp_path / "again.yaml").write_text(design.dump(study), "utf-8")
    assert design.load(tmp_path / "again.yaml") == study


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"seed": 4}, "unknown field seed; did you mean seeds?"),
        (
            {"claims": {"c": {"says": "So.", "kind": "trend", "of": "loss", "arms": ["slow"], "expct": "rising"}}},
            "unknown field claims.c.expct; did you mean claims.c.expect?",
        ),
        ({"schema": 2}, "schema is 2"),
        ({"seeds": 1}, "seeds is 1; allowed: 2 .. 1,000 seeds, or a list of them"),
        ({"seeds": "eight"}, "seeds is 'eight'; their number is needed, as in 8, or a list of them, as in [0, 1, 2]"),
        ({"seeds": [1, 1]}, "seeds is [1, 1]; allowed: 1 .. 1,000 seeds, each once"),
        ({"name": "../x"}, "name is '../x'; allowed: up to 48 letters, digits and . _ + -, of which the first is a"),
        ({"arms": "fast"}, "arms is 'fast'; a section with lines like NAME: VALUE is needed"),
        ({"claims": {"c": difference("fast")}}, 'c.arms is ["fast"]; more values are needed, as in [first, second]'),
        ({"claims": {"c": {**difference(), "arms": "fast"}}}, "c.arms is 'fast'; a list is needed, as in [first, sec"),
        (
            {"claims": {"faster-is-better": difference("fast", "slow", kind="equivalence", margin=1)}},
            "unknown field claims.faster-is-better.expect: kind equivalence has no expect; its fields: says, ",
        ),
        (
            {"quantities": {"loss": {"name": "loss_g", "window": [0, 1]}}},
            "unknown field quantities.loss.window: kind metric has no window; its fields: kind, name",
        ),
        ({"arms": {}}, "arms and grid: 0 arms"),
        ({"arms": {"a b": {}}}, "arms"),
        ({"quantities": {"loss": {"kind": "colum", "name": "x"}}}, "did you mean 'column'"),
        (
            {"quantities": {"loss": {"kind": "column", "name": "loss_x"}}},
            "unknown column 'loss_x'; did you mean 'loss_g'",
        ),
        ({"quantities": {"loss": "frechet_distnce"}}, "unknown metric 'frechet_distnce'; did you mean 'frechet_dist"),
        ({"quantities": {"loss": {"kind": "column", "name": "loss_gg"}}}, ", loss_g, loss_g_mean, "),
        ({"quantities": {"loss": {"kind": "column", "name": "loss_gg"}}}, ", frechet_distance, "),
        ({"quantities": {"loss": {"kind": "column", "name": "step_mean"}}}, "unknown column 'step_mean'"),
        ({"claims": {"c": difference("fast", "slo")}}, "unknown arm 'slo'; did you mean 'slow'?"),
        ({"claims": {"c": difference("fast", "fast")}}, "arms are both fast"),
        ({"claims": {"c": difference("fast", "slow", of="los")}}, "unknown quantity 'los'; did you mean 'loss'?"),
        ({"claims": {"c": difference("fast", "slow", reason="d")}}, "unknown claim 'd'"),
        ({"claims": {"c": difference("fast", "slow", margin=0)}}, "margin is 0; allowed: more than 0"),
        ({"claims": {"c": difference("fast", "slow", kind="diference")}}, "did you mean 'difference'"),
        ({"arms": {"a": {"optimisers.generator.lrr": 1}}}, "arms.a: unknown field optimisers.generator.lrr"),
        ({"arms": {"a": {"budget.batch": 10**6}}}, "arms.a: budget.batch"),
        ({"recipe": "quick-mnst"}, "unknown recipe 'quick-mnst'; did you mean 'quick-mnist'"),
        ({"recipe": "nowhere.yaml"}, "nowhere.yaml"),
        ({"profiles": {"p": {"budget": 2}}}, "profiles.p.budget is 2"),
        ({"profiles": {"p": {"arms": []}}}, "profiles.p.arms"),
        ({"code": "x.py"}, "unknown field code"),
    ],
)
def test_what_is_wrong_is_said_in_a_line(changed: dict[str, Any], said: str) -> None:
    changed = {**({} if "claims" in changed else {"claims": {}}), **changed}
    assert any(said in line for line in problems(**changed)), problems(**changed)


@pytest.mark.parametrize(
    "quantity",
    ["requested_class_accuracy", {"kind": "classes", "number": "legibility", "of": ["owl"]}],
    ids=["metric", "classes"],
)
def test_a_quantity_of_classes_needs_a_judge_of_the_dataset(quantity: Any, tmp_path: Path) -> None:
    """Without one no run would have a number; a distance needs none, since a random network has features, too."""
    of = writers.named(writers.made(side=32))
    path = writers.saved(tmp_path / "own.npz", **of, class_names=np.array(["owl", "bat", "kite", "crow", "gull"]))
    own = {"overrides": {**raw()["overrides"], "data.name": str(path), "data.subset": None, "budget.batch": 8}}
    quantities = {**raw()["quantities"], "distance": "frechet_distance"}
    assert plan(design.check(raw(**own, quantities=quantities), "s"), tmp_path).arms
    own["quantities"] = {**quantities, "classes": quantity}
    assert plan(design.check(raw(**own), "s"), tmp_path).arms, "no claim needs the number"
    claims = {"c": difference("fast", "slow", of="classes")}
    with pytest.raises(
        StudyError, match=r"quantities.classes: needs a judge, and .*own.npz has none; train one: genlab"
    ):
        plan(design.check(raw(**own, claims=claims), "s"), tmp_path)


@pytest.mark.parametrize(("name", "spelled"), [(True, "true"), (0.1, "0.1"), (None, "null")])
@pytest.mark.parametrize("section", ["arms", "claims", "quantities", "profiles"])
def test_a_name_that_yaml_does_not_read_as_text_is_to_be_quoted(section: str, name: object, spelled: str) -> None:
    with pytest.raises(StudyError) as caught:
        design.check(raw(**{section: {name: {}}}), "small")
    assert f"{section}: {spelled} is not a name; put numbers and words such as on, yes and null in quotes" in (
        caught.value.problems
    )


def test_what_is_wrong_with_every_arm_is_said_once() -> None:
    (line,) = problems(recipe="quick-mnst", claims={})
    assert line.startswith("unknown recipe 'quick-mnst'; ")
    arms = {"a": {"budget.batch": 0}, "b": {}, "c": {"budget.batch": 0}}
    assert problems(arms=arms, claims={}) == ["arms.a, arms.c: budget.batch is 0; allowed: 1 or more"]


def test_all_problems_are_said_at_once() -> None:
    arms = {"a": {"optimisers.generator.lr": -1}, "b": {"budget.batch": 0}}
    assert len(problems(arms=arms, claims={})) == 2


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    for content, said in ((b"a: [", "bracket"), (b"- 1", "a study is a mapping"), (b"\xff\xfe", "not UTF-8")):
        (tmp_path / "s.yaml").write_bytes(content)
        with pytest.raises(UsageError, match=said):
            design.load(tmp_path / "s.yaml")
    with pytest.raises(UsageError, match="genlab study new"):
        design.load(tmp_path / "nowhere.yaml")


def test_a_file_whose_seeds_cannot_decide_its_claims_is_refused_with_the_number_that_can() -> None:
    """Sign flips of 8 pairs can decide six claims, not seven: the smallest p is 2/256 = .0078."""
    pairs = {f"c{k}": difference("fast", "slow", paired=True) for k in range(7)}
    line = problems(seeds=8, claims=pairs)[0]
    assert "9 seeds could" in line
    assert "times 7 tests" in line
    six = {name: pairs[name] for name in list(pairs)[:6]}
    assert planned(seeds=8, claims=six).seeds == tuple(range(8))
    independent = {name: {**claim, "paired": False} for name, claim in pairs.items()}
    assert planned(seeds=8, claims=independent).cells
    assert smallest_p(8) * 6 <= ALPHA < smallest_p(8) * 7


def test_the_smallest_p_is_that_of_the_test() -> None:
    """Equivalence is shown by one-sided tests; a trend has two perfect orders among all ways to deal out the seeds."""
    equal = {"says": "So.", "of": "q", "kind": "equivalence", "arms": ["a", "b"], "margin": 1.0}
    assert design.Equivalence(**equal, paired=True).best_p(5) == pytest.approx(1 / 32)
    assert design.Equivalence(**equal).best_p(3) == pytest.approx(1 / 20)
    trend = {"says": "So.", "of": "q", "kind": "trend", "arms": ["a", "b", "c"], "expect": "rising"}
    assert design.Trend(**trend).best_p(2) == pytest.approx(2 / 90)
    assert design.Trend(**trend).best_p(1000) == 1 / 20_001


def test_claims_of_another_question_are_corrected_apart() -> None:
    claims = {f"c{k}": difference("fast", "slow", paired=True, question=f"q{k % 2}") for k in range(10)}
    assert planned(seeds=8, claims=claims).cells


def test_three_seeds_of_two_arms_can_show_nothing() -> None:
    (line,) = problems(seeds=3)
    assert line.endswith("times 1 test is more than 0.05; 4 seeds could")


def test_seeds_come_block_by_block() -> None:
    cells = planned().cells
    assert [cell.seed for cell in cells] == [0, 0, 1, 1, 2, 2, 3, 3]
    assert [cell.arm for cell in cells[:2]] == ["slow", "fast"]


def test_every_run_has_one_thread_unless_the_file_says_otherwise() -> None:
    assert {arm.recipe.engine.threads for arm in planned().arms} == {1}
    two = planned(overrides={**raw()["overrides"], "engine.threads": 2})
    assert {arm.recipe.engine.threads for arm in two.arms} == {2}


def test_the_share_of_the_own_budget_counts_what_shortens_a_training() -> None:
    arm = planned().arms[0]
    assert (arm.share.words, arm.share.is_whole) == ("12 of 80 steps", False)
    whole = planned(overrides={k: v for k, v in raw()["overrides"].items() if k != "budget.max_steps"})
    assert (whole.arms[0].share.words, whole.arms[0].share.is_whole) == ("4 of 4 epochs", True)


def test_a_profile_takes_a_share_of_every_arm_and_some_of_the_seeds() -> None:
    """Arms of different lengths keep their ratio, and the seeds taken are the first ones."""
    overrides = {k: v for k, v in raw()["overrides"].items() if k != "budget.max_steps"}
    arms = {"short": {"budget.epochs": 4}, "long": {"budget.epochs": 8}}
    study = design.check(
        raw(overrides=overrides, arms=arms, seeds=6, claims={}, profiles={"quick": {"budget": 0.25, "seeds": 2}}), "s"
    )
    found = plan(study, Path(), "quick")
    assert [arm.share.words for arm in found.arms] == ["1 of 4 epochs", "2 of 8 epochs"]
    assert found.seeds == (0, 1)
    assert found.title == "small-quick"
    with pytest.raises(StudyError, match="did you mean 'quick'"):
        plan(study, Path(), "quik")


def test_an_arm_may_have_another_base() -> None:
    arms = {"gan": {}, "vae": {"recipe": "beta-vae"}}
    found = planned(arms=arms, overrides={"budget.max_steps": 5}, claims={}, quantities={"recall": "recall"})
    assert [arm.recipe.name for arm in found.arms] == ["quick-mnist", "beta-vae"]


def test_a_grid_makes_every_combination() -> None:
    grid = {"optimisers.generator.lr": [0.001, 0.002], "budget.batch": [16, 32]}
    found = planned(arms={}, grid=grid, claims={})
    assert found.names == ("lr_g-0.001-batch-16", "lr_g-0.001-batch-32", "lr_g-0.002-batch-16", "lr_g-0.002-batch-32")


def test_a_recipe_in_a_file_is_found_from_the_study_s_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from genlab.recipe import files

    (tmp_path / "mine.yaml").write_text(files.dump(files.load("quick-mnist")), "utf-8")
    monkeypatch.chdir("/")
    assert plan(design.check(raw(recipe="mine.yaml"), "s"), tmp_path).arms[0].recipe.name == "quick-mnist"


CHANGED = 'claims.lower.says: "The loss is lower with a faster generator." -> "Other words."'


def test_what_decides_is_fixed_and_words_are_not() -> None:
    """New remarks beside a claim do not change a study; a new sentence, margin, arm, seed or quantity does."""
    first = planned().facts
    assert changes(first, planned(claims={"lower": {**raw()["claims"]["lower"], "looks": "Other words."}}).facts) == []
    sentence = planned(claims={"lower": {**raw()["claims"]["lower"], "says": "Other words."}}).facts
    assert changes(first, sentence) == [CHANGED]
    long = planned(claims={"lower": {**raw()["claims"]["lower"], "says": "Longer " * 40}}).facts
    assert changes(first, long)[0].endswith('Longer Longer ..."'), "cut at a word, and said"
    margin = planned(claims={"lower": {**raw()["claims"]["lower"], "margin": 0.5}}).facts
    assert changes(first, margin) == ["claims.lower.margin: null -> 0.5"]
    assert any("seeds" in line for line in changes(first, planned(seeds=5).facts))
    arm = planned(arms={**raw()["arms"], "fast": {"optimisers.generator.lr": 0.005}}).facts
    assert changes(first, arm) == ["arms.fast.optimisers.generator.lr: 0.004 -> 0.005"]


def test_where_a_run_is_trained_and_what_it_logs_is_no_part_of_what_is_trained() -> None:
    other = {**raw()["overrides"], "engine.threads": 2, "logging.metrics_every": 5}
    assert planned().arms[0].identity == planned(overrides=other).arms[0].identity
    assert planned().arms[0].identity != planned().arms[1].identity


def test_a_line_becomes_a_study_file() -> None:
    text, title = template("s4-classifier", ["optimiser.lr=1e-4,1e-3,1e-2"], 8, None, None, {"budget.epochs": 2})
    assert title == "s4-classifier-lr"
    import yaml

    study = design.check(yaml.safe_load(text), title)
    assert list(study.arms) == ["lr-0.0001", "lr-0.001", "lr-0.01"]
    assert study.arms["lr-0.0001"] == {"optimiser.lr": 0.0001}
    assert len(study.claims) == 3
    assert study.overrides == {"budget.epochs": 2}
    assert plan(study, Path()).cells
    for wrong in ("optimiser.lr", "optimiser.lr=", "=1"):
        with pytest.raises(UsageError, match="FIELD=VALUE,VALUE"):
            template("s4-classifier", [wrong], 8, None, None, {})
