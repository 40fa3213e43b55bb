"""genlab: a laboratory for small generative image models.

    >>> import genlab
    >>> run = genlab.train("quick-mnist", epochs=1)
    >>> run.sample(64).shape
    torch.Size([64, 1, 32, 32])

Nothing heavy is imported until a function is used. `genlab.train`, `genlab.show`, `genlab.open_run`, `genlab.Run`,
`genlab.evaluate`, `genlab.compare`, `genlab.load_recipe`, `genlab.load_dataset`, `genlab.doctor`, `genlab.errors`, and
for your own parts `genlab.AdversarialLoss` and `genlab.Observer`, are the public surface.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from genlab.engine import places, version, waiting

__version__ = version.VERSION
waiting.prepare()
places.prepare()

_PUBLIC = {
    "AdversarialLoss": ("genlab.families.gan.losses", "AdversarialLoss"),
    "Observer": ("genlab.training.fit", "Observer"),
    "Run": ("genlab.api.run", "Run"),
    "doctor": ("genlab.api.doctor", "doctor"),
    "compare": ("genlab.api.evaluate", "compare"),
    "evaluate": ("genlab.api.evaluate", "evaluate"),
    "load_dataset": ("genlab.data", "load"),
    "load_recipe": ("genlab.recipe.files", "load"),
    "open_run": ("genlab.api.train", "open_run"),
    "show": ("genlab.api.train", "show"),
    "train": ("genlab.api.train", "train"),
}
__all__ = [
    "AdversarialLoss",
    "Observer",
    "Run",
    "__version__",
    "compare",
    "doctor",
    "evaluate",
    "load_dataset",
    "load_recipe",
    "open_run",
    "show",
    "train",
]

if TYPE_CHECKING:
    from genlab.api.doctor import doctor
    from genlab.api.evaluate import compare, evaluate
    from genlab.api.run import Run
    from genlab.api.train import open_run, show, train
    from genlab.data import load as load_dataset
    from genlab.families.gan.losses import AdversarialLoss
    from genlab.recipe.files import load as load_recipe
    from genlab.training.fit import Observer


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'genlab' has no attribute {name!r}")
    module, attribute = _PUBLIC[name]
    return getattr(importlib.import_module(module), attribute)


def __dir__() -> list[str]:
    return sorted(__all__)
