from __future__ import annotations

import torch

from genlab.engine.randomness import Keyed


def test_same_key_same_draw() -> None:
    assert torch.equal(Keyed(3).normal("z", 5, 4, 2), Keyed(3).normal("z", 5, 4, 2))


def test_seed_purpose_and_step_each_change_the_draw() -> None:
    draw = Keyed(3).normal("z", 5, 100)
    for other in (Keyed(4).normal("z", 5, 100), Keyed(3).normal("y", 5, 100), Keyed(3).normal("z", 6, 100)):
        assert (draw == other).sum() == 0


def test_a_draw_does_not_depend_on_what_was_drawn_before() -> None:
    keyed = Keyed(0)
    expected = keyed.normal("z", 1, 8)
    keyed.normal("preview", 1, 1000)
    torch.randn(1000)
    assert torch.equal(keyed.normal("z", 1, 8), expected)


def test_a_permutation_holds_every_index_once() -> None:
    order = Keyed(0).permutation("order", 0, 1000)
    assert torch.equal(order.sort().values, torch.arange(1000))
    assert not torch.equal(order, torch.arange(1000))


def test_a_scope_keys_the_global_generator_and_puts_it_back() -> None:
    before = torch.get_rng_state()
    with Keyed(0).scope("networks", 1):
        first = torch.rand(5)
    assert torch.equal(first, Keyed(0).uniform("networks", 1, 5))
    assert torch.equal(torch.get_rng_state(), before)
    with Keyed(0).scope("networks", 1):
        assert torch.equal(torch.rand(5), first)


def test_normal_draws_are_standard() -> None:
    draws = Keyed(0).normal("z", 0, 100_000)
    # Four standard errors: 1/sqrt(n) of the mean, sqrt(2/n) of the variance.
    assert abs(draws.mean().item()) < 4 / 100_000**0.5
    assert abs(draws.var().item() - 1) < 4 * (2 / 100_000) ** 0.5


def test_uniform_draws_are_keyed_and_in_range() -> None:
    drawn = Keyed(0).uniform("a", 1, 10_000)
    assert 0 <= drawn.min() < 0.01
    assert 0.99 < drawn.max() < 1
    assert torch.equal(drawn, Keyed(0).uniform("a", 1, 10_000))
    assert not torch.equal(drawn, Keyed(0).uniform("a", 2, 10_000))
