"""From a run on disk to images: which weights, which classes, which file."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from genlab import checkpoint, pictures, training
from genlab.errors import CheckpointError, UsageError
from genlab.family import FAMILIES, Own
from genlab.randomness import Keyed
from genlab.runs import RunDirectory
from genlab.storage import write


def load_generator(run: RunDirectory, own: Own, step: int | None, ema: bool) -> nn.Module:
    """The run's generator with the weights of a snapshot (`step`) or of the newest checkpoint, averaged or not.

    Raises:
        UsageError: no such snapshot, or one without those weights.
        CheckpointError: damaged, or weights of another network.
    """
    recipe, provenance = run.recipe, run.provenance
    if step is None:
        saved, _ = checkpoint.newest(run.checkpoints)
        prefix = "ema." if ema and recipe.ema else "generator."
        tensors = {k.removeprefix(prefix): v for k, v in saved.tensors.items() if k.startswith(prefix)}
    else:
        if not ema and recipe.ema:
            raise UsageError("snapshots hold the averaged weights only; leave out the step, or take the average")
        kept = run.steps("snapshots", ".safetensors")
        if step not in kept:
            raise UsageError(f"no snapshot of step {step}; there are: {', '.join(map(str, kept)) or 'none'}")
        tensors = checkpoint.from_file(run.file("snapshots", step, ".safetensors"))
    needed = provenance.get("own", {}).keys() & {"generator"}
    family, classes = FAMILIES[recipe.family], len(provenance["data"]["class_names"])
    generator = family.networks(recipe, classes, Keyed(0), own, needed)["generator"]
    try:
        generator.load_state_dict(tensors)
    except RuntimeError as error:
        reason = str(error).splitlines()[-1].strip()
        raise CheckpointError(f"{run.path}: weights of another generator: {reason}") from None
    return generator


def save_images(images: Tensor, path: Path, run: RunDirectory, label: int | str | None = None) -> None:
    """Save images of `Run.sample` as a grid (.png), or as arrays (.npz: images uint8 (N, C, H, W), labels int64).

    Raises:
        UsageError: another ending.
    """
    array, labels = pictures.to_uint8(images), sample_labels(run, len(images), label)
    if path.suffix.lower() == ".png":
        columns = math.ceil(math.sqrt(len(array))) if labels is None or label is not None else int(labels.max()) + 1
        content = pictures.png(pictures.grid(array, columns))
    elif path.suffix.lower() == ".npz":
        arrays = {"images": array} if labels is None else {"images": array, "labels": labels.numpy()}
        buffer = io.BytesIO()
        np.savez_compressed(buffer, allow_pickle=False, **arrays)
        content = buffer.getvalue()
    else:
        raise UsageError(f"{path}: the ending says the form; allowed: .png (a grid), .npz (arrays)")
    write(path, content)


def sample_labels(run: RunDirectory, n: int, label: int | str | None) -> Tensor | None:
    """The classes of n samples, int64 (n,): the one asked for, or all in turn; None for an unconditional run.

    Raises:
        UsageError: no such class, or a class asked of an unconditional run.
    """
    if not run.recipe.conditional:
        if label is not None:
            raise UsageError(f"{run.path.name} is unconditional: it cannot be asked for class {label!r}")
        return None
    classes = run.provenance["data"]["class_names"]
    return torch.arange(n) % len(classes) if label is None else torch.full((n,), class_index(label, classes))


def sampling_words(run: RunDirectory, raw_weights: bool = False, batch_statistics: bool = False) -> str:
    """How images of a run are drawn, for captions and messages."""
    recipe = run.recipe
    return training.sampling_words(
        recipe, averaged=recipe.ema is not None and not raw_weights, batch_statistics=batch_statistics
    )


def class_index(label: int | str, class_names: Sequence[str]) -> int:
    """The number of a class given by number or name.

    Raises:
        UsageError: no such class; names them all.
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
