"""How images from elsewhere were resized from the dataset's size: inferred from the images, or refused.

The distance between real and generated images must not decide this, or a metric would be flattered. Two things do:

- The place and scale of what is drawn, once fine detail is smoothed away (a blurry image must not look interpolated):
  is a smoothed image nearer to some real image that was padded, or to one that was interpolated?
- Enlarged images hold no more detail than the small ones: interpolation leaves a residual of rounding alone, a sharp
  image with a border a large one. This works for few images, or one.

The interpolation kernel is inferred where it matters: for images that were made smaller, from their spectrum, which
must agree with that of real images under one kernel and no other. For enlarged images only repeated pixels are
distinguished from bilinear interpolation; bicubic and Lanczos images measured as bilinear come out at 1.2 to 1.3 times
the distance of real images.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from genlab.data import Dataset
from genlab.data.augmentation import blurred
from genlab.data.dataset import Images
from genlab.data.preprocessing import SHRINKING, Preprocessing, Resize, resampled
from genlab.errors import UsageError
from genlab.evaluation import metrics
from genlab.evaluation.image_set import averaged, drawn_rows

Floats = NDArray[np.float64]
LOOKED_AT, REAL = 256, 2000
"""Images that are examined, and real images that they are compared with."""
LEAST = 4
"""Pixels per side below which nothing can be inferred."""
COARSE = 32
"""Pixels per side at which place and scale are compared."""
SURE = 4.0
"""Standard errors by which one geometry must beat the other."""
SPREAD = 0.2
"""Lower bound for the spread over images of the log ratio of both distances; real images have 0.1 to 0.4."""
EXACT = 0.3
"""Gray levels below which a residual counts as rounding, which leaves 0.05 to 0.25."""
ALIKE, SAME, APART = 0.1, 0.03, 2.0
"""A kernel is accepted if its spectrum is within 10 % (root mean square over rings), and that of each other kernel
either twice as far or the same within 3 %."""
PIXELS = 2e8
"""Maximum number of pixels held at once: of very large images, fewer are examined."""


def way_of(images: Images, real: Dataset, resize: Resize | None = None) -> Preprocessing:
    """Preprocessing from the dataset's form to that of these images: as `resize` says, or as inferred from the images.

    Args:
        real: training images.

    Raises:
        UsageError: it cannot be inferred, or `resize` is impossible; the message says what may be given.
    """
    size, channels = images.shape[2], images.shape[1]
    if size == real.side:
        return Preprocessing(size, channels, "none")
    if resize is None:
        return Preprocessing(size, channels, _guess(_some(images, REAL, size), real), guessed=True)
    if (resize in ("pad", "edge") and size < real.side) or (resize == "crop" and size > real.side):
        done = "cropped" if resize == "crop" else "padded"
        raise UsageError(f"images of {size} pixels cannot have been {done} from {real.side}; use --resize bilinear")
    return Preprocessing(size, channels, resize)


def _guess(images: Images, real: Dataset) -> Resize:
    size, side = images.shape[2], real.side
    if min(size, side) < LEAST:
        raise _untold(size, side, "they are too small")
    x = images[drawn_rows(len(images), LOOKED_AT)][: max(1, int(PIXELS / 8 / size**2))]
    x = np.unique(x, axis=0)  # Repetitions of an image say no more than one.
    known = _some(real.images, REAL, max(size, side))
    whole: Resize = "pad" if size > side else "crop"
    kept, scaled = (resampled(known, size, way) for way in (whole, "bilinear"))
    ratio = np.log((_apart(x, kept) + 1e-9) / (_apart(x, scaled) + 1e-9))
    lead = ratio.mean() * np.sqrt(len(ratio)) / max(float(ratio.std()), SPREAD)
    if abs(lead) < SURE and not (size > side and _agrees(lead, x, known)):
        raise _untold(size, side, f"they may have been {'padded' if size > side else 'cropped'} or interpolated")
    if lead < 0:
        return whole
    if size > side:
        return "nearest" if _residual(x, side, "nearest").max() < EXACT else "bilinear"
    return _kernel(images, known)


def _agrees(lead: float, images: Images, known: Images) -> bool:
    """Whether the detail in enlarged images confirms what place and scale say less surely: padded (`lead` below 0) if
    all images have more detail than interpolation leaves, inside a black border; interpolated if all have less.

    The comparison is with real images, padded, and interpolated by the kernel that leaves most. Blurry images have
    little detail anyway: for them place and scale must lead by a standard error, unless the residual is only rounding.
    """
    size, side = images.shape[2], known.shape[2]
    padded, interpolated = (np.median(_least(resampled(known[:200], size, way), side)) for way in ("pad", "lanczos"))
    between = np.sqrt(padded * interpolated)
    found = _least(images, side)
    if lead > 0:
        return bool((found < between).all() and (lead > 1 or found.max() < EXACT))
    before = (size - side) // 2
    border = np.ones((size, size), bool)
    border[before : before + side, before : before + side] = False
    return bool((found > between).all() and not images[:, :, border].any())


def _apart(images: Images, known: Images) -> Floats:
    """Distance from each image to the nearest known one, both smoothed."""
    return metrics.nearest(_smooth(images), _smooth(known))[0]


def _smooth(images: Images) -> NDArray[np.float32]:
    coarse = averaged(images, COARSE)
    side = round(coarse.shape[1] ** 0.5)
    x = torch.from_numpy(coarse.reshape(-1, 1, side, side))
    return blurred(x, torch.ones(len(x))).flatten(1).numpy()


def _least(images: Images, side: int) -> Floats:
    kernels: tuple[Resize, ...] = ("bilinear", "lanczos", "nearest")
    found: Floats = np.min([_residual(images, side, kernel) for kernel in kernels], axis=0)
    return found


def _residual(images: Images, side: int, kernel: Resize) -> Floats:
    """What no enlarged image of `side` pixels can hold: root mean square over pixels, in gray levels, (N,).

    Interpolation is linear, x = A y A^T; the residual is what a projection of x onto the range of A on both sides
    leaves.
    """
    method, size = Image.Resampling[kernel.upper()], (images.shape[2], 1)
    rows = [np.asarray(Image.fromarray(unit[None]).resize(size, method)) for unit in np.eye(side, dtype=np.float32)]
    basis = np.linalg.qr(np.concatenate(rows).T.astype(np.float64))[0]
    x = images[:, 0].astype(np.float64)
    projector = basis @ basis.T
    left = x - projector @ x @ projector
    found: Floats = np.sqrt(np.square(left).mean((1, 2)))
    return found


def _kernel(images: Images, known: Images) -> Resize:
    """Kernel that made images smaller, inferred from their mean power on each ring of frequencies."""
    size, side = images.shape[2], known.shape[2]
    own, under = _rings(images), {kernel: _rings(resampled(known, size, kernel)) for kernel in SHRINKING}
    far = {kernel: _rms(own - rings) for kernel, rings in under.items()}
    best = min(far, key=lambda kernel: far[kernel])
    rivals = [kernel for kernel in SHRINKING if _rms(under[kernel] - under[best]) > SAME]
    if far[best] > ALIKE or any(far[kernel] < APART * far[best] for kernel in rivals):
        raise _untold(size, side, "they were interpolated, but with an unknown kernel")
    return best


def _rings(images: Images) -> Floats:
    """Log of the mean power on each ring except that of frequency 0, minus its own mean, which is brightness."""
    found: Floats = np.log(metrics.power_spectrum(images / np.float32(255)).mean(0)[1:] + 1e-12)
    level: Floats = found - found.mean()
    return level


def _rms(values: Floats) -> float:
    return float(np.sqrt(np.square(values).mean()))


def _some(images: Images, most: int, size: int) -> Images:
    """At most `most` of the images, or as many as `PIXELS` allows at `size` pixels per side; in gray."""
    x = images[drawn_rows(len(images), min(most, max(1, int(PIXELS / size**2))))]
    return x if x.shape[1] == 1 else np.asarray(np.rint(x.mean(1, keepdims=True)), np.uint8)


def _untold(size: int, side: int, what: str) -> UsageError:
    ways = ("pad", "edge", "bilinear", "bicubic", "lanczos", "nearest") if size > side else ("crop", *SHRINKING)
    return UsageError(
        f"cannot tell how images of {side} pixels became {size}: {what}; say how with --resize ({', '.join(ways)})"
    )
