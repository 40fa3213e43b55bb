"""The same images give the same weights, however they are stored."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

import genlab
import writers
from genlab.runs import checkpoint

RNG = np.random.default_rng(0)
GRAY = RNG.integers(0, 256, (40, 28, 28), np.uint8)
KINDS = np.arange(40) // 8


def weights(folder: Path, images: Any, name: str) -> dict[str, torch.Tensor]:
    """Weights of a classifier after three steps."""
    changes = {"budget.batch": 8, "budget.max_steps": 3, "engine.plan": "reference", "data.channels": 1}
    run = genlab.train("s4-classifier", data=images, overrides=changes, runs=folder, name=name, report=False)
    return checkpoint.newest(run.checkpoints)[0].tensors


def test_folder_archive_arrays_and_import_train_alike(tmp_path: Path) -> None:
    pictures = [
        (f"c{kind}/{k}.png", writers.png(image)) for k, (image, kind) in enumerate(zip(GRAY, KINDS, strict=True))
    ]
    folder = writers.folder(tmp_path / "own", iter(pictures))
    genlab.import_images(folder, tmp_path / "imported.npz", split=0, progress=False)
    np.savez(tmp_path / "arrays.npz", images=GRAY, labels=KINDS)
    tensors = torch.utils.data.TensorDataset(torch.from_numpy(GRAY), torch.from_numpy(KINDS))
    sources = {
        "folder": folder,
        "imported": tmp_path / "imported.npz",
        "npz": tmp_path / "arrays.npz",
        "memory": (GRAY, KINDS),
        "torch": tensors,
    }
    found = {name: weights(tmp_path / "runs", source, name) for name, source in sources.items()}
    first = found.pop("folder")
    for name, other in found.items():
        assert other.keys() == first.keys()
        assert all(torch.equal(first[key], other[key]) for key in first), name
