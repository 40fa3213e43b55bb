"""All families, by name."""

from genlab import recipe
from genlab.families import classifier, external, gan, vae
from genlab.families.base import Family

FAMILIES: dict[str, Family] = {
    "gan": gan.FAMILY,
    "vae": vae.FAMILY,
    "classifier": classifier.FAMILY,
    "external": external.FAMILY,
}
if FAMILIES.keys() != recipe.FAMILIES.keys():
    raise ImportError(f"families with a recipe: {set(recipe.FAMILIES)}; with a record: {set(FAMILIES)}")
