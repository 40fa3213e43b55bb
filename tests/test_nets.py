"""Parameter counts and layer tables of the reports (SEEDS), shapes, ranges, initial weights."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from genlab.nets.conditional import (
    ConditionalDcganDiscriminator,
    ConditionalDcganGenerator,
    ProjectionDcganDiscriminator,
)
from genlab.nets.dcgan import DcganDiscriminator, DcganGenerator
from genlab.nets.describe import describe

S4_GENERATOR = DcganGenerator(100, 1, 28, 32, 7, "convolution", "leaky-relu")
S4_DISCRIMINATOR = DcganDiscriminator(1, 28, 32, 3, "convolution")


def count(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


@pytest.mark.parametrize(
    ("network", "parameters"),
    [
        (DcganGenerator(128, 1, 28, ngf=256, base=7), 5_314_048),
        (DcganDiscriminator(1, 28, ndf=64, base=7, normalise_first=False), 138_624),
        (DcganGenerator(100, 1, 32), 369_600),
        (DcganDiscriminator(1, 32), 166_848),
        (ConditionalDcganGenerator(100, 10, 1, 32), 3_075_841),
        (ConditionalDcganDiscriminator(1, 10, 32), 2_642_561),
        (S4_GENERATOR, 791_776),
        (S4_DISCRIMINATOR, 691_680),
    ],
    ids=["s0-G", "s0-D", "s2-G", "s2-D", "s2-cG", "s2-cD", "s4-G", "s4-D"],
)
def test_parameters_of_the_reports(network: nn.Module, parameters: int) -> None:
    assert count(network) == parameters


def test_s4_generator_table() -> None:
    described = describe("generator", S4_GENERATOR, torch.zeros(2, 100))
    assert [(x.type, x.output_shape, x.parameters) for x in described.layers] == [
        ("ConvTranspose2d", (128, 7, 7), 627_200),
        ("BatchNorm2d", (128, 7, 7), 256),
        ("LeakyReLU", (128, 7, 7), 0),
        ("ConvTranspose2d", (64, 14, 14), 131_072),
        ("BatchNorm2d", (64, 14, 14), 128),
        ("LeakyReLU", (64, 14, 14), 0),
        ("ConvTranspose2d", (32, 28, 28), 32_768),
        ("BatchNorm2d", (32, 28, 28), 64),
        ("LeakyReLU", (32, 28, 28), 0),
        ("Conv2d", (1, 28, 28), 288),
        ("Tanh", (1, 28, 28), 0),
    ]
    assert described.multiply_adds == 13_698_048


def test_s4_discriminator_table() -> None:
    described = describe("discriminator", S4_DISCRIMINATOR, torch.zeros(2, 1, 28, 28))
    assert [(x.output_shape, x.parameters) for x in described.layers if x.type == "Conv2d"] == [
        ((32, 28, 28), 288),
        ((64, 14, 14), 32_768),
        ((128, 7, 7), 131_072),
        ((256, 3, 3), 524_288),
        ((1, 1, 1), 2_304),
    ]
    assert [x.parameters for x in described.layers if x.type == "BatchNorm2d"] == [64, 128, 256, 512]
    assert described.multiply_adds == 17_791_744
    assert described.trainable == described.parameters == 691_680


@pytest.mark.parametrize(("size", "base", "channels"), [(32, 4, 1), (64, 4, 3), (28, 7, 1)])
def test_every_network_fits_every_size_and_channels(size: int, base: int, channels: int) -> None:
    z, y, x = torch.randn(3, 20), torch.tensor([0, 4, 2]), torch.randn(3, channels, size, size)
    generators: list[tuple[nn.Module, tuple[Any, ...]]] = [
        (DcganGenerator(20, channels, size, 4, base), (z,)),
        (ConditionalDcganGenerator(20, 5, channels, size, 4, base), (z, y)),
    ]
    for generator, inputs in generators:
        images = generator(*inputs)
        assert images.shape == (3, channels, size, size)
        assert images.abs().max() <= 1
    discriminators: list[tuple[nn.Module, tuple[Any, ...]]] = [
        (DcganDiscriminator(channels, size, 4, base), (x,)),
        (ConditionalDcganDiscriminator(channels, 5, size, 4, base), (x, y)),
        (ProjectionDcganDiscriminator(channels, 5, size, 4, base), (x, y)),
    ]
    for discriminator, inputs in discriminators:
        assert discriminator(*inputs).shape == (3,)


def test_a_size_that_cannot_be_made_is_refused() -> None:
    with pytest.raises(ValueError, match="size 28 is not base 4 doubled"):
        DcganGenerator(100, 1, 28)
    with pytest.raises(ValueError, match="halving size 28 does not arrive at base 4"):
        DcganDiscriminator(1, 28)


def test_class_planes_are_convolved_as_the_report_has_it() -> None:
    """The shortcut (one set of planes a class) equals a convolution over each image's own one-hot planes."""
    torch.manual_seed(0)
    network = ConditionalDcganDiscriminator(1, 10, 32, 8, 4, normalisation="none").double()
    x, y = torch.randn(6, 1, 32, 32, dtype=torch.float64), torch.tensor([0, 9, 3, 3, 1, 7])
    planes = nn.functional.one_hot(y, 10).double()[:, :, None, None].expand(-1, -1, 32, 32)
    plain = network.layers(torch.cat([network.x_branch(x), network.y_branch(planes)], 1)).flatten()
    assert torch.allclose(network(x, y), plain, rtol=1e-12, atol=1e-12)


def test_projection_adds_the_score_of_the_label() -> None:
    network = ProjectionDcganDiscriminator(1, 10, 32, 4)
    x, y = torch.randn(5, 1, 32, 32), torch.tensor([0, 1, 2, 9, 9])
    scores = network.layers(x).flatten(1)
    expected = torch.stack([row[0] + row[1 + label] for row, label in zip(scores, y.tolist(), strict=True)])
    assert torch.equal(network(x, y), expected)


@pytest.mark.parametrize("kind", [ConditionalDcganDiscriminator, ProjectionDcganDiscriminator])
def test_the_label_matters(kind: Any) -> None:
    torch.manual_seed(0)
    network, x = kind(1, 10, 32, 8), torch.randn(2, 1, 32, 32)
    assert not torch.equal(network(x, torch.tensor([0, 0])), network(x, torch.tensor([1, 1])))


def test_normal_init() -> None:
    torch.manual_seed(0)
    network = DcganGenerator(100, 1, 32, init="normal-0.02")
    for module in network.modules():
        if isinstance(module, nn.ConvTranspose2d):
            # Four standard errors of a standard deviation from n draws.
            n = module.weight.numel()
            assert abs(module.weight.std().item() / 0.02 - 1) < 4 / (2 * n) ** 0.5
        if isinstance(module, nn.BatchNorm2d):
            assert abs(module.weight.mean().item() - 1) < 4 * 0.02 / module.weight.numel() ** 0.5
            assert (module.bias == 0).all()


def test_init_really_acts() -> None:
    torch.manual_seed(0)
    narrow, wide = (
        [p.std().item() for p in DcganDiscriminator(1, 32, init=init).parameters() if p.dim() == 4]
        for init in ("normal-0.02", "torch-default")
    )
    # PyTorch's default is uniform in +-1/sqrt(fan_in), standard deviation 1/sqrt(3 fan_in).
    fans = [16, 512, 1024, 2048]
    assert wide == pytest.approx([(3 * fan) ** -0.5 for fan in fans], rel=0.1)
    assert narrow == pytest.approx([0.02] * 4, rel=0.1)


def test_describe_leaves_the_network_as_it_was() -> None:
    network = DcganGenerator(10, 1, 32, 4)
    state = {key: value.clone() for key, value in network.state_dict().items()}
    describe("generator", network, torch.randn(4, 10))
    assert network.training
    assert all(torch.equal(value, state[key]) for key, value in network.state_dict().items())
    assert not any(module._forward_hooks for module in network.modules())
