"""Parameter counts and layer tables of the reports (SEEDS), shapes, ranges, initial weights."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

import genlab
from genlab.families.nets import parts
from genlab.families.nets.autoencoder import ConvDecoder, ConvEncoder, MlpDecoder, MlpEncoder
from genlab.families.nets.classifier import CnnClassifier, MlpClassifier
from genlab.families.nets.conditional import (
    ConditionalDcganDiscriminator,
    ConditionalDcganGenerator,
    ProjectionDcganDiscriminator,
)
from genlab.families.nets.dcgan import DcganDiscriminator, DcganGenerator
from genlab.families.nets.describe import describe
from genlab.families.nets.mlp import MlpDiscriminator, MlpGenerator
from genlab.families.nets.parts import StddevWholeMapConv2d, minibatch_stddev
from genlab.families.nets.residual import Block, ResidualDiscriminator, ResidualGenerator

S4_GENERATOR = DcganGenerator(100, 1, 28, 32, 7, "convolution", "leaky-relu")
S4_DISCRIMINATOR = DcganDiscriminator(1, 28, 32, 3, "convolution")


def count(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


COUNTS: dict[str, tuple[nn.Module, int]] = {
    "s0-G": (DcganGenerator(128, 1, 28, ngf=256, base=7), 5_314_048),
    "s0-D": (DcganDiscriminator(1, 28, ndf=64, base=7, normalise_first=False), 138_624),
    "s1-G": (MlpGenerator(100, 1, 28, (128, 256, 512, 1024), normalisation="batch"), 1_510_032),
    "s1-D": (MlpDiscriminator(1, 28), 1_460_225),
    "s2-G": (DcganGenerator(100, 1, 32), 369_600),
    "s2-D": (DcganDiscriminator(1, 32), 166_848),
    "s2-cG": (ConditionalDcganGenerator(100, 10, 1, 32), 3_075_841),
    "s2-cD": (ConditionalDcganDiscriminator(1, 10, 32), 2_642_561),
    "s2-cD(x)": (ConditionalDcganDiscriminator(1, 10, 32, labels=False), 2_633_345),
    "s3-skeleton-G": (MlpGenerator(100, 1, 28, (128,)), 114_064),
    "s3-skeleton-D": (MlpDiscriminator(1, 28, (784,), 0.3), 616_225),
    "s3-G": (MlpGenerator(100, 1, 28), 1_486_352),
    "s3-D": (MlpDiscriminator(1, 28, dropout=0.3), 1_460_225),
    "s4-G": (S4_GENERATOR, 791_776),
    "s4-D": (S4_DISCRIMINATOR, 691_680),
    "s4-classifier": (MlpClassifier(10, 1, 28), 397_510),
    "s4-VAE, z 2": (nn.ModuleList([MlpEncoder(2, 1, 28), MlpDecoder(2, 1, 28)]), 788_788),
    "s4-VAE, z 64": (nn.ModuleList([MlpEncoder(64, 1, 28), MlpDecoder(64, 1, 28)]), 881_912),
}


@pytest.mark.parametrize("name", COUNTS)
def test_parameters_of_the_reports(name: str) -> None:
    network, parameters = COUNTS[name]
    assert count(network) == parameters


@pytest.mark.parametrize(
    ("recipe", "parameters"),
    [
        ("s0-dcgan", [5_314_048, 138_624]),
        ("s1-mlp", [1_510_032, 1_460_225]),
        ("s2-dcgan", [369_600, 166_848]),
        ("s2-cdcgan", [3_075_841, 2_642_561]),
        ("s3-skeleton", [114_064, 616_225]),
        ("s3-mlp", [1_486_352, 1_460_225]),
        ("s4-dcgan", [791_776, 691_680]),
        ("s4-vae", [394_504, 394_284]),
        ("s4-vae-warm", [456_628, 425_284]),
        ("s4-classifier", [397_510]),
    ],
)
def test_the_recipes_have_those_networks(recipe: str, parameters: list[int]) -> None:
    assert [described.parameters for described in genlab.show(recipe).networks] == parameters


def test_s1_normalises_as_the_report_does() -> None:
    """BatchNorm1d with eps 0.8 is in each hidden layer but the first, before the activation or after it."""
    made = [
        MlpGenerator(100, 1, 28, (8, 8), normalisation="batch", batchnorm_eps=0.8, order=order).layers
        for order in ("normalise-activate", "activate-normalise")
    ]
    kinds = [[type(layer).__name__ for layer in layers] for layers in made]
    assert kinds[0][:5] == ["Linear", "LeakyReLU", "Linear", "BatchNorm1d", "LeakyReLU"]
    assert kinds[1][:5] == ["Linear", "LeakyReLU", "Linear", "LeakyReLU", "BatchNorm1d"]
    assert [layer.eps for layer in made[0] if isinstance(layer, nn.BatchNorm1d)] == [0.8]


def test_dropout_follows_each_activation_and_can_be_left_out() -> None:
    kinds = [type(layer).__name__ for layer in MlpDiscriminator(1, 28, (8, 8), 0.3).layers]
    assert kinds == ["Flatten", "Linear", "LeakyReLU", "Dropout", "Linear", "LeakyReLU", "Dropout", "Linear"]
    assert not any(isinstance(layer, nn.Dropout) for layer in MlpDiscriminator(1, 28, (8, 8), 0.0).layers)
    torch.manual_seed(0)
    network, x = MlpDiscriminator(1, 28, (64,), 0.3), torch.randn(4, 1, 28, 28)
    assert not torch.equal(network(x), network(x))
    assert torch.equal(network.eval()(x), network(x))


@pytest.mark.parametrize("activation", ["relu", "leaky-relu", "leaky-relu-0.01"])
def test_activations(activation: Any) -> None:
    x = torch.tensor([-1.0, 2.0])
    slope = {"relu": 0.0, "leaky-relu": 0.2, "leaky-relu-0.01": 0.01}[activation]
    assert parts.after(1, "none", activation)[0](x).tolist() == pytest.approx([-slope, 2.0])


@pytest.mark.parametrize(
    "make",
    [
        lambda: DcganDiscriminator(1, 32, 8, normalisation="spectral"),
        lambda: ResidualDiscriminator(1, 32, 4, normalisation="spectral"),
        lambda: MlpDiscriminator(1, 28, (32, 16), normalisation="spectral"),
        lambda: DcganGenerator(10, 1, 32, 4, normalisation="spectral", init="normal-0.02"),
    ],
)
def test_spectral_normalisation(make: Any) -> None:
    """After power iteration, every weight, as a matrix of outputs by the rest, has the largest singular value 1."""
    torch.manual_seed(0)
    network = make().train()
    weighted = [module for module in network.modules() if isinstance(module, parts.WEIGHTED)]
    assert not any(isinstance(module, nn.BatchNorm2d) for module in network.modules())
    for module in weighted:
        for _ in range(60):
            weight = module.weight
        matrix = weight.transpose(0, 1) if isinstance(module, nn.ConvTranspose2d) else weight
        assert torch.linalg.matrix_norm(matrix.flatten(1), 2).item() == pytest.approx(1, rel=0.02)


def test_residual_blocks_add_their_input() -> None:
    """With the residual path at 0, a block is its skip connection: the same pixels, repeated or averaged."""
    for scale, expected in ((2.0, (1, 3, 8, 8)), (0.5, (1, 3, 2, 2))):
        block = Block(3, 3, scale, "none", "relu", "normalise-activate")
        nn.init.zeros_(block.second.weight)
        assert block.second.bias is not None
        nn.init.zeros_(block.second.bias)
        nn.init.dirac_(block.skip.weight)
        x = torch.randn(1, 3, 4, 4)
        y = block(x)
        assert y.shape == expected
        plain = x.repeat_interleave(2, 2).repeat_interleave(2, 3) if scale > 1 else nn.functional.avg_pool2d(x, 2)
        assert torch.allclose(y, plain, atol=1e-6)


def test_encoders_and_classifiers_share_their_body() -> None:
    for classifier, encoder in (
        (MlpClassifier(10, 1, 28), MlpEncoder(2, 1, 28)),
        (CnnClassifier(10, 1, 32, 4), ConvEncoder(2, 1, 32, ndf=4)),
    ):
        shapes = [
            {k: tuple(v.shape) for k, v in network.state_dict().items() if k.startswith("body.")}
            for network in (classifier, encoder)
        ]
        assert shapes[0] == shapes[1]
        assert shapes[0]


def test_a_conditional_encoder_and_decoder_see_the_class() -> None:
    torch.manual_seed(0)
    x, z, y = torch.randn(2, 1, 32, 32), torch.randn(2, 3), torch.tensor([0, 4])
    for encoder in (MlpEncoder(3, 1, 32, 5), ConvEncoder(3, 1, 32, 5, 4)):
        assert not torch.equal(encoder.eval()(x, y)[0], encoder(x, y.flip(0))[0])
    for decoder in (MlpDecoder(3, 1, 32, 5), ConvDecoder(3, 1, 32, 5, 4)):
        assert decoder.eval()(z, y).shape == x.shape
        assert not torch.equal(decoder(z, y), decoder(z, y.flip(0)))


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
        (ConditionalDcganGenerator(20, 5, channels, size, 3, base, "joint"), (z, y)),
        (MlpGenerator(20, channels, size, (8, 8)), (z,)),
        (ResidualGenerator(20, channels, size, 4, base), (z,)),
    ]
    for generator, inputs in generators:
        images = generator(*inputs)
        assert images.shape == (3, channels, size, size)
        assert images.abs().max() <= 1
    discriminators: list[tuple[nn.Module, tuple[Any, ...]]] = [
        (DcganDiscriminator(channels, size, 4, base), (x,)),
        (ConditionalDcganDiscriminator(channels, 5, size, 4, base), (x, y)),
        (ConditionalDcganDiscriminator(channels, 5, size, 4, base, labels=False), (x,)),
        (ProjectionDcganDiscriminator(channels, 5, size, 4, base), (x, y)),
        (ProjectionDcganDiscriminator(channels, 5, size, 4, base, minibatch_stddev=2, class_logits=True), (x, y)),
        (DcganDiscriminator(channels, size, 4, base, minibatch_stddev=4), (x,)),
        (DcganDiscriminator(channels, size, 4, base, "patch"), (x,)),
        (ProjectionDcganDiscriminator(channels, 5, size, 4, base, "patch"), (x, y)),
        (MlpDiscriminator(channels, size, (8, 8)), (x,)),
        (ResidualDiscriminator(channels, size, 4, base), (x,)),
    ]
    for discriminator, inputs in discriminators:
        assert discriminator(*inputs).shape == (3,)
    for encoder in (MlpEncoder(20, channels, size), ConvEncoder(20, channels, size, ndf=4, base=base)):
        assert [part.shape for part in encoder(x)] == [(3, 20), (3, 20)]
    for decoder in (MlpDecoder(20, channels, size), ConvDecoder(20, channels, size, ngf=4, base=base)):
        assert decoder(z).shape == x.shape
    for classifier in (MlpClassifier(5, channels, size), CnnClassifier(5, channels, size, 4, base)):
        assert classifier(x).shape == (3, 5)


def test_a_size_that_cannot_be_made_is_refused() -> None:
    with pytest.raises(ValueError, match="size 28 is not base 4 doubled"):
        DcganGenerator(100, 1, 28)
    with pytest.raises(ValueError, match="halving size 28 does not reach base 4"):
        DcganDiscriminator(1, 28)


def test_class_planes_are_convolved_as_the_report_has_it() -> None:
    """The shortcut (one set of planes per class) equals a convolution over each image's own one-hot planes."""
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


def test_class_logits_stand_beside_the_projection() -> None:
    network = ProjectionDcganDiscriminator(1, 3, 32, 4, class_logits=True)
    x, y = torch.randn(5, 1, 32, 32), torch.tensor([0, 1, 2, 2, 0])
    scores = network.layers(x).flatten(1)
    assert scores.shape == (5, 7)
    logits, named = network.with_classes(x, y)
    assert torch.equal(logits, network(x, y))
    assert torch.equal(named, scores[:, 4:])
    plain = ProjectionDcganDiscriminator(1, 3, 32, 4)
    assert plain.with_classes(x, y)[1].shape == (5, 0)


def test_a_stem_of_patches_nearly_halves_the_arithmetic() -> None:
    """Kernel 6 at stride 4 replaces the first two layers and gives the same map: each of its numbers takes 36 taps of
    the image instead of 16 of a map of 32 channels."""
    x, y = torch.zeros(2, 1, 32, 32), torch.tensor([0, 1])
    strided, patch = (
        describe("D", ProjectionDcganDiscriminator(1, 10, 32, 32, stem=stem), x, y) for stem in ("strided", "patch")
    )
    assert [layer.output_shape for layer in patch.layers][2:] == [layer.output_shape for layer in strided.layers][4:]
    assert patch.layers[0].multiply_adds == 36 * 64 * 8 * 8
    assert sum(layer.multiply_adds for layer in strided.layers[:3]) == 16 * 32 * 16 * 16 + 16 * 32 * 64 * 8 * 8
    assert patch.multiply_adds < 0.53 * strided.multiply_adds


def test_joined_z_and_class_enter_by_one_layer() -> None:
    """The layer's map is that of z plus that of the class, since a transposed convolution of a point is linear."""
    torch.manual_seed(0)
    network = ConditionalDcganGenerator(6, 3, 1, 32, 4, conditioning="joint", normalisation="none").double()
    layer = next(iter(network.first))
    assert isinstance(layer, nn.ConvTranspose2d)
    assert layer.weight.shape == (6 + 3, 16, 4, 4)
    z, y = torch.randn(4, 6, dtype=torch.float64), torch.tensor([2, 0, 0, 1])
    maps = torch.einsum("ni,ichw->nchw", z, layer.weight[:6]) + layer.weight[6:][y]
    if layer.bias is not None:
        maps = maps + layer.bias[:, None, None]
    assert torch.allclose(network(z, y), network.layers(torch.relu(maps)), rtol=1e-12, atol=1e-12)


def test_the_spread_within_a_group_of_images() -> None:
    """Two images that differ by 2 d everywhere have a standard deviation of d, equal ones of sqrt(1e-8)."""
    x = torch.zeros(6, 12, dtype=torch.float64)
    x[1], x[2:4], x[5] = 0.5, 7.0, 3.0
    expected = torch.tensor([0.25, 1e-4, 1.5], dtype=torch.float64).repeat_interleave(2)
    assert torch.allclose(minibatch_stddev(x, 2), expected, atol=1e-7)
    # The mean over numbers is taken after the root, and an incomplete group stands alone.
    x = torch.randn(5, 12, generator=torch.Generator().manual_seed(0))
    of_three, of_two = (part.var(0, correction=0).add(1e-8).sqrt().mean().item() for part in (x[:3], x[3:]))
    assert minibatch_stddev(x, 3).tolist() == pytest.approx([of_three] * 3 + [of_two] * 2)


def test_the_gradient_of_the_spread_and_its_own() -> None:
    x = torch.randn(6, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0), requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: minibatch_stddev(x, 4), x)
    assert torch.autograd.gradgradcheck(lambda x: minibatch_stddev(x, 4), x)


def test_the_channel_of_the_spread_is_there_without_being_made() -> None:
    layer = StddevWholeMapConv2d(3, 5, 4, group=2).double()
    x = torch.randn(6, 3, 4, 4, dtype=torch.float64)
    spread = minibatch_stddev(x.flatten(1), 2)[:, None, None, None].expand(-1, 1, 4, 4)
    plain = nn.functional.conv2d(torch.cat([x, spread], 1), layer.weight, layer.bias)
    assert torch.allclose(layer(x), plain, rtol=1e-12, atol=1e-12)


def test_a_discriminator_sees_how_images_of_a_group_differ() -> None:
    torch.manual_seed(0)
    network = ProjectionDcganDiscriminator(1, 10, 32, 4, minibatch_stddev=2).double()
    a, b, c = torch.randn(3, 1, 32, 32, dtype=torch.float64)
    y = torch.tensor([1, 1])

    def first(*images: torch.Tensor) -> float:
        logit: float = network(torch.stack(images), y)[0].item()
        return logit

    assert first(a, b) != first(a, c)
    assert first(a, a) != first(a, b)


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
    # PyTorch's default is uniform in +-1/sqrt(fan_in), with standard deviation 1/sqrt(3 fan_in).
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


def test_a_spectrally_normalised_layer_is_described_as_the_layer_it_is() -> None:
    plain, spectral = (DcganDiscriminator(1, 32, 8, normalisation=kind) for kind in ("none", "spectral"))
    x = torch.zeros(2, 1, 32, 32)
    rows = [
        [(layer.type, layer.parameters, layer.multiply_adds) for layer in describe("D", network, x).layers]
        for network in (plain, spectral)
    ]
    assert rows[0] == rows[1]
    assert describe("D", spectral, x).buffers == 0


@pytest.mark.parametrize("p", [0.3, 0.5])
def test_dropout_under_autocast_drops_its_share(p: float) -> None:
    """The share is met within five standard errors, and the mean is kept; outside autocast the output is torch's."""
    layer, x = parts.Dropout(p), torch.ones(1000, 400)
    with torch.autocast("cpu", torch.bfloat16):
        y = layer(x.bfloat16())
        assert torch.equal(layer.eval()(x), x)
    assert set(y.float().unique().tolist()) == {0.0, torch.tensor(1 / (1 - p)).bfloat16().item()}
    dropped = float((y == 0).float().mean())
    assert abs(dropped - p) < 5 * (p * (1 - p) / x.numel()) ** 0.5
    torch.manual_seed(0)
    mine = layer.train()(x)
    torch.manual_seed(0)
    assert torch.equal(mine, nn.Dropout(p)(x))
