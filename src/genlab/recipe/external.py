"""Recipes of the family `external`: what is known about a training loop that is not genlab's own.

Nothing is trained from such a recipe. `genlab.Watch` writes it so that code that reads runs finds the data and the
length there.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from genlab.recipe.sections import BaseRecipe, Optimiser, SampleLogging, Section


class ExternalNetworks(Section):
    conditional: bool = False
    """Whether the loop makes images of requested classes."""


class ExternalObjective(Section):
    loss: Literal["non-saturating", "saturating", "hinge", "wasserstein", "least-squares"] | None = None
    """What D and G minimise, if the loop's author said so; null if unknown, so that no level of a loss has a
    meaning."""


class ExternalRecipe(BaseRecipe):
    example: ClassVar[str] = "s2-dcgan"
    family: Literal["external"]
    networks: ExternalNetworks = ExternalNetworks()
    objective: ExternalObjective = ExternalObjective()
    logging: SampleLogging = SampleLogging()

    @property
    def conditional(self) -> bool:
        return self.networks.conditional

    def optimiser_sections(self) -> dict[str, Optimiser]:
        return {}
