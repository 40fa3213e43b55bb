"""Signs of health: closed forms of update sizes and dead units, and that observing changes nothing."""

import math
from pathlib import Path

import pytest
import torch
from torch import nn

import genlab
from genlab.training.vitals import MOST, Vitals


def stepped(network: nn.Module, vitals: Vitals, x: torch.Tensor, lr: float) -> dict[str, float]:
    optimiser = torch.optim.SGD(network.parameters(), lr)
    with vitals.of_a_step() as found:
        optimiser.zero_grad()
        network(x).sum().backward()
        optimiser.step()
    return found


def test_an_update_is_measured_against_the_weights() -> None:
    network = nn.Linear(2, 1, bias=False)
    with torch.no_grad():
        network.weight.copy_(torch.tensor([[3.0, 4.0]]))
    found = stepped(network, Vitals({"net": network}, {"net": "_n"}), torch.tensor([[1.0, 0.0]]), lr=0.5)
    assert found == {"update_n": pytest.approx(0.5 / 5)}


def test_networks_with_one_ending_are_one_player() -> None:
    a, b = nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False)
    with torch.no_grad():
        a.weight.fill_(3.0)
        b.weight.fill_(4.0)
    vitals = Vitals({"a": a, "b": b, "other": nn.Linear(1, 1)}, {"a": "", "b": ""})
    found = stepped(nn.Sequential(a, b), vitals, torch.ones(1, 1), lr=0.1)
    assert found == {"update": pytest.approx(0.1 * math.hypot(4, 3) / 5)}


def test_a_step_that_leaves_a_player_out_is_no_step_of_size_0() -> None:
    """A generator whose critic takes five steps may rest in every step that is looked at; a frozen one never moves."""
    network = nn.Linear(2, 2)
    vitals = Vitals({"G": network}, {"G": "_g"})
    with vitals.of_a_step() as found:
        pass
    assert found == {"update_g": 0.0}
    with torch.no_grad():
        network.weight += 1
    with vitals.of_a_step() as found:
        pass
    assert "update_g" not in found
    with vitals.of_a_step() as found, torch.no_grad():
        network.weight += 1
    assert found["update_g"] > 0


def test_a_player_known_to_rest_is_left_out_and_one_that_should_move_is_frozen() -> None:
    network = nn.Linear(2, 2)
    vitals = Vitals({"G": network}, {"G": "_g"})
    with vitals.of_a_step(resting={"_g"}) as found:
        pass
    assert "update_g" not in found
    with torch.no_grad():
        network.weight += 1
    with vitals.of_a_step(resting=()) as found:
        pass
    assert found == {"update_g": 0.0}


def test_one_module_may_follow_layers_of_several_widths() -> None:
    relu, first, second = nn.ReLU(), nn.Linear(4, 8), nn.Linear(8, 16)
    network = nn.Sequential(first, relu, second, relu)
    nn.init.zeros_(second.weight), nn.init.constant_(second.bias, -1.0), nn.init.constant_(first.bias, 100.0)
    with Vitals({"D": network}, {"D": "_d"}).of_a_step() as found:
        network(torch.randn(5, 4))
    assert found["dead_units_d"] == pytest.approx(16 / 24)


def test_a_unit_is_dead_if_it_is_zero_for_every_image_and_pass() -> None:
    layer, relu = nn.Conv2d(1, 4, 1), nn.ReLU(inplace=True)
    network = nn.Sequential(layer, relu)
    layer.weight.data = torch.tensor([1.0, 1.0, -1.0, 0.0])[:, None, None, None]
    layer.bias = nn.Parameter(torch.tensor([0.0, -1.5, -5.0, -1.0]))
    vitals = Vitals({"net": network}, {"net": ""})
    with vitals.of_a_step() as found:
        network(torch.ones(2, 1, 3, 3))
    assert found["dead_units"] == pytest.approx(3 / 4)
    with vitals.of_a_step() as found:
        network(torch.ones(2, 1, 3, 3))
        network(torch.cat([torch.ones(1, 1, 3, 3), 2 * torch.ones(1, 1, 3, 3)]))
    assert found["dead_units"] == pytest.approx(2 / 4)
    assert not relu._forward_hooks


def test_a_leaky_unit_cannot_die_and_a_compiled_network_is_not_listened_to() -> None:
    leaky = nn.Sequential(nn.Linear(1, 2), nn.LeakyReLU())
    assert set(stepped(leaky, Vitals({"n": leaky}, {"n": ""}), torch.ones(1, 1), 0.1)) == {"update"}
    rectified = nn.Sequential(nn.Linear(1, 2), nn.ReLU())
    compiled = Vitals({"n": rectified}, {"n": ""}, compiled=True)
    assert set(stepped(rectified, compiled, torch.ones(1, 1), 0.1)) == {"update"}


def test_weights_in_any_order_of_memory_and_of_any_size() -> None:
    large = nn.Conv2d(64, 512, 4, bias=False)
    large.weight.data = large.weight.data.contiguous(memory_format=torch.channels_last)
    before = large.weight.detach().clone()
    with Vitals({"n": large}, {"n": ""}).of_a_step() as found, torch.no_grad():
        large.weight.mul_(1.25)
    assert large.weight.numel() > MOST
    assert found["update"] == pytest.approx(0.25, rel=1e-4)
    assert torch.equal(large.weight, before * 1.25)


def test_rows_hold_them_for_each_player_that_learns(tmp_path: Path) -> None:
    run = genlab.train(
        "s2-dcgan",
        overrides={"budget.max_steps": 3, "budget.batch": 16, "data.subset": 64, "objective.players": "discriminator"},
        runs=tmp_path,
        report=False,
        progress=False,
    )
    first = run.metrics()[0]
    assert first["update_d"] > 1e-3
    assert first["update_g"] == 0
    assert 0 <= first["dead_units_g"] < 1
    assert "dead_units_d" not in first  # Its ReLUs are leaky.
