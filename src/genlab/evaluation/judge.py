"""Judges: frozen classifiers whose features and logits the metrics use.

A judge is a finished run of a classifier recipe, stored as one safetensors file: the weights and, in the header, the
recipe and the class names. Judges of built-in datasets are in the package, pinned here by the sha256 of the file.
"""

from __future__ import annotations

import hashlib
import json
import shlex
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from torch import Tensor, nn

from genlab.data import selection
from genlab.engine.randomness import Keyed
from genlab.engine.threads import all_threads
from genlab.errors import DataError, UsageError
from genlab.families.registry import FAMILIES
from genlab.recipe import Engine, Recipe, files

PINNED = {
    "mnist": "fd4f9689907e67ae7db075217b82145ee6ef455c4de3e0dc8ba39627317def6d",
    "fashion-mnist": "c772a5e4d2d898b4ccbe6ab8d13b264a5a85944b18b902e29b3333cd4ad7502b",
    "letters": "768a99410f9d1fe4247862a6dff15e421cb277bfa593022ff10de23a94b90672",
}
"""sha256 of each judge's file; frozen before any recipe was tuned on it."""
RECIPES = {"mnist": "judge-mnist", "fashion-mnist": "judge-fashion", "letters": "judge-letters"}
EACH_CHANNEL = {"stacked-mnist": "mnist"}
"""Datasets whose channels are images of another dataset, and that dataset, whose judge reads each channel."""


@dataclass(frozen=True, eq=False)
class Judge:
    """A frozen classifier.

    Attributes:
        name: name of the built-in judge, or path of a run.
        sha256: sha256 of its file.
        class_names: names of the classes of one channel.
        size, channels: form of the images it takes.
        each_channel: number of channels that it judges one by one; 1 if it judges an image as a whole.
        chosen: classes to choose between, if the dataset has only some of them; None for all.
        dataset, fingerprint: what a run's judge was trained on; None for a judge of the package.
        remarks: what must be said about a run's judge beside what it measures.
    """

    name: str
    sha256: str
    class_names: tuple[str, ...]
    size: int
    channels: int
    network: nn.Module
    each_channel: int = 1
    chosen: tuple[int, ...] | None = None
    dataset: str | None = None
    fingerprint: str | None = None
    remarks: tuple[str, ...] = ()

    @property
    def classes(self) -> int:
        """Number of classes that it tells apart."""
        return len(self.chosen) if self.chosen is not None else int(len(self.class_names) ** self.each_channel)

    @property
    def tells_classes(self) -> bool:
        """Whether it was trained to tell classes apart; the random network was not."""
        return bool(self.class_names)

    @torch.no_grad()
    def __call__(self, images: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Features (N, d) and logits (N, K) of uint8 images (N, C, H, W); float32, on the CPU; K is 0 without classes.

        If it judges channel by channel, features are concatenated, and class i of the first, j of the second ... is
        class (i K + j) K ... of K^channels, with the sum of their logits (the channels are independent).

        Raises:
            UsageError: the images have another size or number of channels.
        """
        expected = (self.channels * self.each_channel, self.size, self.size)
        if images.shape[1:] != expected:
            raise UsageError(f"judge {self.name} takes images of shape {expected}, not {images.shape[1:]}")
        features, logits = [], []
        with all_threads():
            for start in range(0, len(images), 500):
                found = self._whole(torch.from_numpy(np.ascontiguousarray(images[start : start + 500])))
                features.append(found[0])
                logits.append(found[1])
        return torch.cat(features).numpy(), torch.cat(logits).numpy()

    def _whole(self, images: Tensor) -> tuple[Tensor, Tensor]:
        parts = images.reshape(-1, self.channels, *images.shape[2:])
        features = self.network.body(parts.float() * (2 / 255) - 1)  # type: ignore[operator]
        if not self.tells_classes:
            return features, features.new_empty(len(images), 0)
        logits = self.network.head(features)  # type: ignore[operator]
        logits = torch.log_softmax(logits if self.chosen is None else logits[:, self.chosen], 1)
        n, k = len(images), self.each_channel
        of_channel = logits.view(n, k, -1)
        joint = of_channel[:, 0]
        for channel in range(1, k):
            joint = (joint[:, :, None] + of_channel[:, channel, None, :]).flatten(1)
        return features.reshape(n, -1), joint


@lru_cache
def packaged(dataset: str) -> Judge | None:
    """Judge in the package for a built-in dataset, or None if there is none.

    Raises:
        DataError: the file in the package is not the pinned one.
    """
    name = EACH_CHANNEL.get(dataset, dataset)
    if name not in PINNED:
        return None
    path = file_of(name)
    judge = read(path, name)
    if judge.sha256 != PINNED[name]:
        raise DataError(
            f"{path} was changed: sha256 {judge.sha256[:12]}..., expected {PINNED[name][:12]}...; install genlab again"
        )
    return replace(judge, each_channel=3) if dataset in EACH_CHANNEL else judge


def read(path: Path, name: str) -> Judge:
    """A judge from its file.

    Raises:
        DataError: there is no such file, or it is not a judge.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}") from None
    return from_bytes(content, name, str(path))


def from_bytes(content: bytes, name: str, where: str = "judge") -> Judge:
    """A judge from the content of its file; see `to_bytes`."""
    recipe, class_names = _header(content, where)
    try:
        tensors = safetensors.torch.load(content)
    except SafetensorError:
        raise _damaged(where) from None
    (network,) = FAMILIES[recipe.family].build(recipe, len(class_names), Keyed(0)).values()
    try:
        network.load_state_dict(tensors)
    except RuntimeError as error:
        raise DataError(f"{where}: {str(error).splitlines()[-1].strip()}") from None
    digest = hashlib.sha256(content).hexdigest()
    return Judge(name, digest, class_names, recipe.data.size, recipe.data.channels, network.eval())


def recipe_in(content: bytes, where: str = "judge") -> Recipe:
    """The recipe in the header of a judge's file."""
    return _header(content, where)[0]


def _header(content: bytes, where: str) -> tuple[Recipe, tuple[str, ...]]:
    try:
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
        said = json.loads(header["__metadata__"]["judge"])
        recipe, class_names = files.load(said["recipe"]), tuple(said["class_names"])
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise _damaged(where) from None
    if FAMILIES[recipe.family].naming is None:
        raise DataError(f"{where}: its recipe is of family {recipe.family}; a judge is a classifier")
    return recipe, class_names


def _damaged(where: str) -> DataError:
    return DataError(f"{where}: damaged, or not a judge; genlab judge train makes one")


def learned_from(content: bytes, where: str = "judge") -> str | None:
    """Fingerprint of the images that a judge was trained on, if its file has it."""
    _header(content, where)
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    found = json.loads(header["__metadata__"]["judge"]).get("fingerprint")
    return found if isinstance(found, str) else None


def to_bytes(network: nn.Module, recipe: Recipe, class_names: tuple[str, ...], fingerprint: str | None = None) -> bytes:
    """A classifier as the content of a judge's file. The same weights give the same bytes on every machine.

    Args:
        fingerprint: fingerprint of the images that it was trained on; the pinned files are older than this entry.
    """
    plain: dict[str, Any] = files.to_dict(recipe.model_copy(update={"engine": Engine()}))
    # The pinned files are older than these fields.
    del plain["engine"]["compile"], plain["data"]["classes"], plain["budget"]["minutes"]
    # One entry only: safetensors writes several in no fixed order.
    told = {"recipe": plain, "class_names": class_names} | ({"fingerprint": fingerprint} if fingerprint else {})
    header = {"judge": json.dumps(told)}
    tensors = {key: value.detach().cpu().contiguous() for key, value in network.state_dict().items()}
    return safetensors.torch.save(tensors, header)


def training_command(dataset: str) -> str:
    """Shell command that trains the judge of a dataset; its chosen classes are judged by the judge of all of it."""
    whole = dataset if (inner := selection.parts(dataset)) is None else inner[0]
    return f"genlab judge train {shlex.quote(whole)}"


def file_of(name: str) -> Path:
    """Path of a built-in judge on this disk."""
    return Path(str(resources.files("genlab.evaluation") / "judges" / f"{name}.safetensors"))
