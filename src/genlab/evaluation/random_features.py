"""Features for images that no judge was trained for: those of a fixed network that never learned anything.

A random convolutional network preserves what is where in an image, and how much of it; distances in its features fall
as images come closer to real ones (Naeem et al. 2020, who use a random VGG16 with 64 features). It cannot tell classes
apart, and does not know which differences matter: strokes that make a 4 a 9 weigh no more than any others.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache

import numpy as np
import torch

from genlab.evaluation.judge import Judge
from genlab.families.nets.classifier import VggClassifier

NAME = "random network"
WIDTHS, FEATURES, SEED = (32, 64, 64), 64, 0


@lru_cache(maxsize=4)
def random_features(channels: int, size: int) -> Judge:
    """The same network for all images of one form: normal weights with variance 2 / inputs (He et al. 2015), drawn with
    seed 0 by numpy, whose stream is the same on every machine."""
    network = VggClassifier(1, channels, size, WIDTHS, FEATURES, normalisation="none").eval()
    stream, digest = np.random.default_rng(SEED), hashlib.sha256()
    with torch.no_grad():
        for parameter in network.parameters():
            fan_in = parameter[0].numel()
            drawn = stream.standard_normal(tuple(parameter.shape), np.float32) * np.float32((2 / fan_in) ** 0.5)
            parameter.copy_(torch.from_numpy(drawn) if parameter.dim() > 1 else torch.zeros_like(parameter))
            digest.update(drawn.tobytes())
    return Judge(NAME, digest.hexdigest(), (), size, channels, network)
