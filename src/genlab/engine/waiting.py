"""How torch's threads wait for each other, which is chosen once, before torch is loaded.

By default, OpenMP's threads spin while they wait, which makes training several times slower as soon as anything else
runs on the machine; a short spin before they sleep keeps most of the gain of active waiting on an idle machine.
"""

from __future__ import annotations

import os
import sys
import warnings
from functools import cache

IS_SET = "torch" not in sys.modules or "OMP_WAIT_POLICY" in os.environ
"""Whether genlab or the user has chosen how the threads wait."""


def prepare() -> None:
    """Choose how threads wait, unless the user has, or it is too late."""
    if IS_SET and "OMP_WAIT_POLICY" not in os.environ:
        os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
        os.environ.setdefault("GOMP_SPINCOUNT", "5000")


@cache
def check() -> None:
    """Warn once if torch was imported before genlab could choose how its threads wait."""
    if not IS_SET:
        warnings.warn(
            "torch was imported before genlab, so its threads wait actively and training becomes much slower when "
            "the machine has other work; import genlab first, or set OMP_WAIT_POLICY=PASSIVE",
            stacklevel=2,
        )


def words() -> str:
    """How torch's threads wait for each other, in words."""
    policy = os.environ.get("OMP_WAIT_POLICY", "").lower()
    if not IS_SET or not policy:
        return "PyTorch's default"
    spins = os.environ.get("GOMP_SPINCOUNT")
    return f"{policy}, after {int(spins):,} spins" if spins and spins.isdigit() else policy
