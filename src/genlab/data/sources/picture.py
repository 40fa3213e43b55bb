"""One encoded picture as pixels: its bit depth, palette, transparency, rotation and frames are all reported.

Pillow decodes. What a decoder would do silently (clip 16 bits to 8, drop transparency, ignore the camera's orientation,
take any frame) is made explicit here: the pixels keep their depth and their alpha, and `remarks` say what the file was.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

ENDINGS = (
    ".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".dib", ".gif", ".tif", ".tiff", ".webp", ".pgm", ".ppm", ".pbm",
    ".pnm", ".tga", ".avif", ".jp2", ".qoi",
)  # fmt: skip
"""Extensions of files that are read as pictures; their format is told by their content."""
REFUSED = (
    ".svg", ".eps", ".ps", ".pdf", ".ai", ".psd", ".xcf", ".heic", ".heif", ".raw", ".cr2", ".nef", ".dng", ".ico",
)  # fmt: skip
"""Extensions of pictures that are not read: drawings without pixels, formats of one program or camera."""
FORMATS = ("PNG", "JPEG", "BMP", "DIB", "GIF", "TIFF", "WEBP", "PPM", "TGA", "AVIF", "JPEG2000", "QOI")
"""Formats that Pillow may try; others start programs (EPS), or are not pictures."""
MOST_PIXELS = 64_000_000
"""A picture with more pixels is not decoded: it would take hundreds of megabytes."""
BITS_16 = 65_535
CUT = "16 bits per channel, of which the upper 8 are read"
"""A remark: this is how Pillow decodes colour, and gray with transparency."""


def is_picture(name: str) -> bool:
    """Whether a file's name says that it is a picture, whether or not its kind is read."""
    return PurePosixPath(name).suffix.lower() in ENDINGS + REFUSED


class Unreadable(Exception):
    """A picture that cannot be read; the message says why, without the picture's name."""


class OutOfRange(Unreadable):
    """A picture with values outside of the given range: the range is wrong, not the picture."""


@dataclass(frozen=True, eq=False)
class Picture:
    """The picture in a file.

    Attributes:
        pixels: (C, H, W), C 1 for gray and 3 for colour; uint8, or another type if the file has more bits.
        alpha: uint8 (H, W), 255 where the picture is opaque; None if it is opaque everywhere.
        remarks: what the file was: "palette", "first of 12 frames", ...
    """

    pixels: NDArray[Any]
    alpha: NDArray[np.uint8] | None = None
    remarks: tuple[str, ...] = ()

    @property
    def size(self) -> tuple[int, int]:
        """Width and height, pixels."""
        return self.pixels.shape[2], self.pixels.shape[1]

    @property
    def colourful(self) -> bool:
        """Whether any pixel is not gray."""
        x = self.pixels
        return len(x) == 3 and not ((x[0] == x[1]).all() and (x[1] == x[2]).all())


@dataclass(frozen=True)
class Head:
    """What the first bytes of a file say, before anything is decoded.

    Attributes:
        size: width and height of the upright picture, pixels.
        gray: whether its pixels cannot have a colour.
        bits: bits per pixel and channel.
    """

    size: tuple[int, int]
    gray: bool
    bits: int


def sizes(heads: Iterable[tuple[int, Head | Unreadable]]) -> Counter[tuple[int, int]]:
    """Number of pictures of each (width, height); unreadable ones are left out."""
    return Counter(head.size for _, head in heads if isinstance(head, Head))


def size_words(found: Counter[tuple[int, int]], most: int = 4) -> str:
    """>>> size_words(Counter({(28, 28): 12, (40, 30): 3}))
    '12 of 28 x 28, 3 of 40 x 30'
    """
    most = most + 1 if len(found) == most + 1 else most
    shown = [f"{n:,} of {w} x {h}" for (w, h), n in found.most_common(most)]
    rest = sum(found.values()) - sum(n for _, n in found.most_common(most))
    others = len(found) - most
    said = f"{rest:,} others, each of its own size" if rest == others else f"{rest:,} others, of {others:,} sizes"
    return ", ".join([*shown, *([said] if rest else [])])


def proposed_side(found: Counter[tuple[int, int]]) -> int:
    """A side that suits pictures of these sizes: 32, or 64 if the shorter side of most exceeds 48."""
    larger = sum(n for size, n in found.items() if min(size) > 48)
    return 64 if larger > sum(found.values()) / 2 else 32


def head(file: IO[bytes]) -> Head:
    """Size and kind of an encoded picture.

    Raises:
        Unreadable: not a picture, or too large.
    """
    if (plain := _head_of_png(file.read(256))) is not None:
        return plain
    file.seek(0)
    with _Opened(file) as image:
        width, height = image.size
        if image.format != "TIFF" and image.getexif().get(0x0112, 1) in (5, 6, 7, 8):  # It lies on its side.
            width, height = height, width  # For a TIFF file, Pillow already gives the upright size.
        bits = 16 if image.mode.startswith("I") else 32 if image.mode == "F" else 8
        return Head((width, height), image.mode in ("1", "L", "LA", "La") or bits > 8, bits)


def _head_of_png(beginning: bytes) -> Head | None:
    """Head of a plain PNG file, as most are, ten times as fast as by Pillow; None for any other file."""
    if beginning[:16] != b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" or b"eXIf" in beginning or len(beginning) < 33:
        return None
    width, height = (int.from_bytes(beginning[at : at + 4], "big") for at in (16, 20))
    depth, kind = beginning[24], beginning[25]
    if not 0 < width * height <= MOST_PIXELS or kind not in (0, 2, 4, 6):
        return None
    return Head((width, height), kind in (0, 4), 16 if depth == 16 and kind == 0 else 8)


def decode(file: IO[bytes]) -> Picture:
    """An encoded picture as pixels: the first frame, upright.

    Raises:
        Unreadable: not a picture, damaged, or too large.
    """
    with _Opened(file) as image:
        remarks = []
        if (frames := getattr(image, "n_frames", 1)) > 1:
            remarks.append(f"first of {frames} frames")
        if not image.mode.startswith("I") and _is_cut(image):
            remarks.append(CUT)
        told = [image.getexif().get(0x0112, 1)]
        image.load()  # This turns a TIFF file, and finds the metadata behind the pixels of a PNG file.
        told.append(image.getexif().get(0x0112, 1))
        turned = ImageOps.exif_transpose(image)
        if any(orientation in range(2, 9) for orientation in told):
            remarks.append("turned upright by its EXIF tag")
        return of_image(turned, remarks)


def of_image(image: Image.Image, remarks: list[str] | None = None) -> Picture:
    """A Pillow image as pixels; CMYK and similar modes become RGB by Pillow's conversion.

    Raises:
        Unreadable: no pixels, an unsupported mode, or a damaged file.
    """
    said, mode = list(remarks or []), image.mode
    transparent = mode in ("LA", "La", "PA", "RGBA", "RGBa") or (mode in ("1", "L", "P", "RGB") and _has_key(image))
    if 0 in image.size:
        raise Unreadable("no pixels")
    if mode.startswith("I") or mode == "F":
        return _deep(np.asarray(image), said, image.info.get("transparency"))
    if mode in ("P", "PA"):
        said.append("palette")
    if mode not in ("1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa"):
        said.append(mode)
    gray = mode in ("1", "L", "LA", "La")
    wanted = ("LA" if gray else "RGBA") if transparent else ("L" if gray else "RGB")
    try:
        array = np.asarray(image.convert(wanted), np.uint8)
    except ValueError:
        raise Unreadable(f"unsupported pixel format ({mode})") from None
    except (OSError, SyntaxError):  # The image was opened, but not loaded yet.
        raise Unreadable("damaged, or cut off") from None
    array = array[:, :, None] if array.ndim == 2 else array
    array = array.transpose(2, 0, 1)
    alpha = None
    if transparent:
        alpha, array = array[-1], array[:-1]
        alpha = None if (alpha == 255).all() else np.ascontiguousarray(alpha)
        said += ["transparent"] if alpha is not None else []
    return Picture(np.ascontiguousarray(array), alpha, tuple(said))


def _is_cut(image: Image.Image) -> bool:
    """Whether Pillow will drop the lower half of 16 bits, which the arguments of its decoders reveal."""
    told = [tile[3] for tile in getattr(image, "tile", [])]
    forms = [each for args in told for each in (args if isinstance(args, tuple) else (args,))]
    deep_ppm = getattr(image, "format", None) == "PPM" and any(isinstance(n, int) and n > 255 for n in forms)
    return deep_ppm or any(isinstance(form, str) and ";16" in form for form in forms)


def _deep(array: NDArray[Any], said: list[str], key: Any = None) -> Picture:
    """A gray picture of more than 8 bits, unchanged; `key` is the transparent value."""
    alpha = np.where(array == key, 0, 255).astype(np.uint8) if isinstance(key, int) and (array == key).any() else None
    said += ["transparent"] if alpha is not None else []
    if array.dtype.kind in "iu" and array.size and array.min() >= 0 and array.max() <= BITS_16:
        return Picture(array.astype(np.uint16)[None], alpha, (*said, "16 bits"))
    return Picture(array[None], alpha, (*said, f"{array.dtype} pixels"))


def _has_key(image: Image.Image) -> bool:
    return "transparency" in image.info


class _Opened:
    """A file as a Pillow image; Pillow's error for a bad one becomes `Unreadable`."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file = file

    def __enter__(self) -> Image.Image:
        self._quiet = warnings.catch_warnings()
        self._quiet.__enter__()
        warnings.simplefilter("ignore")  # A decompression bomb is refused below; odd metadata does not matter.
        try:
            self.image = Image.open(self.file, formats=FORMATS)
            width, height = self.image.size
            if width * height > MOST_PIXELS:
                raise Unreadable(f"{width} x {height} pixels, more than {MOST_PIXELS:,}: it is not decoded")
        except BaseException as error:
            self._quiet.__exit__(None, None, None)
            raise self._told(error) from None
        return self.image

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        self.image.close()
        self._quiet.__exit__(None, None, None)
        if isinstance(error, Exception):
            raise self._told(error) from None

    def _told(self, error: BaseException) -> BaseException:
        if isinstance(error, Unreadable | MemoryError) or not isinstance(error, Exception):
            return error
        if isinstance(error, Image.DecompressionBombError):
            return Unreadable(f"more than {MOST_PIXELS:,} pixels: it is not decoded")
        if isinstance(error, UnidentifiedImageError):
            return Unreadable("empty" if self._is_empty() else "damaged, or not a picture")
        return Unreadable(getattr(error, "strerror", None) or "damaged, or cut off")

    def _is_empty(self) -> bool:
        try:
            self.file.seek(0)
            return not self.file.read(1)
        except (OSError, ValueError):
            return False
