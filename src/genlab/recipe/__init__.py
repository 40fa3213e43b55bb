"""The schema of a recipe: one complete, frozen description of a training run.

A recipe is made of sections; a section is a frozen pydantic model that forbids unknown keys. A field that has no
effect cannot be set: either its family or its network kind does not have it, or a rule refuses it. `sections` holds
what all families share, `networks` one section per kind of network, and `gan`, `vae` and `classifier` their families;
`external` holds what is known about loops that are not genlab's own. `files` reads, writes, overrides and compares
recipes. Nothing here imports torch.
"""

from typing import get_args

from genlab.recipe.classifier import ClassifierRecipe
from genlab.recipe.external import ExternalRecipe
from genlab.recipe.gan import GanRecipe
from genlab.recipe.sections import REFERENCE, BaseRecipe, Data, Engine, Logging, Optimiser, Problem, SampleLogging
from genlab.recipe.vae import VaeRecipe

Recipe = GanRecipe | VaeRecipe | ClassifierRecipe | ExternalRecipe
"""A recipe of any family."""

FAMILIES: dict[str, type[Recipe]] = {
    get_args(family.model_fields["family"].annotation)[0]: family for family in get_args(Recipe)
}

__all__ = [
    "FAMILIES",
    "REFERENCE",
    "BaseRecipe",
    "ClassifierRecipe",
    "Data",
    "Engine",
    "ExternalRecipe",
    "GanRecipe",
    "Logging",
    "Optimiser",
    "Problem",
    "Recipe",
    "SampleLogging",
    "VaeRecipe",
]
