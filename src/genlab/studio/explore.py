"""What a run's networks draw and say while sliders are moved: one image, one class strip, one map at a time."""

from __future__ import annotations

import io
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from genlab.data import load, load_test, pictures
from genlab.data.dataset import Dataset, first, padded
from genlab.data.preprocessing import fitted, resampled
from genlab.engine import device
from genlab.errors import GenlabError, UsageError
from genlab.evaluation.image_set import drawn
from genlab.families import latent
from genlab.families.registry import FAMILIES
from genlab.runs.directory import RunDirectory
from genlab.runs.open import OpenRun
from genlab.runs.options import SamplingOptions
from genlab.runs.sampling import Sampler, load_network

MOST_UNITS = 32
"""Most sliders of single units; a longer z is moved along two directions."""
SPAN = 3.0
LARGEST_SEED = 2**31 - 1
DIRECTIONS, PROBES = 2, 256
NEAREST = 6
LOOKED_AT = 20_000
"""Training images among which the nearest ones are searched for."""
COMPANIES = 16
"""Groups of other images with which a D that looks at several images at once sees a drawn one."""
ASKED = 500
"""Real images whose logits are compared with D's logit of a drawn one."""
MAP, MOST_STEPS = 20, 40
OPEN = 3
"""Runs whose networks are kept in memory."""


@dataclass(frozen=True)
class Place:
    """A point of latent space, as given in an address.

    Attributes:
        seed: seed of the z that is moved.
        moves: slider -> value: the new value of a unit, or how far to move along a direction.
        toward, share: a second seed, and the share of the path to its z.
        label: class to draw, if the model is conditional.
    """

    seed: int = 0
    moves: tuple[tuple[int, float], ...] = ()
    toward: int | None = None
    share: float = 0.0
    label: int = 0

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> Place:
        """A place from what a page sends.

        Raises:
            UsageError: anything other than numbers in range.
        """
        seed, toward, label = (told.get(key, 0 if key != "toward" else None) for key in ("seed", "toward", "label"))
        moves, share = told.get("moves", {}), told.get("share", 0.0)
        wholes = [seed, label, *([] if toward is None else [toward])]
        if any(type(value) is not int or not 0 <= value <= LARGEST_SEED for value in wholes):
            raise UsageError(f"seed, toward and label: whole numbers, 0 .. {LARGEST_SEED}")
        if not isinstance(moves, Mapping) or len(moves) > MOST_UNITS or not _is_number(share, 0.0, 1.0):
            raise UsageError(f"moves: at most {MOST_UNITS} sliders; share: 0 .. 1")
        found = []
        for key, value in moves.items():
            if not (isinstance(key, str) and key.isascii() and key.isdecimal() and _is_number(value, -10.0, 10.0)):
                raise UsageError("moves: number of a slider -> -10 .. 10")
            found.append((int(key[:6]), float(value)))
        return cls(seed, tuple(sorted(found)), toward, float(share), label)


def _is_number(value: object, low: float, high: float) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high


class Explorer:
    """A run's networks, loaded, with what it takes to query them.

    Args:
        run: the run.
        step: step of a snapshot; None for the newest weights.

    Raises:
        UsageError: the run neither makes nor classifies images.
        CheckpointError: nothing was saved yet, or it is damaged.
    """

    def __init__(self, run: RunDirectory, step: int | None) -> None:
        self.run, self.step = OpenRun(run), step
        self.recipe = self.run.recipe
        self.family = FAMILIES[self.recipe.family]
        self.sampler = Sampler(self.run, SamplingOptions(step=step)) if self.family.sampling else None
        if self.sampler is None and self.family.naming is None:
            raise UsageError(f"{run.path.name} is a {self.family.called}: there is nothing to explore")

    @property
    def _draws(self) -> Sampler:
        if self.sampler is None:
            raise UsageError(f"{self.run.path.name} makes no images")
        return self.sampler

    @property
    def has_units(self) -> bool:
        """Whether each unit of z has a slider; else there are two directions."""
        assert self.family.sampling is not None, "only for runs that draw"
        return self._draws.size <= MOST_UNITS and (self.family.sampling.axes or self._draws.size <= 2)

    def sliders(self) -> list[dict[str, Any]]:
        """Name, lowest and highest value of each slider; `values` has the value of a unit that is not moved."""
        if self.sampler is None:
            return []
        number = self.sampler.size if self.has_units else DIRECTIONS
        names = [f"unit {k + 1}" for k in range(number)] if self.has_units else ["direction 1", "direction 2"]
        return [{"name": name, "low": -SPAN, "high": SPAN} for name in names]

    def values(self, place: Place) -> list[float]:
        """Where each slider stands at a place: its unit's value, or how far along its direction."""
        if self.has_units:
            return [round(value, 3) for value in self._z(place)[0].tolist()]
        moved = dict(place.moves)
        return [moved.get(k, 0.0) for k in range(DIRECTIONS)]

    def image(self, place: Place) -> Tensor:
        """The image at a place, (1, C, H, W)."""
        return self._draws(self._z(place), self._labels(place, 1))

    def classes(self, place: Place) -> Tensor:
        """The same z as every class, (classes, C, H, W)."""
        kinds = len(self.run.provenance["data"]["class_names"])
        if not self.recipe.conditional:
            raise UsageError(f"{self.run.path.name} is unconditional: it has no classes")
        return self._draws(self._z(place).repeat(kinds, 1), torch.arange(kinds))

    def path(self, place: Place, steps: int) -> bytes:
        """Images along the path from a place's z to that of `toward`, `steps` of them side by side."""
        if place.toward is None or not 2 <= steps <= MOST_STEPS:
            raise UsageError(f"an interpolation needs a second z, and 2 .. {MOST_STEPS} steps")
        ways = latent.linear_path(self._start(place), self._draws.one("sample", place.toward), steps)[0]
        return self._png(self._draws(ways, self._labels(place, steps)), steps)

    def grid(self, place: Place, columns: int = 10) -> bytes:
        """A grid of a conditional model: one class per row, one z per column; otherwise, every image has its own z."""
        kinds = len(self.run.provenance["data"]["class_names"]) if self.recipe.conditional else columns
        n = columns if self.recipe.conditional else columns * kinds
        z = torch.cat([self._draws.one("sample", place.seed + k) for k in range(n)])
        if not self.recipe.conditional:
            return self._png(self._draws(z), columns)
        labels = torch.arange(kinds).repeat_interleave(columns)
        return self._png(self._draws(z.repeat(kinds, 1), labels), columns)

    def map(self, label: int) -> bytes:
        """A map of a two-dimensional latent space, at points of equal probability."""
        if self._draws.size != 2:
            raise UsageError(f"a map needs a z of size 2; {self.run.path.name} has {self._draws.size}")
        z = latent.plane(MAP)
        return self._png(self._draws(z, self._labels(Place(label=label), len(z))), MAP)

    def nearest(self, place: Place) -> dict[str, Any]:
        """The training images nearest to the image at a place, by the Euclidean distance of their pixels (0 .. 1)."""
        x = self.image(place)
        flat = self._learned[1]
        query = x.flatten(1)
        apart = (flat.square().sum(1) - 2 * (flat @ query[0]) + query.square().sum()).clamp(min=0).sqrt()
        found = apart.topk(min(NEAREST, len(flat)), largest=False)
        learned = self._learned[0]
        names = learned.class_names
        labels = [] if learned.labels is None else [names[int(learned.labels[k])] for k in found.indices]
        images = torch.from_numpy(learned.images[found.indices.numpy()]).float() / 255
        told = {"distances": [round(value, 2) for value in found.values.tolist()], "labels": labels}
        return {**told, "among": len(flat), "png": self._png(images, len(images))}

    def score(self, place: Place) -> dict[str, Any]:
        """What D says about the image at a place: its logit, and the share of real images with a lower one.

        A D that looks at several images at once sees it together with other generated ones, as in training: the logit
        is the mean over `COMPANIES` groups.
        """
        scoring = self.family.scoring
        if scoring is None or self.step is not None:
            raise UsageError("only the newest checkpoint keeps the discriminator")
        image = torch.from_numpy(pictures.to_uint8(self.image(place)))
        labels = self._labels(place, 1) if scoring.is_conditional(self.recipe) else None
        others = scoring.together(self.recipe) - 1
        logits = []
        for k in range(COMPANIES if others else 1):
            company, their_labels = (each[k * others : (k + 1) * others] for each in self._company)
            said = None if labels is None else torch.cat([labels, their_labels])
            logits.append(self._scored(torch.cat([image, company]), said)[0])
        logit = float(torch.stack(logits).mean())
        return {
            "logit": logit,
            "above": float((self._real_logits < logit).float().mean()),
            "has_border": scoring.has_border(self.recipe),
        }

    def encoded(self, pixels: NDArray[np.uint8], label: int) -> dict[str, Any]:
        """The code E[z|x] of an image, and the image decoded from it."""
        encoding = self.family.encoding
        if encoding is None or self.step is not None:
            raise UsageError("only the newest checkpoint keeps the encoder")
        network = self._engine.place(load_network(self.run, encoding.network))
        x = torch.from_numpy(self._as_learned(pixels))
        labels = self._labels(Place(label=label), 1)
        z = encoding.encode(self.recipe, network, self._engine, x, labels)
        return {"code": [round(value, 3) for value in z[0].tolist()], "png": self._png(self._draws(z, labels), 1)}

    def named(self, pixels: NDArray[np.uint8]) -> dict[str, Any]:
        """The probability that a classifier gives each class of an image."""
        naming = self.family.naming
        if naming is None:
            raise UsageError(f"{self.run.path.name} is not a classifier")
        network = self._engine.place(load_network(self.run, naming.network, self.step))
        logits = naming.classify(network, self._engine, torch.from_numpy(self._as_learned(pixels)))
        return {"probabilities": [round(value, 4) for value in logits.softmax(1)[0].tolist()]}

    def example(self, number: int) -> NDArray[np.uint8]:
        """A test image (a training image if there is no test split), in the dataset's own form."""
        held_out = load_test(self.recipe.data.name) or load(self.recipe.data.name)
        found: NDArray[np.uint8] = held_out.images[number % len(held_out)]
        return found

    def _as_learned(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """An image (C, H, W) brought into the form in which the networks see the dataset's images."""
        data = self.recipe.data
        x = pixels[None]
        if x.shape[1] != data.channels:
            x = x.mean(1, keepdims=True).astype(np.uint8).repeat(data.channels, axis=1)
        if data.resize in ("pad", "edge") and x.shape[2] < data.size:
            return padded(x, data.size, data.resize == "edge")
        return resampled(x, data.size, "bilinear")

    @cached_property
    def _engine(self) -> device.Engine:
        return device.start(device.here(self.recipe.engine))

    @cached_property
    def _learned(self) -> tuple[Dataset, Tensor]:
        learned = first(load(self.recipe.data.name), self.recipe.data.subset)
        found = fitted(drawn(learned, LOOKED_AT), self.recipe)
        return found, torch.from_numpy(found.images).flatten(1).float() / 255

    @cached_property
    def _company(self) -> tuple[Tensor, Tensor]:
        """Generated images (uint8) of independent z, and their classes, which are taken from the data."""
        scoring = self.family.scoring
        assert scoring is not None, "only for runs with a discriminator"
        n = COMPANIES * (scoring.together(self.recipe) - 1)
        known = self._learned[0].labels
        labels = (
            torch.zeros(n, dtype=torch.int64) if known is None else torch.from_numpy(known[np.arange(n) % len(known)])
        )
        if not n:
            return torch.zeros(0, *self._learned[0].images.shape[1:], dtype=torch.uint8), labels
        images = self._draws(self._draws.z("company", n), labels if self.recipe.conditional else None)
        return torch.from_numpy(pictures.to_uint8(images)), labels

    @cached_property
    def _real_logits(self) -> Tensor:
        learned = self._learned[0]
        images = torch.from_numpy(learned.images[:ASKED])
        labels = None if learned.labels is None else torch.from_numpy(learned.labels[:ASKED])
        scoring = self.family.scoring
        assert scoring is not None, "only for runs with a discriminator"
        return self._scored(images, labels if scoring.is_conditional(self.recipe) else None)

    def _scored(self, images: Tensor, labels: Tensor | None) -> Tensor:
        scoring = self.family.scoring
        assert scoring is not None, "only for runs with a discriminator"
        return scoring.scores(self.recipe, self._discriminator, self._engine, images, labels)

    @cached_property
    def _discriminator(self) -> torch.nn.Module:
        scoring = self.family.scoring
        assert scoring is not None, "only for runs with a discriminator"
        return self._engine.place(load_network(self.run, scoring.network))

    def _z(self, place: Place) -> Tensor:
        """z of a place, (1, size)."""
        z = self._start(place)
        if place.toward is not None:
            end = self._draws.one("sample", place.toward)
            z = (1 - place.share) * z + place.share * end
        return z

    def _start(self, place: Place) -> Tensor:
        z = self._draws.one("sample", place.seed).clone()
        for k, value in place.moves:
            if self.has_units and k < z.shape[1]:
                z[0, k] = value
            elif not self.has_units and k < DIRECTIONS:
                z += value * self._directions[k]
        return z

    @cached_property
    def _directions(self) -> Tensor:
        """The directions of length 1 along which the images change most, (2, size).

        They are the principal components of `PROBES` images of independent z, each mapped back to z by least squares:
        for standard normal z, the slope of a component's score is its covariance with z.
        """
        z = self._draws.z("directions", PROBES)
        x = self._draws(z, self._labels(Place(), PROBES)).flatten(1)
        x = x - x.mean(0)
        _, _, components = torch.pca_lowrank(x, q=DIRECTIONS + 2, center=False)
        slopes = (x @ components[:, :DIRECTIONS]).T @ z / PROBES
        first = slopes[0] / slopes[0].norm().clamp(min=1e-12)
        second = slopes[1] - (slopes[1] @ first) * first
        return torch.stack([first, second / second.norm().clamp(min=1e-12)])

    def _labels(self, place: Place, n: int) -> Tensor | None:
        if not self.recipe.conditional:
            return None
        kinds = len(self.run.provenance["data"]["class_names"])
        return torch.full((n,), min(place.label, kinds - 1))

    def _png(self, images: Tensor, columns: int) -> bytes:
        return png_of(images, columns)


def png_of(images: Tensor, columns: int, level: int = 1) -> bytes:
    """A grid as PNG; lightly compressed by default, since it does not leave this machine."""
    return compressed(pictures.grid(images, columns), level)


def compressed(picture: NDArray[np.uint8], level: int = 1) -> bytes:
    """A picture (H, W, C) as PNG."""
    buffer = io.BytesIO()
    Image.fromarray(picture.squeeze(2) if picture.shape[2] == 1 else picture).save(buffer, "PNG", compress_level=level)
    return buffer.getvalue()


class Explorers:
    """The runs that are being explored; the latest ones stay in memory, as long as their weights do not change."""

    def __init__(self) -> None:
        self._open: OrderedDict[tuple[str, int | None], tuple[object, Explorer]] = OrderedDict()

    def of(self, run: RunDirectory, step: int | None) -> Explorer:
        """A run at a step, loaded if it is not in memory or has newer weights by now."""
        key, sign = (str(run.path), step), _newest(run, step)
        known = self._open.get(key)
        if known is None or known[0] != sign:
            try:
                known = (sign, Explorer(run, step))
            except GenlabError:
                self._open.pop(key, None)
                raise
        self._open[key] = known
        self._open.move_to_end(key)
        while len(self._open) > OPEN:
            self._open.popitem(last=False)
        return known[1]


def _newest(run: RunDirectory, step: int | None) -> object:
    """What tells a file of weights from another one with the same name and step."""
    at = max(run.steps("checkpoints", ""), default=0) if step is None else step
    place = run.file("checkpoints", at, "") if step is None else run.file("snapshots", at, ".safetensors")
    try:
        found = place.stat()
    except OSError:
        return at
    return at, found.st_ino, found.st_mtime_ns
