"""Users' own training loops, watched by `genlab.Watch`: rows, samples and evaluations, but no networks."""

from typing import Any, NoReturn

from genlab.errors import UsageError
from genlab.families.base import Family
from genlab.families.drawing import Diagram
from genlab.families.external.columns import COLUMNS
from genlab.families.external.plots import plots


def _refuse(recipe: Any, *_: Any) -> NoReturn:
    raise UsageError(
        f"{recipe.name} is a custom training loop that genlab.Watch recorded; its networks are not stored here, so it "
        "cannot be trained, resumed or sampled: run the loop again"
    )


FAMILY = Family(
    build=_refuse,
    examples=lambda recipe, classes: {},
    model=_refuse,
    equations=lambda recipe: [],
    columns=COLUMNS,
    plots=plots,
    diagram=lambda recipe: Diagram(0, 0, ()),
    multiply_adds=lambda recipe, networks: 0.0,
    called="custom training loop",
    own_loop=True,
)
