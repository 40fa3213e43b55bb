"""Claims of the five reports that need no study: sentences, formulas, counts and single steps, each with its check.

`python studies/reports/checks.py` runs all of them on real data in a few minutes, and writes results/checks.json. Each
check is a function that returns the numbers it found; its decorator holds what the report says, what is right, and the
answer. Numbers that no longer support their answer stop the script.
"""

from __future__ import annotations

import hashlib
import json
import math
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

import genlab
from genlab import data
from genlab.bench.loops import GenlabLoop
from genlab.errors import unknown
from genlab.families.nets.describe import describe
from genlab.recipe.schedule import Schedule
from genlab.runs import provenance
from genlab.training.assemble import assemble, prepare

RECORD = Path(__file__).parent.parent / "results" / "checks.json"
BENCHMARKS = Path(__file__).parent.parent.parent / "benchmarks" / "records"
LN_2 = math.log(2)
REFERENCE = {"engine.plan": "reference"}


@dataclass(frozen=True)
class Check:
    """A claim and what was found.

    Attributes:
        items: items and doubtful claims that the check settles.
        says: the report's sentence, in our words.
        right: the correct sentence.
        answer: holds, does not hold, cannot be decided here.
        run: function that returns the numbers, and whether they support the answer.
    """

    items: tuple[str, ...]
    says: str
    right: str
    answer: str
    run: Callable[[], tuple[dict[str, Any], bool]]


CHECKS: dict[str, Check] = {}


def check(items: str, says: str, right: str, answer: str) -> Callable[[Callable[[], Any]], Callable[[], Any]]:
    def register(function: Callable[[], Any]) -> Callable[[], Any]:
        CHECKS[function.__name__.replace("_", "-")] = Check(tuple(items.split()), says, right, answer, function)
        return function

    return register


@check(
    "S1.9 S1.10 D5",
    "Weight decays of 1e-12 and 1e-10 keep the weights from collapsing.",
    "After one step no weight differs by more than 1.3e-8, and the largest weight is 1: the difference is in the "
    "last bits of small weights. Later the two trainings diverge (0.015 after 100 steps), just as they do when the "
    "last bit of a single weight is changed (0.014): a GAN amplifies any difference, whatever its cause.",
    "does not hold",
)
def weight_decay() -> tuple[dict[str, Any], bool]:
    stops = (1, 10, 100)
    plain = _trained("s1-mlp", {}, stops)
    without = _trained("s1-mlp", {"optimisers.both.weight_decay": 0.0}, stops)
    nudged = _trained("s1-mlp", {"optimisers.both.weight_decay": 0.0}, stops, nudge=True)
    largest = float(plain[0].abs().max())
    found: dict[str, Any] = {
        "largest_weight": largest,
        "rounding_of_the_largest": float(np.spacing(np.float32(largest))),
    }
    for k, step in enumerate(stops):
        found[f"difference_after_{step}"] = float((plain[k] - without[k]).abs().max())
        found[f"difference_by_one_bit_after_{step}"] = float((nudged[k] - without[k]).abs().max())
    small = found["difference_after_1"] <= 4e-4  # Two steps of Adam: a gradient that is rounding error may flip.
    return found, small and found["difference_after_100"] < 20 * found["difference_by_one_bit_after_100"]


def _trained(recipe: str, changes: dict[str, Any], stops: tuple[int, ...], nudge: bool = False) -> list[Tensor]:
    """All weights after each number of steps in `stops`; `nudge` first moves one weight of D by its last bit."""
    loop, found = GenlabLoop(recipe, {**REFERENCE, **changes}), []
    if nudge:
        weight = next(loop.model.networks["discriminator"].parameters())
        with torch.no_grad():
            flat = weight.view(-1)
            flat[0] = torch.nextafter(flat[0], torch.tensor(math.inf))
    for step in range(1, max(stops) + 1):
        loop.step()
        if step in stops:
            parts = [p.detach().flatten() for network in loop.model.networks.values() for p in network.parameters()]
            found.append(torch.cat(parts).clone())
    return found


@check(
    "S2.6 S2.7 D8",
    "At the start, the gradient of the true loss is about 0 and that of the other one about 1.",
    "With a the logit of a generated image and s the logistic function, d/da log(1 - s(a)) = -s(a) and d/da log "
    "s(a) = 1 - s(a). A fresh discriminator has s(a) not far from 1/2, so neither is near 0: at the first step they"
    " are -0.31 and 0.69. They approach 0 and 1 only once it rejects the images. The report's derivation also loses a "
    "sign.",
    "does not hold",
)
def gradients_of_the_losses() -> tuple[dict[str, Any], bool]:
    a = torch.linspace(-8, 8, 33, dtype=torch.float64, requires_grad=True)
    (saturating,) = torch.autograd.grad(torch.log(1 - torch.sigmoid(a)).sum(), a)
    (other,) = torch.autograd.grad(torch.log(torch.sigmoid(a)).sum(), a)
    s = torch.sigmoid(a.detach())
    found: dict[str, Any] = {
        "error_of_saturating": float((saturating + s).abs().max()),
        "error_of_non_saturating": float((other - (1 - s)).abs().max()),
    }
    loop, z = GenlabLoop("s2-dcgan", REFERENCE), torch.randn(512, 100, generator=torch.Generator().manual_seed(0))
    for step in range(101):
        if step in (0, 10, 100):
            score = _score_of_fakes(loop, z)
            found[f"saturating_at_step_{step}"] = score
            found[f"non_saturating_at_step_{step}"] = 1 - score
        loop.step()
    exact = max(found["error_of_saturating"], found["error_of_non_saturating"]) < 1e-10
    fresh = abs(found["saturating_at_step_0"] - 0.5) < 0.25
    return found, exact and fresh and found["saturating_at_step_100"] < found["non_saturating_at_step_100"]


@torch.no_grad()
def _score_of_fakes(loop: GenlabLoop, z: Tensor) -> float:
    """Mean s(D(G(z))) with both networks in training mode, by the statistics of these images; both stay unchanged."""
    G, D = loop.model.networks["generator"], loop.model.networks["discriminator"]
    kept = [{k: v.clone() for k, v in network.state_dict().items()} for network in (G, D)]
    score = float(torch.sigmoid(D(G(z))).mean())
    for network, state in zip((G, D), kept, strict=True):
        network.load_state_dict(state)
    return score


@check(
    "S3.6 D17",
    'In the first pass, "back-propagation is used to update the weights of the generator; the weights of the '
    'generator are not updated".',
    "The first pass updates the discriminator and leaves the generator as it is; the second one does the reverse. "
    "In the skeleton the generated images are not detached, so the first pass also computes a gradient of the "
    "generator, which is not used.",
    "does not hold",
)
def two_passes() -> tuple[dict[str, Any], bool]:
    torch.manual_seed(0)
    G = nn.Sequential(nn.Linear(100, 128), nn.LeakyReLU(0.2), nn.Linear(128, 784), nn.Tanh())
    D = nn.Sequential(nn.Linear(784, 784), nn.LeakyReLU(0.2), nn.Dropout(0.3), nn.Linear(784, 1))
    adam = {"g": torch.optim.Adam(G.parameters(), 2e-4), "d": torch.optim.Adam(D.parameters(), 2e-4)}
    real = torch.from_numpy(data.load("mnist").images[:100].reshape(100, -1)).float() / 127.5 - 1
    loss, one, zero = nn.BCEWithLogitsLoss(), torch.ones(100, 1), torch.zeros(100, 1)
    start = _hash(G), _hash(D)
    (loss(D(real), one) + loss(D(G(torch.randn(100, 100))), zero)).backward()
    adam["d"].step()
    stray = float(sum(p.grad.norm() for p in G.parameters() if p.grad is not None))
    middle = _hash(G), _hash(D)
    adam["g"].zero_grad()
    loss(D(G(torch.randn(100, 100))), one).backward()
    adam["g"].step()
    end = _hash(G), _hash(D)
    found = {
        "first_pass_changes_g": start[0] != middle[0],
        "first_pass_changes_d": start[1] != middle[1],
        "gradient_of_g_in_the_first_pass": stray,
        "second_pass_changes_g": middle[0] != end[0],
        "second_pass_changes_d": middle[1] != end[1],
    }
    right = not found["first_pass_changes_g"] and bool(found["first_pass_changes_d"]) and stray > 0
    return found, right and bool(found["second_pass_changes_g"]) and not found["second_pass_changes_d"]


def _hash(network: nn.Module) -> str:
    content = b"".join(p.detach().numpy().tobytes() for p in network.parameters())
    return hashlib.sha256(content).hexdigest()


@check(
    "S3.4 S3.7",
    "The generator affects only one of the two terms, and the discriminator is held fixed in the second pass.",
    "The gradient of the real images' term with respect to the generator is exactly 0; a step of the generator's "
    "optimiser leaves every weight of the discriminator unchanged.",
    "holds",
)
def one_term() -> tuple[dict[str, Any], bool]:
    torch.manual_seed(0)
    G, D = nn.Linear(8, 16), nn.Linear(16, 1)
    real, z, loss = torch.randn(4, 16), torch.randn(4, 8), nn.BCEWithLogitsLoss()
    terms = {"real": loss(D(real), torch.ones(4, 1)), "generated": loss(D(G(z)), torch.zeros(4, 1))}
    norms = {}
    for name, term in terms.items():
        found = torch.autograd.grad(term, list(G.parameters()), allow_unused=True, retain_graph=True)
        norms[f"gradient_of_g_in_the_term_of_{name}"] = float(sum(g.norm() for g in found if g is not None))
    before = _hash(D)
    optimiser = torch.optim.Adam(G.parameters(), 1e-3)
    loss(D(G(z)), torch.ones(4, 1)).backward()
    optimiser.step()
    held = before == _hash(D)
    right = norms["gradient_of_g_in_the_term_of_real"] == 0 and norms["gradient_of_g_in_the_term_of_generated"] > 0
    return {**norms, "second_pass_changes_d": not held}, right and held


@check(
    "D24",
    "Numbers and figures are the same whether batch normalisation uses a batch's statistics or the running ones.",
    "D's score of the same real images differs between the two modes, 0.46 in training mode and 0.00002 in "
    "evaluation mode after half an epoch of report S2's DCGAN: in training it sees real and generated images in "
    "separate batches, while its running statistics mix them.",
    "does not hold",
)
def two_modes() -> tuple[dict[str, Any], bool]:
    loop = GenlabLoop("s2-dcgan", REFERENCE)
    for _ in range(235):
        loop.step()
    recipe, dataset = prepare("s2-dcgan", REFERENCE)
    assert recipe.data.size == 32
    x = torch.from_numpy(dataset.images[:512]).float() / 127.5 - 1
    G, D = loop.model.networks["generator"], loop.model.networks["discriminator"]
    z = torch.randn(512, 100, generator=torch.Generator().manual_seed(0))
    found = {}
    with torch.no_grad():
        for mode in ("training", "evaluation"):
            G.train(mode == "training")
            fakes = G(z)
            G.eval()
            D.train(mode == "training")
            found[f"d_of_real_in_{mode}"] = float(torch.sigmoid(D(x)).mean())
            found[f"d_of_generated_in_{mode}"] = float(torch.sigmoid(D(fakes)).mean())
            found[f"mean_gray_of_samples_in_{mode}"] = float(fakes.mean())
    differs = abs(found["d_of_real_in_training"] - found["d_of_real_in_evaluation"]) > 0.02
    return found, differs


@check(
    "S2.45 D12",
    "The aim is a falling loss of one player, or a discriminator that is always right.",
    "If generated images are distributed like real ones, the optimal discriminator says 1/2 everywhere; D's two "
    "terms then add up to 2 ln 2 = 1.386, G's non-saturating loss is ln 2 = 0.693, and the value of the game is "
    "-log 4. G appears only in the term for generated images.",
    "does not hold",
)
def equilibrium() -> tuple[dict[str, Any], bool]:
    p = np.random.default_rng(0).dirichlet(np.ones(10))  # A distribution over ten images; q is what G draws.
    best = lambda q: p / (p + q)  # noqa: E731
    value = lambda d, q: float((p * np.log(d) + q * np.log(1 - d)).sum())  # noqa: E731
    other = np.random.default_rng(1).dirichlet(np.ones(10))
    found = {
        "best_d_where_equal": float(np.ptp(best(p)) + best(p).mean()),
        "value_where_equal": value(best(p), p),
        "value_of_another_generator": value(best(other), other),
        "loss_d": -value(best(p), p),
        "loss_g": float(-np.log(best(p)).mean()),
        "minus_log_4": -math.log(4),
    }
    right = math.isclose(found["value_where_equal"], -math.log(4)) and math.isclose(found["best_d_where_equal"], 0.5)
    return found, right and found["value_of_another_generator"] > -math.log(4)


@check(
    "S3.18 S3.20 S3.25 D19",
    "A step of stochastic gradient descent is an epoch, Adadelta limits the learning rate to a very small value, and "
    "Adam's betas restrict initial parameters.",
    "An epoch of 60,000 images is 600 steps with batches of 100. With a constant gradient Adagrad's step falls as 1 / "
    "sqrt(t): step 4,000 is half of step 1,000. Adadelta's, RMSprop's and Adam's do not fall, which is what Adadelta "
    "was made for. Adam's betas are the decay rates of averages of the gradient and of its square, both divided by 1 - "
    "beta^t at step t; its eps only keeps the division from failing.",
    "does not hold",
)
def optimisers() -> tuple[dict[str, Any], bool]:
    found: dict[str, Any] = {}
    made: dict[str, Callable[[list[nn.Parameter]], torch.optim.Optimizer]] = {
        "sgd": lambda p: torch.optim.SGD(p, 0.1),
        "adagrad": lambda p: torch.optim.Adagrad(p, 0.1),
        "adadelta": lambda p: torch.optim.Adadelta(p, 1.0),
        "rmsprop": lambda p: torch.optim.RMSprop(p, 0.1),
        "adam": lambda p: torch.optim.Adam(p, 0.1),
    }
    for name, make in made.items():
        p = nn.Parameter(torch.zeros(1, dtype=torch.float64))
        optimiser, steps = make([p]), {}
        for step in range(1, 4001):
            before, p.grad = p.item(), torch.ones(1, dtype=torch.float64)
            optimiser.step()
            steps[step] = abs(p.item() - before)
        found[f"{name}_step_4000_over_step_1000"] = steps[4000] / steps[1000]
    found["steps_of_an_epoch"] = 60_000 // 100
    found["adam_error"] = _adam_error()
    kept = all(found[f"{name}_step_4000_over_step_1000"] > 0.99 for name in ("sgd", "adadelta", "rmsprop", "adam"))
    return found, kept and found["adagrad_step_4000_over_step_1000"] < 0.51 and found["adam_error"] < 1e-12


def _adam_error() -> float:
    """Largest deviation of PyTorch's Adam from its formula after five steps (Kingma and Ba 2015)."""
    lr, b1, b2, eps = 0.01, 0.5, 0.999, 1e-8
    p = nn.Parameter(torch.ones(3, dtype=torch.float64))
    optimiser, m, v, x = torch.optim.Adam([p], lr, (b1, b2), eps), np.zeros(3), np.zeros(3), np.ones(3)
    for t in range(1, 6):
        g = np.array([1.0, -2.0, 0.5]) * t
        p.grad = torch.from_numpy(g.copy())
        optimiser.step()
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g**2
        x = x - lr * (m / (1 - b1**t)) / (np.sqrt(v / (1 - b2**t)) + eps)
    return float(np.abs(p.detach().numpy() - x).max())


@check(
    "S3.17 S3.19 S3.21 S3.22",
    "Gradient descent steps along the gradient of all images; Adagrad divides it by the root of the sum of its "
    "squares, RMSprop by that of their decaying mean; Adam takes decaying means of the gradient and of its square.",
    "PyTorch's steps agree with these formulas to the last bits (Duchi, Hazan and Singer 2011; Hinton 2012; Kingma and "
    "Ba 2015). Hinton's decay for RMSprop is 0.9, PyTorch's 0.99. Which of the seven draws the best images is asked by "
    "the study s3-optimisers.",
    "holds",
)
def optimiser_formulas() -> tuple[dict[str, Any], bool]:
    found = {f"{name}_error": _error(name) for name in ("gradient_descent", "adagrad", "rmsprop")}
    found["adam_error"] = _adam_error()
    found["rmsprop_decay_of_pytorch"] = torch.optim.RMSprop([nn.Parameter(torch.zeros(1))]).defaults["alpha"]
    return found, max(found[name] for name in found if name.endswith("_error")) < 1e-12


def _error(name: str) -> float:
    """Largest deviation of an optimiser of PyTorch from its formula after five steps."""
    lr, eps, decay = 0.01, 1e-8, 0.9
    p = nn.Parameter(torch.ones(3, dtype=torch.float64))
    optimiser = {
        "gradient_descent": lambda: torch.optim.SGD([p], lr),
        "adagrad": lambda: torch.optim.Adagrad([p], lr, eps=eps),
        "rmsprop": lambda: torch.optim.RMSprop([p], lr, decay, eps),
    }[name]()
    square, x = np.zeros(3), np.ones(3)
    for t in range(1, 6):
        g = np.array([1.0, -2.0, 0.5]) * t
        p.grad = torch.from_numpy(g.copy())
        optimiser.step()
        square = decay * square + (1 - decay) * g**2 if name == "rmsprop" else square + g**2
        x = x - lr * g / (1.0 if name == "gradient_descent" else np.sqrt(square) + eps)
    return float(np.abs(p.detach().numpy() - x).max())


@check(
    "S3.15 S3.16",
    "Dropout regularises a network, makes its units independent and its code sparse.",
    "The report does not say that the outputs have to be scaled: a unit that is dropped with probability p in "
    "training must have the same mean without dropout. PyTorch divides the kept units by 1 - p in training; the "
    "paper multiplied by 1 - p at test time. The study s3-training shows what dropout does to the images.",
    "cannot be decided here",
)
def dropout() -> tuple[dict[str, Any], bool]:
    torch.manual_seed(0)
    layer, x = nn.Dropout(0.3), torch.ones(1_000_000)
    found = {"mean_in_training": float(layer(x).mean()), "mean_in_evaluation": float(layer.eval()(x).mean())}
    return found, abs(found["mean_in_training"] - 1) < 0.005 and found["mean_in_evaluation"] == 1


@check(
    "S0.4 S1.1 S1.2 S3.27 S4.1 S4.2 S4.24",
    "The networks have as many parameters as the reports print.",
    "Counted in each recipe, together with the multiply-adds per image, which measure the work. S0's generator has "
    "38 times the parameters of its discriminator, S1's 3.4 % more, S3's 1.8 %, S4's 14 %, and yet S4's does less work "
    "than its discriminator.",
    "holds",
)
def sizes() -> tuple[dict[str, Any], bool]:
    found: dict[str, Any] = {}
    for name, networks in PRINTED.items():
        recipe, dataset = prepare(name, {"init_encoder_from": None} if name == "s4-vae-warm" else {})
        assembly = assemble(recipe, dataset, 0)
        examples = assembly.family.examples(assembly.recipe, len(dataset.class_names))
        for network in networks:
            module = assembly.networks[network]
            found[f"{name}_{network}"] = sum(p.numel() for p in module.parameters())
            inputs = examples[network][0]
            found[f"{name}_{network}_multiply_adds"] = describe(network, module, *inputs).multiply_adds
    right = all(found[f"{name}_{network}"] == n for name, each in PRINTED.items() for network, n in each.items())
    work = found["s4-dcgan_generator_multiply_adds"], found["s4-dcgan_discriminator_multiply_adds"]
    return found, right and work == (13_698_048, 17_791_744)


PRINTED = {
    "s0-dcgan": {"generator": 5_314_048, "discriminator": 138_624},
    "s1-mlp": {"generator": 1_510_032, "discriminator": 1_460_225},
    "s2-dcgan": {"generator": 369_600, "discriminator": 166_848},
    "s2-cdcgan": {"generator": 3_075_841, "discriminator": 2_642_561},
    "s3-mlp": {"generator": 1_486_352, "discriminator": 1_460_225},
    "s4-dcgan": {"generator": 791_776, "discriminator": 691_680},
    "s4-classifier": {"classifier": 397_510},
}


@check(
    "S4.22 D22",
    "A z of 2 is too small, so every z gives the same image until lambda is 0.25.",
    "In a linear VAE, a latent unit is active if the variance of the data along its direction exceeds c, the weight"
    " of the KL term relative to half the squared error (Lucas, Tucker, Grosse and Norouzi 2019). For a KL term "
    "averaged over z of 2, c is 196 lambda; the largest variance of Fashion-MNIST in [-1, 1], 79.2, lies between "
    "those of lambda 0.4 and 0.5, 78.4 and 98. For z of 64 c is 6.1 lambda, far below it.",
    "does not hold",
)
def linear_vae() -> tuple[dict[str, Any], bool]:
    x = data.load("fashion-mnist").images.reshape(-1, 784).astype(np.float64) / 127.5 - 1
    variances = np.linalg.eigvalsh(np.cov(x, rowvar=False))[::-1]
    found: dict[str, Any] = {f"variance_{k + 1}": float(variances[k]) for k in range(3)}
    for lam in (1, 0.7, 0.5, 0.4, 0.3, 0.25, 0.1):
        for z in (2, 64):
            found[f"active_of_z{z}_averaged_lambda_{lam}"] = int((variances[:z] > 392 * lam / z).sum())
        found[f"active_of_z2_summed_lambda_{lam}"] = int((variances[:2] > 392 * lam).sum())
    found["active_of_z2_bound"] = int((variances[:2] > 1).sum())
    right = found["active_of_z2_averaged_lambda_1"] == 0 and found["active_of_z2_bound"] == 2
    return found, right and found["active_of_z64_averaged_lambda_1"] > 0


@check(
    "S2.33",
    "A z of 1,000 gives the generator many more parameters.",
    "Six times as many, 2,212,800 instead of 369,600; whether that makes it overfit is a separate claim. Only the "
    "first layer of the generator changes: 100 -> 128 maps of 4 x 4 are 204,800 weights, 1,000 -> 128 are "
    "2,048,000.",
    "holds",
)
def first_layer() -> tuple[dict[str, Any], bool]:
    found = {}
    for latent in (10, 100, 1000):
        recipe, dataset = prepare("s2-dcgan", {"networks.latent": latent})
        module = assemble(recipe, dataset, 0).networks["generator"]
        found[f"first_layer_of_z_{latent}"] = next(p.numel() for p in module.parameters())
        found[f"others_of_z_{latent}"] = sum(p.numel() for p in module.parameters()) - next(
            p.numel() for p in module.parameters()
        )
    return found, found["first_layer_of_z_1000"] == 2_048_000 and found["others_of_z_10"] == found["others_of_z_1000"]


@check(
    "S0.8 S4.27",
    "A training takes a given time, two and a half hours in report S0, and makes a given number of batches per second.",
    "It takes the steps of its recipe times the time per step, which depends on the machine and the program: on two"
    " cores of an AMD EPYC S0's 50 epochs take 2.0 hours by the report's own loop and 1.0 by genlab's. An epoch of "
    "60,000 images is 938 steps at a batch of 64, 469 at 128, 600 at 100, 235 at 256.",
    "cannot be decided here",
)
def training_time() -> tuple[dict[str, Any], bool]:
    record = json.loads((BENCHMARKS / "throughput.json").read_text("utf-8"))
    found: dict[str, Any] = {"processor": f"{record['machine']['cores']} cores of {record['machine']['processor']}"}
    for system in record["systems"]:
        if system["system"] in ("s0-dcgan", "s4-classifier"):
            recipe, dataset = prepare(system["system"], {})
            steps = Schedule.of(recipe, len(dataset)).total_steps
            name = system["system"].replace("-", "_")
            found[f"{name}_steps"] = steps
            found[f"{name}_hours_as_the_report"] = steps * system["report"]["milliseconds"] / 3.6e6
            found[f"{name}_hours"] = steps * system["milliseconds"] / 3.6e6
    found |= {f"steps_of_an_epoch_at_batch_{batch}": -(-60_000 // batch) for batch in (64, 100, 128, 256)}
    return found, found["s0_dcgan_steps"] == 46_900 and found["s0_dcgan_hours"] < found["s0_dcgan_hours_as_the_report"]


def main() -> None:
    chosen, found = sys.argv[1:] or list(CHECKS), {}
    if wrong := [name for name in chosen if name not in CHECKS]:
        raise SystemExit(unknown("check", wrong[0], CHECKS, most=len(CHECKS)))
    if RECORD.exists():
        found = json.loads(RECORD.read_text("utf-8"))["checks"]
    for name in chosen:
        each, began = CHECKS[name], time.monotonic()
        numbers, right = each.run()
        print(f"{name}: {time.monotonic() - began:.0f} s, {json.dumps(numbers)}", flush=True)
        if not right:
            raise SystemExit(f"{name}: the numbers no longer bear out the answer")
        found[name] = {
            "items": each.items,
            "says": each.says,
            "right": each.right,
            "answer": each.answer,
            "numbers": {key: float(f"{v:.5g}") if isinstance(v, float) else v for key, v in numbers.items()},
        }
    machine = provenance.machine_of(genlab.load_recipe("s2-dcgan", REFERENCE))
    record = {
        "machine": machine,
        "versions": provenance.versions(),
        "checks": {name: found[name] for name in CHECKS if name in found},
    }
    RECORD.write_text(json.dumps(record, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
