"""Differentiable augmentation: what each change does to an image, that G learns through it, and what D is shown."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from genlab.engine import device
from genlab.engine.randomness import Draws, Keyed
from genlab.families.gan import model as gan
from genlab.families.gan.augment import DRAWS, augmented, cut_out, translated
from genlab.recipe import GanRecipe
from genlab.recipe.gan import GanAugmentation

NEARLY_1 = 1 - 2**-24
EVERYTHING: dict[str, Any] = {"translation": 0.25, "cutout": 0.5, "brightness": 0.5, "saturation": 1, "contrast": 0.5}
ON_GREY = {**EVERYTHING, "saturation": 0}
DIGITS = torch.randint(0, 256, (16, 1, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
CLASSES = torch.arange(16) % 10


def images(n: int = 4, channels: int = 3, side: int = 8) -> Tensor:
    """Random images in [-1, 1], float64; no pixel is 0."""
    return torch.rand(n, channels, side, side, dtype=torch.float64, generator=torch.Generator().manual_seed(3)) * 2 - 1


def uniform(n: int = 4) -> Tensor:
    return torch.rand(DRAWS, n, generator=torch.Generator().manual_seed(4))


def made(x: Tensor, u: Tensor | float, **settings: float) -> Tensor:
    """T(x) with these draws, or with all draws equal to one number."""
    return augmented(x, GanAugmentation(**settings), u if isinstance(u, Tensor) else torch.full((DRAWS, len(x)), u))


@pytest.mark.parametrize("settings", [{key: value} for key, value in EVERYTHING.items()] + [EVERYTHING], ids=str)
def test_a_generator_learns_through_it(settings: dict[str, float]) -> None:
    """The gradient of D(T(G(z))) with respect to G's weights agrees with finite differences, in float64."""
    torch.manual_seed(5)
    z, judge = torch.randn(2, 3, dtype=torch.float64), torch.randn(3 * 6 * 6, dtype=torch.float64)

    def score(weights: Tensor) -> Tensor:
        fake = (z @ weights).tanh().view(2, 3, 6, 6)
        return (made(fake, uniform(2), **settings).flatten(1) @ judge).tanh()

    weights = torch.randn(3, 108, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(score, (weights,))


def test_translation_moves_content_by_whole_pixels() -> None:
    """On a uniform background a shift is a roll; the largest shift is the given share of the side."""
    x = torch.full((400, 1, 16, 16), -1.0)
    x[:, :, 5:10, 6:9] = torch.rand(400, 1, 5, 3)
    moved, offsets = made(x, uniform(400), translation=0.125), set()
    for k in range(400):
        offset = next(
            (down, right)
            for down in range(-2, 3)
            for right in range(-2, 3)
            if torch.equal(moved[k, 0], torch.roll(x[k, 0], (down, right), (0, 1)))
        )
        offsets.add(offset)
    assert len(offsets) == 25


def test_what_comes_in_is_the_edge() -> None:
    rows = torch.arange(4.0).view(1, 1, 4, 1).expand(1, 1, 4, 4)
    down, up = torch.tensor([2]), torch.tensor([-1])
    assert translated(rows, down, down * 0)[0, 0, :, 0].tolist() == [0, 0, 0, 1]
    assert translated(rows, up, up * 0)[0, 0, :, 0].tolist() == [1, 2, 3, 3]
    assert translated(rows.mT, up * 0, down)[0, 0, 0].tolist() == [0, 0, 0, 1]
    assert torch.equal(translated(rows, down * 0, up), rows)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_no_shift_is_the_identity(dtype: torch.dtype) -> None:
    x = images().to(dtype)
    assert torch.equal(translated(x, *torch.zeros(2, 4, dtype=torch.int64)), x)
    assert torch.equal(made(x, 0.5, translation=0.5), x)
    assert torch.equal(made(x, uniform()), x)


@pytest.mark.parametrize(
    ("u", "cutout", "side", "area"),
    [
        (0.5, 0.5, 8, 16),  # in the middle: the whole square
        (0.0, 0.5, 8, 4),  # at a corner: a quarter
        (NEARLY_1, 0.5, 8, 4),
        (0.5, 1.0, 8, 64),
        (0.0, 1.0, 8, 16),
        (0.5, 0.6, 5, 9),  # three pixels wide, centred on one
        (0.0, 0.6, 5, 4),
        (NEARLY_1, 0.6, 5, 4),
    ],
)
def test_cutout_sets_one_square_to_grey(u: float, cutout: float, side: int, area: int) -> None:
    x = images(side=side)
    found = made(x, u, cutout=cutout)
    gone = found == 0
    assert torch.equal(found[~gone], x[~gone])
    for image in gone:
        assert torch.equal(image, image[:1].expand_as(image))
        rows, columns = image[0].any(1), image[0].any(0)
        assert image[0].sum() == area == rows.sum() * columns.sum()
        assert rows.sum() == columns.sum()
        assert (torch.diff(rows.nonzero().ravel()) == 1).all()
        assert (torch.diff(columns.nonzero().ravel()) == 1).all()


def test_rows_and_columns_are_not_exchanged() -> None:
    x = cut_out(images(1, 1, 8), 2, torch.tensor([1]), torch.tensor([6]))
    assert (x[0, 0] == 0).nonzero().tolist() == [[0, 5], [0, 6], [1, 5], [1, 6]]


@pytest.mark.parametrize(("u", "added"), [(0.0, -0.3), (0.5, 0.0), (NEARLY_1, 0.3)])
def test_brightness_adds_a_number_to_all_of_an_image(u: float, added: float) -> None:
    x = images()
    torch.testing.assert_close(made(x, u, brightness=0.3), x + added, rtol=0, atol=1e-6)
    each = (made(x, uniform(), brightness=0.3) - x).flatten(1)
    assert each.std(1).max() < 1e-12
    assert len(set(each[:, 0].tolist())) == 4


@pytest.mark.parametrize(("name", "over"), [("contrast", (1, 2, 3)), ("saturation", (1,))])
def test_contrast_and_saturation_keep_their_means(name: str, over: tuple[int, ...]) -> None:
    """Contrast keeps the mean of an image, saturation that of each pixel over the channels; both scale around it."""
    x, s = images(), 0.4
    middle = x.mean(over, keepdim=True)
    found = made(x, uniform(), **{name: s})
    torch.testing.assert_close(found.mean(over, keepdim=True), middle, rtol=0, atol=1e-12)
    factors = ((found - middle) / (x - middle)).flatten(1)
    assert factors.std(1).max() < 1e-9
    assert len(set(factors[:, 0].round(decimals=6).tolist())) == 4
    for u, factor in ((0.0, 1 - s), (NEARLY_1, 1 + s)):
        expected = middle + factor * (x - middle)
        torch.testing.assert_close(made(x, u, **{name: s}), expected, rtol=0, atol=1e-6)


def test_no_change_moves_the_draws_of_another() -> None:
    x, u = images(), uniform()
    alone = made(x, u, brightness=0.3)
    assert torch.equal(made(x, u, brightness=0.3, translation=0.25), made(alone, u, translation=0.25))
    assert torch.equal(made(x, u, brightness=0.3, cutout=0.5), made(alone, u, cutout=0.5))


def test_each_image_has_a_change_of_its_own() -> None:
    x, u = images(1).repeat(4, 1, 1, 1), uniform()
    together = made(x, u, **EVERYTHING)
    for k in range(4):
        assert torch.equal(together[k], made(x[k : k + 1], u[:, k : k + 1], **EVERYTHING)[0])
        assert not torch.equal(together[k], together[k - 1])


def test_the_largest_draws_stay_in_range() -> None:
    """The largest float32 below 1, times n, is below n, so no shift exceeds half of the side."""
    for side in (32, 33, 34, 511):
        x = torch.arange(float(side)).expand(1, 1, side, side)
        reach = int(side / 2 + 0.5)
        assert made(x, NEARLY_1, translation=0.5)[0, 0, 0, -1] == side - 1 - reach


def make(recipe: GanRecipe) -> gan.Gan:
    keyed = Keyed(0)
    networks = gan.build_networks(recipe, 10, keyed)
    return gan.Gan(recipe, networks, device.start(device.resolve(recipe.engine, gan.mergeable(networks))), keyed, 10)


def shown_to_d(model: gan.Gan) -> list[Tensor]:
    """Images that D is given in a step, call by call."""
    seen: list[Tensor] = []
    model.D.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].detach()))
    model.step(DIGITS, CLASSES, 1)
    return seen


EXACT: dict[str, Any] = {"objective.penalty": "r1-r2", "objective.sigma": None}


@pytest.mark.parametrize("noise", ["reuse", "fresh"])
def test_d_is_shown_changed_images_alone(noise: str, small: Callable[..., GanRecipe]) -> None:
    """In both updates and in the penalty, D sees T(x) and T(G(z)), not x and G(z)."""
    model = make(small({"augmentation": ON_GREY, "objective.generator_noise": noise, **EXACT}))
    T = model.recipe.augmentation
    assert T is not None

    def changed(x: Tensor, of: str) -> Tensor:
        return augmented(x, T, Draws(Keyed(0), f"augmentation/{of}", 1, torch.device("cpu")).uniform(DRAWS, 16))

    generated: list[Tensor] = []
    model.G.register_forward_hook(lambda _, inputs, output: generated.append(output.detach()))
    real, fake, real_again, fake_again, of_g, beside = shown_to_d(model)
    assert torch.equal(real, changed(model.engine.tanh_range(DIGITS), "x"))
    assert torch.equal(fake, changed(generated[0], "z"))
    assert torch.equal(real_again, real)
    assert torch.equal(fake_again, fake)
    assert torch.equal(of_g, fake if noise == "reuse" else changed(generated[1], "z/generator"))
    assert torch.equal(beside, real)  # The relativistic loss compares G's images with these.


def test_real_and_generated_images_have_draws_of_their_own(small: Callable[..., GanRecipe]) -> None:
    model = make(small({"augmentation": ON_GREY}))
    x = model.engine.tanh_range(DIGITS)
    kinds = [model._shown(x, of, step) for of in ("x", "z", "z/generator") for step in (1, 2)]
    assert all(not torch.equal(a, b) for k, a in enumerate(kinds) for b in kinds[:k])
    assert torch.equal(model._shown(x, "x", 1), kinds[0])


def test_the_images_of_a_pack_are_changed_each_by_itself(small: Callable[..., GanRecipe]) -> None:
    plain = make(small({"augmentation": ON_GREY}, "s2-dcgan"))
    packed = make(small({"augmentation": ON_GREY, "objective.packing": 2}, "s2-dcgan"))
    x = plain.engine.tanh_range(DIGITS)
    assert torch.equal(packed._shown(x, "x", 1), gan.pack(plain._shown(x, "x", 1), 2))
    assert packed.step(DIGITS, CLASSES, 1).keys() == plain.step(DIGITS, CLASSES, 1).keys()


def test_held_out_images_and_scores_are_of_images_as_they_are(small: Callable[..., GanRecipe]) -> None:
    model, plain = make(small({"augmentation": ON_GREY})), make(small())
    assert model.held_out(DIGITS, CLASSES, 7) == plain.held_out(DIGITS, CLASSES, 7)
    a, b = (gan.scores(of.recipe, of.D, of.engine, DIGITS, CLASSES) for of in (model, plain))
    assert torch.equal(a, b)


FLOAT32 = {"engine.plan": "auto", "engine.precision": "float32", "engine.device": "cpu", "engine.threads": 1}


def test_merged_passes_compute_the_same(small: Callable[..., GanRecipe]) -> None:
    rows = []
    for merged in (True, False):
        model = make(small({**FLOAT32, "augmentation": ON_GREY, "engine.merged_passes": merged}))
        rows.append(model.step(DIGITS, CLASSES, 1))
    # float32 rounding, divided by sigma^2 in the penalty.
    assert rows[0] == pytest.approx(rows[1], rel=1e-3, abs=1e-6)


@pytest.mark.parametrize("merged", [True, False])
def test_bfloat16_computes_nearly_the_same(merged: bool, small: Callable[..., GanRecipe]) -> None:
    """Losses and logits nearly agree; the penalty is a small difference of large numbers, and left out."""
    rows = []
    for precision in ("float32", "bfloat16"):
        engine = {**FLOAT32, "engine.precision": precision, "engine.merged_passes": merged}
        model = make(small({**engine, "augmentation": ON_GREY, "objective.sigma": 0.5}))
        rows.append(model.step(DIGITS, CLASSES, 1))
    for column in ("loss_d", "loss_g", "logit_real", "logit_fake"):
        assert rows[0][column] == pytest.approx(rows[1][column], rel=0.03, abs=0.03)


def test_colour_is_changed_in_the_engine_s_memory_format(small: Callable[..., GanRecipe]) -> None:
    for form, channels_last in (("channels-last", True), ("contiguous", False)):
        changes = {**FLOAT32, "augmentation": EVERYTHING, "data.channels": 3, "engine.memory_format": form}
        model = make(small(changes))
        shown = model._shown(model.engine.tanh_range(DIGITS.repeat(1, 3, 1, 1)), "x", 1)
        assert shown.is_contiguous(memory_format=torch.channels_last) == channels_last
