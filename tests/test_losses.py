"""Losses against closed forms in float64, at logits where a careless form has lost its gradient."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from genlab.losses import ADVERSARIAL

LOGITS = [-110.0, -30.0, -1.5, 0.0, 0.7, 30.0, 110.0]


def sigma(a: float) -> float:
    return 1 / (1 + math.exp(-a)) if a > 0 else math.exp(a) / (1 + math.exp(a))


def log_sigma(a: float) -> float:
    return -math.log1p(math.exp(-a)) if a > -700 and a > 0 else a - math.log1p(math.exp(a))


def leaf(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float32, requires_grad=True)


@pytest.mark.parametrize("a", LOGITS)
def test_non_saturating_generator(a: float) -> None:
    """-log sigma(a), gradient -(1 - sigma(a)): about -1 where D rejects the fake."""
    fake = leaf(a)
    loss = ADVERSARIAL["non-saturating"].generator(fake, fake)
    loss.backward()  # type: ignore[no-untyped-call]
    assert loss.item() == pytest.approx(-log_sigma(a), rel=1e-6, abs=1e-12)
    assert fake.grad is not None
    assert fake.grad.item() == pytest.approx(-(1 - sigma(a)), rel=1e-5, abs=1e-12)


@pytest.mark.parametrize("a", LOGITS)
@pytest.mark.parametrize("b", [-30.0, 0.0, 30.0])
def test_non_saturating_discriminator(a: float, b: float) -> None:
    """-log sigma(real) - log(1 - sigma(fake)), gradients -(1 - sigma(real)) and +sigma(fake)."""
    real, fake = leaf(a), leaf(b)
    loss = ADVERSARIAL["non-saturating"].discriminator(real, fake)
    loss.backward()  # type: ignore[no-untyped-call]
    assert loss.item() == pytest.approx(-log_sigma(a) - log_sigma(-b), rel=1e-6, abs=1e-12)
    assert real.grad is not None
    assert fake.grad is not None
    assert real.grad.item() == pytest.approx(-(1 - sigma(a)), rel=1e-5, abs=1e-12)
    assert fake.grad.item() == pytest.approx(sigma(b), rel=1e-5, abs=1e-12)


@pytest.mark.parametrize("a", LOGITS)
def test_relativistic(a: float) -> None:
    """D minimises -log sigma(real - fake), G the same with the players exchanged."""
    pair = ADVERSARIAL["relativistic"]
    real, fake = torch.tensor([a]), torch.tensor([0.0])
    assert pair.discriminator(real, fake).item() == pytest.approx(-log_sigma(a), rel=1e-6, abs=1e-12)
    assert pair.generator(real, fake).item() == pytest.approx(-log_sigma(-a), rel=1e-6, abs=1e-12)
    assert torch.equal(pair.generator(real, fake), pair.discriminator(fake, real))


def test_relativistic_sees_only_differences() -> None:
    real, fake = torch.randn(64), torch.randn(64)
    for loss in ADVERSARIAL["relativistic"][:2]:
        assert loss(real + 5, fake + 5).item() == pytest.approx(loss(real, fake).item(), rel=1e-5)


@pytest.mark.parametrize(("name", "of_d"), [("non-saturating", 2 * math.log(2)), ("relativistic", math.log(2))])
def test_equilibrium(name: str, of_d: float) -> None:
    """Where D cannot tell, its loss and the generator's are multiples of ln 2."""
    same = torch.zeros(10)
    assert ADVERSARIAL[name].discriminator(same, same).item() == pytest.approx(of_d, rel=1e-6)
    assert ADVERSARIAL[name].generator(same, same).item() == pytest.approx(math.log(2), rel=1e-6)


@pytest.mark.parametrize("name", ADVERSARIAL)
def test_each_player_pulls_its_own_way(name: str) -> None:
    """D's descent raises real and lowers fake logits, G's raises fake ones: swapped signs fail here."""
    real, fake = leaf(0.3, -0.2), leaf(0.1, 0.4)
    ADVERSARIAL[name].discriminator(real, fake).backward()  # type: ignore[no-untyped-call]
    assert real.grad is not None
    assert fake.grad is not None
    assert (real.grad < 0).all()
    assert (fake.grad > 0).all()
    fake = leaf(0.1, 0.4)
    ADVERSARIAL[name].generator(real.detach(), fake).backward()  # type: ignore[no-untyped-call]
    assert fake.grad is not None
    assert (fake.grad < 0).all()


@pytest.mark.parametrize("name", ADVERSARIAL)
def test_losses_are_means(name: str) -> None:
    real, fake = torch.randn(8), torch.randn(8)
    for loss in ADVERSARIAL[name][:2]:
        assert loss(real.repeat(3), fake.repeat(3)).item() == pytest.approx(loss(real, fake).item(), rel=1e-6)
