"""genlab: a laboratory for small generative image models.

    >>> import genlab
    >>> run = genlab.train("quick-mnist", epochs=1)
    >>> run.sample(64).shape
    torch.Size([64, 1, 32, 32])

The public API is the functions and classes in `__all__` and four modules: `genlab.errors`, and for custom parts
`genlab.metrics`, `genlab.losses` and `genlab.nets`. Nothing heavy is imported until one of them is used.
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
    "Study": ("genlab.study.study", "Study"),
    "Watch": ("genlab.api.watch", "Watch"),
    "doctor": ("genlab.api.doctor", "doctor"),
    "compare": ("genlab.api.compare", "compare"),
    "features": ("genlab.api.evaluate", "features"),
    "diagnose": ("genlab.api.diagnose", "diagnose"),
    "evaluate": ("genlab.api.evaluate", "evaluate"),
    "fork": ("genlab.api.train", "fork"),
    "import_images": ("genlab.api.data", "import_images"),
    "list_runs": ("genlab.api.train", "list_runs"),
    "load_dataset": ("genlab.api.data", "load_dataset"),
    "load_judge": ("genlab.evaluation.judge_search", "load"),
    "load_recipe": ("genlab.recipe.files", "load"),
    "open_run": ("genlab.api.train", "open_run"),
    "plot": ("genlab.api.compare", "plot"),
    "show": ("genlab.api.train", "show"),
    "train": ("genlab.api.train", "train"),
}
_MODULES = {
    "errors": "genlab.errors",
    "losses": "genlab.families.gan.losses",
    "metrics": "genlab.evaluation.metrics",
    "nets": "genlab.families.nets",
}
__all__ = [
    "AdversarialLoss",
    "Observer",
    "Run",
    "Study",
    "Watch",
    "__version__",
    "compare",
    "diagnose",
    "doctor",
    "evaluate",
    "features",
    "fork",
    "import_images",
    "list_runs",
    "load_dataset",
    "load_judge",
    "load_recipe",
    "open_run",
    "plot",
    "show",
    "train",
]

if TYPE_CHECKING:
    from genlab import errors as errors
    from genlab.api.compare import compare, plot
    from genlab.api.data import import_images, load_dataset
    from genlab.api.diagnose import diagnose
    from genlab.api.doctor import doctor
    from genlab.api.evaluate import evaluate, features
    from genlab.api.run import Run
    from genlab.api.train import fork, list_runs, open_run, show, train
    from genlab.api.watch import Watch
    from genlab.evaluation import metrics as metrics
    from genlab.evaluation.judge_search import load as load_judge
    from genlab.families import nets as nets
    from genlab.families.gan import losses as losses
    from genlab.families.gan.losses import AdversarialLoss
    from genlab.recipe.files import load as load_recipe
    from genlab.study.study import Study
    from genlab.training.fit import Observer


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(_MODULES[name])
    if name not in _PUBLIC:
        raise AttributeError(f"module 'genlab' has no attribute {name!r}")
    module, attribute = _PUBLIC[name]
    return getattr(importlib.import_module(module), attribute)


def __dir__() -> list[str]:
    return sorted([*__all__, *_MODULES])
