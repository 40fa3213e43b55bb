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
import os
import sys
from typing import TYPE_CHECKING, Any

from genlab.engine import places

__version__ = "0.1.0"

# OpenMP's threads otherwise spin while they wait, which makes training several times slower as soon as anything else
# runs on the machine; a short spin before they sleep keeps most of what waiting actively gains on an idle one. Both are
# read once, when torch is loaded.
WAITING_IS_SET = "torch" not in sys.modules or "OMP_WAIT_POLICY" in os.environ
"""Whether genlab, or the user, has chosen how torch's threads wait."""
if WAITING_IS_SET and "OMP_WAIT_POLICY" not in os.environ:
    os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
    os.environ.setdefault("GOMP_SPINCOUNT", "5000")
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
