"""How a VAE learns: every setting acts, the terms it logs, collapse, warm start, resume."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import genlab
from genlab.api import warm_start
from genlab.api.run import Run
from genlab.engine import device
from genlab.engine.randomness import Keyed
from genlab.errors import RecipeError, Stopped, UsageError
from genlab.families.gan.losses import adversarial
from genlab.families.vae import binarise, elbo
from genlab.families.vae import model as vae
from genlab.recipe import VaeRecipe, files
from genlab.runs.checkpoint import newest
from genlab.training.fit import Observer

IMAGES = torch.randint(0, 256, (16, 1, 28, 28), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
CLASSES = torch.arange(16) % 10
SMALL: dict[str, Any] = {
    "engine.plan": "reference",
    "networks.encoder.widths": [12],
    "networks.decoder.widths": [12],
    "budget.batch": 16,
    "budget.epochs": 2,
    "logging.tensorboard": False,
    "logging.evaluation": "none",
    "logging.metrics_every": 1,
    "optimiser.lr": 0.001,
}
CONV: dict[str, Any] = {
    "networks.encoder": {"kind": "conv", "ndf": 4, "base": 7},
    "networks.decoder": {"kind": "conv", "ngf": 4, "base": 7},
}
Small = Callable[..., VaeRecipe]


@pytest.fixture
def small_vae(digits: Path) -> Small:
    """small_vae(changes) -> a narrow s4-vae on real digits."""

    def make(changes: dict[str, Any] | None = None) -> VaeRecipe:
        changes = {"data.name": str(digits), **SMALL, **(changes or {})}
        if "networks.encoder" in changes:
            changes = {k: v for k, v in changes.items() if not k.endswith(".widths")}
        recipe = genlab.load_recipe("s4-vae", changes)
        assert isinstance(recipe, VaeRecipe)
        return recipe

    return make


def make(recipe: VaeRecipe, seed: int = 0, total_steps: int = 10) -> vae.Vae:
    keyed = Keyed(seed)
    machine = device.start(device.resolve(recipe.engine, False))
    return vae.Vae(recipe, vae.build_networks(recipe, 10, keyed), machine, keyed, total_steps)


def run(recipe: VaeRecipe, steps: int = 3, seed: int = 0) -> tuple[vae.Vae, list[dict[str, float]]]:
    model = make(recipe, seed)
    return model, [model.step(IMAGES, CLASSES, step) for step in range(1, steps + 1)]


def digest(*networks: nn.Module) -> str:
    tensors = [t for network in networks for t in network.state_dict().values()]
    return hashlib.sha256(b"".join(t.detach().numpy().tobytes() for t in tensors)).hexdigest()


@pytest.mark.parametrize(
    "changes",
    [
        {"objective.likelihood": "bernoulli"},
        {"objective.reconstruction": "sum"},
        {"objective.kl": "sum"},
        {"objective.beta": 0.5},
        {"objective.kl_warmup_steps": 5},
        {"objective.free_bits": 0.5},
        {"objective.likelihood": "bernoulli", "objective.binarise": "static"},
        {"objective.likelihood": "bernoulli", "objective.binarise": "dynamic"},
        {"objective.reconstruction": "sum", "objective.kl": "sum", "objective.importance_samples": 2},
        {"networks.latent": 3},
        {"networks.conditional": True},
        {"networks.encoder.activation": "relu"},
        {"networks.decoder.normalisation": "batch"},
        {"networks.encoder.normalisation": "spectral"},
        {"networks.encoder.init": "normal-0.02"},
        {"networks.decoder.init": "normal-0.02"},
        CONV,
        {"optimiser.lr": 0.01},
        {"optimiser.name": "rmsprop"},
        {"optimiser.warmup_steps": 10},
    ],
)
def test_every_setting_acts(changes: dict[str, Any], small_vae: Small) -> None:
    a, rows_a = run(small_vae())
    b, rows_b = run(small_vae(changes))
    assert digest(*a.networks.values()) != digest(*b.networks.values())
    assert rows_a != rows_b


def test_same_seed_same_bits_and_another_seed_others(small_vae: Small) -> None:
    (a, rows_a), (b, rows_b), (_, rows_c) = run(small_vae()), run(small_vae()), run(small_vae(), seed=1)
    assert rows_a == rows_b
    assert digest(*a.networks.values()) == digest(*b.networks.values())
    assert rows_a != rows_c


@pytest.mark.parametrize(
    ("changes", "reconstruction", "kl", "beta"),
    [
        # mean squared error = 2/784 of half the squared error; KL averaged over 2 latents
        ({}, 2 / 784, 1 / 2, 196.0),
        ({"objective.kl": "sum"}, 2 / 784, 1.0, 392.0),
        ({"objective.reconstruction": "sum", "objective.kl": "sum"}, 1.0, 1.0, 1.0),
        ({"objective.likelihood": "bernoulli"}, 1 / 784, 1 / 2, 392.0),
    ],
)
def test_reductions_are_what_they_say(
    changes: dict[str, Any], reconstruction: float, kl: float, beta: float, small_vae: Small
) -> None:
    row = run(small_vae(changes), steps=1)[1][0]
    assert row["reconstruction"] == pytest.approx(reconstruction * row["reconstruction_sum"], rel=1e-5)
    assert row["kl"] == pytest.approx(kl * row["kl_sum"], rel=1e-5)
    assert row["loss"] == pytest.approx(row["reconstruction"] + row["kl_weight"] * row["kl"], rel=1e-5)
    assert row["effective_beta"] == pytest.approx(beta)
    # The loss is proportional to reconstruction_sum + effective_beta * kl_sum.
    ratio = row["loss"] / (row["reconstruction_sum"] + row["effective_beta"] * row["kl_sum"])
    assert ratio == pytest.approx(reconstruction, rel=1e-5)


def test_the_loss_is_that_of_numpy(small_vae: Small) -> None:
    """The first loss equals one recomputed in float64 from the initial weights."""
    recipe = small_vae({"objective.reconstruction": "sum", "objective.kl": "sum"})
    model = make(recipe)
    weights = {
        f"{name}.{key}": value.double().numpy().copy()
        for name, network in model.networks.items()
        for key, value in network.state_dict().items()
    }
    row = model.step(IMAGES, CLASSES, 1)
    x = IMAGES.double().numpy().reshape(16, -1) * 2 / 255 - 1

    def linear(name: str, inputs: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        return np.asarray(inputs @ weights[f"{name}.weight"].T + weights[f"{name}.bias"])

    def leaky(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        return np.where(values > 0, values, 0.01 * values)

    hidden = leaky(linear("encoder.body.1", x))
    mean, log_variance = linear("encoder.mean", hidden), linear("encoder.log_variance", hidden)
    z = mean + np.exp(log_variance / 2) * Keyed(0).normal("noise", 1, 16, 2).numpy()
    output = linear("decoder.layers.2", leaky(linear("decoder.layers.0", z)))
    error = ((output - x) ** 2).sum(1).mean() / 2
    kl = (mean**2 + np.exp(log_variance) - 1 - log_variance).sum(1).mean() / 2
    assert row["loss"] == pytest.approx(error + kl, rel=1e-5)


def test_bernoulli_pixels_are_shares_of_white(small_vae: Small) -> None:
    """With the decoder's weights at 0, every logit is 0 and the cross-entropy ln 2 per pixel; with logits of 1 it is
    softplus(1) - x, x in [0, 1]."""
    recipe = small_vae({"objective.likelihood": "bernoulli", "objective.reconstruction": "sum"})
    model = make(recipe)
    for p in model.decoder.parameters():
        torch.nn.init.zeros_(p)
    assert model.step(IMAGES, CLASSES, 1)["reconstruction_sum"] == pytest.approx(784 * math.log(2), rel=1e-5)
    model = make(recipe)
    for p in model.decoder.parameters():
        torch.nn.init.zeros_(p)
    last = [module for module in model.decoder.modules() if isinstance(module, nn.Linear)][-1]
    torch.nn.init.ones_(last.bias)
    expected = 784 * math.log1p(math.e) - IMAGES.double().sum().item() / 255 / 16
    assert model.step(IMAGES, CLASSES, 1)["reconstruction_sum"] == pytest.approx(expected, rel=1e-5)


BOUND: dict[str, Any] = {
    "objective.likelihood": "bernoulli",
    "objective.reconstruction": "sum",
    "objective.kl": "sum",
}


def test_binarised_pixels_are_drawn_once_or_in_each_step(small_vae: Small) -> None:
    """If all logits are 1, the loss is softplus(1) per pixel, minus 1 per white one, so it counts white pixels."""
    white = []
    for how in ("static", "dynamic"):
        model = make(small_vae({**BOUND, "objective.binarise": how, "optimiser.lr": 1e-30}))
        for p in model.decoder.parameters():
            torch.nn.init.zeros_(p)
        torch.nn.init.ones_([module for module in model.decoder.modules() if isinstance(module, nn.Linear)][-1].bias)
        rows = [model.step(IMAGES, CLASSES, step) for step in (1, 2)]
        white.append([784 * math.log1p(math.e) - row["reconstruction_sum"] for row in rows])
        held_out = model.epoch_ended(IMAGES, CLASSES, 2)["test_reconstruction_sum"]
        fixed = binarise.fixed(IMAGES).double().sum().item() / 255 / 16
        assert 784 * math.log1p(math.e) - held_out == pytest.approx(fixed, abs=1e-2)
    assert white[0] == pytest.approx([fixed, fixed], abs=1e-2)
    assert white[1][0] != pytest.approx(white[1][1], abs=1e-2)
    # 784 * 16 draws: within four standard deviations of the number that the gray values predict.
    assert white[1] == pytest.approx([IMAGES.double().sum().item() / 255 / 16] * 2, abs=4 * math.sqrt(784 / 6 / 16))


def test_the_bound_of_several_z_is_inside_the_logarithm(small_vae: Small) -> None:
    """The loss is -E log 1/K sum_k exp(log p(x|z_k) + log p(z_k) - log q(z_k|x)), here with PyTorch's densities; the
    logged terms are those of the plain bound."""
    K = 3
    model = make(small_vae({**BOUND, "objective.importance_samples": K, "networks.conditional": True}))
    x = (IMAGES.double() / 255).flatten(1)
    with torch.no_grad():
        mean, log_variance = model.encoder(IMAGES.float() / 127.5 - 1, CLASSES)
        z = mean + (log_variance / 2).exp() * Keyed(0).normal("noise", 1, K, *mean.shape)
        logits = torch.stack([model.decoder(each, CLASSES) for each in z]).flatten(2).double()
    q = torch.distributions.Normal(mean, (log_variance / 2).exp())
    prior = torch.distributions.Normal(0.0, 1.0)
    bernoulli = torch.distributions.Bernoulli(logits=logits, validate_args=False)
    likelihood: Tensor = bernoulli.log_prob(x).sum(2)  # type: ignore[no-untyped-call]
    ratio = (prior.log_prob(z) - q.log_prob(z)).sum(2)  # type: ignore[no-untyped-call]
    expected = -torch.logsumexp(likelihood + ratio, 0).add(-math.log(K)).mean()
    row = model.step(IMAGES, CLASSES, 1)
    assert row["loss"] == pytest.approx(expected.item(), rel=1e-5)
    assert row["reconstruction_sum"] == pytest.approx(-likelihood.mean().item(), rel=1e-5)
    assert row["loss"] < row["reconstruction_sum"] + row["kl_sum"]


def test_warm_up_and_free_bits(small_vae: Small) -> None:
    _, rows = run(small_vae({"objective.beta": 4.0, "objective.kl_warmup_steps": 4}), steps=6)
    assert [row["kl_weight"] for row in rows] == [1, 2, 3, 4, 4, 4]
    _, (row,) = run(small_vae({"objective.kl": "sum", "objective.free_bits": 3.0}), steps=1)
    # Each of the two units has less than 3 nats here, and is charged 3.
    assert row["kl_sum"] < 3
    assert row["loss"] == pytest.approx(row["reconstruction"] + 6.0, rel=1e-5)


def test_collapse_and_its_absence(small_vae: Small) -> None:
    """D22 at small scale: a mean over pixels leaves no unit active, however the KL is reduced; the bound keeps both."""
    for changes, active in (
        ({}, 0),
        ({"objective.kl": "sum"}, 0),
        ({"objective.reconstruction": "sum", "objective.kl": "sum"}, 2),
    ):
        fast = {"optimiser.lr": 0.01, "budget.epochs": 30, "networks.encoder.widths": [32]}
        model = make(small_vae({**changes, **fast}))
        images = torch.from_numpy(_digits(small_vae))
        for step in range(1, 200):
            model.step(images[torch.randperm(100, generator=torch.Generator().manual_seed(step))[:32]], None, step)
        assert model.epoch_ended(images, None, 200)["test_active_units"] == active, changes


def _digits(small_vae: Small) -> np.ndarray[Any, Any]:
    return np.asarray(genlab.load_dataset(small_vae().data.name).images)


def test_a_conditional_vae_is_told_the_class(small_vae: Small) -> None:
    for changes in ({}, CONV):
        model, _ = run(small_vae({"networks.conditional": True, **changes}))
        z = torch.zeros(2, 2)
        same, other = model.generate(z, torch.tensor([3, 3])), model.generate(z, torch.tensor([3, 4]))
        assert torch.equal(same[0], same[1])
        assert not torch.equal(other[0], other[1])


def test_images_are_in_the_unit_range(small_vae: Small) -> None:
    for likelihood in ("gaussian", "bernoulli"):
        model, _ = run(small_vae({"objective.likelihood": likelihood}))
        images = model.generate(3 * torch.randn(20, 2))
        assert images.shape == (20, 1, 28, 28)
        assert 0 <= images.min() < images.max() <= 1


def test_evaluation_changes_nothing(small_vae: Small) -> None:
    model, _ = run(small_vae(CONV))
    before = digest(*model.networks.values())
    found = model.epoch_ended(IMAGES, CLASSES, 3)
    assert found == model.epoch_ended(IMAGES, CLASSES, 3)
    sums = {"test_reconstruction_sum", "test_kl_sum", "test_active_units"}
    assert set(found) == sums | {"test_loss", "test_reconstruction", "test_kl"}
    objective, pixels = model.recipe.objective, IMAGES[0].numel()
    factor = elbo.reduction(objective.likelihood, objective.reconstruction, pixels)
    assert found["test_reconstruction"] == pytest.approx(factor * found["test_reconstruction_sum"])
    share = model.recipe.latent if objective.kl == "mean" else 1
    assert found["test_kl"] == pytest.approx(found["test_kl_sum"] / share)
    weighed = found["test_reconstruction"] + model._kl_weight(3) * found["test_kl"]
    assert found["test_loss"] == pytest.approx(weighed)
    assert digest(*model.networks.values()) == before
    assert model.encoder.training
    assert model.epoch_ended(None, None, 3) == {}


@pytest.fixture(scope="module")
def classifier_run(digits: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    changes: dict[str, Any] = {
        "engine.plan": "reference",
        "data.name": str(digits),
        "budget.batch": 16,
        "budget.epochs": 1,
        "logging.tensorboard": False,
        "networks.classifier.widths": [12],
    }
    return genlab.train("s4-classifier", overrides=changes, runs=tmp_path_factory.mktemp("runs"), report=False)


def test_the_encoder_starts_from_the_classifier(small_vae: Small, classifier_run: Run, tmp_path: Path) -> None:
    changes = {"init_encoder_from": str(classifier_run.path), "budget.max_steps": 1, "optimiser.lr": 1e-12}
    warm = genlab.train(small_vae(changes), runs=tmp_path, report=False)
    mine, theirs = newest(warm.checkpoints)[0].tensors, newest(classifier_run.checkpoints)[0].tensors
    for key in ("body.1.weight", "body.1.bias"):
        assert torch.allclose(mine[f"encoder.{key}"], theirs[f"classifier.{key}"], atol=1e-9)
    assert files.to_dict(warm.recipe)["init_encoder_from"] == str(classifier_run.path.resolve())


def test_other_shapes_are_refused_with_a_table(small_vae: Small, classifier_run: Run, tmp_path: Path) -> None:
    recipe = small_vae({"init_encoder_from": str(classifier_run.path), "networks.encoder.widths": [13]})
    with pytest.raises(UsageError) as caught:
        genlab.train(recipe, runs=tmp_path)
    lines = str(caught.value).splitlines()
    assert "their bodies differ" in lines[0]
    assert lines[1].split() == ["weights", "encoder", classifier_run.path.name]
    assert "(13, 784)" in lines[-1]
    assert "(12, 784)" in lines[-1]
    assert not list(tmp_path.iterdir())


def test_a_classifier_is_found_by_recipe_and_seed(
    small_vae: Small, classifier_run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The newest finished run of the unchanged recipe with the same seed is used; broken runs do not matter."""
    root = tmp_path / "runs"
    root.mkdir()
    (root / classifier_run.path.name).symlink_to(classifier_run.path)
    (root / "broken").mkdir()
    (root / "broken" / "recipe.yaml").write_text("family: old")
    # The recipe of the fixture's classifier is changed, so it does not count ...
    assert warm_start._trained_before("s4-classifier", 0, root) is None
    # ... until the built-in recipe is that one.
    load = files.load
    monkeypatch.setattr(
        files,
        "load",
        lambda source, *rest: classifier_run.recipe if source == "s4-classifier" else load(source, *rest),
    )
    found = warm_start._trained_before("s4-classifier", 0, root)
    assert found is not None
    assert found.path.name == classifier_run.path.name
    assert warm_start._trained_before("s4-classifier", 1, root) is None
    warm = genlab.train(
        small_vae({"init_encoder_from": "s4-classifier", "budget.max_steps": 1}), runs=root, report=False
    )
    assert warm.provenance["encoder_from"] == {"run": str(classifier_run.path.resolve()), "step": 7}


def test_a_classifier_is_trained_first_where_there_is_none(
    small_vae: Small, classifier_run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The classifier is trained only after everything else was found to be in order."""
    asked: list[tuple[str, int]] = []

    def quickly(name: str, seed: int) -> Run:
        asked.append((name, seed))
        return classifier_run

    recipe = small_vae({"init_encoder_from": "s4-classifier", "budget.max_steps": 1})
    # s4-classifier has 500 hidden units, this encoder 12.
    with pytest.raises(UsageError, match="their bodies differ"):
        genlab.train(recipe, seed=7, runs=tmp_path)
    (tmp_path / "taken").mkdir()
    with pytest.raises(UsageError, match="run 'taken' already exists"):
        genlab.train(recipe, seed=7, runs=tmp_path, name="taken")
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]
    with pytest.warns(UserWarning, match="no finished run of s4-classifier, unchanged and with seed 7"):
        warm_start.classifier_of("s4-classifier", lambda *_: None, 7, tmp_path, quickly)
    assert asked == [("s4-classifier", 7)]


def test_a_classifier_of_other_data_is_noted(
    small_vae: Small, classifier_run: Run, digits: Path, tmp_path: Path
) -> None:
    (tmp_path / "other.npz").write_bytes(digits.read_bytes())
    changes = {"init_encoder_from": str(classifier_run.path), "data.name": str(tmp_path / "other.npz")}
    with pytest.warns(UserWarning, match="a classifier of"):
        genlab.train(small_vae({**changes, "budget.max_steps": 1}), runs=tmp_path / "runs", report=False)


def test_a_conditional_vae_without_test_labels(small_vae: Small, digits: Path, tmp_path: Path) -> None:
    """A conditional VAE cannot use a test split without labels, but trains all the same."""
    with np.load(digits) as arrays:
        np.savez(tmp_path / "some.npz", **arrays, x_test=arrays["x_train"][:20])
    recipe = small_vae({"data.name": str(tmp_path / "some.npz"), "networks.conditional": True})
    with pytest.warns(UserWarning, match=r"the test split of .*some\.npz has no labels \(y_test\): it cannot be used"):
        run = genlab.train(recipe, runs=tmp_path / "runs")
    with pytest.warns(UserWarning, match="has no labels"):
        found = run.likelihood(samples=2, images=1)
    assert "test_kl_sum" not in run.metrics()[-1]
    assert found["of"] == "log p(x | class)"
    assert found["standard_error"] is None


def test_an_own_objective_is_refused(small_vae: Small, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="a custom objective is only for GANs"):
        genlab.train(small_vae(), objective=adversarial("hinge"), runs=tmp_path)


def test_what_an_encoder_cannot_start_from(small_vae: Small, tmp_path: Path, finished: Run) -> None:
    with pytest.raises(UsageError, match=r"unknown run or recipe 's4-clasifier'; did you mean 's4-classifier'"):
        genlab.train(small_vae({"init_encoder_from": "s4-clasifier"}), runs=tmp_path)
    with pytest.raises(UsageError, match="is a GAN; a classifier is needed"):
        genlab.train(small_vae({"init_encoder_from": str(finished.path)}), runs=tmp_path)
    with pytest.raises(RecipeError, match="a conditional encoder also reads the class"):
        small_vae({"init_encoder_from": "s4-classifier", "networks.conditional": True})


def test_a_stopped_run_goes_on_exactly(small_vae: Small, tmp_path: Path, stop_at: Callable[[int], Observer]) -> None:
    recipe = small_vae({"objective.kl_warmup_steps": 20})
    whole = genlab.train(recipe, runs=tmp_path, report=False)
    with pytest.raises(Stopped):
        genlab.train(recipe, runs=tmp_path, report=False, name="stopped", observers=[stop_at(9)])
    resumed = genlab.train(resume=tmp_path / "stopped", report=False)
    rows = [[{k: v for k, v in row.items() if k != "seconds"} for row in r.metrics()] for r in (whole, resumed)]
    assert rows[0] == rows[1]
    a, b = ((r.checkpoints / "step-000014" / "model.safetensors").read_bytes() for r in (whole, resumed))
    assert a == b


def test_log_likelihood_of_a_run(small_vae: Small, tmp_path: Path) -> None:
    """More samples give a higher bound, with one number per image; the same seed gives the same numbers."""
    run = genlab.train(small_vae({"objective.reconstruction": "sum"}), runs=tmp_path, report=False)
    one, many = (run.log_likelihood(samples=k, images=50) for k in (1, 50))
    assert one.shape == (50,)
    assert one.mean() < many.mean() < 0
    assert torch.equal(one, run.log_likelihood(samples=1, images=50))
    assert run.likelihood(samples=1, images=50)["bits_per_dimension"] is None  # A density has no bits.


def test_bits_of_binarised_images(small_vae: Small, tmp_path: Path) -> None:
    """Bits per dimension are -log2 p(x) / 784; a decoder that knows nothing needs one bit per pixel."""
    run = genlab.train(small_vae({**BOUND, "objective.binarise": "static"}), runs=tmp_path, report=False)
    found = run.likelihood(samples=5, images=50)
    assert found["likelihood"] == "bernoulli, pixels binarised once"
    assert found["bits_per_dimension"] == pytest.approx(-found["log_likelihood"] / math.log(2) / 784)
    assert 0.2 < found["bits_per_dimension"] < 1.2


def test_a_gan_has_no_likelihood(finished: Run) -> None:
    with pytest.raises(UsageError, match="only a VAE bounds the likelihood"):
        finished.log_likelihood()
