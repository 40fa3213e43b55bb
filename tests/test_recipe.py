"""The schema and the rules between fields: what is refused, and that all of it is said at once."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from genlab import recipe_files
from genlab.errors import RecipeError, UsageError
from genlab.recipe import GanRecipe


def problems(changes: dict[str, Any], recipe: str = "quick-mnist") -> list[str]:
    with pytest.raises(RecipeError) as caught:
        recipe_files.load(recipe, changes)
    assert caught.value.exit_code == 2
    return caught.value.problems


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"optimisers.generator.lr": 0}, "optimisers.generator.lr is 0"),
        ({"optimisers.generator.lr": -1}, "optimisers.generator.lr is -1"),
        ({"optimisers.discriminator.lr": float("inf")}, "optimisers.discriminator.lr is inf"),
        ({"optimisers.discriminator.lr": float("nan")}, "optimisers.discriminator.lr is nan"),
        ({"optimisers.discriminator.lr": 1e10}, "optimisers.discriminator.lr is 10000000000.0"),
        ({"optimisers.generator.betas": [0.5, 1.0]}, "optimisers.generator.betas is"),
        ({"budget.epochs": 0}, "budget.epochs is 0"),
        ({"budget.epochs": -1}, "budget.epochs is -1"),
        ({"budget.batch": 0}, "budget.batch is 0"),
        ({"budget.batch": 1}, "batch normalisation needs 2 or more"),
        ({"networks.latent": 0}, "networks.latent is 0"),
        ({"data.size": 17}, "data.size is 17"),
        ({"data.size": 48}, "data.size is 48, which doubling networks.generator.base = 4 cannot make (next: 32, 64)"),
        ({"data.channels": 2}, "data.channels is 2"),
        ({"objective.penalty": "none"}, "objective.lambda is"),
        ({"objective.lambda": None}, "objective.lambda is missing"),
        ({"objective.discriminator_terms": "half-sum"}, "has one term"),
        ({"networks.generator": {"kind": "dcgan"}}, "the generator is not told the class"),
        ({"engine.plan": "reference", "engine.precision": "bfloat16"}, "engine.plan reference means 'float32'"),
        ({"engine.threads": 0}, "engine.threads is 0; allowed: 'auto', or input should be greater than or equal to 1"),
        ({"engine.threads": "x"}, "engine.threads is 'x'; allowed: 'auto', or a whole number"),
        ({"name": "../x"}, "name is '../x'"),
    ],
)
def test_what_is_refused(changes: dict[str, Any], words: str) -> None:
    assert words in "\n".join(problems(changes))


def test_all_problems_are_said_at_once() -> None:
    found = problems(
        {
            "optimisers.generator.lr": -1,
            "budget.epochs": 0,
            "data.size": 33,
            "objective.loss": "relatvistic",
            "objective.penalti": "none",
        }
    )
    for words in ("generator.lr", "budget.epochs", "data.size is 33, which doubling", "'relativistic'", "penalti"):
        assert any(words in line for line in found), (words, found)


def test_a_field_of_another_kind_is_refused() -> None:
    """`head` belongs to the unconditional generator."""
    assert "networks.generator.head" in problems({"networks.generator.head": "transposed"})[0]


@pytest.mark.parametrize(
    ("path", "nearest"),
    [
        ("objective.lamda", "objective.lambda"),
        ("optimisers.generator.learning_rate", "optimisers.generator"),
        ("budgt.epochs", "budget.epochs"),
        ("lr", "optimisers.generator.lr"),
    ],
)
def test_an_unknown_field_names_the_nearest(path: str, nearest: str) -> None:
    (line,) = problems({path: 3})
    assert f"unknown field {path}; did you mean {nearest}" in line


def test_an_unknown_recipe_names_the_nearest() -> None:
    with pytest.raises(UsageError, match="did you mean 'quick-mnist'"):
        recipe_files.load("quick-mnst")


def test_a_recipe_is_frozen() -> None:
    recipe = recipe_files.load("quick-mnist")
    with pytest.raises(ValidationError, match="frozen"):
        recipe.budget.epochs = 3  # type: ignore[misc]


def test_numbers_may_come_as_yaml_reads_them() -> None:
    """YAML 1.1 reads 1e-3 as text; a person means a number."""
    recipe = recipe_files.load("quick-mnist", {"optimisers.generator.lr": "1e-3"})
    assert recipe_files.to_dict(recipe)["optimisers"]["generator"]["lr"] == 1e-3


@pytest.mark.parametrize("given", ["1, 2,5", "1 2 5", [1, 2, 5]])
def test_lists_may_be_written_with_commas(given: Any) -> None:
    assert recipe_files.load("quick-mnist", {"logging.sample_epochs": given}).logging.sample_epochs == (1, 2, 5)


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"images": 10}, "budget.batch is 64, but dataset mnist has 10 training images"),
        ({"side": 40}, "padding cannot shrink"),
        ({"channels": 3}, "data.channels is 1, but dataset mnist has 3"),
        ({"classes": 0}, "has no labels"),
    ],
)
def test_what_a_dataset_refuses(facts: dict[str, int], words: str) -> None:
    draft = recipe_files.Draft("quick-mnist", {"budget.epochs": 0})
    draft.against(**{"images": 60_000, "side": 28, "channels": 1, "classes": 10, **facts})
    with pytest.raises(RecipeError) as caught:
        draft.settle()
    assert len(caught.value.problems) == 2
    assert words in caught.value.problems[1]


def test_a_last_batch_of_one_is_refused_before_batch_normalisation_meets_it() -> None:
    recipe = recipe_files.load("s2-dcgan")
    assert [line for _, line in recipe.against(128 * 3 + 1, 28, 1, 10)] != []
    assert [line for _, line in recipe.against(128 * 3 + 2, 28, 1, 10)] == []


def test_conditional_is_what_the_generator_is_told() -> None:
    assert recipe_files.load("quick-mnist").conditional
    assert not recipe_files.load("s2-dcgan").conditional
    assert isinstance(recipe_files.load("s2-dcgan"), GanRecipe)
