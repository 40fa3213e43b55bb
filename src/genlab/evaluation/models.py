"""What is measured of a run beyond its images: its discriminator, its encoder, its latent interpolation, its style."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from genlab.data import Dataset
from genlab.data.dataset import Images
from genlab.engine.device import Engine
from genlab.engine.randomness import Keyed
from genlab.engine.stages import stage
from genlab.evaluation import metrics
from genlab.evaluation.image_set import even_rows, few_of
from genlab.evaluation.judge import Judge
from genlab.families import latent
from genlab.families.base import Bounding
from genlab.recipe import Recipe

PATHS, PATH_STEPS = 100, 16
SCORED = 10_000
"""Images of each kind that a discriminator scores."""
STYLES, MOST_CLASSES = 200, 10
"""Number of z that a model's style is measured with, and maximum number of classes that each is drawn as."""
LIKELIHOOD = {"images": 500, "samples": 64}
"""Numbers for the importance-weighted bound."""


def discriminator(
    held_out: NDArray[np.float64], trained_on: NDArray[np.float64], fake: NDArray[np.float64], has_border: bool = True
) -> dict[str, Any]:
    """What D can tell, from its logits of held-out real, training and fresh generated images.

    - ranking: chance that a held-out image scores higher than a generated one; meaningful for every loss.
    - accuracy: share of images on their side of 0, real and generated weighted equally; 0.5 is guessing. It says
      nothing for a loss other than a cross-entropy (`has_border`): relativistic pairing compares, a critic may drift.
    - calibration_error: calibration error of sigma(logit), read as the probability of being real.
    - gap: accuracy on training minus accuracy on held-out real images: what D has memorised.
    """
    right = {"held_out": held_out > 0, "trained_on": trained_on > 0, "fake": fake <= 0}
    share = {name: float(values.mean()) for name, values in right.items()}
    n = min(len(held_out), len(fake))
    logits = np.concatenate([held_out[even_rows(len(held_out), n)], fake[even_rows(len(fake), n)]])
    probability = 1 / (1 + np.exp(-np.clip(logits, -500, 500)))
    told = probability > 0.5
    return {
        "has_border": has_border,
        "accuracy": (share["held_out"] + share["fake"]) / 2,
        "accuracy_on_held_out_real": share["held_out"],
        "accuracy_on_training_real": share["trained_on"],
        "accuracy_on_generated": share["fake"],
        "ranking": metrics.ranking(held_out, fake),
        "ranking_of_training_over_held_out": metrics.ranking(trained_on, held_out),
        "gap": share["trained_on"] - share["held_out"],
        "mean_probability_of_held_out_real": float(probability[:n].mean()),
        "mean_probability_of_generated": float(probability[n:].mean()),
        "calibration_error": metrics.calibration_error(
            np.where(told, probability, 1 - probability), told == (np.arange(2 * n) < n)
        ),
        "n": n,
    }


def smoothness(
    generate: Callable[[Tensor, Tensor | None], Images],
    ends: Tensor,
    labels: Tensor | None,
    judge: Judge,
    real: NDArray[np.float32],
) -> dict[str, Any] | None:
    """How even latent interpolation is, in the judge's features; None if no two real images differ.

    Args:
        generate: (z, labels) -> uint8 images in the judge's form.
        ends: z of both ends, (2, paths, latent), joined by straight paths.
        labels: class along each path, (paths,).
        real: features of real images, in an order in which neighbours are of any two classes.

    - path_length_ratio: mean length of the paths over the mean distance between two real images. Near 1: a path passes
      through as much as lies between two real images; far above: it wanders; near 0: all z give one image.
    - roughest_step: mean share of the longest of the 15 steps: 1/15 is even, 1 a jump.
    """
    pairs = real[: len(real) // 2 * 2].astype(np.float64).reshape(-1, 2, real.shape[1])
    between = np.linalg.norm(pairs[:, 0] - pairs[:, 1], axis=1)
    if not between.any():
        return None
    apart = between.mean()
    steps = latent.linear_path(ends[0], ends[1], PATH_STEPS)
    told = None if labels is None else labels.repeat_interleave(PATH_STEPS)
    features = judge(generate(steps.flatten(0, 1), told))[0].reshape(ends.shape[1], PATH_STEPS, -1)
    lengths = metrics.path_length(features)
    ratio = metrics.bootstrap(lengths / apart)
    rough = metrics.bootstrap(metrics.roughest_step(features))
    return {
        "path_length_ratio": ratio.value,
        "path_length_ratio_interval": ratio.interval,
        "roughest_step": rough.value,
        "even_step": 1 / (PATH_STEPS - 1),
        "paths": len(lengths),
    }


def style(generate: Callable[[Tensor, Tensor | None], Images], z: Tensor, classes: Sequence[int]) -> dict[str, Any]:
    """Whether z is the style: each z is drawn as each of these classes, or as `MOST_CLASSES` of them, evenly spread.

    - slant, stroke_width: share of the variance within classes that z explains (`metrics.share_of_columns`), from
      chance to 1, where images of one z agree in all classes; None if no class varies.
    - chance: mean share for shuffled columns, 1 / classes.
    """
    shown = np.asarray(classes)[even_rows(len(classes), MOST_CLASSES)]
    labels = torch.from_numpy(shown).repeat_interleave(len(z))
    images = generate(z.repeat(len(shown), 1), labels)
    measured = {"slant": metrics.slant(images), "stroke_width": metrics.stroke_width(images)}
    shares = {name: metrics.share_of_columns(each.reshape(len(shown), -1)) for name, each in measured.items()}
    return {**shares, "chance": 1 / len(shown), "z": len(z), "classes": len(shown)}


def bound(
    recipe: Recipe,
    bounding: Bounding,
    networks: Mapping[str, nn.Module],
    machine: Engine,
    test: Dataset,
    seed: int,
) -> dict[str, Any]:
    """The evidence bound on test images, in nats per image: its terms, active units, and a lower bound on log p(x).

    The constant of a density is included in the reconstruction too, so that all numbers refer to one density.
    """
    keyed = Keyed(seed)
    images = torch.from_numpy(test.images)
    labels = None if test.labels is None else torch.from_numpy(test.labels)
    found = bounding.bound(recipe, networks, machine, keyed, "evaluation", images, labels)
    reconstruction = found["reconstruction_sum"] + bounding.constant(recipe, images[0].numel())
    few = few_of(test, LIKELIHOOD["images"])
    few_labels = None if few.labels is None else torch.from_numpy(few.labels)
    with stage("bounding the likelihood", len(few)):
        likelihood = bounding.log_likelihood(
            recipe, networks, machine, keyed, torch.from_numpy(few.images), few_labels, LIKELIHOOD["samples"]
        )
    iwae = metrics.bootstrap(likelihood.double().numpy())
    return {
        "negative_elbo": reconstruction + found["kl_sum"],
        "reconstruction": reconstruction,
        "kl": found["kl_sum"],
        "active_units": found["active_units"],
        "negative_log_likelihood": -iwae.value,
        "negative_log_likelihood_interval": None if iwae.interval is None else (-iwae.interval[1], -iwae.interval[0]),
        "importance_samples": LIKELIHOOD["samples"],
        "split": test.split,
        "n": len(test),
        "n_likelihood": len(few),
        **bounding.facts(recipe),
    }
