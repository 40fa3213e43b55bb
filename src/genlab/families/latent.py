"""Paths through latent space: pure functions of z, which is standard normal in every dimension."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor


def linear_path(start: Tensor, end: Tensor, steps: int) -> Tensor:
    """(1 - t) start + t end at `steps` values of t from 0 to 1: two (..., latent) -> (..., steps, latent).

    The midpoint of two independent normal z has half their squared length; few z are drawn there.
    """
    t = torch.linspace(0, 1, steps)[:, None]
    return (1 - t) * start[..., None, :] + t * end[..., None, :]


def spherical_path(start: Tensor, end: Tensor, steps: int) -> Tensor:
    """sin((1 - t) w)/sin w start + sin(t w)/sin w end, with w their angle (White 2016); shapes as in `linear_path`.

    If both z have the same length, every point between them has it too.
    """
    cosine = torch.nn.functional.cosine_similarity(start, end, dim=-1).clamp(-1, 1)[..., None, None]
    angle = cosine.acos()
    t = torch.linspace(0, 1, steps)[:, None]
    sine = angle.sin()
    near = sine < 1e-4  # parallel: the straight line is the limit
    safe = sine.where(~near, 1.0)
    curved = ((1 - t) * angle).sin() / safe * start[..., None, :] + (t * angle).sin() / safe * end[..., None, :]
    return torch.where(near, linear_path(start, end, steps), curved)


Path = Callable[[Tensor, Tensor, int], Tensor]
PATHS: dict[str, Path] = {"linear": linear_path, "spherical": spherical_path}


def truncated(z: Tensor, limit: float) -> Tensor:
    """Map standard normal z to the normal distribution truncated to [-limit, limit] (Brock et al. 2019, truncation).

    The map keeps quantiles, so that equal seeds give the same images moved towards the middle: x satisfies
    erf(x / sqrt 2) = erf(z / sqrt 2) erf(limit / sqrt 2).
    """
    share = torch.erf(z.double() / math.sqrt(2)) * math.erf(limit / math.sqrt(2))
    return (torch.erfinv(share) * math.sqrt(2)).clamp(-limit, limit).to(z.dtype)


def traversal(z: Tensor, units: list[int], span: float, steps: int) -> Tensor:
    """Copies of z (latent,) in which one unit at a time moves from -span to span: (units, steps, latent)."""
    moved = z.repeat(len(units), steps, 1)
    for row, unit in enumerate(units):
        moved[row, :, unit] = torch.linspace(-span, span, steps)
    return moved


def plane(steps: int) -> Tensor:
    """Grid over a two-dimensional latent space whose cells are equally probable: (steps * steps, 2).

    Coordinates are the normal quantiles at (k + 1/2) / steps (Kingma and Welling 2014, figure 4); rows run from the
    largest second coordinate down, columns from the smallest first coordinate up, as on a map.
    """
    quantiles = torch.special.ndtri((torch.arange(steps, dtype=torch.float64) + 0.5) / steps).float()
    up, right = torch.meshgrid(quantiles.flip(0), quantiles, indexing="ij")
    return torch.stack([right.flatten(), up.flatten()], dim=1)
