"""A map of latent space as one HTML file: on a phone, a finger moves through the images, without a studio."""

from __future__ import annotations

import base64
import html
import re
from importlib import resources

import torch

from genlab.errors import UsageError
from genlab.families import latent
from genlab.studio.explore import Explorer, png_of

SIDE, ACROSS, MOST_CLASSES = 28, 36, 20
"""Positions of a map of two units, in each direction; positions on a path through z; most classes, one per row."""
STOPS = 6
"""Number of z that a conditional model's path passes through before it returns to the first."""
LARGEST = 1_000_000
"""Most bytes of a handout."""


def handout(opened: Explorer) -> bytes:
    """The handout of a run: for a conditional model, its classes along a path through z; else, a map of the plane of z.

    Raises:
        UsageError: the model is unconditional and its z does not have two units, or the images are too large.
    """
    sampler = opened.sampler
    if sampler is None or (sampler.size != 2 and not opened.recipe.conditional):
        raise UsageError("a hand-out needs a model with a two-dimensional z, or a conditional one")
    known = opened.run.provenance["data"]["class_names"]
    names = known[:MOST_CLASSES]
    if opened.recipe.conditional:
        stops = torch.cat([sampler.one("sample", k % STOPS) for k in range(STOPS + 1)])
        ways = latent.linear_path(stops[:-1], stops[1:], ACROSS // STOPS + 1)
        way = ways[:, :-1].flatten(0, 1)
        images = sampler(way.repeat(len(names), 1), torch.arange(len(names)).repeat_interleave(len(way)))
        columns, rows = len(way), len(names)
        words = "Left and right: another z. Up and down: another class."
        if len(known) > len(names):
            words += f" Shown are the first {len(names)} of {len(known):,} classes."
    else:
        images, columns, rows = sampler(latent.plane(SIDE)), SIDE, SIDE
        words = "The two numbers of z: left and right, up and down."
    picture = base64.b64encode(png_of(images, columns, level=9)).decode()
    page = (resources.files("genlab.studio") / "handout.html").read_text("utf-8")
    told = {
        "TITLE": html.escape(opened.run.path.name),
        "WORDS": words,
        "DRAWN": html.escape(sampler.words),
        "NAMES": html.escape("\n".join(names) if opened.recipe.conditional else ""),
        "COLUMNS": str(columns),
        "ROWS": str(rows),
        "SIDE": str(images.shape[3]),
        "PICTURE": picture,
    }
    # In one pass: text that was inserted is not searched again.
    content = re.sub(rf"%({'|'.join(told)})%", lambda found: told[found[1]], page).encode()
    if len(content) > LARGEST:
        raise UsageError(f"its images are too large for a hand-out: {len(content):,} bytes, at most {LARGEST:,}")
    return content
