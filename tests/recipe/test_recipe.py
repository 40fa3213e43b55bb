"""The schema and the rules between fields: what is refused, and that all problems are reported at once."""

from __future__ import annotations

import re
from typing import Any

import pytest
from pydantic import ValidationError

from genlab.errors import RecipeError, UsageError
from genlab.recipe import FAMILIES, GanRecipe, files
from genlab.recipe.draft import Draft, paths


def problems(changes: dict[str, Any], recipe: str = "quick-mnist") -> list[str]:
    with pytest.raises(RecipeError) as caught:
        files.load(recipe, changes)
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
        ({"data.size": 48}, "which cannot be reached by doubling networks.generator.base = 4 (nearest: 32, 64)"),
        ({"data.channels": 2}, "data.channels is 2"),
        ({"objective.penalty": "none"}, "objective.lambda is"),
        ({"objective.lambda": None}, "objective.lambda is missing"),
        ({"objective.discriminator_terms": "half-sum"}, "has one term"),
        ({"networks.generator": {"kind": "dcgan"}}, "the generator is not told the class"),
        ({"engine.plan": "reference", "engine.precision": "bfloat16"}, "engine.plan reference means float32"),
        ({"engine.threads": 0}, "engine.threads is 0; allowed: 'auto', or a number, 1 or more"),
        ({"engine.threads": "x"}, "engine.threads is 'x'; allowed: 'auto', or a whole number"),
        ({"name": "../x"}, "name is '../x'"),
        (
            {"objective.label_smoothing": 0.1},
            "objective.label_smoothing is 0.1, which has no effect",
        ),
        ({"objective.sigma": None}, "objective.sigma is missing; objective.penalty r1-r2-finite-difference needs it"),
        ({"objective.penalty": "r1"}, "objective.sigma is 0.05, which has no effect with objective.penalty r1"),
        ({"networks.discriminator.normalisation": "batch"}, "acts on D at each single image"),
        ({"objective.packing": 2}, "judges one image of one class"),
        ({"objective.generator_batch": 10}, "objective.generator_noise reuse uses the discriminator's images"),
        ({"objective.generator_batch": 10, "objective.generator_noise": "fresh"}, "relativistic compares"),
        ({"objective.players": "generator"}, "objective.penalty has no effect with objective.players generator"),
        ({"objective.players": "generator", "objective.clip": 0.1}, "objective.clip has no effect"),
        ({"objective.players": "discriminator", "objective.critic_steps": 5}, "objective.critic_steps has no effect"),
        ({"networks.generator.order": "activate-normalise", "networks.generator.normalisation": "none"}, "order is"),
        ({"networks.discriminator.order": "activate-normalise"}, "order is activate-normalise, which has no effect"),
        ({"optimisers.generator.name": "adamm"}, "optimisers.generator.name is 'adamm'"),
        ({"optimisers.generator.name": "sgd", "optimisers.generator.betas": [0, 0.9]}, "unknown field optimisers.gen"),
        ({"optimisers.generator.warmup_steps": -1}, "optimisers.generator.warmup_steps is -1"),
        (
            {
                "networks.generator.kind": "residual",
                "networks.discriminator.kind": "mlp",
                "networks.discriminator.widths": [],
            },
            "networks.discriminator.widths is",
        ),
    ],
)
def test_what_is_refused(changes: dict[str, Any], words: str) -> None:
    assert words in "\n".join(problems(changes))


FINITE = {"objective.penalty": "r1-finite-difference", "objective.lambda": 1.0, "objective.sigma": 0.05}


@pytest.mark.parametrize(
    ("recipe", "changes", "words"),
    [
        ("s2-dcgan", {"objective.packing": 3}, "budget.batch is 128, which is not a multiple of objective.packing = 3"),
        ("s1-mlp", {"networks.generator.normalisation": "none"}, "batchnorm_eps is 0.8, which has no effect"),
        ("s1-mlp", {"networks.discriminator.batchnorm_eps": 0.8}, "batchnorm_eps is 0.8, which has no effect"),
        (
            "s3-mlp",
            {"networks.generator.normalise_first": True},
            "normalise_first has no effect with normalisation none",
        ),
        ("s4-vae", {"ema": {"decay": 0.9}}, "unknown field ema"),
        ("s4-vae", {"objective.loss": "hinge"}, "unknown field objective.loss"),
        ("s4-vae", {"optimisers.generator.lr": 1}, "unknown field optimisers.generator.lr; did you mean optimiser.lr?"),
        ("s4-vae", {"objective.beta": -1}, "objective.beta is -1"),
        ("s4-vae", {"objective.beta": 0, "objective.free_bits": 1}, "has no effect with objective.beta 0"),
        ("s4-vae", {"objective.beta": 0, "objective.kl_warmup_steps": 9}, "has no effect with objective.beta 0"),
        ("s4-vae", {"objective.likelihood": "gausian"}, "did you mean 'gaussian'?"),
        ("s4-vae", {"networks.latent": 0, "objective.kl": "max"}, "networks.latent is 0"),
        ("s4-vae", {"objective.binarise": "static"}, "but objective.likelihood is gaussian; binarised pixels need"),
        (
            "iwae",
            {"objective.beta": 2},
            "objective.beta is 2.0, but objective.importance_samples 5 needs the bound",
        ),
        ("iwae", {"objective.kl_warmup_steps": 2}, "needs the bound itself; set it to null"),
        (
            "s4-vae",
            {"objective.importance_samples": 2},
            "objective.reconstruction is mean, but objective.importance_sam",
        ),
        ("iwae", {"objective.importance_samples": 0}, "objective.importance_samples is 0"),
        ("s4-classifier", {"networks.latent": 2}, "unknown field networks.latent"),
        ("s4-classifier", {"init_encoder_from": "x"}, "unknown field init_encoder_from"),
        ("conv-vae", {"data.size": 28}, "data.size is 28, which cannot be reached by doubling networks.decoder.base"),
        ("cvae", {"init_encoder_from": "s4-classifier"}, "a conditional encoder also reads the class"),
        ("s4-classifier", {"logging.sample_every": 10}, "unknown field logging.sample_every"),
        ("s4-vae", {"engine.merged_passes": True}, "engine.merged_passes has no effect in family vae"),
        ("s4-classifier", {"engine.merged_passes": True}, "engine.merged_passes has no effect in family classifier"),
        (
            "s4-vae",
            {"optimiser.name": "sgd", "optimiser.nesterov": True},
            "nesterov has no effect",
        ),
        ("s3-mlp", {**FINITE, "networks.discriminator.dropout": 0.3}, "dropout 0.3 changes D from pass to pass"),
        ("sngan-hinge", FINITE, "spectral normalisation changes D between two passes"),
        ("sngan-hinge", {"objective.clip": 0.1}, "which rescales every weight"),
        ("s1-mlp", {"objective.generator_batch": 1}, "objective.generator_batch is 1, but batch normalisation"),
        ("s2-dcgan", {"objective.packing": 128}, "makes budget.batch 128 a single pack"),
        (
            "quick-mnist",
            {"networks.discriminator": {"kind": "projection-dcgan", "stem": "patch", "base": 16}},
            "networks.discriminator.stem is patch, which quarters the side at once, but data.size 32 is not",
        ),
        ("s2-dcgan", {"networks.discriminator.minibatch_stddev": 1}, "networks.discriminator.minibatch_stddev is 1"),
        (
            "s2-dcgan",
            {"networks.discriminator.minibatch_stddev": 8, "objective.packing": 4, "budget.batch": 80},
            "is not a multiple of objective.packing x networks.discriminator.minibatch_stddev = 32",
        ),
        ("s2-dcgan", {"objective.classification": 0.5}, "networks.discriminator.kind dcgan has no outputs for classes"),
        ("quick-mnist", {"objective.players": "generator", "objective.classification": 1}, "classification has no ef"),
        ("quick-mnist", {"objective.classification": 0}, "objective.classification is 0"),
        ("s2-cdcgan", {"networks.discriminator.ndf": 33}, "networks.discriminator.ndf is 33; it must be even"),
        ("s2-cdcgan", {"networks.generator.ngf": 33}, "networks.generator.ngf is 33; it must be even"),
        (
            "quick-fashion",
            {"augmentation": {}},
            "augmentation has nothing to do: translation, cutout, brightness, saturation, contrast are 0; set it to",
        ),
        (
            "quick-fashion",
            {"augmentation.saturation": 0.5},
            "saturation is 0.5, which has no effect with data.channels",
        ),
        (
            "quick-fashion",
            {"augmentation.translation": 0.01},
            "translation is 0.01, which is less than half a pixel of",
        ),
        (
            "quick-fashion",
            {"augmentation.cutout": 0.01},
            "cutout is 0.01, which is less than half a pixel of data.size",
        ),
        ("quick-fashion", {"augmentation.translation": 0.6}, "augmentation.translation is 0.6; allowed: 0.5 or less"),
        ("quick-fashion", {"augmentation.cutout": 1.1}, "augmentation.cutout is 1.1; allowed: 1 or less"),
        ("quick-fashion", {"augmentation.cutout": -0.1}, "augmentation.cutout is -0.1; allowed: 0 or more"),
        ("quick-fashion", {"augmentation.brightness": float("nan")}, "augmentation.brightness is nan"),
        ("quick-fashion", {"augmentation.brightness": 2}, "augmentation.brightness is 2; allowed: 1 or less"),
        ("quick-fashion", {"augmentation.saturation": 2}, "augmentation.saturation is 2; allowed: 1 or less"),
        ("quick-fashion", {"augmentation.contrast": True}, "a number is needed"),
        ("quick-fashion", {"augmentation.shift": 2}, "unknown field augmentation.shift"),
        ("s4-vae", {"augmentation.cutout": 0.5}, "unknown field augmentation.cutout"),
    ],
)
def test_what_the_other_families_refuse(recipe: str, changes: dict[str, Any], words: str) -> None:
    assert words in "\n".join(problems(changes, recipe))


def test_an_invalid_change_is_not_also_called_idle() -> None:
    assert len(problems({"augmentation.cutout": 2})) == 1


def test_saturation_is_for_colour() -> None:
    recipe = files.load("quick-stacked", {"augmentation.saturation": 1})
    assert isinstance(recipe, GanRecipe)
    assert recipe.augmentation is not None
    assert recipe.augmentation.saturation == 1


def test_a_recipe_from_before_the_augmentation_is_the_same() -> None:
    plain = files.to_dict(files.load("quick-mnist"))
    assert plain.pop("augmentation", "left out") is None
    assert files.load(plain) == files.load("quick-mnist")


def test_another_kind_keeps_what_both_have() -> None:
    """Overriding a kind or an optimiser drops the fields that only the old one has, and keeps the rest."""
    recipe = files.load(
        "s2-dcgan",
        {
            "networks.discriminator.kind": "conditional-dcgan",
            "networks.generator.kind": "conditional-dcgan",
            "optimisers.generator.name": "sgd",
            "optimisers.generator.momentum": 0.9,
        },
    )
    made = files.to_dict(recipe)
    assert made["networks"]["discriminator"]["ndf"] == 32
    assert "stem" not in made["networks"]["discriminator"]
    assert made["optimisers"]["generator"] == {
        "name": "sgd", "lr": 5e-4, "weight_decay": 0.0, "schedule": "constant", "warmup_steps": 0, "momentum": 0.9,
        "nesterov": False,
    }  # fmt: skip


def test_an_optimiser_takes_its_own_defaults() -> None:
    """AdamW's weight decay is 0.01, although the recipe's Adam has 0; the learning rate and overrides stay."""
    made = files.to_dict(files.load("s4-classifier", {"optimiser.name": "adamw"}))["optimiser"]
    assert (made["weight_decay"], made["lr"]) == (0.01, 0.001)
    asked = {"optimiser.name": "adamw", "optimiser.weight_decay": 0.5}
    assert files.to_dict(files.load("s4-classifier", asked))["optimiser"]["weight_decay"] == 0.5


def test_full_batch_descent_is_on_a_stated_subset() -> None:
    changes = {"optimisers.generator.name": "gradient-descent"}
    draft = Draft("s3-mlp", changes)
    draft.against(60_000, 28, 1, 10)
    with pytest.raises(RecipeError, match=r"uses all 60,000 images in each step, but budget\.batch is 100"):
        draft.settle()
    fits = Draft("s3-mlp", {**changes, "data.subset": 1000, "budget.batch": 1000})
    fits.against(60_000, 28, 1, 10)
    assert fits.settle().data.subset == 1000


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
    for words in ("generator.lr", "budget.epochs", "data.size is 33, which cannot", "'relativistic'", "penalti"):
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
        ("lr", "optimisers.both.lr"),
        ("optimiser.lr", "optimisers.both.lr"),
        ("optimisers.generater.betas", "optimisers.both.betas"),
        ("networks.generator.kid", "networks.generator.kind"),
    ],
)
def test_an_unknown_field_names_the_nearest(path: str, nearest: str) -> None:
    (line,) = problems({path: 3})
    assert f"unknown field {path}; did you mean {nearest}" in line


@pytest.mark.parametrize(
    ("recipe", "path", "words"),
    [
        ("s1-mlp", "networks.generator.ngf", "kind mlp has no ngf; its fields: kind, activation, "),
        ("s0-dcgan", "optimisers.generator.nesterov", "name adam has no nesterov; its fields: name, lr, "),
    ],
)
def test_a_field_of_another_form_names_the_form(recipe: str, path: str, words: str) -> None:
    assert problems({path: 3}, recipe)[0].startswith(f"unknown field {path}: {words}")


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("engine.threads", 0, "engine.threads is 0; allowed: 'auto', or a number, 1 or more"),
        ("engine.threads", True, "engine.threads is true; allowed: 'auto', or a number"),
        ("engine.compile", 1.5, "engine.compile is 1.5; allowed: 'auto', or true or false"),
        ("networks.generator", 5, "networks.generator is 5; a section is needed, with fields such as networks.gen"),
        ("augmentation", "{trans", "augmentation is '{trans'; a section is needed, with fields such as augmentation.t"),
        ("data.name", 2024, "data.name is 2024; text is needed: put it in quotes"),
        ("data.classes", [[1]], "data.classes is [1]; text or a whole number is needed"),
        ("budget.epochs", True, "budget.epochs is true; a number is needed, not true or false"),
        ("logging.sample_epochs", 1.5, "logging.sample_epochs is 1.5; a whole number is needed"),
        ("logging.sample_epochs", None, "logging.sample_epochs is null; a list is needed, as in [1, 2, 5]"),
        ("description", "x" * 301, "; allowed: at most 300 characters"),
    ],
)
def test_what_is_needed_is_said_in_plain_words(path: str, value: object, words: str) -> None:
    assert words in problems({path: value})[0]


VALUES: tuple[Any, ...] = (
    "text",
    "",
    -1,
    1.5,
    True,
    None,
    [],
    [[1]],
    ["a", "b", "c"],
    {"a": 1},
    {1: 2},
    "x" * 400,
    10**30,
)


@pytest.mark.parametrize("recipe", ["quick-mnist", "s4-vae", "s4-classifier"])
def test_no_word_of_the_library_reaches_the_user(recipe: str) -> None:
    plain = files.to_dict(files.load(recipe))
    told = ""
    for path in paths(FAMILIES[plain["family"]], plain):
        for value in VALUES:
            try:
                files.load(plain, {path: value})
            except UsageError as error:
                told += f"{error}\n"
    assert not re.findall(r".*(?:should|valid |value error|instance of|unable to|\^\[).*", told, re.IGNORECASE)


def test_a_recipe_without_a_family_says_so() -> None:
    with pytest.raises(RecipeError, match="recipe x: family is missing; allowed: gan, vae, classifier"):
        files.load({"schema": 1, "name": "x"})


def test_an_unknown_recipe_names_the_nearest() -> None:
    with pytest.raises(UsageError, match="did you mean 'quick-mnist'"):
        files.load("quick-mnst")


def test_a_recipe_is_frozen() -> None:
    recipe = files.load("quick-mnist")
    with pytest.raises(ValidationError, match="frozen"):
        recipe.budget.epochs = 3  # type: ignore[misc]


def test_numbers_may_come_as_yaml_reads_them() -> None:
    """YAML 1.1 reads 1e-3 as text, but a number is meant."""
    recipe = files.load("quick-mnist", {"optimisers.generator.lr": "1e-3"})
    assert files.to_dict(recipe)["optimisers"]["generator"]["lr"] == 1e-3


@pytest.mark.parametrize("given", ["1, 2,5", "1 2 5", [1, 2, 5]])
def test_lists_may_be_written_with_commas(given: Any) -> None:
    recipe = files.load("quick-mnist", {"logging.sample_epochs": given})
    assert files.to_dict(recipe)["logging"]["sample_epochs"] == [1, 2, 5]


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
    draft = Draft("quick-mnist", {"budget.epochs": 0})
    draft.against(**{"images": 60_000, "side": 28, "channels": 1, "classes": 10, **facts})
    with pytest.raises(RecipeError) as caught:
        draft.settle()
    assert len(caught.value.problems) == 2
    assert words in caught.value.problems[1]


def test_a_last_batch_of_one_is_refused_before_batch_normalisation_meets_it() -> None:
    recipe = files.load("s2-dcgan")
    assert [line for _, line in recipe.against(128 * 3 + 1, 28, 1, 10)] != []
    assert [line for _, line in recipe.against(128 * 3 + 2, 28, 1, 10)] == []


def test_conditional_is_what_the_generator_is_told() -> None:
    assert files.load("quick-mnist").conditional
    assert not files.load("s2-dcgan").conditional
    assert isinstance(files.load("s2-dcgan"), GanRecipe)
