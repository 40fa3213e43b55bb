"""Flags for a recipe's fields: the ways people type them, and the messages about those that are not fields."""

from __future__ import annotations

from typing import Any

import pytest

from genlab.cli import main
from genlab.cli.fields import take
from genlab.errors import RecipeError
from genlab.recipe import GanRecipe
from genlab.recipe.files import load


@pytest.mark.parametrize(
    ("typed", "value"),
    [
        ("0.9 0.999", [0.9, 0.999]),
        ("[0.9,0.999]", [0.9, 0.999]),
        ("0.9,0.999", [0.9, 0.999]),
        ("7", 7),
        ("-1e-3", -1e-3),
        ("2e-4", 2e-4),
    ],
)
def test_numbers_as_people_type_them(typed: str, value: Any) -> None:
    assert take(["train", "x", "--a.b", *typed.split(), "--seed", "3"]) == (
        ["train", "x", "--seed", "3"],
        {"a.b": value},
    )


@pytest.mark.parametrize("typed", [["train", "x", "--a.b"], ["train", "x", "--a.b", "--seed", "3"]])
def test_a_field_without_a_value(typed: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert "--a.b needs a value, as in --a.b VALUE" in refused(typed, capsys)


@pytest.mark.parametrize(
    ("typed", "value"),
    [
        (["--data.classes", "yes"], "yes"),
        (["--data.classes", "[yes, no]"], ["yes", "no"]),
        (["--data.classes", "0", "1"], ["0", "1"]),
        (["--data.classes=null"], None),
        (["--data.classes", "'cat, dog'"], "cat, dog"),
        (["--data.name", "2024"], "2024"),
    ],
)
def test_names_stay_as_typed(typed: list[str], value: Any) -> None:
    """YAML would read them as true, false and a number."""
    (found,) = take(["train", "quick", *typed])[1].values()
    assert found == value


@pytest.mark.parametrize("classes", [[True], [1.5], True, ["a", False]])
def test_classes_of_a_recipe_file_are_names(classes: Any) -> None:
    with pytest.raises(RecipeError, match=r"data\.classes.*put yes, no, on, off and numbers with a point in quotes"):
        load("quick-mnist", {"data.classes": classes})


def test_other_commands_have_no_fields() -> None:
    assert take(["sample", "x", "--a.b", "1"]) == (["sample", "x", "--a.b", "1"], {})


def test_one_path_for_both_players() -> None:
    recipe = load("s2-dcgan", {"optimisers.both.betas": [0.9, 0.99], "optimisers.discriminator.lr": 1e-5})
    assert isinstance(recipe, GanRecipe)
    g, d = (player.model_dump() for player in (recipe.optimisers.generator, recipe.optimisers.discriminator))
    assert g["betas"] == d["betas"] == (0.9, 0.99)
    assert (g["lr"], d["lr"]) == (5e-4, 1e-5)


def refused(typed: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as caught:
        main.main(typed)
    assert caught.value.code == 2
    told = capsys.readouterr().err
    assert told.startswith("genlab: ")
    return told


PLAYERS = "--optimisers.both.{0}, --optimisers.generator.{0} or --optimisers.discriminator.{0}"


@pytest.mark.parametrize(
    ("recipe", "flag", "field"),
    [
        ("quick-mnist", "--lr", PLAYERS.format("lr")),
        ("quick-mnist", "--learning-rate=3", PLAYERS.format("lr")),
        ("s4-vae", "--lr", "--optimiser.lr"),
        ("quick-mnist", "--beta1", PLAYERS.format("betas") + " (two numbers, as in 0.9 0.999)"),
        ("quick-mnist", "--batch-size", "--budget.batch"),
        ("quick-mnist", "--batch_size", "--budget.batch"),
        ("quick-mnist", "--steps", "--budget.max_steps"),
        ("quick-mnist", "--nz", "--networks.latent"),
        ("quick-mnist", "--dataset", "--data.name"),
        ("quick-mnist", "--ngf", "--networks.generator.ngf"),
        ("quick-mnist", "--max-step", "--budget.max_steps"),  # a typo in a field
    ],
)
def test_a_short_flag_names_the_paths_and_changes_nothing(
    recipe: str, flag: str, field: str, capsys: pytest.CaptureFixture[str]
) -> None:
    told = refused(["train", recipe, flag, "3"], capsys)
    assert told == f"genlab: train has no option {flag.partition('=')[0]}; the recipe's field is {field}\n"


@pytest.mark.parametrize(
    ("typed", "guess"),
    [
        (["train", "quick-mnist", "--epoch", "3"], "--epochs"),
        (["grid", "x", "--column", "3"], "--columns"),
        (["evaluate", "x", "--agianst", "mnist"], "--against"),
    ],
)
def test_a_typing_error_is_told(typed: list[str], guess: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert f"; did you mean {guess}? Options: " in refused(typed, capsys)


@pytest.mark.parametrize(
    ("typed", "option"),
    [
        (["train", "quick-mnist", "--epochs"], "--epochs"),
        (["train", "quick-mnist", "--name", "--seed", "3"], "--name"),
        (["train", "mine.yaml", "--data"], "--data"),
        (["study", "new", "quick-mnist", "--vary"], "--vary"),
        (["study", "run", "mine.yaml", "--profile"], "--profile"),
        (["data", "import", "pictures", "--size", "-o", "mine.npz"], "--size"),
        (["sample", "x", "--output"], "--output"),
        (["sample", "x", "-n"], "-n"),
    ],
)
def test_an_option_without_a_value(typed: list[str], option: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert refused(typed, capsys).startswith(f"genlab: {option} needs a value (")


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("--objective null", "objective is a section; set its fields, as in --objective.loss VALUE"),
        ("--networks null", "networks is a section; set its fields, as in --networks.latent VALUE"),
        ("--generator 5", "networks.generator is a section; set its fields, as in --networks.generator.kind VALUE"),
        ("--description x", "description is set in a recipe's file"),
    ],
)
def test_no_section_is_called_a_field(typed: str, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    told = refused(["train", "quick-mnist", *typed.split()], capsys)
    assert told.startswith(f"genlab: train has no option {typed.split()[0]}; {words} (genlab show RECIPE --yaml ")


@pytest.mark.parametrize(
    "typed",
    [
        ["train", "quick-mnist", "--gpu"],
        ["train", "quick-mnist", "--verbose"],
        ["train", "quick-mnist", "--step"],  # not --seed, nor --strict
        ["evaluate", "x", "--lr", "3"],
        ["sample", "x", "--batch", "3"],  # not --batch-statistics
    ],
)
def test_an_unrelated_option_is_never_suggested(typed: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    told = refused(typed, capsys)
    assert "did you mean" not in told
    assert "has no option --" in told or "the recipe's field is --budget.max_steps" in told


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        (["sample"], "sample needs RUN"),
        (["sample", "x", "y", "z"], "sample got too many arguments: "),
        (["evalaute", "x"], "unknown command 'evalaute'; did you mean 'evaluate'?"),
        (["help"], "genlab has no command help; every command takes --help, as in genlab train --help"),
        (["help", "sample"], "genlab has no command help; every command takes --help, as in genlab sample --help"),
        (["runs", "help", "rm"], "genlab runs has no command help; every command takes --help, as in genlab runs rm"),
        (["--versoin"], "genlab has no option --versoin; did you mean --version? Options: --help, --version"),
        (["data", "--halp"], "data has no option --halp. Options: --help"),
        (["train", "quick-mnist", "--minutes", "nan"], "budget.minutes is nan; allowed: more than 0"),
        (["runs", "verfy"], "unknown command 'verfy'; did you mean 'verify'?"),
        (["show", "quick-mnist", "--optimisers.both.betas", "0.9"], "is 0.9; a list is needed, as in [0.5, 0.999]"),
        (
            ["show", "quick-mnist", "--optimisers.generator.betas=[0.9]"],
            "is [0.9]; more values are needed, as in [0.5, 0.999]",
        ),
        (["show", "quick-mnist", "--optimisers.generator.betas", "1", "2", "3"], "allowed: at most 2 values"),
        (
            ["show", "s4-vae", "--optimisers.both.lr", "3"],
            "unknown field optimisers.both.lr; did you mean optimiser.lr?",
        ),
    ],
)
def test_what_is_wrong_with_a_command(typed: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert words in refused(typed, capsys)
