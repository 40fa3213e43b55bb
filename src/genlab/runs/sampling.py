"""From a run on disk to images: which weights, which z, which classes, which file."""

from __future__ import annotations

import io
import math
import re
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from genlab.data import pictures
from genlab.data.folder import INDEX
from genlab.engine import device
from genlab.engine.files import make_folder, write
from genlab.engine.randomness import Keyed
from genlab.errors import CheckpointError, UsageError
from genlab.families import latent
from genlab.families.registry import FAMILIES
from genlab.recipe import Recipe
from genlab.runs import checkpoint
from genlab.runs import tensors as sealed
from genlab.runs.open import OpenRun
from genlab.runs.options import SamplingOptions

AS_THE_RUN_DOES = SamplingOptions()
LARGEST = 32
"""PNG pixels per image pixel, at most."""
BLOCK = 1000
"""How many z are drawn from one key; see `Sampler.z`."""


class Sampler:
    """Generator or decoder of a run, and the z to feed it.

    Attributes:
        size: numbers in the noise of one image; z is flat, whatever the shape of that noise.
        step: step that the weights are from.
        words: how the images are drawn, for captions.

    Raises:
        UsageError: the run makes no images, or none with these options.
        CheckpointError: no weights were saved yet, or they are damaged.
    """

    def __init__(self, run: OpenRun, how: SamplingOptions) -> None:
        self.run, self.recipe, self.how = run, run.recipe, how
        family = FAMILIES[self.recipe.family]
        sampling = family.sampling
        if sampling is None:
            what = "its networks are not stored with the run" if family.own_loop else "it makes no images"
            raise UsageError(f"{run.path.name} is a {family.called}: {what}")
        if how.truncation is not None and not 0 < how.truncation <= 100:
            raise UsageError(f"truncation is {how.truncation}; allowed: above 0, at most 100")
        tensors, self.step = _weights(run, sampling.network, how.step, how.ema)
        network = _built(run, sampling.network, tensors)
        self._engine = device.start(device.here(self.recipe.engine))
        self._network = self._engine.place(network)
        self._keyed = Keyed(how.seed)
        self._noise, self._to_images = sampling.noise(self.recipe), sampling.to_images
        self.size = math.prod(self._noise)
        self.words = sampling_words(run, how)

    def __call__(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """Images for z (N, size) and, if conditional, labels (N,): float32, (N, C, H, W), in [0, 1]."""
        if self.how.batch_statistics and len(z) < 2:
            raise UsageError("batch statistics need 2 or more images")
        output = self._engine.apply(
            self._network, z.reshape(len(z), *self._noise), labels, batch_statistics=self.how.batch_statistics
        )
        return self._to_images(self.recipe, output)

    def z(self, purpose: str, *shape: int) -> Tensor:
        """Latent vectors z of the seed, (*shape, size), truncated if the options say so.

        The last entry of `shape` is the number of images (or of pairs); z of image k does not depend on it. torch
        fills an array in steps that depend on its size, so z is drawn in blocks of a fixed size, each from its own key.
        """
        *lead, n = shape
        blocks = [
            self._truncated(self._keyed.normal(purpose, block, *lead, BLOCK, self.size))
            for block in range(-(-n // BLOCK))
        ]
        return torch.cat(blocks, dim=-2)[..., :n, :].contiguous()

    def one(self, purpose: str, number: int) -> Tensor:
        """z of a single image, (1, size): row `number` of `z`."""
        block = self._keyed.normal(purpose, number // BLOCK, BLOCK, self.size)
        return self._truncated(block[number % BLOCK][None])

    def _truncated(self, z: Tensor) -> Tensor:
        return z if self.how.truncation is None else latent.truncated(z, self.how.truncation)


def load_network(run: OpenRun, name: str, step: int | None = None, ema: bool = True) -> nn.Module:
    """Network of a run with the weights of a snapshot (`step`) or of the newest checkpoint, averaged or not.

    Raises:
        UsageError: the snapshot does not exist or lacks these weights.
        CheckpointError: the file is damaged or holds the weights of another network.
    """
    return _built(run, name, _weights(run, name, step, ema)[0])


def _weights(run: OpenRun, name: str, step: int | None, ema: bool) -> tuple[dict[str, Tensor], int]:
    """Weights of a network, and the step that they are from; see `load_network`."""
    averaged = run.recipe.ema_decay is not None and name == _sampler_of(run.recipe)
    if step is None:
        try:
            saved, damaged = checkpoint.newest(run.checkpoints)
        except CheckpointError as error:
            if kept := run.steps("snapshots", ".safetensors"):
                raise CheckpointError(f"{error}; snapshots can be sampled, as with --step {kept[-1]}") from None
            raise
        for line in damaged:
            warnings.warn(line, stacklevel=4)
        prefix = "ema." if ema and averaged else f"{name}."
        return {k.removeprefix(prefix): v for k, v in saved.tensors.items() if k.startswith(prefix)}, saved.step
    if not ema and averaged:
        raise UsageError("snapshots hold only the averaged weights; leave out the step, or use the average")
    kept = run.steps("snapshots", ".safetensors")
    if step not in kept:
        raise UsageError(f"no snapshot of step {step}; available: {', '.join(map(str, kept)) or 'none'}")
    path = run.file("snapshots", step, ".safetensors")
    return sealed.unpack(sealed.read(path), path)[0], step


def _built(run: OpenRun, name: str, tensors: Mapping[str, Tensor]) -> nn.Module:
    """A network of a run with these weights."""
    recipe, provenance = run.recipe, run.provenance
    needed = provenance.get("own", {}).keys() & {name}
    family, classes = FAMILIES[recipe.family], len(provenance["data"]["class_names"])
    network = family.networks(recipe, classes, Keyed(0), run.custom, needed)[name]
    try:
        network.load_state_dict(tensors)
    except RuntimeError as error:
        reason = str(error).splitlines()[-1].strip()
        raise CheckpointError(f"{run.path}: the weights belong to another {name}: {reason}") from None
    return network


def _sampler_of(recipe: Recipe) -> str | None:
    """Name of the network that makes images, or None if there is none."""
    sampling = FAMILIES[recipe.family].sampling
    return sampling.network if sampling else None


def save_images(
    images: Tensor,
    path: Path,
    run: OpenRun,
    label: int | str | None = None,
    how: SamplingOptions = AS_THE_RUN_DOES,
    columns: int | None = None,
    scale: int | None = None,
) -> None:
    """Save images of `Run.sample`; see `Run.save`.

    Raises:
        UsageError: an unknown extension, an argument out of range, or a folder that is not empty.
    """
    if scale is None:  # A folder's files may be measured, and enlarging would change the images.
        scale = pictures.SCALE if path.suffix else 1
    if not 1 <= scale <= LARGEST:
        raise UsageError(f"scale is {scale}; allowed: 1 .. {LARGEST}")
    if columns is not None and not 1 <= columns <= len(images):
        raise UsageError(f"columns is {columns}; allowed: 1 .. {len(images)}, the number of images")
    array, labels = pictures.to_uint8(images), sample_labels(run, len(images), label)
    text = {"genlab:sampling": sampling_words(run, how)}
    if path.suffix.lower() == ".png":
        one = labels is None or label is not None
        each = math.ceil(math.sqrt(len(array))) if one else min(len(learned(run)), len(array))
        write(path, pictures.png(pictures.grid(array, min(columns or each, len(array))), text, scale))
    elif path.suffix.lower() == ".npz":
        write(path, npz({"images": array} if labels is None else {"images": array, "labels": labels.numpy()}))
    elif not path.suffix:
        _save_files(array, labels, path, run.provenance["data"]["class_names"], text, scale)
    else:
        raise UsageError(f"{path}: the extension sets the format; allowed: .png (a grid), .npz (arrays), or a folder")


def _save_files(
    images: NDArray[np.uint8],
    labels: Tensor | None,
    folder: Path,
    class_names: Sequence[str],
    text: Mapping[str, str],
    scale: int,
) -> None:
    """Write one PNG file per image, in one folder per class if conditional, as `genlab evaluate` reads them."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder}: already exists; give a new folder, so that it holds only these images")
    plain = all(re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9 _-]*", name) for name in class_names)
    numbers = any(name.isdecimal() for name in class_names)  # Then "1" may be the class of that name.
    for k, image in enumerate(images):
        kind = None if labels is None else int(labels[k])
        place = (
            folder
            if kind is None
            else folder / (class_names[kind] if plain else f"{INDEX}{kind}" if numbers else str(kind))
        )
        make_folder(place)
        write(place / f"{k:06d}.png", pictures.png(image.transpose(1, 2, 0), text, scale))


def npz(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """Arrays as a compressed npz file."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]  # numpy 2.1 would store allow_pickle, too.
    return buffer.getvalue()


def learned(run: OpenRun) -> list[int]:
    """The classes that the run's training images show."""
    data = run.provenance["data"]
    return [k for k, name in enumerate(data["class_names"]) if name not in data.get("unseen", [])]


def sample_labels(run: OpenRun, n: int, label: int | str | None) -> Tensor | None:
    """Classes of n samples, int64 (n,): the requested class, or all learned classes in turn; None if the run is
    unconditional.

    Raises:
        UsageError: the class does not exist, had no training image, or was requested from an unconditional run.
    """
    if not run.recipe.conditional:
        if label is not None:
            raise UsageError(f"{run.path.name} is unconditional: it cannot be asked for class {label!r}")
        return None
    data = run.provenance["data"]
    classes, unseen = data["class_names"], data.get("unseen", [])
    if label is None:
        there = torch.tensor(learned(run))
        return there[torch.arange(n) % len(there)]
    if classes[which := class_index(label, classes)] in unseen:
        raise UsageError(
            f"{run.path.name} never saw class {classes[which]!r} in training: its images would mean nothing; it saw "
            + ", ".join(name for name in classes if name not in unseen)
        )
    return torch.full((n,), which)


def sampling_words(run: OpenRun, how: SamplingOptions = AS_THE_RUN_DOES) -> str:
    """Description of how images of a run are drawn, for captions and messages."""
    layers = {network["name"]: network["layers"] for network in run.provenance["networks"]}
    sampler = layers.get(_sampler_of(run.recipe) or "", [])
    batchnorm = any(layer["type"].startswith("BatchNorm") for layer in sampler)
    cut = "" if how.truncation is None else f", z cut to +-{how.truncation:g}"
    return drawn_with(run.recipe, batchnorm, how.ema, how.batch_statistics) + cut


def drawn_with(recipe: Recipe, batchnorm: bool, averaged: bool = True, batch_statistics: bool = False) -> str:
    """Description of how samples are drawn, for captions: weights, BatchNorm statistics and precision.

    Args:
        batchnorm: whether the network has batch normalisation at all.
    """
    decay = recipe.ema_decay
    weights = f"EMA weights (decay {decay:g})" if decay is not None and averaged else "last weights"
    statistics = f"{'batch' if batch_statistics else 'running'} BatchNorm statistics" if batchnorm else "no BatchNorm"
    return f"{weights}, {statistics}, float32"


def class_index(label: int | str, class_names: Sequence[str]) -> int:
    """Index of a class given by index or name.

    Raises:
        UsageError: the class does not exist; the message names all classes.
    """
    text = str(label)
    if isinstance(label, str) and text in class_names:
        return list(class_names).index(text)
    if text.isascii() and text.isdecimal() and int(text) < len(class_names):
        return int(text)
    raise UsageError(
        f"unknown class {text!r}; allowed: "
        + ", ".join(f"{k} ({name})" if str(k) != name else name for k, name in enumerate(class_names))
    )
