"""Every random draw of genlab: keyed by (seed, purpose, step), so that no draw can shift another.

A preview, a metric or a log line uses a purpose of its own and leaves the training's draws as they were;
a resumed run needs only its step to draw what it would have drawn. Draws are made on the CPU for the
whole batch, so they do not depend on the device, and then moved.
"""

from __future__ import annotations

import hashlib
from contextlib import AbstractContextManager

import torch
from torch import Tensor


class Keyed:
    """The streams of one seed."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def _key(self, purpose: str, step: int) -> int:
        # torch's generator keeps 32 of these bits: two steps of one purpose collide with a chance of 2^-32.
        digest = hashlib.blake2b(f"{self.seed}/{purpose}/{step}".encode(), digest_size=8).digest()
        return int.from_bytes(digest, "little")

    def stream(self, purpose: str, step: int = 0) -> torch.Generator:
        """A CPU generator at the start of the stream of (seed, purpose, step)."""
        return torch.Generator().manual_seed(self._key(purpose, step))

    def normal(self, purpose: str, step: int, *shape: int) -> Tensor:
        """Standard normal draws, float32, of the given shape."""
        return torch.randn(shape, generator=self.stream(purpose, step))

    def uniform(self, purpose: str, step: int, *shape: int) -> Tensor:
        """Uniform draws from [0, 1), float32, of the given shape."""
        return torch.rand(shape, generator=self.stream(purpose, step))

    def permutation(self, purpose: str, step: int, n: int) -> Tensor:
        """A uniformly random order of 0 .. n-1, int64, shape (n,)."""
        return torch.randperm(n, generator=self.stream(purpose, step))

    def integers(self, purpose: str, step: int, high: int, n: int) -> Tensor:
        """n uniform draws from 0 .. high-1, int64."""
        return torch.randint(high, (n,), generator=self.stream(purpose, step))

    def scope(self, purpose: str, step: int) -> AbstractContextManager[None]:
        """Context manager that sets torch's global generator (initial weights, dropout) to (seed, purpose, step)."""
        return _GlobalScope(self._key(purpose, step))


class Draws:
    """The draws of one purpose and step, on a device; each call starts at the beginning of the stream."""

    def __init__(self, keyed: Keyed, purpose: str, step: int, device: torch.device) -> None:
        self._keyed, self._key, self._device = keyed, (purpose, step), device

    def normal(self, *shape: int) -> Tensor:
        """Standard normal draws, float32, of the given shape."""
        return self._keyed.normal(*self._key, *shape).to(self._device)

    def uniform(self, *shape: int) -> Tensor:
        """Uniform draws from [0, 1), float32, of the given shape."""
        return self._keyed.uniform(*self._key, *shape).to(self._device)


class _GlobalScope(AbstractContextManager[None]):
    def __init__(self, key: int) -> None:
        self._key = key

    def __enter__(self) -> None:
        # Not torch.manual_seed: until an accelerator is used, it queues a call, with a traceback, each time.
        self._saved = torch.get_rng_state()
        torch.default_generator.manual_seed(self._key)
        if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
            torch.cuda.manual_seed_all(self._key)
        if torch.backends.mps.is_available():
            torch.mps.manual_seed(self._key)

    def __exit__(self, *_: object) -> None:
        torch.set_rng_state(self._saved)
