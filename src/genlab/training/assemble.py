"""From a recipe to a model in training: its data, its networks, its device, its random streams."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from torch import nn

from genlab.data import Dataset
from genlab.data import first as first_images
from genlab.data import load as load_data
from genlab.data import settled as settled_name
from genlab.data.preprocessing import fitted
from genlab.data.selection import name_of as selection_of
from genlab.engine import device
from genlab.engine.console import note
from genlab.engine.files import check_text
from genlab.engine.randomness import Keyed
from genlab.errors import DataError, UsageError
from genlab.families.base import CustomNetworks, Family, Trains
from genlab.families.cost import expected_seconds as seconds_of
from genlab.families.gan.losses import AdversarialLoss
from genlab.families.registry import FAMILIES
from genlab.recipe import Recipe
from genlab.recipe import files as recipes
from genlab.recipe.draft import Draft
from genlab.recipe.schedule import Schedule
from genlab.recipe.sections import listed
from genlab.recipe.source import RecipeSource
from genlab.runs.provenance import describe_networks
from genlab.training.choose import CHOOSERS, choose


@dataclass(frozen=True)
class Assembly:
    """Everything that a training needs, before it is placed on a device.

    Attributes:
        recipe: recipe with every `auto` of its engine resolved for this machine.
        dataset: training images in the recipe's size.
        networks: networks by name, with their initial weights.
        keyed: random streams of the run.
    """

    recipe: Recipe
    dataset: Dataset
    networks: dict[str, nn.Module]
    keyed: Keyed

    @property
    def family(self) -> Family:
        return FAMILIES[self.recipe.family]

    @property
    def schedule(self) -> Schedule:
        return Schedule.of(self.recipe, len(self.dataset))

    @property
    def convolutional(self) -> bool:
        """Whether any network has a convolution."""
        return device.convolves(self.networks.values())

    def model(self, objective: AdversarialLoss | None = None) -> Trains:
        """The networks on the recipe's device, with their optimisers."""
        machine, steps = device.start(self.recipe.engine), self.schedule.total_steps
        return self.family.model(self.recipe, self.networks, machine, self.keyed, steps, objective)


def prepare(source: RecipeSource, overrides: Mapping[str, Any]) -> tuple[Recipe, Dataset]:
    """Settled recipe and its dataset in the recipe's size; all problems of both are reported at once."""
    settled, dataset = settle(source, overrides)
    return settled, used_by(settled, dataset)


def used_by(recipe: Recipe, dataset: Dataset) -> Dataset:
    """Images of a dataset that a recipe trains on, in the recipe's size."""
    return fitted(first_images(dataset, recipe.data.subset), recipe)


def settle(
    source: RecipeSource, overrides: Mapping[str, Any], given: Callable[[str], Dataset] | None = None
) -> tuple[Recipe, Dataset]:
    """Settled recipe and its dataset in its original size; all problems of both are reported at once.

    Args:
        given: function that loads the training split of a dataset by name (default: `data.load`).
    """
    load = given or load_data
    if str(source) in CHOOSERS:
        overrides = chosen(str(source), overrides, load, say=given is None)
    draft = Draft(source, overrides)
    dataset = None
    if draft.data is not None:
        try:
            name, classes = draft.data.name, draft.data.classes
            dataset = load(selection_of(name, classes) if classes else name)
        except DataError as error:
            if not draft.problems:
                raise
            draft.problems.append(str(error))
        else:
            draft.against(len(dataset), dataset.side, dataset.channels, len(dataset.class_names))
    settled = draft.settle()
    assert dataset is not None
    # The run must find its data again from any folder.
    name = settled_name(settled.data.name, settled.data.classes)
    check_text(name, "dataset")
    data = settled.data.model_copy(update={"name": name, "classes": None})
    return settled.model_copy(update={"data": data}), dataset


def chosen(source: str, overrides: Mapping[str, Any], load: Callable[[str], Dataset], say: bool) -> dict[str, Any]:
    """Overrides of a recipe that is chosen for its dataset; those of the caller take precedence.

    Args:
        say: whether to print what was chosen.

    Raises:
        DataError: the dataset cannot be read or does not suit the recipe.
    """
    name = str(overrides.get("data.name", recipes.load(source).data.name))
    if (classes := overrides.get("data.classes")) is not None:
        name = selection_of(name, listed(classes))
    length = any(overrides.get(f"budget.{field}") is not None for field in ("epochs", "max_steps", "minutes"))
    subset = overrides.get("data.subset")
    images = first_images(load(name), subset if isinstance(subset, int) and subset > 0 else None)
    choice = choose(images, CHOOSERS[source], length)
    if say and "data.name" not in overrides:
        note(f"{source}: no --data given; using the built-in dataset {name}")
    for line in choice.words if say else ():
        note(f"{source}: {line}")
    return {**choice.overrides, **overrides}


def assemble(
    recipe: Recipe,
    dataset: Dataset,
    seed: int,
    custom: CustomNetworks | None = None,
    needed: Iterable[str] = (),
) -> Assembly:
    """Networks for a recipe and its dataset (in the recipe's size), and the engine as this machine resolves it.

    Args:
        seed: random seed, also for the initial weights.
        custom: custom networks that replace the recipe's.
        needed: names of networks that must be among `custom`.

    Raises:
        UsageError: a custom network is missing or unknown, the engine section asks for something unavailable, or
            minutes were not turned into steps (`minutes.resolved`).
    """
    if recipe.budget.minutes is not None:
        raise UsageError(
            f"budget.minutes is {recipe.budget.minutes:g}: only genlab train, show and study new turn minutes into "
            "steps; give budget.epochs or budget.max_steps here"
        )
    family, keyed = FAMILIES[recipe.family], Keyed(seed)
    networks = family.networks(recipe, len(dataset.class_names), keyed, custom or {}, needed)
    classified = getattr(recipe.objective, "classification", None)
    if classified and not hasattr(networks["discriminator"], "with_classes"):
        raise UsageError(
            f"objective.classification is {classified:g}, for which D names the class: your own "
            "discriminator needs a method with_classes(x, labels) that returns (logits, class logits); or set "
            "objective.classification to null"
        )
    resolved = device.resolve(recipe.engine, family.mergeable(networks), device.convolves(networks.values()))
    return Assembly(recipe.model_copy(update={"engine": resolved}), dataset, networks, keyed)


def expected_seconds(recipe: Recipe, dataset: Dataset) -> float | None:
    """Approximate duration of a future training on this machine, in seconds; None if nothing can be measured.

    Args:
        recipe: settled recipe.
        dataset: its training images in their original size.
    """
    family, classes = FAMILIES[recipe.family], len(dataset.class_names)
    networks = family.build(recipe, classes, Keyed(0))
    resolved = device.resolve(recipe.engine, family.mergeable(networks), device.convolves(networks.values()))
    described = describe_networks(family.examples(recipe, classes), networks)
    planned = recipe.model_copy(update={"engine": resolved})
    images = len(first_images(dataset, recipe.data.subset))
    return seconds_of(planned, [asdict(each) for each in described], images)
