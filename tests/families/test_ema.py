from __future__ import annotations

import pytest
import torch
from torch import nn

from genlab.families.ema import Ema
from genlab.families.nets.dcgan import DcganGenerator


class Counter(nn.Module):
    """A module with one parameter, one float buffer and one integer buffer."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.tensor(value))
        self.register_buffer("mean", torch.tensor(value))
        self.register_buffer("count", torch.tensor(0))


def push(network: nn.Module, value: float) -> None:
    with torch.no_grad():
        for tensor in network.state_dict().values():
            tensor.fill_(value)


def test_ramp_then_decay_in_closed_form() -> None:
    """x_t = d_t x_(t-1) + (1 - d_t) w with d_t = min(decay, (1 + t) / (10 + t)), t from 0."""
    network, decay, expected = Counter(0.0), 0.5, 0.0
    ema = Ema(network, decay)
    for t in range(20):
        push(network, float(t * t))
        ema.update()
        d = min(decay, (1 + t) / (10 + t))
        expected = d * expected + (1 - d) * t * t
        state = ema.network.state_dict()
        assert state["w"].item() == pytest.approx(expected, rel=1e-5)
        assert state["mean"].item() == pytest.approx(expected, rel=1e-5)
    assert ema.updates == 20


def test_the_ramp_ends_at_the_decay() -> None:
    """(1 + t) / (10 + t) reaches 0.5 at t = 8: from then on the weight of the old average is 0.5."""
    network = Counter(0.0)
    ema = Ema(network, 0.5)
    ema.updates = 100
    push(network, 1.0)
    ema.update()
    assert ema.network.state_dict()["w"].item() == pytest.approx(0.5)


def test_integer_buffers_are_copied() -> None:
    network = Counter(0.0)
    ema = Ema(network, 0.9)
    push(network, 7)
    ema.update()
    assert ema.network.state_dict()["count"].item() == 7


def test_the_average_is_apart_from_the_network() -> None:
    network = Counter(1.0)
    ema = Ema(network, 0.9)
    push(network, 5.0)
    assert ema.network.state_dict()["w"].item() == 1.0
    assert not ema.network.training
    assert not any(p.requires_grad for p in ema.network.parameters())


def test_an_average_of_a_spectrally_normalised_network_is_one_too() -> None:
    """In the average too, every layer's largest singular value is 1; its singular vectors are the network's."""
    torch.manual_seed(0)
    network = DcganGenerator(8, 1, 32, 4, normalisation="spectral", init="torch-default")
    average = Ema(network, 0.99)
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-2)
    for _ in range(150):
        loss = (network(torch.randn(8, 8)) - 0.5).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        average.update()
    vectors = {name: value for name, value in average.network.state_dict().items() if name.endswith(("._u", "._v"))}
    assert len(vectors) == 8
    assert all(torch.equal(value, network.state_dict()[name]) for name, value in vectors.items())
    layers = [module for module in average.network.modules() if isinstance(module, nn.ConvTranspose2d)]
    assert len(layers) == 4
    for layer in layers:
        largest = torch.linalg.matrix_norm(layer.weight.transpose(0, 1).flatten(1), 2).item()
        # The network's vectors are close to the average's own, but not equal.
        assert largest == pytest.approx(1, rel=0.1)
