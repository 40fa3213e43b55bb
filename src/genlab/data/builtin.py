"""The datasets in the package. Each array's sha256 is pinned here and checked at every load."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from genlab.data.arrays import as_images
from genlab.data.dataset import Dataset, Source, Split, fingerprint
from genlab.data.sources.npz import read_arrays
from genlab.data.stacked import names, stack
from genlab.errors import DataError


@dataclass(frozen=True)
class Builtin:
    """A dataset in the package.

    Attributes:
        sha256: hash of each array's bytes in C order; for a stacked dataset, the fingerprint of each split.
        stacks: name of the dataset whose images are its channels, or None.
    """

    description: str
    source: str
    class_names: tuple[str, ...]
    sha256: dict[str, str]
    stacks: str | None = None


BUILTIN = {
    "mnist": Builtin(
        description="handwritten digits, 28 x 28 gray, 10 classes",
        source="LeCun, Cortes, Burges; CC BY-SA 3.0",
        class_names=tuple("0123456789"),
        sha256={
            "x_train": "741c988805d008ac6e4c904b69001ba184c24b2c540a4ef403f4c71b676cf757",
            "y_train": "1feba77c54802fa5339a11837ea4b2866434b83314ec45192930f1df69120c13",
            "x_test": "6d87418db22cc8025d05968bec9bd5c3932904b23485740db143a061a2c9d161",
            "y_test": "ddeff807876a9661a1110d45c266c86239a3a1b7d37da0c3716a7a683c852ff5",
        },
    ),
    "fashion-mnist": Builtin(
        description="articles of clothing, 28 x 28 gray, 10 classes",
        source="Xiao, Rasul, Vollgraf; Zalando SE; MIT",
        class_names=(
            "T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot",
        ),
        sha256={
            "x_train": "2e487a6c89124f78f2d7521542223cafe96f7123c3ca13d447772ac6ecbb3012",
            "y_train": "657fbd221bfc9f4198cc14b5619cc33ec57c58dd0e47af4d99d6650759e869a7",
            "x_test": "c867c93ff95360594e8ec3287995350b824dd110b11595c0e13d5423f621867a",
            "y_test": "3d0e6c6ea990b53b6f8f500a41cac93881d981b315f84578b7d915342ade01e9",
        },
    ),
    "letters": Builtin(
        description="printed capitals, 28 x 28 gray, 26 classes; test images in other typefaces",
        source="genlab, from DejaVu, STIX and Computer Modern fonts; MIT",
        class_names=tuple("ABCDEFGHIJKLMNOPQRSTUVWXYZ"),
        sha256={
            "x_train": "59af6d2197f074ac3cbd9261fd931e532ae2612f7c948c80c9d0e68082cd8ca2",
            "y_train": "716ee450de28239db896ab333b5335b693fb48de3bc0254b4caa7c6fbf99c616",
            "x_test": "71eae41ad5c6171846ed59fb5c242f1b4b47000cb45621a1c3abca7d144db1fb",
            "y_test": "fd4e2f04c8da64508c20842736fc839fb78f49b015daedd99ff6b686fae0006d",
        },
    ),
    "stacked-mnist": Builtin(
        description="three MNIST digits as channels, 28 x 28 colour, 1000 classes",
        source="made from mnist (Metz et al. 2017)",
        class_names=names(tuple("0123456789")),
        sha256={
            "train": "aa707fc2a5c0840d75ebfd24586d2cfecb07a7533a868d8ed4f96597186cbe5c",
            "test": "d5d636b5e60ae64070eabd4c97508ea83c71aa42abcdd736202a908fb299b5e9",
        },
        stacks="mnist",
    ),
}  # fmt: skip


def load_builtin(name: str, split: Split = "train") -> Dataset:
    """One split of a built-in dataset.

    Raises:
        DataError: the images or labels do not match the pinned sha256.
    """
    builtin = BUILTIN[name]
    if builtin.stacks:
        made = stack(load_builtin(builtin.stacks, split))
        if made.fingerprint != builtin.sha256[split]:
            raise DataError(
                f"{name}, {split}: this numpy version draws different triples from the pinned ones (sha256 "
                f"{made.fingerprint[:12]}..., expected {builtin.sha256[split][:12]}...); install the version in "
                "constraints.txt"
            )
        return made
    path = file_of(name)
    arrays = read_arrays(path, (f"x_{split}", f"y_{split}"))
    for array, values in arrays.items():
        check_sha256(values, builtin.sha256[array], f"{path}: {array}")
    images = as_images(arrays[f"x_{split}"], f"{path}: x_{split}", [])
    labels = arrays[f"y_{split}"].astype(np.int64)
    return Dataset(name, split, images, labels, builtin.class_names, fingerprint(images, labels))


def check_sha256(values: np.ndarray[Any, Any], expected: str, where: str) -> None:
    """Refuse an array whose bytes do not match the pinned sha256."""
    found = hashlib.sha256(np.ascontiguousarray(values).data).hexdigest()
    if found != expected:
        raise DataError(
            f"{where} was changed: sha256 {found[:12]}..., expected {expected[:12]}...; install genlab again"
        )


def file_of(name: str) -> Path:
    """Path of a built-in dataset's file."""
    return Path(str(resources.files("genlab.data") / "files" / f"{name}.npz"))


SOURCE = Source(claims=BUILTIN.__contains__, load=load_builtin, has_test=lambda name: True, packaged=lambda name: True)
