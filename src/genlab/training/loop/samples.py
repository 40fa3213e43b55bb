"""Images that a loop generates: gathered over its last steps, or made by the loop's own function."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from genlab.data.dataset import Images, Labels
from genlab.data.given import Range, as_bytes, range_of
from genlab.errors import UsageError

Maker = Callable[[int], Tensor | tuple[Tensor, Tensor]]
"""(n) -> n images, or n images and their classes."""
CHUNK = 500


@contextmanager
def _same_draws() -> Iterator[None]:
    """Context in which the random numbers of torch, numpy and Python are the same each time; their states are left as
    they were."""
    of_numpy, of_python = np.random.get_state(), random.getstate()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        np.random.seed(0)
        random.seed(0)
        try:
            yield
        finally:
            np.random.set_state(of_numpy)
            random.setstate(of_python)


@dataclass(frozen=True)
class Made:
    """Images of a loop.

    Attributes:
        images: uint8, (N, C, H, W).
        labels: class requested for each image, int64 (N,); None if none was.
        words: origin of the images.
    """

    images: Images
    labels: Labels | None
    words: str


class LoopSamples:
    """Samples of a loop.

    Args:
        most: number of images that are needed together.
        within: age in steps at which samples no longer count as those of the same generator.
        values_in: values of black and white; None infers them from the first samples.

    Attributes:
        shape: channels, height and width of each image, once known; other ones are refused.
    """

    def __init__(self, most: int, within: int, values_in: Range | None) -> None:
        self._most, self._within, self.values_in = most, within, values_in
        self._kept: deque[tuple[int, Tensor, Tensor | None]] = deque()
        self._images = 0
        self.shape: tuple[int, ...] | None = None

    def keep(self, step: int, samples: Tensor, labels: Tensor | None) -> None:
        """Keep the samples of a step; older ones that are no longer needed are dropped.

        Raises:
            UsageError: they have another shape than those before.
        """
        if self._kept and (was := self._kept[-1][1].shape[1:]) != samples.shape[1:]:
            raise UsageError(f"{_sized(samples.shape[1:])}; expected {_by(was)}, as in step {self._kept[-1][0]}")
        self._kept.append((step, samples.detach().clone(), None if labels is None else labels.detach().clone()))
        self._images += len(samples)
        while self._kept[0][0] <= step - self._within or self._images - len(self._kept[0][1]) >= self._most:
            self._images -= len(self._kept.popleft()[1])

    def came_after(self, step: int) -> bool:
        """Whether there are samples of a later step."""
        return bool(self._kept) and self._kept[-1][0] > step

    def gathered(self) -> Made:
        """The samples that were kept, newest last."""
        x = np.concatenate([array(each) for _, each, _ in self._kept])
        told = [array(y) for _, _, y in self._kept if y is not None]
        labels = np.concatenate(told) if len(told) == len(self._kept) else None
        return self._read(x, labels, f"by the loop at steps {self._kept[0][0]} to {self._kept[-1][0]}")

    def made(self, make: Maker, n: int, buffers: Iterable[Tensor]) -> Made:
        """n images from the loop's own function, without gradients.

        Args:
            buffers: buffers of the networks; these and the process's random state are left as they were.
        """
        before = [(buffer, buffer.clone()) for buffer in buffers]
        parts: list[NDArray[Any]] = []
        classes: list[NDArray[Any]] = []
        with _same_draws(), torch.no_grad():
            while (there := sum(map(len, parts))) < n:
                given = make(min(CHUNK, n - there))
                x, y = given if isinstance(given, tuple) else (given, None)
                parts.append(array(x))
                classes += [] if y is None else [array(y)]
                if not len(parts[-1]):
                    raise UsageError(f"samples: the function returned no images when asked for {n - there}")
            for buffer, was in before:
                buffer.copy_(was)
        labels = np.concatenate(classes)[:n] if classes else None
        words = "by the loop's own function, with the same random numbers each time"
        return self._read(np.concatenate(parts)[:n], labels, words)

    def _read(self, x: NDArray[Any], labels: NDArray[Any] | None, words: str) -> Made:
        self.values_in = self.values_in or range_of(x, "samples")
        images = as_bytes(x, self.values_in, "samples")
        self.shape = self.shape or images.shape[1:]
        if images.shape[1:] != self.shape:
            raise UsageError(
                f"{_sized(images.shape[1:])}; expected {_by(self.shape)}, as the run began (without samples in its "
                "first step it takes the size of the dataset's images)"
            )
        if labels is not None and labels.shape != (len(images),):
            raise UsageError(f"labels have the shape {labels.shape}; expected ({len(images)},), one for each sample")
        return Made(images, None if labels is None else labels.astype(np.int64), words)


def _by(shape: Iterable[int]) -> str:
    return " x ".join(map(str, shape))


def _sized(shape: Iterable[int]) -> str:
    return f"samples are {_by(shape)}"


def by_class(made: Made, classes: int, columns: int) -> Images:
    """Images in rows, one class per row, filled up with black if there are fewer than `columns`."""
    rows = np.zeros((classes, columns, *made.images.shape[1:]), np.uint8)
    for k, row in enumerate(rows):
        found = made.images[np.flatnonzero(made.labels == k)[:columns]]
        row[: len(found)] = found
    return rows.reshape(-1, *made.images.shape[1:])


def array(x: Any) -> NDArray[Any]:
    """Tensor as an array on the CPU."""
    if isinstance(x, Tensor):
        x = x.detach().cpu()
        return np.asarray((x.float() if x.dtype in (torch.bfloat16, torch.float16) else x).numpy())
    return np.asarray(x)
