"""Images from anywhere, to be measured: a folder of pictures, or an npz file of arrays."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from genlab.data.dataset import Images, Labels
from genlab.data.npz import as_images, read_arrays
from genlab.errors import DataError

ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".gif", ".tif", ".tiff")
MOST = 1_000_000


def read_images(path: str | Path, class_names: Sequence[str]) -> tuple[Images, Labels | None]:
    """The images at `path`, uint8 (N, C, H, W), and the class that each was meant as, where that is said.

    A folder: all pictures in it, in order of their names; where they lie in folders named as classes (by name or
    number), those are what was meant. An npz file: `images`, uint8 or float in [0, 1], N x H x W, N x C x H x W or
    N x H x W x C, and, where wanted, `labels`, integers (N,): what `genlab sample -o FILE.npz` writes.

    Raises:
        DataError: nothing there, or not such images; names the file or array.
    """
    path = Path(path)
    images, labels = _folder(path, class_names) if path.is_dir() else _arrays(path)
    if labels is not None and class_names:
        bad = np.flatnonzero((labels < 0) | (labels >= len(class_names)))
        if len(bad):
            raise DataError(f"{path}: label {labels[bad[0]]} of image {bad[0]}; allowed: 0 .. {len(class_names) - 1}")
    return images, labels if class_names else None


def from_array(x: NDArray[Any], where: str) -> Images:
    """Images of an array that is uint8, or float in [0, 1]: N x H x W, N x C x H x W or N x H x W x C -> uint8
    (N, C, H, W).

    Raises:
        DataError: not such an array; begins with `where`.
    """
    if x.dtype.kind == "f":
        bad = np.flatnonzero(~((x >= 0) & (x <= 1)).reshape(len(x), -1).all(1)) if x.size else np.array([], int)
        if len(bad):
            high = x[bad[0]][np.isfinite(x[bad[0]])].max(initial=0)
            way = "from 0 .. 255 take x / 255" if high > 2 else "from [-1, 1] take (x + 1) / 2"
            raise DataError(f"{where}[{bad[0]}] has values outside of [0, 1] or NaN; {way}")
        x = np.rint(x.astype(np.float64) * 255).astype(np.uint8)
    return as_images(x, where, [])


def _arrays(path: Path) -> tuple[Images, Labels | None]:
    if path.exists() and path.suffix.lower() != ".npz":
        raise DataError(f"{path}: a folder of pictures or an .npz file is needed")
    if not path.exists():
        raise DataError(f"{path}: no such run, folder or file")
    arrays = read_arrays(path, ("images", "labels"))
    if "images" not in arrays:
        raise DataError(
            f"{path}: no array `images`; expected images (uint8, or float in [0, 1]) and, if wanted, labels"
        )
    y, images = arrays.get("labels"), from_array(arrays["images"], f"{path}: images")
    if y is not None and (y.shape != (len(images),) or y.dtype.kind not in "iu"):
        raise DataError(f"{path}: labels are {y.dtype} of shape {y.shape}; expected integers ({len(images)},)")
    return images, None if y is None else y.astype(np.int64)


def _folder(path: Path, class_names: Sequence[str]) -> tuple[Images, Labels | None]:
    files = sorted(file for file in path.rglob("*") if file.suffix.lower() in ENDINGS and file.is_file())
    if not files:
        raise DataError(f"{path}: no pictures in it ({', '.join(ENDINGS)})")
    if len(files) > MOST:
        raise DataError(f"{path}: {len(files):,} pictures; at most {MOST:,}")
    pictures = [_picture(file) for file in files]
    side = pictures[0].shape[1]
    for file, picture in zip(files, pictures, strict=True):
        if picture.shape[1:] != (side, side):
            raise DataError(
                f"{file}: {picture.shape[2]} x {picture.shape[1]} pixels; expected squares of one size, as "
                f"{files[0].name}: {side} (a grid of images is one picture; save each by itself)"
            )
    channels = max(len(picture) for picture in pictures)
    images = np.stack([p if len(p) == channels else p.repeat(channels, axis=0) for p in pictures])
    return images, _meant(path, files, class_names)


def _picture(file: Path) -> Images:
    """One picture, (C, H, W), C 1 for gray and 3 for colour."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(file) as image:
                if image.mode.startswith(("I", "F")):
                    raise DataError(f"{file}: more than 8 bits per channel; save it with 8")
                drawn = image.convert("RGBA")
    except Image.DecompressionBombWarning:
        raise DataError(f"{file}: too many pixels for a picture; it is not read") from None
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError) as error:
        reason = getattr(error, "strerror", None)  # What the system says; of what Pillow says, nothing helps.
        raise DataError(f"{file}: {reason or 'damaged, or no picture'}") from None
    array = np.asarray(drawn, np.uint8).transpose(2, 0, 1)
    if array[3].min() < 255:
        raise DataError(f"{file}: transparent pixels have no value; save it without transparency")
    gray = (array[0] == array[1]).all() and (array[1] == array[2]).all()
    return np.ascontiguousarray(array[:1] if gray else array[:3])


def _meant(path: Path, files: Sequence[Path], class_names: Sequence[str]) -> Labels | None:
    """The class of each picture by the name of its folder; None unless all of them lie in folders of classes."""
    numbers: dict[str, int] = {str(k): k for k in range(len(class_names))}
    numbers |= {name: k for k, name in enumerate(class_names)}
    folders: list[Any] = [file.parent.name if file.parent != path else None for file in files]
    if not all(folder in numbers for folder in folders):
        return None
    return np.array([numbers[folder] for folder in folders], np.int64)
