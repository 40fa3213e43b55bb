"""genlab: a laboratory for small generative image models.

    >>> import genlab
    >>> run = genlab.train("quick-mnist", epochs=1)
    >>> run.sample(64).shape
    torch.Size([64, 1, 32, 32])

Nothing heavy is imported until a function is used. `genlab.train`, `genlab.show`, `genlab.open_run`, `genlab.Run`,
`genlab.evaluate`, `genlab.compare`, `genlab.load_recipe`, `genlab.load_dataset`, `genlab.doctor` and `genlab.errors`
are the public surface.
"""

from __future__ import annotations

import importlib
import os
import sys
from typing import TYPE_CHECKING, Any

from genlab import places

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
    "Run": ("genlab.trained", "Run"),
    "doctor": ("genlab.checkup", "doctor"),
    "compare": ("genlab.api_metrics", "compare"),
    "evaluate": ("genlab.api_metrics", "evaluate"),
    "load_dataset": ("genlab.data", "load"),
    "load_recipe": ("genlab.recipe_files", "load"),
    "open_run": ("genlab.api", "open_run"),
    "show": ("genlab.api", "show"),
    "train": ("genlab.api", "train"),
}
__all__ = [
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
    from genlab.api import open_run, show, train
    from genlab.api_metrics import compare, evaluate
    from genlab.checkup import doctor
    from genlab.data import load as load_dataset
    from genlab.recipe_files import load as load_recipe
    from genlab.trained import Run


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'genlab' has no attribute {name!r}")
    module, attribute = _PUBLIC[name]
    return getattr(importlib.import_module(module), attribute)


def __dir__() -> list[str]:
    return sorted(__all__)
