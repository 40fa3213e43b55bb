"""Former location of the networks, kept for one version; they are now in `genlab.families.nets`."""

import importlib
import pkgutil
import sys
import warnings

import genlab.families.nets

__path__ = genlab.families.nets.__path__  # `from genlab.nets.mlp import MlpGenerator` keeps working.
for _module in pkgutil.iter_modules(__path__):
    _loaded = importlib.import_module(f"genlab.families.nets.{_module.name}")
    sys.modules[f"{__name__}.{_module.name}"] = _loaded
    globals()[_module.name] = _loaded

warnings.warn("genlab.nets has moved to genlab.families.nets", DeprecationWarning, stacklevel=2)
