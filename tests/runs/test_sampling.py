"""z of a seed: image k gets the same z however many images are drawn."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

import genlab
from genlab.api.run import Run
from genlab.data import pictures
from genlab.engine.randomness import Keyed
from genlab.errors import CheckpointError, UsageError
from genlab.runs.options import SamplingOptions
from genlab.runs.sampling import BLOCK, Sampler


class Draws(Sampler):
    """A sampler that draws only z."""

    def __init__(self, latent: int, how: SamplingOptions) -> None:
        self.how, self._keyed, self.size = how, Keyed(how.seed), latent


@pytest.mark.parametrize(
    "how", [SamplingOptions(), SamplingOptions(seed=3, truncation=0.7)], ids=["plain", "truncated"]
)
@pytest.mark.parametrize("latent", [1, 2, 3, 7, 16, 50, 100, 128])
def test_z_of_an_image_does_not_depend_on_how_many_are_drawn(latent: int, how: SamplingOptions) -> None:
    sampler = Draws(latent, how)
    many = sampler.z("sample", 2 * BLOCK + 3)
    assert many.shape == (2 * BLOCK + 3, latent)
    assert len(np.unique(many.numpy(), axis=0)) == len(many)
    for n in (1, 7, 15, 64, BLOCK, BLOCK + 1):
        assert torch.equal(sampler.z("sample", n), many[:n])
    pairs = sampler.z("interpolate", 2, 40)
    assert pairs.shape == (2, 40, latent)
    assert torch.equal(sampler.z("interpolate", 2, 7), pairs[:, :7])
    assert not torch.equal(pairs[0], pairs[1])


@pytest.mark.parametrize("seed", [-1, 2**63, True])
def test_a_seed_is_a_whole_number_that_no_training_would_refuse(seed: int) -> None:
    with pytest.raises(UsageError, match="allowed: a whole number, 0"):
        SamplingOptions(seed=seed)


def test_where_no_checkpoint_is_whole_the_snapshots_are_pointed_at(finished: Run, tmp_path: Path) -> None:
    shutil.copytree(finished.path, folder := tmp_path / "copy")
    shutil.rmtree(folder / "checkpoints")
    run = genlab.open_run(folder)
    with pytest.raises(CheckpointError, match=r"no usable checkpoint; snapshots can be sampled, as with --step \d"):
        run.sample(1)
    steps = run.directory.steps("snapshots", ".safetensors")
    assert len(run.sample(1, step=steps[-1])) == 1


def test_z_are_standard_normal() -> None:
    z = Draws(20, SamplingOptions()).z("sample", 5000)
    assert abs(z.mean().item()) < 4 / 100_000**0.5
    assert abs(z.var().item() - 1) < 4 * (2 / 100_000) ** 0.5


def test_images_of_a_seed_agree_to_rounding_however_many_are_drawn(finished: Run) -> None:
    """Layers may sum in another order for another number of images, so a few pixels differ by one gray level."""
    few, many = (pictures.to_uint8(finished.sample(n)).astype(int) for n in (7, 64))
    apart = np.abs(few - many[:7])
    assert apart.max() <= 1
    assert (apart > 0).mean() < 0.01
    rows = [finished.interpolate(pairs=pairs, steps=3).arrays["z"] for pairs in (2, 5)]
    assert (rows[0] == rows[1][:2]).all()
    columns = [finished.grid(columns=n).arrays["z"] for n in (3, 8)]
    assert (columns[0] == columns[1][:3]).all()
