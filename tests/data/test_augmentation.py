"""Augmentation of training images: the effect of each disturbance alone; the random stream determines all of them."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from genlab import data
from genlab.data import augmentation
from genlab.engine.randomness import Keyed
from genlab.recipe.classifier import Augmentation

DIGITS = torch.from_numpy(data.load("mnist", "test").images[:200])


def made(stream: str = "a", **settings: Any) -> torch.Tensor:
    return augmentation.augmented(DIGITS, Augmentation(probability=1, **settings), Keyed(0).stream(stream))


def test_shift_moves_whole_images() -> None:
    x = made(shift=2)
    plain = DIGITS / 255.0
    offsets = set()
    for k in range(50):
        fits = [
            (down, right)
            for down in range(-2, 3)
            for right in range(-2, 3)
            if torch.equal(x[k, 0], torch.roll(plain[k, 0], (down, right), (0, 1)))
        ]
        assert fits, k  # digits have a border of four black pixels, so rolling is shifting
        offsets.add(fits[0])
    assert len(offsets) > 15


def test_what_comes_in_is_black() -> None:
    white = torch.ones(1, 1, 5, 5)
    moved = augmentation.shifted(white, torch.tensor([2]), torch.tensor([-1]))
    assert moved[0, 0].tolist() == [[0] * 5, [0] * 5, [1, 1, 1, 1, 0], [1, 1, 1, 1, 0], [1, 1, 1, 1, 0]]


def test_blur_is_a_gaussian_kernel() -> None:
    point = torch.zeros(1, 1, 21, 21)
    point[0, 0, 10, 10] = 1
    soft = augmentation.blurred(point, torch.tensor([1.5]))[0, 0]
    assert soft.sum().item() == pytest.approx(1, abs=1e-5)
    offsets = torch.arange(21) - 10.0
    assert (soft.sum(0) * offsets**2).sum().item() == pytest.approx(1.5**2, rel=0.03)  # cut at 3 sigma
    assert soft[10, 11] / soft[10, 10] == pytest.approx(torch.exp(torch.tensor(-0.5 / 1.5**2)).item(), rel=1e-5)
    flat = augmentation.blurred(torch.full((2, 3, 8, 8), 0.7), torch.tensor([0.5, 2.0]))
    assert torch.allclose(flat, torch.full((2, 3, 8, 8), 0.7), atol=1e-6)  # no dark rim


def test_each_image_has_its_own_blur() -> None:
    both = augmentation.blurred(DIGITS[:2].float().repeat(1, 3, 1, 1), torch.tensor([0.4, 1.2]))
    for k, sigma in enumerate((0.4, 1.2)):
        alone = augmentation.blurred(DIGITS[k : k + 1].float().repeat(1, 3, 1, 1), torch.tensor([sigma]))
        assert torch.allclose(both[k], alone[0], atol=1e-4)


def test_brightness_and_contrast() -> None:
    plain = DIGITS / 255.0
    brighter = made(brightness=0.2)
    for k in range(20):
        grey = (plain[k] > 0.25) & (plain[k] < 0.75)
        offset = (brighter[k] - plain[k])[grey]
        assert offset.std() < 1e-6
        assert abs(offset[0]) <= 0.2
    assert (brighter[:50].amin((1, 2, 3)) > 0.01).sum() > 10  # brightening lifts backgrounds
    stronger = made(contrast=0.3)
    for k in range(20):
        inside = (stronger[k] > 0.001) & (stronger[k] < 0.999) & (abs(plain[k] - 0.5) > 0.1)
        factor = ((stronger[k] - 0.5) / (plain[k] - 0.5))[inside]
        assert factor.std() < 1e-4
        assert 0.7 <= factor[0] <= 1.3


def test_noise_and_the_range() -> None:
    x = made(noise=0.3)
    assert x.min() == 0
    assert x.max() == 1
    spread = [(x[k] - DIGITS[k] / 255.0)[(DIGITS[k] > 100) & (DIGITS[k] < 155)].std().item() for k in range(200)]
    found = torch.tensor(spread).nan_to_num(0.15)
    assert found.mean() == pytest.approx(0.15, abs=0.03)  # uniform in 0 .. 0.3


def test_probability_is_the_share_of_images() -> None:
    settings = Augmentation(probability=0.25, brightness=0.5)
    many = DIGITS.repeat(10, 1, 1, 1)
    x = augmentation.augmented(many, settings, Keyed(0).stream("p"))
    changed = (x != many / 255.0).flatten(1).any(1).float().mean()
    assert changed == pytest.approx(0.25, abs=0.03)


def test_the_stream_decides() -> None:
    everything: dict[str, Any] = {"shift": 2, "blur": 1.0, "contrast": 0.3, "brightness": 0.2, "noise": 0.15}
    assert torch.equal(made(**everything), made(**everything))
    assert not torch.equal(made(**everything), made("b", **everything))


def test_no_disturbance_leaves_images_alone() -> None:
    assert torch.equal(made(), DIGITS / 255.0)
