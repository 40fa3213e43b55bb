"""The algorithm: which network is updated when, and that every setting acts."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from genlab.engine import device
from genlab.engine.optim import Descent
from genlab.engine.randomness import Draws, Keyed
from genlab.errors import NonFiniteError
from genlab.families.gan import losses, penalties
from genlab.families.gan import model as gan
from genlab.families.gan.losses import ADVERSARIAL, AdversarialLoss
from genlab.families.nets.conditional import ProjectionDcganDiscriminator
from genlab.recipe import GanRecipe, objectives

IMAGES = torch.randint(0, 256, (16, 1, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
CLASSES = torch.arange(16) % 10
PENALTIES = list(objectives.PENALTIES)


def make(recipe: GanRecipe, seed: int = 0, total_steps: int = 10, objective: AdversarialLoss | None = None) -> gan.Gan:
    keyed = Keyed(seed)
    made = gan.build_networks(recipe, 10, keyed)
    settings = device.resolve(recipe.engine, gan.mergeable(made))
    return gan.Gan(recipe, made, device.start(settings), keyed, total_steps, objective)


def run(recipe: GanRecipe, steps: int = 3, seed: int = 0) -> tuple[gan.Gan, list[dict[str, float]]]:
    model = make(recipe, seed)
    return model, [model.step(IMAGES, CLASSES, step) for step in range(1, steps + 1)]


def digest(network: nn.Module, buffers: bool = True) -> str:
    tensors = network.state_dict() if buffers else dict(network.named_parameters())
    return hashlib.sha256(b"".join(t.detach().numpy().tobytes() for t in tensors.values())).hexdigest()


NO_PENALTY: dict[str, Any] = {"objective.penalty": "none", "objective.lambda": None, "objective.sigma": None}
UNTOLD = {"kind": "dcgan", "ndf": 4, "normalisation": "none", "normalise_first": False}
EVERY: list[tuple[str, dict[str, Any]]] = [
    *(("s2-dcgan", {"objective.loss": loss}) for loss in ADVERSARIAL),
    *(("quick-mnist", {"objective.loss": loss, **NO_PENALTY}) for loss in ADVERSARIAL),
    *(
        (
            "quick-mnist",
            {
                "objective.penalty": penalty,
                "objective.sigma": 0.05 if objectives.PENALTIES[penalty].needs_sigma else None,
            },
        )
        for penalty in PENALTIES
    ),
    ("quick-mnist", {"objective.clip": 0.01, **NO_PENALTY}),
    ("s2-dcgan", {"objective.generator_noise": "fresh", "objective.generator_batch": 24}),
    ("s2-dcgan", {"objective.packing": 2}),
    ("s2-dcgan", {"objective.label_smoothing": 0.1}),
    *(
        (name, {"augmentation": {field: 0.5}})
        for name in ("s2-dcgan", "quick-mnist")
        for field in ("translation", "cutout", "brightness", "contrast")
    ),
]
"""A recipe for every objective, penalty and augmentation, with and without batch normalisation in D."""
AS_IT_IS = {"non-saturating", "r1-r2-finite-difference"}
"""Settings that s2-dcgan and quick-mnist already have."""


@pytest.mark.parametrize(("name", "changes"), EVERY)
def test_each_half_step_updates_its_own_network(
    name: str, changes: dict[str, Any], small: Callable[..., GanRecipe], monkeypatch: pytest.MonkeyPatch
) -> None:
    """D's step leaves G's weights alone and G's step D's, by hashes before and after each. Neither leaves a gradient
    in the other network."""
    model = make(small(changes, name))
    seen: list[tuple[str, bool, bool]] = []
    gradients: list[list[Tensor]] = []
    descend = Descent.__call__

    def watched(self: Descent, loss: Tensor, step: int) -> Tensor:
        before = digest(model.G, buffers=False), digest(model.D, buffers=False)
        norm = descend(self, loss, step)
        after = digest(model.G, buffers=False), digest(model.D, buffers=False)
        seen.append((self.name, before[0] != after[0], before[1] != after[1]))
        if self.name == "discriminator":
            assert all(p.grad is None for p in model.G.parameters())
        gradients.append([p.grad.clone() for p in model.D.parameters() if p.grad is not None])
        return norm

    monkeypatch.setattr(Descent, "__call__", watched)
    model.step(IMAGES, CLASSES, 1)
    assert seen == [("discriminator", False, True), ("generator", True, False)]
    assert len(gradients[0]) > 0
    assert all(torch.equal(a, b) for a, b in zip(*gradients, strict=True))
    assert all(p.requires_grad for p in model.D.parameters())


def test_the_generator_step_sees_the_updated_discriminator(small: Callable[..., GanRecipe]) -> None:
    """G's step follows D's, as in the reports: D's learning rate changes G's loss in the same step, but not D's."""
    slow = make(small({"optimisers.discriminator.lr": 1e-30}, "s2-dcgan")).step(IMAGES, CLASSES, 1)
    fast = make(small({"optimisers.discriminator.lr": 1e-1}, "s2-dcgan")).step(IMAGES, CLASSES, 1)
    assert slow["loss_d"] == fast["loss_d"]
    assert slow["loss_g"] != fast["loss_g"]


def test_same_seed_same_bits_and_another_seed_others(small: Callable[..., GanRecipe]) -> None:
    (a, rows_a), (b, rows_b), (c, rows_c) = run(small()), run(small()), run(small(), seed=1)
    assert rows_a == rows_b
    assert digest(a.G) == digest(b.G)
    assert rows_a != rows_c
    assert digest(a.G) != digest(c.G)


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("quick-mnist", {"objective.loss": "non-saturating"}),
        ("quick-mnist", {"objective.lambda": 1.0}),
        ("quick-mnist", {"objective.sigma": 0.5}),
        ("quick-mnist", {"objective.penalty": "none", "objective.lambda": None, "objective.sigma": None}),
        ("quick-mnist", {"objective.generator_noise": "fresh"}),
        ("quick-mnist", {"networks.generator.init": "torch-default"}),
        ("quick-mnist", {"networks.generator.activation": "relu"}),
        ("quick-mnist", {"networks.generator.normalisation": "none"}),
        ("quick-mnist", {"networks.discriminator.init": "normal-0.02"}),
        ("quick-mnist", {"networks.discriminator": UNTOLD}),
        ("quick-mnist", {"networks.generator.conditioning": "branches"}),
        ("quick-mnist", {"networks.discriminator.minibatch_stddev": 4}),
        ("s2-dcgan", {"networks.discriminator.minibatch_stddev": 4}),
        ("quick-mnist", {"objective.classification": 0.5}),
        ("quick-mnist", {"networks.discriminator.stem": "patch"}),
        ("s2-dcgan", {"networks.discriminator.stem": "patch"}),
        ("quick-mnist", {"networks.discriminator": {"kind": "conditional-dcgan", "ndf": 4, "normalisation": "none"}}),
        ("quick-mnist", {"optimisers.generator.betas": [0.5, 0.9]}),
        ("quick-mnist", {"optimisers.generator.eps": 1e-2}),
        ("quick-mnist", {"optimisers.generator.schedule": "constant"}),
        ("quick-mnist", {"optimisers.discriminator.lr": 1e-5}),
        ("s2-dcgan", {"objective.discriminator_terms": "half-sum"}),
        ("s2-dcgan", {"networks.discriminator.normalise_first": False}),
        ("s2-dcgan", {"networks.discriminator.normalisation": "none", "networks.discriminator.normalise_first": False}),
        ("s2-dcgan", {"networks.latent": 10}),
        *((name, changes) for name, changes in EVERY if not AS_IT_IS & {*map(str, changes.values())}),
        ("s2-dcgan", {"networks.generator.order": "activate-normalise"}),
        ("s2-dcgan", {"networks.discriminator.order": "activate-normalise"}),
        ("s2-dcgan", {"networks.generator.normalisation": "spectral"}),
        ("s2-dcgan", {"networks.discriminator.activation": "relu"}),
        ("s2-dcgan", {"networks.discriminator.activation": "leaky-relu-0.01"}),
        ("s2-dcgan", {"networks.generator": {"kind": "residual", "ngf": 4}}),
        ("s2-dcgan", {"networks.discriminator": {"kind": "residual", "ndf": 4}}),
        ("s2-dcgan", {"networks.generator": {"kind": "mlp", "widths": [8]}}),
        ("s2-dcgan", {"networks.discriminator": {"kind": "mlp", "widths": [8], "dropout": 0.3}}),
        ("s2-dcgan", {"optimisers.generator.name": "adamw", "optimisers.generator.weight_decay": 0.5}),
        ("s2-dcgan", {"optimisers.generator.name": "rmsprop"}),
        ("s2-dcgan", {"optimisers.discriminator.name": "sgd"}),
        ("s2-dcgan", {"optimisers.generator.schedule": "cosine"}),
        ("s2-dcgan", {"optimisers.generator.warmup_steps": 5}),
        ("s2-dcgan", {"optimisers.generator.amsgrad": True}),
        ("s2-dcgan", {"optimisers.generator.weight_decay": 0.1}),
        ("s2-dcgan", {"objective.critic_steps": 2}),
        ("s2-dcgan", {"objective.players": "generator"}),
        ("s2-dcgan", {"objective.players": "discriminator"}),
    ],
)
def test_every_setting_acts(name: str, changes: dict[str, Any], small: Callable[..., GanRecipe]) -> None:
    _, before = run(small(recipe=name))
    _, after = run(small(changes, name))
    assert before != after


def test_half_sum_is_half_of_sum(small: Callable[..., GanRecipe]) -> None:
    whole = make(small(recipe="s2-dcgan")).step(IMAGES, CLASSES, 1)
    half = make(small({"objective.discriminator_terms": "half-sum"}, "s2-dcgan")).step(IMAGES, CLASSES, 1)
    assert half["loss_d"] == pytest.approx(whole["loss_d"] / 2, rel=1e-6)
    assert half["grad_norm_d"] == pytest.approx(whole["grad_norm_d"] / 2, rel=1e-4)


def test_an_objective_of_ones_own_is_taken_as_it_is(small: Callable[..., GanRecipe]) -> None:
    """Whoever gives a loss of D has chosen between the sum of its terms and their mean."""
    recipe = small({"objective.discriminator_terms": "half-sum"}, "s2-dcgan")
    own = make(recipe, objective=losses.adversarial(recipe.objective.loss)).step(IMAGES, CLASSES, 1)
    assert own["loss_d"] == pytest.approx(2 * make(recipe).step(IMAGES, CLASSES, 1)["loss_d"], rel=1e-6)


@pytest.mark.parametrize("more", [{}, {"networks.discriminator.minibatch_stddev": 4, "objective.classification": 0.5}])
def test_merged_passes_compute_the_same(more: dict[str, Any], small: Callable[..., GanRecipe]) -> None:
    """Without batch statistics, one pass over all images gives the same logits as separate passes."""
    plain = {**more, "engine.plan": "auto", "engine.precision": "float32", "engine.device": "cpu", "engine.threads": 1}
    _, (merged,) = run(small({**plain, "engine.merged_passes": True}), steps=1)
    _, (apart,) = run(small({**plain, "engine.merged_passes": False}), steps=1)
    # float32 rounding, divided by sigma^2 in the penalty.
    assert merged == pytest.approx(apart, rel=1e-3, abs=1e-6)


def test_each_player_answers_for_the_class_of_its_own_images(
    small: Callable[..., GanRecipe], monkeypatch: pytest.MonkeyPatch
) -> None:
    """D's class loss is on real images, G's on its own images, after D has learned from them."""
    model = make(small({"objective.classification": 0.25, "engine.merged_passes": False, **NO_PENALTY}))
    named: list[Tensor] = []
    judge = ProjectionDcganDiscriminator.with_classes

    def noted(self: ProjectionDcganDiscriminator, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        judged = judge(self, x, y)
        named.append(judged[1])
        return judged

    monkeypatch.setattr(ProjectionDcganDiscriminator, "with_classes", noted)
    row = model.step(IMAGES, CLASSES, 1)
    of_x, _, of_fake, _ = (nn.functional.cross_entropy(logits, CLASSES).item() for logits in named)
    assert row["class_loss_d"] == pytest.approx(of_x, rel=1e-5)
    assert row["class_loss_g"] == pytest.approx(of_fake, rel=1e-5)
    assert "class_loss_d" not in make(small(NO_PENALTY)).step(IMAGES, CLASSES, 1)
    parts = torch.tensor(2.0), torch.tensor(3.0), torch.tensor(5.0)
    assert model._weighed(parts[0], None, parts[2]).item() == 2 + 0.25 * 5


def test_passes_are_merged_only_where_images_do_not_mix(small: Callable[..., GanRecipe]) -> None:
    assert gan.mergeable(make(small()).networks)
    assert not gan.mergeable(make(small(recipe="s2-dcgan")).networks)
    assert not gan.mergeable(make(small(recipe="sngan-hinge")).networks)  # each pass runs a power iteration
    assert not gan.mergeable({"discriminator": nn.Sequential(nn.Flatten(), nn.Linear(1024, 1))})


def test_a_nan_stops_before_the_update(small: Callable[..., GanRecipe]) -> None:
    model = make(small())
    model.step(IMAGES, CLASSES, 1)
    before = digest(model.D), digest(model.G, buffers=False)
    model.loss = AdversarialLoss(lambda real, fake: (real - fake).mean() * float("nan"), model.loss.generator, True)
    with pytest.raises(NonFiniteError, match="step 2, discriminator: the loss is nan") as caught:
        model.step(IMAGES, CLASSES, 2)
    assert caught.value.exit_code == 6
    assert digest(model.D) == before[0]
    assert digest(model.G, buffers=False) == before[1]


def test_an_infinite_gradient_names_its_tensor(small: Callable[..., GanRecipe]) -> None:
    model = make(small())
    first = next(iter(dict(model.D.named_parameters())))
    dict(model.D.named_parameters())[first].register_hook(  # type: ignore[no-untyped-call]
        lambda gradient: gradient * float("inf")
    )
    before = digest(model.D)
    with pytest.raises(NonFiniteError, match=rf"the gradient of {first} is not finite"):
        model.step(IMAGES, CLASSES, 1)
    assert digest(model.D) == before


def test_linear_schedule(small: Callable[..., GanRecipe]) -> None:
    """The rate is lr at the first step and lr / T at the last of T."""
    recipe = small({"optimisers.generator.schedule": "linear", "optimisers.generator.lr": 0.01})
    model = make(recipe, total_steps=4)
    rates = [model.step(IMAGES, CLASSES, step)["lr_g"] for step in (1, 2, 3, 4)]
    assert rates == pytest.approx([0.01, 0.0075, 0.005, 0.0025])


def updates(model: gan.Gan) -> dict[str, set[int]]:
    """Number of updates of the statistics of each network's batch normalisations."""
    return {
        name: {int(v) for k, v in network.state_dict().items() if k.endswith("num_batches_tracked")}
        for name, network in (("G", model.G), ("D", model.D))
    }


@pytest.mark.parametrize(
    ("changes", "of_g", "of_d"),
    [
        ({}, 1, 3),  # the reports: real, fake, and fake again in G's step
        ({"objective.generator_noise": "fresh"}, 2, 3),
        ({"objective.loss": "relativistic"}, 1, 4),  # G's step also reads the real images
        ({"objective.players": "discriminator"}, 1, 2),
        ({"objective.players": "generator"}, 1, 1),
    ],
)
def test_updates_of_batch_statistics(
    changes: dict[str, Any], of_g: int, of_d: int, small: Callable[..., GanRecipe]
) -> None:
    model = make(small(changes, "s2-dcgan"))
    model.step(IMAGES, CLASSES, 1)
    assert updates(model) == {"G": {of_g}, "D": {of_d}}


def test_one_player_alone(small: Callable[..., GanRecipe]) -> None:
    """In S2's equations (6), G alone, and (7), D alone, the other network keeps its initial weights."""
    for player, learns, stays in (("generator", "G", "D"), ("discriminator", "D", "G")):
        model = make(small({"objective.players": player}, "s2-dcgan"))
        before = {name: digest(getattr(model, name), buffers=False) for name in "GD"}
        row = model.step(IMAGES, CLASSES, 1)
        assert digest(getattr(model, stays), buffers=False) == before[stays]
        assert digest(getattr(model, learns), buffers=False) != before[learns]
        assert ("loss_g" in row, "loss_d" in row) == (player == "generator", player == "discriminator")
        assert "d_fake" in row


def test_the_critic_takes_its_steps_first(small: Callable[..., GanRecipe]) -> None:
    """With three steps of D per step of G, G and its average are updated at steps 3 and 6."""
    model = make(small({"objective.critic_steps": 3, **NO_PENALTY}))
    seen = []
    for step in range(1, 7):
        before = digest(model.G, buffers=False), digest(model.D, buffers=False), model.ema.updates if model.ema else 0
        row = model.step(IMAGES, CLASSES, step)
        assert digest(model.D, buffers=False) != before[1]
        moved = digest(model.G, buffers=False) != before[0]
        assert moved == ("loss_g" in row)
        assert model.ema is not None
        assert model.ema.updates - before[2] == int(moved)
        seen.append(moved)
    assert seen == [False, False, True, False, False, True]


def test_clipping_bounds_every_weight_of_d(small: Callable[..., GanRecipe]) -> None:
    model = make(small({"objective.clip": 0.01, "objective.loss": "wasserstein", **NO_PENALTY}))
    model.step(IMAGES, CLASSES, 1)
    assert max(p.abs().max().item() for p in model.D.parameters()) <= 0.01
    assert max(p.abs().max().item() for p in model.G.parameters()) > 0.01


def test_packing_stacks_consecutive_images_as_channels(small: Callable[..., GanRecipe]) -> None:
    model = make(small({"objective.packing": 2}, "s2-dcgan"))
    x = torch.randn(4, 1, 32, 32)
    packed = gan.pack(x, model.recipe.objective.packing)
    assert model.D(packed).shape == (2,)
    assert torch.equal(packed, torch.stack([torch.cat([x[0], x[1]]), torch.cat([x[2], x[3]])]))


def test_the_penalty_on_packed_images_is_of_the_whole_pack(small: Callable[..., GanRecipe]) -> None:
    """If D is 3 times the sum over both images of a pack, |grad|^2 / 2 = 9 * 2 * 32 * 32 / 2."""
    changes = {"networks.discriminator": UNTOLD, "objective.penalty": "r1", "objective.sigma": None}
    model = make(small({**changes, "objective.packing": 2}))

    class Sum(nn.Module):
        weight = nn.Parameter(torch.tensor(3.0))

        def forward(self, x: Tensor) -> Tensor:
            return self.weight * x.sum((1, 2, 3))

    model.D = Sum()
    assert model.step(IMAGES, CLASSES, 1)["penalty"] == pytest.approx(9 * 2 * 1024 / 2)


@pytest.mark.parametrize("penalty", ["r1", "r2", "r1-r2", "gradient-penalty", "gradient-penalty-one-sided", "dragan"])
def test_where_each_exact_penalty_looks(penalty: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """R1 looks at real images (here 0), R2 at generated ones (here 1), the others between them or around real ones."""
    seen: list[Tensor] = []

    def squared(scores: Any, x: Tensor) -> Tensor:
        seen.append(x)
        return torch.zeros(())

    def unit(scores: Any, x: Tensor, one_sided: bool = False) -> Tensor:
        assert one_sided == (penalty == "gradient-penalty-one-sided")
        return squared(scores, x)

    monkeypatch.setattr(penalties, "squared_gradient_penalty", squared)
    monkeypatch.setattr(penalties, "unit_gradient_penalty", unit)
    found = penalties.Penalty.of(penalty, 0.1)
    assert found is not None
    real, fake = torch.zeros(200, 1, 4, 4), torch.ones(200, 1, 4, 4)
    draws = Draws(Keyed(0), "penalty", 1, torch.device("cpu"))
    assert found.beside(real, fake, draws) == []
    found(lambda x: (x.sum((1, 2, 3)),), real, fake, [], draws)
    if penalty.startswith("r"):
        expected = {"r1": [real], "r2": [fake], "r1-r2": [real, fake]}[penalty]
        assert len(seen) == len(expected)
        assert all(torch.equal(a, b) for a, b in zip(seen, expected, strict=True))
    elif penalty == "dragan":
        # 3,200 normal draws: five standard errors.
        assert seen[0].std().item() == pytest.approx(0.1, rel=5 / 6400**0.5)
        assert seen[0].mean().item() == pytest.approx(0, abs=5 * 0.1 / 3200**0.5)
    else:
        shares = seen[0][:, 0, 0, 0]
        assert torch.equal(seen[0], shares.view(-1, 1, 1, 1).expand_as(seen[0]))
        assert 0 <= shares.min() < 0.05 < 0.95 < shares.max() <= 1


def test_the_generator_s_batch_has_its_own_size(small: Callable[..., GanRecipe]) -> None:
    """As in S1, which uses 32 real and 32 generated images for D and 64 fresh z for G."""
    sizes: list[int] = []
    changes = {"objective.generator_noise": "fresh", "objective.generator_batch": 40}
    model = make(small({**changes, "objective.loss": "non-saturating"}))
    model.G.register_forward_pre_hook(lambda _, inputs: sizes.append(len(inputs[0])))
    model.step(IMAGES, CLASSES, 1)
    assert sizes == [16, 40]


def test_on_probabilities_a_saturated_d_teaches_nothing(small: Callable[..., GanRecipe]) -> None:
    """At logits beyond float32's reach, the reports' loss is 100 without a gradient; the loss on logits keeps one."""
    for loss, moved in (("bce-on-probabilities", False), ("non-saturating", True)):
        model = make(small({"objective.loss": loss, "objective.players": "generator"}, "s2-dcgan"))
        model.D.register_forward_hook(lambda _, inputs, logits: logits - 150.0)
        row = model.step(IMAGES, CLASSES, 1)
        assert row["loss_g"] == pytest.approx(150 if moved else 100, abs=2)
        assert (row["grad_norm_g"] > 0) == moved


def test_generate_is_in_the_unit_range_and_leaves_the_model_alone(small: Callable[..., GanRecipe]) -> None:
    model, _ = run(small())
    before = digest(model.G), digest(model.sampler)
    z, y = torch.randn(30, 100), torch.arange(30) % 10
    images = model.generate(z, y)
    assert images.shape == (30, 1, 32, 32)
    assert images.dtype == torch.float32
    assert 0 <= images.min() < images.max() <= 1
    assert (digest(model.G), digest(model.sampler)) == before
    assert model.G.training


def test_running_statistics_make_samples_independent_of_their_batch(small: Callable[..., GanRecipe]) -> None:
    model, _ = run(small())
    z, y = torch.randn(8, 100), torch.arange(8)
    alone = torch.cat([model.generate(z[k : k + 1], y[k : k + 1]) for k in range(8)])
    assert torch.allclose(model.generate(z, y), alone, atol=1e-5)
    before = digest(model.G)
    mixed, running = (model.engine.apply(model.G, z, y, batch_statistics=batch) for batch in (True, False))
    assert not torch.allclose(mixed, running, atol=1e-3)
    assert digest(model.G) == before
    # In a batch with others, the same z are drawn with other statistics.
    more = model.engine.apply(model.G, torch.cat([z, 3 * z]), y.repeat(2), batch_statistics=True)
    assert not torch.allclose(more[:8], mixed, atol=1e-3)


def test_an_own_objective_is_used(small: Callable[..., GanRecipe]) -> None:
    def zero(real: Tensor, fake: Tensor) -> Tensor:
        return (real.sum() + fake.sum()) * 0

    model = make(small({"objective.penalty": "none", "objective.lambda": None, "objective.sigma": None}))
    model.loss = AdversarialLoss(zero, zero, False)
    losses = model.step(IMAGES, CLASSES, 1)
    assert (losses["loss_d"], losses["loss_g"], losses["grad_norm_g"]) == (0, 0, 0)


def test_conditional_generator_with_a_discriminator_that_is_not_told(small: Callable[..., GanRecipe]) -> None:
    """S2's cD(x), which is not given y, trains with finite losses."""
    recipe = small({"networks.discriminator": UNTOLD})
    _, rows = run(recipe)
    assert all(torch.isfinite(torch.tensor(list(row.values()))).all() for row in rows)


@pytest.mark.parametrize("name", ["quick-mnist", "s2-dcgan"])
def test_the_loss_on_held_out_images_is_that_of_training_on_other_images(
    name: str, small: Callable[..., GanRecipe]
) -> None:
    """The loss is what `step` would log for these images and new z before its update; the model does not change."""
    model, _ = run(small(recipe=name))
    before = [digest(network) for network in model.networks.values()]
    found = model.held_out(IMAGES, CLASSES, 7)
    assert model.held_out(IMAGES, CLASSES, 7) == found
    assert model.held_out(IMAGES, CLASSES, 8) != found
    assert [digest(network) for network in model.networks.values()] == before
    assert model.D.training
    z = model.keyed.normal("held-out", 7, 16, model.recipe.latent)
    with torch.no_grad():  # Training mode changes the running statistics of this model for good.
        fake = model.G(z, CLASSES) if model.recipe.conditional else model.G(z)
        told = [CLASSES] if model.recipe.discriminator_conditional else []
        a, b = (model.D(x, *told) for x in (model.engine.tanh_range(IMAGES), fake))
        assert found == {"loss_d_held_out": pytest.approx(model.loss.discriminator(a, b).item(), rel=1e-4)}


def test_a_discriminator_that_does_not_learn_is_not_asked(small: Callable[..., GanRecipe]) -> None:
    changes = {"objective.players": "generator"}
    assert make(small(changes, "s2-dcgan")).held_out(IMAGES, CLASSES, 1) == {}
