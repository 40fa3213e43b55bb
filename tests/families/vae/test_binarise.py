"""Black or white pixels from gray ones: how often each, and always the same if they are fixed."""

from __future__ import annotations

import hashlib
import math

import pytest
import torch

import genlab
from genlab.families.vae import binarise


def test_a_pixel_is_white_with_its_gray_as_probability() -> None:
    gray = torch.tensor([0, 1, 128, 254, 255], dtype=torch.uint8).view(1, 1, 1, 5)
    assert binarise.drawn(gray, torch.zeros(1, 1, 1, 5)).flatten().tolist() == [0, 255, 255, 255, 255]
    assert binarise.drawn(gray, torch.full((1, 1, 1, 5), 0.999)).flatten().tolist() == [0, 0, 0, 0, 255]
    assert binarise.drawn(gray, torch.full((1, 1, 1, 5), 128 / 255)).flatten().tolist() == [0, 0, 0, 255, 255]


@pytest.mark.parametrize("gray", [0, 26, 128, 230, 255])
def test_fixed_draws_have_that_share_too(gray: int) -> None:
    """The share of white is right within four standard deviations, over images that differ only in one corner."""
    images = torch.full((256, 1, 16, 16), gray, dtype=torch.uint8)
    images[:, 0, 0, 0] = torch.arange(256)
    seen = binarise.fixed(images)[:, :, 1:].float() / 255
    p = gray / 255
    assert seen.mean().item() == pytest.approx(p, abs=4 * math.sqrt(p * (1 - p) / seen.numel()))
    by_place, by_image = seen.mean(0), seen.mean((1, 2, 3))
    assert by_place.std().item() == pytest.approx(math.sqrt(p * (1 - p) / 256), rel=0.2)  # images are independent
    assert by_image.std().item() == pytest.approx(math.sqrt(p * (1 - p) / 240), rel=0.2)  # and so are pixels


def test_an_image_is_always_binarised_alike() -> None:
    images = torch.randint(0, 256, (7, 3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    whole = binarise.fixed(images)
    assert {*whole.flatten().tolist()} == {0, 255}
    assert torch.equal(binarise.fixed(images.flip(0)).flip(0), whole)
    assert all(torch.equal(binarise.fixed(images[k : k + 1])[0], whole[k]) for k in range(7))
    assert torch.equal(binarise.fixed(whole), whole)


def test_the_binarised_test_images_are_these() -> None:
    """Binarised test images, for which likelihoods are computed, are the same on every machine."""
    test = torch.from_numpy(genlab.load_dataset("mnist", "test").images[:1000].copy())
    assert (
        hashlib.sha256(binarise.fixed(test).numpy().tobytes()).hexdigest()
        == "125eb7470926abcc0bccafe77a5c1ff8ea327145e917fa980a09279199f4b5c2"
    )
