"""Losses against closed forms in float64, at logits where a careless implementation loses its gradient."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from genlab.families.gan.losses import ADVERSARIAL, adversarial
from genlab.recipe.objectives import LOSSES

LOGITS = [-110.0, -30.0, -1.5, 0.0, 0.7, 30.0, 110.0]
MILD = [-1.5, -0.2, 0.0, 0.7, 2.5]


def sigma(a: float) -> float:
    return 1 / (1 + math.exp(-a)) if a > 0 else math.exp(a) / (1 + math.exp(a))


def log_sigma(a: float) -> float:
    return -math.log1p(math.exp(-a)) if a > -700 and a > 0 else a - math.log1p(math.exp(a))


def leaf(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float32, requires_grad=True)


def value_and_slope(loss: Callable[[Tensor], Tensor], a: float) -> tuple[float, float]:
    """Value of loss(a) and its derivative, by autograd in float32."""
    logit = leaf(a)
    value = loss(logit)
    value.backward()  # type: ignore[no-untyped-call]
    assert logit.grad is not None
    return value.item(), logit.grad.item()


def close(found: tuple[float, float], value: float, slope: float) -> None:
    """Assert that value and slope are right within float32's rounding."""
    assert found[0] == pytest.approx(value, rel=1e-6, abs=1e-12)
    assert found[1] == pytest.approx(slope, rel=1e-5, abs=1e-12)


def of_real(name: str) -> Callable[[Tensor], Tensor]:
    """D's loss as a function of the real logit, with the fake one so low that its term is 0."""
    return lambda a: adversarial(name).discriminator(a, torch.tensor([-200.0]))


def of_fake(name: str) -> Callable[[Tensor], Tensor]:
    return lambda a: adversarial(name).discriminator(torch.tensor([200.0]), a)


def of_generator(name: str) -> Callable[[Tensor], Tensor]:
    return lambda a: adversarial(name).generator(a.detach(), a)


@pytest.mark.parametrize("a", LOGITS)
@pytest.mark.parametrize("name", ["non-saturating", "saturating"])
def test_cross_entropies_of_the_discriminator(name: str, a: float) -> None:
    """-log sigma(real) with slope -(1 - sigma), and -log(1 - sigma(fake)) with slope sigma."""
    close(value_and_slope(of_real(name), a), -log_sigma(a), -(1 - sigma(a)))
    close(value_and_slope(of_fake(name), a), -log_sigma(-a), sigma(a))


@pytest.mark.parametrize("a", LOGITS)
def test_generator_of_either_game(a: float) -> None:
    """Non-saturating: slope -(1 - sigma(a)), about -1 where D rejects. Saturating: -sigma(a), about 0 there."""
    close(value_and_slope(of_generator("non-saturating"), a), -log_sigma(a), -(1 - sigma(a)))
    close(value_and_slope(of_generator("saturating"), a), log_sigma(-a), -sigma(a))


@pytest.mark.parametrize(
    ("a", "of_one", "slope_of_one", "of_zero", "slope_of_zero"),
    [
        # sigma(20) is 1 in float32: log(1 - 1) is clamped to -100, and no gradient pulls back.
        (20.0, 0.0, 0.0, 100.0, 0.0),
        (-110.0, 100.0, 0.0, 0.0, 0.0),
        # sigma(-30) = 9.4e-14 is divided by PyTorch's floor of 1e-12.
        (-30.0, 30.0, -sigma(-30) / 1e-12, sigma(-30), sigma(-30)),
        (0.0, math.log(2), -0.5, math.log(2), 0.5),
    ],
)
def test_cross_entropy_on_probabilities_saturates(
    a: float, of_one: float, slope_of_one: float, of_zero: float, slope_of_zero: float
) -> None:
    """Computed as in the reports, in float32, in which the logit form keeps slopes of -1 and 1."""
    name = "bce-on-probabilities"
    for loss in (of_real(name), of_generator(name)):
        value, slope = value_and_slope(loss, a)
        assert value == pytest.approx(of_one, rel=1e-4, abs=1e-6)
        assert slope == pytest.approx(slope_of_one, rel=1e-3, abs=1e-9)
    value, slope = value_and_slope(of_fake(name), a)
    assert value == pytest.approx(of_zero, rel=1e-4, abs=1e-6)
    assert slope == pytest.approx(slope_of_zero, rel=1e-3, abs=1e-6)


def test_the_slope_on_probabilities_at_minus_30() -> None:
    assert value_and_slope(of_generator("bce-on-probabilities"), -30.0)[1] == pytest.approx(-0.094, abs=0.001)
    assert value_and_slope(of_generator("non-saturating"), -30.0)[1] == pytest.approx(-1, abs=1e-6)


@pytest.mark.parametrize("a", MILD)
def test_on_mild_logits_both_forms_agree(a: float) -> None:
    for of in (of_real, of_fake, of_generator):
        assert value_and_slope(of("bce-on-probabilities"), a) == pytest.approx(
            value_and_slope(of("non-saturating"), a), rel=1e-4
        )


@pytest.mark.parametrize("a", LOGITS)
def test_relativistic(a: float) -> None:
    """D minimises -log sigma(real - fake), G the same with real and fake exchanged."""
    pair = adversarial("relativistic")
    real, fake = torch.tensor([a]), torch.tensor([0.0])
    assert pair.discriminator(real, fake).item() == pytest.approx(-log_sigma(a), rel=1e-6, abs=1e-12)
    assert pair.generator(real, fake).item() == pytest.approx(-log_sigma(-a), rel=1e-6, abs=1e-12)
    assert torch.equal(pair.generator(real, fake), pair.discriminator(fake, real))


@pytest.mark.parametrize("name", ["relativistic", "wasserstein"])
def test_some_losses_see_only_differences(name: str) -> None:
    real, fake = torch.randn(64), torch.randn(64)
    loss = adversarial(name).discriminator
    assert loss(real + 5, fake + 5).item() == pytest.approx(loss(real, fake).item(), abs=1e-5)


@pytest.mark.parametrize("a", [-3.0, -1.0, 0.0, 0.5, 2.0])
def test_least_squares_wasserstein_hinge_in_closed_form(a: float) -> None:
    real, fake = torch.tensor([a]), torch.tensor([0.25])
    forms = {
        "least-squares": ((a - 1) ** 2 / 2 + 0.25**2 / 2, (0.25 - 1) ** 2 / 2),
        "wasserstein": (0.25 - a, -0.25),
        "hinge": (max(0.0, 1 - a) + 1.25, -0.25),
    }
    for name, (of_d, of_g) in forms.items():
        assert adversarial(name).discriminator(real, fake).item() == pytest.approx(of_d, abs=1e-6)
        assert adversarial(name).generator(real, fake).item() == pytest.approx(of_g, abs=1e-6)


def test_hinge_leaves_what_is_beyond_the_margin() -> None:
    real, fake = leaf(1.5), leaf(-1.5)
    adversarial("hinge").discriminator(real, fake).backward()  # type: ignore[no-untyped-call]
    assert real.grad is not None
    assert fake.grad is not None
    assert (real.grad.item(), fake.grad.item()) == (0, 0)


@pytest.mark.parametrize(
    ("name", "of_d", "of_g"),
    [
        ("non-saturating", 2 * math.log(2), math.log(2)),
        ("saturating", 2 * math.log(2), -math.log(2)),
        ("bce-on-probabilities", 2 * math.log(2), math.log(2)),
        ("relativistic", math.log(2), math.log(2)),
        ("least-squares", 1 / 2, 1 / 2),
        ("hinge", 2, 0),
        ("wasserstein", 0, 0),
    ],
)
def test_at_equal_logits_of_zero(name: str, of_d: float, of_g: float) -> None:
    """Losses if D gives 0 to everything, which for cross-entropies means that it cannot tell real from generated."""
    same = torch.zeros(10)
    assert adversarial(name).discriminator(same, same).item() == pytest.approx(of_d, abs=1e-6)
    assert adversarial(name).generator(same, same).item() == pytest.approx(of_g, abs=1e-6)


def test_least_squares_where_d_cannot_tell() -> None:
    """At the loss's own equilibrium, 1/2 for everything, the losses are 1/4 and 1/8."""
    half = torch.full((10,), 0.5)
    assert adversarial("least-squares").discriminator(half, half).item() == pytest.approx(1 / 4)
    assert adversarial("least-squares").generator(half, half).item() == pytest.approx(1 / 8)


@pytest.mark.parametrize("name", ADVERSARIAL)
def test_each_player_pulls_its_own_way(name: str) -> None:
    """D's descent raises real and lowers fake logits, and G's raises fake ones: swapped signs fail here."""
    real, fake = leaf(0.3, -0.2), leaf(0.1, 0.4)
    adversarial(name).discriminator(real, fake).backward()  # type: ignore[no-untyped-call]
    assert real.grad is not None
    assert fake.grad is not None
    assert (real.grad < 0).all()
    assert (fake.grad > 0).all()
    fake = leaf(0.1, 0.4)
    adversarial(name).generator(real.detach(), fake).backward()  # type: ignore[no-untyped-call]
    assert fake.grad is not None
    assert (fake.grad < 0).all()


def test_every_loss_has_its_record_and_its_functions() -> None:
    assert ADVERSARIAL.keys() == LOSSES.keys()


@pytest.mark.parametrize("name", LOSSES)
def test_the_record_says_where_a_loss_rests(name: str) -> None:
    """If all images have the recorded logit, losses are as recorded and D's is lowest; pairs ignore a common level."""
    pair, record = adversarial(name), LOSSES[name]
    rest = torch.full((4,), record.rest_logit)
    if record.rest_discriminator is not None:
        assert pair.discriminator(rest, rest).item() == pytest.approx(record.rest_discriminator)
        for logit in (-3.0, -0.3, 0.3, 3.0):
            assert pair.discriminator(rest + logit, rest + logit).item() >= record.rest_discriminator - 1e-6
    if record.rest_generator is not None:
        assert pair.generator(rest, rest).item() == pytest.approx(record.rest_generator)
    shifted = [pair.discriminator(rest + logit, rest + logit).item() for logit in (0.0, 5.0)]
    assert (shifted[0] == pytest.approx(shifted[1])) == (record.pairs or name == "wasserstein")


@pytest.mark.parametrize("name", ADVERSARIAL)
def test_losses_are_means(name: str) -> None:
    real, fake = torch.randn(8), torch.randn(8)
    for loss in adversarial(name)[:2]:
        assert loss(real.repeat(3), fake.repeat(3)).item() == pytest.approx(loss(real, fake).item(), rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("name", ADVERSARIAL)
def test_what_a_generator_needs(name: str) -> None:
    """A loss that does not look at real logits gives the same value whatever they are."""
    pair, fake = adversarial(name), torch.randn(8)
    same = torch.equal(pair.generator(torch.randn(8), fake), pair.generator(torch.randn(8), fake))
    assert same == (not pair.generator_needs_real)


@pytest.mark.parametrize("name", [name for name, loss in LOSSES.items() if loss.smoothed])
@pytest.mark.parametrize("a", MILD)
def test_one_sided_label_smoothing(name: str, a: float) -> None:
    """The real term is (1 - s) -log sigma(real) + s -log(1 - sigma(real)); the fake term and G's loss stay."""
    smooth, plain = adversarial(name, 0.1), adversarial(name)
    real, fake = torch.tensor([a]), torch.tensor([-0.4])
    expected = -0.9 * log_sigma(a) - 0.1 * log_sigma(-a) - log_sigma(0.4)
    assert smooth.discriminator(real, fake).item() == pytest.approx(expected, rel=1e-5)
    assert smooth.generator is plain.generator
    assert plain.discriminator(real, fake).item() != pytest.approx(expected, rel=1e-3) or a == 0


def test_with_smoothing_the_best_real_logit_is_finite() -> None:
    """The minimum of the real term lies at sigma(a) = 1 - s."""
    logit = leaf(math.log(0.9 / 0.1))
    adversarial("non-saturating", 0.1).discriminator(logit, torch.tensor([-9.0])).backward()  # type: ignore[no-untyped-call]
    assert logit.grad is not None
    assert logit.grad.item() == pytest.approx(0, abs=1e-6)
