"""Seals: what genlab wrote is whole, what was changed is not."""

from __future__ import annotations

import io
import json
import zlib

import numpy as np
import pytest
from PIL import Image

from genlab.data import pictures
from genlab.engine import seals
from genlab.report import plots

PICTURE = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)


def test_a_document_keeps_its_content_and_loses_its_seal_by_any_change() -> None:
    value = {"a": 1.25, "b": ["x", None], "c": {"d": "é"}}
    sealed = json.loads(json.dumps(seals.seal(value)))
    assert sealed["crc"] == f"{zlib.crc32(json.dumps(value).encode()):08x}"
    assert seals.unseal(sealed) == (value, "whole")
    assert seals.seal(sealed) == sealed
    assert seals.unseal(value) == (value, "unsealed")
    assert seals.unseal({**sealed, "a": 1.0})[1] == "damaged"
    assert seals.unseal({**sealed, "new": 0})[1] == "damaged"
    assert seals.unseal({**sealed, "crc": None})[1] == "damaged"


def test_a_picture_with_its_seal_is_the_same_picture() -> None:
    content = pictures.png(PICTURE, {"genlab:step": "7"}, scale=1)
    with Image.open(io.BytesIO(content)) as image:
        image.verify()
    with Image.open(io.BytesIO(content)) as image:
        assert (np.asarray(image) == PICTURE).all()
        assert getattr(image, "text", {})["genlab:step"] == "7"
    assert seals.check_png(content) == "whole"
    figure = plots.spectrum(np.arange(1, 4.0), np.ones(3), np.ones(3), [(0.1, 0.2)])
    assert seals.check_png(plots.png(figure, {})) == "whole"


def test_every_changed_byte_of_a_picture_is_noticed() -> None:
    content = pictures.png(PICTURE, {"genlab:step": "7"}, scale=1)
    for k in range(len(content)):
        changed = bytearray(content)
        changed[k] ^= 1
        assert seals.check_png(bytes(changed)) != "whole", k
    for k in range(len(content)):
        assert seals.check_png(content[:k]) != "whole"


@pytest.mark.parametrize("keeps_text", [True, False])
def test_a_picture_that_was_saved_again_has_lost_its_seal(keeps_text: bool) -> None:
    """A drawing program saves other pixels, with or without the original text chunks."""
    content = pictures.png(PICTURE, {}, scale=1)
    with Image.open(io.BytesIO(content)) as image:
        from PIL import PngImagePlugin

        info = PngImagePlugin.PngInfo()
        for key, value in getattr(image, "text", {}).items() if keeps_text else ():
            info.add_text(key, value)
        painted = image.copy()
        painted.putpixel((0, 0), (255, 0, 0))
        buffer = io.BytesIO()
        painted.save(buffer, "PNG", pnginfo=info)
    assert seals.check_png(buffer.getvalue()) == ("damaged" if keeps_text else "unsealed")
